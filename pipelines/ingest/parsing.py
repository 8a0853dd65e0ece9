"""From fields to typed columns, in the contract's order; what cannot be read is marked, not guessed and not lost.

A typed table has the contract's columns, `$file`, `$line`, `$row` and, for each column that is not text, a mark
`unreadable:<column>` where a field held something else than the column's type.
"""

import polars as pl

from pipelines.ingest.contract import Column, Table
from pipelines.ingest.tables import FILE, LINE, FileTable

ROW = "$row"
_INT32 = 2**31


def unreadable(column: str) -> str:
    """Name of the mark that says a field could not be read as its column's type."""
    return f"unreadable:{column}"


def typed(files: list[FileTable], table: Table) -> pl.DataFrame:
    """All files of one table under one another, typed."""
    parts = [_typed_file(file, table) for file in files]
    return pl.concat(parts).with_row_index(ROW)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Text columns without surrounding blanks, empty fields as nulls."""
    text = pl.col(pl.String).str.strip_chars()
    return frame.with_columns(pl.when(text != "").then(text).name.keep())


def _typed_file(file: FileTable, table: Table) -> pl.DataFrame:
    frame = as_text(file.frame)
    columns: list[pl.Expr] = []
    marks: list[pl.Expr] = []
    for column in table.columns:
        if column.name not in frame.columns:
            columns.append(pl.lit(None, dtype=column.dtype).alias(column.name))
            marks.extend([pl.lit(False).alias(unreadable(column.name))] if column.dtype != pl.String else [])
            continue
        value = _value(column, frame.schema[column.name]).alias(column.name)
        columns.append(value)
        if column.dtype != pl.String:
            marks.append((pl.col(column.name).is_not_null() & value.is_null()).alias(unreadable(column.name)))
    return frame.select(*columns, *marks, pl.lit(file.file).alias(FILE), LINE)


def _value(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The column's value, null where the field does not hold one of its type."""
    field = pl.col(column.name)
    if column.dtype == pl.String:
        return _text(field, dtype)
    if column.dtype == pl.Boolean:
        return (
            field
            if dtype == pl.Boolean
            else field.cast(pl.String).replace_strict(
                {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
            )
        )
    if dtype == pl.Boolean:
        return pl.lit(None, dtype=column.dtype)
    number = field.cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    if column.dtype == pl.Float64:
        return number
    is_whole = (number == number.round()) & (number.abs() < _INT32)
    return pl.when(is_whole).then(number).cast(pl.Int32)


def _text(field: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text, and whole numbers as text: a Parquet file may number its patients."""
    if dtype.is_float():
        return (
            pl.when(field == field.round())
            .then(field.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(field.cast(pl.String))
        )
    return field.cast(pl.String)
