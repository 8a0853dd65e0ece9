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
from pipelines.analyses.incidence import incidence_curves
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    CAUSES,
    arms,
    comparable_contrasts,
    described_endpoints,
    endpoint_rows,
    in_ladder_order,
    names_of,
    smallest_arm,
    split_status,
    stacked,
    without_numbers,
)
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.weighting import OVERLAP, UNWEIGHTED, Weighted, weighted_contrasts
from pipelines.models.competing_risks import restricted_time_lost
from pipelines.models.survival import restricted_mean
from pipelines.models.weighted_failure import EVENT_FREE, weighted_incidence
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, Endpoint

LEVEL = 0.95
# An incidence above this is 1 but for rounding: its variance is nought, not very small.
EVERYBODY = 1 - 1e-9
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
            pieces.append(_named(_blank_without_events(summed, rows, tau), endpoint, tau))
    return stacked(pieces)


def contrast_times(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Differences and ratios of time lost and event-free time between the arms of each contrast.

    Unadjusted, and weighted to the overlap population: there each arm's own time stands beside the difference.
    """
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint, contrast, rows, tau in _questions(times, protocol):
        compared = areas(rows, tau).filter(pl.col("measure") != "mean")
        named = _named(_blank_without_events(compared, rows, tau), endpoint, tau)
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

    Causes by name; where an arm has no event of a cause by then, the rows that rest on it are not estimable.
    """
    found = weighted_incidence(weighted.propensity, rows, "time_days", "status", tau, cluster="patient_id")
    tier = weighted.contrast.tier
    kept = found.filter(pl.col("reference").is_null() | (pl.col("group").cast(pl.String) == tier))
    named = kept.with_columns(
        pl.col("group", "reference").cast(pl.String),
        cause=pl.col("cause").replace_strict({EVENT_FREE: "any", **CAUSES}, return_dtype=pl.String),
    )
    return _blank_without_events(named, rows, tau)


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
    labels = names_of(contrast)
    reason = _why_no_error({tier: share for tier, (share, _) in ends.items()}, tau)
    if reason is not None:
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


def _why_no_error(shares: dict[str, float], tau: float) -> str | None:
    """Why tiers' incidences at `tau` have no standard error: nobody had the event, or everybody; None if they have."""
    nobody = [tier for tier, share in shares.items() if share == 0]
    return _none_of("event", nobody, tau) or _all_of([tier for tier in shares if shares[tier] > EVERYBODY], tau)


def _none_of(what: str, tiers: list[str], tau: float) -> str | None:
    return f"no {what} before {horizon_label(tau)} in {', '.join(tiers)}" if tiers else None


def _all_of(tiers: list[str], tau: float) -> str | None:
    return f"all patients of {', '.join(tiers)} had the event before {horizon_label(tau)}" if tiers else None


def incidence_at(curves: pl.DataFrame, tier: str, tau: float, cause: str = "event") -> tuple[float, float]:
    """Estimate and standard error of a tier's incidence at `tau`; both 0 before the first event."""
    curve = curves.filter((pl.col("tier") == tier) & (pl.col("cause") == cause) & (pl.col("time_days") <= tau))
    last = curve.sort("time_days").tail(1)
    if last.is_empty() or last["estimate"][0] is None:
        return 0.0, 0.0
    return float(last["estimate"][0]), float(last["std_error"][0])


def _blank_without_events(frame: pl.DataFrame, rows: pl.DataFrame, tau: float) -> pl.DataFrame:
    """The frame with no number where a tier (or its reference) has no event of the cause by the horizon.

    There the estimate is 0 (or the whole horizon, for time free of any event) with a standard error of 0, and a ratio
    has no value. An event on the last day counts for the incidence; no time is lost to it. Nor has an incidence of 1 an
    error.
    """
    happened = rows.filter((pl.col("status") > 0) & (pl.col("time_days") <= tau))
    by_then, before = _causes_by_tier(happened), _causes_by_tier(happened.filter(pl.col("time_days") < tau))
    own = frame.filter((pl.col("measure") == "incidence") & pl.col("reference").is_null())
    certain = set(own.filter(pl.col("estimate") > EVERYBODY).select("group", "cause").iter_rows())
    reasons = []
    for row in frame.iter_rows(named=True):
        is_share = row["measure"] == "incidence"
        pairs = [(tier, row["cause"]) for tier in (row["group"], row["reference"]) if tier is not None]
        without = [tier for tier, cause in pairs if (tier, cause) not in (by_then if is_share else before)]
        full = [tier for tier, cause in pairs if is_share and (tier, cause) in certain]
        what = "event or death" if row["cause"] == "any" else row["cause"]
        reasons.append(row["reason"] or _none_of(what, without, tau) or _all_of(full, tau))
    marked = frame.with_columns(reason=pl.Series(reasons, dtype=pl.String))
    told = marked.with_columns(
        status=pl.when(pl.col("reason").is_null()).then("status").otherwise(pl.lit(NOT_ESTIMABLE))
    )
    return without_numbers(told, pl.col("status") != ESTIMABLE)


def _causes_by_tier(happened: pl.DataFrame) -> set[tuple[str, str]]:
    """Which tiers have which causes among these events, and `any` of them."""
    pairs = happened.select(pl.col("tier").cast(pl.String), "status").unique().iter_rows()
    return {(tier, cause) for tier, status in pairs for cause in (CAUSES[status], "any")}


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
