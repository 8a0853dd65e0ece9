"""Incidence, time lost and hazard ratios of arms balanced by propensity weights, with both standard errors.

Belongs here: what joins the propensity model to the product-limit curves. Does not belong here: either of them
(`propensity`, `competing_risks`), or which contrasts are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._aalen_johansen import Influence, Rows, product_limit
from pipelines.models._arms import ArmEstimates, arm_rows, pair_differences, pair_ratios
from pipelines.models._frames import (
    ESTIMABLE,
    Floats,
    Ints,
    ModelInputError,
    cause_codes,
    cluster_codes,
    follow_up_times,
    reason_of,
    require_columns,
)
from pipelines.models._linear import cluster_sums
from pipelines.models.competing_risks import causes_present
from pipelines.models.cox import CoxFit, cox_regression, influence
from pipelines.models.propensity import Propensity

EVENT_FREE = 0


def weighted_incidence(
    propensity: Propensity,
    frame: pl.DataFrame,
    time: str,
    cause: str,
    horizon: float,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return weighted incidence, time lost and event-free time at a horizon: each arm's, and the arms' differences.

    `frame` holds the rows on which the propensity was fitted, in the same order; `cause` is 0 for censored rows.
    Columns: measure (`incidence`, `time lost`, `event-free time`), cause (0 for event-free time), variance
    (`weights fixed`, `weights estimated`), group, reference (null for an arm's own value), estimate, std_error,
    ci_low, ci_high, p_value, subjects, status, reason. Times are in the unit of `time`.

    A row's influence on a curve per unit of weight is its estimating function; stacked with the propensity model's
    score it carries what estimating the weights contributes, otherwise the weights are held fixed.

    Raises:
        ModelInputError: unknown columns, missing values, negative times, other rows than the propensity's.
    Source: infinitesimal jackknife as `competing_risks.cumulative_incidence`; stacking: Stefanski & Boos, American
    Statistician 56 (2002) 29-38; Mao, Li, Yang & Shen, Statistics in Medicine 37 (2018) 3745-3763.
    """
    require_columns(frame, [time, cause, cluster])
    if frame.height != len(propensity.arms.codes):
        raise ModelInputError("The frame must hold the rows on which the propensity was fitted, in the same order.")
    _, stop = follow_up_times(frame, time)
    codes, clusters = cause_codes(frame, cause), cluster_codes(frame, cluster)
    causes = causes_present(codes)
    if propensity.model is None:
        columns: list[_Column] = _unknown_columns(causes, propensity)
    else:
        columns = list(_columns(propensity, stop, codes, causes, horizon))
    pieces = []
    for column in columns:
        for variance, estimates in column.both_variances(propensity, clusters):
            own = arm_rows(estimates, level).with_columns(
                reference=pl.lit(None, dtype=propensity.arms.levels.dtype), p_value=pl.lit(None, dtype=pl.Float64)
            )
            shared = {"measure": column.measure, "cause": column.cause, "variance": variance}
            both = pl.concat([own, pair_differences(estimates, level)], how="diagonal")
            pieces.append(both.select(*(pl.lit(value).alias(name) for name, value in shared.items()), pl.all()))
    order = ("measure", "cause", "variance", "group", "reference", "estimate", "std_error", "ci_low", "ci_high")
    return pl.concat(pieces).select(*order, "p_value", "subjects", "status", "reason")


def weighted_hazard_ratios(
    propensity: Propensity,
    frame: pl.DataFrame,
    time: str,
    event: str,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the marginal hazard ratio of each ordered pair of arms from a weighted Cox model on the arms alone.

    `frame` holds the rows on which the propensity was fitted, in the same order; `event` is boolean or 0/1. Columns:
    variance, group, reference, estimate (ratio), log_std_error, ci_low, ci_high, p_value, subjects, status, reason.
    Censoring by a competing event makes the ratio cause-specific.

    Raises:
        ModelInputError: as `weighted_incidence`.
    Source: Austin & Stuart, Stat Methods Med Res 26 (2017) 1654-1670; stacking as `weighted_incidence`.
    """
    require_columns(frame, [time, event, cluster])
    arms, clusters = propensity.arms, cluster_codes(frame, cluster)
    failure = None if propensity.model is not None else reason_of(propensity.status)
    fit = None if failure else _fit_arms(propensity, frame, time, event)
    if fit is not None and fit.status != ESTIMABLE:
        failure = reason_of(fit.status)
    pieces = []
    for variance in ("weights fixed", "weights estimated"):
        if failure or fit is None:
            estimates = ArmEstimates.failed(arms, failure or "no fit")
        else:
            rows = influence(fit, frame.height)
            weighted = rows * propensity.weights.to_numpy()[:, None]
            total = cluster_sums(weighted if variance == "weights fixed" else propensity.stacked(rows), clusters)
            estimates = _with_reference(propensity, fit.coefficients["coef"].to_numpy(), total.T @ total)
        pieces.append(pair_ratios(estimates, level).select(pl.lit(variance).alias("variance"), pl.all()).drop("df"))
    return pl.concat(pieces)


def _fit_arms(propensity: Propensity, frame: pl.DataFrame, time: str, event: str) -> CoxFit:
    """Fit a Cox model of one indicator per arm but the first, under the balancing weights."""
    members = propensity.arms.indicators()[:, 1:]
    names = [f"arm_{number}" for number in range(1, propensity.arms.count)]
    rows = pl.DataFrame(members, schema=names).with_columns(
        time=frame[time], event=frame[event], weight=propensity.weights
    )
    return cox_regression(rows, "time", "event", names, weights="weight")


def _with_reference(propensity: Propensity, log_ratios: Floats, covariance: Floats) -> ArmEstimates:
    """Lay out log hazard ratios over all arms, the first at 0 without variance."""
    arms = propensity.arms
    wide = np.zeros((arms.count, arms.count))
    wide[1:, 1:] = covariance
    return ArmEstimates(arms.levels, np.append(0.0, log_ratios), wide, arms.rows(), [None] * arms.count)


@dataclass(frozen=True)
class _Column:
    """One measure: an estimate per arm (k,), and each row's influence per unit of weight on each arm's (n, k)."""

    measure: str
    cause: int
    estimates: Floats
    moved: Floats
    reasons: Sequence[str | None]

    def both_variances(self, propensity: Propensity, clusters: Ints | None) -> Iterator[tuple[str, ArmEstimates]]:
        arms = propensity.arms
        if propensity.model is None:
            failed = ArmEstimates.failed(arms, reason_of(propensity.status))
            yield from (("weights fixed", failed), ("weights estimated", failed))
            return
        balancing = propensity.weights.to_numpy()[:, None]
        for variance, rows in (
            ("weights fixed", self.moved * balancing),
            ("weights estimated", propensity.stacked(self.moved)),
        ):
            total = cluster_sums(rows, clusters)
            yield variance, ArmEstimates(arms.levels, self.estimates, total.T @ total, arms.rows(), self.reasons)


def _unknown_columns(causes: tuple[int, ...], propensity: Propensity) -> list[_Column]:
    gap, reasons = np.full(propensity.arms.count, np.nan), [propensity.status] * propensity.arms.count
    names = [(measure, cause) for measure in ("incidence", "time lost") for cause in causes]
    return [_Column(m, c, gap, np.empty((0, 0)), reasons) for m, c in [*names, ("event-free time", EVENT_FREE)]]


def _columns(
    propensity: Propensity, stop: Floats, codes: Ints, causes: tuple[int, ...], horizon: float
) -> Iterator[_Column]:
    """Yield the measures, their arms side by side."""
    arms, weight = propensity.arms, propensity.weights.to_numpy()
    by_arm = [_arm(arms.codes == arm, stop, codes, causes, weight, horizon) for arm in range(arms.count)]
    reasons = [
        f"follow-up of {name} ends before the horizon" if part is None else None
        for name, part in zip(arms.names, by_arm, strict=True)
    ]
    size = len(causes)
    labels = [(m, c) for m in ("incidence", "time lost") for c in causes] + [("event-free time", EVENT_FREE)]
    nothing = _Arm(np.full(2 * size + 1, np.nan), np.zeros((len(stop), 2 * size + 1)))
    parts = [nothing if part is None else part for part in by_arm]
    for place, (measure, cause) in enumerate(labels):
        estimates = np.array([part.estimates[place] for part in parts])
        moved = np.column_stack([part.moved[:, place] for part in parts])
        yield _Column(measure, cause, estimates, moved, reasons)


@dataclass(frozen=True)
class _Arm:
    """One arm's incidences, times lost and event-free time (2K + 1,), and every row's influence on them."""

    estimates: Floats
    moved: Floats


def _arm(
    member: np.ndarray, stop: Floats, codes: Ints, causes: tuple[int, ...], weight: Floats, horizon: float
) -> _Arm | None:
    never = np.full(len(stop), -np.inf)
    rows = Rows.of(never, stop, codes, weight, None, member)
    if len(rows.exit) == 0:
        return None
    table = product_limit(rows, causes)
    if table.time[-1] < horizon and table.survival[-1] > 0:
        return None
    curves = Influence.of(rows, table)
    place = int(np.searchsorted(table.time, horizon, side="right"))
    widths = np.diff(np.concatenate([[0.0], np.minimum(table.time, horizon), [horizon]]))
    on_level = curves.at(place, len(rows.exit))
    on_area = curves.of_areas(widths, len(rows.exit))
    on_rows = np.hstack([on_level, on_area, -on_area.sum(axis=1, keepdims=True)]) / rows.weight[:, None]
    everyone = np.zeros((len(stop), on_rows.shape[1]))
    everyone[np.flatnonzero(member & (weight > 0))] = on_rows
    areas = widths @ curves.F
    return _Arm(np.concatenate([curves.F[place], areas, [horizon - areas.sum()]]), everyone)
