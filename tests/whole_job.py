"""From a release folder to the frames that the analyses read, without Dagster: for tests only."""

from pathlib import Path

import polars as pl

from pipelines.derive import load_tables, materialize
from pipelines.ingest import read_release
from pipelines.ingest.codelists import treatment_codes
from pipelines.protocol import Protocol
from pipelines.protocol_tables import protocol_tables
from pipelines.resources import sql_folder
from pipelines.warehouse import open_warehouse


def derived_frames(folder: Path, protocol: Protocol, database: Path) -> dict[str, pl.DataFrame]:
    """Ingest a release, derive every SQL table in a new database and return the derived tables by name."""
    with open_warehouse(database) as warehouse:
        for name, frame in read_release(folder, protocol).tables.items():
            warehouse.write(name, frame)
        for name, frame in protocol_tables(protocol).items():
            warehouse.write(f"protocol.{name}", frame)
        warehouse.write("protocol.codes", treatment_codes())
        tables = load_tables(sql_folder())
        for table in tables:
            materialize(warehouse, table)
        return {table.name: warehouse.read(table.name) for table in tables}
