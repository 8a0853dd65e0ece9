"""Pseudonyms of simulated patients, sites and surgeons.

They look random, never repeat within a cohort, and hold no run of digits that a de-identification guard could take
for a number of a real person.
"""

import itertools

import numpy as np
import polars as pl

_TRIPLES = pl.Series(["".join(t) for t in itertools.product("0123456789abcdef", repeat=3)])
_LETTERS = pl.Series(list("abcdef"))
_MASK = np.uint64((1 << 48) - 1)


def patient_ids(first: int, count: int, seed: int) -> pl.Series:
    """Pseudonyms of patients number `first` to `first + count − 1` of the cohort with this seed."""
    number = _scatter(np.arange(first, first + count, dtype=np.uint64), seed)
    pieces = [
        _TRIPLES.gather(((number >> np.uint64(shift)) & np.uint64(0xFFF)).astype(np.int64)) for shift in (0, 12, 24, 36)
    ]
    letters = [
        _LETTERS.gather(((number >> np.uint64(shift)) % np.uint64(6)).astype(np.int64)) for shift in (3, 17, 29, 40)
    ]
    columns = [piece for pair in zip(pieces, letters, strict=True) for piece in pair]
    named = [column.alias(str(place)) for place, column in enumerate(columns)]
    ids = pl.DataFrame(named).select(id=pl.concat_str(pl.lit("SM-"), *(c.name for c in named)))
    # one in 130,000 would be letters alone, which the guard takes for a name
    has_digit = pl.col("id").str.contains(r"\d")
    return ids.select(pl.when(has_digit).then("id").otherwise(pl.col("id").str.head(-1) + "7").alias("id"))["id"]


def site_ids(count: int) -> pl.Series:
    """Pseudonyms of sites in order."""
    return pl.Series([f"site-{number + 1:02d}" for number in range(count)])


def _scatter(number: np.ndarray, seed: int) -> np.ndarray:
    """A permutation of the 48-bit numbers: odd multipliers and xor-shifts are invertible, so nothing repeats."""
    offset = np.uint64((seed * 0x9E3779B97F4A7C15) & int(_MASK))
    for multiplier in (0x5851F42D4C95, 0x2545F4914F6D):
        number = (number + offset) & _MASK
        number = (number * np.uint64(multiplier)) & _MASK
        number = number ^ (number >> np.uint64(23))
    return number
