"""Patterns that find identifiers in text, run over whole columns at once.

A pattern says what it found by kind, never what the text was. Which columns are scanned, and what a find means for
the release, is in `guard.py`; what headers give away is in `headers.py`.

Text is compared in Unicode's compatibility form (NFKC), which turns full-width digits and look-alike punctuation into
plain ones, and without invisible characters. Patterns use the syntax of Rust's regex crate (no look-around).
"""

import unicodedata
from dataclasses import dataclass

import polars as pl

INVISIBLE = (
    r"[\x{00AD}\x{034F}\x{061C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}"
    r"\x{2060}-\x{206F}\x{3164}\x{FE00}-\x{FE0F}\x{FEFF}\x{FFA0}\x{E0000}-\x{E007F}]"
)
_DASHES = r"[\x{2010}-\x{2015}\x{2212}\x{FE58}\x{FE63}\x{FF0D}\x{00B7}]"

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*"
_BEFORE = r"(?:^|[^0-9A-Za-z])"
_AFTER = r"(?:$|[^0-9A-Za-z])"


@dataclass(frozen=True)
class Scanner:
    """One kind of identifier and the pattern that finds it; `kind` completes the sentence `… holds …`."""

    kind: str
    pattern: str


SCANNERS = (
    Scanner(
        "an e-mail address",
        r"(?i)[a-z0-9._%+'-]+\s?(?:@|\(at\)|\[at\])\s?[a-z0-9-]+(?:\.|\s?\(dot\)\s?|\s?\[dot\]\s?)[a-z]{2,}",
    ),
    Scanner("a web address", r"(?i)(?:https?|ftps?|sftp)\s?:|\bwww\d?\."),
    Scanner("a social security number", _BEFORE + r"\d{3}[- ./]\d{2}[- ./]\d{4}" + _AFTER),
    Scanner("an internet address", _BEFORE + r"(?:\d{1,3}\.){3}\d{1,3}" + _AFTER),
    Scanner(
        "an internet address", r"(?i)" + _BEFORE + r"(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}|[0-9a-f]{1,4}::[0-9a-f]{1,4}"
    ),
    Scanner(
        "a date", _BEFORE + r"(?:1[89]|20)\d{2}[-/.]\s?(?:0?[1-9]|1[0-2])[-/.]\s?(?:0?[1-9]|[12]\d|3[01])(?:$|[^0-9])"
    ),
    Scanner("a date", _BEFORE + r"\d{1,2}\s?[-/.]\s?\d{1,2}\s?[-/.]\s?(?:\d{2}|\d{4})" + _AFTER),
    Scanner(
        "a date",
        r"(?i)"
        + _BEFORE
        + r"\d{1,2}(?:st|nd|rd|th)?[-/. ]?\s?(?:of\s)?"
        + _MONTH
        + r"[-/., ]*(?:\d{4}|\d{2})"
        + _AFTER,
    ),
    Scanner("a date", r"(?i)" + _BEFORE + _MONTH + r"[-/. ]*\d{1,2}(?:st|nd|rd|th)?[-/., ]+(?:\d{4}|\d{2})" + _AFTER),
    Scanner("a date", _BEFORE + r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:$|[^0-9])"),
    Scanner(
        "a telephone number", _BEFORE + r"(?:\+?1[-. ]?)?\(?[2-9]\d{2}\)?\s?[-. ]\s?\d{3}\s?[-. ]\s?\d{4}(?:$|[^0-9])"
    ),
    Scanner("a telephone number", r"(?:^|[^0-9A-Za-z])(?:\+|00)[1-9][0-9 ().-]{7,18}[0-9]"),
    Scanner(
        "a record number",
        r"(?i)\b(?:mrn|ssn|mbi|hicn|acct|account|chart|dob|medical record|record no|passport)"
        r"\W{0,3}(?:no|number|num)?\W{0,3}[a-z]{0,2}\d{3,}",
    ),
    Scanner("a device number", r"\(01\)\d{14}"),
    Scanner("an age above 89", r"(?i)\b(?:9\d|1[0-2]\d)[- ]?(?:years?[- ]old|y/?o\b|yrs?\b)"),
    Scanner(
        "a street address",
        r"(?i)\b\d{1,5}\s+(?:[a-z]+\.?\s+){1,3}(?:st|street|ave|avenue|rd|road|blvd|boulevard|ln|lane|dr|drive|ct|court|way|place|pl|terrace)\b",
    ),
    Scanner("a name", r"(?i)\b(?:mr|mrs|ms|miss|dr|prof)\.?\s+[a-z]{2,}"),
)
LONG_NUMBER = Scanner("a long number", r"(?:^|[^0-9.])\d(?:[ -]?\d){5,}(?:$|[^0-9.])")
POSTAL_CODE = Scanner("a postal code", _BEFORE + r"\d{5}(?:-\d{4})?" + _AFTER)
PLAIN_HASH = Scanner(
    "what looks like the plain hash of an identifier",
    r"(?i)^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$",
)
HIDDEN_CHARACTER = Scanner("invisible characters", INVISIBLE)


def plain(texts: pl.Series) -> pl.Series:
    """Texts as a person reads them: compatibility form, without invisible characters, one kind of dash."""
    if not texts.str.contains(r"[^\x00-\x7F]").any():
        return texts
    return texts.str.normalize("NFKC").str.replace_all(INVISIBLE, "").str.replace_all(_DASHES, "-")


def first_find(values: pl.Series, scanners: tuple[Scanner, ...]) -> tuple[int, str] | None:
    """Place and kind of the first value that a scanner finds something in (None: nothing found).

    Args:
        values: distinct texts without nulls, as they stand in the file.
        scanners: what to look for, the most telling kind first; `HIDDEN_CHARACTER` sees the text as it stands, all
            others its plain form.
    """
    if values.is_empty():
        return None
    texts = plain(values)
    suspicious = values.str.contains(INVISIBLE) | texts.str.contains("|".join(f"(?:{s.pattern})" for s in scanners))
    if not suspicious.any():  # one pass over all patterns at once; which one it was is asked only after a find
        return None
    for scanner in scanners:
        find = (values if scanner is HIDDEN_CHARACTER else texts).str.contains(scanner.pattern)
        if find.any():
            return int(find.arg_max() or 0), scanner.kind
    return None


def kind_of_identifier(text: str) -> str | None:
    """The kind of identifier that a single text holds (`an e-mail address`), or None."""
    find = first_find(pl.Series([unicodedata.normalize("NFKC", text)]), (*SCANNERS, LONG_NUMBER))
    return find[1] if find else None
