"""Whose outcome counts for which site, and how likely it was for such a patient anywhere in the network.

Belongs here: the indicators of a site, the patients that enter each, their risk. Does not belong here: limits,
shrinkage and charts (`sites`, `site_charts`).

Endpoints: patients who were watched to the horizon, or died before it and would have been (a death without the event
is no event), so that an early event makes nobody more likely to be counted. Patient-reported outcomes: patients with
a response, escalation before the visit being none. Risks come from logistic regression on tier and case mix over all
sites or, where events are too few for that, are the share of the patient's tier.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import endpoint_rows, in_ladder_order
from pipelines.models.propensity import weights
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Endpoint

ADJUSTED = "tier and case mix"
BY_TIER = "tier only: too few events for case mix"
_YES_NO = pl.Enum(["no", "yes"])


@dataclass(frozen=True)
class Cases:
    """One indicator: a row a patient with episode_id, site_id, event (0, 1), risk, weight, the order at the site.

    `weight` undoes who answered (1 for endpoints); `response` has the share of those due who answered, by site.
    """

    indicator: str
    rows: pl.DataFrame
    adjustment: str
    response: pl.DataFrame | None = None


def cases(tables: Tables, protocol: Protocol) -> Iterator[Cases]:
    """Harm within its own window, the descriptive failure endpoint, and response at the primary questions."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    for endpoint, horizon in _endpoints(protocol):
        known = subjects.filter(pl.col("watched_days") >= horizon)
        happened = endpoint_rows(times, endpoint).select(
            "episode_id", outcome=(pl.col("status") == 1) & (pl.col("time_days") <= horizon)
        )
        found = _with_risk(known.join(happened, on="episode_id"), f"{endpoint.name} within {horizon} days", protocol)
        yield from found
    yield from _responses(tables, subjects, protocol)


def _endpoints(protocol: Protocol) -> Iterator[tuple[Endpoint, int]]:
    for endpoint in protocol.endpoints:
        if endpoint.is_harm and endpoint.within_days is not None:
            yield endpoint, endpoint.within_days
        elif endpoint.is_descriptive:
            yield endpoint, min(protocol.primary.horizons_days or (protocol.primary.endpoint_horizon_days,))


def _responses(tables: Tables, subjects: pl.DataFrame, protocol: Protocol) -> Iterator[Cases]:
    frame = tables["analysis.responders"]
    for asked in protocol.primary.outcomes:
        thresholds = protocol.instrument(asked.outcome).thresholds
        if not thresholds:
            continue
        here = frame.filter(
            (pl.col("instrument") == asked.outcome)
            & (pl.col("threshold") == thresholds[0].name)
            & (pl.col("visit_window") == asked.window)
            & pl.col("response").is_in(["responder", "non-responder", "missing"])
        ).select("episode_id", outcome=pl.col("response") == "responder", is_known=pl.col("response") != "missing")
        due = subjects.join(here, on="episode_id", maintain_order="left")
        if due.is_empty():
            continue
        share = due.group_by("site_id").agg(response=pl.col("is_known").mean())
        weighted = due.with_columns(weight=_inverse_response(due, protocol)).filter("is_known")
        indicator = f"{asked.outcome} {thresholds[0].name} at {asked.window}"
        yield from _with_risk(weighted, indicator, protocol, share)


def _with_risk(
    rows: pl.DataFrame, indicator: str, protocol: Protocol, response: pl.DataFrame | None = None
) -> Iterator[Cases]:
    """The indicator with each patient's risk; nothing where all patients had the same outcome."""
    if rows.is_empty() or rows["outcome"].n_unique() < 2:
        return
    merged, covariates = usable(rows.sort("episode_id"), protocol)
    found = _probability(merged, covariates, "outcome")
    adjustment = ADJUSTED if found is not None else BY_TIER
    if found is None:
        share = pl.col("outcome").cast(pl.Float64).mean().over("tier")
        found = merged.select(share.clip(1e-6, 1 - 1e-6)).to_series()
    weight = pl.col("weight") if "weight" in merged.columns else pl.lit(1.0)
    ordered = merged.with_columns(risk=found, weight=weight, event=pl.col("outcome").cast(pl.Float64))
    names = ["site_sequence", "enrolment_quarter", "is_enrolling_site"]
    kept = [name for name in names if name in ordered.columns]
    yield Cases(
        indicator, ordered.select("episode_id", "site_id", "event", "risk", "weight", *kept), adjustment, response
    )


def _probability(rows: pl.DataFrame, covariates: list[str], outcome: str) -> pl.Series | None:
    """Each patient's probability by logistic regression on tier and case mix; None where it cannot be fitted."""
    typed = rows.with_columns(pl.when(outcome).then(pl.lit("yes")).otherwise(pl.lit("no")).cast(_YES_NO).alias(outcome))
    terms = ["tier", *covariates] if rows["tier"].n_unique() > 1 else covariates
    fitted = weights(typed, outcome, terms, "ate")
    return None if fitted.model is None else fitted.scores["yes"]


def _inverse_response(due: pl.DataFrame, protocol: Protocol) -> pl.Series:
    """One over the probability of an answer, for those who answered; 1 where it cannot be told apart."""
    if due["is_known"].n_unique() < 2:
        return pl.Series("weight", [1.0] * due.height)
    merged, covariates = usable(due, protocol)
    found = _probability(merged, covariates, "is_known")
    if found is None:
        found = due.select(pl.col("is_known").cast(pl.Float64).mean().over("tier").alias("p")).to_series()
    return (1 / found.clip(0.05, 1.0)).alias("weight")
