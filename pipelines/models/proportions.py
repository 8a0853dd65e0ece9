"""Proportions from counts: limits of one, and the comparison of two.

Here belongs what needs only counts of responders and subjects (unadjusted). Standardised risks that adjust for
covariates live in `standardisation`; risk adjustment between sites is another room's work.

Counts may be scalars or arrays; arrays are broadcast together. A row with no subjects has no estimate: its numbers
are null and its status says so.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from pipelines.models._frames import ModelInputError

Array = NDArray[np.float64]

NO_SUBJECTS = "an arm has no subjects"


def wilson(responders: ArrayLike, subjects: ArrayLike, level: float = 0.95, continuity: bool = False) -> pl.DataFrame:
    """Wilson score limits of a proportion.

    Arguments: counts, scalar or one-dimensional. Result: one row a pair of counts with responders, subjects, estimate,
    ci_low, ci_high, status, reason. `continuity` adds the correction of R's `prop.test(correct = TRUE)`.
    Raises ModelInputError if counts are negative or responders exceed subjects.
    Source: Newcombe 1998, Statistics in Medicine 17:857-872, methods 3 and 4.
    """
    x, n = _counts(responders, subjects)
    low, high = _wilson_limits(x, n, level, continuity)
    has_subjects = n > 0
    return _with_status(
        {
            "responders": x.astype(np.int64),
            "subjects": n.astype(np.int64),
            "estimate": _divide(x, n),
            "ci_low": low,
            "ci_high": high,
        },
        has_subjects,
        numbers=("estimate", "ci_low", "ci_high"),
    )


def newcombe(
    responders: ArrayLike,
    subjects: ArrayLike,
    reference_responders: ArrayLike,
    reference_subjects: ArrayLike,
    level: float = 0.95,
) -> pl.DataFrame:
    """Difference of two independent proportions with Newcombe's hybrid score limits.

    Result: one row a comparison with estimate (first minus reference), ci_low, ci_high, status, reason.
    Source: Newcombe 1998, Statistics in Medicine 17:873-890, method 10.
    """
    x1, n1, x0, n0 = _two_arms(responders, subjects, reference_responders, reference_subjects)
    p1, p0 = _divide(x1, n1), _divide(x0, n0)
    low1, high1 = _wilson_limits(x1, n1, level)
    low0, high0 = _wilson_limits(x0, n0, level)
    difference = p1 - p0
    return _with_status(
        {
            "estimate": difference,
            "ci_low": difference - np.hypot(p1 - low1, high0 - p0),
            "ci_high": difference + np.hypot(high1 - p1, p0 - low0),
        },
        (n1 > 0) & (n0 > 0),
        numbers=("estimate", "ci_low", "ci_high"),
    )


def risk_ratio(
    responders: ArrayLike,
    subjects: ArrayLike,
    reference_responders: ArrayLike,
    reference_subjects: ArrayLike,
    level: float = 0.95,
) -> pl.DataFrame:
    """Ratio of two independent proportions with limits on the log scale.

    Result: one row a comparison with estimate, log_std_error, ci_low, ci_high, status, reason. Without responders in
    an arm the log ratio is infinite: the row is not estimable.
    Source: Katz et al. 1978, Biometrics 34:469-474.
    """
    x1, n1, x0, n0 = _two_arms(responders, subjects, reference_responders, reference_subjects)
    estimable = (x1 > 0) & (x0 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _divide(x1, n1) / _divide(x0, n0)
        log_std_error = np.sqrt(1 / x1 - 1 / n1 + 1 / x0 - 1 / n0)
        reach = np.exp(norm.isf((1 - level) / 2) * log_std_error)
        low, high = ratio / reach, ratio * reach
    return _with_status(
        {"estimate": ratio, "log_std_error": log_std_error, "ci_low": low, "ci_high": high},
        estimable,
        numbers=("estimate", "log_std_error", "ci_low", "ci_high"),
        reason="an arm has no responders",
    )


def number_needed_to_treat(difference: ArrayLike, ci_low: ArrayLike, ci_high: ArrayLike) -> pl.DataFrame:
    """Number needed to treat from a risk difference and its limits.

    Result: one row a difference with estimate, ci_low, ci_high (positive: to benefit; negative: to harm), status,
    reason. Limits that hold zero give no single interval (it runs through infinity): such rows are not estimable.
    Source: Altman 1998, BMJ 317:1309-1312.
    """
    difference_, low_, high_ = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (difference, ci_low, ci_high))
    finite = np.isfinite(difference_) & np.isfinite(low_) & np.isfinite(high_)
    excludes_zero = finite & (low_ * high_ > 0)
    with np.errstate(divide="ignore"):
        columns = {"estimate": 1 / difference_, "ci_low": 1 / high_, "ci_high": 1 / low_}
    return _with_status(
        columns,
        excludes_zero,
        numbers=tuple(columns),
        reason="the limits of the risk difference include zero, so the number needed to treat has no finite interval",
    )


def _wilson_limits(x: Array, n: Array, level: float, continuity: bool = False) -> tuple[Array, Array]:
    z = norm.isf((1 - level) / 2)
    p = _divide(x, n)
    if continuity:
        return _wilson_limits_corrected(p, n, z)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.where(x == 0, 0.0, centre - half), np.where(x == n, 1.0, centre + half)


def _wilson_limits_corrected(p: Array, n: Array, z: float) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        low_root = np.sqrt(z**2 - 2 - 1 / n + 4 * p * (n * (1 - p) + 1))
        high_root = np.sqrt(z**2 + 2 - 1 / n + 4 * p * (n * (1 - p) - 1))
        low = (2 * n * p + z**2 - 1 - z * low_root) / (2 * (n + z**2))
        high = (2 * n * p + z**2 + 1 + z * high_root) / (2 * (n + z**2))
    return np.where(p == 0, 0.0, np.maximum(low, 0.0)), np.where(p == 1, 1.0, np.minimum(high, 1.0))


def _counts(responders: ArrayLike, subjects: ArrayLike) -> tuple[Array, Array]:
    x, n = np.broadcast_arrays(
        np.atleast_1d(np.asarray(responders, dtype=float)), np.atleast_1d(np.asarray(subjects, dtype=float))
    )
    if not (np.isfinite(x).all() and np.isfinite(n).all()) or (x < 0).any() or (x > n).any():
        raise ModelInputError("Counts of responders must lie between 0 and the number of subjects, without gaps.")
    return x, n


def _two_arms(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike) -> tuple[Array, Array, Array, Array]:
    first = _counts(x1, n1)
    reference = _counts(x0, n0)
    a, b, c, d = np.broadcast_arrays(*first, *reference)
    return a, b, c, d


def _divide(x: Array, n: Array) -> Array:
    return np.divide(x, n, out=np.full(x.shape, np.nan), where=n > 0)


def _with_status(
    columns: dict[str, np.ndarray], estimable: NDArray[np.bool_], numbers: tuple[str, ...], reason: str = NO_SUBJECTS
) -> pl.DataFrame:
    frame = pl.DataFrame(columns).with_columns(_estimable=estimable)
    return frame.with_columns(
        *(pl.when("_estimable").then(pl.col(name)).alias(name) for name in numbers),
        status=pl.when("_estimable").then(pl.lit("estimable")).otherwise(pl.lit("not estimable")),
        reason=pl.when(~pl.col("_estimable")).then(pl.lit(reason)),
    ).drop("_estimable")
