"""From named covariates to a design matrix.

Belongs here: the expansion of covariates by formulaic, the same way for every model. Does not belong here: checks of
outcomes, times and groups (`_frames`), or anything that is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import polars as pl
from formulaic import Formula

from pipelines.models._frames import Floats, Ints, ModelInputError, require_columns

FACTORS = (pl.String, pl.Categorical, pl.Enum)


def design_matrix(frame: pl.DataFrame, covariates: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return the covariates as a matrix without intercept, shape (n, p), and its p term names.

    Each covariate is a column's name or a formulaic term over columns (`age:sex`, `I(age**2)`). Numbers and booleans
    stay one column; strings and Enums are treatment-coded as `sex[T.male]` against their first level (an Enum's own
    order, else alphabetical). Levels without rows are dropped first, so that no column is empty.

    Raises:
        ModelInputError: unknown columns, missing or infinite values (columns are named), or a term that cannot be read.
    """
    if isinstance(covariates, str):
        raise ModelInputError("Give the covariates as a list of names, not as one string.")
    if not covariates:
        require_columns(frame, [])
        return np.empty((frame.height, 0)), []
    if all(name.isidentifier() and name in frame.columns for name in covariates):
        values, names = _main_effects(frame, covariates)
    else:
        values, names = _expanded(frame, covariates)
    infinite = (
        []
        if np.isfinite(values.sum())
        else [name for name, column in zip(names, values.T, strict=True) if not np.isfinite(column).all()]
    )
    if infinite:
        raise ModelInputError(f"Values that are not finite in {', '.join(infinite)}; mend these rows first.")
    return values, names


def _main_effects(frame: pl.DataFrame, covariates: Sequence[str]) -> tuple[Floats, list[str]]:
    """Return plain columns expanded as formulaic would, without its 20 ms a call (a run fits hundreds of models)."""
    require_columns(frame, covariates)
    columns: dict[str, Floats] = {}
    for name in covariates:
        series = frame[name]
        if series.dtype in FACTORS:
            codes, levels = _coded(series)
            columns |= {f"{name}[T.{level}]": (codes == k).astype(float) for k, level in enumerate(levels) if k > 0}
        else:
            columns[name] = _number(series).to_numpy()
    return np.column_stack(list(columns.values()) or [np.empty((frame.height, 0))]), list(columns)


def _expanded(frame: pl.DataFrame, covariates: Sequence[str]) -> tuple[Floats, list[str]]:
    formula, used = _formula(frame, covariates)
    require_columns(frame, used)
    matrix = formula.get_model_matrix(_pandas_columns(frame.select(used)), output="pandas", na_action="raise")
    names = [name for name in matrix.columns if name != "Intercept"]
    return np.asarray(matrix[names], dtype=np.float64), names


def _formula(frame: pl.DataFrame, covariates: Sequence[str]) -> tuple[Formula, list[str]]:
    """Return the formula (with its intercept, so that factors are coded against a reference) and the columns used."""
    terms = [f"`{name}`" if name in frame.columns else name for name in covariates]
    try:
        formula = Formula("1 + " + " + ".join(terms))
        factors = {factor.expr for term in formula for factor in term.factors}
        used = {name for expression in factors for name in _columns_in(expression, frame)}
    except Exception:
        raise ModelInputError(f"The covariates {', '.join(covariates)} cannot be read as model terms.") from None
    return formula, sorted(used)


def _columns_in(expression: str, frame: pl.DataFrame) -> set[str]:
    """Return the columns a factor uses; a column's name may hold dots, which formulaic would read as attributes."""
    if expression in frame.columns:
        return {expression}
    return {str(name) for name in Formula(f"0 + {expression}").required_variables} - {"1"}


def _pandas_columns(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a pandas frame with booleans as 0 and 1 and factors without empty levels (formulaic is fast on pandas)."""
    return pd.DataFrame(
        {
            series.name: _pandas_factor(series) if series.dtype in FACTORS else pd.Series(_number(series).to_numpy())
            for series in frame
        }
    )


def _number(series: pl.Series) -> pl.Series:
    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        raise ModelInputError(f"Column {series.name} must be numeric or categorical, it is {series.dtype}.")
    return series.cast(pl.Float64)


def _pandas_factor(series: pl.Series) -> pd.Series:
    """Return a pandas categorical whose levels are those that occur, in order."""
    codes, levels = _coded(series)
    return pd.Series(pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(levels)))


def _coded(series: pl.Series) -> tuple[Ints, list[str]]:
    """Return each row's level number and the levels that occur: in an Enum's own order, else alphabetical."""
    ordered = series.cast(pl.String) if series.dtype == pl.Categorical else series
    levels = ordered.unique().sort().cast(pl.String).to_list()
    return ordered.rank("dense").to_numpy().astype(np.int64) - 1, levels
