"""Walking tests: contrasts of distance by the joint model of time and speed, stopping curves, reasons for stopping.

Belongs here: everything that knows a walking test has a time limit. Does not belong here: responders at +30 %
(derived in SQL), summaries by tier (`trajectories`).
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order, stacked, walking_instruments, windows, without_keys
from pipelines.analyses.trajectories import WALK_AT_BASELINE, by_window
from pipelines.models.comparison import ancova
from pipelines.models.propensity import Propensity
from pipelines.models.proportions import wilson
from pipelines.models.walking import distance_to_stop_curve, joint_time_speed, time_to_stop_curve, weighted_time_speed
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Instrument

FIXED_TIME_UNADJUSTED = "ANCOVA (HC3) of metres in a fixed time, baseline only"
FIXED_TIME_ADJUSTED = "ANCOVA (HC3) of metres in a fixed time, covariate-adjusted"
JOINT_UNADJUSTED = "joint time and speed, baseline only"
JOINT_ADJUSTED = "joint time and speed, covariate-adjusted"
# A walk of the shortest distance told apart takes this long at an ordinary pace of 1 m/s.
SECONDS_PER_METRE = 1.0
FOLLOW_UP = ("duration_s", "is_at_cap", "speed_m_s")
WALK_COLUMNS = (*FOLLOW_UP, "baseline_duration_s", "is_baseline_at_cap", "log_baseline_speed")


def joint_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Ratios of distance, time and speed between the tiers of each contrast, by instrument and window."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    pieces = []
    for name in walking_instruments(protocol):
        instrument = protocol.instrument(name)
        if instrument.is_fixed_time:
            continue
        of_instrument = walks.filter(pl.col("instrument") == name)
        rows = model_rows(of_instrument, subjects, instrument)
        for window in windows(of_instrument, protocol):
            here = rows.filter(pl.col("visit_window") == window.name)
            labels = {"outcome": name, "window": window.name}
            for method in (JOINT_UNADJUSTED, JOINT_ADJUSTED):
                fitted = _fit(here, instrument, protocol, method)
                pieces.append(fitted.with_columns(pl.lit(v).alias(k) for k, v in (labels | {"method": method}).items()))
    return stacked(pieces)


def fixed_time_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Differences in metres for tests of a fixed time, by instrument and window: an ordinary measurement."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    pieces = []
    for name in walking_instruments(protocol):
        if not protocol.instrument(name).is_fixed_time:
            continue
        seen = walks.filter(pl.col("instrument") == name, "is_observed").drop_nulls(
            ["distance_m", "baseline_distance_m"]
        )
        known = without_keys(subjects)
        rows = seen.join(known, on="episode_id", how="inner", maintain_order="left")
        for window in windows(rows, protocol):
            here, covariates = usable(rows.filter(pl.col("visit_window") == window.name), protocol)
            if here["tier"].n_unique() < 2:
                continue
            for method, adjusters in ((FIXED_TIME_UNADJUSTED, []), (FIXED_TIME_ADJUSTED, covariates)):
                found = ancova(here, "distance_m", "baseline_distance_m", "tier", adjusters)
                labels = {"outcome": name, "window": window.name, "method": method, "measure": "mean difference"}
                pieces.append(found.with_columns(pl.lit(v).alias(k) for k, v in labels.items()))
    return stacked(pieces)


def model_rows(walks: pl.DataFrame, subjects: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """The walks that the joint model can use, with covariates and the logarithm of baseline speed.

    A walk below the shortest distance told apart becomes a walk of no duration (censored below). A baseline of that
    kind, whose speed nobody saw, gets the mean log speed of the others; its time enters as censored.
    """
    shortest = instrument.minimum_distance_m or 0.0
    zero = (pl.col("distance_m") < shortest).fill_null(False)
    zero_baseline = (pl.col("baseline_distance_m") < shortest).fill_null(False)
    log_speed = pl.when(~zero_baseline & (pl.col("baseline_speed_m_s") > 0)).then(pl.col("baseline_speed_m_s").log())
    usable_walk = zero | (pl.col("duration_s").is_not_null() & (pl.col("speed_m_s") > 0))
    usable_baseline = zero_baseline | (pl.col("baseline_duration_s").is_not_null() & (pl.col("baseline_speed_m_s") > 0))
    return (
        walks.filter(pl.col("is_observed") & usable_walk & usable_baseline)
        .with_columns(
            duration_s=pl.when(zero).then(0.0).otherwise("duration_s"),
            is_at_cap=pl.col("is_at_cap").fill_null(False) & ~zero,
            baseline_duration_s=pl.when(zero_baseline).then(0.0).otherwise("baseline_duration_s"),
            is_baseline_at_cap=pl.col("is_baseline_at_cap").fill_null(False) & ~zero_baseline,
            log_baseline_speed=log_speed,
        )
        .with_columns(pl.col("log_baseline_speed").fill_null(pl.col("log_baseline_speed").mean()).fill_null(0.0))
        .join(without_keys(subjects), on="episode_id", how="inner", maintain_order="left")
    )


def distance_ratios(rows: pl.DataFrame, instrument: Instrument, covariates: Sequence[str]) -> pl.DataFrame:
    """The joint model on one window's rows: measure, group, reference and the ratio with its limits and status."""
    adjusters = [*_baseline_speed(rows), *covariates]
    return joint_time_speed(rows, *FOLLOW_UP, "tier", adjusters, **_limits(instrument))


def weighted_distance_ratios(
    propensity: Propensity, rows: pl.DataFrame, instrument: Instrument, weights: str, cluster: str | None = None
) -> pl.DataFrame:
    """As `distance_ratios` under propensity weights, with both variances; rows of those without a walk hold nulls."""
    return weighted_time_speed(
        propensity,
        rows,
        *FOLLOW_UP,
        _baseline_speed(rows),
        weights=weights,
        cluster=cluster,
        few_clusters=True,
        **_limits(instrument),
    )


def _baseline_speed(rows: pl.DataFrame) -> list[str]:
    return ["log_baseline_speed"] if rows["log_baseline_speed"].drop_nulls().n_unique() > 1 else []


def _limits(instrument: Instrument) -> dict[str, Any]:
    """The shortest time told apart, and where the baseline walk stands, which is latent where it was capped."""
    return {
        "zero": (instrument.minimum_distance_m or 1.0) * SECONDS_PER_METRE,
        "baseline_time": "baseline_duration_s",
        "baseline_capped": "is_baseline_at_cap",
    }


def walking_curves(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Share still walking by time and by distance, by instrument, window (baseline first) and tier."""
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    pieces = []
    for name in walking_instruments(protocol):
        for window, group in by_window(walks.filter(pl.col("instrument") == name), protocol, WALK_AT_BASELINE):
            seen = group.drop_nulls(["distance_m", "duration_s", "is_at_cap"])
            if seen.is_empty():
                continue
            time = time_to_stop_curve(seen, "duration_s", "is_at_cap", "tier").rename({"time": "at"})
            distance = distance_to_stop_curve(seen, "distance_m", "is_at_cap", "tier").rename({"distance": "at"})
            pieces += [
                curve.with_columns(
                    curve=pl.lit(kind),
                    instrument=pl.lit(name),
                    visit_window=pl.lit(window),
                    tier=pl.col("group").cast(pl.String),
                )
                for kind, curve in (("time", time), ("distance", distance))
            ]
    return stacked(pieces)


def stop_reasons(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Walks by reason for stopping with Wilson limits, by instrument, window and tier."""
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    seen = walks.filter(pl.col("is_observed") & pl.col("stop_reason").is_not_null())
    if seen.is_empty():
        return seen.clear()
    cell = ["instrument", "visit_window", "tier"]
    counts = (
        seen.group_by([*cell, "stop_reason"])
        .agg(walks=pl.len())
        .join(seen.group_by(cell).agg(subjects=pl.len()), on=cell)
    )
    order = {window.name: window.nominal_day for window in protocol.windows}
    counts = counts.sort("instrument", pl.col("visit_window").replace_strict(order), "tier", "stop_reason")
    shares = wilson(counts["walks"], counts["subjects"])
    return counts.with_columns(shares["estimate"], shares["ci_low"], shares["ci_high"], pl.col("tier").cast(pl.String))


def _fit(rows: pl.DataFrame, instrument: Instrument, protocol: Protocol, method: str) -> pl.DataFrame:
    if rows["tier"].n_unique() < 2:
        return pl.DataFrame()
    merged, covariates = usable(rows, protocol, without=[f"{instrument.name}_baseline"])
    return distance_ratios(merged, instrument, covariates if method == JOINT_ADJUSTED else [])
