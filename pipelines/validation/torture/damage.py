"""What disks, transfers and attackers do to bytes: flips, holes, cuts, wrong encodings, bombs, broken Parquet pages.

Each function spoils a draft's files after they were written. `PLAIN` comes before compression, `PACKED` after it.
"""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pyarrow as pa
from pyarrow import parquet as pq

from pipelines.validation.torture.drafts import SENTINEL, Draft, packed

MEGABYTE = 1 << 20


def flip_bytes(draft: Draft) -> None:
    """Some bytes become others, anywhere."""
    _damage(draft, lambda data: _flipped(draft, data, range(len(data)), draft.random.choice((1, 3, 30, 1000))))


def flip_the_beginning(draft: Draft) -> None:
    """Bytes of the header row, or of the first page, become others."""
    _damage(draft, lambda data: _flipped(draft, data, range(min(200, len(data))), draft.random.choice((1, 4))))


def flip_the_end(draft: Draft) -> None:
    """Bytes of the last row, or of a Parquet file's footer, become others."""
    _damage(
        draft,
        lambda data: _flipped(draft, data, range(max(0, len(data) - 2000), len(data)), draft.random.choice((1, 4))),
    )


def truncate(draft: Draft) -> None:
    """The file ends too early, or holds nothing."""
    _damage(draft, lambda data: data[: draft.random.choice((0, 1, 3, 4, 12, draft.random.randrange(len(data) + 1)))])


def cut_out(draft: Draft) -> None:
    """A piece of the file is missing, or there twice."""

    def spoil(data: bytes) -> bytes:
        a, b = sorted(draft.random.randrange(len(data) + 1) for _ in range(2))
        return data[:a] + data[b:] if draft.random.random() < 0.5 else data[:b] + data[a:]

    _damage(draft, spoil)


def blank_out(draft: Draft) -> None:
    """A block of zeros, as after a power cut."""

    def spoil(data: bytes) -> bytes:
        a = draft.random.randrange(len(data) + 1)
        return data[:a] + bytes(min(4096, len(data) - a)) + data[a + 4096 :]

    _damage(draft, spoil)


def put_in(draft: Draft) -> None:
    """Bytes that do not belong there: NUL, controls, marks of other encodings, quotation marks, line ends."""
    pieces = (
        b"\x00",
        b"\x1a",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe9",
        b'"',
        b'""',
        b"'",
        b"\r",
        b"\n\n",
        b"\x1e",
        b"\x1f",
        b"\x0c",
        b"\x85",
        b"\xe2\x80\xa8",
        b"\\",
        b"PAR1",
        b"\x00" * 65536,
    )

    def spoil(data: bytes) -> bytes:
        for _ in range(draft.random.choice((1, 1, 10))):
            a = draft.random.randrange(len(data) + 1)
            data = data[:a] + draft.random.choice(pieces) + data[a:]
        return data

    _damage(draft, spoil)


def mix_encodings(draft: Draft) -> None:
    """Text in another encoding, whole or from the middle on."""
    encodings = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "utf-8-sig", "cp1252", "cp037")

    def spoil(data: bytes) -> bytes:
        a = draft.random.choice((0, 0, len(data) // 2))
        return data[:a] + data[a:].decode("latin-1").encode(draft.random.choice(encodings), "replace")

    _damage(draft, spoil)


def line_ends(draft: Draft) -> None:
    """Line ends of other systems."""
    _damage(
        draft, lambda data: data.replace(b"\n", draft.random.choice((b"\r\n", b"\r", b"\n\r", b"\n\n", b"\x0b", b"")))
    )


def many_rows(draft: Draft) -> None:
    """The rows a hundred times over, unless they are many already."""
    _damage(draft, lambda data: data + data[data.find(b"\n") + 1 :] * (100 if len(data) < MEGABYTE else 1))


def another_format(draft: Draft) -> None:
    """The name says one format, the bytes are of another."""
    name = draft.file()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr(f"../../{SENTINEL}.csv", draft.files[name])
    others = (
        archive.getvalue(),
        b"%PDF-1.7\n",
        b"SQLite format 3\x00" + bytes(4096),
        packed(draft.files[name], "gz"),
        b"{}",
    )
    draft.files[name] = draft.random.choice(others)


def gzip_bomb(draft: Draft) -> None:
    """A small file that unpacks to gigabytes: one member after another, or a bomb of bombs."""
    member = gzip.compress(
        draft.random.choice((bytes(16 * MEGABYTE), b"a,b\n" * (4 * MEGABYTE), b'"' * (16 * MEGABYTE))), 1, mtime=0
    )
    bomb = member * draft.random.choice((20, 400))
    _replace(draft, ".csv.gz", gzip.compress(bomb, 1, mtime=0) if draft.random.random() < 0.2 else bomb)


def zstd_bomb(draft: Draft) -> None:
    """The same in Zstandard, or a frame that claims a window of gigabytes."""
    frame = packed(bytes(64 * MEGABYTE), "zst")
    claims = b"\x28\xb5\x2f\xfd\x00\xf8" + frame[6:]
    _replace(draft, ".csv.zst", draft.random.choice((frame * 100, claims, frame[: len(frame) // 2])))


def deflate_claims(draft: Draft) -> None:
    """A gzip file with a wrong checksum, length or header."""
    data = gzip.compress(draft.files[draft.file()], mtime=0)
    lies = (
        data[:-8] + bytes(8),
        data[:-4] + b"\xff" * 4,
        data[:3] + b"\xff" + data[4:],
        data[:10],
        data + b"rest",
        zlib.compress(data),
    )
    _replace(draft, ".csv.gz", draft.random.choice(lies))


def parquet_bomb(draft: Draft) -> None:
    """A Parquet file of a few kilobytes and many million rows."""
    rows = draft.random.choice((2_000_000, 30_000_000))
    value = draft.random.choice((SENTINEL, SENTINEL * 2000))
    column = pa.DictionaryArray.from_arrays(_zeros(rows), pa.array([value]))
    _replace(draft, ".parquet", _written(pa.table({"patient_id": column, "day": _zeros(rows)})))


def parquet_types(draft: Draft) -> None:
    """Columns of types that no release has."""
    odd = (
        pa.array([{"a": 1}]),
        pa.array([[1, 2]]),
        pa.array([b"\xff\xfe"]),
        pa.array([10**30], pa.decimal128(38)),
        pa.nulls(1),
        pa.array([1], pa.timestamp("ns")),
        pa.array([1], pa.duration("s")),
        pa.array([2**64 - 1], pa.uint64()),
        pa.array([float("nan")], pa.float32()),
        pa.array([1.5], pa.float16()),
        pa.array([SENTINEL]).dictionary_encode(),
        pa.array([SENTINEL], pa.large_string()),
        pa.array([SENTINEL], pa.string_view()),
        pa.array([1], pa.time64("us")),
        pa.array([[("k", "v")]], pa.map_(pa.string(), pa.string())),
        pa.array([b"0123456789abcdef"], pa.binary(16)),
    )
    name = draft.file()
    if not name.endswith(".parquet"):
        return _replace(draft, ".parquet", _written(pa.table({"patient_id": draft.random.choice(odd)})))
    table = pq.read_table(pa.BufferReader(draft.files[name]))
    values = draft.random.choice(odd)
    column = pa.chunked_array([values] * table.num_rows, values.type)
    draft.files[name] = _written(
        table.set_column(draft.random.randrange(table.num_columns), draft.random.choice(table.column_names), column)
    )
    return None


def parquet_structure(draft: Draft) -> None:
    """Lies in a Parquet footer: length, magic, offsets; no columns, no rows, many groups, huge metadata."""
    name = draft.file()
    if not name.endswith(".parquet"):
        return
    data = draft.files[name]
    table = pq.read_table(pa.BufferReader(data))
    length = struct.unpack("<I", data[-8:-4])[0]
    footer = range(len(data) - 8 - length, len(data) - 8)
    with_notes = table.replace_schema_metadata({b"note": SENTINEL.encode() * 100_000, b"ARROW:schema": b"AAAA"})
    lies = (
        lambda: (
            data[:-8]
            + struct.pack("<I", draft.random.choice((0, 1, length - 1, length + 1, 2**31 - 1, 2**32 - 1)))
            + data[-4:]
        ),
        lambda: b"PARE" + data[4:-4] + b"PARE",
        lambda: data[-8 - length :],
        lambda: data[:4] + data[-8 - length :],
        lambda: _flipped(draft, data, footer, draft.random.choice((1, 2, 5))),
        lambda: _flipped(draft, data, range(4, footer.start), draft.random.choice((1, 20))),
        lambda: _written(table.select([])),
        lambda: _written(table.slice(0, 0)),
        lambda: _written(table, row_group_size=1),
        lambda: _written(with_notes),
        lambda: _written(table, compression=draft.random.choice(("brotli", "zstd", "gzip", "lz4")), data_page_size=64),
    )
    draft.files[name] = draft.random.choice(lies)()


PLAIN: tuple[Callable[[Draft], None], ...] = (
    flip_bytes,
    flip_the_beginning,
    flip_the_end,
    truncate,
    cut_out,
    blank_out,
    put_in,
    mix_encodings,
    line_ends,
    many_rows,
    parquet_types,
    parquet_structure,
    parquet_structure,
)
PACKED: tuple[Callable[[Draft], None], ...] = (
    flip_bytes,
    flip_the_beginning,
    truncate,
    another_format,
    gzip_bomb,
    zstd_bomb,
    deflate_claims,
    parquet_bomb,
)


def _damage(draft: Draft, spoil: Callable[[bytes], bytes]) -> None:
    name = draft.file()
    draft.files[name] = spoil(draft.files[name])


def _flipped(draft: Draft, data: bytes, places: range, count: int) -> bytes:
    spoilt = bytearray(data)
    for _ in range(count if len(places) else 0):
        spoilt[draft.random.choice(places)] ^= 1 << draft.random.randrange(8)
    return bytes(spoilt)


def _replace(draft: Draft, ending: str, data: bytes) -> None:
    """Put other bytes in a file's place, with the ending that fits them."""
    name = draft.file()
    del draft.files[name]
    draft.files[name.partition(".")[0] + ending] = data


def _zeros(rows: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(bytes(4 * rows))])


def _written(table: pa.Table, **options: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **options)
    return written.getvalue()
