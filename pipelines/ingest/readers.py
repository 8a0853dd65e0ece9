"""From the files of a manifest to tables as read: which reader a file needs, hashes and row counts held.

How a format is read stands in its own module; types and rows are judged elsewhere.
"""

from collections.abc import Iterator
from pathlib import Path

from pipelines.ingest.compression import COMPRESSIONS, unpacked
from pipelines.ingest.delimited import read_delimited
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST, TableFiles, read_file
from pipelines.ingest.parquet import read_parquet
from pipelines.ingest.tables import FileTable, with_plain_text

_READERS = {".csv": read_delimited, ".tsv": read_delimited, ".txt": read_delimited, ".parquet": read_parquet}


def read_files(folder: Path, entry: TableFiles, are_dates_allowed: bool = False) -> Iterator[FileTable]:
    """The files of one table as they stand, one after another, so that no two are held at once.

    Parquet columns of dates are read only where a reader of another format turns them into days.

    Raises:
        ReleaseRefused: a file is missing, was changed or cannot be read.
    """
    for file, sha256 in zip(entry.files, entry.sha256, strict=True):
        yield _read(read_file(folder, file, sha256), file, are_dates_allowed)


def hold_row_count(rows: int, entry: TableFiles) -> None:
    """Hold the rows read of a table against the manifest's count.

    Raises:
        ReleaseRefused: they differ.
    """
    if rows != entry.rows:
        more = len(entry.files) - 1
        names = f"{entry.files[0]} and {more} more files hold" if more else f"{entry.files[0]} holds"
        raise ReleaseRefused(
            f"{names} {rows:,} rows where {MANIFEST} counts {entry.rows:,}; "
            f"hand over the whole table, or correct the count"
        )


def _read(data: bytes, file: str, are_dates_allowed: bool) -> FileTable:
    name = Path(file)
    if name.suffix.lower() in COMPRESSIONS:
        data = unpacked(data, name.suffix.lower(), file)
        name = Path(name.stem)
    reader = _READERS.get(name.suffix.lower())
    if reader is None:
        raise ReleaseRefused(
            f"{file} is of a kind that is not read here; hand over .csv, .csv.gz, .csv.zst or .parquet files"
        )
    is_typed = reader is read_parquet
    return with_plain_text(read_parquet(data, file, are_dates_allowed) if is_typed else reader(data, file))
