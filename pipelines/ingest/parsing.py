"""From fields to typed columns, in the contract's order; what cannot be read is marked, not guessed and not lost.

For each column that is not free of form, a mark `unreadable:<column>` says where a field held something else than the
column's type or words. Words are held as Enum: a fifth of the memory of text.
"""

from dataclasses import replace

import polars as pl

from pipelines.ingest.contract import Column, Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.tables import FIELD, LINE, FileTable

SECONDS, MINUTES = "duration_s", "duration_min"
_INT32 = 2**31
_TRUTH = {"true": True, "false": False}


def unreadable(column: str) -> str:
    """Name of the mark that says a field could not be read as its column's type."""
    return f"unreadable:{column}"


def is_marked(column: Column) -> bool:
    """Whether a column has such a mark: pseudonyms and terms take any text."""
    return column.kind not in ("identifier", "term")


def typed(file: FileTable, table: Table) -> pl.DataFrame:
    """The contract's columns of one file, typed, with marks, `$line` and, where it has it, `$field`."""
    values: list[pl.Expr] = []
    marks: list[pl.Expr] = []
    for column in table.columns:
        is_there = column.name in file.frame.columns
        value = _value(column, file.frame.schema[column.name]) if is_there else pl.lit(None, dtype=_dtype(column))
        values.append(value.alias(column.name))
        if is_marked(column):
            mark = pl.col(column.name).is_not_null() & value.is_null() if is_there else pl.lit(False)
            marks.append(mark.alias(unreadable(column.name)))
    places = [name for name in (LINE, FIELD) if name in file.frame.columns]
    return file.frame.select(*values, *marks, *places)


def in_seconds(file: FileTable) -> FileTable:
    """The file with minutes of walking tests (`duration_min`) as seconds in `duration_s`, where it has such a column.

    What is no number goes on as it is and meets the row rules.

    Raises:
        ReleaseRefused: a row gives both.
    """
    frame = file.frame
    if MINUTES not in frame.columns:
        return file
    if SECONDS not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(SECONDS))
    both = frame.filter(pl.col(MINUTES).is_not_null() & pl.col(SECONDS).is_not_null())
    if both.height:
        raise ReleaseRefused(
            f"{file.file}, line {both[LINE][0]}: both {SECONDS} and {MINUTES} are given; leave one of the two empty"
        )
    text = pl.col(MINUTES).cast(pl.String)
    seconds = (pl.col(MINUTES).cast(pl.Float64, strict=False) * 60).cast(pl.String)
    told = pl.coalesce(pl.col(SECONDS).cast(pl.String), seconds, text).alias(SECONDS)
    return replace(file, frame=frame.with_columns(told).drop(MINUTES))


def _dtype(column: Column) -> pl.DataType | type[pl.DataType]:
    return pl.Enum(column.words) if column.words else column.dtype


def _value(column: Column, given: pl.DataType) -> pl.Expr:
    """The column's value, null where the field does not hold one of its type."""
    field = pl.col(column.name)
    if column.words:
        return field.cast(pl.String).cast(_dtype(column), strict=False)
    if column.dtype == pl.String:
        return _whole_as_text(field) if given.is_float() else field.cast(pl.String)
    if column.dtype == pl.Boolean:
        truth = field.cast(pl.String).replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
        return field if given == pl.Boolean else truth
    if given == pl.Boolean:
        return pl.lit(None, dtype=column.dtype)
    number = field.cast(pl.Float64, strict=False)
    if column.dtype == pl.Float64:
        return pl.when(number.is_finite()).then(number)
    is_whole = (number == number.round()) & (number.abs() < _INT32)
    return pl.when(is_whole).then(number).cast(pl.Int32)


def _whole_as_text(field: pl.Expr) -> pl.Expr:
    """Whole numbers as text without a decimal point: a Parquet file may number its patients."""
    whole = field.cast(pl.Int64, strict=False).cast(pl.String)
    return pl.when(field == field.round()).then(whole).otherwise(field.cast(pl.String))
