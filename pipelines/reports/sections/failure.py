"""Time to failure with death competing, incidence at the horizons, harm, and moves up the ladder."""

from collections.abc import Sequence

import polars as pl

from pipelines.protocol_parts import Endpoint
from pipelines.reports import event_counts, keys, numbers, wording
from pipelines.reports.content import (
    Callout,
    Cell,
    Column,
    Figure,
    Panel,
    Row,
    Section,
    Sentence,
    Table,
)
from pipelines.reports.figures.curves import CurveAxes, curve_panel
from pipelines.reports.figures.marks import Series
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.curves import curve_series, month_ticks, numbers_at_ticks
from pipelines.reports.sections.failure_models import parametric_table, tests_table
from pipelines.reports.study import Study


def failure(study: Study) -> Section:
    """Cumulative incidence of the descriptive endpoints by tier, with the linkage statement."""
    title = "Time to treatment failure"
    shown = [e for e in study.protocol.endpoints if e.is_descriptive] or list(study.protocol.endpoints)
    shown = [e for e in shown[:1] if _has_curve(study, e)]
    if not study.protocol.endpoints:
        return not_applicable("failure", title, "The protocol names no failure event.")
    if not shown:
        return not_applicable("failure", title, "No time-to-event rows were found for the protocol's endpoints.")
    blocks: list[Figure | Table | Callout] = [linkage(study)]
    blocks += [_incidence_figure(study, endpoint) for endpoint in shown]
    blocks += [_horizon_table(study), *tests_table(study), *parametric_table(study)]
    return Section("failure", title, tuple(blocks))


def linkage(study: Study) -> Callout:
    """Through which sources later care and deaths would have been seen."""
    said = study.release_fact("linkage")
    text = (
        f"Later treatment and deaths are seen through: **{said}**. An event outside this reach is counted as none, so "
        "incidence is a lower bound where patients can be treated elsewhere."
        if said
        else "The release does not say where later treatment and deaths would be seen; incidence may be too low."
    )
    return Callout("note", "What can be seen", Sentence(text, "raw.release (linkage)"))


def _has_curve(study: Study, endpoint: Endpoint) -> bool:
    rows = study.snapshot.rows("results.cumulative_incidence", endpoint=endpoint.name, weighting="unweighted")
    return not rows.is_empty()


def _incidence_figure(study: Study, endpoint: Endpoint) -> Figure:
    event = _incidence_series(study, endpoint, "event", with_competing=False)
    death = _incidence_series(study, endpoint, "death", with_competing=True)
    top = _top(event)
    panels = [_incidence_panel(study, event, endpoint, f"{wording.capital(endpoint.label)}", top)]
    shown_deaths = [one for one in death if len(one.drawn) > 1]
    notes = [
        f"Ended where fewer than {study.gate.minimum} would have left or stayed: "
        f"{', '.join(_ended(study, event, endpoint))}."
    ]
    if not _ended(study, event, endpoint):
        notes = []
    if shown_deaths:
        panels.append(_incidence_panel(study, shown_deaths, endpoint, "Death without that event", _top(shown_deaths)))
    else:
        notes.append("Deaths without the event compete; they are too few in every tier to be drawn.")
    return Figure(
        wording.anchor("figure-incidence", endpoint.name),
        f"{wording.capital(endpoint.label)}: cumulative incidence with death competing",
        tuple(panels),
        "Height is the share of patients of a tier who have had the event by then (Aalen–Johansen; death is counted as "
        "death, not as still at risk). Shaded: 95 % intervals. Marks stand at times between which enough patients had "
        "the event and left for the figure to be shown; lines join them. Not adjusted for case mix; a tier at the top "
        "of the ladder has no higher one to escalate to.",
        source=f"results.cumulative_incidence (endpoint = {endpoint.name}, weighting = unweighted); numbers at risk "
        "from "
        "analysis.time_to_event",
        notes=tuple(notes),
    )


def _incidence_series(study: Study, endpoint: Endpoint, cause: str, with_competing: bool) -> list[Series]:
    times = study.snapshot["analysis.time_to_event"]
    curves = study.snapshot.rows(
        "results.cumulative_incidence", endpoint=endpoint.name, cause=cause, weighting="unweighted"
    )
    found = []
    for tier in study.tiers:
        mine = curves.filter(pl.col("tier") == tier).rename({"time_days": "at"}) if curves.height else curves
        cuts = study.gate.cuts(times, endpoint.name, tier, with_competing)
        found.append(curve_series(study, tier, mine, cuts, start=0.0))
    return found


def _top(series: Sequence[Series]) -> float:
    highest = max((float(p.high or p.y or 0) for one in series for p in one.drawn), default=0.1)
    return next(top for top in _STEPS if highest <= top + 1e-9)


_STEPS = {0.05: 0.01, 0.1: 0.02, 0.2: 0.05, 0.3: 0.1, 0.4: 0.1, 0.5: 0.1, 0.6: 0.2, 0.8: 0.2, 1.0: 0.25}


def _incidence_panel(study: Study, series: Sequence[Series], endpoint: Endpoint, title: str, top: float) -> Panel:
    last = max(study.protocol.horizons(endpoint))
    ticks = month_ticks(last)
    axes = CurveAxes(ticks, "Months since the tier began", "Per cent of patients", top, _STEPS[top])
    placed = numbers_at_ticks(series, ticks, reach=10)
    said = [
        f"{one.label} {numbers.percent(one.drawn[-1].y)} by {numbers.horizon(one.drawn[-1].x)}"
        if len(one.drawn) > 1
        else f"{one.label} not shown, too few events"
        for one in series
    ]
    return curve_panel(placed, axes, title, f"Curves of cumulative incidence, {title.lower()}: {'; '.join(said)}.")


def _ended(study: Study, series: Sequence[Series], endpoint: Endpoint) -> list[str]:
    last = max(study.protocol.horizons(endpoint))
    return [
        f"{one.label} ({'not drawn' if len(one.drawn) < 2 else 'at ' + numbers.horizon(one.drawn[-1].x)})"
        for one in series
        if len(one.drawn) < 2 or one.drawn[-1].x < last
    ]


def _horizon_table(study: Study) -> Table:
    rows: list[Row] = []
    printed = {e.name for t in study.tiers for e in event_counts.reported(study.protocol, t) if not e.is_harm}
    for endpoint in (e for e in study.protocol.endpoints if e.name in printed):
        rows.append(Row((endpoint.label,), "group"))
        for day in study.protocol.horizons(endpoint):
            cells = [incidence_cell(study, endpoint, tier, day) for tier in study.tiers]
            rows.append(Row((f"By {numbers.horizon(day)}", *cells), indent=1))
    return Table(
        "table-incidence",
        "Cumulative incidence at the protocol's horizons",
        (Column("Endpoint", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Per cent who have had the event by then (95 % interval), with death competing; not adjusted. The "
        "event "
        "of a contrast is shown for its two tiers only. Endpoints lie within each other: do not add them. Other "
        "definitions of failure stand [below](#definitions).",
        notes=(study.gate.few_events_note, LEGEND),
        source="results.cumulative_incidence (weighting = unweighted)",
    )


def incidence_cell(study: Study, endpoint: Endpoint, tier: str, day: float) -> Cell:
    """Incidence of an endpoint at a day with its limits, or what stands in for it."""
    key = keys.events(endpoint.name, tier, day)
    if not study.gate.knows(key):
        return numbers.ABSENT
    if not study.gate.is_exact(key):
        return study.gate.few_events(key)
    curve = study.snapshot.rows(
        "results.cumulative_incidence", endpoint=endpoint.name, tier=tier, cause="event", weighting="unweighted"
    )
    known = curve.drop_nulls("estimate").filter(pl.col("time_days") <= day).sort("time_days") if curve.height else curve
    if known.is_empty():
        return study.gate.text(numbers.percent(0.0, study.gate.decimals), keys.patients(tier))
    row = known.row(-1, named=True)
    digits = study.gate.decimals
    limits = numbers.interval(row["ci_low"], row["ci_high"], digits, 100)
    return study.gate.text(f"{numbers.percent(row['estimate'], digits)} ({limits})", keys.patients(tier))


# ---------------------------------------------------------------------------------------------------------------- harm


def harm(study: Study) -> Section:
    """Complications and readmissions within their window, by tier."""
    title = "Harm within 90 days"
    endpoints = [e for e in study.protocol.endpoints if e.is_harm]
    if not endpoints:
        return not_applicable("harm", title, "The protocol names no harm endpoint.")
    if study.snapshot["analysis.time_to_event"].is_empty():
        return not_applicable("harm", title, "No time-to-event rows were found.")
    rows = []
    for endpoint in endpoints:
        day = max(study.protocol.horizons(endpoint))
        cells = [_harm_cell(study, endpoint, t, day) for t in study.tiers]
        rows.append(Row((endpoint.label, *cells)))
        rows.append(
            Row(
                ("Incidence (95 % interval)", *[incidence_cell(study, endpoint, t, day) for t in study.tiers]), indent=1
            )
        )
    table = Table(
        "table-harm",
        "Complications and readmissions",
        (Column("", "left"), *[Column(study.short(t)) for t in study.tiers]),
        (Row(("Patients, n", *[study.gate.count(keys.patients(t)) for t in study.tiers]), "total"), *rows),
        reading="Patients with at least one event from the day the tier began (per cent). Harm is kept apart from "
        "failure. Not adjusted: higher tiers are operations, and are given to other patients.",
        notes=(study.gate.small_note, LEGEND),
        source="analysis.time_to_event; results.cumulative_incidence",
    )
    return Section("harm", title, (table,))


def _harm_cell(study: Study, endpoint: Endpoint, tier: str, day: float) -> Cell:
    key = keys.events(endpoint.name, tier, day)
    if not study.gate.knows(key):
        return numbers.ABSENT
    return study.gate.count_and_share(key, keys.patients(tier))


# ----------------------------------------------------------------------------------------------------------- crossover


def crossover(study: Study) -> Section:
    """Which higher tier came next."""
    title = "Moves up the ladder"
    frame = study.snapshot["outcomes.crossover"]
    if frame.is_empty():
        return not_applicable("crossover", title, "No crossover table was found.")
    targets = [*study.protocol.tier_names[1:], "none"]
    targets = [t for t in targets if (frame["to_tier"] == t).any()]
    rows = []
    for tier in study.tiers:
        cells: list[Cell] = [study.gate.count(keys.patients(tier))]
        for target in targets:
            key = keys.crossover(tier, target)
            possible = target == "none" or study.rank(target) > study.rank(tier)
            cells.append(_moved(study, key, tier) if study.gate.knows(key) else ("0" if possible else ""))
        rows.append(Row((study.protocol.tier(tier).label, *cells)))
    heads = [Column("None later" if t == "none" else study.short(t), group="Next tier") for t in targets]
    table = Table(
        "table-crossover",
        "First tier and the next higher tier that followed",
        (Column("First tier", "left"), Column("Patients"), *heads),
        tuple(rows),
        reading="Each row splits the patients of a first tier by the next higher tier they were given during follow-up "
        "(per cent of the row). A lower or equal tier later is part of the same course.",
        notes=(study.gate.small_note, LEGEND),
        source="outcomes.crossover",
    )
    return Section("crossover", title, (table,))


def _moved(study: Study, key: tuple[str, ...], tier: str) -> Cell:
    return study.gate.count_and_share(key, keys.patients(tier))
