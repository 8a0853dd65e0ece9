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
    except _SAFE as error:
        _show(error)
        raise type(error)(str(error)) from None
    except MemoryError:
        raise StageError(f"{doing}: the memory did not suffice; give LSS_MEMORY_LIMIT or a larger machine") from None
    except OSError as error:
        _show(error)
        raise StageError(f"{doing}: {os.strerror(error.errno) if error.errno else 'input or output failed'}") from None
    except Exception as error:
        _show(error)
        raise StageError(f"{doing}: {type(error).__name__} in {_place(error)}") from None


def _show(error: BaseException) -> None:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)


def _place(error: BaseException) -> str:
    """The innermost line of ours on the way to the error."""
    ours = [
        frame for frame in traceback.extract_tb(error.__traceback__) if f"{os.sep}pipelines{os.sep}" in frame.filename
    ]
    if not ours:
        return "a library"
    path = Path(ours[-1].filename)
    return f"{path.parent.name}/{path.name}, line {ours[-1].lineno}"
