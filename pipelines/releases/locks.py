"""Locks that the kernel keeps: freed when the process that holds one ends, however it ends.

`flock` on a small file under `locks/`. The file stays, the lock does not. Which work needs which lock is said where
the lock is taken.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def hold(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock for the block; when another process holds it, call `on_wait` once and wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        is_ours = _stands(path, file)
        if is_ours:
            yield
    if not is_ours:  # removed between opening and locking, as the lock of a dead run
        with hold(path, on_wait):
            yield


def _stands(path: Path, file: TextIO) -> bool:
    """Whether the name still stands for the file that was opened."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Whether a process, this one included, holds the lock now."""
    try:
        file = path.open("r")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
