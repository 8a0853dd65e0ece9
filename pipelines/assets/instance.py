"""Dagster's instance under the home folder: made once, its settings ours, releases kept in step with the register.

Settings: no telemetry and no invitation to sign up for news; no capture of what steps print, since libraries print
values; nothing on the console but our own lines; one run at a time (`instance_files.py`). Running a job is in
`runner.py`.
"""

import io
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import sqlalchemy
from dagster._core.instance import types as event_notes
from sqlalchemy import event

from pipelines.assets.errors import StageError
from pipelines.assets.instance_files import WORKSPACE_FILE, write_files
from pipelines.assets.parts import RELEASES
from pipelines.releases import Home, Register
from pipelines.releases.locks import hold


def open_instance(home: Home) -> dg.DagsterInstance:
    """The home's instance, made on first use; its releases are those of the register.

    Several first runs at once would race on making its SQLite files, so it is made under a lock.
    """
    folder = home.dagster
    with hold(home.lock_file("instance")):
        write_files(folder)
        instance = dg.DagsterInstance.from_config(str(folder))
        _share_releases(instance, home)
    return instance


@contextmanager
def history_errors(home: Home) -> Iterator[None]:
    """Say plainly when Dagster's files cannot be written, for instance because the disk is full.

    Raises:
        StageError: in place of what the database layer raised.
    """
    # Dagster prints the failed statement before it raises; the sentence here is enough
    event_notes.sys = SimpleNamespace(stderr=io.StringIO(), exc_info=sys.exc_info)  # type: ignore[assignment]
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise StageError(f"the history of runs in {home.dagster} cannot be written: {error.orig}") from None


def workspace_file(home: Home) -> Path:
    """The file that tells `dagster` which module to load."""
    return home.dagster / WORKSPACE_FILE


def sync_less_often() -> None:
    """Let this process's history of runs reach the disk at checkpoints and not at each of some thousand commits.

    SQLite's write-ahead log stays consistent through a crash either way. A connection to each file is kept open, since
    closing the last one is a checkpoint. The data are not in these files, and publishing syncs on its own.
    """
    if not event.contains(sqlalchemy.engine.Engine, "connect", _keep_open):
        event.listen(sqlalchemy.engine.Engine, "connect", _keep_open)


_kept: dict[str, sqlite3.Connection] = {}


def _keep_open(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    is_write_ahead = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if path and is_write_ahead and path not in _kept:
        _kept[path] = sqlite3.connect(path, check_same_thread=False)
        _kept[path].execute("SELECT count(*) FROM sqlite_master").fetchall()


def _share_releases(instance: dg.DagsterInstance, home: Home) -> None:
    missing = set(Register(home).releases()) - set(instance.get_dynamic_partitions(str(RELEASES.name)))
    if missing:
        instance.add_dynamic_partitions(str(RELEASES.name), sorted(missing))
