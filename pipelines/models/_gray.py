"""Gray's test on arrays: equality of the cumulative incidence of one cause between groups.

Belongs here: the weighted comparison of subdistribution hazards and its variance. Does not belong here: frames and
the loop over causes (`competing_risks`).

Source: Gray, Annals of Statistics 16 (1988) 1141-1154, with rho = 0; the finite-sample factors for ties are those of
the author's own program (R's cmprsk), to which the results are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.models._frames import Bools, Floats, Ints
from pipelines.models._log_rank import ChiSquareTest, quadratic_form


@dataclass(frozen=True)
class GroupedCounts:
    """At each time with an event of any cause (T rows) and in each group (G columns): shape (T, G)."""

    at_risk: Floats
    of_interest: Floats
    competing: Floats

    @classmethod
    def of(cls, time: Floats, of_interest: Bools, competing: Bools, group: Ints, groups: int) -> GroupedCounts:
        distinct, index = np.unique(time, return_inverse=True)
        cell, cells = index * groups + group, len(distinct) * groups

        def counted(chosen: Bools | None) -> Floats:
            return np.bincount(cell, weights=chosen, minlength=cells).reshape(-1, groups).astype(np.float64)

        at_risk = np.cumsum(counted(None)[::-1], axis=0)[::-1]
        first, second = counted(of_interest), counted(competing)
        used = (first + second).sum(axis=1) > 0
        return cls(at_risk[used], first[used], second[used])


def gray_statistic(time: Floats, of_interest: Bools, competing: Bools, group: Ints, groups: int) -> ChiSquareTest:
    """Return Gray's test for one cause; arrays of shape (n,), `group` in 0 … groups-1."""
    if not of_interest.any():
        return ChiSquareTest.impossible("there are no events of this cause")
    counts = GroupedCounts.of(time, of_interest, competing, group, groups)
    curves = _curves(counts)
    return quadratic_form(_score(counts, curves), _variance(counts, curves), counts.at_risk[0] > 0)


@dataclass(frozen=True)
class _Curves:
    """Per group: survival before and after each time, incidence before it; `size` = at risk / survival before, its
    sum over groups `total`; the pooled incidence before and after each time. Shapes (T, G) and (T,).
    """

    before: Floats
    after: Floats
    incidence_before: Floats
    size: Floats
    total: Floats
    pooled_before: Floats
    pooled: Floats


def _curves(counts: GroupedCounts) -> _Curves:
    present = counts.at_risk > 0
    hazard_free = np.ones_like(counts.at_risk)
    left = counts.at_risk - counts.of_interest - counts.competing
    np.divide(left, counts.at_risk, out=hazard_free, where=present)
    after = np.cumprod(hazard_free, axis=0)
    before = _lagged(after, 1.0)
    jumps = np.divide(before * counts.of_interest, counts.at_risk, out=np.zeros_like(before), where=present)
    size = np.divide(counts.at_risk, before, out=np.zeros_like(before), where=present)
    total = size.sum(axis=1)
    pooled = np.cumsum(counts.of_interest.sum(axis=1) / total)
    return _Curves(before, after, _lagged(np.cumsum(jumps, axis=0), 0.0), size, total, _lagged(pooled, 0.0), pooled)


def _lagged(values: Floats, start: float) -> Floats:
    return np.concatenate([np.full_like(values[:1], start), values[:-1]])


def _score(counts: GroupedCounts, curves: _Curves) -> Floats:
    """Return observed minus expected events of the cause, shape (G,)."""
    effective = curves.size * (1.0 - curves.incidence_before)
    share = effective / effective.sum(axis=1, keepdims=True)
    return (counts.of_interest - counts.of_interest.sum(axis=1, keepdims=True) * share).sum(axis=0)


def _variance(counts: GroupedCounts, curves: _Curves) -> Floats:
    """Return the variance of the score, shape (G, G), adding the noise of each group's events in turn.

    Every group's events enter the score of group i twice: at once, through a_ik, and later, through the rest of the
    integral C_ik(end) - C_ik(t); both are multiplied by how far they move the pooled subdistribution.
    """
    groups = counts.at_risk.shape[1]
    events = counts.of_interest.sum(axis=1)
    result = np.zeros((groups, groups))
    for k in range(groups):
        direct = -curves.size * (curves.size[:, k] / curves.total)[:, None]
        direct[:, k] += curves.size[:, k]
        running = np.cumsum(direct * (events / (curves.total * (1.0 - curves.pooled_before)))[:, None], axis=0)
        later = running[-1] - running
        alive = curves.after[:, k] > 0
        ratio = np.divide(1.0 - curves.pooled, curves.after[:, k], out=np.zeros(len(events)), where=alive)
        for moved, noise in (
            (direct + (1.0 - ratio)[:, None] * later, _noise_of_interest(counts, curves, events, k)),
            (ratio[:, None] * later, np.where(alive, _noise_competing(counts, curves, k), 0.0)),
        ):
            result += moved.T @ (moved * noise[:, None])
    return result


def _noise_of_interest(counts: GroupedCounts, curves: _Curves, events: Floats, k: int) -> Floats:
    present = counts.at_risk[:, k] > 0
    pool = curves.total * curves.before[:, k] - 1.0
    tied = np.divide(events - 1.0, pool, out=np.zeros_like(pool), where=(events > 1) & (pool != 0))
    scale = np.divide(curves.before[:, k], curves.total * counts.at_risk[:, k], out=np.zeros_like(pool), where=present)
    return (1.0 - tied) * scale * events


def _noise_competing(counts: GroupedCounts, curves: _Curves, k: int) -> Floats:
    at_risk, deaths = counts.at_risk[:, k], counts.competing[:, k]
    tied = np.divide(deaths - 1.0, at_risk - 1.0, out=np.zeros_like(deaths), where=deaths > 1)
    share = np.divide(curves.before[:, k], at_risk, out=np.zeros_like(deaths), where=at_risk > 0)
    return (1.0 - tied) * share**2 * deaths
