"""Tests of time to failure over all tiers, and which distribution of the time fits closest; both only inform."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from pipelines.protocol_parts import Contrast, Endpoint
from pipelines.reports import event_counts, keys, numbers, wording
from pipelines.reports.content import Cell, Column, Row, Shown, Table
from pipelines.reports.estimates import estimate_cell
from pipelines.reports.ledger import Key
from pipelines.reports.study import Study

_DISTRIBUTIONS = {"weibull": "Weibull", "log-normal": "Log-normal", "log-logistic": "Log-logistic"}
Found = Mapping[str, Any]


# ------------------------------------------------------------------------------------------------- tests over all tiers


def tests_table(study: Study) -> list[Table]:
    """Log-rank and Gray's tests of the endpoints that are described, over all tiers."""
    log_rank, gray = (study.snapshot[name] for name in ("results.log_rank", "results.gray_test"))
    printed = [{e.name for e in event_counts.reported(study.protocol, tier)} for tier in study.tiers]
    body: list[Row] = []
    for endpoint in (e for e in study.protocol.endpoints if all(e.name in names for names in printed)):
        cells = [_test(study, log_rank, endpoint), *[_test(study, gray, endpoint, c) for c in ("event", "death")]]
        if any(isinstance(cell, Shown) and not cell.is_withheld for cell in cells):
            body.append(Row((endpoint.label, *cells)))
    if not body:
        return []
    return [
        Table(
            "table-tests",
            "Do the tiers differ at all?",
            (
                Column("Endpoint", "left"),
                Column("Log-rank, p"),
                Column("The event", group="Gray's test, p"),
                Column("Death without it", group="Gray's test, p"),
            ),
            tuple(body),
            reading="Over all tiers at once, not adjusted: patients of different tiers differ, so that a small p says "
            "little by itself. Log-rank: death is censored. Gray: cumulative incidences with death competing.",
            source="results.log_rank; results.gray_test",
        )
    ]


def _test(study: Study, frame: pl.DataFrame, endpoint: Endpoint, cause: str | None = None) -> Cell:
    """The p-value of a test over all patients, if enough of them had the event."""
    status = 2 if cause == "death" else 1
    events = study.snapshot.rows("analysis.time_to_event", endpoint=endpoint.name, status=status)
    if events.height < study.gate.minimum:
        return study.gate.few_events()
    if frame.is_empty():
        return numbers.ABSENT
    found = frame.filter(pl.col("endpoint") == endpoint.name)
    found = found.filter(pl.col("cause") == cause) if cause is not None else found
    if found.is_empty() or found["p_value"][0] is None:
        return Shown(numbers.ABSENT, is_withheld=True)
    return study.gate.text(numbers.p_value(found["p_value"][0]), keys.patients())


# ---------------------------------------------------------------------------------------------------- parametric models


def parametric_table(study: Study) -> list[Table]:
    """AIC by distribution and the time ratio under each, for every contrast's own event; the full analysis set only."""
    frame = study.snapshot["results.parametric_fits"]
    if frame.is_empty():
        return []
    names = frame["distribution"].unique(maintain_order=True).to_list()
    body = [
        row
        for contrast in study.protocol.contrasts
        if contrast.endpoint is not None
        for row in _of_contrast(study, contrast, frame.filter(pl.col("contrast") == contrast.name), names)
    ]
    if not body:
        return []
    notes = [f"{name}: {reason}" for name, reason in _reasons(study, frame)]
    return [
        Table(
            "table-parametric",
            "Which distribution of the time fits closest",
            (Column("Contrast", "left"), *[Column(_DISTRIBUTIONS.get(name, name)) for name in names]),
            tuple(body),
            reading="Accelerated failure time models of each contrast's own event, adjusted for covariates, death "
            "censored. AIC: the smallest fits closest; differences below 2 say nothing. Time ratio (95 % CI): above 1 "
            "the event comes later with the tier. These models reach beyond what was seen and decide nothing here.",
            notes=(f"No figure: {'; '.join(notes)}.",) if notes else (),
            source="results.parametric_fits",
        )
    ]


def _of_contrast(study: Study, contrast: Contrast, rows: pl.DataFrame, names: list[str]) -> list[Row]:
    """A group with the AIC and the time ratio of each distribution."""
    if rows.is_empty():
        return []
    endpoint = study.protocol.endpoint(str(contrast.endpoint))
    arms = event_counts.by_the_end(study.protocol, contrast, endpoint.name)
    found = {row["distribution"]: row for row in rows.iter_rows(named=True)}
    ratios = [estimate_cell(study, found[n], 2, *arms) if n in found else numbers.ABSENT for n in names]
    return [
        Row((f"{study.versus(contrast)}: {wording.inside(endpoint.label)}",), "group"),
        Row(("AIC", *[_aic(study, found.get(name), arms) for name in names]), indent=1),
        Row(("Time ratio", *ratios), indent=1),
    ]


def _aic(study: Study, row: Found | None, arms: tuple[Key, Key]) -> Cell:
    if row is None or row["status"] != "estimable" or row["aic"] is None:
        return Shown(numbers.ABSENT, is_withheld=True)
    return replace(study.gate.number(row["aic"], 0, *arms), trace=row.get("trace") or "")


def _reasons(study: Study, frame: pl.DataFrame) -> list[tuple[str, str]]:
    """Why a contrast has no figure under any distribution, once each."""
    names = {contrast.name: study.versus(contrast) for contrast in study.protocol.contrasts}
    told = frame.filter(pl.col("reason").is_not_null()).select("contrast", "reason").unique(maintain_order=True)
    return [(names[contrast], reason) for contrast, reason in told.iter_rows() if contrast in names]
