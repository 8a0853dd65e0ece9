"""Checks on the frames handed to the estimators, and the small conversions that all of them share.

Belongs here: looking columns up, refusing missing or impossible values in plain words, turning columns into arrays
and groups into codes. Does not belong here: statistics, or the expansion of covariates (see `_design`).

No message names a cell value other than a level of a grouping column the caller passed in: columns and counts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

# The names say what an array holds; numpy's stubs lose the exact dtype in ordinary arithmetic, so it is left open.
Floats = NDArray[Any]
Ints = NDArray[Any]
Bools = NDArray[Any]

ESTIMABLE = "estimable"


class ModelInputError(ValueError):
    """The data or the arguments given to an estimator cannot be used as they stand."""


def not_estimable(reason: str) -> str:
    """Return the status text of a fit that must not print numbers."""
    return f"not estimable: {reason}"


def reason_of(status: str) -> str:
    """Return why a fit must not print numbers, from the status that `not_estimable` made."""
    return status.removeprefix("not estimable: ")


def require_columns(frame: pl.DataFrame, columns: Iterable[str | None]) -> None:
    """Refuse unknown columns and missing values (null or NaN), naming the columns; `None` entries are ignored.

    Raises:
        ModelInputError: a column is not in the frame, or holds missing values, or the frame has no rows.
    """
    names = list(dict.fromkeys(column for column in columns if column is not None))
    unknown = [name for name in names if name not in frame.columns]
    if unknown:
        raise ModelInputError(f"The frame has no column {_listed(unknown)}; name columns that exist.")
    if frame.height == 0:
        raise ModelInputError("The frame has no rows; an estimator needs at least one.")
    missing = [f"{name} ({count} rows)" for name in names if (count := _missing_count(frame[name]))]
    if missing:
        raise ModelInputError(
            f"Missing values in {', '.join(missing)}; drop or impute these rows before the model is fitted."
        )


def numeric(frame: pl.DataFrame, column: str) -> Floats:
    """Return a numeric or boolean column as finite floats, shape (n,).

    Raises:
        ModelInputError: the column is absent, missing, not numeric, or holds an infinite value.
    """
    require_columns(frame, [column])
    if not (frame.schema[column].is_numeric() or frame.schema[column] == pl.Boolean):
        raise ModelInputError(f"Column {column} must be numeric, it is {frame.schema[column]}.")
    values = frame[column].cast(pl.Float64).to_numpy()
    if not np.isfinite(values).all():
        raise ModelInputError(f"Column {column} holds infinite values; replace them by finite ones.")
    return values


def event_indicator(frame: pl.DataFrame, column: str) -> Bools:
    """Return an event column (boolean, or 0 and 1) as booleans, shape (n,)."""
    values = numeric(frame, column)
    if not np.isin(values, (0.0, 1.0)).all():
        raise ModelInputError(f"Column {column} must hold only 0 (censored) and 1 (event), or booleans.")
    return values == 1.0


def cause_codes(frame: pl.DataFrame, column: str) -> Ints:
    """Return a cause column (0 censored, 1, 2, … the causes) as integers, shape (n,)."""
    values = numeric(frame, column)
    if (values < 0).any() or (values != np.floor(values)).any():
        raise ModelInputError(f"Column {column} must hold 0 (censored) or a whole number naming the cause (1, 2, …).")
    return values.astype(np.int64)


def case_weights(frame: pl.DataFrame, column: str | None) -> Floats:
    """Return the case weights, or ones; rows of weight 0 are allowed, negative weights are not."""
    if column is None:
        return np.ones(frame.height)
    values = numeric(frame, column)
    if (values < 0).any() or not (values > 0).any():
        raise ModelInputError(f"Column {column} holds weights: they must not be negative, and some must be positive.")
    return values


def follow_up_times(frame: pl.DataFrame, time: str, entry: str | None = None) -> tuple[Floats, Floats]:
    """Return entry and exit times; without an entry column everyone is at risk from the start (entry -inf).

    Raises:
        ModelInputError: a negative time without entry, or a row that ends at or before its entry.
    """
    stop = numeric(frame, time)
    if entry is None:
        if (stop < 0).any():
            raise ModelInputError(f"Column {time} holds negative times; follow-up cannot end before it starts.")
        return np.full(stop.shape, -np.inf), stop
    start = numeric(frame, entry)
    if (stop <= start).any():
        raise ModelInputError(f"In some rows {time} is not later than {entry}; such rows are never at risk.")
    return start, stop


@dataclass(frozen=True)
class Groups:
    """Levels in order (the first is the reference) and each row's level number, shape (n,)."""

    levels: pl.Series
    codes: Ints

    @property
    def count(self) -> int:
        return len(self.levels)

    def index_of(self, level: object) -> int:
        """Return the position of a level, or refuse it in plain words."""
        matches = [i for i, name in enumerate(self.levels.to_list()) if name == level]
        if not matches:
            raise ModelInputError(f"{level} is not a level of column {self.levels.name}.")
        return matches[0]


def groups_of(frame: pl.DataFrame, column: str | None) -> Groups:
    """Return the groups of a column: in an Enum's own order, else sorted; levels without rows are left out.

    Without a column everyone is in one group named `all`. The levels keep the column's type.
    """
    if column is None:
        return Groups(pl.Series("group", ["all"]), np.zeros(frame.height, dtype=np.int64))
    require_columns(frame, [column])
    values = frame[column]
    if values.dtype == pl.Categorical:
        values = values.cast(pl.String)
    codes = values.rank("dense").to_numpy().astype(np.int64) - 1
    return Groups(values.unique().sort().alias("group"), codes)


def cluster_codes(frame: pl.DataFrame, column: str | None) -> Ints | None:
    """Return each row's cluster number (0, 1, …), or None without a cluster column."""
    return None if column is None else groups_of(frame, column).codes


def joint_codes(frame: pl.DataFrame, columns: str | Sequence[str] | None) -> Ints:
    """Return one code per distinct combination of the columns (strata); zeros without columns."""
    if not columns:
        return np.zeros(frame.height, dtype=np.int64)
    names = [columns] if isinstance(columns, str) else list(columns)
    require_columns(frame, names)
    return frame.select(pl.struct(names).rank("dense")).to_series().to_numpy().astype(np.int64) - 1


def nullable(values: Floats) -> pl.Series:
    """Return floats as a polars column in which what is not a finite number is null."""
    series = pl.Series(values=np.asarray(values, dtype=np.float64))
    return series.set(~series.is_finite(), None)


def _missing_count(series: pl.Series) -> int:
    nan_count = int(series.is_nan().sum()) if series.dtype.is_float() else 0
    return series.null_count() + nan_count


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
