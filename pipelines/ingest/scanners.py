"""Patterns that find identifiers in text, run over whole columns at once.

A pattern says what it found by kind, never what the text was. Which columns are scanned, and what a find means for
the release, is in `guard.py`; what headers give away is in `headers.py`; what the patterns find is measured by
`recall.py`. Kinds follow 45 CFR 164.514(b)(2)(i). Patterns use the syntax of Rust's regex crate (no look-around).

Presidio and scrubadub were looked at first: both read text by text in Python through a language model that has to be
fetched (minutes for a million values, seconds to start), which a table of codes neither needs nor can afford.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import polars as pl

from pipelines.ingest.folding import INVISIBLE, plain
from pipelines.resources import data_folder

_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|januar|februar|marz|maerz|mai|juni|juli|okt|dez"
    r"|janv|fevr|avr|juin|juil|aout|enero|abril|agosto|dic)[a-z]{0,7}\.?"
)
_STREET = (
    r"(?:st|street|ave|avenue|rd|road|blvd|boulevard|ln|lane|drive|court|way|place|terrace|parkway|highway"
    r"|straße|strasse)"
)
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]"
    r"|W[AIVY])"
)
_RECORD = (
    r"(?:mrn|ssn|mbi|hicn|acct|account|chart|record|passport|policy|member|subscriber|claim|encounter|visit|case|specimen"
    r"|accession|serial|s/n|lot|licen[cs]e|lic|dl|plate|npi|dea|udi|pid|patient id|hospital no|nhs)"
)
_B = r"(?:^|[^0-9A-Za-z])"  # begins
_E = r"(?:$|[^0-9A-Za-z])"  # ends
_YEAR = r"(?:1[89]|20)\d{2}"


@dataclass(frozen=True)
class Scanner:
    """One kind of identifier and the pattern that finds it; `kind` completes a message (`…: an e-mail address`)."""

    kind: str
    pattern: str


HIDDEN_CHARACTER = Scanner("invisible characters", INVISIBLE)
EVERYWHERE = (
    Scanner(
        "an e-mail address",
        r"(?i)[a-z0-9._%+'-]+\s?(?:@|\(at\)|\[at\]|\sat\s)\s?[a-z0-9-]+(?:\.|\s?[(\[]?dot[)\]]?\s?)[a-z]{2,}",
    ),
    Scanner(
        "a web address",
        r"(?i)(?:https?|s?ftps?)\s?:|\bwww\d?\.|\b[a-z0-9-]+\.(?:com|org|net|edu|gov|health|info|biz)\b"
        r"|\b[a-z][a-z0-9-]+\.(?:ch|cn|de|dk|es|eu|fi|fr|internal|intranet|io|jp|lan|local|ly|nl|pl|se|uk)(?:$|[^.a-z0-9])",
    ),
    Scanner("a social security number", _B + r"\d{3}[- ./_]\d{2}[- ./_]\d{4}" + _E),
    Scanner("an internet address", _B + r"(?:\d{1,3}\.){3}\d{1,3}" + _E),
    Scanner("a device number", r"(?i)" + _B + r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}" + _E),
    Scanner("an internet address", r"(?i)" + _B + r"(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}|[0-9a-f]{1,4}::[0-9a-f]{1,4}"),
    Scanner("a date", _B + _YEAR + r"\s?[-/._ ]\s?(?:0?[1-9]|1[0-2])\s?[-/._ ]\s?(?:0?[1-9]|[12]\d|3[01])(?:$|[^0-9])"),
    Scanner("a date", _B + r"\d{1,2}\s?[-/._]\s?\d{1,2}\s?[-/._]\s?(?:\d{2}|\d{4})" + _E),
    Scanner(
        "a date",
        r"(?i)" + _B + r"\d{1,2}(?:st|nd|rd|th)?[-/. ]{0,2}(?:of\s)?" + _MONTH + r"(?:[-/., ]*(?:\d{4}|\d{2}))?" + _E,
    ),
    Scanner("a date", r"(?i)" + _B + _MONTH + r"[-/. ]*\d{1,2}(?:st|nd|rd|th)?(?:[-/., ]+(?:\d{4}|\d{2}))?" + _E),
    Scanner("a date", r"(?i)" + _B + _MONTH + r"[-/., ]*" + _YEAR + _E),
    Scanner("a date", _B + _YEAR + r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:$|[^0-9])"),
    Scanner("a date", r"\d{4}年\d{1,2}月"),
    Scanner(
        "a date", r"(?i)" + _B + rf"\d{{1,2}}[-/. ]\s?(?:i{{1,3}}|i?[vx]|vi{{1,3}}|xi{{1,2}})[-/. ]\s?{_YEAR}" + _E
    ),
    Scanner("a telephone number", _B + r"(?:\+?1[-. ]?)?\(?[2-9]\d{2}\)?\s?[-. /]\s?\d{3}\s?[-. ]\s?\d{4}(?:$|[^0-9])"),
    Scanner("a telephone number", r"(?:^|[^0-9A-Za-z])(?:\+|00)[1-9][0-9 ().-]{7,18}[0-9]"),
    Scanner(
        "a record number",
        r"(?i)(?:^|[^a-z])" + _RECORD + r"[^a-z0-9]{0,3}(?:no|nr|num|number|id)?[^a-z0-9]{0,3}[a-z]{0,3}-?\d{4,}",
    ),
    Scanner(
        "a vehicle or device number",
        r"(?i)\b(?:plate|vin|serial|s/n|dl|licen[cs]e)[^a-z0-9]{1,3}(?:no[^a-z0-9]{0,2})?[a-z0-9-]*\d[a-z0-9-]*\d",
    ),
    Scanner(
        "an insurance number",
        _B
        + r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y0-9]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}"
        + _E,
    ),
    Scanner("a device number", r"\(01\)\s?\d{14}"),
    Scanner("a year of birth", r"(?i)\b(?:born|dob|yob|birth\w*)[^a-z0-9]{0,3}(?:in\s)?\d{2,4}"),
    Scanner("a name", r"(?i)^[\p{L}'-]{2,},\s?[\p{L}.'-]{1,}$"),
    Scanner(
        "an image or recording",
        r"(?i)\.(?:jpe?g|png|gif|tiff?|bmp|webp|svg|heic|dcm|mp4|mov|avi|mkv|webm|wmv|flv|mpe?g|3gp|wav|mp3|m4a|ogg|flac)\b",
    ),
)
IN_TEXT = (
    Scanner(
        "a date",
        r"(?i)" + _B + _YEAR + r"[-/](?:0[1-9]|1[0-2])" + _E + "|" + _B + r"(?:0?[1-9]|1[0-2])[-/]" + _YEAR + _E,
    ),
    Scanner("a date", r"(?i)" + _B + _YEAR + r"[- ]?(?:Q[1-4]|W\d{2})" + _E + "|" + _B + r"Q[1-4][-/ ]?" + _YEAR + _E),
    Scanner(
        "an age above 89",
        r"(?i)\b(?:9\d|1[0-2]\d)[- ]?(?:years?\b|y/?o\b|y\.o\.|yrs?\b)|\baged?[^a-z0-9]{0,3}(?:9\d|1[0-2]\d)\b",
    ),
    Scanner(
        "a street address",
        r"(?i)\b\d{1,5}[a-z]?\s+(?:[\p{L}.]+\s+){1,3}"
        + _STREET
        + r"\b|\b\d{1,3}(?:st|nd|rd|th)\s+"
        + _STREET
        + r"\b|\b[\p{L}]+(?:straße|strasse)\s\d|\bp\.?\s?o\.?\sbox\s\d|\b(?:apt|suite)\.?\s\d",
    ),
    Scanner("a place", r"\b[A-Z][\p{L}.' -]+,\s?" + _STATE + r"\b|(?i:\b[\p{L}]+\s(?:county|parish)\b)"),
    Scanner("a place", _B + r"-?\d{1,2}\.\d{3,},?\s?-?\d{1,3}\.\d{3,}" + _E),
    Scanner("a vehicle number", r"\b[A-HJ-NPR-Z0-9]{3}[A-HJ-NPR-Z]{2}[A-HJ-NPR-Z0-9]{6}[0-9]{6}\b|(?i:\bVIN\b)"),
    Scanner("an account name", r"(?:^|\s)@[A-Za-z]\w{2,}"),
    Scanner("a name", r"(?i)\b(?:mr|mrs|ms|miss|dr|prof|herr|frau|mme|sr|sra)\.?\s+[\p{L}]{2,}"),
    Scanner("a postal code", _B + r"\d{5}(?:-\d{4})?" + _E),
    Scanner("a long number", r"(?:^|[^0-9.])\d(?:[ -]?\d){5,}(?:$|[^0-9.])"),
)
_HASH = r"[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}"
_NO_UUID4 = r"[0-9a-f]{12}[0-35-9a-f][0-9a-f]{19}|[0-9a-f]{16}[0-7c-f][0-9a-f]{15}"
_BASE64 = r"[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{27}=|[A-Za-z0-9+/]{43}="
# A day of birth with a serial (Nordic countries), a British insurance number, an Italian fiscal code.
_PERSONAL = (
    r"\d{2}(?:0[1-9]|1[0-2])\d{2}[-+a]\d{3,7}[0-9a-z]?|[a-ceghj-prtw-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]"
    r"|[a-z]{6}\d{2}[a-z]\d{2}[a-z]\d{3}[a-z]"
)
_IBAN = (
    r"(?:at|ch|cz|dk|es|fi|fr|gb|gr|hu|ie|it|lt|lu|lv|nl|no|pl|pt|ro|se|si|sk|tr)\d{2}[0-9a-z]{10,30}|de\d{20}|be\d{14}"
)
_BEFORE_A_HASH = r"(?:0x|[a-z]{1,6}[-_:.]?)?"
_DASHED_HASH = r"(?:[0-9a-f]{4,8}-){4,}[0-9a-f]{4,8}"  # 8-4-4-4-12 of a UUID ends longer
IN_PSEUDONYMS = (
    Scanner(
        "what looks like the plain hash of an identifier",
        rf"(?i)^{_BEFORE_A_HASH}(?:{_HASH}|{_NO_UUID4}|{_DASHED_HASH})$|^(?:{_BASE64})$",
    ),
    Scanner(
        "an identifier made from a name, a time or a machine, not at random",
        r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[1235][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$",
    ),
    Scanner("a date", rf"(?i)^[a-z]{{1,4}}[-_]?{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:$|[^0-9])"),
    Scanner("a record number", r"(?i)^(?:acc|enc|vis|csn|har|fin)[-_]?\d{5,}"),
    Scanner("a telephone number", r"^\+?\(\d{2,5}\)"),
    Scanner("a national personal number", rf"(?i)^(?:{_PERSONAL})$"),
    Scanner("a bank account number", rf"(?i)^(?:{_IBAN})$"),
    Scanner("the name of an institution", r"(?i)hospital|clinic\b|medical\s?cent|infirmary|university|health\s?system"),
)
POSTAL_CODE, LONG_NUMBER = IN_TEXT[-2:]
_LETTERS_ALONE = r"^[\p{L}\p{M}.,'_ -]*\p{L}{2}[\p{L}\p{M}.,'_ -]*$"  # and four of them, or one beyond ASCII
_ROLE = r"(?:surgeon|operator|doctor|patient|subject|person|case|unit|team|group|site|center|centre|id)"
_NUMBERED = rf"(?i)^{_ROLE}[ _.-]?[a-z]{{0,2}}$"  # surgeonA
_WORD = r"\p{L}{4,}"
_SEVEN = r"^(?:[A-Z]*\d)[0-9A-Z]*$"  # ICD-10-PCS: seven capitals and digits, in any order
_TELLING = ("an e-mail address", "a social security number", "a telephone number", "an insurance number")
_MOST_DIGITS = 4  # of a class, as in "9-12 years"
_SHORT = r"^(?:[A-Z0-9]{1,2}|[a-z]|\d{1,3})$"


@cache
def harmless_words(of: str) -> frozenset[str]:
    """Words that name nobody, without capitals or accents: of `class` (of insurance, education), `site` or `code`."""
    return frozenset(pl.read_csv(data_folder() / "guard" / f"{of}_words.csv", infer_schema=False)["word"])


def is_strange(values: pl.Series, more: tuple[str, ...]) -> pl.Series:
    """Whether each text holds a word that no class is made of; short codes and numbers of up to three digits may stand.

    Patterns cannot know every name and place of the world, a list of harmless words can be kept.
    """
    words = plain(values).str.extract_all(r"[\p{L}\p{M}\p{N}]+")
    known = [*harmless_words("class"), *(word.lower() for text in more for word in text.split())]
    is_known = pl.element().str.to_lowercase().is_in(known) | pl.element().str.contains(_SHORT)
    return ~words.list.eval(is_known).list.all() | (values.str.count_matches(r"\p{N}") > _MOST_DIGITS)


def may_be_name(pseudonyms: pl.Series) -> pl.Series:
    """Whether each pseudonym is made of letters alone, four or more: one made at random has a digit."""
    texts = plain(pseudonyms)
    is_long = (texts.str.count_matches(r"\p{L}") >= 4) | texts.str.contains(r"[^\x00-\x7F]")
    return is_long & texts.str.contains(_LETTERS_ALONE) & ~texts.str.contains(_NUMBERED)


def may_be_place(sites: pl.Series) -> pl.Series:
    """Whether each pseudonym of a site may be a name, words that number sites aside (`north`, `trial`, `hospB`)."""
    words = plain(sites).str.to_lowercase().str.extract_all(_WORD)
    harmless = "|".join(harmless_words("site") | harmless_words("class"))
    return may_be_name(sites) & ~words.list.eval(pl.element().str.contains(rf"^(?:{harmless})[a-z]{{0,2}}$")).list.all()


def is_no_code(codes: pl.Series, more: Iterable[str]) -> pl.Series:
    """Whether each code, or name of a code system, holds a word: four letters on end that `more` does not name.

    Seven capitals and digits may be a code of ICD-10-PCS, and the words that classes are made of name nobody.
    """
    texts = plain(codes)
    words = texts.str.to_lowercase().str.extract_all(_WORD)
    known = [*harmless_words("class"), *harmless_words("code"), *re.findall(r"[^\W\d_]+", " ".join(more).lower())]
    is_known = words.list.eval(pl.element().is_in(known)).list.all()
    return ~is_known & ~((texts.str.len_chars() == 7) & texts.str.contains(_SEVEN))


@cache
def frequent_name() -> Scanner:
    """Frequent given and family names as whole words."""
    names = pl.read_csv(data_folder() / "guard" / "frequent_names.csv")["name"]
    return Scanner("a name", rf"(?i)(?:^|[^\p{{L}}])(?:{'|'.join(names)})(?:$|[^\p{{L}}])")


def scanners_for(kind: str) -> tuple[Scanner, ...]:
    """What to look for in a column of this kind.

    Args:
        kind: `text` (a field that may hold anything), `pseudonym`, `site` (a pseudonym of a place, which a postal code
            is not), or `code` (of a code system, where five digits are no postal code).
    """
    more = {
        "text": IN_TEXT,
        "pseudonym": IN_PSEUDONYMS,
        "site": (*IN_PSEUDONYMS, POSTAL_CODE),
        "code": (LONG_NUMBER,),
    }
    return (HIDDEN_CHARACTER, *EVERYWHERE, frequent_name(), *more[kind])


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


def identifier_in_name(text: str) -> str | None:
    """The kind of identifier in the name of a file or a release, or beside a file's columns, or None.

    A date or a number there is when something was exported, or which version it is.
    """
    find = first_find(
        pl.Series([text]), (HIDDEN_CHARACTER, *(s for s in EVERYWHERE if s.kind in _TELLING), frequent_name())
    )
    return find[1] if find else None


def kind_of_identifier(text: str) -> str | None:
    """The kind of identifier that a single text holds (`an e-mail address`), or None."""
    find = first_find(pl.Series([text]), scanners_for("text"))
    return find[1] if find else None
