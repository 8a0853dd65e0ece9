"""DuckDB: open a warehouse, run SQL, read and write tables, with errors that never show a cell value.

Threads and memory are set here and nowhere else. What the SQL says belongs in `sql/`, publishing in `releases/`.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

THREADS = int(os.environ.get("LSS_THREADS", os.cpu_count() or 1))
MEMORY_LIMIT = os.environ.get("LSS_MEMORY_LIMIT", "70%")
SCHEMAS = ("raw", "protocol", "quality", "staging", "outcomes", "analysis", "results")


class WarehouseError(RuntimeError):
    """DuckDB refused; the message says what was being done and which kind of error it was, never a value."""


def _open(path: Path | str, read_only: bool) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS,
        "memory_limit": MEMORY_LIMIT,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=settings)
        _silence(connection)
        return connection
    except duckdb.Error as error:
        name = Path(path).name
        raise WarehouseError(f"the warehouse {name} cannot be opened ({type(error).__name__})") from None


def _silence(connection: duckdb.DuckDBPyConnection) -> None:
    """Turn the progress bar off, since it would print among our lines; in Jupyter it is off and refuses to be set."""
    if connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()[0][0]:
        connection.execute("SET enable_progress_bar = false")


class Warehouse:
    """A connection to one DuckDB file (`:memory:` for tests), with the schemas of the pipeline."""

    def __init__(self, path: Path | str = ":memory:", read_only: bool = False) -> None:
        self.path = path
        self.connection = _open(path, read_only)
        if not read_only:
            for schema in SCHEMAS:
                self.run(f"CREATE SCHEMA IF NOT EXISTS {schema}", f"making schema {schema}")

    def run(self, sql: str, doing: str, parameters: list[object] | None = None) -> duckdb.DuckDBPyConnection:
        """Run one statement.

        Raises:
            WarehouseError: DuckDB refused; the message holds `doing` and the kind of error only, since DuckDB puts
                cell values into its own messages.
        """
        try:
            return self.connection.execute(sql, parameters) if parameters else self.connection.execute(sql)
        except duckdb.Error as error:
            raise WarehouseError(f"{doing}: the database refused ({type(error).__name__})") from None

    def write(self, table: str, frame: pl.DataFrame) -> int:
        """Replace `schema.table` by a frame; returns its row count."""
        name = "_frame_to_write"
        self.connection.register(name, frame.to_arrow())
        try:
            self.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {name}", f"writing {table}")
        finally:
            self.connection.unregister(name)
        return frame.height

    def read(self, table: str) -> pl.DataFrame:
        """A whole table as a polars frame."""
        return self.query(f"SELECT * FROM {table}", f"reading {table}")

    def query(self, sql: str, doing: str = "a query") -> pl.DataFrame:
        """The rows of a SELECT as a polars frame.

        Raises:
            WarehouseError: as `run`.
        """
        try:
            frame = pl.from_arrow(self.connection.sql(sql).to_arrow_table())
        except duckdb.Error as error:
            raise WarehouseError(f"{doing}: the database refused ({type(error).__name__})") from None
        assert isinstance(frame, pl.DataFrame)
        return frame

    def count(self, table: str) -> int:
        """Number of rows of a table."""
        return int(self.run(f"SELECT count(*) FROM {table}", f"counting {table}").fetchall()[0][0])

    def has(self, table: str) -> bool:
        """Whether `schema.table` exists."""
        schema, name = table.split(".")
        sql = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
        return bool(self.run(sql, f"looking for {table}", [schema, name]).fetchall())

    def tables(self) -> list[str]:
        """All tables as `schema.table`, sorted."""
        sql = f"SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN {SCHEMAS}"
        return sorted(row[0] for row in self.run(sql, "listing the tables").fetchall())

    def content_hash(self, table: str) -> str:
        """SHA-256 over columns, types and rows of a table, whatever the order of its rows."""
        digest = hashlib.sha256(repr(self.columns(table)).encode())
        sql = f"SELECT sha256(to_json(t)::VARCHAR) AS row_hash FROM {table} AS t ORDER BY row_hash"
        try:
            for batch in self.connection.sql(sql).to_arrow_reader():
                digest.update("".join(batch.column(0).to_pylist()).encode())
        except duckdb.Error as error:
            raise WarehouseError(f"hashing {table}: the database refused ({type(error).__name__})") from None
        return digest.hexdigest()

    def columns(self, table: str) -> dict[str, str]:
        """Column names and DuckDB types of a table, in order."""
        rows = self.run(f"DESCRIBE {table}", f"describing {table}").fetchall()
        return {row[0]: row[1] for row in rows}

    def close(self) -> None:
        """Close the connection and so free DuckDB's lock on the file."""
        self.connection.close()


@contextmanager
def open_warehouse(path: Path | str = ":memory:", read_only: bool = False) -> Iterator[Warehouse]:
    """A warehouse that is closed at the end of the block, also after an error.

    Raises:
        WarehouseError: the file cannot be opened.
    """
    warehouse = Warehouse(path, read_only)
    try:
        yield warehouse
    finally:
        warehouse.close()
