"""Areas under survival and incidence curves up to a horizon, and their comparison between groups.

Belongs here: what restricted mean survival and restricted time lost share. Does not belong here: their public frames'
names (see `survival` and `competing_risks`).

Standard errors come from the infinitesimal jackknife, summed within clusters, so that a subject who appears in two
groups is counted once in their difference. Unweighted and unclustered this is the classical (Greenwood) variance.
Source: Uno et al., Journal of Clinical Oncology 32 (2014) 2380-2385; Andersen, Statistics in Medicine 32 (2013)
5278-5285 (time lost to a cause).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._aalen_johansen import Influence, ProductLimit, Rows, product_limit
from pipelines.models._frames import (
    ESTIMABLE,
    Floats,
    Groups,
    Ints,
    ModelInputError,
    not_estimable,
    nullable,
)
from pipelines.models._intervals import normal_quantile, two_sided_p


@dataclass(frozen=True)
class Areas:
    """One group's areas under its incidences, shape (K,), and each cluster's influence on them, (clusters, K)."""

    level: object
    estimate: Floats
    influence: Floats
    status: str

    def as_time_without(self, tau: float) -> Areas:
        """Return τ minus the area: the restricted mean where the area is the time lost."""
        return Areas(self.level, tau - self.estimate, -self.influence, self.status)


@dataclass(frozen=True)
class Comparison:
    measure: str
    group: object
    reference: object
    estimate: Floats
    std_error: Floats
    ci_low: Floats
    ci_high: Floats
    p_value: Floats
    status: str


def areas_by_group(
    stop: Floats, cause: Ints, causes: Sequence[int], weight: Floats, cluster: Ints | None, groups: Groups, tau: float
) -> list[Areas]:
    """Return the areas under the cumulative incidence of each cause on [0, tau], group by group."""
    if not tau > 0:
        raise ModelInputError(f"tau must be positive, it is {tau}.")
    identity = np.arange(len(stop)) if cluster is None else cluster
    clusters = int(identity.max()) + 1
    never = np.full(len(stop), -np.inf)
    return [
        _areas(level, Rows.of(never, stop, cause, weight, identity, groups.codes == code), causes, tau, clusters)
        for code, level in enumerate(groups.levels.to_list())
    ]


def compare(areas: list[Areas], reference: int | None, level: float) -> Iterator[Comparison]:
    """Yield each group's area, then differences and ratios of the other groups to the reference."""
    z = normal_quantile(level)
    for area in areas:
        yield _single(area, z)
    if reference is None:
        return
    base = areas[reference]
    others = [area for area in areas if area is not base]
    for area in others:
        yield _difference(area, base, z)
    for area in others:
        yield _ratio(area, base, z)


def comparison_frame(rows: list[Comparison], groups: Groups, causes: Sequence[int] | None) -> pl.DataFrame:
    """Return the comparisons as a frame, a row per cause when causes are given."""
    size = 1 if causes is None else len(causes)
    columns: dict[str, pl.Series] = {"measure": pl.Series([row.measure for row in rows for _ in range(size)])}
    dtype = groups.levels.dtype
    columns["group"] = pl.Series([row.group for row in rows for _ in range(size)], dtype=dtype)
    columns["reference"] = pl.Series([row.reference for row in rows for _ in range(size)], dtype=dtype)
    if causes is not None:
        columns["cause"] = pl.Series([cause for _ in rows for cause in causes], dtype=pl.Int64)
    for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value"):
        columns[name] = nullable(np.concatenate([getattr(row, name) for row in rows]))
    columns["status"] = pl.Series([row.status for row in rows for _ in range(size)], dtype=pl.String)
    return pl.DataFrame(columns)


def _areas(level: object, rows: Rows, causes: Sequence[int], tau: float, clusters: int) -> Areas:
    unknown = np.full(len(causes), np.nan)
    table = product_limit(rows, causes)
    if table.time[-1] < tau and table.survival[-1] > 0:
        reason = not_estimable("follow-up of a group ends before tau")
        return Areas(level, unknown, np.zeros((clusters, len(causes))), reason)
    widths = _widths(table, tau)
    influence = Influence.of(rows, table)
    return Areas(level, widths @ influence.F, influence.of_areas(widths, clusters), ESTIMABLE)


def _widths(table: ProductLimit, tau: float) -> Floats:
    """Return the time spent on [0, tau] before the first time, between times, and after the last, shape (m + 1,)."""
    edges = np.concatenate([[0.0], np.minimum(table.time, tau), [tau]])
    return np.diff(edges)


def _single(area: Areas, z: float) -> Comparison:
    error = _error(area.influence, area.status)
    low, high = np.maximum(area.estimate - z * error, 0.0), area.estimate + z * error
    none = np.full_like(error, np.nan)
    return Comparison("mean", area.level, None, area.estimate, error, low, high, none, area.status)


def _difference(area: Areas, base: Areas, z: float) -> Comparison:
    status = _joint_status(area, base)
    estimate = area.estimate - base.estimate
    error = _error(area.influence - base.influence, status)
    return Comparison(
        "difference",
        area.level,
        base.level,
        estimate,
        error,
        estimate - z * error,
        estimate + z * error,
        _p_value(estimate, error),
        status,
    )


def _ratio(area: Areas, base: Areas, z: float) -> Comparison:
    """Limits and p-value come from the log of the ratio; the standard error is that of the ratio itself (delta)."""
    status = _joint_status(area, base)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((area.estimate > 0) & (base.estimate > 0), area.estimate / base.estimate, np.nan)
        error = _error(area.influence / area.estimate - base.influence / base.estimate, status)
        p_value = _p_value(np.log(ratio), error)
    if status == ESTIMABLE and np.isnan(ratio).all():
        status = not_estimable("an area is zero")
    return Comparison(
        "ratio",
        area.level,
        base.level,
        ratio,
        ratio * error,
        ratio * np.exp(-z * error),
        ratio * np.exp(z * error),
        p_value,
        status,
    )


def _error(influence: Floats, status: str) -> Floats:
    error = np.sqrt((influence**2).sum(axis=0))
    return error if status == ESTIMABLE else np.full_like(error, np.nan)


def _p_value(estimate: Floats, error: Floats) -> Floats:
    z = np.divide(estimate, error, out=np.full_like(error, np.nan), where=error > 0)
    return two_sided_p(z)


def _joint_status(area: Areas, base: Areas) -> str:
    return area.status if area.status != ESTIMABLE else base.status
