"""The log-rank test on arrays: observed minus expected events by group, summed over strata, with its variance.

Belongs here: the counts and the quadratic form. Does not belong here: frames and pairs of groups (see `survival`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._frames import ESTIMABLE, Bools, Floats, Ints, not_estimable, nullable
from pipelines.models._intervals import chi_square_p


@dataclass(frozen=True)
class ChiSquareTest:
    """A test statistic with its degrees of freedom; NaN with a reason when the data cannot carry it."""

    statistic: float
    df: int
    p_value: float
    status: str = ESTIMABLE

    @classmethod
    def impossible(cls, reason: str) -> ChiSquareTest:
        return cls(float("nan"), 0, float("nan"), not_estimable(reason))


def log_rank_test(time: Floats, event: Bools, group: Ints, groups: int, stratum: Ints) -> ChiSquareTest:
    """Return the stratified log-rank test; arrays of shape (n,), `group` in 0 … groups-1.

    Source: Kalbfleisch & Prentice (2002), section 1.5; ties by the hypergeometric variance.
    """
    if not event.any():
        return ChiSquareTest.impossible("there are no events")
    at_risk, deaths = _counts(time, event, group, groups, stratum)
    difference, variance, expected = _observed_minus_expected(at_risk, deaths)
    return quadratic_form(difference, variance, expected > 0)


def quadratic_form(difference: Floats, variance: Floats, used: Bools) -> ChiSquareTest:
    """Return difference' V⁻¹ difference over the groups used, the last of them left out as redundant."""
    chosen = np.flatnonzero(used)[:-1]
    if len(chosen) == 0:
        return ChiSquareTest.impossible("fewer than two groups are at risk when events happen")
    block = variance[np.ix_(chosen, chosen)]
    scale = np.sqrt(np.maximum(np.diag(block), 0.0))
    if (scale == 0).any() or np.linalg.matrix_rank(block / np.outer(scale, scale)) < len(chosen):
        return ChiSquareTest.impossible("some groups are never at risk together when events happen")
    statistic = float(difference[chosen] @ np.linalg.solve(block, difference[chosen]))
    return ChiSquareTest(statistic, len(chosen), float(chi_square_p(statistic, len(chosen))))


def test_frame(tests: list[ChiSquareTest]) -> pl.DataFrame:
    """Return tests as rows: statistic, df, p_value, status."""
    return pl.DataFrame(
        {
            "statistic": nullable(np.array([test.statistic for test in tests])),
            "df": pl.Series([test.df for test in tests], dtype=pl.Int64),
            "p_value": nullable(np.array([test.p_value for test in tests])),
            "status": [test.status for test in tests],
        }
    )


def _counts(time: Floats, event: Bools, group: Ints, groups: int, stratum: Ints) -> tuple[Floats, Floats]:
    """Return the numbers at risk and the events by group at each event time of each stratum, shape (k, groups)."""
    order = np.lexsort((time, stratum))
    ordered_time, ordered_stratum = time[order], stratum[order]
    new = np.append(True, (np.diff(ordered_time) != 0) | (np.diff(ordered_stratum) != 0))
    cell = (np.cumsum(new) - 1) * groups + group[order]
    cells = int(new.sum()) * groups
    leaving = np.bincount(cell, minlength=cells).reshape(-1, groups)
    deaths = np.bincount(cell, weights=event[order], minlength=cells).reshape(-1, groups)
    onward = np.cumsum(leaving[::-1], axis=0)[::-1]
    owner = ordered_stratum[new]
    in_later_strata = np.concatenate([onward, np.zeros_like(onward[:1])])[np.searchsorted(owner, owner, side="right")]
    with_events = deaths.sum(axis=1) > 0
    return (onward - in_later_strata)[with_events].astype(np.float64), deaths[with_events]


def _observed_minus_expected(at_risk: Floats, deaths: Floats) -> tuple[Floats, Floats, Floats]:
    total, total_deaths = at_risk.sum(axis=1), deaths.sum(axis=1)
    share = at_risk / total[:, None]
    expected = total_deaths @ share
    tie_factor = np.divide(total - total_deaths, total - 1, out=np.zeros_like(total), where=total > 1)
    spread = total_deaths * tie_factor
    variance = np.diag(spread @ share) - share.T @ (share * spread[:, None])
    return deaths.sum(axis=0) - expected, variance, expected
