"""The report's two files, from a published snapshot; without Dagster, so that `lss report` starts at once."""

from contextlib import closing
from pathlib import Path

from pipelines.releases import Home
from pipelines.releases.home import write_whole
from pipelines.releases.receipt import write_receipt
from pipelines.releases.snapshot import open_snapshot, protocol_of


def write_report(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Render the committee report and put its receipt beside it; returns the paths of its `html` and its `pdf`.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
    """
    from pipelines import reports  # drawing libraries load when something is drawn

    with closing(open_snapshot(home, release, protocol)) as snapshot:
        document = reports.build_report(snapshot.read, protocol_of(snapshot))
    paths = report_files(home, release, protocol)
    write_whole(paths["html"], reports.render_html(document).encode())
    write_whole(paths["pdf"], reports.render_pdf(document))
    write_receipt(home, release, protocol)
    return paths


def report_files(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Where the report's files stand."""
    folder = home.report_folder(release, protocol)
    return {"html": folder / "report.html", "pdf": folder / "report.pdf"}
