"""The de-identification guard: nothing that identifies a person gets in, and in doubt the release is refused.

Columns are held to an allow-list in `contract.py`; here stand the rules of the de-identification mode and the look at
values. A find refuses the whole release and is named by file, column, line and kind, never by its value. This is an
engineering aid, not legal advice: 45 CFR 164.514(b) and (e).
"""

import hashlib
from collections.abc import Mapping
from functools import cache

import polars as pl

from pipelines.ingest.contract import Column, Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.folding import plain
from pipelines.ingest.manifest import MANIFEST, Mode
from pipelines.ingest.scanners import (
    LONG_NUMBER,
    first_find,
    is_no_code,
    is_strange,
    may_be_name,
    may_be_place,
    scanners_for,
)
from pipelines.ingest.tables import FILE, LINE, FileTable

YEAR_ONLY_MODES: tuple[Mode, ...] = ("safe_harbor", "synthetic")
OLDEST_AGE = 90  # 90 stands for 90 and over, 45 CFR 164.514(b)(2)(i)(C)
_MOST_TERMS = 50  # an insurance or education class has few words; free text has many
_CODE_COLUMNS = ("code", "code_system")
_LONG_DIGITS = 6  # fewer are too short for a record, telephone or insurance number
_DENSE = 10  # running numbers span no more than this many times their count,
_MOSTLY = 0.5  # and at least this share of a column that numbers its rows is numbers
_HEXADECIMAL = r"^(?:[a-z]{1,6}[-_]?)?([0-9a-f]{12,64})$"
_CUT_HASH = r"^(?:[0-9a-fA-F]{12,63})$"  # with letters of a prefix before it, it is a registry's own pseudonym
_WRITTEN_HASH = (
    r"^(?:[A-Z2-7]{26}|[A-Z2-7]{32}|[A-Z2-7]{52}|[0-9A-Za-z_+/-]{22}|[0-9A-Za-z_+/-]{27}|[0-9A-Za-z_+/-]{43})$"
)
_NUMBER_BEHIND_LETTERS = r"^\p{L}{1,6}[-_ .]?([1-9]\d{5,})$"
_INITIALS_AND_YEAR = r"^(\p{L}{1,4})[-_. ]?(?:19\d\d|20[0-2]\d)$"
_WORD_AND_NUMBER = r"^(\p{L}{5,})[-_. ]?\d{1,2}$"
_AGE = r"(?:^|[^\d.])(\d{2,}(?:\.\d+)?)(?:$|[^\d.])"
_FEW = 5  # fewer pseudonyms show no pattern
_UUID4 = r"(?i)^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$"
_SMALL = 10_000  # numbers whose hashes are known by heart; that of a longer one is told only where it stands whole
_HASHES = ("md5", "sha1", "sha256")
_STRANGE = (
    "a word that no class is known to have, so it may name a person or a place; write a class such as public or "
    "private, or list the word in the protocol (anonymity.class_words)"
)
_LETTERS_ALONE = "letters alone, which may be a name; give pseudonyms that were made at random and hold a digit"
_NO_CODE = (
    "a word where a code is expected, which may be a name; give the code of a code system, name a code of your own in "
    "a code list of the release, or list the word in the protocol (anonymity.class_words)"
)
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


def refuse_identifiers(file: FileTable, table: Table, known: Mapping[str, pl.Series]) -> None:
    """Look at every value of a file for what identifies a person.

    Args:
        file: the file as read.
        table: its contract.
        known: values already looked at, by column: pseudonyms of patients, codes of the code lists.

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
        if file.frame.schema[column.name] == pl.String or column.kind in ("identifier", "term"):
            text = file.frame.select(pl.col(column.name).cast(pl.String), LINE)
            _refuse_text(text, column, file.file, known.get(column.name, pl.Series(dtype=pl.String)))
    if table.name == "patients" and "patient_id" in file.columns:
        _refuse_short_hashes(file)


def refuse_numbers_and_texts(frame: pl.DataFrame, table: Table, patients: pl.Series) -> None:
    """Look at whole columns, over all files: pseudonyms and orders that are record numbers, classes that are free text.

    Record, telephone and insurance numbers are long and sparse, while a column that numbers its rows is dense.

    Raises:
        ReleaseRefused: with file, column and line, or the column alone.
    """
    for column in table.columns:
        if column.kind == "identifier":
            others = patients if column.name == "patient_id" else patients.clear()
            _refuse_record_numbers(frame, column, others)
            if others.is_empty():
                _refuse_names_with_numbers(frame, column)
        if column.name == "site_sequence":
            texts = frame.with_columns(pl.col(column.name).cast(pl.String))
            _refuse_record_numbers(texts, column, patients.clear())
        if column.kind == "term" and column.name not in _CODE_COLUMNS and frame[column.name].n_unique() > _MOST_TERMS:
            raise ReleaseRefused(
                f"the table {table.name} has more than {_MOST_TERMS} different texts in the column {column.name}, "
                f"which looks like free text; hand over a few classes instead"
            )


def refuse_unattested(frame: pl.DataFrame, mode: Mode, is_attested: bool) -> None:
    """Patients' pseudonyms that look like a bare hash, cut short or written in other letters, or like record numbers
    behind a letter: no machine can tell them from random ones.

    One hash among pseudonyms of another form is refused at once. Else the manifest must say that they were made at
    random; a synthetic release is of nobody.

    Raises:
        ReleaseRefused: with file, column and line, or the column alone.
    """
    values = frame["patient_id"].drop_nulls().unique()
    if not is_attested and mode != "synthetic":
        _refuse_numbers_behind_letters(frame, values)
    is_hexadecimal = values.str.contains(_CUT_HASH) & values.str.contains("(?i)[a-f]")
    is_hash = (is_hexadecimal & ~values.str.contains(_UUID4)) | _is_written_hash(values)
    cut = values.filter(is_hash)
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


def _is_written_hash(values: pl.Series) -> pl.Series:
    """Whether each is as long as an MD5, SHA-1 or SHA-256 sum in base 32 or 64, where most are and begin unlike."""
    is_written = values.str.contains(_WRITTEN_HASH) & values.str.contains(r"\d") & values.str.contains(r"\p{L}")
    begun = values.filter(is_written).str.head(4).n_unique()
    return is_written & (begun > _MOSTLY * len(values) and len(values) >= _FEW)


def _refuse_numbers_behind_letters(frame: pl.DataFrame, values: pl.Series) -> None:
    """`M4821337` may be a record number; numbers that run on are none."""
    numbers = values.str.extract(_NUMBER_BEHIND_LETTERS).drop_nulls().cast(pl.Float64).sort()
    if len(numbers) <= _MOSTLY * len(values) or _runs_on(numbers):
        return
    is_such = pl.col("patient_id").str.contains(_NUMBER_BEHIND_LETTERS)
    raise ReleaseRefused(
        f"{_first(frame, FILE, is_such)}, line {_first(frame, LINE, is_such)}, column patient_id: a long number behind "
        f"letters, which may be a record number; if the pseudonyms were made at random, say so in {MANIFEST}: "
        f'pseudonyms = "random"'
    )


def _refuse_names_with_numbers(frame: pl.DataFrame, column: Column) -> None:
    """Columns in which most pseudonyms are a word and a short number, or initials and a year, hardly two of them alike.

    A word that stands before every number (`operator7`) names nobody.
    """
    values = frame[column.name].drop_nulls().unique()
    for form in (_WORD_AND_NUMBER, _INITIALS_AND_YEAR):
        words = plain(values).str.extract(form)
        if words.count() >= _FEW and min(words.count(), words.drop_nulls().n_unique()) > _MOSTLY * len(values):
            is_such = pl.col(column.name).is_in(values.filter(words.is_not_null()).implode())
            file, line = _first(frame, FILE, is_such), _first(frame, LINE, is_such)
            raise ReleaseRefused(
                f"{file}, line {line}, column {column.name}: a name or initials with a number; {_MEND}"
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
    """An age is one however it is written: with its unit, or in digits of another script."""
    number = frame["age_years"].cast(pl.Float64, strict=False)
    told = plain(frame["age_years"].cast(pl.String)).str.extract(_AGE).cast(pl.Float64, strict=False)
    is_old = (number.is_finite() & (number > OLDEST_AGE)).fill_null(False) | (told > OLDEST_AGE).fill_null(False)
    line = _first(frame, LINE, pl.lit(is_old))
    if line:
        raise ReleaseRefused(
            f"{file}, line {line}, column age_years: an age above 89 that is not pooled; "
            f"write {OLDEST_AGE} for everyone of 90 or older"
        )


def _refuse_text(frame: pl.DataFrame, column: Column, file: str, known: pl.Series) -> None:
    values, kind = _values_to_scan(frame[column.name], column, known), _scanned_as(column)
    find = first_find(values, scanners_for(kind))
    if find:
        _refuse_values(frame, column, file, values[find[0] : find[0] + 1], f"{find[1]}; {_MEND}")
    if kind == "code":
        _refuse_values(frame, column, file, values.filter(is_no_code(values, column.class_words)), _NO_CODE)
    elif column.kind == "term":
        _refuse_values(frame, column, file, values.filter(is_strange(values, column.class_words)), _STRANGE)
    elif column.kind == "identifier":
        is_named = may_be_place(values) if kind == "site" else may_be_name(values)
        _refuse_values(frame, column, file, values.filter(is_named), _LETTERS_ALONE)


def _refuse_values(frame: pl.DataFrame, column: Column, file: str, values: pl.Series, sentence: str) -> None:
    """Refuse the release for the first row that holds one of these values, if there are any."""
    if len(values):
        line = _first(frame, LINE, pl.col(column.name).is_in(values.implode()))
        raise ReleaseRefused(f"{file}, line {line}, column {column.name}: {sentence}")


def _scanned_as(column: Column) -> str:
    if column.kind == "identifier":
        return "site" if column.name == "site_id" else "pseudonym"
    return "code" if column.name in _CODE_COLUMNS else "text"


def _values_to_scan(texts: pl.Series, column: Column, known: pl.Series) -> pl.Series:
    """Distinct texts that are not known to be harmless: words of the contract, plain numbers, what was seen before."""
    values = texts.unique(maintain_order=True).drop_nulls()
    if column.words:
        return values.filter(~values.is_in(column.words))
    if column.kind in ("whole", "number"):
        return values.filter(values.cast(pl.Float64, strict=False).is_null())
    return values.filter(~values.is_in(known.implode())) if len(known) else values


def _refuse_record_numbers(frame: pl.DataFrame, column: Column, others: pl.Series) -> None:
    field = pl.col(column.name)
    is_long = field.str.contains(r"^\d+$") & (field.str.len_bytes() >= _LONG_DIGITS)
    values = pl.concat([frame[column.name], others.alias(column.name)]).unique().drop_nulls()
    numbers = values.to_frame().filter(is_long).select(field.cast(pl.Float64)).to_series().sort()
    if numbers.is_empty():
        return
    if _runs_on(numbers) and len(numbers) > _MOSTLY * len(values):
        return
    file, line = _first(frame, FILE, is_long), _first(frame, LINE, is_long)
    if line:
        raise ReleaseRefused(f"{file}, line {line}, column {column.name}: {LONG_NUMBER.kind}; {_MEND}")


def _runs_on(numbers: pl.Series) -> bool:
    """Whether sorted numbers number something, and are not picked from far apart."""
    return len(numbers) > 1 and numbers[-1] - numbers[0] < _DENSE * len(numbers)


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
