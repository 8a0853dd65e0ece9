"""A table as it was read, before anything is made of it: its fields, and where each row stands in which file.

How files become such tables is in `delimited.py`, `parquet.py` and `readers.py`.
"""

from dataclasses import dataclass, field

import polars as pl

FILE = "$file"
LINE = "$line"
_PLACE = {FILE: pl.String, LINE: pl.Int64}


def no_places() -> pl.DataFrame:
    """An empty list of places (file, line)."""
    return pl.DataFrame(schema=_PLACE)


@dataclass(frozen=True)
class FileTable:
    """What one file held.

    Attributes:
        frame: the file's columns (text from CSV, typed from Parquet) and `$line`; the header stands on line 1, also
            where a format has none.
        broken: `$line` of rows that do not have as many fields as the header; they are in no frame.
    """

    file: str
    frame: pl.DataFrame
    broken: pl.Series = field(default_factory=lambda: pl.Series(LINE, [], dtype=pl.Int64))

    @property
    def columns(self) -> list[str]:
        """The file's own columns."""
        return [name for name in self.frame.columns if name != LINE]

    @property
    def rows(self) -> int:
        """Rows in the file, broken ones included."""
        return self.frame.height + len(self.broken)
