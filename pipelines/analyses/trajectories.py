"""Outcomes over time by tier, as observed: what was seen, in how many, at each window.

Belongs here: summaries of one tier at one window. Does not belong here: differences between tiers (`contrasts`), models
of repeated measures (`repeated`).

Walking has no mean of metres: the test stops at its time limit, so the share at the limit stands beside the median and
the geometric mean, and the capped walks make both a lower bound.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.stats import binom, t

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    due,
    in_ladder_order,
    score_instruments,
    stacked,
    walking_instruments,
)
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.models.proportions import wilson
from pipelines.protocol import Protocol

BASELINE = "baseline"
LEVEL = 0.95
# How the columns of a walk's baseline are named at a follow-up.
WALK_AT_BASELINE = (
    pl.col("baseline_distance_m").alias("distance_m"),
    pl.col("baseline_duration_s").alias("duration_s"),
    pl.col("is_baseline_at_cap").alias("is_at_cap"),
)


def trajectories(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Observed summaries by outcome, window and tier, baseline first."""
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    pieces = [_of_scores(scores, name, protocol) for name in score_instruments(protocol)]
    pieces += [_of_walks(walks, name, protocol) for name in walking_instruments(protocol)]
    return stacked([piece for piece in pieces if piece.height])


def by_window(rows: pl.DataFrame, protocol: Protocol, baseline: Sequence[pl.Expr]) -> list[tuple[str, pl.DataFrame]]:
    """The rows of one instrument by window name, `baseline` first: one row a subject, those expected only.

    `baseline` says how the columns of the baseline are named at a follow-up.
    """
    if rows.is_empty():
        return []
    once = rows.unique("episode_id", keep="first", maintain_order=True).with_columns(baseline)
    groups = [(BASELINE, once)]
    for window in protocol.windows:
        expected = rows.filter((pl.col("visit_window") == window.name) & due(rows))
        if expected["is_observed"].any():
            groups.append((window.name, expected))
    return groups


def _of_scores(scores: pl.DataFrame, instrument: str, protocol: Protocol) -> pl.DataFrame:
    rows = scores.filter(pl.col("instrument") == instrument)
    pieces = []
    for window, group in by_window(rows, protocol, [pl.col("baseline_value").alias("value")]):
        values = group.group_by("tier").agg(
            expected=pl.len(),
            subjects=pl.col("value").count(),
            estimate=pl.col("value").mean(),
            sd=_spread(pl.col("value")),
        )
        if values["subjects"].sum():
            pieces.append(_with_t_limits(values).with_columns(window=pl.lit(window), method=pl.lit("observed mean")))
    return _labelled(pieces, instrument)


def _of_walks(walks: pl.DataFrame, instrument: str, protocol: Protocol) -> pl.DataFrame:
    rows = walks.filter(pl.col("instrument") == instrument)
    shortest = next(i.minimum_distance_m for i in protocol.instruments if i.name == instrument)
    pieces = []
    for window, group in by_window(rows, protocol, WALK_AT_BASELINE):
        summaries = [
            _median(group),
            _geometric_mean(group, float(shortest or 1.0)),
            _share_at_limit(group),
        ]
        pieces += [summary.with_columns(window=pl.lit(window)) for summary in summaries if summary["subjects"].sum()]
    return _labelled(pieces, instrument)


def _labelled(pieces: list[pl.DataFrame], instrument: str) -> pl.DataFrame:
    frame = stacked(pieces)
    return frame if frame.is_empty() else frame.with_columns(outcome=pl.lit(instrument))


def _spread(values: pl.Expr) -> pl.Expr:
    """The standard deviation; none where all values are alike, which rounding may hide."""
    return pl.when(values.min() < values.max()).then(values.std())


def _with_t_limits(values: pl.DataFrame) -> pl.DataFrame:
    """Limits of a mean by the t distribution; a tier with fewer than two values, or no spread, has none."""
    n = values["subjects"].to_numpy()
    error = np.where(n > 1, values["sd"].to_numpy() / np.sqrt(np.maximum(n, 1)), np.nan)
    reach = t.isf((1 - LEVEL) / 2, np.maximum(n - 1, 1)) * error
    return _with_status(
        values.drop("sd")
        .with_columns(
            std_error=pl.Series(error),
            reach=pl.Series(reach),
        )
        .with_columns(ci_low=pl.col("estimate") - pl.col("reach"), ci_high=pl.col("estimate") + pl.col("reach"))
        .drop("reach")
    )


def _geometric_mean(group: pl.DataFrame, shortest: float) -> pl.DataFrame:
    """Geometric mean distance; walks below the shortest distance told apart count as that distance."""
    logs = group.group_by("tier").agg(
        expected=pl.len(),
        subjects=pl.col("distance_m").count(),
        estimate=pl.col("distance_m").clip(lower_bound=shortest).log().mean(),
        sd=_spread(pl.col("distance_m").clip(lower_bound=shortest).log()),
    )
    limits = _with_t_limits(logs)
    return limits.with_columns(
        pl.col("estimate", "ci_low", "ci_high").exp(), std_error=pl.col("std_error") * pl.col("estimate").exp()
    ).with_columns(method=pl.lit("geometric mean distance"))


def _median(group: pl.DataFrame) -> pl.DataFrame:
    """Median distance with limits from order statistics (binomial; Conover, Practical Nonparametric Statistics)."""
    rows = []
    for (tier,), part in group.group_by("tier", maintain_order=True):
        values = np.sort(part["distance_m"].drop_nulls().to_numpy())
        low, high = _median_limits(values)
        rows.append(
            {
                "tier": str(tier),
                "expected": part.height,
                "subjects": len(values),
                "estimate": float(np.median(values)) if len(values) else None,
                "std_error": None,
                "ci_low": low,
                "ci_high": high,
            }
        )
    numbers = dict.fromkeys(("estimate", "std_error", "ci_low", "ci_high"), pl.Float64)
    schema = dict.fromkeys(("expected", "subjects"), pl.Int64) | numbers
    frame = pl.DataFrame(rows, schema_overrides=schema).with_columns(pl.col("tier").cast(group["tier"].dtype))
    return _with_status(frame).with_columns(method=pl.lit("median distance"))


def _median_limits(values: np.ndarray) -> tuple[float | None, float | None]:
    n = len(values)
    below = int(binom.ppf((1 - LEVEL) / 2, n, 0.5)) if n else 0
    if below < 1:
        return None, None
    return float(values[below - 1]), float(values[n - below])


def _share_at_limit(group: pl.DataFrame) -> pl.DataFrame:
    counts = group.group_by("tier").agg(
        expected=pl.len(), subjects=pl.col("is_at_cap").count(), at_limit=pl.col("is_at_cap").sum()
    )
    shares = wilson(counts["at_limit"], counts["subjects"])
    return _with_status(
        counts.drop("at_limit").with_columns(shares["estimate"], shares["ci_low"], shares["ci_high"])
    ).with_columns(method=pl.lit("share at the time limit"))


def _with_status(frame: pl.DataFrame) -> pl.DataFrame:
    has_limits = pl.col("ci_low").is_not_null() & pl.col("ci_low").is_not_nan()
    return (
        frame.with_columns(
            pl.when(has_limits).then(pl.col(name)).alias(name)
            for name in ("estimate", "std_error", "ci_low", "ci_high")
            if name in frame.columns
        )
        .with_columns(
            status=pl.when(has_limits).then(pl.lit(ESTIMABLE)).otherwise(pl.lit(NOT_ESTIMABLE)),
            reason=pl.when(~has_limits).then(pl.lit("too few values, or no spread, for limits")),
        )
        .sort("tier")
        .with_columns(pl.col("tier").cast(pl.String))
    )
