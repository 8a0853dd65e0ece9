"""Standardised differences as they may be shown: where one would give away a count, it is made from printed counts.

An unweighted difference of an indicator is a function of two counts of patients, so that one who knows the first can
work out the second. It is therefore made from the counts as Table 1 prints them, or left out. Weighted differences rest
on weights that nobody outside knows. Belongs here: reading `results.balance` through the gate, and names of terms.
"""

import re
from collections.abc import Mapping
from math import sqrt
from typing import Any

import polars as pl

from pipelines.protocol import Protocol
from pipelines.reports import keys, numbers
from pipelines.reports.content import Cell, Shown
from pipelines.reports.gate import Drawn
from pipelines.reports.ledger import Key
from pipelines.reports.study import Study

UNWEIGHTED = "unweighted"
DIGITS = 2
_LEVEL = re.compile(r"^(?P<name>.+)\[T\.(?P<level>.+)\]$")
_SQUARE = re.compile(r"^I\((?P<name>.+)\*\*2\)$|^I\((?P<spaced>.+) \*\* 2\)$")


def shown_difference(study: Study, row: Mapping[str, Any], tier: str, reference: str) -> Drawn | None:
    """The standardised difference of a row of `results.balance`, tier minus reference; None: it may not be shown."""
    arms = (keys.patients(tier), keys.patients(reference))
    if row["weighting"] != UNWEIGHTED or not is_of_counts(study.protocol, row["covariate"]):
        return study.gate.drawn(row["smd"], DIGITS, *arms)
    part = printed_part(study.protocol, row["covariate"])
    if part is None:
        return None
    shares = [study.gate.drawn_share(keys.characteristic(*part, arm), keys.patients(arm)) for arm in (tier, reference)]
    if shares[0] is None or shares[1] is None:
        return None
    spread = sqrt(sum(p * (1 - p) for p in shares if p is not None) / 2)
    return study.gate.drawn((shares[0] - shares[1]) / spread if spread else 0.0, DIGITS, *arms)


def furthest(study: Study, rows: pl.DataFrame, weighting: str, tier: str, reference: str) -> Cell:
    """The largest absolute difference that may be shown among these rows of `results.balance` and a weighting."""
    asked = rows.filter(pl.col("weighting") == weighting).iter_rows(named=True)
    known = [abs(value) for row in asked if (value := shown_difference(study, row, tier, reference)) is not None]
    return Shown(numbers.fixed(max(known), DIGITS)) if known else numbers.ABSENT


def furthest_ratio(study: Study, rows: pl.DataFrame, weighting: str, tier: str, reference: str) -> Cell:
    """The ratio of variances furthest from 1 among the numbers in these rows, as the larger over the smaller."""
    ratios = _of_numbers(study, rows, weighting)["variance_ratio"].drop_nulls().to_list()
    known = [max(ratio, 1 / ratio) for ratio in ratios if ratio > 0]
    return _largest(study, known, tier, reference)


def furthest_distance(study: Study, rows: pl.DataFrame, weighting: str, tier: str, reference: str) -> Cell:
    """The largest Kolmogorov-Smirnov distance among the numbers in these rows."""
    return _largest(study, _of_numbers(study, rows, weighting)["ks"].drop_nulls().to_list(), tier, reference)


def _of_numbers(study: Study, rows: pl.DataFrame, weighting: str) -> pl.DataFrame:
    terms = rows["covariate"].unique().to_list()
    numeric = [term for term in terms if not is_of_counts(study.protocol, term)]
    return rows.filter((pl.col("weighting") == weighting) & pl.col("covariate").is_in(numeric))


def _largest(study: Study, values: list[float], tier: str, reference: str) -> Cell:
    arms = (keys.patients(tier), keys.patients(reference))
    return study.gate.number(max(values), DIGITS, *arms) if values else numbers.ABSENT


def is_of_counts(protocol: Protocol, term: str) -> bool:
    """Whether a term is an indicator, or a product of indicators: its mean in an arm is a count of patients."""
    kinds = {c.name: c.kind for c in protocol.covariates}
    return not _SQUARE.match(term) and all(
        "[T." in factor or kinds.get(factor, "numeric") != "numeric" for factor in term.split(":")
    )


def printed_part(protocol: Protocol, term: str) -> tuple[str, str] | None:
    """Covariate and level of Table 1 that an indicator stands for; None for products of several."""
    if ":" in term:
        return None
    found = _LEVEL.match(term)
    return (found["name"], found["level"]) if found else (term, "true")


def behind_odds(protocol: Protocol, term: str, tier: str, reference: str) -> list[Key]:
    """What an odds ratio of a term rests on: patients of both tiers and, of an indicator, those of them who have it."""
    arms = (tier, reference)
    part = printed_part(protocol, term) if is_of_counts(protocol, term) else None
    own = [keys.characteristic(*part, arm) for arm in arms] if part else []
    return [*own, *[keys.patients(arm) for arm in arms]]


def label(protocol: Protocol, term: str) -> str:
    """A term in words: `Stenosis grade: B`, `Age squared`, `Diabetes × Age`."""
    return " × ".join(_factor(protocol, factor) for factor in term.split(":"))


def _factor(protocol: Protocol, factor: str) -> str:
    if square := _SQUARE.match(factor):
        return f"{_factor(protocol, square['name'] or square['spaced'])} squared"
    if level := _LEVEL.match(factor):
        return f"{_factor(protocol, level['name'])}: {level['level']}"
    names = {c.name: c.label for c in protocol.covariates}
    return re.sub(r" \([^)]*\)$", "", names.get(factor, factor))
