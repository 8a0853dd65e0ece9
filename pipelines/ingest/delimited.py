"""Delimited text as a table: UTF-8, a header, one record a line or, inside quotation marks, over several.

Every field stays text here. Lines are counted as an editor counts them, so that a steward finds the row: polars itself
tells no line numbers and fills short rows up in silence, hence the look at the physical lines first.
"""

import csv
from dataclasses import dataclass

import polars as pl

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.tables import LINE, FileTable

_DELIMITERS = ",;\t|"
_UNUSED = "\x1f"  # a control character that no text file holds: it keeps polars from splitting the lines
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Records:
    """The records of a file: `$line` where each starts, `text` as it stands, `fields` that it holds."""

    frame: pl.DataFrame
    delimiter: str
    is_plain: bool  # the file can be parsed as it is: no blank line, no broken record


def read_delimited(data: bytes, file: str) -> FileTable:
    """Parse the bytes of a delimited file.

    Raises:
        ReleaseRefused: not UTF-8, no header, or a quotation mark that is never closed.
    """
    text = _utf8(data, file)
    header, records = _records(text, file)
    names = _header_names(header, records.delimiter, file)
    width = len(names)
    whole = records.frame.filter(pl.col("fields") == width)
    broken = records.frame.filter(pl.col("fields") != width)[LINE]
    source = text if records.is_plain and broken.is_empty() else _joined(header, whole)
    frame = _parsed(source, records.delimiter, file)
    if frame.shape != (whole.height, width):
        raise ReleaseRefused(
            f"{file} has misplaced quotation marks; quote whole fields only, and double a quote inside"
        )
    frame.columns = names
    return FileTable(file, frame.with_columns(whole[LINE]), tuple(broken))


def _utf8(data: bytes, file: str) -> bytes:
    """The file's bytes without byte-order mark and with plain line ends, once they prove to be text."""
    data = data.removeprefix(_BOM)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\x00" in data or _UNUSED.encode() in data:
        raise ReleaseRefused(f"{file} is not a text file; hand over CSV as UTF-8 text, or Parquet")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ReleaseRefused(
                f"{file} is not UTF-8 text (line {line}); save it as UTF-8 and write the manifest again"
            ) from None
    if not data.strip():
        raise ReleaseRefused(f"{file} is empty; write at least the header row")
    return data


def _records(text: bytes, file: str) -> tuple[str, _Records]:
    """The header's text, and the records below it."""
    lines = _one_column(text, file)
    header = lines["text"][0] or ""
    if not header.strip():
        raise ReleaseRefused(f"{file} starts with an empty line; its first line must be the header row")
    delimiter = max(_DELIMITERS, key=header.count)
    has_quotes = b'"' in text
    body = lines.slice(1)
    records = _join_quoted(body, file) if has_quotes else body
    filled = records.filter(pl.col("text").str.strip_chars().fill_null("") != "")
    outside = pl.col("text").str.replace_all(r'"[^"]*"', "") if has_quotes else pl.col("text")
    frame = filled.with_columns(fields=outside.str.count_matches(delimiter, literal=True) + 1)
    return header, _Records(frame, delimiter, is_plain=filled.height == records.height)


def _one_column(text: bytes, file: str) -> pl.DataFrame:
    """Physical lines, numbered from 1."""
    try:
        lines = pl.read_csv(
            text, separator=_UNUSED, quote_char=None, has_header=False, new_columns=["text"], infer_schema=False
        )
    except pl.exceptions.PolarsError:
        raise ReleaseRefused(f"{file} cannot be read as delimited text; hand over CSV as UTF-8 text") from None
    return lines.with_row_index(LINE, offset=1).with_columns(pl.col(LINE).cast(pl.Int64))


def _join_quoted(lines: pl.DataFrame, file: str) -> pl.DataFrame:
    """Join the lines of records whose quoted fields hold line breaks."""
    quotes = pl.col("text").fill_null("").str.count_matches('"', literal=True)
    opened = lines.with_columns(is_start=(quotes.cum_sum() - quotes) % 2 == 0, total=quotes.cum_sum())
    if lines.height and opened["total"][-1] % 2:
        line = opened.filter("is_start")[LINE][-1]
        raise ReleaseRefused(f"{file} has a quotation mark that is never closed (record from line {line}); close it")
    if opened["is_start"].all():
        return lines
    return (
        opened.with_columns(record=pl.col("is_start").cum_sum(), text=pl.col("text").fill_null(""))
        .group_by("record", maintain_order=True)
        .agg(pl.col(LINE).first(), pl.col("text").str.join("\n"))
        .drop("record")
    )


def _header_names(header: str, delimiter: str, file: str) -> list[str]:
    if header.count('"') % 2:
        raise ReleaseRefused(f"{file} has a quotation mark in its header that is never closed; close it")
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    if not all(names):
        raise ReleaseRefused(f"{file} has a column without a name in place {names.index('') + 1}; name it or remove it")
    if len(set(names)) < len(names):
        place = next(place for place, name in enumerate(names, 1) if names.index(name) < place - 1)
        raise ReleaseRefused(
            f"{file} gives the column in place {place} a name that an earlier one has; keep one of them"
        )
    return names


def _joined(header: str, records: pl.DataFrame) -> bytes:
    return "\n".join([header, *records["text"].to_list(), ""]).encode()


def _parsed(text: bytes, delimiter: str, file: str) -> pl.DataFrame:
    try:
        return pl.read_csv(text, separator=delimiter, infer_schema=False, truncate_ragged_lines=True)
    except pl.exceptions.PolarsError:
        raise ReleaseRefused(f"{file} cannot be read as a table; hand over CSV with a header row, as UTF-8") from None
