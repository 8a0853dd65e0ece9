"""Accelerated failure time regression with left, right and interval censoring, and the choice between distributions.

Belongs here: the public functions for Weibull, log-normal and log-logistic regression, and what they report. Does not
belong here: the likelihoods (`_aft_likelihood`) or curves without a distribution (`survival`, `interval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import linalg

from pipelines.models._aft_likelihood import DISTRIBUTIONS, AftLikelihood
from pipelines.models._cox_fit import NoMaximum, Scale, check_covariates
from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    ESTIMABLE,
    Bools,
    Floats,
    ModelInputError,
    event_indicator,
    not_estimable,
    nullable,
    numeric,
    require_columns,
)
from pipelines.models._intervals import normal_quantile, two_sided_p


@dataclass(frozen=True)
class ParametricFit:
    """A fitted model log T = intercept + xβ + scale × error; not estimable fits hold nulls and None.

    Attributes:
        coefficients: term (`Intercept`, the covariates', `log(scale)`), coef, std_error, time_ratio (exp coef; above 1
            means longer), ci_low, ci_high (of the ratio), p_value.
        covariance: of the coefficients, in their order.
        log_likelihood, aic: with the Jacobian of log T, so that distributions can be compared.
    """

    distribution: str
    coefficients: pl.DataFrame
    covariance: Floats | None
    log_likelihood: float | None
    aic: float | None
    status: str
    subjects: int
    events: int


def parametric_regression(
    frame: pl.DataFrame,
    time: str,
    event: str,
    covariates: Sequence[str],
    distribution: str = "weibull",
    upper: str | None = None,
    level: float = 0.95,
) -> ParametricFit:
    """Fit an accelerated failure time model.

    `event` 0: nothing by `time` (right-censored). `event` 1: at `time`, or, with a column `upper`, at some time in
    (time, upper] (equal: exact; a time of 0: left-censored). `upper` is not read where `event` is 0.

    Raises:
        ModelInputError: unknown columns, missing values, an unknown distribution, events at time 0, or upper < time.
    Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), ch. 3.
    """
    if distribution not in DISTRIBUTIONS:
        raise ModelInputError(f"distribution must be one of {', '.join(DISTRIBUTIONS)}, it is {distribution}.")
    X, terms = design_matrix(frame, covariates)
    low, high, happened = observed_bounds(frame, time, event, upper)
    if (high <= 0).any():
        raise ModelInputError(f"Column {time} holds events at time 0, which no such distribution allows.")
    # Nothing seen and nothing excluded: such rows say nothing about the time.
    informative = (low > 0) | np.isfinite(high)
    X, low, high, happened = X[informative], low[informative], high[informative], happened[informative]
    try:
        return _fitted(distribution, X, terms, low, high, happened, level)
    except NoMaximum as reason:
        return _without_numbers(distribution, terms, not_estimable(str(reason)), happened)


def compare_distributions(
    frame: pl.DataFrame,
    time: str,
    event: str,
    covariates: Sequence[str],
    upper: str | None = None,
) -> pl.DataFrame:
    """Return the fit of each distribution, lowest AIC first: distribution, parameters, log_likelihood, aic, status."""
    fits = [parametric_regression(frame, time, event, covariates, name, upper) for name in DISTRIBUTIONS]
    table = pl.DataFrame(
        {
            "distribution": [fit.distribution for fit in fits],
            "parameters": [fit.coefficients.height for fit in fits],
            "log_likelihood": pl.Series([fit.log_likelihood for fit in fits], dtype=pl.Float64),
            "aic": pl.Series([fit.aic for fit in fits], dtype=pl.Float64),
            "status": [fit.status for fit in fits],
        }
    )
    return table.sort("aic", nulls_last=True)


def observed_bounds(frame: pl.DataFrame, time: str, event: str, upper: str | None) -> tuple[Floats, Floats, Bools]:
    """Return the bounds between which each event time lies (upper infinite when censored) and the event marks."""
    require_columns(frame, [time, event])
    low, happened = numeric(frame, time), event_indicator(frame, event)
    if (low < 0).any():
        raise ModelInputError(f"Column {time} holds negative times; follow-up cannot end before it starts.")
    high = np.where(happened, low, np.inf)
    if upper is not None:
        if upper not in frame.columns:
            raise ModelInputError(f"The frame has no column {upper}; name columns that exist.")
        if happened.any():
            high[happened] = numeric(frame.filter(pl.Series(happened)), upper)
    if (high < low).any():
        raise ModelInputError(f"In some rows {upper} is earlier than {time}.")
    return low, high, happened


def _fitted(
    distribution: str, X: Floats, terms: Sequence[str], low: Floats, high: Floats, happened: Bools, level: float
) -> ParametricFit:
    scale = Scale.standardise(X)
    check_covariates(X, happened, scale, terms)
    Z = np.column_stack([np.ones(len(X)), X])
    if np.linalg.matrix_rank(Z) < Z.shape[1]:
        raise NoMaximum("the covariates are collinear")
    names = ["Intercept", *terms, "log(scale)"]
    maximum = AftLikelihood.of(Z, low, high, distribution).maximise(names)
    back = _back_transform(scale)
    covariance = back @ linalg.inv(maximum.information) @ back.T
    return ParametricFit(
        distribution,
        _coefficients(names, back @ maximum.theta, covariance, level),
        covariance,
        maximum.log_likelihood,
        2.0 * len(names) - 2.0 * maximum.log_likelihood,
        ESTIMABLE,
        len(low),
        int(happened.sum()),
    )


def _back_transform(scale: Scale) -> Floats:
    """Return the matrix from standardised to raw coefficients, shape (p + 2, p + 2)."""
    size = len(scale.spread)
    back = np.eye(size + 2)
    back[0, 1:-1] = -scale.centre / scale.spread
    back[np.arange(1, size + 1), np.arange(1, size + 1)] = 1 / scale.spread
    return back


def _coefficients(terms: Sequence[str], coef: Floats, covariance: Floats, level: float) -> pl.DataFrame:
    error, z = np.sqrt(np.diag(covariance)), normal_quantile(level)
    columns = {
        "coef": coef,
        "std_error": error,
        "time_ratio": np.exp(coef),
        "ci_low": np.exp(coef - z * error),
        "ci_high": np.exp(coef + z * error),
        "p_value": two_sided_p(coef / error),
    }
    return pl.DataFrame({"term": list(terms), **{name: nullable(values) for name, values in columns.items()}})


def _without_numbers(distribution: str, terms: Sequence[str], status: str, happened: Bools) -> ParametricFit:
    names = ["Intercept", *terms, "log(scale)"]
    nothing = np.full(len(names), np.nan)
    columns = ("coef", "std_error", "time_ratio", "ci_low", "ci_high", "p_value")
    table = pl.DataFrame({"term": names, **{name: nullable(nothing) for name in columns}})
    return ParametricFit(distribution, table, None, None, None, status, len(happened), int(happened.sum()))
