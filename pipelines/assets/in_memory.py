"""A release's derived tables without Dagster or a home folder: for validation studies, notebooks and tests."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.derive import load_tables, materialize
from pipelines.ingest import read_release
from pipelines.protocol import Protocol
from pipelines.protocol_tables import protocol_tables
from pipelines.resources import sql_folder
from pipelines.warehouse import open_warehouse


def derived_frames(release: Path, protocol: Protocol) -> Mapping[str, pl.DataFrame]:
    """Every table of `outcomes` and `analysis` of a release, by its full name.

    Raises:
        ReleaseRefused: the release cannot be taken in.
    """
    with open_warehouse() as warehouse:
        for name, frame in read_release(release, protocol).tables.items():
            warehouse.write(name, frame)
        for name, frame in protocol_tables(protocol).items():
            warehouse.write(f"protocol.{name}", frame)
        tables = load_tables(sql_folder())
        for table in tables:
            materialize(warehouse, table)
        names = [table.name for table in tables if not table.name.startswith("staging.")]
        return {name: warehouse.read(name) for name in names}
