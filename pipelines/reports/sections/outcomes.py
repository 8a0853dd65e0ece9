"""What became of pain, disability and walking: trajectories, responders, walking curves and reasons for stopping."""

from collections.abc import Sequence

import polars as pl

from pipelines.protocol import Instrument, Threshold
from pipelines.reports import counts, numbers
from pipelines.reports.content import Callout, Cell, Column, Figure, Panel, Row, Section, Shown, Table
from pipelines.reports.figures.curves import CurveAxes, curve_panel
from pipelines.reports.figures.dots import dot_panel
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.sections.curves import curve_series
from pipelines.reports.figures.trajectories import trajectory_panel
from pipelines.reports.gate import Drawn
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import BASELINE, Study

_MEAN = "observed mean"
_GEOMETRIC = "geometric mean distance"
_AT_LIMIT = "share at the time limit"
_ADAPT = (
    "Points are {what} among patients seen at that visit, with 95 % intervals; the numbers underneath say how many. "
    "Lines join points of different patients: who was seen may change from visit to visit. Not adjusted for case mix."
)


def pain(study: Study) -> Section:
    """Scores over time by tier: the protocol's primary and secondary scores, then any other as a table."""
    title = "Pain and disability over time"
    frame = study.snapshot.rows("results.trajectories", method=_MEAN)
    names = frame["outcome"].unique().to_list() if frame.height else []
    found = study.instruments("score", names)
    if not found:
        return not_applicable("pain", title, "No questionnaire score was recorded in this release.")
    led = [i for i in found if study.is_asked(i.name)] or found[:4]
    panels = [_score_panel(study, frame, i) for i in led]
    figure = Figure(
        "figure-pain",
        f"{numbers.listed([i.short_label for i in led])} by tier",
        tuple(panels),
        _ADAPT.format(what="means"),
        source=f"results.trajectories (method = {_MEAN})",
    )
    blocks = [figure, _score_table(study, frame, found)]
    return Section("pain", title, tuple(blocks))


def _visits(study: Study, frame: pl.DataFrame) -> list[str]:
    present = set(frame["window"].to_list())
    return [w for w in (BASELINE, *[w.name for w in study.protocol.windows]) if w in present]


def _tick(study: Study, window: str) -> str:
    return study.window_label(window).replace("months", "mo").replace("weeks", "wk")


def _score_panel(study: Study, frame: pl.DataFrame, instrument: Instrument) -> Panel:
    rows = frame.filter(pl.col("outcome") == instrument.name)
    visits = _visits(study, rows)
    series = _series(study, rows, visits, digits=2)
    better = "lower is better" if instrument.better == "lower" else "higher is better"
    return trajectory_panel(
        series,
        [_tick(study, v) for v in visits],
        instrument.label,
        f"Mean score, {better}",
        _trajectory_alt(study, instrument.label, series, visits),
        limits=_limits(series, instrument),
    )


def _limits(series: Sequence[Series], instrument: Instrument) -> tuple[float, float]:
    """From the scale's floor to a round number above all limits, so that panels are not magnified differences."""
    tops = [float(p.high if p.high is not None else p.y or 0) for one in series for p in one.drawn]
    lows = [float(p.low if p.low is not None else p.y or 0) for one in series for p in one.drawn]
    span = instrument.maximum - instrument.minimum
    step = span / 10
    top = min(instrument.maximum, step * (1 + (max(tops, default=instrument.maximum) // step)))
    floor = instrument.minimum if min(lows, default=0) >= 0 or instrument.minimum >= 0 else instrument.minimum
    return floor, top


def _series(study: Study, rows: pl.DataFrame, visits: Sequence[str], digits: int) -> list[Series]:
    found = []
    for tier in study.tiers:
        points = [_point(study, rows, tier, visit, place, digits) for place, visit in enumerate(visits)]
        found.append(Series(study.short(tier), study.rank(tier), tuple(points)))
    return found


def _point(study: Study, rows: pl.DataFrame, tier: str, visit: str, place: int, digits: int) -> Point:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == visit))
    if part.is_empty():
        return Point(place, None)
    row = part.row(0, named=True)
    key = counts.seen(row["outcome"], visit, tier)
    y, low, high = (study.gate.drawn(row[name], digits, key) for name in ("estimate", "ci_low", "ci_high"))
    return Point(place, y, low, high, study.gate.count(key))


def _trajectory_alt(study: Study, label: str, series: Sequence[Series], visits: Sequence[str]) -> str:
    parts = []
    for one in series:
        drawn = one.drawn
        if len(drawn) > 1:
            first, last = drawn[0], drawn[-1]
            ends = [study.window_label(visits[int(p.x)]).lower() for p in (first, last)]
            parts.append(f"{one.label} {numbers.fixed(first.y)} at {ends[0]} and {numbers.fixed(last.y)} at {ends[1]}")
        else:
            parts.append(f"{one.label} not shown, too few patients")
    return f"Line chart of {label} by tier: {'; '.join(parts)}."


def _score_table(study: Study, frame: pl.DataFrame, instruments: Sequence[Instrument]) -> Table:
    rows: list[Row] = []
    for instrument in instruments:
        mine = frame.filter(pl.col("outcome") == instrument.name)
        rows.append(Row((instrument.label,), "group"))
        for window in _visits(study, mine):
            cells = [_mean_cell(study, mine, t, window, 2 if instrument.maximum <= 5 else 1) for t in study.tiers]
            rows.append(Row((study.window_label(window), *cells), indent=1))
    return Table(
        "table-scores",
        "Mean scores by visit and tier",
        (Column("Visit", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Mean (95 % interval) of patients seen at the visit; not adjusted for case mix.",
        source=f"results.trajectories (method = {_MEAN})",
    )


def _mean_cell(study: Study, rows: pl.DataFrame, tier: str, window: str, digits: int) -> Cell:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == window))
    if part.is_empty() or part["estimate"][0] is None:
        return numbers.ABSENT
    row = part.row(0, named=True)
    text = f"{numbers.fixed(row['estimate'], digits)} ({numbers.interval(row['ci_low'], row['ci_high'], digits)})"
    return study.gate.text(text, counts.seen(row["outcome"], window, tier))


# ---------------------------------------------------------------------------------------------------------- responders


def responders(study: Study) -> Section:
    """Share of patients that improved by each threshold of the protocol, at the primary visits."""
    title = "Responders at each threshold"
    frame = study.snapshot.rows("results.responders", method="observed")
    asked = [q for q in study.asked if frame.height and _has(frame, q.outcome, q.window)]
    if not asked:
        return not_applicable("responders", title, "No responder threshold could be judged in this release.")
    panels = [_responder_panel(study, frame, q.outcome, q.window) for q in asked]
    figure = Figure(
        "figure-responders",
        "Share of patients who responded, by threshold",
        tuple(panels),
        "Each dot is the share of patients of a tier who met the threshold, with its 95 % interval (Wilson), among "
        "those whose response is known; responders/known stand at the right. Escalation before the visit counts as no "
        "response. Where thresholds lie close together some are withheld: their difference would be a small count.",
        source="results.responders (method = observed)",
        notes=("† Withheld because a small count could otherwise be worked out.",),
    )
    return Section("responders", title, (figure, _responder_table(study, asked[0].outcome, asked[0].window)))


def _has(frame: pl.DataFrame, outcome: str, window: str) -> bool:
    return bool(frame.filter((pl.col("outcome") == outcome) & (pl.col("window") == window)).height)


def _responder_panel(study: Study, frame: pl.DataFrame, outcome: str, window: str) -> Panel:
    instrument = study.protocol.instrument(outcome)
    here = frame.filter((pl.col("outcome") == outcome) & (pl.col("window") == window))
    thresholds = [t for t in instrument.thresholds if (here["threshold"] == t.name).any()]
    series = []
    for tier in study.tiers:
        points = [_responder_point(study, here, t, tier, place) for place, t in enumerate(thresholds)]
        series.append(Series(study.short(tier), study.rank(tier), tuple(points)))
    title = f"{instrument.short_label}, {study.window_label(window)}"
    rows = [threshold_label(t, instrument) for t in thresholds]
    return dot_panel(series, rows, title, _responder_alt(title, series, rows))


def threshold_label(threshold: Threshold, instrument: Instrument) -> str:
    """A threshold as a clinician says it: `≥30 % better`, `2.0 or more points better`, `final ≤22`."""
    value = numbers.fixed(threshold.value, 0 if threshold.value == int(threshold.value) else 2).rstrip("0").rstrip(".")
    if threshold.value == int(threshold.value):
        value = numbers.fixed(threshold.value, 0)
    known = {"mcid": "MCID", "scb": "SCB", "pass": "PASS"}.get(threshold.name, "")
    name = f"\n({known})" if known else ""
    if threshold.kind == "final":
        sign = "≤" if instrument.better == "lower" else "≥"
        return f"final {sign}{value}{name}"
    unit = f"{numbers.NBSP}%" if threshold.kind == "percent_change" else f" {instrument.unit}"
    return f"≥{value}{unit} better{name}"


def _responder_point(study: Study, rows: pl.DataFrame, threshold: Threshold, tier: str, place: int) -> Point:
    part = rows.filter((pl.col("threshold") == threshold.name) & (pl.col("tier") == tier))
    if part.is_empty():
        return Point(place, None)
    row = part.row(0, named=True)
    hits = counts.responders(row["outcome"], threshold.name, row["window"], tier)
    base = counts.judged(row["outcome"], threshold.name, row["window"], tier, row["method"])
    share = study.gate.drawn_share(hits, base)
    n = _fraction(study, hits, base)
    if share is None:
        return Point(place, None, n=n)
    low, high = (study.gate.drawn(row[name], 2, base) for name in ("ci_low", "ci_high"))
    return Point(place, share, low, high, n)


def _fraction(study: Study, hits: tuple[str, ...], base: tuple[str, ...]) -> Shown:
    if study.gate.drawn_share(hits, base) is None:
        return study.gate.share(hits, base)
    return Shown(f"{study.gate.count(hits)}/{study.gate.count(base)}")


def _responder_alt(title: str, series: Sequence[Series], rows: Sequence[str]) -> str:
    said = []
    for place, row in enumerate(rows):
        shares = [f"{one.label} {numbers.percent(one.points[place].y)}" for one in series if one.points[place].y is not None]
        said.append(f"{row.replace(chr(10), ' ')}: {', '.join(shares) if shares else 'withheld'}")
    return f"Dot chart of responders, {title}. {'; '.join(said)}."


def _responder_table(study: Study, outcome: str, window: str) -> Table:
    instrument = study.protocol.instrument(outcome)
    frame = study.snapshot.rows("results.responders", outcome=outcome, window=window)
    rows: list[Row] = []
    for threshold in instrument.thresholds:
        here = frame.filter(pl.col("threshold") == threshold.name)
        if here.is_empty():
            continue
        rows.append(Row((threshold_label(threshold, instrument).replace("\n", " "),), "group"))
        for method, label in (("observed", "of those seen"), ("missing as non-response", "missing counted as no response")):
            part = here.filter(pl.col("method") == method)
            if part.height:
                cells = [_responder_cell(study, part, threshold, t) for t in study.tiers]
                rows.append(Row((_first_upper(label), *cells), indent=1))
    return Table(
        "table-responders",
        f"Responders on {_first_lower(instrument.short_label)} at {study.window_label(window)}, two ways of counting",
        (Column("Threshold", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Responders/patients counted and their share. The truth about patients not seen lies between the two "
        "ways of counting unless they did better than those seen.",
        notes=("† Withheld because a small count could otherwise be worked out.",),
        source=f"results.responders (outcome = {outcome}, window = {window})",
    )


def _responder_cell(study: Study, rows: pl.DataFrame, threshold: Threshold, tier: str) -> Cell:
    part = rows.filter(pl.col("tier") == tier)
    if part.is_empty():
        return numbers.ABSENT
    row = part.row(0, named=True)
    hits = counts.responders(row["outcome"], threshold.name, row["window"], tier)
    base = counts.judged(row["outcome"], threshold.name, row["window"], tier, row["method"])
    share = study.gate.share(hits, base)
    return share if share.is_withheld else Shown(f"{_fraction(study, hits, base)}\u2002{share}")


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


# ------------------------------------------------------------------------------------------------------------- walking


def walking(study: Study) -> Section:
    """Walking: distance over time with the share at the time limit, stopping curves, reasons for stopping."""
    title = "Walking"
    frame = study.snapshot.rows("results.trajectories", method=_GEOMETRIC)
    found = study.instruments("walking", frame["outcome"].unique().to_list() if frame.height else [])
    if not found:
        return not_applicable("walking", title, "No walking test was recorded in this release.")
    blocks: list[Figure | Table | Callout] = []
    for instrument in found:
        blocks += _walking_blocks(study, frame, instrument)
    minutes = numbers.fixed((found[0].time_limit_s or 0) / 60, 0)
    blocks.insert(0, Callout("note", "The test ends at a time limit",
        f"{found[0].label}: walks end after {minutes} minutes at the latest, so distances of those who reach the limit are "
        "lower bounds, and how far they are depends on speed. No plain mean of metres is shown; compare tiers by the "
        "contrasts, which treat the limit as a limit."))  # fmt: skip
    return Section("walking", title, tuple(blocks))


def _walking_blocks(study: Study, frame: pl.DataFrame, instrument: Instrument) -> list[Figure | Table | Callout]:
    rows = frame.filter(pl.col("outcome") == instrument.name)
    visits = _visits(study, rows)
    series = _series(study, rows, visits, digits=0)
    shares = _share_series(study, instrument.name, visits)
    panels = [
        trajectory_panel(
            series,
            [_tick(study, v) for v in visits],
            f"{instrument.short_label}",
            "Geometric mean distance, metres (log scale)",
            _trajectory_alt(study, f"{instrument.short_label}, geometric mean metres", series, visits),
            is_log=True,
            limits=_log_limits(series),
            ticks=[t for t in (25, 50, 100, 200, 400, 800, 1600, 3200) if _log_limits(series)[0] <= t <= _log_limits(series)[1]],
        ),
        trajectory_panel(
            shares,
            [_tick(study, v) for v in visits],
            "Share who reached the time limit",
            "Per cent of walks",
            _trajectory_alt(study, "per cent of walks that reached the time limit", shares, visits),
            limits=(0, _round_up([float(p.high or p.y or 0) for s in shares for p in s.drawn], 10)),
        ),
    ]
    figure = Figure(
        f"figure-walking-{instrument.name.replace('_', '-')}",
        f"{instrument.label} by tier",
        tuple(panels),
        _ADAPT.format(what="geometric means (left) and shares at the time limit (right)")
        + " The more walks end at the limit, the more the left panel understates.",
        source=f"results.trajectories (outcome = {instrument.name}; methods = {_GEOMETRIC}, {_AT_LIMIT})",
    )
    window = next((q.window for q in study.asked if q.outcome == instrument.name), visits[-1])
    curves = _stopping_curves(study, instrument, window)
    stops = _stop_table(study, instrument, window)
    return [figure, *([curves] if curves else []), *([stops] if stops else [])]


def _log_limits(series: Sequence[Series]) -> tuple[float, float]:
    values = [float(v) for s in series for p in s.drawn for v in (p.low, p.y, p.high) if v]
    if not values:
        return 50.0, 1000.0
    return min(values) / 1.25, max(values) * 1.25


def _round_up(values: Sequence[float], step: float) -> float:
    return max(step, step * (1 + max(values, default=0.0) // step))


def _share_series(study: Study, outcome: str, visits: Sequence[str]) -> list[Series]:
    rows = study.trajectory(outcome, _AT_LIMIT)
    found = []
    for tier in study.tiers:
        points = [_share_point(study, rows, outcome, tier, visit, place) for place, visit in enumerate(visits)]
        found.append(Series(study.short(tier), study.rank(tier), tuple(points)))
    return found


def _share_point(study: Study, rows: pl.DataFrame, outcome: str, tier: str, visit: str, place: int) -> Point:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == visit)) if rows.height else rows
    if part.is_empty():
        return Point(place, None)
    row = part.row(0, named=True)
    hits, base = counts.at_limit(outcome, visit, tier), counts.seen(outcome, visit, tier)
    share = study.gate.drawn_share(hits, base)
    if share is None:
        return Point(place, None, n=study.gate.count(base))
    limits = [study.gate.drawn(None if row[n] is None else 100 * row[n], 0, base) for n in ("ci_low", "ci_high")]
    return Point(place, Drawn(100 * share), limits[0], limits[1], study.gate.count(base))


def _stopping_curves(study: Study, instrument: Instrument, window: str) -> Figure | None:
    walks = study.snapshot.rows("analysis.walking_tests", instrument=instrument.name, visit_window=window)
    curves = study.snapshot.rows("results.walking_curves", instrument=instrument.name, visit_window=window)
    if walks.is_empty() or curves.is_empty():
        return None
    panels = []
    limit = instrument.time_limit_s or 1800.0
    label = study.window_label(window)
    for curve, column, grid, unit in (
        ("distance", "distance_m", [100.0 * k for k in range(1, 31)], "metres"),
        ("time", "duration_s", [limit * k / 12 for k in range(1, 12)], "minutes"),
    ):
        series = _stopping_series(study, walks, curves.filter(pl.col("curve") == curve), column, grid)
        if any(len(one.drawn) > 1 for one in series):
            panels.append(_stopping_panel(series, curve, unit, limit))
    if not panels:
        return None
    return Figure(
        f"figure-stopping-{instrument.name.replace('_', '-')}",
        f"{instrument.label}: still walking, by distance and by time, at {label}",
        tuple(panels),
        "Height is the share of patients still walking when the distance (left) or time (right) on the horizontal axis "
        "is reached; walks that ended at the time limit are counted as still able to walk on. Shaded: 95 % intervals. "
        f"Marks stand where at least {study.gate.minimum} patients stopped since the mark before, and lines join them; "
        "curves end where that is no longer so.",
        source=f"results.walking_curves (instrument = {instrument.name}, visit_window = {window})",
    )


def _stopping_series(
    study: Study, walks: pl.DataFrame, curves: pl.DataFrame, column: str, grid: Sequence[float]
) -> list[Series]:
    found = []
    for tier in study.tiers:
        seen = walks.filter((pl.col("tier").cast(pl.String) == tier) & pl.col("is_observed"))
        cuts = study.gate.walking_cuts(seen, column, grid)
        found.append(curve_series(study, tier, curves.filter(pl.col("tier") == tier), cuts, start=1.0))
    return found


def _stopping_panel(series: Sequence[Series], curve: str, unit: str, limit: float) -> Panel:
    if curve == "time":
        ticks = [(limit * k / 6, f"{limit * k / 360:g}") for k in range(7)]
    else:
        reach = max((float(p.x) for one in series for p in one.drawn), default=500.0)
        step = 200.0 if reach <= 1200 else 400.0
        ticks = [(step * k, f"{step * k:,.0f}") for k in range(int(_round_up([reach - 1], step) / step) + 1)]
    axes = CurveAxes(ticks, f"{curve.capitalize()}, {unit}", "Still walking", 1.0, 0.25)
    alt = f"Curves of the share still walking by {curve}: " + "; ".join(
        f"{one.label} {numbers.percent(one.drawn[-1].y)} at {one.drawn[-1].x / (60 if curve == 'time' else 1):,.0f} {unit}"
        for one in series
        if len(one.drawn) > 1
    )
    return curve_panel(_only_at(series, ticks), axes, f"By {curve}", alt + ".", "Still walking")


def _only_at(series: Sequence[Series], ticks: Sequence[tuple[float, str]]) -> list[Series]:
    """The series with numbers kept where a tick stands, so that they do not run into each other."""
    places = {x for x, _ in ticks}
    return [
        Series(one.label, one.rank, tuple(p if p.x in places else Point(p.x, p.y, p.low, p.high) for p in one.points))
        for one in series
    ]


def _stop_table(study: Study, instrument: Instrument, window: str) -> Table | None:
    rows = study.snapshot.rows("results.stop_reasons", instrument=instrument.name, visit_window=window)
    if rows.is_empty():
        return None
    reasons = ["claudication", "back_pain", "fatigue", "other_pain", "balance", "choice", "time_limit"]
    present = [r for r in reasons if (rows["stop_reason"] == r).any()]
    body = []
    for reason in present:
        cells: list[Cell] = []
        for tier in study.tiers:
            place = (instrument.name, window, tier)
            key = counts.stops(*place, reason)
            cells.append(study.gate.count_and_share(key, counts.stops(*place)) if study.gate.knows(key) else "0")
        label = "Reached the time limit" if reason == "time_limit" else _first_upper(reason.replace("_", " "))
        body.append(Row((label, *cells)))
    total = [study.gate.count(counts.stops(instrument.name, window, t)) for t in study.tiers]
    return Table(
        f"table-stops-{instrument.name.replace('_', '-')}",
        f"Why walks ended at {study.window_label(window)}",
        (Column("Reason", "left"), *[Column(study.short(t)) for t in study.tiers]),
        (Row(("Walks, n", *total), "total"), *body),
        reading="Walks that ended for this reason (per cent of walks). Only claudication is what treatment aims at.",
        notes=("† Withheld because a small count could otherwise be worked out.",),
        source=f"results.stop_reasons (instrument = {instrument.name}, visit_window = {window})",
    )
