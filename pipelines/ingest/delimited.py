"""Delimited text as a table: a header, one record a line or, inside quotation marks, over several.

Every field stays text here. Lines are counted as an editor counts them, so that a steward finds the row: polars itself
tells no line numbers and fills short rows up in silence, hence the look at the physical lines first. Encodings are in
`encoding.py`.
"""

import csv
import re
from dataclasses import dataclass

import polars as pl

from pipelines.ingest.encoding import utf8_text
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.tables import LINE, FileTable, file_table, refuse_repeated

_DELIMITERS = ",;\t|"
_UNUSED = "\x1f"  # a control character that no text file holds: it keeps polars from splitting the lines
_LONGEST_HEADER = 100_000  # characters; Python's csv reader gives up a little above
_QUOTED = "\x1e"  # stands for a whole quoted field while fields are counted


@dataclass(frozen=True)
class _Dialect:
    delimiter: str
    quote: str


def read_delimited(data: bytes, file: str) -> FileTable:
    """Parse the bytes of a delimited file; delimiter and quotation mark are found out from its header.

    Raises:
        ReleaseRefused: no text, no header, or a quotation mark that is misplaced or never closed.
    """
    text = utf8_text(data, file)
    lines = _lines(text, file)
    header = lines["text"][0] or ""
    dialect = _dialect(header)
    names = _header_names(header, dialect, file)
    records = _records(lines.slice(1), dialect, file)
    is_whole = records["fields"] == len(names)
    whole = records.filter(is_whole)
    source = text if whole.height == lines.height - 1 else _joined(header, whole)
    frame = _parsed(source, dialect, file)
    if frame.shape != (whole.height, len(names)):
        raise ReleaseRefused(
            f"{file} cannot be divided into rows and fields; hand over CSV with a header row, as UTF-8"
        )
    frame.columns = names
    return file_table(file, frame, whole[LINE], tuple(records.filter(~is_whole)[LINE]))


def _lines(text: bytes, file: str) -> pl.DataFrame:
    """Physical lines, numbered from 1 (`$line`, `text`)."""
    try:
        lines = pl.read_csv(
            text, separator=_UNUSED, quote_char=None, has_header=False, new_columns=["text"], infer_schema=False
        )
    except pl.exceptions.PolarsError:
        raise ReleaseRefused(f"{file} cannot be read as delimited text; hand over CSV as UTF-8 text") from None
    return lines.with_row_index(LINE, offset=1).with_columns(pl.col(LINE).cast(pl.Int64))


def _dialect(header: str) -> _Dialect:
    quote = "'" if header.startswith("'") and '"' not in header else '"'
    return _Dialect(max(_DELIMITERS, key=header.count), quote)


def _header_names(header: str, dialect: _Dialect, file: str) -> list[str]:
    if not header.strip():
        raise ReleaseRefused(f"{file} starts with an empty line; its first line must be the header row")
    if header.count(dialect.quote) % 2:
        raise ReleaseRefused(f"{file} has a quotation mark in its header that is never closed; close it")
    if len(header) > _LONGEST_HEADER:
        raise ReleaseRefused(f"{file} starts with a line too long for a header row; hand over CSV with a header row")
    names = [name.strip() for name in next(csv.reader([header], delimiter=dialect.delimiter, quotechar=dialect.quote))]
    if not all(names):
        raise ReleaseRefused(f"{file} has a column without a name in place {names.index('') + 1}; name it or remove it")
    refuse_repeated(names, file)
    return names


def _records(lines: pl.DataFrame, dialect: _Dialect, file: str) -> pl.DataFrame:
    """Records that are not blank: `$line` where each starts, its `text`, and how many `fields` it has.

    `fields` is 0 where a quotation mark stands inside a field.
    """
    quotes = pl.col("text").str.count_matches(dialect.quote, literal=True).fill_null(0)
    if not lines.select(quotes.any()).item():
        filled = lines.filter(pl.col("text").str.strip_chars() != "")
        return filled.with_columns(fields=pl.col("text").str.count_matches(dialect.delimiter, literal=True) + 1)
    joined = _join_quoted(lines, quotes, file)
    filled = joined.filter(pl.col("text").str.strip_chars() != "")
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    outside = pl.col("text").str.replace_all(f"{quote}(?:[^{quote}]|{quote}{quote})*{quote}", _QUOTED)
    is_misquoted = outside.str.contains(f"[^{delimiter}]{_QUOTED}|{_QUOTED}[^{delimiter}]")
    counted = filled.with_columns(
        fields=pl.when(is_misquoted).then(0).otherwise(outside.str.count_matches(dialect.delimiter, literal=True) + 1)
    )
    astray = counted.filter((pl.col("fields") == 0) & pl.col("text").str.contains("\n", literal=True))
    if astray.height:  # a stray mark swallowed the rows that follow it
        raise ReleaseRefused(
            f"{file} has a misplaced quotation mark in the record from line {astray[LINE][0]}; "
            f"quote whole fields only, and double a mark inside"
        )
    return counted


def _join_quoted(lines: pl.DataFrame, quotes: pl.Expr, file: str) -> pl.DataFrame:
    """Join the lines of records whose quoted fields hold line breaks."""
    opened = lines.with_columns(is_start=(quotes.cum_sum() - quotes) % 2 == 0, total=quotes.cum_sum())
    if opened["total"][-1] % 2:
        line = opened.filter("is_start")[LINE][-1]
        raise ReleaseRefused(f"{file} has a quotation mark that is never closed (record from line {line}); close it")
    return (
        opened.with_columns(record=pl.col("is_start").cum_sum(), text=pl.col("text").fill_null(""))
        .group_by("record", maintain_order=True)
        .agg(pl.col(LINE).first(), pl.col("text").str.join("\n"))
        .drop("record")
    )


def _joined(header: str, records: pl.DataFrame) -> bytes:
    return "\n".join([header, *records["text"].to_list(), ""]).encode()


def _parsed(text: bytes, dialect: _Dialect, file: str) -> pl.DataFrame:
    try:
        return pl.read_csv(text, separator=dialect.delimiter, quote_char=dialect.quote, infer_schema=False)
    except pl.exceptions.PolarsError:
        raise ReleaseRefused(f"{file} cannot be read as a table; hand over CSV with a header row, as UTF-8") from None
