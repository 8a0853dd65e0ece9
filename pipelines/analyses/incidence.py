"""Curves of time to each endpoint by tier, and tests over all tiers.

Belongs here: cumulative incidence with death competing (leads), survival with death censored (sensitivity), log-rank
and Gray's test. Does not belong here: what is summed up to a horizon (`restricted`), ratios of hazards (`hazards`).
"""

from collections.abc import Iterator, Mapping

import polars as pl

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.gate import Gate
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    CAUSES,
    described_endpoints,
    endpoint_rows,
    in_ladder_order,
    not_estimable,
    stacked,
    status_parts,
)
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE, WITHHELD
from pipelines.analyses.weighting import OVERLAP, UNWEIGHTED, weighted_contrasts
from pipelines.models import competing_risks, survival
from pipelines.models.competing_risks import cumulative_incidence as aalen_johansen
from pipelines.models.survival import kaplan_meier
from pipelines.protocol import Protocol

NOTHING_TO_TEST = "fewer than two tiers, or no event"


def cumulative_incidence(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Aalen-Johansen curves: endpoint × tier × cause; a tier without events of a cause says `not estimable`."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint in described_endpoints(protocol):
        rows = endpoint_rows(times, endpoint)
        if rows.height:
            curves = incidence_curves(rows, protocol)
            pieces.append(curves.with_columns(endpoint=pl.lit(endpoint.name), weighting=pl.lit(UNWEIGHTED)))
    return stacked([*pieces, *_weighted(tables, times, protocol)])


def _weighted(tables: Tables, times: pl.DataFrame, protocol: Protocol) -> Iterator[pl.DataFrame]:
    """The curves of each contrast's own endpoint, its arms weighted to their overlap (weights held fixed).

    A contrast that is withheld has one row an arm and cause that says so.
    """
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    gate = Gate(tables["results.diagnostics"])
    for weighted in weighted_contrasts(subjects, protocol):
        contrast = weighted.contrast
        if weighted.propensity.model is None or contrast.endpoint is None:
            continue
        endpoint = protocol.endpoint(contrast.endpoint)
        labels = {"endpoint": endpoint.name, "weighting": OVERLAP, "contrast": contrast.name}
        why = gate.reason(contrast.name, endpoint.name, None)
        if why is None:
            outcome = endpoint_rows(times, endpoint).select("episode_id", "time_days", "status")
            rows = weighted.with_outcome(outcome).with_columns(weight=weighted.propensity.weights)
            curves = incidence_curves(rows, protocol, "weight")
        else:
            arms = [(tier, cause) for tier in (contrast.reference, contrast.tier) for cause in CAUSES.values()]
            curves = pl.DataFrame(arms, schema=["tier", "cause"], orient="row").with_columns(
                status=pl.lit(WITHHELD), reason=pl.lit(why)
            )
        yield curves.with_columns(pl.lit(value).alias(name) for name, value in labels.items())


def incidence_curves(rows: pl.DataFrame, protocol: Protocol, weights: str | None = None) -> pl.DataFrame:
    """The curves of one endpoint's rows: tier, cause, time_days and the estimate with its status."""
    curves = (
        aalen_johansen(rows, "time_days", "status", "tier", weights=weights, cluster="patient_id")
        .rename({"group": "tier", "time": "time_days"})
        .with_columns(pl.col("tier").cast(pl.String), cause=pl.col("cause").replace_strict(CAUSES))
    )
    pieces = []
    for tier in _present(rows, protocol):
        for number, cause in CAUSES.items():
            if rows.filter((pl.col("tier").cast(pl.String) == tier) & (pl.col("status") == number)).is_empty():
                pieces.append(_without_events(rows, tier, f"no {cause} among its patients", cause=cause))
            else:
                curve = curves.filter((pl.col("tier") == tier) & (pl.col("cause") == cause))
                pieces.append(curve.with_columns(status=pl.lit(ESTIMABLE)))
    return stacked(pieces)


def survival_curves(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Kaplan-Meier curves of being free of each endpoint, death censored."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint in described_endpoints(protocol):
        rows = endpoint_rows(times, endpoint).with_columns(is_event=pl.col("status") == 1)
        if rows.height:
            curves = _survival(rows, protocol)
            pieces.append(curves.with_columns(endpoint=pl.lit(endpoint.name), weighting=pl.lit(UNWEIGHTED)))
    return stacked(pieces)


def log_rank(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Log-rank test of each endpoint over all tiers with patients, death censored."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint in described_endpoints(protocol):
        rows = endpoint_rows(times, endpoint).with_columns(is_event=pl.col("status") == 1)
        if rows.is_empty():
            continue
        labels = {"endpoint": endpoint.name, "subjects": rows.height}
        if _is_testable(rows):
            pieces.append(_tested(survival.log_rank(rows, "time_days", "is_event", "tier"), labels))
        else:
            pieces.append(not_estimable(NOTHING_TO_TEST, **labels))
    return stacked(pieces)


def gray_test(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Gray's test of each endpoint, and of death before it, over all tiers with patients."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces = []
    for endpoint in described_endpoints(protocol):
        rows = endpoint_rows(times, endpoint)
        if rows.is_empty():
            continue
        labels = {"endpoint": endpoint.name, "subjects": rows.height}
        if _is_testable(rows):
            test = competing_risks.gray_test(rows, "time_days", "status", "tier")
            pieces.append(_tested(test.with_columns(pl.col("cause").replace_strict(CAUSES)), labels))
        else:
            pieces.append(not_estimable(NOTHING_TO_TEST, cause="event", **labels))
    return stacked(pieces)


def _is_testable(rows: pl.DataFrame) -> bool:
    return rows["tier"].n_unique() >= 2 and bool((rows["status"] == 1).any())


def _tested(test: pl.DataFrame, labels: Mapping[str, object]) -> pl.DataFrame:
    return test.with_columns(*(pl.lit(value).alias(name) for name, value in labels.items()), **status_parts())


def _survival(rows: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    curves = (
        kaplan_meier(rows, "time_days", "is_event", "tier")
        .rename({"group": "tier", "time": "time_days"})
        .with_columns(pl.col("tier").cast(pl.String), status=pl.lit(ESTIMABLE))
    )
    pieces = []
    for tier in _present(rows, protocol):
        if rows.filter((pl.col("tier").cast(pl.String) == tier) & pl.col("is_event")).is_empty():
            pieces.append(_without_events(rows, tier, "no event among its patients"))
        else:
            pieces.append(curves.filter(pl.col("tier") == tier))
    return stacked(pieces)


def _present(rows: pl.DataFrame, protocol: Protocol) -> list[str]:
    seen = set(rows["tier"].cast(pl.String).unique().to_list())
    return [tier for tier in protocol.tier_names if tier in seen]


def _without_events(rows: pl.DataFrame, tier: str, reason: str, **values: str) -> pl.DataFrame:
    """One row at time 0 that says why a tier has no curve, with the number who could have had the event."""
    subjects = rows.filter(pl.col("tier").cast(pl.String) == tier).height
    labels: Mapping[str, object] = {"tier": tier, "time_days": 0.0, "at_risk": float(subjects), "events": 0.0, **values}
    row = {**labels, "estimate": None, "std_error": None, "subjects_at_risk": subjects}
    numbers = {"estimate": pl.Float64, "std_error": pl.Float64}  # named, since none of the arms may have a curve
    return pl.DataFrame([row | {"status": NOT_ESTIMABLE, "reason": reason}], schema_overrides=numbers)
