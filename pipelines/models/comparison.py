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

from pipelines.models._arms import ArmEstimates, Arms, arm_rows, arms_of, pair_differences, spread, too_few_rows
from pipelines.models._design import design_matrix
from pipelines.models._frames import Floats, ModelInputError, case_weights, cluster_codes, numeric
from pipelines.models._linear import aliased_columns

ROBUST = ("HC0", "HC1", "HC2", "HC3")
MIN_ROWS_PER_ARM = 3
# A residual sum of squares below this share of the total is rounding error: the fit is perfect and has no variance.
NO_RESIDUAL_SHARE = 1e-20


def ancova(
    frame: pl.DataFrame,
    outcome: str,
    baseline: str | None,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None = None,
    robust: str | None = "HC3",
    cluster: str | None = None,
    level: float = 0.95,
    min_rows_per_arm: int = MIN_ROWS_PER_ARM,
) -> pl.DataFrame:
    """Differences between arms in an outcome, adjusted for its baseline and covariates, from one joint linear model.

    `frame` has one row a subject. `outcome` and `baseline` are numeric and in the same unit (`baseline` None leaves it
    out); the result is in that unit. `weights` are propensity weights, held fixed. `robust` is HC0 to HC3, or None for
    the model's own variance; with `cluster` the variance is clustered (CR1) with clusters minus one degrees of freedom.

    Result: a row an ordered pair of arms: group, reference, estimate (group minus reference), std_error, ci_low,
    ci_high, p_value, df, subjects, status, reason. Arms with fewer than `min_rows_per_arm` rows are left out of the
    fit; their pairs, and every pair of a rank-deficient fit, are `not estimable` with a reason and no number.

    Raises ModelInputError for missing or non-numeric columns.
    Sources: Vickers & Altman 2001, BMJ 323:1123; MacKinnon & White 1985, J Econometrics 29:305 (HC3).
    """
    fit = _fit(frame, outcome, baseline, treatment, covariates, weights, robust, cluster, min_rows_per_arm)
    return pair_differences(fit.effects, level)


def adjusted_means(
    frame: pl.DataFrame,
    outcome: str,
    baseline: str | None,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None = None,
    robust: str | None = "HC3",
    cluster: str | None = None,
    level: float = 0.95,
    min_rows_per_arm: int = MIN_ROWS_PER_ARM,
) -> pl.DataFrame:
    """Mean outcome of each arm at the average baseline and covariates of all rows used (arguments as `ancova`).

    Result: a row an arm: group, subjects, estimate, std_error, ci_low, ci_high, df, status, reason. Categorical
    covariates enter with the (weighted) shares seen in the rows used, not with equal shares as emmeans does by default.
    """
    fit = _fit(frame, outcome, baseline, treatment, covariates, weights, robust, cluster, min_rows_per_arm)
    return arm_rows(fit.means, level)


@dataclass(frozen=True)
class _Fit:
    effects: ArmEstimates
    means: ArmEstimates


def _fit(
    frame: pl.DataFrame,
    outcome: str,
    baseline: str | None,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None,
    robust: str | None,
    cluster: str | None,
    min_rows_per_arm: int,
) -> _Fit:
    if robust is not None and robust not in ROBUST:
        raise ModelInputError(f"robust must be one of {', '.join(ROBUST)} or None, not {robust}.")
    if weights is not None:
        frame = frame.filter(case_weights(frame, weights) > 0)
    arms = arms_of(frame, treatment)
    reasons = too_few_rows(arms, min_rows_per_arm)
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    if len(kept) < 2:
        return _failed(arms, "fewer than two arms have enough rows", reasons)
    used = frame.filter(np.isin(arms.codes, kept))
    adjusters = [*([baseline] if baseline is not None else []), *covariates]
    x, names = design_matrix(used, adjusters)
    case = case_weights(used, weights)
    design = np.column_stack([arms.indicators()[np.isin(arms.codes, kept)][:, kept], x])
    problem = _unusable(design, [arms.names[i] for i in kept] + names, case)
    if problem is not None:
        return _failed(arms, problem, reasons)
    fitted = _least_squares(numeric(used, outcome), design, case, robust, used, cluster)
    if fitted.ssr <= NO_RESIDUAL_SHARE * np.sum(case * fitted.model.endog**2):
        return _failed(arms, "the outcome does not vary beyond arm and covariates", reasons)
    k = len(kept)
    at_average = np.hstack([np.eye(k), np.tile(np.average(x, axis=0, weights=case), (k, 1))])
    covariance = np.asarray(fitted.cov_params())
    return _Fit(
        spread(arms, kept, fitted.params[:k], covariance[:k, :k], reasons, _df(fitted)),
        spread(arms, kept, at_average @ fitted.params, at_average @ covariance @ at_average.T, reasons, _df(fitted)),
    )


def _failed(arms: Arms, failure: str, reasons: Sequence[str | None]) -> _Fit:
    gaps = ArmEstimates.failed(arms, failure, reasons)
    return _Fit(gaps, gaps)


def _unusable(design: Floats, names: Sequence[str], weights: Floats) -> str | None:
    aliased = aliased_columns(design, names, weights)
    if aliased:
        return f"constant or collinear covariates: {', '.join(aliased)}"
    if design.shape[0] <= design.shape[1]:
        return f"{design.shape[0]} rows cannot carry {design.shape[1]} coefficients"
    return None


def _least_squares(
    y: Floats, design: Floats, weights: Floats, robust: str | None, frame: pl.DataFrame, cluster: str | None
) -> sm.regression.linear_model.RegressionResults:
    model = sm.WLS(y, design, weights=weights)
    if cluster is not None:
        return model.fit(cov_type="cluster", cov_kwds={"groups": cluster_codes(frame, cluster)}, use_t=True)
    return model.fit() if robust is None else model.fit(cov_type=robust, use_t=True)


def _df(fitted: sm.regression.linear_model.RegressionResults) -> float:
    return float(getattr(fitted, "df_resid_inference", None) or fitted.df_resid)
