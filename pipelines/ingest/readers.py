"""From the files of a manifest to tables as read: which reader a file needs, hashes and row counts held.

How a format is read stands in its own module; types and rows are judged elsewhere.
"""

from pathlib import Path

from pipelines.ingest.compression import COMPRESSIONS, unpacked
from pipelines.ingest.delimited import read_delimited
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST, TableFiles, read_file
from pipelines.ingest.parquet import read_parquet
from pipelines.ingest.tables import FileTable, with_plain_text

_READERS = {".csv": read_delimited, ".tsv": read_delimited, ".txt": read_delimited, ".parquet": read_parquet}


def read_files(folder: Path, entry: TableFiles) -> list[FileTable]:
    """The files of one table as they stand.

    Raises:
        ReleaseRefused: a file is missing, was changed or cannot be read.
    """
    return [
        _read(read_file(folder, file, sha256), file) for file, sha256 in zip(entry.files, entry.sha256, strict=True)
    ]


def hold_row_count(files: list[FileTable], entry: TableFiles) -> None:
    """Hold the rows of a table's files against the manifest's count.

    Raises:
        ReleaseRefused: they differ.
    """
    rows = sum(file.rows for file in files)
    if rows != entry.rows:
        names = entry.files[0] if len(files) == 1 else f"{entry.files[0]} and {len(files) - 1} more"
        raise ReleaseRefused(
            f"{names} {'holds' if len(files) == 1 else 'hold'} {rows:,} rows where {MANIFEST} counts {entry.rows:,}; "
            f"hand over the whole table, or correct the count"
        )


def _read(data: bytes, file: str) -> FileTable:
    name = Path(file)
    if name.suffix.lower() in COMPRESSIONS:
        data = unpacked(data, name.suffix.lower(), file)
        name = Path(name.stem)
    reader = _READERS.get(name.suffix.lower())
    if reader is None:
        raise ReleaseRefused(
            f"{file} is of a kind that is not read here; hand over .csv, .csv.gz, .csv.zst or .parquet files"
        )
    return with_plain_text(reader(data, file))
