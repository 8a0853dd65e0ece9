"""Comparison of arms at one window: analysis of covariance and augmented inverse-probability weighting.

Here belong estimators of a mean difference (or risk difference) of one outcome per subject. Repeated measures live in
`longitudinal`, walking tests with their cap in `walking`, unadjusted proportions in `proportions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import statsmodels.api as sm

from pipelines.models._arms import (
    ArmEstimates,
    Arms,
    arm_rows,
    arms_of,
    flat_arms,
    pair_differences,
    spread,
    too_few_clusters,
    too_few_rows,
)
from pipelines.models._design import design_matrix
from pipelines.models._frames import Bools, Floats, ModelInputError, case_weights, cluster_codes, numeric, reason_of
from pipelines.models._linear import aliased_columns, cluster_sums, inverse
from pipelines.models._multinomial import fit_multinomial
from pipelines.models.propensity import Propensity
from pipelines.models.propensity import weights as weights_of

ROBUST = ("HC0", "HC1", "HC2", "HC3")
MIN_ROWS_PER_ARM = 3
# A residual sum of squares below this share of the total is rounding error: the fit is perfect and has no variance.
NO_RESIDUAL_SHARE = 1e-20
FULL_LEVERAGE = 1 - 1e-9


def ancova(
    frame: pl.DataFrame,
    outcome: str,
    baseline: str | None,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None = None,
    robust: str | None = "HC3",
    cluster: str | None = None,
    propensity: Propensity | None = None,
    level: float = 0.95,
    min_rows_per_arm: int = MIN_ROWS_PER_ARM,
) -> pl.DataFrame:
    """Differences between arms in an outcome, adjusted for its baseline and covariates, from one joint linear model.

    `frame` has one row a subject. `outcome` and `baseline` are numeric and in the same unit (`baseline` None leaves it
    out); the result is in that unit. `weights` are propensity weights, held fixed. `robust` is HC0 to HC3, or None for
    the model's own variance; with `cluster` the variance is clustered (CR1) with clusters minus one degrees of freedom.
    With `propensity`, a model fitted on these very rows, its weights multiply `weights` and the variance allows for
    their estimation by stacked equations (then `robust` is not read and there is no small-sample factor).

    Result: a row an ordered pair of arms: group, reference, estimate (group minus reference), std_error, ci_low,
    ci_high, p_value, df, subjects, status, reason. Arms with fewer than `min_rows_per_arm` rows are left out of the
    fit; their pairs, and every pair of a rank-deficient fit, are `not estimable` with a reason and no number.

    Raises ModelInputError for missing or non-numeric columns.
    Sources: Vickers & Altman 2001, BMJ 323:1123; MacKinnon & White 1985, J Econometrics 29:305 (HC3).
    """
    model = _Model(outcome, baseline, treatment, covariates, weights, robust, cluster, min_rows_per_arm, propensity)
    return pair_differences(_fit(frame, model).effects, level)


def adjusted_means(
    frame: pl.DataFrame,
    outcome: str,
    baseline: str | None,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None = None,
    robust: str | None = "HC3",
    cluster: str | None = None,
    propensity: Propensity | None = None,
    level: float = 0.95,
    min_rows_per_arm: int = MIN_ROWS_PER_ARM,
) -> pl.DataFrame:
    """Mean outcome of each arm at the average baseline and covariates of all rows used (arguments as `ancova`).

    Result: a row an arm: group, subjects, estimate, std_error, ci_low, ci_high, df, status, reason. Categorical
    covariates enter with the (weighted) shares seen in the rows used, not with equal shares as emmeans does by default.
    """
    model = _Model(outcome, baseline, treatment, covariates, weights, robust, cluster, min_rows_per_arm, propensity)
    return arm_rows(_fit(frame, model).means, level)


def aipw(
    frame: pl.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    outcome_model: str = "linear",
    cluster: str | None = None,
    level: float = 0.95,
    min_rows_per_arm: int = MIN_ROWS_PER_ARM,
    modifiers: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Differences between arms in the mean outcome of the whole population, by augmented inverse-probability weighting.

    One outcome regression an arm (`linear`, or `logistic` for a 0/1 outcome) and one (multinomial) propensity model, on
    the same covariates; the estimate is right if either is. With `modifiers` (may be empty) one regression holds all
    arms, and the arm interacts with these covariates only: fewer coefficients where arms are small, at the price of
    assuming the others' effects alike in all arms. The variance is that of the influence function, summed within
    `cluster` if given.

    Result: a row an ordered pair of arms, columns as `ancova` (df null: normal). A propensity model or an outcome
    regression that cannot be fitted makes the pairs it touches `not estimable`.
    Sources: Robins, Rotnitzky & Zhao 1994, JASA 89:846; Lunceford & Davidian 2004, Stat Med 23:2937; one regression
    with named modifiers: Hernan & Robins 2020, Causal Inference: What If, ch. 13.
    """
    if outcome_model not in ("linear", "logistic"):
        raise ModelInputError(f"outcome_model must be linear or logistic, not {outcome_model}.")
    scores = weights_of(frame, treatment, covariates, estimand="ate")
    arms, y = scores.arms, numeric(frame, outcome)
    clusters = cluster_codes(frame, cluster)
    problem = too_few_clusters(clusters) if scores.model else reason_of(scores.status)
    if problem is not None:
        return pair_differences(ArmEstimates.failed(arms, problem), level)
    matrix, names = design_matrix(frame, covariates)
    if modifiers is None:
        predicted, reasons = _predict_by_arm(np.column_stack([np.ones(len(y)), matrix]), names, y, arms, outcome_model)
        needed = max(min_rows_per_arm, len(names) + 2)
    else:
        interacting, named = design_matrix(frame, modifiers)
        predicted, reasons = _predict_jointly((matrix, interacting), (names, named), y, arms, outcome_model)
        needed = min_rows_per_arm
    flat = flat_arms(y, arms.codes, arms.count)
    if modifiers is None or np.isfinite(flat).all():
        predicted = np.where(np.isfinite(flat) & np.isfinite(predicted), flat, predicted)
    reasons = [few or other for few, other in zip(too_few_rows(arms, needed), reasons, strict=True)]
    inverse_probability = arms.indicators() * scores.weights.to_numpy()[:, None]
    influence = predicted + inverse_probability * (y[:, None] - predicted)
    means = influence.mean(axis=0)
    # the mean of values all alike may differ from them by rounding, which is no variance
    moved = np.where(np.ptp(influence, axis=0) == 0, 0.0, influence - means) / len(y)
    totals = cluster_sums(moved, clusters)
    return pair_differences(ArmEstimates(arms.levels, means, totals.T @ totals, arms.rows(), reasons), level)


def _predict_by_arm(
    design: Floats, names: Sequence[str], y: Floats, arms: Arms, outcome_model: str
) -> tuple[Floats, list[str | None]]:
    """Return every row's outcome in each arm (n, k), by one regression an arm, and why an arm has none."""
    predicted = np.full((len(y), arms.count), np.nan)
    reasons: list[str | None] = [None] * arms.count
    for a, name in enumerate(arms.names):
        own = arms.codes == a
        reasons[a] = _unusable(design[own], ["(Intercept)", *names], np.ones(own.sum()), f" in {name}")
        if reasons[a] is None:
            predicted[:, a], reasons[a] = _predict(design, y, own, outcome_model)
    return predicted, reasons


def _predict_jointly(
    matrices: tuple[Floats, Floats], names: tuple[list[str], list[str]], y: Floats, arms: Arms, outcome_model: str
) -> tuple[Floats, list[str | None]]:
    """As `_predict_by_arm`, by one regression on covariates, arm, and the arm's interaction with its modifiers."""
    matrix, modifiers = matrices
    columns = ["(Intercept)", *names[0], *(f"{arm}{m and f':{m}'}" for arm in arms.names[1:] for m in ("", *names[1]))]

    def design(indicators: Floats) -> Floats:
        own = np.column_stack([np.ones(len(y)), modifiers])
        by_arm = [own * indicators[:, [a]] for a in range(1, arms.count)]
        return np.column_stack([np.ones(len(y)), matrix, *by_arm])

    predicted = np.full((len(y), arms.count), np.nan)
    seen = design(arms.indicators())
    everyone: Bools = np.ones(len(y), dtype=bool)
    problem = _unusable(seen, columns, np.ones(len(y)))
    for a in range(arms.count):
        if problem is None:
            as_if = design(np.tile(np.eye(arms.count)[a], (len(y), 1)))
            predicted[:, a], problem = _predict(seen, y, everyone, outcome_model, as_if)
    return predicted, [problem] * arms.count


def _predict(
    design: Floats, y: Floats, own: Bools, outcome_model: str, at: Floats | None = None
) -> tuple[Floats, str | None]:
    """Return the outcome that the regression on the rows `own` predicts at each row of `at`, or why there is none."""
    at = design if at is None else at
    if outcome_model == "linear":
        return at @ np.linalg.lstsq(design[own], y[own], rcond=None)[0], None
    gap = np.full(len(y), np.nan)
    if not np.isin(y, (0, 1)).all():
        raise ModelInputError("A logistic outcome model needs an outcome of 0 and 1.")
    if y[own].min() == y[own].max():
        return gap, "an arm's outcomes are all alike"
    fit = fit_multinomial(design[own, 1:], y[own].astype(np.int64), 2)
    if not fit.converged or fit.separating_column() is not None:
        return gap, "separation in the outcome model of an arm"
    return fit.predict(at[:, 1:])[:, 1], None


@dataclass(frozen=True)
class _Model:
    outcome: str
    baseline: str | None
    treatment: str
    covariates: Sequence[str]
    weights: str | None
    robust: str | None
    cluster: str | None
    min_rows_per_arm: int
    propensity: Propensity | None


@dataclass(frozen=True)
class _Fit:
    effects: ArmEstimates
    means: ArmEstimates


def _fit(frame: pl.DataFrame, model: _Model) -> _Fit:
    if model.robust is not None and model.robust not in ROBUST:
        raise ModelInputError(f"robust must be one of {', '.join(ROBUST)} or None, not {model.robust}.")
    arms = arms_of(frame, model.treatment)
    case = _case_weights(frame, model)
    if case is None:
        return _failed(arms, "the propensity model has no weights", [None] * arms.count)
    reasons = too_few_rows(arms, model.min_rows_per_arm, counted=case > 0)
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    if len(kept) < 2:
        return _failed(arms, "fewer than two arms have enough rows", reasons)
    if model.propensity is not None and len(kept) < arms.count:
        return _failed(arms, "an arm of the propensity model has too few rows", reasons)
    rows = np.isin(arms.codes, kept) & (case > 0)
    used, case = frame.filter(rows), case[rows]
    baseline = [] if model.baseline is None else [model.baseline]
    x, names = design_matrix(used, [*baseline, *model.covariates])
    design = np.column_stack([arms.indicators()[rows][:, kept], x])
    problem = _unusable(design, [arms.names[i] for i in kept] + names, case) or _no_robust(design, case, model, used)
    if problem is not None:
        return _failed(arms, problem, reasons)
    y = numeric(used, model.outcome)
    fitted = _least_squares(y, design, case, model, used)
    if fitted.ssr <= NO_RESIDUAL_SHARE * np.sum(case * y**2):
        return _failed(arms, "the outcome does not vary beyond arm and covariates", reasons)
    covariance, df = _covariance(fitted, design, case, rows, model, frame)
    k = len(kept)
    at_average = np.hstack([np.eye(k), np.tile(np.average(x, axis=0, weights=case), (k, 1))])
    return _Fit(
        spread(arms, kept, fitted.params[:k], covariance[:k, :k], reasons, df),
        spread(arms, kept, at_average @ fitted.params, at_average @ covariance @ at_average.T, reasons, df),
    )


def _case_weights(frame: pl.DataFrame, model: _Model) -> Floats | None:
    """Return the case weights times the propensity's, or None when that has none."""
    case = case_weights(frame, model.weights)
    if model.propensity is None:
        return case
    if len(model.propensity.weights) != frame.height:
        raise ModelInputError("The frame must hold the rows on which the propensity was fitted, in the same order.")
    return None if model.propensity.model is None else case * model.propensity.weights.to_numpy()


def _failed(arms: Arms, failure: str, reasons: Sequence[str | None]) -> _Fit:
    gaps = ArmEstimates.failed(arms, failure, reasons)
    return _Fit(gaps, gaps)


def _unusable(design: Floats, names: Sequence[str], weights: Floats, where: str = "") -> str | None:
    aliased = aliased_columns(design, names, weights)
    if aliased:
        return f"constant or collinear covariates{where}: {', '.join(aliased)}"
    if design.shape[0] <= design.shape[1]:
        return f"{design.shape[0]} rows{where} cannot carry {design.shape[1]} coefficients"
    return None


def _no_robust(design: Floats, weights: Floats, model: _Model, frame: pl.DataFrame) -> str | None:
    """Return why the variance asked for has no value: few clusters, or (HC2, HC3) a row that sets its own fit."""
    clusters = cluster_codes(frame, model.cluster)
    if clusters is not None:
        return too_few_clusters(clusters)
    if model.propensity is None and model.robust in ("HC2", "HC3"):
        leverage = np.einsum("np,pq,nq->n", design, inverse(design.T @ (design * weights[:, None])), design) * weights
        if (leverage > FULL_LEVERAGE).any():
            return f"a covariate value that one row alone has leaves {model.robust} without a value; HC1 has one"
    return None


def _least_squares(
    y: Floats, design: Floats, weights: Floats, model: _Model, frame: pl.DataFrame
) -> sm.regression.linear_model.RegressionResults:
    fit = sm.WLS(y, design, weights=weights)
    if model.cluster is not None:
        return fit.fit(cov_type="cluster", cov_kwds={"groups": cluster_codes(frame, model.cluster)}, use_t=True)
    return fit.fit() if model.robust is None else fit.fit(cov_type=model.robust, use_t=True)


def _covariance(
    fitted: sm.regression.linear_model.RegressionResults,
    design: Floats,
    case: Floats,
    rows: Bools,
    model: _Model,
    frame: pl.DataFrame,
) -> tuple[Floats, float]:
    """Return the coefficients' covariance and degrees of freedom; stacked with the propensity's equations if given."""
    df = float(getattr(fitted, "df_resid_inference", None) or fitted.df_resid)
    if model.propensity is None:
        return np.asarray(fitted.cov_params()), df
    unweighted = np.zeros((len(rows), design.shape[1]))
    fixed = case / model.propensity.weights.to_numpy()[rows]
    unweighted[rows] = design * (fixed * fitted.resid)[:, None]
    bread = inverse(design.T @ (design * case[:, None]))
    totals = cluster_sums(model.propensity.stacked(unweighted), cluster_codes(frame, model.cluster))
    return bread @ (totals.T @ totals) @ bread, df
