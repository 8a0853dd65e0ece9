"""From the bytes of a text file to UTF-8 with plain line ends: byte-order marks, UTF-16, carriage returns.

An encoding is never guessed from letters: what is neither UTF-8 nor UTF-16 is refused, since a wrong guess would change
words in silence.
"""

import codecs

from pipelines.ingest.errors import ReleaseRefused

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_SAMPLE = 4000  # bytes that tell UTF-16 by its zeros
_CONTROL = bytes(set(range(32)) - {0x09, 0x0A, 0x0D})


def utf8_text(data: bytes, file: str) -> bytes:
    """The file's text as UTF-8, without byte-order mark and with `\\n` at line ends.

    Raises:
        ReleaseRefused: neither UTF-8 nor UTF-16, not text at all, or empty.
    """
    data = _from_utf16(data, file).removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if len(data.translate(None, _CONTROL)) < len(data):
        raise ReleaseRefused(f"{file} is not a text file; hand over CSV as UTF-8 text, or Parquet")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ReleaseRefused(
                f"{file} is not UTF-8 text (line {line}); save it as UTF-8 and write the manifest again"
            ) from None
    if not data.strip():
        raise ReleaseRefused(f"{file} is empty; write at least the header row")
    return data


def _from_utf16(data: bytes, file: str) -> bytes:
    """UTF-16 as UTF-8, told by its byte-order mark or by zeros in every other byte; anything else as it is."""
    encoding = _UTF16.get(data[:2])
    if encoding is None:
        sample = data[:_SAMPLE]
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        half = len(sample) // 2
        encoding = "utf-16-le" if odd > 0.9 * half > even else "utf-16-be" if even > 0.9 * half > odd else None
    if encoding is None or not data:
        return data
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    except UnicodeError:
        raise ReleaseRefused(
            f"{file} is not valid UTF-16 text; save it as UTF-8 and write the manifest again"
        ) from None
