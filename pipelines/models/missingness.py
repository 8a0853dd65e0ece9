"""Who is missing what, and weights that let the seen stand for those who dropped out.

Belongs here: describing and weighing missing data. Filling it in is `imputation`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._design import design_matrix
from pipelines.models._frames import ESTIMABLE, event_indicator, groups_of, not_estimable, require_columns
from pipelines.models._linear import aliased_columns
from pipelines.models._multinomial import fit_multinomial


def is_missing(series: pl.Series) -> pl.Series:
    """Return whether each value is null or NaN."""
    return series.is_null() | series.is_nan().fill_null(False) if series.dtype.is_float() else series.is_null()


def missing_patterns(frame: pl.DataFrame, columns: Sequence[str], group: str | None = None) -> pl.DataFrame:
    """Count the patterns of missing values: [group,] a boolean column a column (true: seen), subjects, share.

    Most frequent patterns first; `share` is of the group (or of all rows).
    """
    by = [] if group is None else [group]
    if group is not None:
        require_columns(frame, by)
    seen = frame.select(*by, *((~is_missing(frame[name])).alias(name) for name in columns))
    total = pl.col("subjects").sum().over(group) if group is not None else pl.col("subjects").sum()
    return (
        seen.group_by(*by, *columns)
        .agg(subjects=pl.len())
        .with_columns(share=pl.col("subjects") / total)
        .sort(*by, "subjects", *columns, descending=[False] * len(by) + [True] * (1 + len(columns)))
    )


@dataclass(frozen=True)
class DropoutWeights:
    """`weights` of the rows (null where unseen, and everywhere if not estimable), `chances` of being seen, `status`."""

    weights: pl.Series
    chances: pl.Series
    status: str


def dropout_weights(
    frame: pl.DataFrame, observed: str, covariates: Sequence[str], stabilise_by: str | None = None
) -> DropoutWeights:
    """Weigh the rows that were seen by the inverse of their chance to be seen, by logistic regression on covariates.

    `observed` is 0/1 or boolean; `covariates` should hold the arm and what predicts both dropout and outcome. With
    `stabilise_by` (say, the arm) the weights are multiplied by the share seen in the row's group. When everybody was
    seen all weights are 1.

    Nobody seen, separation and collinear covariates are told by `.status`.
    Source: Seaman & White 2013, Statistical Methods in Medical Research 22:278.
    """
    seen = event_indicator(frame, observed)
    gap = pl.Series([None] * frame.height, dtype=pl.Float64)
    if seen.all():
        ones = pl.Series(np.ones(frame.height))
        return DropoutWeights(ones.alias("weight"), ones.alias("chance"), ESTIMABLE)
    matrix, names = design_matrix(frame, covariates)
    problem = None if seen.any() else "nobody was observed"
    aliased = aliased_columns(np.column_stack([np.ones(len(matrix)), matrix]), ["(Intercept)", *names])
    if problem is None and aliased:
        problem = f"constant or collinear covariates: {', '.join(aliased)}"
    if problem is not None:
        return DropoutWeights(gap.alias("weight"), gap.alias("chance"), not_estimable(problem))
    fit = fit_multinomial(matrix, seen.astype(np.int64), 2)
    column = fit.separating_column()
    if column is not None or not fit.converged:
        told = f"separation: who was seen is told without error, most by {['(Intercept)', *names][column or 0]}"
        problem = told if column is not None else "the dropout model did not converge"
        return DropoutWeights(gap.alias("weight"), gap.alias("chance"), not_estimable(problem))
    chance = fit.probabilities[:, 1]
    share = np.ones(len(seen))
    if stabilise_by is not None:
        codes = groups_of(frame, stabilise_by).codes
        share = (np.bincount(codes, seen) / np.bincount(codes))[codes]
    weights = pl.Series("weight", np.where(seen, share / chance, np.nan)).fill_nan(None)
    return DropoutWeights(weights, pl.Series("chance", chance), ESTIMABLE)
