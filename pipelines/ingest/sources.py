"""The seam by which every format enters: a source gives the contract's four tables, and says what it left out.

A release in the native form holds these tables itself. A reader of another format (`redcap/`) makes them from what it
finds, as `FileTable`s whose rows still name the file and row that they come from. Contract, guard and row rules follow
unchanged, whatever the source.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol as Interface

import polars as pl

from pipelines.ingest.manifest import Manifest
from pipelines.ingest.readers import hold_row_count, read_files
from pipelines.ingest.rules import Rule
from pipelines.ingest.tables import FileTable
from pipelines.protocol import Protocol

ACCOUNT_SCHEMA = {"source_table": pl.String, "rows_read": pl.Int64, "outcome": pl.String, "row_count": pl.Int64}
USED, REFUSED = "used", "quarantined by the reader"  # outcomes that every source has; others are the reader's own words

# imported when a release asks for it
_READERS = {"redcap": "pipelines.ingest.redcap.source", "omop": "pipelines.ingest.omop.source"}


class Source(Interface):
    """Where the four tables come from.

    Attributes:
        content_sha256: hash of what was read, where the manifest holds no hash of it (a database); else empty.
    """

    content_sha256: str

    def tables(self, name: str) -> Iterator[FileTable]:
        """One table of the contract, a part for each file that gives rows of it; at least one part, maybe empty.

        Columns are named as in the contract; those that the source cannot know may be left out where the contract
        allows it, and are nulls else. `$field` tells apart several records of one row.

        Raises:
            ReleaseRefused: something is wrong with the source as a whole.
        """

    def rules(self, name: str) -> tuple[Rule, ...]:
        """The rules by which the reader itself refuses rows that should have become rows of this table."""

    def account(self) -> pl.DataFrame:
        """What became of the source's rows: source_table, rows_read, outcome, row_count; they add up by table."""


class NativeSource:
    """A release that holds the four tables itself."""

    content_sha256 = ""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest

    def tables(self, name: str) -> Iterator[FileTable]:
        """The table's files, one after another, and at their end their rows held against the manifest's count."""
        entry, rows = self._manifest.table(name), 0
        for file in read_files(self._folder, entry):
            rows += file.rows
            yield file
        hold_row_count(rows, entry)

    def rules(self, name: str) -> tuple[Rule, ...]:
        """None: what cannot be read as a row of the contract is in `quarantine.py`."""
        return ()

    def account(self) -> pl.DataFrame:
        """Every row is used."""
        rows = [(name, entry.rows, USED, entry.rows) for name, entry in self._manifest.tables.items()]
        return pl.DataFrame(rows, schema=ACCOUNT_SCHEMA, orient="row")


def open_source(folder: Path, manifest: Manifest, protocol: Protocol) -> Source:
    """The source of a release, by the format that its manifest names.

    Raises:
        ReleaseRefused: the format's own section of the manifest does not fit, or the source cannot be read.
    """
    if manifest.format == "native":
        return NativeSource(folder, manifest)
    reader = import_module(_READERS[manifest.format])
    source: Source = reader.open_source(folder, manifest, protocol)
    return source
