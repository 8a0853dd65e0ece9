"""Compressed files (`.gz`, `.zst`) unpacked, with a limit against files that blow up.

The manifest's hash is that of the compressed file.
"""

import io
import zlib

from pipelines.ingest.errors import ReleaseRefused

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
LARGEST_RATIO = 200  # text of such tables packs to a tenth or twentieth of its size
_ALWAYS_ALLOWED = 50_000_000
_CHUNK = 1 << 24


def largest_size(data: bytes) -> int:
    """How many bytes a compressed file may unpack to."""
    return max(_ALWAYS_ALLOWED, LARGEST_RATIO * len(data))


def unpacked(data: bytes, suffix: str, file: str) -> bytes:
    """The content of a compressed file.

    Raises:
        ReleaseRefused: the file is damaged, or unpacks to far more than such a table can be.
    """
    import pyarrow as pa  # rarely needed, and it would slow `lss check`

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
