"""A release in the making: tables as text, then files as bytes, then a manifest as text, each open to mutation.

What is done to it stands in `mutations.py`, `damage.py` and `lies.py`. Every value that could name a patient holds
`SENTINEL`, so that one that comes out anywhere is seen.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import polars as pl
import pyarrow as pa
from pyarrow import parquet as pq

SENTINEL = "qzjxw"
SENTINEL_NUMBER = "739137"
ESCAPE = f"/tmp/{SENTINEL}"  # the file that a planted command would write
TABLES = ("patients", "treatments", "assessments", "events")
FORMATS = ("csv", "csv", "csv", "tsv", "csv.gz", "csv.zst", "parquet", "parquet")
_PSEUDONYMS = ("patient_id", "treatment_id", "surgeon_id")

Rows = list[list[str]]  # the header first


@dataclass
class Draft:
    """A release that is being spoilt.

    Attributes:
        random: what chooses.
        form: how the tables are written, one of `FORMATS`.
        tables: header and rows by table.
        files: bytes by file name, once written.
        counts: rows that the manifest claims, by table.
        about: the keys at the head of the manifest, as TOML.
        manifest: the manifest's text; empty: it is made from the files as they are.
        is_signed: whether the manifest's hashes are those of the spoilt files.
        afterwards: what is done to the folder at the end (links, devices, folders in place of files).
    """

    random: Random
    form: str
    tables: dict[str, Rows]
    files: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    manifest: bytes = b""
    is_signed: bool = True
    afterwards: list[Callable[[Path], None]] = field(default_factory=list)

    def table(self) -> Rows:
        """One of the four tables."""
        return self.tables[self.random.choice(TABLES)]

    def file(self) -> str:
        """The name of one of the files."""
        return self.random.choice(sorted(self.files))


def clean_tables(release: Path) -> dict[str, Rows]:
    """The tables of a simulated release with the sentinel in every pseudonym."""
    tables = {}
    for name in TABLES:
        with (release / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        marked = [place for place, column in enumerate(rows[0]) if column in _PSEUDONYMS]
        for row in rows[1:]:
            for place in marked:
                row[place] = row[place] and f"{SENTINEL}-{row[place].removeprefix('SM-')}"
        tables[name] = rows
    return tables


def new_draft(random: Random, tables: dict[str, Rows], about: dict[str, str]) -> Draft:
    """A clean draft in one of the formats."""
    copied = {name: [list(row) for row in rows] for name, rows in tables.items()}
    return Draft(random, random.choice(FORMATS), copied, about=dict(about))


def write_tables(draft: Draft) -> None:
    """Tables to bytes, uncompressed, and the counts that are true of them."""
    for name, rows in draft.tables.items():
        draft.counts[name] = len(rows) - 1
        plain = draft.form.removesuffix(".gz").removesuffix(".zst")
        draft.files[f"{name}.{plain}"] = _parquet(rows) if plain == "parquet" else _text(rows, plain)


def compress(draft: Draft) -> None:
    """Pack the files where the format asks for it."""
    ending = draft.form.rpartition(".")[2]
    if ending in ("gz", "zst"):
        draft.files = {f"{name}.{ending}": packed(data, ending) for name, data in draft.files.items()}


def packed(data: bytes, ending: str) -> bytes:
    """The bytes as `.gz` or `.zst`, the same each time."""
    if ending == "gz":
        return gzip.compress(data, 1, mtime=0)
    return pa.Codec("zstd").compress(data, asbytes=True)


def manifest_text(draft: Draft) -> str:
    """A manifest that describes the files as they are."""
    lines = [f"{key} = {value}" for key, value in draft.about.items()]
    for name in TABLES:
        files = sorted(file for file in draft.files if file.partition(".")[0] == name)
        hashes = [hashlib.sha256(draft.files[file]).hexdigest() for file in files]
        lines += [f"[tables.{name}]", f"files = {_list(files)}", f"rows = {draft.counts.get(name, 0)}"]
        lines += [f"sha256 = {_list(hashes)}"]
    return "\n".join(lines) + "\n"


def save(draft: Draft, folder: Path) -> None:
    """Write the release as it has become."""
    folder.mkdir(parents=True)
    for name, data in draft.files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.toml").write_bytes(draft.manifest)
    for change in draft.afterwards:
        change(folder)


def _list(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def _text(rows: Rows, plain: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter="\t" if plain == "tsv" else ",", lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _parquet(rows: Rows) -> bytes:
    """Columns with the type that all their fields have; lines too short or too long are made to fit."""
    width = len(rows[0])
    fields = [(*row[:width], *[""] * (width - len(row))) for row in rows[1:]]
    columns = [pa.array(_typed([field[place] for field in fields])) for place in range(width)]
    names = [name.encode("utf-8", "replace").decode() for name in rows[0]]
    written = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=names), written)
    return written.getvalue()


def _typed(texts: list[str]) -> pl.Series:
    series = pl.Series([text.encode("utf-8", "replace").decode() or None for text in texts], dtype=pl.String)
    if series.drop_nulls().is_in(["true", "false"]).all():
        return series == "true"
    for dtype in (pl.Int64, pl.Float64):
        cast = series.cast(dtype, strict=False)
        if cast.null_count() == series.null_count():
            return cast
    return series
