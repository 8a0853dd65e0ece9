"""Completeness of follow-up: who was seen of those due, by tier, by site and over the years of enrolment."""

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.completeness_counts import QUARTER, YEAR, shown_periods
from pipelines.reports.content import (
    Callout,
    Cell,
    Column,
    Figure,
    Panel,
    Paragraph,
    Row,
    Section,
    Sentence,
    Shown,
    Table,
)
from pipelines.reports.figures.trend import Line, trend_panel
from pipelines.reports.gate import LEGEND, Drawn
from pipelines.reports.ledger import Key
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study

_SOURCE = "results.completeness_trend"


def completeness(study: Study, own: str | None = None) -> Section:
    """Share of due visits at which a value was obtained, by instrument, window and tier, and by site (or one's own)."""
    title = "Completeness of follow-up"
    frame = study.snapshot["outcomes.completeness"]
    if frame.is_empty():
        return not_applicable("completeness", title, "No visit window has closed, or no instrument was recorded.")
    target = study.protocol.diagnostics.completeness_target
    names = set(frame["instrument"].to_list())
    rows: list[Row] = []
    for instrument in study.protocol.instruments:
        if instrument.name not in names or not study.is_asked(instrument.name):
            continue
        rows.append(Row((instrument.short_label,), "group"))
        for window in study.protocol.windows:
            cells = [_completeness(study, instrument.name, window.name, t, target) for t in study.tiers]
            if any(cell != numbers.ABSENT for cell in cells):
                rows.append(Row((window.label, *cells), indent=1))
    columns = (Column("Visit", "left"), *[Column(study.short(t)) for t in study.tiers])
    table = Table(
        "table-completeness",
        "Patients seen, of those whose visit was due",
        columns,
        tuple(rows),
        reading=f"Due are patients whose visit window has closed and who were alive at its end. ▾ marks a share below "
        f"the protocol's target of {numbers.percent(target)}. Those not seen may differ from those seen.",
        notes=(LEGEND,),
        source="outcomes.completeness",
    )
    return Section("completeness", title, (table, *_by_site(study, frame, target, own), *_trend(study, own)))


def _completeness(study: Study, outcome: str, window: str, group: str, target: float) -> Cell:
    return _seen_of_due(study, keys.observed(outcome, window, group), keys.expected(outcome, window, group), target)


def _seen_of_due(study: Study, done: Key, due: Key, target: float) -> Cell:
    if not study.gate.knows(due) or not study.gate.decisions.ledger.counts[due].value:
        return numbers.ABSENT
    share = study.gate.drawn_share(done, due)
    if share is None:
        return Shown(f"{study.gate.count(done)}/{study.gate.count(due)}", is_withheld=True)
    mark = f"{numbers.NBSP}▾" if share < target else ""
    return Shown(f"{study.gate.fraction(done, due)}\u2002{study.gate.share(done, due)}{mark}")


def _by_site(
    study: Study, frame: pl.DataFrame, target: float, own: str | None
) -> tuple[Table | Paragraph | Callout, ...]:
    asked = [(q.outcome, q.window) for q in study.protocol.primary.outcomes]
    found = [q for q in asked if frame.filter((pl.col("instrument") == q[0]) & (pl.col("visit_window") == q[1])).height]
    sites = sorted(frame["site_id"].unique().to_list())
    if not found or len(sites) < 2:
        return ()
    labels = [f"{study.protocol.instrument(o).short_label}, {study.window_label(w)}" for o, w in found]
    rows = [
        Row((site, *[_completeness(study, o, w, site, target) for o, w in found]))
        for site in sites
        if own in (None, site)
    ]
    return (
        Table(
            "table-sites",
            "Completeness at the primary visits, by treating site",
            (Column("Site (pseudonym)", "left"), *[Column(label) for label in labels]),
            tuple(rows),
            reading=f"Sites in alphabetical order, not ranked. ▾ marks a share below {numbers.percent(target)}.",
            notes=(study.gate.small_note, LEGEND),
            source="outcomes.completeness",
        ),
    )


# ------------------------------------------------------------------------------------------------------ over the years


def _trend(study: Study, own: str | None) -> tuple[Paragraph | Figure | Table | Callout, ...]:
    """Shares seen by year or quarter of enrolment: each window of the primary outcomes, or one site beside all."""
    frame = shown_periods(study.snapshot["results.completeness_trend"], study.gate.minimum)
    mine = frame.filter(site_id=own) if own and frame.height else frame
    if mine.is_empty():
        few = "Of this site alone no trend over the years is shown: its years hold too few patients."
        return (Callout("withheld", "Trend not shown", few),) if own and frame.height else ()
    network = frame.filter(pl.col("site_id").is_null())
    span = QUARTER if own is None and (network["span"] == QUARTER).any() else YEAR
    rows = network.filter(span=span)
    periods = rows["period"].unique().sort().to_list()
    asked = [(q.outcome, q.window) for q in study.protocol.primary.outcomes if (rows["outcome"] == q.outcome).any()]
    lead = [said for place in asked if (said := _first_and_last(study, place, periods, own))]
    figure = _trend_figure(study, asked, periods, span, own)
    told = [Paragraph(Sentence(" ".join(lead), _SOURCE))] if lead else []
    return (*told, figure, _trend_table(study, asked, periods, span, own))


def _drawn(study: Study, outcome: str, window: str, period: str, site: str = keys.ALL) -> Drawn | None:
    done, due = (key(outcome, window, period, site) for key in (keys.observed_in, keys.expected_in))
    return study.gate.drawn_share(done, due) if study.gate.knows(due) else None


def _first_and_last(study: Study, place: tuple[str, str], periods: list[str], own: str | None) -> str:
    """The first and the last period of which a share may be told, in one sentence; empty where there are not two."""
    site = own or keys.ALL
    known = [period for period in periods if _drawn(study, *place, period, site) is not None]
    if len(known) < 2:
        return ""
    before, now = (
        study.gate.share(keys.observed_in(*place, period, site), keys.expected_in(*place, period, site)).text
        for period in (known[0], known[-1])
    )
    label = f"{study.protocol.instrument(place[0]).short_label} at {study.window_label(place[1])}"
    target = study.protocol.diagnostics.completeness_target
    is_low = (_drawn(study, *place, known[-1], site) or 0.0) < target
    return (
        f"**{label}:** of those due, {before} of the enrolled of {known[0]} were seen and {now} of those of "
        f"{known[-1]}, {'below' if is_low else 'not below'} the target of {numbers.percent(target)}."
    )


def _trend_figure(study: Study, asked: list[tuple[str, str]], periods: list[str], span: str, own: str | None) -> Figure:
    panels = [_trend_panel(study, place, periods, span, own) for place in asked]
    of_site = "this site beside all sites together" if own else "all sites together"
    return Figure(
        "figure-completeness-trend",
        f"Patients seen, of those due, by {span} of enrolment: {of_site}",
        tuple(panels),
        f"Each point is the share of those enrolled in a {span} who were seen, of those whose visit window has closed "
        "and who were alive at its end; visits still to come do not lower it. Dashed: the protocol's target. "
        "A point that would give a small count away is left out.",
        source=_SOURCE,
        notes=(LEGEND,),
    )


def _trend_panel(study: Study, place: tuple[str, str], periods: list[str], span: str, own: str | None) -> Panel:
    outcome, window = place
    if own:
        lines = [
            _line(study, "All sites", (outcome, window), periods, keys.ALL, is_main=False),
            _line(study, f"Site {own}", (outcome, window), periods, own, is_main=True),
        ]
    else:
        names = [w.name for w in study.protocol.windows]
        lines = [
            _line(study, study.window_label(name), (outcome, name), periods, keys.ALL, is_main=name == window)
            for name in sorted(names, key=lambda name: name == window)
        ]
    drawn = [line for line in lines if any(share is not None for share in line.shares)]
    label = study.protocol.instrument(outcome).short_label
    title = f"{label}, {wording.inside(study.window_label(window))}" if own else label
    said = "; ".join(_said(line, periods) for line in drawn) or "nothing may be shown"
    alt = f"Lines of the per cent seen by {span} of enrolment, {wording.inside(label)}: {said}."
    return trend_panel(drawn, periods, study.protocol.diagnostics.completeness_target, title, alt)


def _line(study: Study, label: str, place: tuple[str, str], periods: list[str], site: str, is_main: bool) -> Line:
    return Line(label, tuple(_drawn(study, *place, period, site) for period in periods), is_main)


def _said(line: Line, periods: list[str]) -> str:
    known = [(p, share) for p, share in zip(periods, line.shares, strict=True) if share is not None]
    ends = known if len(known) < 2 else [known[0], known[-1]]
    return f"{line.label} " + ", ".join(f"{numbers.percent(share)} in {period}" for period, share in ends)


def _trend_table(study: Study, asked: list[tuple[str, str]], periods: list[str], span: str, own: str | None) -> Table:
    """Rows are periods; columns the windows of an outcome, or the site and all sites at the outcome's own window."""
    target = study.protocol.diagnostics.completeness_target

    def cell(outcome: str, window: str, period: str, site: str) -> Cell:
        at = (outcome, window, period, site)
        return _seen_of_due(study, keys.observed_in(*at), keys.expected_in(*at), target)

    rows: list[Row] = []
    if own:
        columns = [
            Column(head, group=f"{study.protocol.instrument(o).short_label}, {wording.inside(study.window_label(w))}")
            for o, w in asked
            for head in (f"Site {own}", "All sites")
        ]
        rows = [
            Row((period, *[cell(o, w, period, site) for o, w in asked for site in (own, keys.ALL)]))
            for period in periods
        ]
    else:
        columns = [Column(window.label) for window in study.protocol.windows]
        for outcome in dict.fromkeys(outcome for outcome, _ in asked):
            rows.append(Row((study.protocol.instrument(outcome).short_label,), "group"))
            rows += [
                Row((period, *[cell(outcome, w.name, period, keys.ALL) for w in study.protocol.windows]), indent=1)
                for period in periods
            ]
    return Table(
        "table-completeness-trend",
        f"Patients seen, of those whose visit was due, by {span} of enrolment",
        (Column(f"{wording.capital(span)} of enrolment", "left"), *columns),
        tuple(rows),
        reading=f"Closed windows only: late enrolment leaves fewer due, not fewer seen of them. ▾ marks a share below "
        f"{numbers.percent(target)}.",
        notes=(study.gate.small_note, LEGEND),
        source=_SOURCE,
    )
