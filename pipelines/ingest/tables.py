"""A file as it was read, before anything is made of it: its fields, and where each row stands.

How files become such tables is in `delimited.py`, `parquet.py` and `readers.py`.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.ingest.errors import ReleaseRefused

FILE = "$file"
LINE = "$line"
ROW = "$row"  # numbers the rows of a table over all its files


@dataclass(frozen=True)
class FileTable:
    """What one file held.

    Attributes:
        file: the file's name.
        frame: the file's columns (text from CSV, typed from Parquet) and `$line`; the header stands on line 1, also
            where a format has none.
        broken_lines: where rows stand that have not as many fields as the header; they are in no frame.
    """

    file: str
    frame: pl.DataFrame
    broken_lines: tuple[int, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The file's own columns."""
        return [name for name in self.frame.columns if name != LINE]

    @property
    def rows(self) -> int:
        """Rows in the file, broken ones included."""
        return self.frame.height + len(self.broken_lines)


def file_table(file: str, frame: pl.DataFrame, lines: pl.Series, broken_lines: tuple[int, ...] = ()) -> FileTable:
    """A file's columns together with the lines of its rows.

    Raises:
        ReleaseRefused: a column has the name that the lines need.
    """
    if LINE in frame.columns:
        raise ReleaseRefused(f"{file} has a column of the name {LINE}, which the program uses itself; remove it")
    return FileTable(file, frame.with_columns(lines.cast(pl.Int64).alias(LINE)), broken_lines)


def with_plain_text(file: FileTable) -> FileTable:
    """The file with its text fields bared of surrounding blanks, and empty fields as nulls."""
    text = pl.col(pl.String).str.strip_chars()
    return FileTable(file.file, file.frame.with_columns(pl.when(text != "").then(text).name.keep()), file.broken_lines)
