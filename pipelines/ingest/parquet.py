"""Parquet as a table: the same contract as delimited text, with types of its own.

Dates have no place in a release, so a date column refuses it here; every other type is brought to the contract's in
`parsing.py`. A file's own metadata are not read into anything, and may hold only what writers of Parquet put there.
"""

from typing import TYPE_CHECKING

import polars as pl

from pipelines.ingest.compression import largest_size
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.headers import shown_column
from pipelines.ingest.scanners import identifier_in_name
from pipelines.ingest.tables import FileTable, file_table, refuse_repeated

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetFile

# What pandas, Arrow, R, Spark, Avro and DuckDB note about the types of their columns.
_WRITERS_KEYS = {
    b"ARROW:schema", b"PARQUET:field_id", b"pandas", b"r", b"parquet.avro.schema", b"writer.model.name",
    b"org.apache.spark.version", b"org.apache.spark.timeZone", b"org.apache.spark.sql.parquet.row.metadata",
    b"duckdb_schema",
}  # fmt: skip
FIRST_LINE = 2  # rows are numbered as under a header line, like those of a CSV file
_MOST_ROWS_PER_BYTE = 100  # a table with keys takes more than this; a file that claims more would blow up


def read_parquet(data: bytes, file: str, are_dates_allowed: bool = False) -> FileTable:
    """Read the bytes of a Parquet file.

    Raises:
        ReleaseRefused: not a Parquet file, one that unpacks to absurdly much, or a column of dates, lists or bytes.
    """
    import pyarrow as pa  # polars' own reader panics on damaged files, onto the terminal; this one says no
    from pyarrow import parquet as pq

    try:
        source = pq.ParquetFile(pa.BufferReader(data))
        given = source.schema_arrow  # made anew each time it is asked for
        refuse_repeated(given.names, file)
        _refuse_notes(source, given, file)
        columns = pa.schema([(name, given.field(name).type) for name in given.names])
        schema = pl.DataFrame(pa.Table.from_batches([], schema=columns)).schema  # empty_table would import pandas
        _refuse_types(schema, file, are_dates_allowed)
        groups = [source.metadata.row_group(i) for i in range(source.metadata.num_row_groups)]
        is_bomb = sum(group.total_byte_size for group in groups) > largest_size(data)
        if is_bomb or source.metadata.num_rows > _MOST_ROWS_PER_BYTE * len(data):
            raise ReleaseRefused(f"{file} unpacks to far more than its size; write it again")
        table = source.read().cast(columns)
        table.validate(full=True)  # of its texts, too: polars takes them for valid UTF-8
        frame = pl.DataFrame(table)
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError, TypeError) as error:
        if isinstance(error, ReleaseRefused):
            raise
        raise ReleaseRefused(f"{file} cannot be read as Parquet; write it again") from None
    words = [name for name, dtype in schema.items() if dtype in (pl.Categorical, pl.Enum, pl.Null)]
    frame = frame.with_columns(pl.col(words).cast(pl.String))
    return file_table(file, frame, pl.int_range(FIRST_LINE, FIRST_LINE + frame.height, eager=True))


def _refuse_notes(source: "ParquetFile", given: "Schema", file: str) -> None:
    """Metadata of the file and its columns: a side channel for what no column may hold."""
    parts = [
        source.metadata.metadata,
        given.metadata,
        *(given.field(name).metadata for name in given.names),
    ]
    notes = {key: text for part in parts for key, text in (part or {}).items()}
    told = [text.decode("utf-8", "replace") for key, text in notes.items() if key != b"ARROW:schema"]
    if not set(notes) <= _WRITERS_KEYS or any(map(identifier_in_name, [*told, source.metadata.created_by or ""])):
        raise ReleaseRefused(
            f"{file} carries notes of its own beside its columns, which could name a person; write it without metadata"
        )


def _refuse_types(schema: pl.Schema, file: str, are_dates_allowed: bool) -> None:
    for name, dtype in schema.items():
        if dtype.is_temporal() and not are_dates_allowed:
            shown = shown_column(name, list(schema))
            raise ReleaseRefused(
                f"{file} has dates in {shown}; give days counted from enrolment, no calendar date may stay"
            )
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            shown = shown_column(name, list(schema))
            raise ReleaseRefused(f"{file} has lists, records or bytes in {shown}; write plain text or numbers")
