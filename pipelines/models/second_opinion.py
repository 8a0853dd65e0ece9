"""Mixed models and estimating equations of statsmodels, guarded, as a second opinion on `longitudinal.mmrm`.

Belongs here: a library's own estimators where they answer nearly the same question by another road. They confirm; the
MMRM leads.

The guard. MixedLM can stop at a treatment effect of exactly 0 near a zero variance, `lbfgs` fails often and `powell`
always says it converged; so two gradient methods are tried in a fixed order, and a fit counts only if it converged
without warning, its standard errors are finite and the random intercept has a variance. GEE counts only if it converged
without warning with finite robust errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import statsmodels.api as sm
from scipy.stats import norm

from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    ESTIMABLE,
    Floats,
    Ints,
    ModelInputError,
    event_indicator,
    groups_of,
    not_estimable,
    nullable,
    numeric,
)
from pipelines.models._linear import aliased_columns, cluster_sums, inverse

OPTIMISERS = ("bfgs", "cg")
FAMILIES = ("gaussian", "binomial")
STRUCTURES = ("independence", "exchangeable")
# A random intercept with less than this share of the residual variance counts as none.
ZERO_VARIANCE_SHARE = 1e-4
COMBINED = ("estimate", "std_error", "ci_low", "ci_high", "p_value")


@dataclass(frozen=True)
class SecondOpinion:
    """`coefficients` (term, coef, std_error, ci_low, ci_high, p_value; null if not estimable) and `status`.

    `covariance` (p, p) is that of the coefficients, in their order; without entries if not estimable. `details` names
    what else was estimated: log-likelihood and variances, or the working correlation.
    """

    coefficients: pl.DataFrame
    status: str
    details: dict[str, float]
    covariance: Floats
    level: float = 0.95

    def combination(self, weights: Mapping[str, float]) -> dict[str, float | None]:
        """Estimate, std_error, ci_low, ci_high and p_value of a sum of coefficients, `weights` by term.

        Raises:
            ModelInputError: the model has no such term.
        """
        terms = self.coefficients["term"].to_list()
        unknown = sorted(set(weights) - set(terms))
        if unknown:
            raise ModelInputError(f"The model has no term {', '.join(unknown)}.")
        if self.status != ESTIMABLE:
            return dict.fromkeys(COMBINED)
        row = np.array([weights.get(term, 0.0) for term in terms])
        estimate = float(row @ self.coefficients["coef"].to_numpy())
        error = float(np.sqrt(row @ self.covariance @ row))
        reach = float(norm.isf((1 - self.level) / 2)) * error
        numbers = (estimate, error, estimate - reach, estimate + reach, float(2 * norm.sf(abs(estimate / error))))
        return dict(zip(COMBINED, numbers, strict=True))


def random_intercept(
    frame: pl.DataFrame, outcome: str, subject: str, fixed: list[str], reml: bool = True, level: float = 0.95
) -> SecondOpinion:
    """Linear mixed model with a random intercept a subject, normal limits.

    `fixed` lists covariates or formulaic terms (`arm:visit`); a visit given as a number counts as one.
    Source: Laird & Ware 1982, Biometrics 38:963.
    """
    y = numeric(frame, outcome)
    subjects = groups_of(frame.select(subject), subject).codes
    design, names, problem = _design(frame, fixed, subjects)
    if problem is not None:
        return _failed(names, problem)
    attempts = [_quietly(_mixed_model(y, design, subjects, reml, optimiser)) for optimiser in OPTIMISERS]
    for result in attempts:
        if isinstance(result, str) or not result.converged:
            continue
        between, within = float(result.cov_re[0, 0]), float(result.scale)
        if between <= ZERO_VARIANCE_SHARE * within:
            return _failed(names, "the random intercept has no variance")
        covariance = _fixed_effect_covariance(design, subjects, between, within)
        if _is_usable(covariance):
            details = {"log_likelihood": float(result.llf), "between": between, "within": within}
            return _opinion(names, np.asarray(result.fe_params), covariance, level, details)
    return _failed(names, "no optimiser converged without warning")


def estimating_equations(
    frame: pl.DataFrame,
    outcome: str,
    subject: str,
    fixed: list[str],
    family: str = "gaussian",
    structure: str = "exchangeable",
    level: float = 0.95,
) -> SecondOpinion:
    """Generalised estimating equations with the robust variance, identity or logit link.

    `family` is `gaussian` or `binomial` (outcome 0/1), `structure` the working correlation.
    Source: Liang & Zeger 1986, Biometrika 73:13.
    """
    if family not in FAMILIES or structure not in STRUCTURES:
        raise ModelInputError(f"Choose family from {', '.join(FAMILIES)}, structure from {', '.join(STRUCTURES)}.")
    y = event_indicator(frame, outcome).astype(float) if family == "binomial" else numeric(frame, outcome)
    subjects = groups_of(frame.select(subject), subject).codes
    design, names, problem = _design(frame, fixed, subjects)
    if problem is None and y.min() == y.max():
        problem = "the outcome does not vary"
    if problem is not None:
        return _failed(names, problem)
    link = sm.families.Binomial() if family == "binomial" else sm.families.Gaussian()
    working = sm.cov_struct.Exchangeable() if structure == "exchangeable" else sm.cov_struct.Independence()
    model = sm.GEE(y, design, groups=subjects, family=link, cov_struct=working)
    result = _quietly(lambda: model.fit(maxiter=200, ctol=1e-10))
    if isinstance(result, str) or not result.converged:
        return _failed(names, "the estimating equations did not converge without warning")
    covariance = np.asarray(result.cov_robust)
    if not _is_usable(covariance):
        return _failed(names, "a standard error is not finite or is zero")
    correlation = float(getattr(working, "dep_params", 0.0) or 0.0)
    return _opinion(names, np.asarray(result.params), covariance, level, {"working_correlation": correlation})


def _mixed_model(y: Floats, design: Floats, subjects: Ints, reml: bool, optimiser: str) -> Callable[[], Any]:
    return lambda: sm.MixedLM(y, design, subjects).fit(reml=reml, method=optimiser)


def _fixed_effect_covariance(design: Floats, subjects: Ints, between: float, within: float) -> Floats:
    """Return (X'V^-1 X)^-1; statsmodels' own errors mix in the variances' curvature (0.2 % off)."""
    sums = cluster_sums(design, subjects)
    sizes = np.bincount(subjects)
    shrink = between / (within + sizes * between)
    return within * inverse(design.T @ design - sums.T @ (sums * shrink[:, None]))


def _is_usable(covariance: Floats) -> bool:
    """Whether every variance is a positive number."""
    return bool(np.isfinite(covariance).all() and (np.diag(covariance) > 0).all())


def _design(frame: pl.DataFrame, fixed: list[str], subjects: Ints) -> tuple[Floats, list[str], str | None]:
    matrix, names = design_matrix(frame, fixed)
    design = np.column_stack([np.ones(frame.height), matrix])
    names = ["(Intercept)", *names]
    aliased = aliased_columns(design, names)
    if aliased:
        return design, names, f"constant or collinear covariates: {', '.join(aliased)}"
    if subjects.max() + 1 == len(subjects):
        return design, names, "no subject has a second row"
    if len(subjects) <= design.shape[1]:
        return design, names, f"too few rows to carry {design.shape[1]} coefficients"
    return design, names, None


def _quietly(fit: Callable[[], Any]) -> Any:
    """Return the fit, or the word for what went wrong: warnings count as failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return fit()
        except (Warning, np.linalg.LinAlgError, ValueError) as trouble:
            return type(trouble).__name__


def _opinion(
    names: list[str], coefs: Floats, covariance: Floats, level: float, details: dict[str, float]
) -> SecondOpinion:
    errors = np.sqrt(np.diag(covariance))
    reach = norm.isf((1 - level) / 2) * errors
    columns = {
        "term": names,
        "coef": coefs,
        "std_error": errors,
        "ci_low": coefs - reach,
        "ci_high": coefs + reach,
        "p_value": nullable(2 * norm.sf(np.abs(coefs / errors))),
    }
    return SecondOpinion(pl.DataFrame(columns), ESTIMABLE, details, covariance, level)


def _failed(names: list[str], problem: str) -> SecondOpinion:
    gaps = pl.Series([None] * len(names), dtype=pl.Float64)
    numbers = dict.fromkeys(("coef", "std_error", "ci_low", "ci_high", "p_value"), gaps)
    return SecondOpinion(pl.DataFrame({"term": names} | numbers), not_estimable(problem), {}, np.empty((0, 0)))
