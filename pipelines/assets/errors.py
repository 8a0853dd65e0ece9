"""What a run says when it fails: sentences of ours, since Dagster stores every exception that leaves an asset.

Exceptions of libraries hold cell values in their texts; here they lose them. Raising the rooms' own errors belongs in
the rooms.
"""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.derive import DeriveError
from pipelines.ingest import ReleaseRefused
from pipelines.protocol import ProtocolError
from pipelines.releases import ReleaseError
from pipelines.warehouse import WarehouseError

DEBUG_VARIABLE = "LSS_DEBUG"


class StageError(RuntimeError):
    """A stage of a run failed; the message is one sentence without any value of the data."""


class BlockingCheckFailed(RuntimeError):
    """A check that blocks publishing did not pass; the message names it."""


_SAFE = (
    BlockingCheckFailed,
    DeriveError,
    ProtocolError,
    ReleaseError,
    ReleaseRefused,
    StageError,
    WarehouseError,
)


@contextmanager
def plain_errors(doing: str) -> Iterator[None]:
    """Let only our own errors out, each cut off from what caused it; others become a StageError that says where.

    With `LSS_DEBUG` set the original goes to standard error first, and nowhere else.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error, file=sys.stderr)
        raise _plain(doing, error) from None


def _plain(doing: str, error: Exception) -> BaseException:
    if isinstance(error, RuntimeError) and "interrupt" in str(error).lower():  # what DuckDB makes of a Ctrl-C
        return KeyboardInterrupt()
    if isinstance(error, _SAFE):
        return type(error)(str(error))
    if isinstance(error, MemoryError):
        return StageError(f"{doing}: the memory did not suffice; give LSS_MEMORY_LIMIT or a larger machine")
    if isinstance(error, OSError):
        return StageError(f"{doing}: {os.strerror(error.errno) if error.errno else 'input or output failed'}")
    return StageError(f"{doing}: {type(error).__name__} in {_place(error)}")


def _place(error: BaseException) -> str:
    """The innermost line of ours on the way to the error, below the block that caught it."""
    passed = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    ours = [frame for frame in passed if f"{os.sep}pipelines{os.sep}" in frame.filename]
    if not ours:
        return "a library"
    path = Path(ours[-1].filename)
    return f"{path.parent.name}/{path.name}, line {ours[-1].lineno}"
