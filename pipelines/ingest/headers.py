"""What a column's name gives away: header patterns of direct identifiers, and how a column may be named in a message.

Values are looked at in `scanners.py`.
"""

import re
from collections.abc import Sequence

# Parts of a header that name a direct identifier, 45 CFR 164.514(b)(2)(i). Single words are matched as whole parts of
# the name (`ip` in `ip_address`, not in `zip` or `description`); longer stems wherever they stand.
_STEMS = {
    "name": "a person's name",
    "mrn": "medical record numbers",
    "recordnumber": "medical record numbers",
    "chartn": "medical record numbers",
    "ssn": "social security numbers",
    "socialsec": "social security numbers",
    "birth": "dates of birth",
    "dateof": "calendar dates",
    "deathdate": "calendar dates",
    "addr": "addresses",
    "street": "addresses",
    "county": "places smaller than a state",
    "postal": "postal codes",
    "postcode": "postal codes",
    "zip": "postal codes",
    "phone": "telephone numbers",
    "telephone": "telephone numbers",
    "email": "e-mail addresses",
    "account": "account numbers",
    "policy": "insurance numbers",
    "member": "insurance numbers",
    "beneficiary": "insurance numbers",
    "licen": "licence numbers",
    "serial": "device numbers",
    "accession": "accession numbers",
    "photo": "images of a person",
    "fingerprint": "biometric data",
    "comment": "free text",
    "note": "free text",
    "narrative": "free text",
    "freetext": "free text",
    "timestamp": "calendar dates",
}
_PARTS = {
    "dob": "dates of birth",
    "dod": "calendar dates",
    "date": "calendar dates",
    "dates": "calendar dates",
    "datetime": "calendar dates",
    "admission": "calendar dates",
    "discharge": "calendar dates",
    "city": "places smaller than a state",
    "town": "places smaller than a state",
    "fax": "fax numbers",
    "tel": "telephone numbers",
    "mobile": "telephone numbers",
    "mail": "e-mail addresses",
    "plate": "vehicle numbers",
    "vin": "vehicle numbers",
    "udi": "device numbers",
    "device": "device numbers",
    "implant": "device numbers",
    "ip": "internet addresses",
    "url": "web addresses",
    "web": "web addresses",
    "face": "images of a person",
    "finger": "biometric data",
    "voice": "biometric data",
    "npi": "provider numbers",
    "mbi": "insurance numbers",
    "nhs": "national patient numbers",
    "initials": "a person's name",
    "surname": "a person's name",
    "acct": "account numbers",
    "text": "free text",
    "remarks": "free text",
}
_WORD_LIKE = re.compile(r"[A-Za-z][A-Za-z_ .-]{0,39}")


def identifier_kind(header: str) -> str | None:
    """The kind of identifier that a header announces (`social security numbers`), or None."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    parts = [part for part in re.split(r"[^a-z0-9]+", spaced.lower()) if part]
    for part in parts:
        kind = _PARTS.get(part.rstrip("0123456789"))
        if kind:
            return kind
    squeezed = "".join(parts)
    return next((kind for stem, kind in _STEMS.items() if stem in squeezed), None)


def shown_column(header: str, headers: Sequence[str]) -> str:
    """How a message may call an unknown column: by name if it is a plain word, else by its place.

    A file without a header shows its first patient where the names should be; such a cell must not be printed.
    """
    if _WORD_LIKE.fullmatch(header):
        return f"the column {header}"
    return f"an unknown column in place {list(headers).index(header) + 1}"
