"""Texts as a person reads them: what Unicode offers to make an identifier look different to a machine is undone.

Only for scanning: what is stored stays as it was given.
"""

import polars as pl

INVISIBLE = (
    r"[\x{00AD}\x{034F}\x{061C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}"
    r"\x{2060}-\x{206F}\x{3164}\x{FE00}-\x{FE0F}\x{FEFF}\x{FFA0}\x{E0000}-\x{E007F}]"
)
_DASHES = r"[\x{2010}-\x{2015}\x{2212}\x{2043}\x{02D7}\x{30FC}]"
_LOOKALIKES = dict(
    zip(
        "аеорсухкмтнвіјѕАЕОРСУХКМТНВІЈЅοαειντυκρΟΑΕΙΝΤΥΚΡ",
        "aeopcyxkmthbijsAEOPCYXKMTHBIJSoaeivtukpOAEINTYKP",
        strict=True,
    )
)
# Digits of the Arabic, Persian, Devanagari and Bengali scripts; NFKD already turns full-width ones into plain ones.
_DIGITS = {chr(zero + digit): str(digit) for zero in (0x0660, 0x06F0, 0x0966, 0x09E6) for digit in range(10)}


def plain(texts: pl.Series) -> pl.Series:
    """Compatibility form without accents or invisible characters; plain letters, digits and dashes for look-alikes."""
    if not texts.str.contains(r"[^\x00-\x7F]").any():
        return texts
    folded = (
        texts.str.normalize("NFKD")
        .str.replace_all(INVISIBLE, "")
        .str.replace_all(r"\p{Mn}", "")
        .str.replace_all(_DASHES, "-")
    )
    same = _LOOKALIKES | _DIGITS
    return folded.str.replace_many(list(same), list(same.values()))
