"""Time-to-event endpoints summed up at a horizon: incidence, time lost, event-free time, and their differences.

Belongs here: what leads the comparison of failure. Does not belong here: curves (`incidence`), hazards (`hazards`).

The horizon τ is the protocol's, or the end of the smallest group's follow-up if that comes sooner; for tiers side by
side over all tiers, for a contrast over its two arms.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.stats import norm

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.incidence import UNWEIGHTED, incidence_curves
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    CAUSES,
    arms,
    comparable_contrasts,
    described_endpoints,
    endpoint_rows,
    in_ladder_order,
    smallest_arm,
    split_status,
    stacked,
)
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.weighting import OVERLAP, Weighted, weighted_contrasts
from pipelines.models.competing_risks import restricted_time_lost
from pipelines.models.survival import restricted_mean
from pipelines.models.weighted_failure import EVENT_FREE, weighted_incidence
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, Endpoint

LEVEL = 0.95
UNADJUSTED = "unadjusted"
PROPENSITY = "propensity weights"
AALEN_JOHANSEN = "Aalen-Johansen, unadjusted"
AALEN_JOHANSEN_WEIGHTED = "Aalen-Johansen, propensity-weighted"


def tier_times(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Time lost by cause and event-free time of each tier at each horizon."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint in described_endpoints(protocol):
        rows = endpoint_rows(times, endpoint)
        for tau in taus(rows, protocol, endpoint):
            summed = areas(rows, tau).filter(pl.col("measure") == "mean")
            pieces.append(_named(_blank_without_events(summed, rows), endpoint, tau))
    return stacked(pieces)


def contrast_times(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Differences and ratios of time lost and event-free time between the arms of each contrast.

    Unadjusted, and weighted to the overlap population: there each arm's own time stands beside the difference.
    """
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint, contrast, rows, tau in _questions(times, protocol):
        compared = areas(rows, tau).filter(pl.col("measure") != "mean")
        named = _named(_blank_without_events(compared, rows), endpoint, tau)
        labels = {"contrast": contrast.name, "adjustment": UNADJUSTED}
        pieces.append(named.with_columns(*_literals(labels), subjects=pl.lit(rows.height)))
    for endpoint, weighted, found, tau in _weighted_questions(tables, times, protocol):
        kept = found.filter(pl.col("measure") != "incidence").rename({"group": "tier"})
        is_own = pl.col("reference").is_null()
        labels = {
            "endpoint": endpoint.name,
            "weighting": OVERLAP,
            "contrast": weighted.contrast.name,
            "adjustment": PROPENSITY,
        }
        pieces.append(
            kept.with_columns(
                *_literals(labels),
                tau_days=pl.lit(tau),
                measure=pl.when(is_own).then("measure").otherwise(pl.lit("difference")),
            )
        )
    return stacked(pieces)


def incidence_differences(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Differences of the cumulative incidence of the event at each horizon, unadjusted and overlap-weighted."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint, contrast, rows, tau in _questions(times, protocol):
        difference = incidence_difference(incidence_curves(rows, protocol), contrast, tau)
        labels = {"outcome": endpoint.name, "window": horizon_label(tau), "method": AALEN_JOHANSEN}
        pieces.append(difference.with_columns(*_literals(labels), subjects=pl.lit(rows.height)))
    for endpoint, weighted, found, tau in _weighted_questions(tables, times, protocol):
        chosen = (pl.col("measure") == "incidence") & (pl.col("cause") == "event") & pl.col("reference").is_not_null()
        labels = {
            "outcome": endpoint.name,
            "window": horizon_label(tau),
            "method": AALEN_JOHANSEN_WEIGHTED,
            "contrast": weighted.contrast.name,
            "population": OVERLAP,
        }
        pieces.append(
            found.filter(chosen).rename({"group": "tier"}).drop("measure", "cause").with_columns(*_literals(labels))
        )
    return stacked(pieces)


def _questions(times: pl.DataFrame, protocol: Protocol) -> Iterator[tuple[Endpoint, Contrast, pl.DataFrame, float]]:
    """Every endpoint, contrast that it serves, its two arms' rows, and horizon."""
    for endpoint in protocol.endpoints:
        for contrast in comparable_contrasts(protocol, endpoint):
            rows = arms(endpoint_rows(times, endpoint), contrast)
            if smallest_arm(rows, contrast) > 0:
                for tau in taus(rows, protocol, endpoint):
                    yield endpoint, contrast, rows, tau


def _weighted_questions(
    tables: Tables, times: pl.DataFrame, protocol: Protocol
) -> Iterator[tuple[Endpoint, Weighted, pl.DataFrame, float]]:
    """The same with overlap weights: incidence, time lost and event-free time of the arms and their differences."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    for weighted in weighted_contrasts(subjects, protocol):
        for endpoint in protocol.endpoints:
            if weighted.contrast in comparable_contrasts(protocol, endpoint):
                rows = weighted.with_outcome(endpoint_rows(times, endpoint).select("episode_id", "time_days", "status"))
                for tau in taus(rows, protocol, endpoint):
                    yield endpoint, weighted, weighted_arms(weighted, rows, tau), tau


def weighted_arms(weighted: Weighted, rows: pl.DataFrame, tau: float) -> pl.DataFrame:
    """Weighted incidence, time lost and event-free time at `tau`: each arm's (reference null), tier minus reference.

    Causes by name; where an arm has no event of a cause, the rows that rest on it are not estimable.
    """
    found = weighted_incidence(weighted.propensity, rows, "time_days", "status", tau, cluster="patient_id")
    tier = weighted.contrast.tier
    kept = found.filter(pl.col("reference").is_null() | (pl.col("group").cast(pl.String) == tier))
    named = kept.with_columns(
        pl.col("group", "reference").cast(pl.String),
        cause=pl.col("cause").replace_strict({EVENT_FREE: "any", **CAUSES}, return_dtype=pl.String),
    )
    return _blank_without_events(named, rows)


def horizon_label(tau: float) -> str:
    """How a horizon is named where visit windows stand too: `730 days`."""
    return f"{tau:g} days"


def taus(rows: pl.DataFrame, protocol: Protocol, endpoint: Endpoint) -> list[float]:
    """The horizons in days, none later than the end of the smallest group's follow-up."""
    if rows.is_empty():
        return []
    last = float(rows.group_by("tier").agg(pl.col("time_days").max())["time_days"].min())  # type: ignore[arg-type]
    return sorted({min(float(horizon), last) for horizon in protocol.horizons(endpoint) if last > 0})


def areas(rows: pl.DataFrame, tau: float, weights: str | None = None) -> pl.DataFrame:
    """Time lost to each cause and time free of any, by tier, with differences and ratios to the first tier."""
    lost = restricted_time_lost(rows, "time_days", "status", tau, "tier", weights=weights, cluster="patient_id")
    either = rows.with_columns(has_any=pl.col("status") > 0)
    free = restricted_mean(either, "time_days", "has_any", tau, "tier", weights=weights, cluster="patient_id")
    named = lost.with_columns(pl.col("cause").replace_strict(CAUSES))
    return split_status(pl.concat([named, free.with_columns(cause=pl.lit("any")).select(named.columns)]))


def incidence_difference(curves: pl.DataFrame, contrast: Contrast, tau: float) -> pl.DataFrame:
    """One row: incidence of the event at `tau` in the tier minus that in the reference, with normal limits."""
    ends = {tier: incidence_at(curves, tier, tau) for tier in (contrast.tier, contrast.reference)}
    labels = {"contrast": contrast.name, "tier": contrast.tier, "reference": contrast.reference}
    unusable = [tier for tier, (_, error) in ends.items() if not error > 0]
    if unusable:
        reason = f"no event before {horizon_label(tau)} in {', '.join(unusable)}"
        return pl.DataFrame([labels | {"status": NOT_ESTIMABLE, "reason": reason}])
    (estimate, error), (base, base_error) = ends[contrast.tier], ends[contrast.reference]
    difference, std_error = estimate - base, float(np.hypot(error, base_error))
    reach = float(norm.isf((1 - LEVEL) / 2)) * std_error
    numbers = {
        "estimate": difference,
        "std_error": std_error,
        "ci_low": difference - reach,
        "ci_high": difference + reach,
        "p_value": float(2 * norm.sf(abs(difference) / std_error)),
    }
    return pl.DataFrame(
        [labels | numbers | {"status": ESTIMABLE, "reason": None}], schema_overrides={"reason": pl.String}
    )


def incidence_at(curves: pl.DataFrame, tier: str, tau: float, cause: str = "event") -> tuple[float, float]:
    """Estimate and standard error of a tier's incidence at `tau`; both 0 before the first event."""
    curve = curves.filter((pl.col("tier") == tier) & (pl.col("cause") == cause) & (pl.col("time_days") <= tau))
    last = curve.sort("time_days").tail(1)
    if last.is_empty() or last["estimate"][0] is None:
        return 0.0, 0.0
    return float(last["estimate"][0]), float(last["std_error"][0])


def _blank_without_events(frame: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The frame with no number where a tier (or its reference) has no event of the cause."""
    seen = {
        (tier, CAUSES[status])
        for tier, status in rows.filter(pl.col("status") > 0)
        .select(pl.col("tier").cast(pl.String), "status")
        .unique()
        .iter_rows()
    }
    statuses, reasons = [], []
    for row in frame.iter_rows(named=True):
        tiers = [tier for tier in (row["group"], row["reference"]) if tier is not None]
        without = [tier for tier in tiers if row["cause"] != "any" and (tier, row["cause"]) not in seen]
        blank = row["status"] == ESTIMABLE and without
        statuses.append(NOT_ESTIMABLE if blank else row["status"])
        reasons.append(f"no {row['cause']} in {', '.join(without)}" if blank else row["reason"])
    marked = frame.with_columns(status=pl.Series(statuses), reason=pl.Series(reasons, dtype=pl.String))
    numbers = ("estimate", "std_error", "ci_low", "ci_high", "p_value")
    return marked.with_columns(
        pl.when(pl.col("status") == ESTIMABLE).then(pl.col(name)).alias(name) for name in numbers
    )


def _literals(labels: dict[str, str]) -> list[pl.Expr]:
    return [pl.lit(value).alias(name) for name, value in labels.items()]


def _named(frame: pl.DataFrame, endpoint: Endpoint, tau: float) -> pl.DataFrame:
    """The frame with the names of `restricted_times`; a mean is time lost to a cause, or event-free time."""
    free = pl.col("cause") == "any"
    measure = pl.when(pl.col("measure") != "mean").then("measure").when(free).then(pl.lit("event-free time"))
    return frame.rename({"group": "tier"}).with_columns(
        pl.col("tier").cast(pl.String),
        pl.col("reference").cast(pl.String),
        endpoint=pl.lit(endpoint.name),
        weighting=pl.lit(UNWEIGHTED),
        tau_days=pl.lit(tau),
        variance=pl.lit("model"),
        measure=measure.otherwise(pl.lit("time lost")),
    )
