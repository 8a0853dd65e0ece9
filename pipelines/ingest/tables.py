"""A file as it was read, before anything is made of it: its fields, and where each row stands.

How files become such tables is in `delimited.py`, `parquet.py` and `readers.py`.
"""

from dataclasses import dataclass, field, replace

import polars as pl

from pipelines.ingest.errors import ReleaseRefused

FILE = "$file"
LINE = "$line"
ROW = "$row"  # numbers the rows of a table over all its files
FIELD = "$field"  # where several records come from one row of a file: which of its fields the record comes from
RECORD_ID = "record_id"  # the column of `raw.*` that says where a row is from

REFUSED_SCHEMA = {LINE: pl.Int64, "column": pl.String, "rule": pl.String}


@dataclass(frozen=True)
class FileTable:
    """What one file held.

    Attributes:
        file: the file's name.
        frame: the file's columns (text from CSV, typed from Parquet) and `$line`; the header stands on line 1, also
            where a format has none.
        broken_lines: where rows stand that have not as many fields as the header; they are in no frame.
        refused: rows that a reader of another format could make no record of: `$line`, the source's `column` and the
            id of the reader's `rule`; they are in no frame either.
    """

    file: str
    frame: pl.DataFrame
    broken_lines: tuple[int, ...] = ()
    refused: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REFUSED_SCHEMA))

    @property
    def columns(self) -> list[str]:
        """The file's own columns."""
        return [name for name in self.frame.columns if name not in (LINE, FIELD)]

    @property
    def rows(self) -> int:
        """Rows in the file, broken and refused ones included."""
        return self.frame.height + len(self.broken_lines) + self.refused.height


def file_table(file: str, frame: pl.DataFrame, lines: pl.Series, broken_lines: tuple[int, ...] = ()) -> FileTable:
    """A file's columns together with the lines of its rows.

    Raises:
        ReleaseRefused: a column has the name that the lines need.
    """
    ours = next((name for name in (LINE, FIELD) if name in frame.columns), None)
    if ours:
        raise ReleaseRefused(f"{file} has a column of the name {ours}, which the program uses itself; remove it")
    return FileTable(file, frame.with_columns(lines.cast(pl.Int64).alias(LINE)), broken_lines)


def refuse_repeated(names: list[str], file: str) -> None:
    """Refuse a header that gives a name twice.

    Raises:
        ReleaseRefused: it does; the message names the place, since a name may be a value that slipped there.
    """
    seen: set[str] = set()
    for place, name in enumerate(names, 1):
        if name in seen:
            raise ReleaseRefused(
                f"{file} gives the column in place {place} a name that an earlier one has; keep one of them"
            )
        seen.add(name)


def with_plain_text(file: FileTable) -> FileTable:
    """The file with its text fields bared of surrounding blanks, and empty fields as nulls."""
    text = pl.col(pl.String).str.strip_chars()
    return replace(file, frame=file.frame.with_columns(pl.when(text != "").then(text).name.keep()))
