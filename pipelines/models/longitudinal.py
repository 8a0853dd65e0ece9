"""Repeated measures: the mixed model for repeated measures (MMRM) with its marginal means and contrasts by visit.

Belongs here: outcomes seen at several visits of the same subject. One window alone is `comparison`'s; how missing
visits came about is `imputation`'s question (an MMRM is right when they are missing at random given what is modelled).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
import polars as pl

from pipelines.models._arms import ArmEstimates, arm_rows, pair_differences, reach_and_p, too_few_clusters
from pipelines.models._covariance import LADDER, UNSTRUCTURED, Structure, structure_of
from pipelines.models._fixed_effects import RepeatedMeasures, repeated_measures
from pipelines.models._frames import ESTIMABLE, Floats, ModelInputError, not_estimable, nullable, reason_of
from pipelines.models._linear import aliased_in_gram
from pipelines.models._mmrm_inference import Clustered, Inference, KenwardRoger, ModelBased
from pipelines.models._mmrm_likelihood import (
    CovarianceFit,
    Patterns,
    gls_information,
    maximise,
    patterns_of,
    residual_moments,
)

VARIANCES = ("model", "kenward-roger", "sandwich")
# Below this the information about the covariance parameters, in units of their own scale, counts as none.
SINGULAR = 1e-10
# A residual variance below this share of the outcome's is rounding error.
NO_RESIDUAL_SHARE = 1e-12


@dataclass(frozen=True)
class RepeatedMeasuresFit:
    """A fitted MMRM. `status` is `estimable` or `not estimable: …`; in the latter case tables hold nulls.

    `covariance_structure` and `variance` tell what was used in the end, `attempts` (covariance, status) what was tried.
    """

    data: RepeatedMeasures
    status: str
    covariance_structure: str | None
    variance: str
    attempts: pl.DataFrame
    _fit: CovarianceFit | None
    _inference: Inference | None
    _centre: float

    @cached_property
    def coefficients(self) -> pl.DataFrame:
        """Fixed effects: term, coef, std_error, df, p_value."""
        p = len(self.data.terms)
        if self._inference is None:
            gaps = pl.Series([None] * p, dtype=pl.Float64)
            return pl.DataFrame(
                {"term": list(self.data.terms)} | dict.fromkeys(("coef", "std_error", "df", "p_value"), gaps)
            )
        errors, df = np.sqrt(np.diag(self.covariance)), self._inference.degrees_of_freedom(np.eye(p))
        p_values = [reach_and_p(z, d, 0.95)[1] for z, d in zip(self._estimates / errors, df, strict=True)]
        return pl.DataFrame(
            {
                "term": list(self.data.terms),
                "coef": self._estimates,
                "std_error": errors,
                "df": df,
                "p_value": nullable(np.array(p_values)),
            }
        )

    @property
    def covariance(self) -> Floats:
        """Covariance of the coefficients, shape (p, p)."""
        if self._inference is None:
            return np.full((len(self.data.terms),) * 2, np.nan)
        return self._inference.covariance

    @property
    def residual_covariance(self) -> Floats:
        """Covariance of the outcomes of one subject between visits, shape (v, v)."""
        return np.full((len(self.data.visits),) * 2, np.nan) if self._fit is None else self._fit.sigma

    @property
    def log_likelihood(self) -> float | None:
        """(Restricted) log-likelihood with its constant, (n - p) log(2 pi) / 2; null if not estimable."""
        return None if self._fit is None else self._fit.evaluation.log_likelihood

    def means(self, treatment: str, weights: str = "equal", level: float = 0.95) -> pl.DataFrame:
        """Marginal mean of each arm at each visit: visit, group, subjects, estimate, std_error, ci_low, ci_high, df,
        status, reason.

        `weights` is `equal` (emmeans' default: equal shares of the levels of other factors, numbers at their mean over
        all rows) or `observed` (the average over the subjects' own covariates). `subjects` counts those seen there.
        """
        return self._by_visit(treatment, weights, level, arm_rows)

    def contrasts(self, treatment: str, weights: str = "equal", level: float = 0.95) -> pl.DataFrame:
        """Differences between arms at each visit, a row an ordered pair: visit, group, reference, estimate, std_error,
        ci_low, ci_high, p_value, df, subjects, status, reason. Arguments as `means`."""
        return self._by_visit(treatment, weights, level, pair_differences)

    def _by_visit(self, treatment: str, weights: str, level: float, rows_of) -> pl.DataFrame:
        if treatment not in self.data.subject_frame.columns:
            raise ModelInputError(f"{treatment} is not among the fixed effects of this model.")
        if weights not in ("equal", "observed"):
            raise ModelInputError(f"weights must be equal or observed, not {weights}.")
        levels = _levels(self.data, treatment)
        pieces = []
        for visit, name in enumerate(self.data.visits.to_list()):
            combinations = [_combination(self.data, treatment, arm, visit, weights) for arm in levels]
            rows = _visit_rows(self, treatment, levels, visit, combinations, level, rows_of)
            pieces.append(rows.select(pl.lit(name, dtype=self.data.visits.dtype).alias("visit"), pl.all()))
        return pl.concat(pieces)

    @property
    def _estimates(self) -> Floats:
        """Coefficients in the outcome's own origin (the fit centres it)."""
        if self._fit is None:
            return np.full(len(self.data.terms), np.nan)
        estimates = self._fit.evaluation.coefficients.copy()
        if self.data.intercept is not None:
            estimates[self.data.intercept] += self._centre
        return estimates


def mmrm(
    frame: pl.DataFrame,
    outcome: str,
    visit: str,
    subject: str,
    fixed: str,
    covariance: str = UNSTRUCTURED,
    weights: str | None = None,
    variance: str = "model",
    reml: bool = True,
    cluster: str | None = None,
) -> RepeatedMeasuresFit:
    """Fit a mixed model for repeated measures with a residual covariance between visits, by REML (or ML).

    `frame` has one row a subject and seen visit; unseen visits have no row. `fixed` is a formula over its columns
    (`arm * visit + baseline * visit + age`); the visit column always counts as categorical. `weights` holds one weight
    a subject (pseudo-likelihood: weight 2 equals two copies of the subject) and needs `variance="sandwich"`. `variance`
    is `model` with Satterthwaite degrees of freedom, `kenward-roger` (the same with its small-sample variance; for few
    subjects) or `sandwich`, clustered by subject or by `cluster`.

    Fallback, fixed beforehand: unstructured, heterogeneous compound symmetry, compound symmetry, starting at
    `covariance`. A rung counts only if the search converged, the observed information of the covariance parameters is
    positive definite and the standard errors are finite. Below the rung asked for, the variance is always the sandwich.

    Collinear columns (a constant covariate, an arm unseen at a visit), a single visit and a declared visit without rows
    are told by `.status`. Raises ModelInputError for missing values, unknown columns or options.
    Sources: Mallinckrodt et al. 2008, Drug Inf J 42:303; Sabanés Bové et al. 2024, R package mmrm.
    """
    if covariance not in LADDER:
        raise ModelInputError(f"covariance must be one of {', '.join(LADDER)}, not {covariance}.")
    if variance not in VARIANCES:
        raise ModelInputError(f"variance must be one of {', '.join(VARIANCES)}, not {variance}.")
    if variance == "kenward-roger" and not (covariance == UNSTRUCTURED and reml):
        raise ModelInputError("The Kenward-Roger variance is for an unstructured covariance fitted by REML.")
    if weights is not None and variance != "sandwich":
        raise ModelInputError("A weighted fit has no likelihood of its own: ask for variance='sandwich'.")
    data = repeated_measures(frame, outcome, visit, subject, fixed, weights, cluster)
    patterns = patterns_of(data)
    problem = _unusable(data, patterns)
    if problem is not None:
        return _failed(data, problem, variance, [])
    attempts: list[tuple[str, str]] = []
    for name in LADDER[LADDER.index(covariance) :]:
        used = variance if name == covariance else "sandwich"
        structure = structure_of(name, len(data.visits))
        fit, inference, problem = _attempt(data, patterns, structure, used, reml)
        attempts.append((name, ESTIMABLE if problem is None else not_estimable(problem)))
        if problem is None:
            table = pl.DataFrame(attempts, schema=["covariance", "status"], orient="row")
            return RepeatedMeasuresFit(data, ESTIMABLE, name, used, table, fit, inference, patterns.centre)
    return _failed(data, "no covariance structure could be fitted", variance, attempts)


def _failed(
    data: RepeatedMeasures, problem: str, variance: str, attempts: list[tuple[str, str]]
) -> RepeatedMeasuresFit:
    table = pl.DataFrame(attempts, schema={"covariance": pl.String, "status": pl.String}, orient="row")
    return RepeatedMeasuresFit(data, not_estimable(problem), None, variance, table, None, None, 0.0)


def _unusable(data: RepeatedMeasures, patterns: Patterns) -> str | None:
    seen = patterns.seen.T.astype(float) @ patterns.subjects
    empty = [str(name) for name, n in zip(data.visits.to_list(), seen, strict=True) if n == 0]
    if empty:
        return f"no rows at visit {', '.join(empty)}"
    if len(data.visits) < 2:
        return "one visit only; compare it as one window"
    alike = np.nanmax(data.outcomes, axis=0) == np.nanmin(data.outcomes, axis=0)
    if alike.any():
        return f"the outcome does not vary at visit {data.visits.cast(pl.String)[int(alike.argmax())]}"
    flat = np.eye(len(data.visits)) * patterns.seen[:, :, None]
    aliased = aliased_in_gram(gls_information(patterns, flat), data.terms)
    if aliased:
        return f"constant or collinear fixed effects: {', '.join(aliased)}"
    if patterns.observations <= len(data.terms):
        return f"too few rows to carry {len(data.terms)} coefficients"
    spread = np.nanvar(data.outcomes, axis=0)
    if (np.diag(residual_moments(patterns)) <= NO_RESIDUAL_SHARE * np.maximum(spread, NO_RESIDUAL_SHARE)).any():
        return "the outcome does not vary beyond the fixed effects at some visit"
    return None


def _attempt(
    data: RepeatedMeasures, patterns: Patterns, structure: Structure, variance: str, reml: bool
) -> tuple[CovarianceFit | None, Inference | None, str | None]:
    """Fit one covariance structure; return it with its inference, or why it does not count."""
    if structure.name == UNSTRUCTURED and (unmet := _never_together(data, patterns)):
        return None, None, unmet
    try:
        fit = maximise(patterns, structure, reml)
        if fit.problem is not None:
            return None, None, fit.problem
        model = ModelBased(patterns, structure, fit, reml)
        units = structure.units(fit.parameters)
        scaled = model.information * np.outer(units, units)
        values = np.linalg.eigvalsh(scaled)
        if not values[0] > SINGULAR * values[-1]:
            return None, None, "the covariance parameters are not identified"
        inference: Inference = model
        if variance == "kenward-roger":
            inference = KenwardRoger(patterns, structure, fit, reml)
        elif variance == "sandwich":
            if few := too_few_clusters(data.clusters):
                return None, None, few
            inference = Clustered(patterns, fit, data)
        if not (np.diag(inference.covariance) > 0).all():
            return None, None, "a standard error is not finite or is zero"
    except np.linalg.LinAlgError:
        return None, None, "the covariance matrix is singular"
    return fit, inference, None


def _never_together(data: RepeatedMeasures, patterns: Patterns) -> str | None:
    together = np.einsum("k,ka,kb->ab", patterns.subjects, patterns.seen, patterns.seen)
    names = data.visits.cast(pl.String).to_list()
    apart = [f"{names[a]} and {names[b]}" for a, b in np.argwhere(np.triu(together == 0))]
    return f"no subject was seen at both {'; '.join(apart)}" if apart else None


def _levels(data: RepeatedMeasures, treatment: str) -> list:
    """Return the arms: an Enum's declared ones, else those that occur."""
    if treatment in data.declared:
        return data.declared[treatment]
    column = data.subject_frame[treatment]
    return list(column.cat.categories) if isinstance(column.dtype, pd.CategoricalDtype) else sorted(column.unique())


def _combination(data: RepeatedMeasures, treatment: str, arm: object, visit: int, weights: str) -> Floats | None:
    """Return the combination of coefficients (p,) that is the arm's mean at a visit; None for an arm without rows."""
    column = data.subject_frame[treatment]
    if not (column == arm).any():
        return None
    if weights == "observed":
        return np.average(
            data.matrix(_with_arm(data.subject_frame, treatment, arm), visit), axis=0, weights=data.weights
        )
    values = [
        list(data.subject_frame[name].cat.categories)
        if isinstance(data.subject_frame[name].dtype, pd.CategoricalDtype)
        else [data.averages[str(name)]]
        for name in data.subject_frame.columns
    ]
    grid = pd.DataFrame(list(product(*values)), columns=data.subject_frame.columns)
    for name in grid.columns:
        grid[name] = grid[name].astype(data.subject_frame[name].dtype)
    grid = _with_arm(grid, treatment, arm).drop_duplicates()
    return data.matrix(grid, visit).mean(axis=0)


def _with_arm(frame: pd.DataFrame, treatment: str, arm: object) -> pd.DataFrame:
    values = pd.Series([arm] * len(frame), index=frame.index).astype(frame[treatment].dtype)
    return frame.assign(**{treatment: values})


def _visit_rows(
    fit: RepeatedMeasuresFit,
    treatment: str,
    levels: Sequence,
    visit: int,
    combinations: Sequence[Floats | None],
    level: float,
    rows_of,
) -> pl.DataFrame:
    data = fit.data
    p, k = len(data.terms), len(levels)
    matrix = np.array([np.full(p, np.nan) if c is None else c for c in combinations])
    arm = data.subject_frame[treatment]
    seen = np.isfinite(data.outcomes[:, visit])
    subjects = np.array([int((seen & (arm == name).to_numpy()).sum()) for name in levels])
    reasons = [f"{name} has no rows" if c is None else None for name, c in zip(levels, combinations, strict=True)]
    names = pl.Series("group", levels)
    if fit._inference is None:
        gap = np.full((k, k), np.nan)
        failure = reason_of(fit.status)
        return rows_of(ArmEstimates(names, gap[0], gap, subjects, reasons, failure=failure), level)
    df = np.full((k, k), np.nan)
    usable = [i for i in range(k) if combinations[i] is not None]
    for i, j in product(usable, usable):
        df[i, j] = fit._inference.degrees_of_freedom((matrix[i] - (matrix[j] if i != j else 0))[None])[0]
    covariance = matrix @ fit.covariance @ matrix.T
    return rows_of(ArmEstimates(names, matrix @ fit._estimates, covariance, subjects, reasons, df), level)
