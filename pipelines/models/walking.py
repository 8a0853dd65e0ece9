"""Walking tests that end at a fixed time: ratios of time, speed and distance between arms, and stopping curves.

Here belongs what knows that a walk can be capped. A test without a cap (six-minute walk, treadmill protocols) is an
ordinary measurement: `comparison` and `longitudinal` take it. Responder rules and windows are made in SQL.

Why not metres: the self-paced test stops at 30 minutes, so a capped distance is 30 minutes times one's own speed.
A cap in metres is thus informative (Amemiya 1984 on censoring that depends on the outcome), while the cap in time is
the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._arms import (
    ArmEstimates,
    Arms,
    arms_of,
    for_few_clusters,
    pair_ratios,
    spread,
    too_few_clusters,
    too_few_rows,
)
from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    Bools,
    Floats,
    Ints,
    ModelInputError,
    case_weights,
    cluster_codes,
    event_indicator,
    numeric,
    reason_of,
)
from pipelines.models._linear import aliased_columns, cluster_sums
from pipelines.models._walking_likelihood import CAPPED, STOPPED, ZERO, Baseline, WalkingData, WalkingFit, maximise
from pipelines.models.propensity import Propensity
from pipelines.models.survival import kaplan_meier

MEASURES = ("time", "speed", "distance")
MIN_STOPS_PER_ARM = 5
# Below this share of the spread between rows, what is left of log speed or log time is rounding: no variance to use.
NO_RESIDUAL_SCALE = 1e-6


def joint_time_speed(
    frame: pl.DataFrame,
    time: str,
    capped: str,
    speed: str,
    treatment: str,
    covariates: Sequence[str] = (),
    weights: str | None = None,
    cluster: str | None = None,
    zero: float | None = None,
    baseline_time: str | None = None,
    baseline_capped: str | None = None,
    variance: str = "robust",
    level: float = 0.95,
    min_stops_per_arm: int = MIN_STOPS_PER_ARM,
) -> pl.DataFrame:
    """Ratios between arms of time to stop, speed and distance, from one bivariate log-normal model.

    `frame` has one row a walk. `time` is the duration (positive; where `capped` is true, the cap), `speed` the mean
    speed, in any units; `weights` are held fixed. Walks shorter than `zero` (same unit as `time`) count as not walking:
    their time is censored below at `zero` and their speed, which may be null, is not read. `zero` must be given when
    such walks occur.

    A baseline walk enters through `baseline_time` and `baseline_capped`: log baseline time is a covariate of both
    outcomes, and where the baseline was capped (or below `zero`) it is a latent normal value beyond its limit, given
    arm and covariates, integrated out of the likelihood. Baseline speed belongs to `covariates`, on the log scale.

    `variance` is `robust` (sandwich, summed within `cluster` if given) or `model` (inverse information).

    Result: a row a measure (`time`, `speed`, `distance`) and ordered pair of arms: measure, group, reference, estimate
    (ratio of geometric means), log_std_error, ci_low, ci_high, p_value, df (null: normal), subjects, status, reason.
    The ratio of distances is the product of the other two. Arms with fewer than `min_stops_per_arm` observed stops are
    left out and named; a fit that does not converge gives no number.

    Raises ModelInputError for missing columns, times or speeds that are not positive, unknown options.

    Sources: Tobin 1958, Econometrica 26:24; Amemiya 1984, J Econometrics 24:3 (censored normal likelihood).
    """
    if variance not in ("robust", "model"):
        raise ModelInputError(f"variance must be robust or model, not {variance}.")
    if weights is not None:
        frame = frame.filter(case_weights(frame, weights) > 0)
    model = _Model(time, capped, speed, covariates, cluster, zero, baseline_time, baseline_capped, min_stops_per_arm)
    found = _fit(frame, arms_of(frame, treatment), case_weights(frame, weights), model)
    if found.fit is None:
        return _ratios(found.measures(None), level)
    clusters = cluster_codes(frame.filter(found.rows), cluster)
    covariance = found.fit.information_inverse if variance == "model" else found.fit.robust_covariance(clusters)
    return _ratios(found.measures(covariance), level)


def weighted_time_speed(
    propensity: Propensity,
    frame: pl.DataFrame,
    time: str,
    capped: str,
    speed: str,
    covariates: Sequence[str] = (),
    weights: str | None = None,
    cluster: str | None = None,
    zero: float | None = None,
    baseline_time: str | None = None,
    baseline_capped: str | None = None,
    level: float = 0.95,
    min_stops_per_arm: int = MIN_STOPS_PER_ARM,
    few_clusters: bool = False,
) -> pl.DataFrame:
    """Ratios as `joint_time_speed`, weighted to the population of a propensity model, with two variances.

    `frame` holds the rows on which the propensity was fitted, in the same order. Rows whose `time` is null count for
    the propensity only. `weights` (say, for dropout) multiply the propensity's and are held fixed; the other arguments
    are those of `joint_time_speed`. `few_clusters`: as `propensity.effects`.

    Result: a row a variance (`weights fixed`, `weights estimated`), measure and ordered pair: variance, then columns as
    `joint_time_speed`. A row's score is its estimating function; stacked with the propensity model's score it carries
    what estimating the weights contributes. A propensity without weights makes every row `not estimable`.

    Raises ModelInputError as `joint_time_speed`, and for other rows than the propensity's.
    Source: Stefanski & Boos 2002, American Statistician 56:29 (stacked equations).
    """
    arms = propensity.arms
    if frame.height != len(arms.codes):
        raise ModelInputError("The frame must hold the rows on which the propensity was fitted, in the same order.")
    walked = frame[time].is_not_null().to_numpy()
    walkers = Arms(arms.levels, arms.codes[walked])
    variances = ("weights fixed", "weights estimated")
    problem = reason_of(propensity.status) if propensity.model is None else None
    clusters = cluster_codes(frame, cluster)
    problem = problem or (None if walked.any() else "no walk was seen")
    if problem := problem or too_few_clusters(clusters):
        gaps = _ratios([ArmEstimates.failed(walkers, problem)] * len(MEASURES), level)
        return pl.concat(gaps.select(pl.lit(name).alias("variance"), pl.all()) for name in variances)
    balancing = propensity.weights.to_numpy()
    case = balancing[walked] * case_weights(frame, weights)[walked]
    model = _Model(time, capped, speed, covariates, cluster, zero, baseline_time, baseline_capped, min_stops_per_arm)
    found = _fit(frame.filter(walked), walkers, case, model)
    pieces = []
    for name in variances:
        covariance = None
        if found.fit is not None:
            rows = np.zeros((frame.height, found.fit.scores.shape[1]))
            rows[np.flatnonzero(walked)[found.rows]] = found.fit.scores
            moved = rows if name == "weights fixed" else propensity.stacked(rows / balancing[:, None])
            covariance = found.fit.sandwich(cluster_sums(moved, clusters))
        estimates = found.measures(covariance)
        if few_clusters:
            estimates = [for_few_clusters(one, clusters) for one in estimates]
        measures = _ratios(estimates, level)
        pieces.append(measures.select(pl.lit(name).alias("variance"), pl.all()))
    return pl.concat(pieces)


def time_to_stop_curve(
    frame: pl.DataFrame,
    time: str,
    capped: str,
    group: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Share still walking by time: Kaplan-Meier with the walks to the cap censored there.

    All walks are capped at the same time, so censoring tells nothing about the walker. Columns as
    `survival.kaplan_meier`; the last row of a group is the share able to finish.
    """
    return _stopping_curve(frame, time, capped, group, weights, cluster, level)


def distance_to_stop_curve(
    frame: pl.DataFrame,
    distance: str,
    capped: str,
    group: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Share still walking by distance: Kaplan-Meier with the walks to the cap censored at the distance reached.

    The distance at the cap depends on the walker's own speed, so beyond the shortest capped distance the censoring is
    informative and the curve descriptive only; compare arms by `joint_time_speed`. Columns as `survival.kaplan_meier`
    with `distance` for `time`.
    """
    curve = _stopping_curve(frame, distance, capped, group, weights, cluster, level)
    return curve.rename({"time": "distance"})


def _stopping_curve(
    frame: pl.DataFrame,
    walked: str,
    capped: str,
    group: str | None,
    weights: str | None,
    cluster: str | None,
    level: float,
) -> pl.DataFrame:
    stopped = frame.with_columns(_stopped=~pl.Series(event_indicator(frame, capped)))
    return kaplan_meier(stopped, walked, "_stopped", group, weights, cluster=cluster, level=level)


@dataclass(frozen=True)
class _Walks:
    kind: Ints
    log_time: Floats


def _walks(frame: pl.DataFrame, time: str, capped: str, zero: float | None, what: str) -> _Walks:
    """Return for each row whether it stopped, was capped or did not walk, and the log time (or its limit)."""
    seconds = numeric(frame, time)
    at_cap: Bools = event_indicator(frame, capped)
    if zero is not None and zero <= 0:
        raise ModelInputError("zero is the shortest time that counts as walking: it must be positive.")
    if zero is None and (seconds <= 0).any():
        raise ModelInputError(
            f"Column {time} holds a {what} without duration; state by `zero` the shortest time that counts as walking."
        )
    limit = 0.0 if zero is None else zero
    kind = np.where(seconds < limit, ZERO, np.where(at_cap, CAPPED, STOPPED))
    return _Walks(kind, np.log(np.maximum(seconds, limit)))


def _log_speed(frame: pl.DataFrame, speed: str, kind: Ints) -> Floats:
    walked = kind != ZERO
    seen = numeric(frame.filter(walked), speed)
    if (seen <= 0).any():
        raise ModelInputError(f"Column {speed} holds speeds that are not positive in rows with a walk.")
    log_speed = np.zeros(frame.height)
    log_speed[walked] = np.log(seen)
    return log_speed


def _baseline(frame: pl.DataFrame, time: str | None, capped: str | None, zero: float | None) -> Baseline | None:
    if time is None:
        return None
    if capped is None:
        raise ModelInputError("A baseline time needs baseline_capped: a capped baseline is not a number.")
    walks = _walks(frame, time, capped, zero, "baseline walk")
    side = np.where(walks.kind == CAPPED, 1, np.where(walks.kind == ZERO, -1, 0))
    return Baseline(walks.log_time, side)


def _unusable(design: Floats, names: Sequence[str], weights: Floats) -> str | None:
    aliased = aliased_columns(design, names, weights)
    if aliased:
        return f"constant or collinear covariates: {', '.join(aliased)}"
    parameters = 2 * design.shape[1] + 3
    return None if len(design) > parameters else f"{len(design)} walks cannot carry {parameters} parameters"


def _alike(data: WalkingData) -> str | None:
    times, speeds = data.log_time[data.kind == STOPPED], data.log_speed[data.kind != ZERO]
    return "all walks have the same time or speed" if np.ptp(times) == 0 or np.ptp(speeds) == 0 else None


def _standardised(design: Floats, arms: int) -> Floats:
    """Centre and scale the covariates; arm columns span the intercept, so differences between arms do not change."""
    x = design[:, arms:]
    scale = x.std(axis=0)
    return np.column_stack([design[:, :arms], (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0)])


@dataclass(frozen=True)
class _Model:
    time: str
    capped: str
    speed: str
    covariates: Sequence[str]
    cluster: str | None
    zero: float | None
    baseline_time: str | None
    baseline_capped: str | None
    min_stops_per_arm: int


@dataclass(frozen=True)
class _Found:
    """The arms kept and the rows used (boolean, one a row of the frame), with the fit, or why there is none."""

    arms: Arms
    kept: Sequence[int]
    reasons: Sequence[str | None]
    rows: Bools
    fit: WalkingFit | None
    problem: str | None = None

    def measures(self, covariance: Floats | None) -> list[ArmEstimates]:
        """Return the arms' log means of time, speed and distance, given the covariance of the fit's parameters."""
        if self.fit is None or covariance is None:
            return [ArmEstimates.failed(self.arms, self.problem or "no fit", self.reasons)] * len(MEASURES)
        k = len(self.kept)
        estimates, jacobian = _log_means(self.fit, k)
        joint = jacobian @ covariance @ jacobian.T
        parts = [slice(j * k, (j + 1) * k) for j in range(len(MEASURES))]
        return [spread(self.arms, self.kept, estimates[part], joint[part, part], self.reasons) for part in parts]


def _fit(frame: pl.DataFrame, arms: Arms, case: Floats, model: _Model) -> _Found:
    """Fit the model to the arms that have enough observed stops; `case` are the rows' weights, all positive."""
    walks = _walks(frame, model.time, model.capped, model.zero, "walk")
    reasons = too_few_rows(arms, model.min_stops_per_arm, "observed stops", walks.kind == STOPPED)
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    rows: Bools = np.isin(arms.codes, kept)
    if len(kept) < 2:
        return _Found(arms, kept, reasons, rows, None, "fewer than two arms have enough observed stops")
    used = frame.filter(rows)
    x, names = design_matrix(used, model.covariates)
    design = np.column_stack([arms.indicators()[rows][:, kept], x])
    data = WalkingData(
        walks.kind[rows],
        walks.log_time[rows],
        _log_speed(used, model.speed, walks.kind[rows]),
        _standardised(design, len(kept)),
        case[rows],
        _baseline(used, model.baseline_time, model.baseline_capped, model.zero),
    )
    problem = _unusable(design, [arms.names[i] for i in kept] + names, data.weights) or _alike(data)
    problem = problem or too_few_clusters(cluster_codes(used, model.cluster))
    if problem is not None:
        return _Found(arms, kept, reasons, rows, None, problem)
    fit = maximise(data)
    problem = _problem(fit, data)
    return _Found(arms, kept, reasons, rows, fit if problem is None else None, problem)


def _problem(fit: WalkingFit, data: WalkingData) -> str | None:
    if not fit.converged:
        return "the likelihood did not converge"
    scales = np.exp(fit.theta[fit.likelihood.bounds[3] : fit.likelihood.bounds[5]])
    spreads = np.array([data.log_speed.std(), data.log_time.std()])
    if (scales <= NO_RESIDUAL_SCALE * np.maximum(spreads, NO_RESIDUAL_SCALE)).any():
        return "time or speed does not vary beyond arm and covariates"
    try:
        fit.information_inverse  # noqa: B018 (kept by the fit)
    except np.linalg.LinAlgError:
        return "the likelihood has no maximum: the information matrix is not positive definite"
    return None


def _log_means(fit: WalkingFit, k: int) -> tuple[Floats, Floats]:
    """Return the arms' log means of time, speed and distance (3k,) and their derivatives in the parameters (3k, q).

    The model holds time given speed: the arm's log time is alpha + gamma * beta.
    """
    time_block, speed_block, gamma_block = fit.likelihood.blocks[:3]
    alpha, beta, gamma = fit.theta[time_block][:k], fit.theta[speed_block][:k], fit.theta[gamma_block][0]
    time_by, speed_by = np.zeros((k, len(fit.theta))), np.zeros((k, len(fit.theta)))
    arm = np.arange(k)
    time_by[arm, time_block.start + arm] = 1.0
    time_by[arm, speed_block.start + arm] = gamma
    time_by[:, gamma_block.start] = beta
    speed_by[arm, speed_block.start + arm] = 1.0
    log_time = alpha + gamma * beta
    return np.r_[log_time, beta, log_time + beta], np.vstack([time_by, speed_by, time_by + speed_by])


def _ratios(measures: Sequence[ArmEstimates], level: float) -> pl.DataFrame:
    return pl.concat(
        pair_ratios(estimates, level).select(pl.lit(name).alias("measure"), pl.all())
        for name, estimates in zip(MEASURES, measures, strict=True)
    )
