"""Identifiers that nobody here thought of, made by the library faker in the manner of many countries.

The corpus of `recall.py` and the patterns of `scanners.py` were written by the same people, so its recall is an upper
bound. Faker knows neither: what the guard finds of its names, addresses and numbers is the sterner figure. Faker is a
library for development; without it only this measurement is missing.
"""

import base64
import hashlib
import random
from collections.abc import Callable
from typing import Any

import polars as pl

LOCALES = (
    "en_US", "en_GB", "en_CA", "en_AU", "de_DE", "fr_FR", "es_ES", "es_MX", "it_IT", "nl_NL", "pl_PL", "pt_BR", "sv_SE",
    "no_NO", "da_DK", "fi_FI", "cs_CZ", "tr_TR", "ja_JP", "zh_CN", "ko_KR", "ar_AA", "hi_IN", "ru_RU", "uk_UA", "vi_VN",
)  # fmt: skip
_DATES = (
    "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%m/%d/%y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%A, %d %B %Y", "%Y/%m/%d",
    "%Y%m%d", "%d%b%Y", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M", "%B %Y", "%d.%m.",
)  # fmt: skip

Place = tuple[str, str]
CLASSES: tuple[Place, ...] = (("patients", "insurance"), ("patients", "education"))
WORDS: tuple[Place, ...] = (("assessments", "stop_reason"), ("events", "event"))
PSEUDONYMS: tuple[Place, ...] = (("patients", "patient_id"), ("treatments", "surgeon_id"))


def independent_identifiers(count: int, seed: int) -> pl.DataFrame:
    """A corpus like that of `recall.planted_identifiers`: kind, table, column, value; `count` rows a kind.

    Raises:
        ModuleNotFoundError: faker is not installed.
    """
    from faker import Faker

    made = Faker(list(LOCALES))
    made.seed_instance(seed)
    chance = random.Random(seed)
    rows = []
    for kind, (make, places) in _KINDS.items():
        for number in range(count):
            table, column = places[number % len(places)]
            rows.append((kind, table, column, make(made, chance).replace("\n", ", ")))
    return pl.DataFrame(rows, schema=["kind", "table", "column", "value"], orient="row")


def _pseudonym_of_name(made: Any, chance: random.Random) -> str:
    first, last = made.first_name(), made.last_name()
    written = (
        f"{last}{first[0]}",
        f"{first}.{last}",
        f"{last}_{first}",
        last,
        f"{last.upper()}-{first.upper()}",
        first,
    )
    return chance.choice(written).replace(" ", "")


def _sentence(made: Any, chance: random.Random) -> str:
    name, day = made.name(), made.date_object().strftime(chance.choice(_DATES[:9]))
    return chance.choice(
        (f"seen by {name}", f"called {made.phone_number()}", f"fell on {day}", f"moved to {made.city()}", f"ask {name}")
    )


def _hash(made: Any, chance: random.Random) -> str:
    secret = chance.choice((made.ssn(), str(chance.randrange(10**7)), made.phone_number(), made.name())).encode()
    digest = hashlib.new(chance.choice(("md5", "sha1", "sha256")), secret)
    return chance.choice((digest.hexdigest(), digest.hexdigest().upper(), base64.b64encode(digest.digest()).decode()))


def _any(*methods: str) -> Callable[[Any, random.Random], str]:
    def make(made: Any, chance: random.Random) -> str:
        return str(getattr(made, chance.choice(methods))())

    return make


_KINDS: dict[str, tuple[Callable[[Any, random.Random], str], tuple[Place, ...]]] = {
    "full name": (_any("name"), (*CLASSES, WORDS[0])),
    "name as a pseudonym": (_pseudonym_of_name, PSEUDONYMS),
    "sentence with one of them": (_sentence, (*CLASSES, *WORDS)),
    "street or whole address": (_any("street_address", "address"), CLASSES),
    "city": (_any("city"), CLASSES),
    "postal code": (_any("postcode"), CLASSES),
    "telephone number": (_any("phone_number"), (*CLASSES, WORDS[0], PSEUDONYMS[1])),
    "e-mail address": (_any("email", "company_email", "free_email"), (*CLASSES, WORDS[1], PSEUDONYMS[1])),
    "web address": (_any("url", "uri", "hostname"), CLASSES),
    "network address": (_any("ipv4", "ipv6", "mac_address"), CLASSES),
    "national personal number": (_any("ssn"), (*CLASSES, *PSEUDONYMS)),
    "bank or card number": (_any("iban", "credit_card_number", "bban"), (*CLASSES, *PSEUDONYMS)),
    "vehicle": (_any("vin", "license_plate"), CLASSES),
    "date": (lambda made, chance: made.date_object().strftime(chance.choice(_DATES)), (*CLASSES, *WORDS)),
    "picture or recording": (lambda made, chance: made.file_name(category=chance.choice(("image", "video"))), CLASSES),
    "plain hash of one of them": (_hash, PSEUDONYMS[:1]),
}
