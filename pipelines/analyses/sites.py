"""Outcomes by treating site: `results.site_indicators` and `results.funnel_limits`.

Belongs here: observed over expected with exact limits, signals, shrinkage, reliability and rank, and the completeness
of follow-up. Does not belong here: who counts and with which risk (`site_cases`), charts over time (`site_charts`).

A signal is a count beyond the protocol's exact limits (Poisson-binomial, spread between sites allowed for). Nothing
else decides on it: a site too small for an estimate can raise one. It asks for a review and is no verdict.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import due, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE, WITHHELD
from pipelines.analyses.site_cases import Cases, cases
from pipelines.models._intervals import normal_quantile
from pipelines.models.funnel import funnel_limits as limits_of_sites
from pipelines.models.funnel import limit_names, ratio_limits
from pipelines.models.proportions import wilson
from pipelines.models.shrinkage import random_intercept
from pipelines.protocol import Protocol
from pipelines.protocol_rules import Sites

LEVEL = 0.95
ABOVE, BELOW = "signal for review: more than expected", "signal for review: fewer than expected"
WEIGHTED = ", weighted for response"
_HIDDEN_BY_RESPONSE = ("observed", "expected", "estimate", "ci_low", "ci_high", "signal",
                       "shrunken", "shrunken_low", "shrunken_high", "rank")  # fmt: skip


def site_indicators(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Observed over expected by site with signals, shrinkage and reliability; visits seen of those due."""
    pieces: list[pl.DataFrame] = []
    for found in cases(tables, protocol):
        pieces.append(_indicator(found, protocol.sites))
        if found.response is not None:
            pieces.append(_weighted(found, protocol.sites))
    return stacked([*pieces, *_completeness(tables, protocol)])


def funnel_limits(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Limits of each site's count, by chance alone and with the spread between sites allowed for."""
    pieces = []
    for found in cases(tables, protocol):
        chance, spread = (
            _limits(found, protocol.sites, with_spread=False),
            _limits(found, protocol.sites, with_spread=True),
        )
        z = chance["z"].to_numpy()
        pieces.append(
            spread.with_columns(
                indicator=pl.lit(found.indicator),
                site_id=pl.col("group"),
                chance_low=chance["low"],
                chance_high=chance["high"],
                phi=pl.lit(float(np.mean(z**2))),
            )
        )
    return stacked(pieces)


def _limits(found: Cases, asked: Sites, with_spread: bool) -> pl.DataFrame:
    share = asked.winsorised_share if with_spread else None
    rows = limits_of_sites(found.rows, "site_id", "event", "risk", share, (asked.warning_level, asked.signal_level))
    inner_low, inner_high = limit_names(asked.warning_level)
    low, high = limit_names(asked.signal_level)
    return rows.with_columns(
        low=pl.col(low), high=pl.col(high), inner_low=pl.col(inner_low), inner_high=pl.col(inner_high)
    )


def _indicator(found: Cases, asked: Sites) -> pl.DataFrame:
    rows = _limits(found, asked, with_spread=True)
    beyond = pl.when(pl.col("observed") > pl.col("high")).then(pl.lit(ABOVE))
    parts = {str(name): part for (name,), part in found.rows.group_by("site_id")}
    ends = [
        ratio_limits(parts[site]["risk"].to_numpy(), o, LEVEL) for site, o in rows.select("group", "observed").rows()
    ]
    rows = rows.with_columns(
        site_id=pl.col("group"),
        indicator=pl.lit(found.indicator),
        adjustment=pl.lit(found.adjustment),
        estimate=pl.col("observed") / pl.col("expected"),
        ci_low=pl.Series([low for low, _ in ends]),
        ci_high=pl.Series([high for _, high in ends]),
        signal=beyond.when(pl.col("observed") < pl.col("low")).then(pl.lit(BELOW)),
    )
    return _withheld(_with_status(_shrunken(rows, found, asked), asked), found, asked)


def _shrunken(rows: pl.DataFrame, found: Cases, asked: Sites) -> pl.DataFrame:
    """Reliability of every site; shrunken estimate and rank of those that are large and reliable enough."""
    if rows.height < 2:
        return rows
    fit = random_intercept(found.rows, "site_id", "event", "risk", LEVEL)
    if fit.status != ESTIMABLE:
        return rows
    kept = fit.table.select("group", "reliability", "rank", shrunken="estimate", shrunken_low="ci_low",
                            shrunken_high="ci_high")  # fmt: skip
    is_shown = (pl.col("subjects") >= asked.minimum_subjects) & (pl.col("reliability") >= asked.reliability_minimum)
    return rows.join(kept, on="group", maintain_order="left").with_columns(
        pl.when(is_shown).then(pl.col(name)).alias(name)
        for name in ("shrunken", "shrunken_low", "shrunken_high", "rank")
    )


def _weighted(found: Cases, asked: Sites) -> pl.DataFrame:
    """The same with each answer standing for those like it who gave none; limits by the sandwich, no signal."""
    w, risk = pl.col("weight"), pl.col("risk")
    rows = (
        found.rows.group_by("site_id")
        .agg(
            subjects=pl.len(),
            observed=(w * pl.col("event")).sum(),
            expected=(w * risk).sum(),
            spread=(w**2 * (pl.col("event") - risk) ** 2).sum().sqrt(),
        )
        .sort("site_id")
    )
    z = normal_quantile(LEVEL)
    reach = (z * pl.col("spread") / pl.col("observed")).exp()
    ratio = pl.col("observed") / pl.col("expected")
    rows = rows.with_columns(
        estimate=ratio,
        ci_low=ratio / reach,
        ci_high=ratio * reach,
        indicator=pl.lit(found.indicator + WEIGHTED),
        adjustment=pl.lit(found.adjustment),
    )
    return _withheld(_with_status(rows.drop("spread"), asked), found, asked)


def _withheld(rows: pl.DataFrame, found: Cases, asked: Sites) -> pl.DataFrame:
    """Patient-reported figures of sites where too few answered, with no number and no signal left."""
    if found.response is None:
        return rows
    marked = rows.join(found.response, on="site_id", how="left", maintain_order="left")
    low = pl.col("response") < asked.response_minimum
    why = f"fewer than {asked.response_minimum:.0%} of those due answered"
    return marked.with_columns(
        *(pl.when(~low).then(pl.col(name)).alias(name) for name in _HIDDEN_BY_RESPONSE if name in marked.columns),
        status=pl.when(low).then(pl.lit(WITHHELD)).otherwise("status"),
        reason=pl.when(low).then(pl.lit(why)).otherwise("reason"),
    )


def _completeness(tables: Tables, protocol: Protocol) -> Iterator[pl.DataFrame]:
    """Share of due visits seen, at the windows of the primary outcomes; `expected` is the number due."""
    for asked in protocol.primary.outcomes:
        is_walk = protocol.instrument(asked.outcome).kind == "walking"
        rows = tables["analysis.walking_tests" if is_walk else "analysis.scores"]
        here = rows.filter((pl.col("instrument") == asked.outcome) & (pl.col("visit_window") == asked.window))
        expected = here.filter(due(here))
        if expected.is_empty():
            continue
        counts = (
            expected.group_by("site_id").agg(subjects=pl.len(), observed=pl.col("is_observed").sum()).sort("site_id")
        )
        shares = wilson(counts["observed"], counts["subjects"])
        yield _with_status(
            counts.with_columns(
                shares["estimate"],
                shares["ci_low"],
                shares["ci_high"],
                pl.col("observed").cast(pl.Float64),
                indicator=pl.lit(f"{asked.outcome} seen at {asked.window}"),
                expected=pl.col("subjects").cast(pl.Float64),
            ),
            protocol.sites,
        )


def _with_status(rows: pl.DataFrame, asked: Sites) -> pl.DataFrame:
    few = pl.col("subjects") < asked.minimum_subjects
    unknown = ~(pl.col("estimate").is_finite() & pl.col("ci_high").is_finite())
    shown = ~few & ~unknown
    why = (
        pl.when(few)
        .then(pl.lit(f"fewer than {asked.minimum_subjects} patients"))
        .when(unknown)
        .then(pl.lit("no event, or none expected"))
    )
    numbers = (pl.when(shown).then(pl.col(name)).alias(name) for name in ("estimate", "ci_low", "ci_high"))
    status = pl.when(shown).then(pl.lit(ESTIMABLE)).otherwise(pl.lit(NOT_ESTIMABLE))
    return rows.with_columns(status=status, reason=why).with_columns(numbers)
