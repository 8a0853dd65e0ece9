"""From the files of a manifest to tables as read: which reader a file needs, hashes and row counts held.

How a format is read stands in its own module; types and rows are judged elsewhere.
"""

from pathlib import Path

from pipelines.ingest.delimited import read_delimited
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST, Manifest, read_file
from pipelines.ingest.parquet import read_parquet
from pipelines.ingest.tables import FileTable, with_plain_text

_READERS = {".csv": read_delimited, ".tsv": read_delimited, ".txt": read_delimited, ".parquet": read_parquet}


def read_files(folder: Path, manifest: Manifest, table: str) -> list[FileTable]:
    """The files of one table as they stand.

    Raises:
        ReleaseRefused: a file is missing, was changed, cannot be read, or has not the rows that the manifest counts.
    """
    entry = manifest.table(table)
    files = [
        _read(read_file(folder, file, sha256), file) for file, sha256 in zip(entry.files, entry.sha256, strict=True)
    ]
    rows = sum(file.rows for file in files)
    if rows != entry.rows:
        raise ReleaseRefused(
            f"{_listed(entry.files)} {'holds' if len(files) == 1 else 'hold'} {rows:,} rows where {MANIFEST} counts "
            f"{entry.rows:,}; hand over the whole table, or correct the count"
        )
    return files


def _read(data: bytes, file: str) -> FileTable:
    reader = _READERS.get(Path(file).suffix.lower())
    if reader is None:
        raise ReleaseRefused(f"{file} is of a kind that is not read here; hand over .csv or .parquet")
    return with_plain_text(reader(data, file))


def _listed(files: list[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
