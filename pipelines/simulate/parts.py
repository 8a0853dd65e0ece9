"""Writes blocks of rows into the files of a release, one part at a time, without holding a table in memory."""

from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl
import pyarrow.parquet as pq

TABLES = ("patients", "treatments", "assessments", "events")


class PartWriter:
    """Appends the blocks of the four tables to files; a new part closes the one before.

    Args:
        folder: where the files go.
        format: `csv` or `parquet`.
        parts: how many files a table will have; with one part, files are called after their table alone.
    """

    def __init__(self, folder: Path, format: Literal["csv", "parquet"], parts: int) -> None:
        self._folder, self._format, self._parts = folder, format, parts
        self._open: dict[str, _CsvFile | _ParquetFile] = {}
        self._current = -1
        self._rows: dict[str, dict[str, int]] = {table: {} for table in TABLES}

    def write(self, part: int, tables: dict[str, pl.DataFrame]) -> None:
        """Append a block to part number `part` (from 0, never going back)."""
        if part != self._current:
            self._close_files()
            self._current = part
        for table in TABLES:
            name = f"{table}.{self._format}" if self._parts == 1 else f"{table}-{part + 1:03d}.{self._format}"
            if table not in self._open:
                kind = _CsvFile if self._format == "csv" else _ParquetFile
                self._open[table] = kind(self._folder / name)
            self._open[table].append(tables[table])
            self._rows[table][name] = self._rows[table].get(name, 0) + tables[table].height

    def close(self) -> dict[str, dict[str, int]]:
        """Close all files; number of rows by table and file."""
        self._close_files()
        return self._rows

    def _close_files(self) -> None:
        for file in self._open.values():
            file.close()
        self._open = {}


class _CsvFile:
    def __init__(self, path: Path) -> None:
        self._stream: BinaryIO = path.open("wb")
        self._is_new = True

    def append(self, rows: pl.DataFrame) -> None:
        rows.write_csv(self._stream, include_header=self._is_new)
        self._is_new = False

    def close(self) -> None:
        self._stream.close()


class _ParquetFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def append(self, rows: pl.DataFrame) -> None:
        table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
