"""The `lss` command: what each subcommand asks of the rooms, what it prints and how it exits.

Heavy libraries load inside the command that needs them, so that `lss check` starts at once; an error is one or two
plain lines. The commands themselves stand in `running`, `published` and `proving`.
"""

import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import proving, published, running
from pipelines.cli.shared import REFUSED, WRONG_USAGE, Stop, say

INTERRUPTED = 130  # what typer makes of a Ctrl-C
COMMANDS = (
    running.demo,
    running.run,
    running.check,
    proving.recall,
    proving.simulate,
    proving.validate,
    published.report,
    published.diff,
    published.deliver,
    published.verify,
    published.trace,
    published.export,
    running.ui,
)

app = typer.Typer(
    name="lss",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Pain, walking distance and time to treatment failure by treatment tier in lumbar spinal stenosis: "
    "from a release folder to a committee report.",
    epilog="Start with: lss demo",
)
for command in COMMANDS:
    app.command()(command)


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
            say(f"{usage()}\nTry: lss --help")
            sys.exit(WRONG_USAGE)
        say(_sentence(error))
        sys.exit(_code(error))
    if code == INTERRUPTED:
        say("stopped; what was published before is untouched")
    sys.exit(code if isinstance(code, int) else 0)
