"""Pain and disability over time: means by visit and tier."""

from collections.abc import Sequence

import polars as pl

from pipelines.protocol_parts import Instrument
from pipelines.reports import keys, numbers
from pipelines.reports.content import Cell, Column, Figure, Panel, Row, Section, Table
from pipelines.reports.figures.marks import Series
from pipelines.reports.figures.trajectories import trajectory_panel
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.trajectories import READING, series_in_words, tick, tier_series, visits_of
from pipelines.reports.study import BASELINE, Study

_MEAN = "observed mean"


def scores(study: Study) -> Section:
    """Scores over time by tier: the protocol's questions drawn, other scores in a table of their own."""
    title = "Pain and disability over time"
    frame = study.snapshot.rows("results.trajectories", method=_MEAN)
    found = study.instruments("score", frame["outcome"].unique().to_list() if frame.height else [])
    if not found:
        return not_applicable("pain", title, "No questionnaire score was recorded in this release.")
    led = [i for i in found if study.is_asked(i.name)] or found[:2]
    others = [i for i in found if i not in led]
    figure = Figure(
        "figure-pain",
        f"{numbers.listed([i.short_label for i in led])} by tier",
        tuple(_panel(study, frame, i) for i in led),
        READING.format(what="means"),
        source=f"results.trajectories (method = {_MEAN})",
        notes=(LEGEND,),
    )
    tables = [_table(study, frame, led, "table-scores", "Mean scores by visit and tier")]
    if others:
        name = f"Other scores at baseline and {study.window_label(_main_window(study))}"
        tables.append(_table(study, frame, others, "table-other-scores", name, {BASELINE, _main_window(study)}))
    return Section("pain", title, (figure, *tables))


def _main_window(study: Study) -> str:
    return study.protocol.primary.outcomes[0].window


def _panel(study: Study, frame: pl.DataFrame, instrument: Instrument) -> Panel:
    rows = frame.filter(pl.col("outcome") == instrument.name)
    visits = visits_of(study, rows)
    drawn = tier_series(study, rows, visits, digits=2)
    better = "lower is better" if instrument.better == "lower" else "higher is better"
    return trajectory_panel(
        drawn,
        [tick(study, visit) for visit in visits],
        instrument.label,
        f"Mean score, {better}",
        series_in_words(study, instrument.label, drawn, visits),
        limits=_limits(drawn, instrument),
    )


def _limits(drawn: Sequence[Series], instrument: Instrument) -> tuple[float, float]:
    """From the scale's floor to a round number above all intervals, so that differences are not magnified."""
    tops = [float(p.high if p.high is not None else p.y or 0) for one in drawn for p in one.drawn]
    step = (instrument.maximum - instrument.minimum) / 10
    reach = max(tops, default=instrument.maximum) - instrument.minimum
    return instrument.minimum, min(instrument.maximum, instrument.minimum + step * (1 + reach // step))


def _table(
    study: Study,
    frame: pl.DataFrame,
    instruments: Sequence[Instrument],
    anchor: str,
    title: str,
    only: set[str] | None = None,
) -> Table:
    rows: list[Row] = []
    for instrument in instruments:
        mine = frame.filter(pl.col("outcome") == instrument.name)
        rows.append(Row((instrument.label,), "group"))
        for visit in visits_of(study, mine):
            if only is None or visit in only:
                digits = 2 if instrument.maximum <= 5 else 1
                cells = [_mean(study, mine, tier, visit, digits) for tier in study.tiers]
                rows.append(Row((study.window_label(visit), *cells), indent=1))
    return Table(
        anchor,
        title,
        (Column("Visit", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Mean (95 % interval) of patients seen at the visit; not adjusted for case mix.",
        source=f"results.trajectories (method = {_MEAN})",
    )


def _mean(study: Study, rows: pl.DataFrame, tier: str, visit: str, digits: int) -> Cell:
    part = rows.filter((pl.col("tier") == tier) & (pl.col("window") == visit))
    if part.is_empty() or part["estimate"][0] is None:
        return numbers.ABSENT
    row = part.row(0, named=True)
    text = numbers.with_limits(row["estimate"], row["ci_low"], row["ci_high"], digits)
    return study.gate.text(text, keys.seen(row["outcome"], visit, tier))
