"""The report's two files, from a published snapshot; without Dagster, so that `lss report` starts at once."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.releases import Home
from pipelines.releases.home import write_whole
from pipelines.releases.receipt import write_receipt
from pipelines.releases.snapshot import open_snapshot, protocol_of, release_before

if TYPE_CHECKING:
    from pipelines.reports.suppression import Decisions


def write_report(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Render the committee report and put its receipt beside it; returns the paths of its `html` and its `pdf`.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
    """
    from pipelines import reports  # drawing libraries load when something is drawn
    from pipelines.reports.earlier import PRINTED_FILE, printed

    before = _decisions_before(home, release, protocol)
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        study = reports.Study(snapshot.read, protocol_of(snapshot), before)
        document = reports.report_of(study)
    paths = report_files(home, release, protocol)
    write_whole(paths["html"].parent / PRINTED_FILE, printed(study.gate.decisions))
    write_whole(paths["html"], reports.render_html(document).encode())
    write_whole(paths["pdf"], reports.render_pdf(document))
    write_receipt(home, release, protocol)
    return paths


def _decisions_before(home: Home, release: str, protocol: str) -> "Decisions | None":
    """What the report of the release before has printed, if there is one."""
    from pipelines.reports.earlier import PRINTED_FILE, decisions_before

    earlier = release_before(home, release, protocol)
    if earlier is None:
        return None
    kept = home.report_folder(earlier, protocol) / PRINTED_FILE
    with closing(open_snapshot(home, earlier, protocol)) as snapshot:
        return decisions_before(snapshot.read, protocol_of(snapshot), kept.read_bytes() if kept.exists() else None)


def report_files(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Where the report's files stand."""
    folder = home.report_folder(release, protocol)
    return {"html": folder / "report.html", "pdf": folder / "report.pdf"}
