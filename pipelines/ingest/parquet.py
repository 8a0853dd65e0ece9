"""Parquet as a table: the same contract as delimited text, with types of its own.

Dates have no place in a release, so a date column refuses it here; every other type is brought to the contract's in
`parsing.py`. A file's own metadata are not read into anything.
"""

import io

import polars as pl

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.headers import shown_column
from pipelines.ingest.tables import LINE, FileTable

FIRST_LINE = 2  # rows are numbered as under a header line, like those of a CSV file
_MOST_ROWS_PER_BYTE = 100  # a table with keys takes more than this; a file that claims more would blow up


def read_parquet(data: bytes, file: str) -> FileTable:
    """Read the bytes of a Parquet file.

    Raises:
        ReleaseRefused: not a Parquet file, one that claims absurdly many rows, or a column of dates, lists or bytes.
    """
    try:
        schema = pl.read_parquet_schema(io.BytesIO(data))
        _refuse_types(dict(schema), file)
        rows = pl.scan_parquet(io.BytesIO(data)).select(pl.len()).collect().item()
        if rows > _MOST_ROWS_PER_BYTE * len(data):
            raise ReleaseRefused(f"{file} claims far more rows than its size can hold; write it again")
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException):
        raise ReleaseRefused(f"{file} cannot be read as Parquet; write it again") from None
    words = [name for name, dtype in schema.items() if dtype in (pl.Categorical, pl.Enum, pl.Null)]
    frame = frame.with_columns(pl.col(words).cast(pl.String))
    return FileTable(file, frame.with_row_index(LINE, offset=FIRST_LINE).with_columns(pl.col(LINE).cast(pl.Int64)))


def _refuse_types(schema: dict[str, pl.DataType], file: str) -> None:
    for name, dtype in schema.items():
        shown = shown_column(name, list(schema))
        if dtype.is_temporal():
            raise ReleaseRefused(
                f"{file} has dates in {shown}; give days counted from enrolment, no calendar date may stay"
            )
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise ReleaseRefused(f"{file} has lists, records or bytes in {shown}; write plain text or numbers")
