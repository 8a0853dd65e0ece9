"""The effective protocol in the warehouse: `protocol.*` for SQL, and `protocol.document`, which holds it whole."""

import time
from collections.abc import Iterator

import polars as pl

from pipelines.assets.records import record_table
from pipelines.ingest.literature import published_figures
from pipelines.protocol import Protocol
from pipelines.protocol_tables import protocol_tables
from pipelines.releases.snapshot import DOCUMENT
from pipelines.warehouse import Warehouse


def write_protocol(warehouse: Warehouse, protocol: Protocol) -> Iterator[tuple[str, int, float]]:
    """Write the `protocol.*` tables one by one; gives the name, the rows and the seconds of each."""
    frames = {f"protocol.{name}": frame for name, frame in protocol_tables(protocol).items()}
    frames["protocol.literature"] = published_figures(protocol)
    frames[DOCUMENT] = pl.DataFrame({"protocol_hash": [protocol.hash], "content": [protocol.model_dump_json()]})
    for name, frame in frames.items():
        start = time.monotonic()
        yield name, warehouse.write(name, frame), time.monotonic() - start


def use_protocol(warehouse: Warehouse, protocol: Protocol) -> None:
    """When the tables of another protocol stand in the warehouse, put this one's in their place.

    So a run of a few assets under changed keys joins the changed thresholds, and not those of the run before.
    """
    if warehouse.has(DOCUMENT) and warehouse.read(DOCUMENT)["protocol_hash"].item() != protocol.hash:
        for name, rows, seconds in write_protocol(warehouse, protocol):
            record_table(warehouse, name, protocol.hash, rows, seconds)
