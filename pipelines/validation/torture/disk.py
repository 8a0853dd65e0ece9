"""A disk that is full or read-only, and an input that is gone: one plain sentence, and the old snapshot as it was.

The home stands on a small file system in memory where mounting is allowed (root). Elsewhere a limit on the size of
files takes the place of the full disk, and folders without the right to write that of the read-only one.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.validation.torture.content import Content, content, is_as_published, remains
from pipelines.validation.torture.world import VARIANTS, Ended, World, kill, start_command

FREE_MEGABYTES = (0, 0.1, 0.5, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28, 32)
_FILE_LIMITS = (2_000, 30_000, 150_000, 600_000, 3_000_000, 9_000_000)


@dataclass(frozen=True)
class Trouble:
    """One run in trouble: of what kind, how it ended, what it said, and what is wrong with that (empty: nothing)."""

    kind: str
    code: int
    said: str
    fault: str


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A file system of that size at the folder; gives whether it could be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)


def torture_by_disk(world: World, free: tuple[float, ...] = FREE_MEGABYTES) -> Iterator[Trouble]:
    """Run the job with ever less room for it.

    `world.home_folder` must be the folder of a `small_disk` that was mounted.

    Yields:
        One row a run, then one for a run with room again, which must publish and tidy up.
    """
    yield _must_publish(world, VARIANTS[0], "room enough")
    for megabytes in free:
        filler = world.home.path / "filler"
        room = shutil.disk_usage(world.home.path).free - int(megabytes * 1_000_000)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(room, 1))
        yield _must_leave(world, VARIANTS[1], f"{megabytes:g} MB free", may_succeed=True)
        filler.unlink()
    yield _must_publish(world, VARIANTS[1], "room again")


def torture_by_file_size(world: World) -> Iterator[Trouble]:
    """In place of the full disk: no file may grow past a limit."""
    yield _must_publish(world, VARIANTS[0], "no limit")
    for limit in _FILE_LIMITS:
        limited = replace(world, start=partial(start_command, file_bytes=limit))
        yield _must_leave(limited, VARIANTS[1], f"files up to {limit:,} bytes", may_succeed=True)
    yield _must_publish(world, VARIANTS[1], "no limit again")


def torture_by_read_only(world: World, is_mounted: bool) -> Iterator[Trouble]:
    """Run the job on a home that cannot be written, whole and in parts."""
    yield _must_publish(world, VARIANTS[0], "writable")
    parts = ("",) if is_mounted else ("", "snapshots", "releases", "reports", "dagster", "locks")
    for part in parts:
        with _read_only(world.home.path / part, is_mounted):
            yield _must_leave(world, VARIANTS[1], f"read-only {part or 'home'}", may_succeed=False)
    yield _must_publish(world, VARIANTS[1], "writable again")


def torture_by_vanishing(
    world: World, names: tuple[str, ...] = ("manifest.toml", "patients.csv", "events.csv", "")
) -> Iterator[Trouble]:
    """Take the input away: files by name (empty: the folder) before a run, the folder while a run has begun."""
    yield _must_publish(world, VARIANTS[0], "all there")
    for name in names:
        gone = world.release_folder / name
        aside = world.folder / "aside"
        gone.rename(aside)
        yield _must_leave(world, VARIANTS[1], f"no {name or 'folder'}", may_succeed=False)
        aside.rename(gone)
    yield _vanishing_under_way(world)
    yield _must_publish(world, VARIANTS[1], "back again")


def _vanishing_under_way(world: World) -> Trouble:
    """The folder goes when the run has passed its first look at it."""
    before = content(world.snapshot)
    running = world.start(world, VARIANTS[1], world.folder / "said")
    while not running.ended() and not list(world.home.lock_file("x").parent.glob("run-*")):
        time.sleep(0.002)
    aside = world.folder / "aside"
    world.release_folder.rename(aside)
    try:
        code = running.wait(900)
    finally:
        if not running.ended():
            kill(running)
        aside.rename(world.release_folder)
    said = (world.folder / "said.err").read_text()
    ended = Ended(code, "", said, 0.0)
    return Trouble("folder gone under way", code, said.strip(), _fault(world, ended, before, may_succeed=False))


def _must_publish(world: World, variant: str, kind: str) -> Trouble:
    ended = world.run(variant)
    fault = f"exit {ended.code}" if ended.code else "; ".join(remains(world.home, world.release))
    for kept in (world.snapshot.parent / "archive").glob("*"):
        kept.unlink()
    return Trouble(kind, ended.code, ended.err.strip(), fault)


def _must_leave(world: World, variant: str, kind: str, may_succeed: bool) -> Trouble:
    """A run that must say one plain sentence and leave the snapshot, or do all of its work."""
    before = content(world.snapshot)
    ended = world.run(variant)
    return Trouble(kind, ended.code, ended.err.strip(), _fault(world, ended, before, may_succeed))


def _fault(world: World, ended: Ended, before: Content, may_succeed: bool) -> str:
    """What is wrong after a run in trouble; one that came as far as publishing may leave its own snapshot, whole."""
    if not is_as_published(world.snapshot):
        return "the snapshot is not whole"
    if ended.code == 0:
        return "" if may_succeed else "it did not notice"
    if not ended.is_plain:
        return "not one plain sentence"
    return "" if may_succeed or content(world.snapshot) == before else "the snapshot changed"


@contextmanager
def _read_only(folder: Path, is_mounted: bool) -> Iterator[None]:
    if is_mounted:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return
    entries = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in entries:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in entries:
            path.chmod(0o755)
