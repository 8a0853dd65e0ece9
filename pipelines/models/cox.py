"""Cox regression and the test of proportional hazards.

Belongs here: the public functions, the sorting of rows into risk sets and the frames they return. Does not belong
here: the likelihood (`_partial_likelihood`), its maximisation (`_cox_fit`), the Fine-Gray weights (`_fine_gray`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy import linalg

from pipelines.models._aalen_johansen import Rows, product_limit
from pipelines.models._cox_fit import Maximum, NoMaximum, Scale, check_covariates, maximise, robust_covariance
from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    ESTIMABLE,
    Bools,
    Floats,
    Ints,
    ModelInputError,
    case_weights,
    cluster_codes,
    event_indicator,
    follow_up_times,
    joint_codes,
    not_estimable,
    nullable,
    require_columns,
)
from pipelines.models._intervals import chi_square_p, normal_quantile, two_sided_p
from pipelines.models._partial_likelihood import PartialLikelihood
from pipelines.models._risk_sets import RiskSets, SubdistributionRiskSets

TRANSFORMS = ("km", "identity", "rank", "log")


@dataclass(frozen=True)
class CoxFit:
    """A fitted proportional-hazards model; when `status` is not `estimable` the numbers are null or None.

    Attributes:
        coefficients: term, coef, std_error (model-based), robust_std_error, hazard_ratio, ci_low, ci_high (of the
            ratio), p_value. Limits and p-value use the robust error when the fit has weights or clusters.
        covariance: shape (p, p), robust with weights or clusters, else model-based; also `model_covariance` and
            `robust_covariance` by name. None when not estimable.
        log_likelihood, null_log_likelihood: the (weighted) log partial likelihood at the maximum and at 0.
        baseline_hazard: the strata's columns, time, hazard (jump), cumulative_hazard, at covariates of 0.
        tests: test (`likelihood ratio`, `wald`, `score`), statistic, df, p_value.
        status: `estimable` or `not estimable: reason`. `subjects` and `events` count rows and rows with an event.
    """

    terms: tuple[str, ...]
    coefficients: pl.DataFrame
    covariance: Floats | None
    model_covariance: Floats | None
    robust_covariance: Floats | None
    log_likelihood: float | None
    null_log_likelihood: float | None
    baseline_hazard: pl.DataFrame
    tests: pl.DataFrame
    status: str
    subjects: int
    events: int
    _maximum: Maximum | None = field(default=None, repr=False)
    _times: SortedTimes | None = field(default=None, repr=False)
    _scale: Scale | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SortedTimes:
    """Rows in the order of the risk sets (by stratum, then exit), and their places in the frame; shape (n,)."""

    entry: Floats
    exit: Floats
    event: Bools
    place: Ints


def cox_regression(
    frame: pl.DataFrame,
    time: str,
    event: str,
    covariates: Sequence[str],
    strata: str | Sequence[str] | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    entry: str | None = None,
    ties: str = "efron",
    level: float = 0.95,
) -> CoxFit:
    """Fit a Cox model; rows are at risk on (entry, time], so start-stop rows give time-varying covariates.

    Categorical covariates are coded against their first level. The robust covariance sums score residuals within
    `cluster` (rows without one); give the subject as cluster when a subject has several rows.

    Raises:
        ModelInputError: unknown columns, missing values, negative weights, times that end before they start, no
            covariates, or ties that are neither `efron` nor `breslow`.
    Source: Therneau & Grambsch, Modeling Survival Data (2000), chs. 3 and 7.
    """
    if ties not in ("efron", "breslow"):
        raise ModelInputError(f"ties must be efron or breslow, it is {ties}.")
    names = [strata] if isinstance(strata, str) else list(strata or [])
    require_columns(frame, [time, event, weights, cluster, entry, *names])
    X, terms = design_matrix(frame, covariates)
    start, stop = follow_up_times(frame, time, entry)
    happened, weight = event_indicator(frame, event), case_weights(frame, weights)
    order = risk_order(stop, joint_codes(frame, names), weight)
    stratum = np.unique(joint_codes(frame, names)[order], return_inverse=True)[1]
    times = SortedTimes(start[order], stop[order], happened[order], order)
    clusters = cluster_codes(frame, cluster)
    return fit_model(
        Problem(
            X[order],
            terms,
            weight[order],
            None if clusters is None else clusters[order],
            RiskSets.of(times.entry, times.exit, times.event, stratum),
            times,
            frame.select(names)[order] if names else pl.DataFrame(),
        ),
        robust=weights is not None or cluster is not None,
        ties=ties,
        level=level,
    )


def proportional_hazards_test(fit: CoxFit, transform: str = "km") -> pl.DataFrame:
    """Return the score test for coefficients that drift with a function of time, term by term and together (GLOBAL).

    Columns: term, statistic, df, p_value, status. `transform` is `km` (one minus the left-continuous Kaplan-Meier
    curve), `identity`, `rank` or `log` of time. The information is the model-based one, also for weighted fits. This
    is `cox.zph` of R's survival since version 3, not the older approximation from scaled Schoenfeld residuals.

    Raises:
        ModelInputError: an unknown transform, or times of 0 under `log`.
    Source: Grambsch & Therneau, Biometrika 81 (1994) 515-526.
    """
    if fit._maximum is None or fit._times is None:
        return _drift_frame(fit.terms, np.full(len(fit.terms) + 1, np.nan), fit.status)
    evaluation = fit._maximum.evaluation
    drift = _drift(fit._times, evaluation.data.risk_sets, transform)
    score = evaluation.score(drift)
    crossed, squared = evaluation.information(drift), evaluation.information(drift**2)
    left = squared - crossed @ linalg.solve(evaluation.information(), crossed, assume_a="pos")
    own = np.diag(left)
    if not (own > 1e-10 * np.diag(squared)).all() or not (np.diag(squared) > 0).all():
        reason = not_estimable("the transform of time does not vary over the events")
        return _drift_frame(fit.terms, np.full(len(fit.terms) + 1, np.nan), reason)
    statistics = np.append(score**2 / own, score @ linalg.solve(left, score, assume_a="sym"))
    return _drift_frame(fit.terms, statistics, ESTIMABLE)


def influence(fit: CoxFit, rows: int) -> Floats:
    """Return each row's influence on the coefficients per unit of its weight, shape (rows, p), in the frame's order.

    `rows` is the height of the fitted frame; rows of weight 0 have influence 0. Multiplied by the weights and summed
    within clusters its cross product is the robust covariance (R's `residuals(type = "dfbeta")` before weighting).

    Raises:
        ModelInputError: the fit is not estimable.
    """
    if fit._maximum is None or fit._times is None or fit._scale is None:
        raise ModelInputError(f"This fit has no influence values, it is {fit.status}.")
    moved = fit._maximum.evaluation.score_residuals() @ linalg.inv(fit._maximum.information)
    everyone = np.zeros((rows, moved.shape[1]))
    everyone[fit._times.place] = moved / fit._scale.spread
    return everyone


@dataclass(frozen=True)
class Problem:
    """What a fit needs, in the order of the risk sets: X (n, p), weights, clusters and strata columns (n rows).

    The fit standardises X in its own memory.
    """

    X: Floats
    terms: Sequence[str]
    weight: Floats
    cluster: Ints | None
    risk_sets: RiskSets | SubdistributionRiskSets
    times: SortedTimes
    strata: pl.DataFrame


def risk_order(stop: Floats, stratum: Ints, weight: Floats) -> Ints:
    """Return the order of the risk sets (by stratum, then exit), rows of weight 0 left out."""
    order = np.lexsort((stop, stratum)) if stratum.any() else np.argsort(stop, kind="stable")
    return order[weight[order] > 0]


def fit_model(problem: Problem, robust: bool, ties: str, level: float) -> CoxFit:
    """Fit a proportional-hazards model on any risk sets and lay out its results."""
    if problem.X.shape[1] == 0:
        raise ModelInputError("A regression needs at least one covariate.")
    scale = Scale.standardise(problem.X)
    try:
        check_covariates(problem.X, problem.times.event, scale, problem.terms)
        likelihood = PartialLikelihood.of(problem.X, problem.weight, problem.times.event, problem.risk_sets, ties)
        maximum = maximise(likelihood, problem.terms)
    except NoMaximum as reason:
        return _without_numbers(problem, not_estimable(str(reason)))
    model_covariance = scale.covariance(linalg.inv(maximum.information))
    sandwich = scale.covariance(robust_covariance(maximum, problem.cluster))
    covariance = sandwich if robust else model_covariance
    coef = maximum.coefficients / scale.spread
    return CoxFit(
        tuple(problem.terms),
        _coefficients(problem.terms, coef, model_covariance, sandwich, covariance, level),
        covariance,
        model_covariance,
        sandwich,
        maximum.evaluation.log_likelihood,
        maximum.null_log_likelihood,
        _baseline(maximum, float(coef @ scale.centre), problem),
        _tests(maximum, coef, covariance),
        ESTIMABLE,
        len(problem.X),
        int(problem.times.event.sum()),
        maximum,
        problem.times,
        scale,
    )


def _coefficients(
    terms: Sequence[str], coef: Floats, model: Floats, sandwich: Floats, used: Floats, level: float
) -> pl.DataFrame:
    error, z = np.sqrt(np.diag(used)), normal_quantile(level)
    columns = {
        "coef": coef,
        "std_error": np.sqrt(np.diag(model)),
        "robust_std_error": np.sqrt(np.diag(sandwich)),
        "hazard_ratio": np.exp(coef),
        "ci_low": np.exp(coef - z * error),
        "ci_high": np.exp(coef + z * error),
        "p_value": two_sided_p(coef / error),
    }
    return pl.DataFrame({"term": list(terms), **{name: nullable(values) for name, values in columns.items()}})


def _baseline(maximum: Maximum, centre_effect: float, problem: Problem) -> pl.DataFrame:
    slots = maximum.evaluation.data.risk_sets.slots
    real = np.isfinite(slots.time)
    jumps = maximum.evaluation.hazard * np.exp(-centre_effect)
    columns = {"time": slots.time, "hazard": jumps, "cumulative_hazard": slots.cumulated(jumps)}
    curve = pl.DataFrame({name: values[real] for name, values in columns.items()})
    if not problem.strata.width:
        return curve
    first_rows = np.searchsorted(problem.risk_sets.slot, slots.first)
    return problem.strata[first_rows][slots.stratum[real]].hstack(curve)


def _tests(maximum: Maximum, coef: Floats, covariance: Floats) -> pl.DataFrame:
    statistics = np.array(
        [
            2 * (maximum.evaluation.log_likelihood - maximum.null_log_likelihood),
            coef @ linalg.solve(covariance, coef),
            maximum.null_score @ linalg.solve(maximum.null_information, maximum.null_score),
        ]
    )
    df = len(coef)
    return pl.DataFrame(
        {
            "test": ["likelihood ratio", "wald", "score"],
            "statistic": statistics,
            "df": [df] * 3,
            "p_value": chi_square_p(statistics, df),
        }
    )


def _without_numbers(problem: Problem, status: str) -> CoxFit:
    nothing = np.full(len(problem.terms), np.nan)
    names = ("coef", "std_error", "robust_std_error", "hazard_ratio", "ci_low", "ci_high", "p_value")
    curve = pl.DataFrame(schema=dict.fromkeys(("time", "hazard", "cumulative_hazard"), pl.Float64))
    return CoxFit(
        tuple(problem.terms),
        pl.DataFrame({"term": list(problem.terms), **{name: nullable(nothing) for name in names}}),
        None,
        None,
        None,
        None,
        None,
        problem.strata.clear().hstack(curve),
        pl.DataFrame(schema={"test": pl.String, "statistic": pl.Float64, "df": pl.Int64, "p_value": pl.Float64}),
        status,
        len(problem.X),
        int(problem.times.event.sum()),
    )


def _drift(times: SortedTimes, risk_sets: RiskSets | SubdistributionRiskSets, transform: str) -> Floats:
    """Return the transform of each slot's time, centred over the events, shape (s,)."""
    slots = risk_sets.slots
    real = np.isfinite(slots.time)
    values = np.zeros(slots.count)
    values[real] = transformed_times(times, slots.time[real], transform)
    values[real] -= values[risk_sets.slot[times.event]].mean()
    return values


def transformed_times(times: SortedTimes, at: Floats, transform: str) -> Floats:
    """Return the transform of event times `at` (see `proportional_hazards_test`), as all rows' times make it.

    Raises:
        ModelInputError: an unknown transform, or times of 0 under `log`.
    """
    if transform not in TRANSFORMS:
        raise ModelInputError(f"transform must be one of {', '.join(TRANSFORMS)}, it is {transform}.")
    if transform == "identity":
        return at
    if transform == "log":
        if (at <= 0).any():
            raise ModelInputError("transform log needs event times above 0; choose another transform.")
        return np.log(at)
    if transform == "rank":
        ordered = np.sort(times.exit)
        return (np.searchsorted(ordered, at, "left") + np.searchsorted(ordered, at, "right") + 1) / 2
    n = len(times.exit)
    everyone = Rows(times.entry, times.exit, times.event.astype(np.int64), np.ones(n))
    curve = product_limit(everyone, (1,))
    return 1.0 - curve.survival_before[np.searchsorted(curve.time, at)]


def _drift_frame(terms: Sequence[str], statistics: Floats, status: str) -> pl.DataFrame:
    df = np.append(np.ones(len(terms), dtype=np.int64), len(terms))
    return pl.DataFrame(
        {
            "term": [*terms, "GLOBAL"],
            "statistic": nullable(statistics),
            "df": df,
            "p_value": nullable(chi_square_p(statistics, df)),
            "status": [status] * (len(terms) + 1),
        }
    )
