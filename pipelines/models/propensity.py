"""Propensity scores of two or more arms: weights, their diagnostics, and weighted effects with both variances.

Belongs here: who got which arm given covariates, and what is made of that alone. Outcome regression lives in
`comparison`; which contrasts pass a gate is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from pipelines.models._arms import (
    ESTIMABLE,
    ArmEstimates,
    Arms,
    arms_of,
    flat_arms,
    for_few_clusters,
    on_log_scale,
    pair_differences,
    pair_ratios,
    too_few_clusters,
)
from pipelines.models._balance import balance, unmodelled_terms
from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    Floats,
    ModelInputError,
    case_weights,
    cluster_codes,
    not_estimable,
    nullable,
    numeric,
    reason_of,
    require_columns,
)
from pipelines.models._linear import aliased_columns, cluster_sums
from pipelines.models._multinomial import MultinomialFit, fit_multinomial

__all__ = [
    "Propensity",
    "Trimming",
    "balance",
    "effects",
    "preference_overlap",
    "preference_scores",
    "trim",
    "unmodelled_terms",
    "weighted_means",
    "weights",
]

ESTIMANDS = ("ate", "att", "overlap")


@dataclass(frozen=True)
class Propensity:
    """Scores and weights of one model; `status` is `estimable`, or `not estimable: …` with null weights."""

    arms: Arms
    estimand: str
    target: object
    status: str
    terms: Sequence[str]
    model: MultinomialFit | None

    @property
    def scores(self) -> pl.DataFrame:
        """Each row's probability of each arm, a column an arm; without rows if not estimable."""
        if self.model is None:
            return pl.DataFrame({name: pl.Series(dtype=pl.Float64) for name in self.arms.names})
        return pl.DataFrame(self.model.probabilities, schema=self.arms.names)

    @property
    def weights(self) -> pl.Series:
        """Each row's weight, named `weight`, in the order of the frame; null if not estimable."""
        if self.model is None:
            return pl.Series("weight", [None] * len(self.arms.codes), dtype=pl.Float64)
        return pl.Series("weight", self._weights())

    @property
    def effective_sample_size(self) -> pl.DataFrame:
        """Kish's effective sample size: group, subjects, effective_sample_size (Kish 1965, Survey Sampling, 11.7)."""
        weights = np.full(len(self.arms.codes), np.nan) if self.model is None else self._weights()
        total = np.bincount(self.arms.codes, weights, self.arms.count)
        squares = np.bincount(self.arms.codes, weights**2, self.arms.count)
        with np.errstate(invalid="ignore"):
            sizes = nullable(total**2 / squares)
        return pl.DataFrame({"group": self.arms.levels, "subjects": self.arms.rows(), "effective_sample_size": sizes})

    @property
    def coefficients(self) -> pl.DataFrame:
        """Log odds against the first arm: group, term, coef, std_error; without rows if not estimable."""
        if self.model is None:
            numbers = {name: pl.Series(dtype=pl.Float64) for name in ("coef", "std_error")}
            return pl.DataFrame({"group": self.arms.levels.clear(), "term": pl.Series(dtype=pl.String)} | numbers)
        values, errors = self.model.in_units()
        terms = ["(Intercept)", *self.terms]
        columns = {
            "group": self.arms.levels[np.repeat(np.arange(1, self.arms.count), len(terms)).tolist()],
            "term": terms * (self.arms.count - 1),
            "coef": values.T.ravel(),
            "std_error": errors.T.ravel(),
        }
        return pl.DataFrame(columns)

    def _weights(self) -> Floats:
        e, own = self._scores_and_own()
        if self.estimand == "ate":
            return 1 / own
        if self.estimand == "att":
            return e[:, _code(self.arms, self.target)] / own
        return 1 / (1 / e).sum(axis=1) / own

    def _log_weight_slopes(self) -> Floats:
        """Return the derivatives of log weight in the linear predictor of each arm but the first, (n, k - 1)."""
        e, _ = self._scores_and_own()
        arm = np.arange(self.arms.count)
        own = (arm == self.arms.codes[:, None]).astype(float)
        if self.estimand == "ate":
            slopes = e - own
        elif self.estimand == "att":
            slopes = (arm == _code(self.arms, self.target)) - own
        else:
            slopes = 1 / (1 / e).sum(axis=1, keepdims=True) / e - own
        return slopes[:, 1:]

    def _scores_and_own(self) -> tuple[Floats, Floats]:
        if self.model is None:
            raise ModelInputError(f"This propensity model has no weights, it is {self.status}.")
        e = self.model.probabilities
        return e, e[np.arange(len(e)), self.arms.codes]

    def stacked(self, rows: Floats) -> Floats:
        """Weight the rows of an estimating function and add what the estimation of the weights contributes.

        `rows` (n, q) are the unweighted estimating functions; the result (n, q) holds each row's total contribution, so
        that its cross product is the meat of the sandwich for stacked equations.
        Source: Stefanski & Boos 2002, American Statistician 56:29; Lunceford & Davidian 2004, Stat Med 23:2937.
        """
        if self.model is None:
            raise ModelInputError(f"This propensity model has no weights, it is {self.status}.")
        weighted = rows * self._weights()[:, None]
        slopes = self._log_weight_slopes()
        design = self.model.design
        derivative = np.hstack([weighted.T @ (design * slope[:, None]) for slope in slopes.T])
        # score (n, Q) times covariance times derivative, without forming the score matrix
        carried = (self.model.covariance @ derivative.T).reshape(slopes.shape[1], design.shape[1], rows.shape[1])
        residual = (np.arange(1, self.arms.count) == self.arms.codes[:, None]) - self.model.probabilities[:, 1:]
        return weighted + sum((design @ part) * residual[:, [j]] for j, part in enumerate(carried))


def weights(
    frame: pl.DataFrame,
    treatment: str,
    covariates: Sequence[str],
    estimand: str = "overlap",
    target: object = None,
) -> Propensity:
    """Fit the probability of each arm by (multinomial) logistic regression and derive balancing weights.

    `frame` has one row a unit; `treatment` names its arm, two or more. `estimand`: `ate` weighs by 1/e(own arm), `att`
    by e(target)/e(own), `overlap` by the (generalised) overlap weight, 1 / sum of 1/e, over e(own). For `att` the
    `target` arm must be named; with two arms it defaults to the second.

    Separation, constant or collinear covariates, an arm without rows and a search that does not converge are told by
    `.status` ("not estimable: …"); weights are null then. Raises ModelInputError for missing columns or bad options.
    Sources: Rosenbaum & Rubin 1983, Biometrika 70:41; Li & Li 2019, Ann Appl Stat 13:2389 (generalised overlap).
    """
    if estimand not in ESTIMANDS:
        raise ModelInputError(f"estimand must be one of {', '.join(ESTIMANDS)}, not {estimand}.")
    require_columns(frame, [treatment])
    arms = arms_of(frame, treatment)
    if estimand == "att":
        target = arms.levels[-1] if target is None and arms.count == 2 else target
        _code(arms, target)
    matrix, terms = design_matrix(frame, covariates)
    problem = _unusable(arms, matrix, terms)
    model = None
    if problem is None:
        model = fit_multinomial(matrix, arms.codes, arms.count)
        problem = _unsettled(model, terms)
    if problem is not None:
        return Propensity(arms, estimand, target, not_estimable(problem), terms, None)
    return Propensity(arms, estimand, target, ESTIMABLE, terms, model)


def effects(
    propensity: Propensity,
    frame: pl.DataFrame,
    outcome: str,
    weights: str | None = None,
    cluster: str | None = None,
    measure: str = "difference",
    level: float = 0.95,
    few_clusters: bool = False,
) -> pl.DataFrame:
    """Differences (or ratios) between arms of the weighted mean outcome, with two variances.

    `frame` holds the rows the propensity was fitted on, in the same order. Rows whose outcome is null count for the
    propensity only. `weights` (say, for dropout) multiply the propensity weights and are held fixed. `measure` is
    `difference`, or `ratio` with limits on the log scale.

    Result: a row a variance (`weights fixed`, `weights estimated`) and ordered pair: variance, group, reference,
    estimate, std_error (or log_std_error), ci_low, ci_high, p_value, df, subjects, status, reason. Summed within
    `cluster` when given; without small-sample correction, unless `few_clusters` asks for G/(G - 1) and t limits.
    Sources: Lunceford & Davidian 2004, Stat Med 23:2937; Li, Thomas & Li 2019, Am J Epidemiol 188:250.
    """
    if measure not in ("difference", "ratio"):
        raise ModelInputError(f"measure must be difference or ratio, not {measure}.")
    if frame.height != len(propensity.arms.codes):
        raise ModelInputError("The frame must hold the rows on which the propensity was fitted, in the same order.")
    pieces = []
    for variance, plain in weighted_means(propensity, frame, outcome, weights, cluster).items():
        estimates = for_few_clusters(plain, cluster_codes(frame, cluster)) if few_clusters else plain
        pairs = (
            pair_differences(estimates, level)
            if measure == "difference"
            else pair_ratios(on_log_scale(estimates), level)
        )
        pieces.append(pairs.select(pl.lit(variance).alias("variance"), pl.all()))
    return pl.concat(pieces)


def weighted_means(
    propensity: Propensity, frame: pl.DataFrame, outcome: str, weights: str | None = None, cluster: str | None = None
) -> dict[str, ArmEstimates]:
    """Return the arms' weighted means under `weights fixed` and `weights estimated` (arguments as `effects`)."""
    arms = propensity.arms
    clusters = cluster_codes(frame, cluster)
    problem = too_few_clusters(clusters) if propensity.model else reason_of(propensity.status)
    if problem is not None:
        failed = ArmEstimates.failed(arms, problem)
        return {"weights fixed": failed, "weights estimated": failed}
    seen = frame[outcome].is_not_null().to_numpy()
    y = np.zeros(frame.height)
    y[seen] = numeric(frame.filter(seen), outcome) if seen.any() else 0.0
    member = arms.indicators() * (seen * case_weights(frame, weights))[:, None]
    balancing = propensity.weights.to_numpy()
    total = balancing @ member
    observed = np.bincount(arms.codes[seen], minlength=arms.count)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = ((balancing * y) @ member) / total
        flat = flat_arms(y[seen], arms.codes[seen], arms.count)
        means = np.where(np.isnan(flat), means, flat)
        rows = np.where((total > 0) & np.isnan(flat), member * (y[:, None] - means) / total, 0.0)
    reasons = [
        None if n >= 2 else f"{name} has fewer than 2 rows with an outcome"
        for name, n in zip(arms.names, observed, strict=True)
    ]
    totals = {
        "weights fixed": cluster_sums(rows * balancing[:, None], clusters),
        "weights estimated": cluster_sums(propensity.stacked(rows), clusters),
    }
    return {
        variance: ArmEstimates(arms.levels, means, part.T @ part, observed, reasons)
        for variance, part in totals.items()
    }


@dataclass(frozen=True)
class Trimming:
    """Which rows stay (`kept`, a boolean series), how many left each arm, and whom the effect now concerns."""

    kept: pl.Series
    removed: pl.DataFrame
    population: str


def trim(propensity: Propensity, threshold: float = 0.05) -> Trimming:
    """Keep the rows whose probability of every arm is at least `threshold`; refit the weights on these.

    Trimming changes the estimand: `population` says in words whom the effect concerns afterwards.
    Source: Crump et al. 2009, Biometrika 96:187.
    """
    arms = propensity.arms
    if not 0 < threshold < 1 / arms.count:
        raise ModelInputError(f"The threshold must lie between 0 and 1/{arms.count}, the number of arms.")
    if propensity.model is None:
        raise ModelInputError(f"This propensity model has no scores, it is {propensity.status}.")
    kept = propensity.model.probabilities.min(axis=1) >= threshold
    removed = arms.rows() - np.bincount(arms.codes[kept], minlength=arms.count)
    return Trimming(
        pl.Series("kept", kept),
        pl.DataFrame({"group": arms.levels, "subjects": arms.rows(), "removed": removed}),
        f"subjects whose probability of every arm is at least {threshold:g}: "
        f"{kept.sum()} of {len(kept)}, not the whole cohort",
    )


def preference_scores(propensity: Propensity) -> pl.DataFrame:
    """Return each row's preference score within each pair: group, reference, arm (the row's own), preference.

    The score is the propensity within the pair freed of the arms' sizes: logit(preference) = logit(e) - logit(share).
    Source: Walker et al. 2013, Comparative Effectiveness Research 3:11.
    """
    if propensity.model is None:
        raise ModelInputError(f"This propensity model has no scores, it is {propensity.status}.")
    arms, e = propensity.arms, propensity.model.probabilities
    pieces = []
    for j, i in combinations(range(arms.count), 2):
        rows = np.flatnonzero((arms.codes == i) | (arms.codes == j))
        sizes = arms.rows()
        odds = e[rows, i] / e[rows, j] * sizes[j] / sizes[i]
        pieces.append(
            pl.DataFrame(
                {
                    "group": arms.levels[[i] * len(rows)],
                    "reference": arms.levels[[j] * len(rows)],
                    "arm": arms.levels[arms.codes[rows].tolist()],
                    "preference": odds / (1 + odds),
                }
            )
        )
    return pl.concat(pieces)


def preference_overlap(propensity: Propensity, low: float = 0.3, high: float = 0.7) -> pl.DataFrame:
    """Return the share of each arm with a preference between `low` and `high`: group, reference, arm, subjects, share.

    Walker et al. 2013 call two treatments in empirical equipoise when half of each arm lies there.
    """
    return (
        preference_scores(propensity)
        .group_by("group", "reference", "arm", maintain_order=True)
        .agg(subjects=pl.len(), share=pl.col("preference").is_between(low, high).mean())
        .sort("group", "reference", "arm")
    )


def _code(arms: Arms, level: object) -> int:
    for code, name in enumerate(arms.levels.to_list()):
        if name == level:
            return code
    raise ModelInputError(f"The target must be one of the arms {', '.join(arms.names)}.")


def _unusable(arms: Arms, matrix: Floats, terms: Sequence[str]) -> str | None:
    empty = [name for name, n in zip(arms.names, arms.rows(), strict=True) if n == 0]
    if empty:
        return f"no rows in {', '.join(empty)}"
    aliased = aliased_columns(np.column_stack([np.ones(len(matrix)), matrix]), ["(Intercept)", *terms])
    if aliased:
        return f"constant or collinear covariates: {', '.join(aliased)}"
    if len(matrix) <= (arms.count - 1) * (len(terms) + 1):
        return f"too few rows to carry {(arms.count - 1) * (len(terms) + 1)} coefficients"
    return None


def _unsettled(model: MultinomialFit, terms: Sequence[str]) -> str | None:
    try:
        column = model.separating_column()
    except np.linalg.LinAlgError:
        return "the information matrix of the propensity model is singular"
    if column is not None:
        return f"separation: arms are told apart without error, most by {['(Intercept)', *terms][column]}"
    return None if model.converged else "the propensity model did not converge"
