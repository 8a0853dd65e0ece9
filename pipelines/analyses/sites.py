"""Outcomes by treating site, with the patients' risk allowed for: `results.site_indicators`.

Belongs here: observed and expected counts of a site. Does not belong here: limits of a funnel plot, shrinkage and run
charts, which need models of variation between sites; until these stand, `signal` and `reliability` are empty.

Expected is what such patients have on average over all sites, by logistic regression on tier and case mix or, where
events are too few for that, by tier; the limits of observed over expected are exact Poisson limits of the count.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.stats import chi2

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import due, endpoint_rows, in_ladder_order, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.models.propensity import weights
from pipelines.models.proportions import wilson
from pipelines.protocol import Endpoint, Protocol

LEVEL = 0.95
# Sites below this many patients show no estimate (design of the quality report).
MINIMUM_SUBJECTS = 30


def site_indicators(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Harm and failure observed over expected, and visits seen of those due, by site."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = [
        _observed_over_expected(subjects, endpoint_rows(times, endpoint), endpoint, horizon, protocol)
        for endpoint, horizon in _endpoints(protocol)
    ]
    return stacked([*pieces, *_completeness(tables, protocol)])


def _endpoints(protocol: Protocol) -> Iterator[tuple[Endpoint, int]]:
    """Harm within its own window, and the descriptive failure endpoint within the shortest horizon."""
    for endpoint in protocol.endpoints:
        if endpoint.is_harm and endpoint.within_days is not None:
            yield endpoint, endpoint.within_days
        elif endpoint.is_descriptive:
            yield endpoint, min(protocol.primary.horizons_days or (protocol.primary.endpoint_horizon_days,))


def _observed_over_expected(
    subjects: pl.DataFrame, times: pl.DataFrame, endpoint: Endpoint, horizon: int, protocol: Protocol
) -> pl.DataFrame:
    """Patients whose state at the horizon is known: those with the event by then, and those followed up to it."""
    happened = (pl.col("status") == 1) & (pl.col("time_days") <= horizon)
    known = times.filter(happened | (pl.col("time_days") >= horizon) | (pl.col("status") == 2))
    outcome = known.select("episode_id", outcome=pl.when(happened).then(pl.lit("yes")).otherwise(pl.lit("no")))
    rows = subjects.join(outcome.cast({"outcome": pl.Enum(["no", "yes"])}), on="episode_id", maintain_order="left")
    indicator = f"{endpoint.name} within {horizon} days"
    merged, covariates = usable(rows, protocol)
    if merged.is_empty() or merged["outcome"].n_unique() < 2:
        return pl.DataFrame()
    risk, adjustment = _risk(merged, covariates)
    by_site = (
        merged.with_columns(risk=risk)
        .group_by("site_id")
        .agg(
            subjects=pl.len(),
            observed=(pl.col("outcome") == "yes").sum().cast(pl.Float64),
            expected=pl.col("risk").sum(),
        )
        .sort("site_id")
    )
    low, high = _poisson_limits(by_site["observed"].to_numpy())
    return _with_status(
        by_site.with_columns(
            indicator=pl.lit(indicator),
            adjustment=pl.lit(adjustment),
            estimate=pl.col("observed") / pl.col("expected"),
            ci_low=pl.Series(low) / pl.col("expected"),
            ci_high=pl.Series(high) / pl.col("expected"),
        )
    )


def _risk(rows: pl.DataFrame, covariates: list[str]) -> tuple[pl.Series, str]:
    """Each patient's risk over all sites, and what it allows for.

    By logistic regression on tier and case mix; where that cannot be fitted, the share of the patient's tier.
    """
    terms = ["tier", *covariates] if rows["tier"].n_unique() > 1 else covariates
    fitted = weights(rows, "outcome", terms, "ate")
    if fitted.model is not None:
        return fitted.scores["yes"], "tier and case mix"
    share = (pl.col("outcome") == "yes").cast(pl.Float64).mean().over("tier")
    return rows.select(share.alias("risk")).to_series(), "tier only: too few events for case mix"


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
            )
        )


def _poisson_limits(observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact limits of a Poisson mean (Garwood 1936)."""
    tail = (1 - LEVEL) / 2
    low = np.where(observed > 0, chi2.ppf(tail, 2 * np.maximum(observed, 1)) / 2, 0.0)
    return low, np.asarray(chi2.ppf(1 - tail, 2 * (observed + 1)) / 2)


def _with_status(rows: pl.DataFrame) -> pl.DataFrame:
    few = pl.col("subjects") < MINIMUM_SUBJECTS
    unknown = ~pl.col("estimate").is_finite()
    shown = ~few & ~unknown
    why = (
        pl.when(few).then(pl.lit(f"fewer than {MINIMUM_SUBJECTS} patients")).when(unknown).then(pl.lit("none expected"))
    )
    numbers = (pl.when(shown).then(pl.col(name)).alias(name) for name in ("estimate", "ci_low", "ci_high"))
    status = pl.when(shown).then(pl.lit(ESTIMABLE)).otherwise(pl.lit(NOT_ESTIMABLE))
    return rows.with_columns(status=status, reason=why).with_columns(numbers)
