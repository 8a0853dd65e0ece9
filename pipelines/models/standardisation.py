"""Risks standardised over a population by logistic regression (g-computation), and their differences and ratios.

Belongs here: adjusted comparison of a yes/no outcome. Unadjusted counts are `proportions`', weighted means without an
outcome model `propensity`'s, means `comparison`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.models._arms import (
    ArmEstimates,
    arm_rows,
    arms_of,
    on_log_scale,
    pair_differences,
    pair_ratios,
    spread,
    too_few_clusters,
    too_few_rows,
)
from pipelines.models._design import design_matrix
from pipelines.models._frames import Floats, ModelInputError, case_weights, cluster_codes, event_indicator
from pipelines.models._linear import aliased_columns, cluster_sums
from pipelines.models._multinomial import MultinomialFit, fit_multinomial

MEASURES = ("risk", "difference", "ratio")
MIN_EVENTS_PER_ARM = 1


def standardised_risks(
    frame: pl.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    measure: str = "difference",
    weights: str | None = None,
    cluster: str | None = None,
    level: float = 0.95,
    min_events_per_arm: int = MIN_EVENTS_PER_ARM,
) -> pl.DataFrame:
    """Risk of a yes/no outcome if everyone were in an arm: one logistic regression, averaged over all rows used.

    `frame` has one row a subject, `outcome` 0/1 or boolean. `weights` (held fixed) weigh both the regression and the
    average, so that overlap weights standardise to the overlap population. The variance stacks the equations of the
    regression and of the averages, without small-sample factor, summed within `cluster` when given.

    Result, by `measure`: `difference` or `ratio` (limits on the log scale): a row an ordered pair of arms, columns as
    `comparison.ancova`; `risk`: a row an arm. An arm with fewer than `min_events_per_arm` events or non-events is left
    out and named; separation and collinear covariates make every row `not estimable`.
    Sources: Robins 1986, Math Modelling 7:1393; Zou 2009, Biometrics 65:1252 (variance of standardised measures).
    """
    if measure not in MEASURES:
        raise ModelInputError(f"measure must be one of {', '.join(MEASURES)}, not {measure}.")
    risks = _risks(frame, outcome, treatment, covariates, weights, cluster, min_events_per_arm)
    if measure == "risk":
        return arm_rows(risks, level)
    return pair_differences(risks, level) if measure == "difference" else pair_ratios(on_log_scale(risks), level)


def _risks(
    frame: pl.DataFrame,
    outcome: str,
    treatment: str,
    covariates: Sequence[str],
    weights: str | None,
    cluster: str | None,
    min_events_per_arm: int,
) -> ArmEstimates:
    if weights is not None:
        frame = frame.filter(case_weights(frame, weights) > 0)
    arms = arms_of(frame, treatment)
    responded = event_indicator(frame, outcome)
    reasons = [
        few_events or few_others
        for few_events, few_others in zip(
            too_few_rows(arms, min_events_per_arm, "events", responded),
            too_few_rows(arms, min_events_per_arm, "subjects without event", ~responded),
            strict=True,
        )
    ]
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    if len(kept) < 2:
        return ArmEstimates.failed(arms, "fewer than two arms have enough events", reasons)
    rows = np.isin(arms.codes, kept)
    used = frame.filter(rows)
    clusters = cluster_codes(used, cluster)
    if few := too_few_clusters(clusters):
        return ArmEstimates.failed(arms, few, reasons)
    matrix, names = design_matrix(used, covariates)
    case = case_weights(used, weights)
    dummies = arms.indicators()[rows][:, kept]
    aliased = aliased_columns(np.column_stack([dummies, matrix]), [arms.names[i] for i in kept] + names, case)
    if aliased:
        return ArmEstimates.failed(arms, f"constant or collinear covariates: {', '.join(aliased)}", reasons)
    columns = np.column_stack([dummies[:, 1:], matrix])
    fit = fit_multinomial(columns, responded[rows].astype(np.int64), 2, case)
    problem = _unsettled(fit, [*(arms.names[i] for i in kept[1:]), *names])
    if problem is not None:
        return ArmEstimates.failed(arms, problem, reasons)
    means, influence = _averages(fit, matrix, len(kept), case)
    totals = cluster_sums(influence, clusters)
    return spread(arms, kept, means, totals.T @ totals, reasons)


def _averages(fit: MultinomialFit, matrix: Floats, k: int, case: Floats) -> tuple[Floats, Floats]:
    """Return the average risk in each arm (k,) and each row's contribution to its error (n, k)."""
    share = case / case.sum()
    scores = fit.scores() @ fit.covariance
    means = np.empty(k)
    influence = np.empty((len(matrix), k))
    for a in range(k):
        columns = np.column_stack([np.tile(np.eye(k)[a, 1:], (len(matrix), 1)), matrix])
        risk = fit.predict(columns)[:, 1]
        means[a] = share @ risk
        design = np.column_stack([np.ones(len(matrix)), (columns - fit.centre) / fit.scale])
        slope = (share * risk * (1 - risk)) @ design
        influence[:, a] = share * (risk - means[a]) + scores @ slope
    return means, influence


def _unsettled(fit: MultinomialFit, names: Sequence[str]) -> str | None:
    try:
        column = fit.separating_column()
    except np.linalg.LinAlgError:
        return "the information matrix of the outcome model is singular"
    if column is not None:
        return f"separation: the outcome is told without error, most by {['(Intercept)', *names][column]}"
    return None if fit.converged else "the outcome model did not converge"
