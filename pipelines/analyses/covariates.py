"""The case mix that models adjust for: complete, typed, and without terms that a model cannot carry.

Belongs here: the single rule by which missing covariates are filled, and the choice of covariates for one model's
rows. Does not belong here: multiple imputation (`imputed`), propensity scores (`weighting`).

Rule: a number is filled with the median, a yes/no or a category with the most frequent value, over all tiers. The
filled counts go to `results.imputation`. Tier and outcome play no part in the filling, so it cannot make a difference
between tiers out of nothing; what it does to the limits is shown by multiple imputation in the full analysis set.
"""

from collections.abc import Sequence

import polars as pl

from pipelines.analyses.rows import in_ladder_order
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Covariate

# A level (or a yes) with fewer patients than this in a model's rows has a leverage near one; HC3 would divide by zero.
MINIMUM_LEVEL_ROWS = 10
FILLING_RULE = "median of a number, most frequent value of a category, over all tiers"


def complete_subjects(subjects: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """One row a subject with `tier` in ladder order and every covariate of the protocol filled and typed.

    Numbers and booleans become Float64, categories an Enum of the protocol's levels. A covariate that nobody has
    stays null throughout and is never used (see `usable`).
    """
    ordered = in_ladder_order(subjects, protocol)
    return ordered.with_columns(_filled(ordered, covariate) for covariate in protocol.covariates)


def usable(frame: pl.DataFrame, protocol: Protocol, without: Sequence[str] = ()) -> tuple[pl.DataFrame, list[str]]:
    """The covariates that vary enough in these rows to be adjusted for, and the frame with rare levels merged.

    A category with fewer than `MINIMUM_LEVEL_ROWS` rows is merged into the most frequent one; a covariate with no
    variation left, or an indicator with so few rows on one side, is left out. `without` names covariates that the
    model holds in another form (the outcome's own baseline, a stratum).
    """
    kept = [c for c in protocol.covariates if c.name not in without and c.name in frame.columns]
    merged = frame.with_columns(_merged(frame[c.name]) for c in kept if c.kind == "categorical")
    return merged, [c.name for c in kept if _varies(merged[c.name], c)]


def imputation_table(subjects: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Missing values by covariate and tier: covariate, tier, missing, subjects, rule."""
    ordered = in_ladder_order(subjects, protocol)
    names = [covariate.name for covariate in protocol.covariates if covariate.name in ordered.columns]
    counts = ordered.group_by("tier").agg(pl.col(names).null_count(), subjects=pl.len()).sort("tier")
    return (
        counts.unpivot(names, index=["tier", "subjects"], variable_name="covariate", value_name="missing")
        .with_columns(
            pl.col("tier").cast(pl.String),
            rule=pl.when(pl.col("missing") > 0).then(pl.lit(FILLING_RULE)),
        )
        .select("covariate", "tier", "missing", "subjects", "rule")
    )


def _filled(frame: pl.DataFrame, covariate: Covariate) -> pl.Series:
    if covariate.name not in frame.columns:
        return pl.Series(covariate.name, [None] * frame.height, dtype=pl.Float64)
    values = frame[covariate.name]
    if covariate.kind == "categorical":
        typed = values.cast(pl.String).cast(pl.Enum(covariate.levels), strict=False)
        return typed.fill_null(_most_frequent(typed)) if typed.count() else typed
    typed = values.cast(pl.Float64)
    typical = typed.median() if covariate.kind == "numeric" else _most_frequent(typed)
    return typed.fill_null(typical) if typed.count() else typed


def _most_frequent(values: pl.Series) -> object:
    """The most frequent value; of equally frequent ones the first in order."""
    return values.drop_nulls().mode().sort().first()


def _merged(values: pl.Series) -> pl.Series:
    counts = values.drop_nulls().value_counts()
    rare = counts.filter(pl.col("count") < MINIMUM_LEVEL_ROWS)[values.name]
    if rare.is_empty() or values.null_count() == len(values):
        return values
    return pl.select(
        pl.when(values.is_in(rare.implode()))
        .then(pl.lit(_most_frequent(values), dtype=values.dtype))
        .otherwise(values)
        .alias(values.name)
    ).to_series()


def _varies(values: pl.Series, covariate: Covariate) -> bool:
    if values.null_count():
        return False
    if covariate.kind == "boolean":
        yes = int(values.sum())
        return min(yes, len(values) - yes) >= MINIMUM_LEVEL_ROWS
    return values.n_unique() > 1
