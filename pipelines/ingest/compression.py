"""Compressed files (`.gz`, `.zst`) unpacked, with a limit against files that blow up.

The manifest's hash is that of the compressed file.
"""

import io
import zlib
from collections.abc import Iterator

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.scanners import identifier_in_name

COMPRESSIONS = (".gz", ".zst")
LARGEST_RATIO = 60  # text of such tables packs to a tenth or twentieth of its size
_ALWAYS_ALLOWED = 50_000_000
_CHUNK = 1 << 24
# RFC 1952: flags of a gzip header, and where its optional fields begin.
_GZ_CHECKED, _GZ_EXTRA, _GZ_NAME, _GZ_COMMENT, _GZ_FIELDS = 0x02, 0x04, 0x08, 0x10, 10
_LONGEST_HEADER, _FED = 70_000, 1 << 18  # an extra field has up to 65,535 bytes; bytes given to zlib at once
_GZ_MAGIC, _GZ_WINDOW = b"\x1f\x8b", 31
_BLOCK_GZIP = b"\x06\x00BC\x02\x00"  # length, mark and length of the one extra field of block gzip: a block's size
# RFC 8878: a frame of content; its header's optional fields by their flags, and what ends it.
_ZSTD_MAGIC, _ZSTD_DICTIONARY, _ZSTD_SIZE, _ZSTD_RUN = b"\x28\xb5\x2f\xfd", (0, 1, 2, 4), (0, 2, 4, 8), 1


def largest_size(data: bytes) -> int:
    """How many bytes a compressed file may unpack to."""
    return max(_ALWAYS_ALLOWED, LARGEST_RATIO * len(data))


def unpacked(data: bytes, suffix: str, file: str) -> bytes:
    """The content of a compressed file; what such a file can carry beside its content refuses it.

    Raises:
        ReleaseRefused: the file is damaged, unpacks to far more than such a table can be, or carries a note.
    """
    limit, content = largest_size(data), io.BytesIO()
    try:
        for chunk in _gzip(data, file) if suffix == ".gz" else _zstandard(data, file):
            content.write(chunk)
            if content.tell() > limit:
                raise ReleaseRefused(
                    f"{file} unpacks to more than {LARGEST_RATIO} times its size; hand it over as it is"
                )
    except (OSError, ValueError, IndexError, zlib.error) as error:
        if isinstance(error, ReleaseRefused):
            raise
        raise ReleaseRefused(f"{file} cannot be unpacked; compress it again or hand over the plain file") from None
    return content.getvalue()


def _note(file: str) -> ReleaseRefused:
    return ReleaseRefused(
        f"{file} carries a note beside its content, which could name a person; compress it again without it"
    )


def _gzip(data: bytes, file: str) -> Iterator[bytes]:
    """The content of every member of a gzip file, each header looked at; only zeros may stand behind the last."""
    place = 0
    while place < len(data):
        if data[place : place + 2] != _GZ_MAGIC:
            if place and not data[place:].strip(b"\0"):
                return
            raise _note(file) if place else ValueError("no gzip file")
        if _is_noted(data[place : place + _LONGEST_HEADER]):
            raise _note(file)
        member = zlib.decompressobj(_GZ_WINDOW)
        while not member.eof:
            piece = memoryview(data)[place : place + _FED]
            place += len(piece)
            yield (chunk := member.decompress(piece, _CHUNK))
            while member.unconsumed_tail and not member.eof:
                yield (chunk := member.decompress(member.unconsumed_tail, _CHUNK))
            if not piece and not chunk and not member.eof:
                raise ValueError("a member that does not end")
        place -= len(member.unused_data)


def _is_noted(member: bytes) -> bool:
    """Whether the header of a gzip member holds a comment, an extra field, or a file's name that names a person."""
    flags, rest = member[3], member[_GZ_FIELDS:]
    if flags & _GZ_COMMENT or flags & ~(_GZ_CHECKED | _GZ_EXTRA | _GZ_NAME | _GZ_COMMENT | 1):
        return True
    if flags & _GZ_EXTRA:
        if not rest.startswith(_BLOCK_GZIP):
            return True
        rest = rest[len(_BLOCK_GZIP) + 2 :]
    return bool(flags & _GZ_NAME) and identifier_in_name(rest.split(b"\0", 1)[0].decode("latin-1")) is not None


def _zstandard(data: bytes, file: str) -> Iterator[bytes]:
    """The content of a Zstandard file whose every frame is one of content, none that readers skip."""
    import pyarrow as pa  # rarely needed, and it would slow `lss check`

    place = 0
    while place < len(data):
        if data[place : place + 4] != _ZSTD_MAGIC:
            raise ValueError if not place and data[1:4] != b"\x2a\x4d\x18" else _note(file)
        place = _end_of_frame(data, place)
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except pa.ArrowException:
        raise ValueError("damaged") from None


def _end_of_frame(data: bytes, place: int) -> int:
    """Where the frame of content that begins at a place ends; raises IndexError or ValueError where it does not."""
    flags = data[place + 4]
    is_single = flags >> 5 & 1
    size = _ZSTD_SIZE[flags >> 6] or is_single
    place += 5 + (1 - is_single) + _ZSTD_DICTIONARY[flags & 3] + size
    is_last = False
    while not is_last:
        head = int.from_bytes(data[place : place + 3], "little")
        if place + 3 > len(data):
            raise ValueError("a frame that does not end")
        is_last, kind, length = bool(head & 1), head >> 1 & 3, head >> 3
        place += 3 + (1 if kind == _ZSTD_RUN else length)
    return place + (4 if flags >> 2 & 1 else 0)
