"""Failure defined otherwise: its components alone, the protocol's other definitions, and symptoms that come back."""

import polars as pl

from pipelines.protocol_parts import Relapse
from pipelines.reports import event_counts, keys, numbers, wording
from pipelines.reports.content import Cell, Column, Row, Section, Shown, Table
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.failure import incidence_cell
from pipelines.reports.study import Study


def definitions(study: Study) -> Section:
    """Incidence under other definitions of failure, and freedom from relapse after a response."""
    title = "Other definitions of failure, and symptoms that return"
    if not (study.protocol.supplementary_endpoints or study.protocol.relapses):
        return not_applicable("definitions", title, "The protocol asks for no other definition of failure.")
    tables = [
        *_incidence_table(study),
        *(table for rule in study.protocol.relapses for table in relapse_table(study, rule)),
    ]
    if not tables:
        return not_applicable("definitions", title, "No time-to-event rows were found for these definitions.")
    return Section("definitions", title, tuple(tables))


def _incidence_table(study: Study) -> list[Table]:
    listed = study.protocol.supplementary_endpoints
    if not listed or study.snapshot["results.cumulative_incidence"].is_empty():
        return []
    possible = {tier: event_counts.asked_aside(study.protocol, tier) for tier in study.tiers}
    rows: list[Row] = []
    for endpoint in listed:
        rows.append(Row((endpoint.label,), "group"))
        for day in study.protocol.horizons(endpoint):
            cells = [
                incidence_cell(study, endpoint, tier, day) if endpoint in possible[tier] else numbers.ABSENT
                for tier in study.tiers
            ]
            rows.append(Row((f"By {numbers.horizon(day)}", *cells), indent=1))
    return [
        Table(
            "table-definitions",
            "Cumulative incidence under other definitions of failure",
            (Column("Definition", "left"), *[Column(study.short(tier)) for tier in study.tiers]),
            tuple(rows),
            reading="Per cent who have had the event by then (95 % interval), with death competing; not adjusted. "
            "Components stand alone; the other definitions add to [failure](#failure) what the protocol leaves out of "
            "it by default. A dash: the tier cannot have the event. Nothing is compared on these.",
            notes=(study.gate.few_events_note, LEGEND),
            source="results.cumulative_incidence (weighting = unweighted)",
        )
    ]


def relapse_table(study: Study, rule: Relapse) -> list[Table]:
    """Share still free of a relapse, by days since the first visit with a response."""
    frame = study.snapshot.rows("results.relapse_curves", relapse=rule.name)
    if frame.is_empty():
        return []
    days = study.protocol.primary.all_horizons_days
    rows = [
        Row(("Responded, n", *[study.gate.count(keys.responded(rule.name, tier)) for tier in study.tiers]), "total")
    ]
    for day in days:
        cells = [_free(study, rule, tier, float(day), frame.filter(pl.col("tier") == tier)) for tier in study.tiers]
        rows.append(Row((f"Free of it at {numbers.horizon(day)}", *cells)))
    return [
        Table(
            wording.anchor("table", rule.name),
            rule.label,
            (Column("", "left"), *[Column(study.short(tier)) for tier in study.tiers]),
            tuple(rows),
            reading="Of those who responded, the per cent still free of a return of the symptom. The clock starts at "
            "the first visit with a response; a return is seen only at visits, so that it lies between two of them and "
            "the curve is Turnbull's. Two figures (70 to 75 %) bracket the share where a visit's interval holds the "
            "day. Visits after an escalation are not read.",
            notes=(study.gate.few_events_note, LEGEND),
            source="results.relapse_curves",
        )
    ]


def _free(study: Study, rule: Relapse, tier: str, day: float, curve: pl.DataFrame) -> Cell:
    key = keys.relapsed(rule.name, tier, day)
    if not study.gate.knows(key) or curve.is_empty():
        return numbers.ABSENT
    if not study.gate.is_exact(key):
        return study.gate.few_events(key)
    known = curve.drop_nulls("estimate").sort("lower_days")
    if known.is_empty():
        return Shown(str(curve["status"][0]), is_withheld=True)
    before = known.filter(pl.col("upper_days") <= day)["estimate"].to_list()
    holding = known.filter((pl.col("lower_days") < day) & (pl.col("upper_days") > day))["estimate"].to_list()
    high = before[-1] if before else 1.0
    low = min([high, *holding])
    digits = study.gate.decimals
    text = numbers.percent(high, digits)
    if numbers.percent(low, digits) != text:
        text = f"{numbers.fixed(100 * low, digits)} to {text}"
    return study.gate.text(text, keys.responded(rule.name, tier))
