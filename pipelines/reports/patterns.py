"""Which visits patients kept, in the four kinds that a reader needs to tell apart.

Belongs here: kinds of the patterns of `results.missing_patterns` (a digit a visit, 1 where a value was seen). How they
are printed is for `sections/missing.py`.
"""

from collections.abc import Iterable

import polars as pl

COMPLETE, DROPOUT, INTERMITTENT, NEVER = "all visits", "left for good", "missed, came back", "never seen"
KINDS = (COMPLETE, DROPOUT, INTERMITTENT, NEVER)


def kind_of(pattern: pl.Expr) -> pl.Expr:
    """The kind of a pattern: all visits up to some one and none after is dropout, a gap before a later value is not.

    Source: Little and Rubin 2019, Statistical Analysis with Missing Data, section 1.2 (monotone patterns).
    """
    return (
        pl.when(~pattern.str.contains("0"))
        .then(pl.lit(COMPLETE))
        .when(~pattern.str.contains("1"))
        .then(pl.lit(NEVER))
        .when(pattern.str.contains("^1+0+$"))
        .then(pl.lit(DROPOUT))
        .otherwise(pl.lit(INTERMITTENT))
    )


def by_kind(frame: pl.DataFrame, outcomes: Iterable[str]) -> pl.DataFrame:
    """Patients by outcome and tier, a column a kind; without rows where no pattern is known."""
    if frame.is_empty():
        return pl.DataFrame(schema={"outcome": pl.String, "tier": pl.String})
    asked = frame.filter(pl.col("outcome").is_in(list(outcomes)))
    counted = [
        pl.col("subjects").filter(kind_of(pl.col("pattern")) == kind).sum().cast(pl.Int64).alias(kind) for kind in KINDS
    ]
    return asked.group_by("outcome", "tier", maintain_order=True).agg(counted)
