"""What the commands share: their options, the home and the protocol they are given, and how they end early.

Exit codes: 0 done, 2 wrong usage, 3 release refused, 4 a blocking check failed, 1 anything else.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipelines.protocol import Protocol
    from pipelines.releases import Home

WRONG_USAGE = 2
REFUSED = 3
CHECK_FAILED = 4

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


class AnalysisSet(StrEnum):
    """Which analyses a run makes."""

    CORE = "core"
    FULL = "full"


class Stop(Exception):
    """The command ends here with this exit code; the message is for standard error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def home_of(context: typer.Context) -> "Home":
    """The home folder of `--home`, of LSS_HOME, or `lss-home` in the current folder."""
    from pipelines.releases import find_home

    home = find_home(context.obj)
    os.environ.setdefault("MPLCONFIGDIR", str(home.drawing_cache))  # its fonts
    return home


def home_and_protocol(context: typer.Context, release: str, protocol: str | None) -> "tuple[Home, str]":
    """The home, and the protocol that a release was last run with where none is named."""
    from pipelines.releases import Register

    home = home_of(context)
    return home, protocol or Register(home).find(release).protocol


def chosen_protocol(file: Path | None, analysis_set: AnalysisSet | None) -> "Protocol":
    """The protocol of a file, or the one that comes with lss, with another analysis set where one is asked for."""
    from pipelines.protocol import load_protocol
    from pipelines.resources import default_protocol_file

    protocol = load_protocol(file or default_protocol_file())
    return protocol.with_overrides({"analysis_set": analysis_set.value}) if analysis_set else protocol


def say(sentence: str) -> None:
    """Tell the person at the terminal something that is not the command's answer."""
    print(f"lss: {sentence}", file=sys.stderr)
