"""Arms of a comparison: who is in them, which can be estimated, and the tidy rows of all their ordered pairs.

Every comparative estimator ends in one estimate an arm with a joint covariance; from there to differences or ratios
is the same for all, and stands here once. No estimator lives here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import polars as pl
from scipy.special import stdtr, stdtrit

from pipelines.models._frames import Bools, Floats, Ints, ModelInputError, groups_of

ESTIMABLE = "estimable"
NOT_ESTIMABLE = "not estimable"
MIN_CLUSTERS = 5


@dataclass(frozen=True)
class Arms:
    """All levels of a treatment column, those without rows too, and each row's level number, shape (n,)."""

    levels: pl.Series
    codes: Ints

    @property
    def count(self) -> int:
        return len(self.levels)

    @property
    def names(self) -> list[str]:
        return [str(level) for level in self.levels.to_list()]

    def indicators(self) -> Floats:
        """Return one 0/1 column a level, shape (n, k)."""
        return np.eye(self.count)[self.codes]

    def rows(self) -> Ints:
        """Return the number of rows of each level, shape (k,)."""
        return np.bincount(self.codes, minlength=self.count)


def arms_of(frame: pl.DataFrame, treatment: str) -> Arms:
    """Return the arms of a column; an Enum's declared levels count as arms even when no row has them.

    Raises:
        ModelInputError: the column is absent or missing, or names fewer than two arms.
    """
    present = groups_of(frame, treatment)
    levels, codes = present.levels, present.codes
    dtype = frame.schema[treatment]
    if isinstance(dtype, pl.Enum):
        levels = pl.Series("group", dtype.categories, dtype=dtype)
        codes = frame[treatment].to_physical().to_numpy().astype(np.int64)
    if len(levels) < 2:
        raise ModelInputError(f"Column {treatment} names one arm only; a comparison needs two.")
    return Arms(levels, codes)


def too_few_rows(arms: Arms, minimum: int, what: str = "rows", counted: Bools | None = None) -> list[str | None]:
    """Return for each arm why it cannot be estimated (fewer than `minimum` counted rows), or None."""
    counts = np.bincount(arms.codes if counted is None else arms.codes[counted], minlength=arms.count)
    return [
        None if count >= minimum else f"{name} has fewer than {minimum} {what}"
        for name, count in zip(arms.names, counts, strict=True)
    ]


def too_few_clusters(clusters: Ints | None) -> str | None:
    """Return why clusters cannot carry a variance, or None: with few of them the sandwich is nearly singular."""
    if clusters is None or clusters.max() + 1 >= MIN_CLUSTERS:
        return None
    return f"{clusters.max() + 1} clusters, fewer than {MIN_CLUSTERS}, cannot carry a clustered variance"


def for_few_clusters(estimates: ArmEstimates, clusters: Ints | None) -> ArmEstimates:
    """Return clustered estimates with their covariance times G/(G - 1) and t limits with G - 1 degrees of freedom.

    G is the number of clusters; without clusters the estimates stay as they are. Source: Cameron & Miller 2015, Journal
    of Human Resources 50:317, section VI.
    """
    if clusters is None or estimates.failure is not None:
        return estimates
    count = int(clusters.max()) + 1
    return replace(estimates, covariance=estimates.covariance * count / (count - 1), df=float(count - 1))


def flat_arms(outcome: Floats, codes: Ints, count: int) -> Floats:
    """Return the one value of each arm whose outcomes are all alike, NaN for arms that vary or have no rows.

    Such an arm has no variance, which rounding would otherwise turn into a very small one.
    """
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, codes, outcome)
    np.maximum.at(high, codes, outcome)
    return np.where(low == high, low, np.nan)


@dataclass(frozen=True)
class ArmEstimates:
    """One estimate an arm (shape (k,)), their covariance (k, k), rows of each arm, and why an arm has none.

    `df` None means a normal reference distribution; a matrix (k, k) holds each arm's degrees of freedom on its diagonal
    and each pair's off it. `failure` is a reason that holds for every arm.
    """

    levels: pl.Series
    estimates: Floats
    covariance: Floats
    subjects: Ints
    reasons: Sequence[str | None]
    df: float | Floats | None = None
    failure: str | None = None

    def df_of(self, i: int, j: int) -> float | None:
        """Return the degrees of freedom of arm i (i = j) or of the difference of arms i and j."""
        return float(self.df[i, j]) if isinstance(self.df, np.ndarray) else self.df

    @classmethod
    def failed(cls, arms: Arms, failure: str, reasons: Sequence[str | None] | None = None) -> ArmEstimates:
        """Return the estimates of a fit that gave none."""
        gap = np.full(arms.count, np.nan)
        return cls(
            arms.levels, gap, np.outer(gap, gap), arms.rows(), reasons or [None] * arms.count, None, failure=failure
        )


def spread(
    arms: Arms,
    kept: Sequence[int],
    estimates: Floats,
    covariance: Floats,
    reasons: Sequence[str | None],
    df: float | None = None,
) -> ArmEstimates:
    """Return estimates of the kept arms laid out over all arms, with gaps for those left out."""
    index = np.asarray(kept)
    all_estimates = np.full(arms.count, np.nan)
    all_covariance = np.full((arms.count, arms.count), np.nan)
    all_estimates[index] = estimates
    all_covariance[np.ix_(index, index)] = covariance
    return ArmEstimates(arms.levels, all_estimates, all_covariance, arms.rows(), reasons, df)


def arm_rows(arms: ArmEstimates, level: float = 0.95) -> pl.DataFrame:
    """Return one row an arm: group, subjects, estimate, std_error, ci_low, ci_high, df, status, reason."""
    records = [
        {"group": arms.levels[i], "subjects": int(arms.subjects[i])}
        | _numbers(arms.estimates[i], arms.covariance[i, i], arms.df_of(i, i), level, arms.failure or arms.reasons[i])
        for i in range(len(arms.levels))
    ]
    return _frame(records, arms.levels.dtype, ("group",)).drop("p_value")


def pair_differences(arms: ArmEstimates, level: float = 0.95) -> pl.DataFrame:
    """Return a row an ordered pair: group, reference, estimate (group minus reference), std_error, ci_low, ci_high,
    p_value, df, subjects, status, reason."""
    return _pairs(arms, level)


def pair_ratios(arms: ArmEstimates, level: float = 0.95) -> pl.DataFrame:
    """Return a row an ordered pair for estimates on the log scale: the ratio with limits, and `log_std_error`."""
    return (
        _pairs(arms, level)
        .rename({"std_error": "log_std_error"})
        .with_columns(pl.col("estimate", "ci_low", "ci_high").exp())
    )


def on_log_scale(arms: ArmEstimates) -> ArmEstimates:
    """Return the logarithms of positive estimates with their delta-method covariance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(arms.estimates > 0, np.log(arms.estimates), np.nan)
        covariance = arms.covariance / np.outer(arms.estimates, arms.estimates)
    reasons = [
        reason or (f"the estimate of {name} is not positive, so it has no ratio" if estimate <= 0 else None)
        for reason, name, estimate in zip(arms.reasons, arms.levels.to_list(), arms.estimates, strict=True)
    ]
    return ArmEstimates(arms.levels, logs, covariance, arms.subjects, reasons, arms.df, arms.failure)


def _pairs(arms: ArmEstimates, level: float) -> pl.DataFrame:
    records = []
    for i, j in permutations(range(len(arms.levels)), 2):
        variance = arms.covariance[i, i] + arms.covariance[j, j] - 2 * arms.covariance[i, j]
        reason = arms.failure or arms.reasons[i] or arms.reasons[j]
        records.append(
            {"group": arms.levels[i], "reference": arms.levels[j], "subjects": int(arms.subjects[i] + arms.subjects[j])}
            | _numbers(arms.estimates[i] - arms.estimates[j], variance, arms.df_of(i, j), level, reason)
        )
    return _frame(records, arms.levels.dtype, ("group", "reference"))


def _numbers(estimate: float, variance: float, df: float | None, level: float, reason: str | None) -> dict[str, object]:
    """Return estimate, standard error, limits and p-value, or nulls with the reason why there are none."""
    names = ("estimate", "std_error", "ci_low", "ci_high", "p_value", "df")
    if reason is None and not (np.isfinite(estimate) and np.isfinite(variance) and variance > 0):
        reason = "the standard error is not finite or is zero"
    if reason is None and df is not None and not df > 0:
        reason = "the standard error has no degrees of freedom"
    if reason is not None:
        return dict.fromkeys(names) | {"status": NOT_ESTIMABLE, "reason": reason}
    std_error = float(np.sqrt(variance))
    reach, p_value = reach_and_p(estimate / std_error, df, level)
    values = (estimate, std_error, estimate - reach * std_error, estimate + reach * std_error, p_value, df)
    return {name: None if value is None else float(value) for name, value in zip(names, values, strict=True)} | {
        "status": ESTIMABLE,
        "reason": None,
    }


def reach_and_p(statistic: float, df: float | None, level: float) -> tuple[float, float]:
    """Return the two-sided critical value and p-value under t with `df`, or the normal when `df` is None."""
    # With infinitely many degrees of freedom this is the normal; a frozen scipy distribution costs a millisecond.
    freedom = np.inf if df is None else df
    return float(stdtrit(freedom, (1 + level) / 2)), float(2 * stdtr(freedom, -abs(statistic)))


def _frame(records: list[dict[str, object]], level_type: pl.DataType, level_columns: tuple[str, ...]) -> pl.DataFrame:
    numbers = ("estimate", "std_error", "ci_low", "ci_high", "p_value", "df")
    schema: dict[str, pl.DataType | type[pl.DataType]] = dict.fromkeys(level_columns, level_type)
    schema |= dict.fromkeys(numbers, pl.Float64)
    return pl.DataFrame(records, schema=schema | {"subjects": pl.Int64, "status": pl.String, "reason": pl.String})
