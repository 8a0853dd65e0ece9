"""Compressed files (`.gz`, `.zst`) unpacked, with a limit against files that blow up.

The manifest's hash is that of the compressed file.
"""

import io
import zlib

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.scanners import identifier_in_name

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LARGEST_RATIO = 60  # text of such tables packs to a tenth or twentieth of its size
_ALWAYS_ALLOWED = 50_000_000
_CHUNK = 1 << 24
# RFC 1952: flags of a gzip header, and where its optional fields begin.
_GZ_EXTRA, _GZ_NAME, _GZ_COMMENT, _GZ_FIELDS = 0x04, 0x08, 0x10, 10
_ZSTD_SKIPPED = b"\x2a\x4d\x18"  # RFC 8878: after a byte of 0x50 to 0x5F, a frame that readers skip


def largest_size(data: bytes) -> int:
    """How many bytes a compressed file may unpack to."""
    return max(_ALWAYS_ALLOWED, LARGEST_RATIO * len(data))


def unpacked(data: bytes, suffix: str, file: str) -> bytes:
    """The content of a compressed file.

    Raises:
        ReleaseRefused: the file is damaged, or unpacks to far more than such a table can be.
    """
    import pyarrow as pa  # rarely needed, and it would slow `lss check`

    _refuse_notes(data, suffix, file)
    limit = largest_size(data)
    content = io.BytesIO()
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), COMPRESSIONS[suffix]) as stream:
            while chunk := stream.read(_CHUNK):
                content.write(chunk)
                if content.tell() > limit:
                    raise ReleaseRefused(
                        f"{file} unpacks to more than {LARGEST_RATIO} times its size; hand it over as it is"
                    )
    except (OSError, pa.ArrowException, zlib.error):
        raise ReleaseRefused(f"{file} cannot be unpacked; compress it again or hand over the plain file") from None
    return content.getvalue()


def _refuse_notes(data: bytes, suffix: str, file: str) -> None:
    """What a compressed file can hold beside its content: a comment, its first name, frames that nobody reads."""
    is_noted = suffix == ".zst" and data[1:4] == _ZSTD_SKIPPED and 0x50 <= data[0] <= 0x5F
    if suffix == ".gz" and len(data) > _GZ_FIELDS:
        flags, rest = data[3], data[_GZ_FIELDS:]
        is_noted = bool(flags & _GZ_COMMENT) or (bool(flags & _GZ_EXTRA) and rest[2:4] != b"BC")  # BC: block gzip
        if flags & _GZ_NAME and not flags & _GZ_EXTRA:
            is_noted |= identifier_in_name(rest.split(b"\0", 1)[0].decode("latin-1")) is not None
    if is_noted:
        raise ReleaseRefused(
            f"{file} carries a note beside its content, which could name a person; compress it again without it"
        )
