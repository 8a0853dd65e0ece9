"""Commands about what a run has published: the report and its delivery, differences, proof, traces, tables."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.shared import (
    CHECK_FAILED,
    WRONG_USAGE,
    ProtocolName,
    ReleaseName,
    Stop,
    home_and_protocol,
    home_of,
    say,
)


def report(context: typer.Context, release: ReleaseName, protocol: ProtocolName = None) -> None:
    """Render the committee report again from the published snapshot."""
    from pipelines.assets.report_files import write_report
    from pipelines.releases.locks import hold

    home, name = home_and_protocol(context, release, protocol)
    with hold(home.lock_file(f"release-{release}"), lambda: say(f"a run holds release {release}; waiting for it")):
        paths = write_report(home, release, name)
    print(f"report: {paths['html']}")
    print(f"pdf: {paths['pdf']}")


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
    from pipelines.releases import open_snapshot
    from pipelines.releases.diff import changes
    from pipelines.releases.snapshot import protocol_of

    home, name = home_and_protocol(context, after, protocol)
    with closing(open_snapshot(home, before, name)) as old, closing(open_snapshot(home, after, name)) as new:
        found = changes(old, new, protocol_of(new), (before, after))
    shown = found if is_whole else found.filter(pl.col("verdict").is_in(["beyond", "explained"]))
    show_changes(f"{before} to {after}", shown.iter_rows(named=True))
    beyond = found.filter(verdict="beyond").height
    print(f"{found.height} quantities compared, {beyond} beyond their tolerance")
    if beyond:
        raise Stop(f"{beyond} changes go beyond the protocol's tolerance and are not explained", CHECK_FAILED)


def deliver(
    context: typer.Context,
    release: ReleaseName,
    protocol: ProtocolName = None,
    again: Annotated[bool, typer.Option("--again", help="Deliver also what was delivered before.")] = False,
) -> None:
    """Deliver the committee report as settings.toml says: into the delivery folder and by mail, each content once."""
    from pipelines.assets.report_files import deliver as deliver_files

    home, name = home_and_protocol(context, release, protocol)
    for sentence in deliver_files(home, release, name, is_again=again):
        print(sentence)


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

    findings = findings_of(home_of(context), report, public_key)
    for found in findings:
        print(f"{found.subject}: {found.sentence}")
    unsound = [found.subject for found in findings if found.is_sound is False]
    if unsound:
        raise Stop(f"not verified: {', '.join(unsound)}", CHECK_FAILED)


def trace(
    context: typer.Context,
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="Name of a release, or a report's file.")],
    name: Annotated[str, typer.Argument(metavar="ID", help="A trace: C-1a2b3c4d, or table-contrasts.")],
    protocol: ProtocolName = None,
) -> None:
    """Follow a number, table or figure of a report back to its rows, protocol lines, formula and source."""
    from pipelines.assets.traced import UnknownTrace, follow

    try:
        lines = follow(home_of(context), release, name, protocol)
    except UnknownTrace as error:
        raise Stop(str(error), WRONG_USAGE) from None
    print("\n".join(lines))


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

    names = write_export(home_of(context), release, protocol, out_dir, is_protected)
    kind = "whole, for the protected side only" if is_protected else "small numbers of patients withheld"
    print(f"{len(names)} tables, each as Parquet and CSV ({kind}): {out_dir.absolute()}")
