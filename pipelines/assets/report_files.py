"""The files of reports, from a published snapshot, and their delivery; without Dagster: commands start at once."""

import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.assets.report_study import printed_before, printed_by, study_of
from pipelines.releases import Home, ReleaseError
from pipelines.releases.delivery import Report, deliver_report
from pipelines.releases.export import export_results
from pipelines.releases.home import write_whole
from pipelines.releases.receipt import write_receipt
from pipelines.releases.settings import load_settings
from pipelines.releases.snapshot import open_snapshot, protocol_of
from pipelines.resources import code_version

if TYPE_CHECKING:
    from pipelines.protocol import Protocol
    from pipelines.reports import Document, Study
    from pipelines.reports.tables import Read

PICTURES_FILE = "pictures.json"
SITE_FOLDER = "sites"
COMMITTEE_REPORT = "committee report"
DATA_QUALITY_REPORT = "report on data quality"


def write_report(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Render the committee report, those of sites beneath it and their receipt; returns the paths of `html` and `pdf`.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
    """
    from pipelines import reports  # drawing libraries load when something is drawn
    from pipelines.reports.earlier import PRINTED_FILE, printed
    from pipelines.reports.traced import TRACES_FILE, index_of

    with closing(open_snapshot(home, release, protocol)) as snapshot:
        study = study_of(home, release, snapshot)
        document = reports.report_of(study)
        of_sites = {site: reports.site_report(study, site) for site in _sites_reported(study)}
    paths = report_files(home, release, protocol)
    _write_site_reports(paths["html"].parent / SITE_FOLDER, of_sites)
    write_whole(paths["html"].parent / PRINTED_FILE, printed(study.gate.decisions))
    write_whole(paths["html"].parent / TRACES_FILE, index_of(document))
    write_whole(paths["html"], reports.render_html(document).encode())
    write_whole(paths["pdf"], reports.render_pdf(document))
    _keep_pictures(paths["html"].parent / PICTURES_FILE, document)
    write_receipt(home, release, protocol)
    return paths


def _keep_pictures(path: Path, document: "Document") -> None:
    """Keep the report's figures and tables by the table they show, where the UI finds them; they passed its gate."""
    from pipelines.reports.pictures import pictures_of

    write_whole(path, json.dumps(pictures_of(document)).encode())


def kept_pictures(home: Home, release: str, protocol: str) -> dict[str, str]:
    """By table what the release's report shows of it, as Markdown that holds the drawings; empty where none is kept."""
    path = home.report_folder(release, protocol) / PICTURES_FILE
    if not path.exists():
        return {}
    kept: dict[str, str] = json.loads(path.read_bytes())
    return kept


def table_pictures(home: Home, release: str, protocol: "Protocol", read: "Read", table: str) -> str:
    """What a report of these tables would show of one of them, behind a gate that knows the release's own report."""
    from pipelines.reports import Study
    from pipelines.reports.pictures import pictures_of_table

    is_published = home.snapshot_file(release, protocol.name).exists()
    before = (printed_by if is_published else printed_before)(home, release, protocol.name)
    return pictures_of_table(Study(read, protocol, before), table)


def _sites_reported(study: "Study") -> list[str]:
    """Treating sites that get a report of their own: all, where there are at least two."""
    from pipelines.reports import site_names

    names = site_names(study)
    return names if len(names) > 1 else []


def _write_site_reports(folder: Path, documents: Mapping[str, "Document"]) -> None:
    """Write `<site>.html` and `<site>.pdf` for each site, and remove those of sites that are no longer there."""
    from pipelines.reports import render_html, render_pdf

    folder.mkdir(parents=True, exist_ok=True)
    files = {site: re.sub(r"[^A-Za-z0-9_-]", "-", site) for site in documents}
    if len(set(files.values())) < len(files):  # pseudonyms that differ in punctuation only
        files = {site: f"{name}-{place}" for place, (site, name) in enumerate(files.items(), 1)}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pages = dict(zip(documents, pool.map(render_pdf, documents.values()), strict=True))
    for site, document in documents.items():
        write_whole(folder / f"{files[site]}.html", render_html(document).encode())
        write_whole(folder / f"{files[site]}.pdf", pages[site])
    kept = set(files.values())
    for path in folder.iterdir():
        if path.suffix in (".html", ".pdf") and path.stem not in kept:
            path.unlink()


def write_export(home: Home, release: str, protocol: str | None, out_dir: Path, is_protected: bool) -> list[str]:
    """Write the result tables as files, whole for the protected side, else through the report's gate; returns names.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
        OSError: the folder cannot be written.
    """
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        if is_protected:
            return export_results(snapshot, out_dir)
        from pipelines.reports.export import released, why_without_rows

        return export_results(snapshot, out_dir, partial(released, study_of(home, release, snapshot)), why_without_rows)


def report_files(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Where the report's files stand."""
    folder = home.report_folder(release, protocol)
    return {"html": folder / "report.html", "pdf": folder / "report.pdf"}


def site_files(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """The reports of sites that stand beside the network's, by the place they have in its folder."""
    folder = home.report_folder(release, protocol)
    found = sorted((folder / SITE_FOLDER).glob("*.*"))
    return {path.relative_to(folder).as_posix(): path for path in found if path.suffix in (".html", ".pdf")}


def write_data_quality(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Render the report on data quality; returns the paths of its `html` and its `pdf`.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
    """
    from pipelines import reports

    with closing(open_snapshot(home, release, protocol)) as snapshot:
        document = reports.build_data_quality(study_of(home, release, snapshot))
    paths = data_quality_files(home, release, protocol)
    write_whole(paths["html"], reports.render_html(document).encode())
    write_whole(paths["pdf"], reports.render_pdf(document))
    write_receipt(home, release, protocol)
    return paths


def data_quality_files(home: Home, release: str, protocol: str) -> dict[str, Path]:
    """Where the files of the report on data quality stand."""
    folder = home.report_folder(release, protocol)
    return {"html": folder / "data_quality.html", "pdf": folder / "data_quality.pdf"}


def deliver(home: Home, release: str, protocol: str, kind: str = COMMITTEE_REPORT, is_again: bool = False) -> list[str]:
    """Deliver a report that is on disk as the home's settings say; returns a sentence for each way of delivery.

    Raises:
        ReleaseError: there is no such report yet, or it cannot be delivered.
    """
    files = (report_files if kind == COMMITTEE_REPORT else data_quality_files)(home, release, protocol)
    if not all(path.exists() for path in files.values()):
        raise ReleaseError(f"there is no {kind} of release {release} yet; run the release first")
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        manifest = snapshot.read("raw.release")["manifest_sha256"].item()
        made_from = (manifest, protocol_of(snapshot).hash, code_version()["code_sha256"])
    beside = site_files(home, release, protocol) if kind == COMMITTEE_REPORT else {}
    report = Report(kind, release, protocol, made_from, files, beside)
    return deliver_report(home, load_settings(home), report, is_again)
