"""Table 1: who the patients of each tier are, on what was known before the tier began.

Missing values are shown, never filled here. Differences between tiers are in `results.balance`.
"""

from collections.abc import Iterator

import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order, stacked
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Covariate


def table_one(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Mean, standard deviation and quartiles of numbers, shares of levels, and missing values, by tier."""
    subjects = in_ladder_order(tables["analysis.subjects"], protocol)
    pieces = []
    for tier in protocol.tier_names:
        group = subjects.filter(pl.col("tier") == tier)
        for covariate in protocol.covariates:
            if covariate.name in group.columns and group.height:
                rows = list(_summaries(group[covariate.name], covariate))
                pieces.append(
                    pl.DataFrame(rows, schema=_SCHEMA, orient="row").with_columns(
                        variable=pl.lit(covariate.name), tier=pl.lit(tier), subjects=pl.lit(group.height)
                    )
                )
    return stacked(pieces)


_SCHEMA = {"level": pl.String, "statistic": pl.String, "value": pl.Float64, "count": pl.Int64}
_Row = tuple[str | None, str, float | None, int]


def _summaries(values: pl.Series, covariate: Covariate) -> Iterator[_Row]:
    known = values.drop_nulls()
    if covariate.kind == "numeric":
        yield from _of_number(known.cast(pl.Float64))
    else:
        levels = list(covariate.levels) if covariate.kind == "categorical" else ["true"]
        for level in levels:
            count = int((known.cast(pl.String) == level).sum())
            yield level, "share", count / len(known) if len(known) else None, count
    missing = len(values) - len(known)
    yield None, "missing", missing / len(values), missing


def _of_number(known: pl.Series) -> Iterator[_Row]:
    n = len(known)
    statistics = {
        "mean": known.mean(),
        "sd": known.std(),
        "median": known.median(),
        "lower quartile": known.quantile(0.25, "linear"),
        "upper quartile": known.quantile(0.75, "linear"),
    }
    for name, value in statistics.items():
        yield None, name, None if value is None else float(value), n  # type: ignore[arg-type]
