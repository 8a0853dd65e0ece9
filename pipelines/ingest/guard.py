"""The de-identification guard: nothing that identifies a person gets in, and in doubt the release is refused.

Columns are held to an allow-list in `contract.py`; here stand the rules of the de-identification mode and the look at
values. A find refuses the whole release and is named by file, column, line and kind, never by its value. This is an
engineering aid, not legal advice: 45 CFR 164.514(b) and (e).
"""

import hashlib
from functools import cache

import polars as pl

from pipelines.ingest.contract import Column, Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST, Mode
from pipelines.ingest.scanners import LONG_NUMBER, first_find, is_strange, may_be_name, scanners_for
from pipelines.ingest.tables import FILE, LINE, FileTable

YEAR_ONLY_MODES: tuple[Mode, ...] = ("safe_harbor", "synthetic")
OLDEST_AGE = 90  # 90 stands for 90 and over, 45 CFR 164.514(b)(2)(i)(C)
_MOST_TERMS = 50  # an insurance or education class has few words; free text has many
_CODE_COLUMNS = ("code", "code_system")
_LONG_DIGITS = 6  # fewer are too short for a record, telephone or insurance number
_DENSE = 10  # running numbers span no more than this many times their count,
_MOSTLY = 0.5  # and at least this share of a column that numbers its rows is numbers
_HEXADECIMAL = r"^(?:[a-z]{1,6}[-_]?)?([0-9a-f]{12,64})$"
_CUT_HASH = r"(?i)^(?:[0-9a-f]{12,63})$"  # with letters of a prefix before it, it is a registry's own pseudonym
_UUID4 = r"(?i)^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$"
_SMALL = 10_000  # numbers whose hashes are known by heart; that of a longer one is told only where it stands whole
_HASHES = ("md5", "sha1", "sha256")
_STRANGE = (
    "a word that no class is known to have, so it may name a person or a place; write a class such as public or "
    "private, or list the word in the protocol (anonymity.class_words)"
)
_LETTERS_ALONE = "letters alone, which may be a name; give pseudonyms that were made at random and hold a digit"
_MEND = "remove what identifies a person and hand the release over again"


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


def refuse_identifiers(file: FileTable, table: Table, patients: pl.Series) -> None:
    """Look at every value of a file for what identifies a person.

    Args:
        file: the file as read.
        table: its contract.
        patients: pseudonyms already looked at, empty for the table of patients itself.

    Raises:
        ReleaseRefused: with file, column, line and kind of the first find.
    """
    for column in table.columns:
        if column.name not in file.columns:
            continue
        if column.name == "age_years":
            _refuse_old_age(file.frame, file.file)
        if column.kind == "whole":
            _refuse_written_dates(file.frame, column, file.file)
        if file.frame.schema[column.name] == pl.String:
            _refuse_text(file.frame, column, file.file, patients)
    if table.name == "patients" and "patient_id" in file.columns:
        _refuse_short_hashes(file)


def refuse_numbers_and_texts(frame: pl.DataFrame, table: Table, patients: pl.Series) -> None:
    """Look at whole columns, over all files: pseudonyms that are record numbers, classes that are free text.

    Record, telephone and insurance numbers are long and sparse, while a column that numbers its rows is dense.

    Raises:
        ReleaseRefused: with file, column and line, or the column alone.
    """
    for column in table.columns:
        if column.kind == "identifier":
            others = patients if column.name == "patient_id" else patients.clear()
            _refuse_record_numbers(frame, column, others)
        if column.kind == "term" and column.name not in _CODE_COLUMNS and frame[column.name].n_unique() > _MOST_TERMS:
            raise ReleaseRefused(
                f"the table {table.name} has more than {_MOST_TERMS} different texts in the column {column.name}, "
                f"which looks like free text; hand over a few classes instead"
            )


def refuse_cut_hashes(frame: pl.DataFrame, mode: Mode, is_attested: bool) -> None:
    """Patients' pseudonyms that look like a bare hash cut short: no machine can tell them from random ones.

    One among pseudonyms of another form is refused at once. Where most look so, the manifest must say that they were
    made at random; a synthetic release is of nobody.

    Raises:
        ReleaseRefused: with file, column and line, or the column alone.
    """
    values = frame["patient_id"].drop_nulls().unique()
    cut = values.filter(
        values.str.contains(_CUT_HASH) & values.str.contains("(?i)[a-f]") & ~values.str.contains(_UUID4)
    )
    if not len(cut):
        return
    if len(cut) <= _MOSTLY * len(values):
        is_strange = pl.col("patient_id").is_in(cut.implode())
        file, line = _first(frame, FILE, is_strange), _first(frame, LINE, is_strange)
        raise ReleaseRefused(
            f"{file}, line {line}, column patient_id: what looks like a hash cut short among pseudonyms of another "
            f"form; give pseudonyms that were made at random"
        )
    if not is_attested and mode != "synthetic":
        raise ReleaseRefused(
            f"the patient_id of patients looks like hashes cut short, from which identifiers can be found again; "
            f'if it was made at random, say so in {MANIFEST}: pseudonyms = "random"'
        )


def _refuse_short_hashes(file: FileTable) -> None:
    """Pseudonyms that are the beginning of a plain hash of a small number; whole hashes are told by their length."""
    hexadecimal = file.frame["patient_id"].cast(pl.String).str.to_lowercase().str.extract(_HEXADECIMAL)
    for length in hexadecimal.drop_nulls().str.len_bytes().unique():
        of_length = hexadecimal.str.len_bytes() == length
        is_hash = of_length & hexadecimal.is_in(_hashes_of_small_numbers(length))
        line = _first(file.frame, LINE, pl.lit(is_hash.fill_null(False)))
        if line:
            raise ReleaseRefused(
                f"{file.file}, line {line}, column patient_id: the beginning of the plain hash of a small number, "
                f"from which the number can be found; give pseudonyms made at random"
            )


@cache
def _hashes_of_small_numbers(length: int) -> list[str]:
    """Beginnings of the MD5, SHA-1 and SHA-256 sums of 0 to 9,999, with and without leading zeros."""
    written = {f"{number:0{width}}" for number in range(_SMALL) for width in (1, 4, 6, 8)}
    return [hashlib.new(name, text.encode()).hexdigest()[:length] for name in _HASHES for text in written]


def _refuse_old_age(frame: pl.DataFrame, file: str) -> None:
    age = pl.col("age_years").cast(pl.Float64, strict=False)
    line = _first(frame, LINE, age.is_finite() & (age > OLDEST_AGE))
    if line:
        raise ReleaseRefused(
            f"{file}, line {line}, column age_years: an age above 89 that is not pooled; "
            f"write {OLDEST_AGE} for everyone of 90 or older"
        )


def _refuse_text(frame: pl.DataFrame, column: Column, file: str, patients: pl.Series) -> None:
    values, kind = _values_to_scan(frame[column.name], column, patients), _scanned_as(column)
    find = first_find(values, scanners_for(kind))
    if find:
        _refuse_values(frame, column, file, values[find[0] : find[0] + 1], f"{find[1]}; {_MEND}")
    if column.class_words is not None:
        _refuse_values(frame, column, file, values.filter(is_strange(values, column.class_words)), _STRANGE)
    if kind == "pseudonym":
        _refuse_values(frame, column, file, values.filter(may_be_name(values)), _LETTERS_ALONE)


def _refuse_values(frame: pl.DataFrame, column: Column, file: str, values: pl.Series, sentence: str) -> None:
    """Refuse the release for the first row that holds one of these values, if there are any."""
    if len(values):
        line = _first(frame, LINE, pl.col(column.name).is_in(values.implode()))
        raise ReleaseRefused(f"{file}, line {line}, column {column.name}: {sentence}")


def _scanned_as(column: Column) -> str:
    if column.kind == "identifier":
        return "site" if column.name == "site_id" else "pseudonym"
    return "code" if column.name in _CODE_COLUMNS else "text"


def _values_to_scan(texts: pl.Series, column: Column, patients: pl.Series) -> pl.Series:
    """Distinct texts that are not known to be harmless: words of the contract, plain numbers, pseudonyms seen."""
    values = texts.unique(maintain_order=True).drop_nulls()
    if column.words:
        return values.filter(~values.is_in(column.words))
    if column.kind in ("whole", "number"):
        return values.filter(values.cast(pl.Float64, strict=False).is_null())
    return values.filter(~values.is_in(patients.implode())) if column.name == "patient_id" else values


def _refuse_record_numbers(frame: pl.DataFrame, column: Column, others: pl.Series) -> None:
    field = pl.col(column.name)
    is_long = field.str.contains(r"^\d+$") & (field.str.len_bytes() >= _LONG_DIGITS)
    values = pl.concat([frame[column.name], others.alias(column.name)]).unique().drop_nulls()
    numbers = values.to_frame().filter(is_long).select(field.cast(pl.Float64)).to_series().sort()
    if numbers.is_empty():
        return
    is_dense = len(numbers) > 1 and numbers[-1] - numbers[0] < _DENSE * len(numbers)
    is_running = is_dense and len(numbers) > _MOSTLY * len(values)
    if is_running:
        return
    file, line = _first(frame, FILE, is_long), _first(frame, LINE, is_long)
    if line:
        raise ReleaseRefused(f"{file}, line {line}, column {column.name}: {LONG_NUMBER.kind}; {_MEND}")


def _refuse_written_dates(frame: pl.DataFrame, column: Column, file: str) -> None:
    """Dates hidden in whole numbers (20240312) are dates all the same."""
    number = pl.col(column.name).cast(pl.Int64, strict=False)
    month, day = number // 100 % 100, number % 100
    is_date = number.is_between(19_000_101, 21_001_231) & month.is_between(1, 12) & day.is_between(1, 31)
    line = _first(frame, LINE, is_date)
    if line:
        raise ReleaseRefused(
            f"{file}, line {line}, column {column.name}: a date written as a number; "
            f"give days counted from enrolment, no calendar date may stay"
        )


def _first(frame: pl.DataFrame, what: str, condition: pl.Expr) -> object:
    """`$line` or `$file` of the first row that meets a condition, or None."""
    found = frame.lazy().filter(condition).select(what).head(1).collect()
    return found.item() if found.height else None
