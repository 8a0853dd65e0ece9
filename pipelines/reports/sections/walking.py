"""Walking tests: distance over time, share at the time limit, stopping curves and reasons for stopping."""

from collections.abc import Sequence

import polars as pl

from pipelines.protocol_parts import Instrument
from pipelines.reports import counts, keys, numbers, wording
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
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.figures.trajectories import trajectory_panel
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.curves import curve_series, numbers_at_ticks
from pipelines.reports.sections.trajectories import READING, series_in_words, tick, tier_series, visits_of
from pipelines.reports.sections.walking_contrasts import walking_contrasts
from pipelines.reports.study import Study

_GEOMETRIC = "geometric mean distance"
_AT_LIMIT = "share at the time limit"
_TICKS_M = (25, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)

WalkingBlock = Figure | Table | Callout


def walking(study: Study) -> Section:
    """The walking tests that the protocol asks about drawn, others in a table."""
    title = "Walking"
    frame = study.snapshot.rows("results.trajectories", method=_GEOMETRIC)
    found = study.instruments("walking", frame["outcome"].unique().to_list() if frame.height else [])
    if not found:
        return not_applicable("walking", title, "No walking test was recorded in this release.")
    led = [i for i in found if study.is_asked(i.name)]
    blocks: list[WalkingBlock] = [_limit_note(led[0] if led else found[0])]
    for instrument in led:
        blocks += _drawn(study, frame, instrument)
    others = [i for i in found if i not in led]
    if others:
        blocks.append(_other_tests(study, frame, others))
    for window in counts.asked_windows(study.protocol):
        blocks += [table for i in others if (table := _stops(study, i, window)) is not None]
        blocks += walking_contrasts(study, window)
    return Section("walking", title, tuple(blocks))


def _limit_note(instrument: Instrument) -> Callout:
    minutes = numbers.fixed((instrument.time_limit_s or 0) / 60, 0)
    text = (
        f"{instrument.label}: walks end after {minutes} minutes at the latest, so distances of those who reach the "
        "limit "
        "are lower bounds, and how far they are depends on speed. No plain mean of metres is shown; compare tiers by "
        "the "
        "[comparisons](#comparisons), which treat the limit as a limit."
    )
    return Callout(
        "note",
        "The test ends at a time limit",
        Sentence(text, f"protocol (instruments.{instrument.name})"),
    )


def _drawn(study: Study, frame: pl.DataFrame, instrument: Instrument) -> list[WalkingBlock]:
    window = next(q.window for q in study.protocol.primary.questions if q.outcome == instrument.name)
    blocks = [
        _over_time(study, frame, instrument),
        _stopping(study, instrument, window),
        _stops(study, instrument, window),
    ]
    return [block for block in blocks if block is not None]


# ---------------------------------------------------------------------------------------------------------- over time


def _over_time(study: Study, frame: pl.DataFrame, instrument: Instrument) -> Figure:
    rows = frame.filter(pl.col("outcome") == instrument.name)
    visits = visits_of(study, rows)
    panels = [_distance_panel(study, instrument, tier_series(study, rows, visits, digits=0), visits)]
    shares = _shares(study, instrument.name, visits)
    withheld = "The share at the time limit rests on too few patients in every tier to be drawn."
    if any(len(one.drawn) > 1 for one in shares):
        panels.append(_share_panel(study, shares, visits))
        withheld = ""
    return Figure(
        wording.anchor("figure", instrument.name),
        f"{instrument.label} by tier",
        tuple(panels),
        READING.format(what="geometric means of distance, and shares of walks at the time limit,")
        + " The more walks end at the limit, the more the distances are understated.",
        source=f"results.trajectories (outcome = {instrument.name}; methods = {_GEOMETRIC}, {_AT_LIMIT})",
        notes=tuple(note for note in (withheld, LEGEND) if note),
    )


def _distance_panel(study: Study, instrument: Instrument, drawn: Sequence[Series], visits: Sequence[str]) -> Panel:
    values = [float(v) for one in drawn for p in one.drawn for v in (p.low, p.y, p.high) if v]
    low, high = (min(values) / 1.2, max(values) * 1.2) if values else (50.0, 1000.0)
    return trajectory_panel(
        drawn,
        [tick(study, visit) for visit in visits],
        instrument.short_label,
        "Geometric mean, metres (log scale)",
        series_in_words(study, f"{instrument.short_label}, geometric mean", drawn, visits, " m"),
        is_log=True,
        limits=(low, high),
        ticks=[t for t in _TICKS_M if low <= t <= high],
    )


def _shares(study: Study, outcome: str, visits: Sequence[str]) -> list[Series]:
    rows = study.trajectory(outcome, _AT_LIMIT)
    return [
        Series(
            study.short(tier),
            study.rank(tier),
            tuple(_share(study, rows, outcome, tier, visit, place) for place, visit in enumerate(visits)),
        )
        for tier in study.tiers
    ]


def _share(study: Study, rows: pl.DataFrame, outcome: str, tier: str, visit: str, place: int) -> Point:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == visit)) if rows.height else rows
    if part.is_empty():
        return Point(place, None)
    row = part.row(0, named=True)
    hits, base = keys.at_limit(outcome, visit, tier), keys.seen(outcome, visit, tier)
    share = study.gate.drawn_percent(hits, base)
    if share is None:
        return Point(place, None, n=study.gate.count(base))
    scaled = [None if row[name] is None else 100 * row[name] for name in ("ci_low", "ci_high")]
    low, high = (study.gate.drawn(value, 0, base) if study.gate.is_exact(hits) else None for value in scaled)
    return Point(place, share, low, high, study.gate.count(base))


def _share_panel(study: Study, shares: Sequence[Series], visits: Sequence[str]) -> Panel:
    top = max(float(p.high or p.y or 0) for one in shares for p in one.drawn)
    return trajectory_panel(
        shares,
        [tick(study, visit) for visit in visits],
        "Share who reached the time limit",
        "Per cent of walks",
        series_in_words(study, "share of walks that reached the time limit", shares, visits, " %"),
        limits=(0, min(100.0, 10 * (1 + top // 10))),
        unit=f"{numbers.NBSP}%",
    )


# ------------------------------------------------------------------------------------------------- stopping and reasons


def _stopping(study: Study, instrument: Instrument, window: str) -> Figure | None:
    walks = study.snapshot.rows("analysis.walking_tests", instrument=instrument.name, visit_window=window)
    curves = study.snapshot.rows("results.walking_curves", instrument=instrument.name, visit_window=window)
    if walks.is_empty() or curves.is_empty():
        return None
    limit = instrument.time_limit_s or 1800.0
    made = [
        _stopping_panel(study, walks, curves, "distance", "metres", [100.0 * k for k in range(1, 41)], limit),
        _stopping_panel(study, walks, curves, "time", "minutes", [limit * k / 24 for k in range(1, 24)], limit),
    ]
    panels = [panel for panel in made if panel is not None]
    if not panels:
        return None
    return Figure(
        wording.anchor("figure-stopping", instrument.name),
        f"{instrument.label}: still walking, by distance and by time, at {study.window_label(window)}",
        tuple(panels),
        "Height is the share of patients still walking when the distance or time on the horizontal axis is reached; "
        "walks "
        "that ended at the time limit count as able to walk on. Shaded: 95 % intervals. Between two marks at least "
        f"{study.gate.minimum} patients stopped; a curve ends where that is no longer so. Not adjusted for case mix.",
        source=f"results.walking_curves (instrument = {instrument.name}, visit_window = {window})",
    )


def _stopping_panel(
    study: Study,
    walks: pl.DataFrame,
    curves: pl.DataFrame,
    curve: str,
    unit: str,
    grid: Sequence[float],
    limit: float,
) -> Panel | None:
    column = "distance_m" if curve == "distance" else "duration_s"
    mine = curves.filter(pl.col("curve") == curve)
    drawn = []
    for tier in study.tiers:
        seen = walks.filter((pl.col("tier").cast(pl.String) == tier) & pl.col("is_observed"))
        cuts = study.gate.walking_cuts(seen, column, grid, grid[3::4])
        drawn.append(curve_series(study, tier, mine.filter(pl.col("tier") == tier), cuts, start=1.0))
    if not any(len(one.drawn) > 1 for one in drawn):
        return None
    ticks = _time_ticks(limit) if curve == "time" else _distance_ticks(drawn)
    ends = [
        f"{one.label} {numbers.percent(one.drawn[-1].y)} at {one.drawn[-1].x / (60 if curve == 'time' else 1):,.0f} "
        f"{unit}"
        for one in drawn
        if len(one.drawn) > 1
    ]
    axes = CurveAxes(ticks, f"{curve.capitalize()}, {unit}", "Still walking", 1.0, 0.25)
    alt = f"Curves of the share still walking by {curve}: {'; '.join(ends)}."
    return curve_panel(numbers_at_ticks(drawn, ticks), axes, f"By {curve}", alt, "Still walking")


def _time_ticks(limit: float) -> list[tuple[float, str]]:
    return [(limit * k / 6, f"{limit * k / 360:g}") for k in range(7)]


def _distance_ticks(drawn: Sequence[Series]) -> list[tuple[float, str]]:
    reach = max(float(p.x) for one in drawn for p in one.drawn)
    step = next(step for step in (400.0, 800.0) if reach / step <= 6)
    return [(step * k, f"{step * k:,.0f}") for k in range(-int(-reach // step) + 1)]


_REASONS = ("claudication", "back_pain", "fatigue", "other_pain", "balance", "choice", "time_limit")


def _stops(study: Study, instrument: Instrument, window: str) -> Table | None:
    rows = study.snapshot.rows("results.stop_reasons", instrument=instrument.name, visit_window=window)
    if rows.is_empty():
        return None
    body = []
    for reason in (r for r in _REASONS if (rows["stop_reason"] == r).any()):
        label = "Reached the time limit" if reason == "time_limit" else reason.replace("_", " ").capitalize()
        body.append(Row((label, *[_stop(study, instrument.name, window, tier, reason) for tier in study.tiers])))
    total = [study.gate.count(keys.stops(instrument.name, window, t)) for t in study.tiers]
    return Table(
        wording.anchor("table-stops", instrument.name),
        f"{instrument.short_label}: why walks ended at {study.window_label(window)}",
        (Column("Reason", "left"), *[Column(study.short(t)) for t in study.tiers]),
        (Row(("Walks, n", *total), "total"), *body),
        reading="Walks that ended for this reason (per cent of walks). Claudication is what treatment aims at.",
        notes=(LEGEND,),
        source=f"results.stop_reasons (instrument = {instrument.name}, visit_window = {window})",
    )


def _stop(study: Study, outcome: str, window: str, tier: str, reason: str) -> Cell:
    key = keys.stops(outcome, window, tier, reason)
    return study.gate.count_and_share(key, keys.stops(outcome, window, tier)) if study.gate.knows(key) else "0"


# --------------------------------------------------------------------------------------------------------- other tests


def _other_tests(study: Study, frame: pl.DataFrame, instruments: Sequence[Instrument]) -> Table:
    rows: list[Row] = []
    for instrument in instruments:
        mine = frame.filter(pl.col("outcome") == instrument.name)
        rows.append(Row((instrument.label,), "group"))
        for visit in visits_of(study, mine):
            cells = [_metres(study, mine, tier, visit) for tier in study.tiers]
            rows.append(Row((study.window_label(visit), *cells), indent=1))
    return Table(
        "table-other-walks",
        "Other walking tests",
        (Column("Visit", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Geometric mean distance in metres (95 % interval) of patients seen; not adjusted. These tests are "
        "never "
        "mixed with each other or with the self-paced test.",
        notes=(f"n <{study.gate.minimum}: fewer than {study.gate.minimum} patients.",),
        source=f"results.trajectories (method = {_GEOMETRIC})",
    )


def _metres(study: Study, rows: pl.DataFrame, tier: str, visit: str) -> Cell:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == visit))
    if part.is_empty():
        return numbers.ABSENT
    row = part.row(0, named=True)
    text = numbers.ABSENT
    if row["estimate"] is not None:
        text = numbers.with_limits(row["estimate"], row["ci_low"], row["ci_high"], 0)
    return study.gate.text(text, keys.seen(row["outcome"], visit, tier))
