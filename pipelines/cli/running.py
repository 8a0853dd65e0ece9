"""Commands that take a release in: check it, run the whole job, or open the UI that does so by itself."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.shared import (
    CHECK_FAILED,
    REFUSED,
    WRONG_USAGE,
    AnalysisSet,
    ProtocolFile,
    ReleaseDir,
    Stop,
    chosen_protocol,
    home_of,
    say,
)

if TYPE_CHECKING:
    from pipelines.releases import Home


class Engine(StrEnum):
    """What runs the SQL."""

    DUCKDB = "duckdb"


def demo(context: typer.Context) -> None:
    """Run the whole job on the bundled synthetic release."""
    from pipelines.resources import sample_release

    _run(context, sample_release(), None, None)


def run(
    context: typer.Context,
    release_dir: ReleaseDir,
    protocol: ProtocolFile = None,
    analysis_set: Annotated[
        AnalysisSet | None,
        typer.Option(help="core: the primary questions; full: sensitivity analyses too.", show_default=False),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="What runs the SQL.")] = Engine.DUCKDB,
) -> None:
    """Run the whole job: from a release folder to a published snapshot and the committee report."""
    _run(context, release_dir, protocol, analysis_set)


def check(
    release_dir: ReleaseDir,
    protocol: ProtocolFile = None,
    findings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the rows to mend to this .xlsx or .csv file: lines and rules, no values.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Hold a release against contract, de-identification guard and row rules; writes nothing but asked-for findings."""
    from pipelines.console import show_table
    from pipelines.ingest import check_release
    from pipelines.ingest.steward import USED_MEANS, counts_table, remarks, rules_table, unfit_path, write_findings

    if findings and (problem := unfit_path(findings, release_dir)):
        raise Stop(problem, WRONG_USAGE)
    effective = chosen_protocol(protocol, None)
    found = check_release(release_dir, effective)
    show_table(f"Release {found.release}: read = accepted + kept aside", *counts_table(found))
    if found.has_strange_rows:
        told = found.account.filter(found.account["row_count"] > 0)
        print()
        show_table("What became of the source's own rows", told.columns, told.iter_rows(named=True))
        print(USED_MEANS)
    print()
    if found.violated.is_empty():
        print("No row rule is violated.")
    else:
        show_table("Row rules that are violated", *rules_table(found))
    for said in remarks(found, effective):
        print(f"\n{said}")
    if findings:
        print(f"\nfindings: {findings.absolute()} ({write_findings(found, findings, effective):,} findings)")


def ui(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 3000,
) -> None:
    """Open Dagster's UI on this home, with the daemon that watches the inbox and runs schedules; Ctrl-C ends both."""
    from pipelines.assets.ui import job_page, serve
    from pipelines.releases.settings import prepare

    home = home_of(context)
    settings = prepare(home)
    print(f"inbox: {settings.inbox_folder(home)}")
    print(f"delivered: {settings.delivery_folder(home)}")
    print(f"settings: {home.settings_file}")
    print(f"{job_page(host, port)}  (Ctrl-C ends it)", flush=True)
    raise typer.Exit(serve(home, host, port))


def _run(context: typer.Context, folder: Path, protocol_file: Path | None, analysis_set: AnalysisSet | None) -> None:
    """Check and register the release, run the job and say where its files are."""
    from pipelines.ingest import check_release
    from pipelines.ingest.anonymity import sentence
    from pipelines.releases import Register
    from pipelines.releases.register import registered

    home = home_of(context)
    protocol = chosen_protocol(protocol_file, analysis_set)
    found = check_release(folder, protocol)
    if few := sentence(found.anonymity, protocol):
        say(few)
    Register(home).add(registered(found.release, folder, found.content_sha256, protocol.name, protocol_file))
    config = {"analysis_set": analysis_set.value} if analysis_set else {}
    _run_job(home, found.release, config)
    _say_where(home, found.release, protocol.name)


def _run_job(home: "Home", release: str, config: dict[str, Any]) -> None:
    from pipelines.assets.jobs import JOB
    from pipelines.assets.runner import Watcher, run_release
    from pipelines.console import stage_progress
    from pipelines.definitions import build_defs

    job = build_defs(home).resolve_job_def(JOB)
    with stage_progress() as progress:
        watcher = Watcher(progress.plan, progress.begun, progress.ended)
        finished = run_release(home, release, job, config, watcher)
    codes = {"refused": REFUSED, "check failed": CHECK_FAILED, "failed": 1}
    if finished.outcome != "done":
        raise Stop(finished.sentence, codes[finished.outcome])


def _say_where(home: "Home", release: str, protocol: str) -> None:
    from pipelines.assets.report_files import report_files

    paths = report_files(home, release, protocol)
    print(f"snapshot: {home.snapshot_file(release, protocol)}")
    print(f"report: {paths['html']}")
    print(f"pdf: {paths['pdf']}")
