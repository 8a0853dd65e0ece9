"""The `lss` command: what each subcommand asks of the rooms, what it prints and how it exits.

Heavy libraries load inside the command that needs them, so that `lss check` starts at once. Exit codes: 0 done, 2 wrong
usage, 3 release refused, 4 a blocking check failed, 1 anything else; an error is one or two plain lines.
"""

import logging
import os
import sys
import traceback
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipelines.protocol import Protocol
    from pipelines.releases import Home

WRONG_USAGE = 2
REFUSED = 3
CHECK_FAILED = 4
INTERRUPTED = 130  # what typer makes of a Ctrl-C

app = typer.Typer(
    name="lss",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pain, walking distance and time to treatment failure by treatment tier in lumbar spinal stenosis: "
    "from a release folder to a committee report.",
    epilog="Start with: lss demo",
)


class AnalysisSet(StrEnum):
    """Which analyses a run makes."""

    CORE = "core"
    FULL = "full"


class Engine(StrEnum):
    """What runs the SQL."""

    DUCKDB = "duckdb"


class FileFormat(StrEnum):
    """How simulated tables are written."""

    CSV = "csv"
    PARQUET = "parquet"


class Study(StrEnum):
    """The studies of `lss validate`."""

    AGREEMENT = "agreement"
    FAILURE = "failure"
    OUTCOMES = "outcomes"
    RECOVERY = "recovery"
    SITES = "sites"
    CALIBRATION = "calibration"


class Stop(Exception):
    """The command ends here with this exit code; the message is for standard error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


ReleaseDir = Annotated[Path, typer.Argument(metavar="RELEASE_DIR", help="Folder with manifest.toml and four tables.")]
ReleaseName = Annotated[str, typer.Argument(metavar="RELEASE", help="Name of a release that was run.")]
ProtocolFile = Annotated[
    Path | None,
    typer.Option(
        "--protocol",
        exists=True,
        dir_okay=False,
        help="Study protocol; by default the one that comes with lss.",
        show_default=False,
    ),
]
ProtocolName = Annotated[
    str | None,
    typer.Option("--protocol", help="Name of the protocol, where a release was run with several.", show_default=False),
]


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"lss-outcomes {version('lss-outcomes')}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="LSS_HOME",
            help="Where runs keep their files; by default lss-home in the current folder.",
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; it may show values.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Note the options that all commands share."""
    context.obj = home
    if debug:
        os.environ["LSS_DEBUG"] = "1"


@app.command()
def demo(context: typer.Context) -> None:
    """Run the whole job on the bundled synthetic release."""
    from pipelines.resources import sample_release

    _run(context, sample_release(), None, None)


@app.command()
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


@app.command()
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
    effective = _protocol(protocol, None)
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


@app.command()
def recall(
    made: Annotated[
        int,
        typer.Option(help="Also this many identifiers of each kind that the library faker makes (0: none).", min=0),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the identifiers that are made.")] = 1,
    protocol: ProtocolFile = None,
) -> None:
    """Measure the de-identification guard: plant identifiers into the bundled release and see which refuse it."""
    from pipelines.console import show_table
    from pipelines.ingest.independent import independent_identifiers
    from pipelines.ingest.recall import planted_identifiers, recall_table

    effective = _protocol(protocol, None)
    corpora = {"Planted identifiers, written by those who wrote the patterns": planted_identifiers()}
    if made:
        try:
            corpora["Identifiers made by faker, which knows nothing of the patterns"] = independent_identifiers(
                made, seed
            )
        except ModuleNotFoundError:
            raise Stop("the library faker is not installed; install it, or leave out --made", 1) from None
    for title, corpus in corpora.items():
        table = recall_table(corpus, effective)
        rows = [row | {"recall": f"{row['recall']:.1%}"} for row in table.iter_rows(named=True)]
        show_table(title, table.columns, rows)
        print()
    print(
        "refused: the release was; kept_out: its row was, by a row rule; let_in: neither. recall is the share refused."
    )


@app.command()
def simulate(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="A new or empty folder.")],
    patients: Annotated[int, typer.Option(help="Number of patients.", min=1)] = 600,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers: the same seed gives the same cohort.")] = 1,
    file_format: Annotated[FileFormat, typer.Option("--format", help="Format of the tables.")] = FileFormat.CSV,
    scenario: Annotated[
        str | None, typer.Option(help="A scenario of data/scenarios.toml, by name.", show_default=False)
    ] = None,
) -> None:
    """Make a synthetic release with known truth (truth.json)."""
    from pipelines.simulate import SettingsError
    from pipelines.simulate import simulate as write_release

    try:
        write_release(out_dir, patients, seed, file_format.value, scenario)
    except SettingsError as error:
        raise Stop(str(error), WRONG_USAGE) from None
    print(f"release: {out_dir.absolute()}")


@app.command()
def validate(
    out_dir: Annotated[Path, typer.Argument(help="Folder for the page.", show_default=False)] = Path(
        "validation-report"
    ),
    study: Annotated[
        list[Study] | None, typer.Option(help="Run only this study; may be given again.", show_default=False)
    ] = None,
    replications: Annotated[
        int | None, typer.Option(help="Replications of each scenario; by default those of the grid.", min=2)
    ] = None,
    cohorts: Annotated[int, typer.Option(help="Simulated cohorts of the recovery study.", min=2)] = 100,
) -> None:
    """Hold the estimators against R and against known truth, and write the page that shows it (takes long)."""
    from pipelines.assets.in_memory import derived_frames
    from pipelines.console import say_progress
    from pipelines.reports import render_html
    from pipelines.reports.validation_page import validation_document
    from pipelines.validation.run import failures, run_study

    frames = {
        name.value: run_study(name.value, replications, cohorts, derived_frames, _protocol(None, None), say_progress)
        for name in study or list(Study)
    }
    settings = [("Studies", ", ".join(frames)), ("Replications", str(replications or "as in data/validation.toml"))]
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_csv(out_dir / f"{name}.csv")
    page = out_dir / "validation.html"
    page.write_text(render_html(validation_document(frames, settings)), encoding="utf-8")
    print(f"page: {page.absolute()}")
    if missed := failures(frames):
        raise Stop("; ".join(missed), CHECK_FAILED)


@app.command()
def report(context: typer.Context, release: ReleaseName, protocol: ProtocolName = None) -> None:
    """Render the committee report again from the published snapshot."""
    from pipelines.assets.report_files import write_report
    from pipelines.releases import Register
    from pipelines.releases.locks import hold

    home = _home(context)
    name = protocol or Register(home).find(release).protocol
    with hold(home.lock_file(f"release-{release}"), lambda: _say(f"a run holds release {release}; waiting for it")):
        paths = write_report(home, release, name)
    print(f"report: {paths['html']}")
    print(f"pdf: {paths['pdf']}")


@app.command()
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="A", help="Name of the earlier release.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Name of the later release.")],
    protocol: ProtocolName = None,
    is_whole: Annotated[bool, typer.Option("--all", help="Show what is within its tolerance, too.")] = False,
) -> None:
    """Say what changed between two published releases; small counts are shown, so it stays on the protected side."""
    from contextlib import closing

    import polars as pl

    from pipelines.console import show_changes
    from pipelines.releases import Register, open_snapshot
    from pipelines.releases.diff import changes
    from pipelines.releases.snapshot import protocol_of

    home = _home(context)
    name = protocol or Register(home).find(after).protocol
    with closing(open_snapshot(home, before, name)) as old, closing(open_snapshot(home, after, name)) as new:
        found = changes(old, new, protocol_of(new), (before, after))
    shown = found if is_whole else found.filter(pl.col("verdict").is_in(["beyond", "explained"]))
    show_changes(f"{before} to {after}", shown.iter_rows(named=True))
    beyond = found.filter(verdict="beyond").height
    print(f"{found.height} quantities compared, {beyond} beyond their tolerance")
    if beyond:
        raise Stop(f"{beyond} changes go beyond the protocol's tolerance and are not explained", CHECK_FAILED)


@app.command()
def deliver(
    context: typer.Context,
    release: ReleaseName,
    protocol: ProtocolName = None,
    again: Annotated[bool, typer.Option("--again", help="Deliver also what was delivered before.")] = False,
) -> None:
    """Deliver the committee report as settings.toml says: into the delivery folder and by mail, each content once."""
    from pipelines.assets.report_files import deliver as deliver_files
    from pipelines.releases import Register

    home = _home(context)
    name = protocol or Register(home).find(release).protocol
    for sentence in deliver_files(home, release, name, is_again=again):
        print(sentence)


@app.command()
def verify(
    context: typer.Context,
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report's HTML or PDF file, also a copy of one.")],
    public_key: Annotated[
        Path | None,
        typer.Option(help="The site's Ed25519 public key (PEM), to check the signature.", show_default=False),
    ] = None,
) -> None:
    """Say whether a report belongs to a snapshot, and whether either was changed since."""
    from pipelines.releases.verify import verify as findings_of

    findings = findings_of(_home(context), report, public_key)
    for found in findings:
        print(f"{found.subject}: {found.sentence}")
    unsound = [found.subject for found in findings if found.is_sound is False]
    if unsound:
        raise Stop(f"not verified: {', '.join(unsound)}", CHECK_FAILED)


@app.command()
def trace(
    context: typer.Context,
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="Name of a release, or a report's file.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="A trace: C-1a2b3c4d, or table-contrasts.")],
    protocol: ProtocolName = None,
) -> None:
    """Follow a number, table or figure of a report back to its rows, protocol lines, formula and source."""
    from pipelines.assets.traced import UnknownTrace, follow

    try:
        lines = follow(_home(context), release, name, protocol)
    except UnknownTrace as error:
        raise Stop(str(error), WRONG_USAGE) from None
    print("\n".join(lines))


@app.command()
def export(
    context: typer.Context,
    release: ReleaseName,
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the files.")],
    protocol: ProtocolName = None,
    is_protected: Annotated[
        bool, typer.Option("--protected", help="Write for the protected side: everything, small counts included.")
    ] = False,
) -> None:
    """Write the result tables as Parquet and CSV, as the report's disclosure gate lets them leave."""
    from pipelines.assets.report_files import write_export

    names = write_export(_home(context), release, protocol, out_dir, is_protected)
    kind = "whole, for the protected side only" if is_protected else "small numbers of patients withheld"
    print(f"{len(names)} tables, each as Parquet and CSV ({kind}): {out_dir.absolute()}")


@app.command()
def ui(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 3000,
) -> None:
    """Open Dagster's UI on this home, with the daemon that watches the inbox and runs schedules; Ctrl-C ends both."""
    from pipelines.assets.ui import job_page, serve
    from pipelines.releases.settings import prepare

    home = _home(context)
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

    home = _home(context)
    protocol = _protocol(protocol_file, analysis_set)
    found = check_release(folder, protocol)
    if few := sentence(found.anonymity, protocol):
        _say(few)
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


def _home(context: typer.Context) -> "Home":
    from pipelines.releases import find_home

    home = find_home(context.obj)
    os.environ.setdefault("MPLCONFIGDIR", str(home.drawing_cache))  # its fonts
    return home


def _protocol(file: Path | None, analysis_set: AnalysisSet | None) -> "Protocol":
    from pipelines.protocol import load_protocol
    from pipelines.resources import default_protocol_file

    protocol = load_protocol(file or default_protocol_file())
    return protocol.with_overrides({"analysis_set": analysis_set.value}) if analysis_set else protocol


def _say(sentence: str) -> None:
    print(f"lss: {sentence}", file=sys.stderr)


def _code(error: Exception) -> int:
    from pipelines.ingest.errors import ReleaseRefused
    from pipelines.releases import NameTaken

    if isinstance(error, Stop):
        return error.code
    return REFUSED if isinstance(error, ReleaseRefused | NameTaken) else 1


def _sentence(error: Exception) -> str:
    """Our own errors speak for themselves; others are named by kind, since their texts may hold values."""
    is_ours = isinstance(error, Stop) or type(error).__module__.startswith("pipelines.")
    if is_ours:
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"an unforeseen {type(error).__name__}; run the command again with lss --debug to see where"


def _common_first(arguments: list[str]) -> list[str]:
    """Move the options that all commands share to the front, so that they may also stand after the command."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--home":
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word == "--debug" or word.startswith("--home="):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    logging.basicConfig(format="lss: %(message)s", level=logging.ERROR)
    logging.getLogger("lss").setLevel(logging.WARNING)
    try:
        code = app(_common_first(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except Exception as error:
        if os.environ.get("LSS_DEBUG"):
            traceback.print_exc()
        usage = getattr(error, "format_message", None)  # what typer raises for wrong usage
        if usage:
            _say(f"{usage()}\nTry: lss --help")
            sys.exit(WRONG_USAGE)
        _say(_sentence(error))
        sys.exit(_code(error))
    if code == INTERRUPTED:
        _say("stopped; what was published before is untouched")
    sys.exit(code if isinstance(code, int) else 0)
