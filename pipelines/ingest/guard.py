"""The de-identification guard: nothing that identifies a person gets in, and in doubt the release is refused.

Columns are held to an allow-list in `contract.py`; here stand the rules of the de-identification mode and the look at
values. A find refuses the whole release and is named by file, column, line and kind, never by its value. This is an
engineering aid, not legal advice: 45 CFR 164.514(b) and (e).
"""

import polars as pl

from pipelines.ingest.contract import Column, Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import Mode
from pipelines.ingest.scanners import (
    HIDDEN_CHARACTER,
    LONG_NUMBER,
    PLAIN_HASH,
    POSTAL_CODE,
    SCANNERS,
    first_find,
)
from pipelines.ingest.tables import LINE, FileTable

YEAR_ONLY_MODES: tuple[Mode, ...] = ("safe_harbor", "synthetic")
OLDEST_AGE = 90  # 90 stands for 90 and over, 45 CFR 164.514(b)(2)(i)(C)
_MOST_TERMS = 50  # an insurance or education class has few words; free text has many
_FREE_TEXT = (HIDDEN_CHARACTER, *SCANNERS, POSTAL_CODE, LONG_NUMBER)
_PSEUDONYM = (HIDDEN_CHARACTER, *SCANNERS, PLAIN_HASH)
_CODE = (HIDDEN_CHARACTER, *SCANNERS, LONG_NUMBER)
_CODE_COLUMNS = ("code", "code_system")
_SMALL_NUMBER = r"^\d{1,5}$"  # a running number: too short for a record, telephone or insurance number


def refuse_columns(columns: list[str], file: str, mode: Mode) -> None:
    """Refuse columns that the mode does not allow.

    Raises:
        ReleaseRefused: a quarter of enrolment where only the year may stay.
    """
    if "enrolment_quarter" in columns and mode in YEAR_ONLY_MODES:
        raise ReleaseRefused(
            f"{file} has the column enrolment_quarter, but under {mode} only the year of enrolment may stay; "
            f"remove the column (site_sequence can give the order of enrolment instead)"
        )


def refuse_identifiers(file: FileTable, table: Table) -> None:
    """Look at every value of a file for what identifies a person.

    Raises:
        ReleaseRefused: with file, column, line and kind of the first find.
    """
    frame = file.frame
    for column in table.columns:
        if column.name not in frame.columns:
            continue
        if column.name == "age_years":
            _refuse_old_age(frame, file.file)
        if frame.schema[column.name] == pl.String:
            _refuse_text(frame, column, file.file)
        elif column.kind == "identifier":
            as_words = frame.with_columns(pl.col(column.name).cast(pl.String))
            _refuse_text(as_words, column, file.file)
        if column.kind == "whole":
            _refuse_written_dates(frame, column, file.file)
        if column.kind == "term" and column.name not in _CODE_COLUMNS:
            _refuse_free_text(frame, column, file.file)


def _refuse_old_age(frame: pl.DataFrame, file: str) -> None:
    age = pl.col("age_years").cast(pl.Float64, strict=False)
    line = _first_line(frame, age > OLDEST_AGE)
    if line:
        raise ReleaseRefused(
            f"{file}, line {line}, column age_years: an age above 89 that is not pooled; "
            f"write {OLDEST_AGE} for everyone of 90 or older"
        )


def _refuse_text(frame: pl.DataFrame, column: Column, file: str) -> None:
    values = _values_to_scan(frame, column)
    scanners = _PSEUDONYM if column.kind == "identifier" else _CODE if column.name in _CODE_COLUMNS else _FREE_TEXT
    find = first_find(values, scanners) or (_number_find(values) if column.kind == "identifier" else None)
    if find:
        place, kind = find
        line = _first_line(frame, pl.col(column.name) == values[place])
        raise ReleaseRefused(
            f"{file}, line {line}, column {column.name}: {kind}; "
            f"remove what identifies a person and hand the release over again"
        )


def _values_to_scan(frame: pl.DataFrame, column: Column) -> pl.Series:
    """Distinct texts of a column that are not already known to be harmless: words of the contract, plain numbers."""
    values = frame[column.name].unique(maintain_order=True).drop_nulls()
    if column.words:
        return values.filter(~values.is_in(column.words))
    if column.kind in ("whole", "number"):
        return values.filter(values.cast(pl.Float64, strict=False).is_null())
    return values


def _number_find(values: pl.Series) -> tuple[int, str] | None:
    """A pseudonym of digits only that is too long, and not simply a running number.

    Record, telephone and insurance numbers are sparse; a column that numbers its rows is dense.
    """
    digits = values.str.contains(r"^\d+$") & ~values.str.contains(_SMALL_NUMBER)
    if not digits.any():
        return None
    largest = values.filter(digits).cast(pl.Float64, strict=False).max()
    is_running = isinstance(largest, float) and largest <= 10 * len(values)
    return None if is_running else (int(digits.arg_max() or 0), LONG_NUMBER.kind)


def _refuse_written_dates(frame: pl.DataFrame, column: Column, file: str) -> None:
    """Dates hidden in whole numbers (20240312) are dates all the same."""
    number = pl.col(column.name).cast(pl.Int64, strict=False)
    month, day = number // 100 % 100, number % 100
    is_date = number.is_between(19_000_101, 21_001_231) & month.is_between(1, 12) & day.is_between(1, 31)
    line = _first_line(frame, is_date)
    if line:
        raise ReleaseRefused(
            f"{file}, line {line}, column {column.name}: a date written as a number; "
            f"give days counted from enrolment, no calendar date may stay"
        )


def _refuse_free_text(frame: pl.DataFrame, column: Column, file: str) -> None:
    if frame[column.name].n_unique() > _MOST_TERMS:
        raise ReleaseRefused(
            f"{file}, column {column.name}: more than {_MOST_TERMS} different texts, which looks like free text; "
            f"hand over a few classes instead"
        )


def _first_line(frame: pl.DataFrame, condition: pl.Expr) -> int | None:
    found = frame.lazy().filter(condition).select(LINE).head(1).collect()
    return int(found.item()) if found.height else None
