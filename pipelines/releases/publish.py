"""Publishing: from the working file of a run to a snapshot that readers open, all of it or nothing.

Taking the release's lock is the caller's part, and so is the decision that a run may be published.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import PARTIAL, Home, partial_of, sync, sync_folder
from pipelines.warehouse import Warehouse, WarehouseError


def publish(warehouse: Warehouse, home: Home, release: str, protocol: str) -> Path:
    """Make the working file's tables the published snapshot and put the one before into `archive/`; returns its path.

    DuckDB copies, since reading the file from Python would drop DuckDB's lock on it. The new file is on the disk before
    it takes the name, and the name always stands for a whole snapshot.

    Raises:
        ReleaseError: the disk has no room for the new snapshot; the old one is untouched.
        WarehouseError: DuckDB could not copy for another reason; the old snapshot is untouched.
    """
    target = home.snapshot_file(release, protocol)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(target)
    partial.unlink(missing_ok=True)
    try:
        _copy_whole(warehouse, partial)
        sync(partial)
        if target.exists():
            _keep(target)
        partial.replace(target)
    finally:
        for left in _partials(target.parent):
            _remove(left)
    sync_folder(target.parent)
    return target


def clean_up(home: Home, release: str) -> None:
    """Remove what killed runs of a release left: files half written and DuckDB's spill folders.

    Call it with the release's lock held, when no other run can be writing.
    """
    for folder in ("snapshots", "reports"):
        for left in _partials(home.path / folder / release):
            _remove(left)
    for spill in (home.path / "releases" / release).glob("*.tmp"):
        _remove(spill)


def _copy_whole(warehouse: Warehouse, path: Path) -> None:
    try:
        _copy_database(warehouse, path)
    except WarehouseError:
        if shutil.disk_usage(path.parent).free < Path(warehouse.path).stat().st_size:
            raise ReleaseError(
                "the disk has no room for the new snapshot, the old one stays published; make room and run again"
            ) from None
        raise


def _copy_database(warehouse: Warehouse, path: Path) -> None:
    row = warehouse.run("SELECT current_database()", "asking for the working file's name").fetchone()
    assert row is not None
    warehouse.run(f"ATTACH {_text(str(path))} AS being_published", "making the new snapshot")
    try:
        warehouse.run(f"COPY FROM DATABASE {_identifier(row[0])} TO being_published", "copying into the new snapshot")
    finally:
        warehouse.run("DETACH being_published", "closing the new snapshot")


def _keep(snapshot: Path) -> None:
    """Give the published file a second name in `archive/`, so that it outlives being replaced."""
    archive = snapshot.parent / "archive"
    archive.mkdir(exist_ok=True)
    stamp = datetime.fromtimestamp(snapshot.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = archive / f"{snapshot.stem}-{stamp}{snapshot.suffix}"
    if kept.exists():
        return
    try:
        os.link(snapshot, kept)
    except OSError:  # a file system without hard links
        shutil.copy2(snapshot, kept)


def _partials(folder: Path) -> Iterator[Path]:
    return folder.rglob(f"*{PARTIAL}*") if folder.is_dir() else iter(())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _identifier(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
