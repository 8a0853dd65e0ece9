"""What a home holds, seen from outside: the content of a snapshot as hashes, and what killed runs left behind."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from pipelines.releases import Home
from pipelines.releases.home import PARTIAL
from pipelines.releases.locks import is_held
from pipelines.releases.receipt import RECEIPT, tables_of
from pipelines.warehouse import open_warehouse

Content = Mapping[str, str]  # column of a table -> hash of its values, rows in any order


def content(snapshot: Path) -> Content:
    """Hashes of everything in a snapshot, a hash a column; every row of every table is read.

    Raises:
        WarehouseError: the file does not open or a table cannot be read.
    """
    found = {}
    with open_warehouse(snapshot, read_only=True) as warehouse:
        listed = warehouse.query(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables ORDER BY name"
        )
        for table in listed["name"]:
            frame = warehouse.read(table)
            for column in frame.columns:
                hashes = (
                    frame[column].cast(pl.String, strict=False) if frame[column].dtype.is_nested() else frame[column]
                )
                digest = hashlib.sha256(hashes.hash(seed=0).sort().to_numpy().tobytes())
                found[f"{table}.{column}"] = f"{frame.height}:{digest.hexdigest()}"
    return found


def is_as_published(snapshot: Path) -> bool:
    """Whether a snapshot holds the tables that its own receipt names, each row for row: durations and times, too."""
    with open_warehouse(snapshot, read_only=True) as warehouse:
        return bool(tables_of(warehouse) == json.loads(warehouse.read(RECEIPT)["content"].item())["tables"])


def lasting(versions: Sequence[Content]) -> set[str]:
    """The columns that runs of the same release and protocol make alike (durations and times of day are not)."""
    return {name for name in versions[0] if len({version.get(name) for version in versions}) == 1}


def is_whole_report(folder: Path) -> bool:
    """Whether each file of a report is there to its end."""
    page, pdf = folder / "report.html", folder / "report.pdf"
    return page.read_bytes().rstrip().endswith(b"</html>") and pdf.read_bytes().rstrip().endswith(b"%%EOF")


def remains(home: Home, release: str) -> list[str]:
    """What killed runs left in a home in which no run is alive: files, locks and runs that never ended, a line each."""
    left = [f"file {path.relative_to(home.path)}" for path in home.path.rglob(f"*{PARTIAL}*")]
    left += [f"spill {path.name}" for path in (home.path / "releases").rglob("*.tmp")]
    left += [f"lock {path.name}" for path in home.lock_file("x").parent.glob("run-*")]
    left += [f"lock held {path.name}" for path in home.lock_file("x").parent.iterdir() if is_held(path)]
    return left + [f"run {status}" for status in run_statuses(home) if status not in ("SUCCESS", "FAILURE")]


def run_statuses(home: Home) -> list[str]:
    """The status of every run in the home's history."""
    connection = sqlite3.connect(home.dagster / "history" / "runs.db", timeout=30)
    try:
        return [str(row[0]) for row in connection.execute("SELECT status FROM runs ORDER BY id")]
    finally:
        connection.close()


def last_step(home: Home) -> str:
    """The step that the newest run began last; empty before its first."""
    files = [path for path in (home.dagster / "history" / "runs").glob("*.db") if path.stem != "index"]
    if not files:
        return ""
    connection = sqlite3.connect(max(files, key=lambda path: path.stat().st_mtime_ns), timeout=30)
    sql = "SELECT step_key FROM event_logs WHERE dagster_event_type = 'STEP_START' ORDER BY id DESC LIMIT 1"
    try:
        row = connection.execute(sql).fetchone()
    except sqlite3.OperationalError:  # killed before its tables were made
        return ""
    finally:
        connection.close()
    return str(row[0]) if row else ""
