"""A release of format `redcap`: the flat export and the mapping file that its manifest names."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.ingest.contract import contract
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST, Manifest, Part, read_file
from pipelines.ingest.readers import hold_row_count, read_files
from pipelines.ingest.redcap.mapping import Mapping, read_mapping
from pipelines.ingest.redcap.tables import left_out, redcap_rules, redcap_tables
from pipelines.ingest.rules import Rule
from pipelines.ingest.sources import ACCOUNT_SCHEMA, USED
from pipelines.ingest.tables import FileTable
from pipelines.protocol import Protocol

TABLE = "redcap"
LEFT_OUT = "left out by the mapping"


class RedcapSettings(Part):
    """The section `[redcap]` of a manifest: the mapping file and its SHA-256."""

    mapping: str
    sha256: str


class RedcapSource:
    """The four tables of an export, made at once: records of all of them stand in the same rows."""

    content_sha256 = ""

    def __init__(self, export: FileTable, mapping: Mapping, manifest: Manifest, protocol: Protocol) -> None:
        self._rows = export.rows
        self._left_out = left_out(export, mapping)
        self._tables = redcap_tables(export, mapping, manifest.deidentification, contract(protocol), protocol)

    def tables(self, name: str) -> Iterator[FileTable]:
        """One table of the contract."""
        yield self._tables[name]

    def rules(self, name: str) -> tuple[Rule, ...]:
        """Dates and items that give no record."""
        return redcap_rules(name)

    def account(self) -> pl.DataFrame:
        """Rows of the export that a section reads, and rows of events or instruments that the mapping leaves out."""
        counts = {USED: self._rows - self._left_out, LEFT_OUT: self._left_out}
        rows = [(TABLE, self._rows, outcome, count) for outcome, count in counts.items()]
        return pl.DataFrame(rows, schema=ACCOUNT_SCHEMA, orient="row")


def open_source(folder: Path, manifest: Manifest, protocol: Protocol) -> RedcapSource:
    """The source of a release of this format.

    Raises:
        ReleaseRefused: the manifest names other tables, or the export or its mapping cannot be used.
    """
    entry = manifest.tables.get(TABLE)
    if entry is None or len(manifest.tables) > 1 or len(entry.files) > 1:
        raise ReleaseRefused(
            f"{MANIFEST}: a release of format redcap has one table of the name {TABLE} with one file, the flat export"
        )
    settings = manifest.settings(RedcapSettings)
    mapping = read_mapping(read_file(folder, settings.mapping, settings.sha256), settings.mapping)
    (export,) = read_files(folder, entry)
    hold_row_count(export.rows, entry)
    return RedcapSource(export, mapping, manifest, protocol)
