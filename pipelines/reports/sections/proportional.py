"""Whether hazards keep their ratio: log–log plots, the ratio over time, ratios by period, and the score test."""

import math
import re
from collections.abc import Sequence

import polars as pl

from pipelines.protocol_parts import Contrast
from pipelines.reports import keys, numbers
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
from pipelines.reports.figures.log_log import log_log_panel
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.figures.over_time import over_time_panel
from pipelines.reports.findings import hazards_of
from pipelines.reports.gate import log_hazards_of
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.curves import month_ticks
from pipelines.reports.study import Study

_LOG_MONTHS = (1, 2, 3, 6, 9, 12, 18, 24, 36, 48, 60, 120)
_FEWEST = 3  # points below which a line shows no bend
_UNADJUSTED, _ADJUSTED = "unadjusted", "covariates"


def proportional(study: Study) -> Section:
    """What a single hazard ratio hides, by contrast; withheld contrasts stay blinded."""
    title = "Do hazards keep their ratio?"
    asked = [c for c in study.protocol.contrasts if c.endpoint is not None]
    if not asked:
        return not_applicable("proportional", title, "The protocol names no contrast with an endpoint.")
    if study.snapshot["results.hazard_ratios"].is_empty():
        return not_applicable("proportional", title, "No hazard ratio was estimated in this release.")
    blocks: list[Paragraph | Figure | Table | Callout] = [
        Paragraph(
            "A hazard ratio is one number for the whole of follow-up. It describes the difference well only if the "
            "ratio stays about the same: hazards that cross can have a ratio near one though the tiers differ at "
            "every time. Nothing here switches an estimator; incidence and time lost, which lead, need no such "
            "assumption."
        ),
        log_log_figure(study),
        ratio_figure(study),
        _table(study, asked),
    ]
    return Section("proportional", title, tuple(blocks))


def _open(study: Study) -> list[Contrast]:
    """Contrasts that are not blinded."""
    asked = [c for c in study.protocol.contrasts if c.endpoint is not None]
    return [c for c in asked if (found := hazards_of(study, c).unadjusted) is not None and found.value is not None]


def _missing(study: Study, shown: Sequence[Contrast], what: str) -> tuple[str, ...]:
    left = [study.versus(c) for c in study.protocol.contrasts if c.endpoint is not None and c not in shown]
    few = f"withheld, not estimable, or too few events for {what} to be shown"
    return (f"Not drawn ({few}): {'; '.join(left)}.",) if left else ()


# ------------------------------------------------------------------------------------------------------------- log–log


def log_log_figure(study: Study) -> Figure | Callout:
    """Log cumulative hazard against log time of both arms of each contrast."""
    panels = {c.name: panel for c in _open(study) if (panel := _log_log_panel(study, c)) is not None}
    shown = [c for c in study.protocol.contrasts if c.name in panels]
    if not panels:
        text = f"In no contrast do both tiers have {study.gate.minimum} events in each of two intervals of time."
        return Callout("withheld", "Log–log plots are not drawn", Sentence(text, "analysis.time_to_event"))
    return Figure(
        "figure-log-log",
        "Log cumulative hazard against log time",
        tuple(panels.values()),
        "Kaplan–Meier with death censored. Lines that run side by side speak for a hazard ratio that stays the same, "
        "lines that meet or cross against it. Shaded: 95 % limits. Marks stand at times between which enough patients "
        "had the event; a line ends where they no longer did. Not adjusted.",
        source="results.survival_curves (weighting = unweighted); days from analysis.time_to_event",
        notes=_missing(study, shown, "both lines"),
    )


def _log_log_panel(study: Study, contrast: Contrast) -> Panel | None:
    series = [_log_log_series(study, tier, str(contrast.endpoint)) for tier in (contrast.reference, contrast.tier)]
    if any(len(one.points) < 2 for one in series):
        return None
    days = [p.x for one in series for p in one.points]
    ticks = [(numbers.MONTH_DAYS * m, str(m)) for m in _LOG_MONTHS]
    inside = [t for t in ticks if min(days) * 0.9 <= t[0] <= max(days) * 1.02]
    before = [t for t in ticks if t[0] < min(days) * 0.9][-1:]
    ends = [*before, *inside] if inside else ticks[:1]
    if ends[-1][0] < max(days):
        ends = [*ends, (max(days), "")]
    title = study.versus(contrast)
    return log_log_panel(series, ends, title, f"Log cumulative hazard against log time, {title}: {_apart(series)}.")


def _log_log_series(study: Study, tier: str, endpoint: str) -> Series:
    curve = study.snapshot.rows("results.survival_curves", endpoint=endpoint, tier=tier, weighting="unweighted")
    known = curve.drop_nulls("estimate").sort("time_days") if curve.height else curve
    cuts = study.gate.cuts(study.snapshot["analysis.time_to_event"], endpoint, tier)
    if known.is_empty() or cuts.is_empty:
        return Series(study.short(tier), study.rank(tier), ())
    points = [Point(day, y, low, high) for day, y, low, high in log_hazards_of(known, cuts)]
    return Series(study.short(tier), study.rank(tier), tuple(points))


def _apart(series: Sequence[Series]) -> str:
    """Distances of the two lines where both have a mark, first and last."""
    first, second = ({p.x: float(p.y or 0) for p in one.points} for one in series)
    both = sorted(first.keys() & second.keys())
    if not both:
        return "the lines have no time in common"
    said = [f"{numbers.fixed(second[day] - first[day], 1)} at {numbers.horizon(day)}" for day in (both[0], both[-1])]
    return f"{series[1].label} less {series[0].label} is {' and '.join(dict.fromkeys(said))}"


# ------------------------------------------------------------------------------------------------------ ratio over time


def ratio_figure(study: Study) -> Figure | Callout:
    """The hazard ratio of each contrast as a smooth function of time, beside the one ratio."""
    panels = {c.name: panel for c in _open(study) if (panel := _ratio_panel(study, c)) is not None}
    shown = [c for c in study.protocol.contrasts if c.name in panels]
    if not panels:
        text = f"In no contrast do both tiers have {study.gate.minimum} events in each of {_FEWEST} intervals of time."
        return Callout("withheld", "Hazard ratios over time are not drawn", Sentence(text, "analysis.time_to_event"))
    return Figure(
        "figure-ratio-over-time",
        "Hazard ratio over time",
        tuple(panels.values()),
        "A smooth line (natural spline, 4 degrees of freedom) through the scaled Schoenfeld residuals of the Cox "
        "model, with 95 % limits; dashed, the one ratio for all of follow-up. A line that leaves the dashed one by "
        "more than its limits speaks against proportional hazards. Single residuals, which belong to single patients, "
        "are not shown; marks stand at times between which both tiers have enough events. Not adjusted.",
        source="results.hazard_ratios_over_time (adjustment = unadjusted); results.hazard_ratios",
        notes=_missing(study, shown, "a line"),
    )


def _ratio_panel(study: Study, contrast: Contrast) -> Panel | None:
    smooth = study.snapshot.rows(
        "results.hazard_ratios_over_time", contrast=contrast.name, adjustment=_UNADJUSTED, status="estimable"
    )
    if smooth.is_empty():
        return None
    arms = (contrast.reference, contrast.tier)
    days = study.gate.shared_cuts(study.snapshot["analysis.time_to_event"], str(contrast.endpoint), arms)
    groups = [keys.patients(tier) for tier in arms]
    points = []
    for row in smooth.filter(pl.col("time_days").is_in(days)).sort("time_days").iter_rows(named=True):
        y, low, high = (study.gate.drawn(row[name], 2, *groups) for name in ("estimate", "ci_low", "ci_high"))
        points.append(Point(row["time_days"], y, low, high))
    if len(points) < _FEWEST:
        return None
    found = hazards_of(study, contrast).unadjusted
    overall = study.gate.drawn(found.value if found else None, 2, *groups)
    title = study.versus(contrast)
    said = "; ".join(f"{numbers.fixed(p.y, 2)} at {numbers.horizon(p.x)}" for p in (points[0], points[-1]))
    last = study.protocol.primary.all_horizons_days[-1]
    alt = f"Hazard ratio over time, {title}: {said}; one ratio for all of follow-up {numbers.fixed(overall, 2)}."
    return over_time_panel(points, overall, month_ticks(float(last)), title, alt)


# --------------------------------------------------------------------------------------------------------------- table


def _table(study: Study, asked: Sequence[Contrast]) -> Table:
    rows: list[Row] = []
    for contrast in asked:
        lines = study.snapshot.rows(
            "results.hazard_ratios",
            contrast=contrast.name,
            endpoint=contrast.endpoint,
            model="cause-specific",
            weighting="unweighted",
        )
        rows.append(Row((study.versus(contrast),), "group"))
        rows += _ratio_rows(study, contrast, lines) if lines.height else []
        tests = [_test_cell(study, contrast, adjustment) for adjustment in (_UNADJUSTED, _ADJUSTED)]
        rows.append(Row(("Test of proportional hazards, p", *tests), indent=1))
    return Table(
        "table-proportional",
        "Hazard ratios by period and by view",
        (Column("Contrast", "left"), Column("Unadjusted (95 % CI)"), Column("Covariates (95 % CI)")),
        tuple(rows),
        reading="Cause-specific hazard ratios of the contrast's own event. Ratios by period hold for those still "
        "without the event when the period begins, and are not adjusted. As treated, time runs from enrolment with "
        "delayed entry and each day counts for the tier of that day: it answers another question. The test is the "
        "score test on the Kaplan–Meier scale, of the tier alone; it informs and decides nothing.",
        notes=(study.gate.few_events_note,),
        source="results.hazard_ratios (model = cause-specific); results.proportional_hazards (term = tier)",
    )


def _ratio_rows(study: Study, contrast: Contrast, lines: pl.DataFrame) -> list[Row]:
    """One row for all of follow-up, one a period, one for the as-treated view."""
    tiers, rows = (contrast.tier, contrast.reference), []
    endpoint = str(contrast.endpoint)
    times, stays = study.snapshot["analysis.time_to_event"], study.snapshot["analysis.as_treated"]
    for term, view in lines.select("term", "view").unique(maintain_order=True).iter_rows():
        found = lines.filter((pl.col("term") == term) & (pl.col("view") == view))
        is_treated = view == "as treated"
        low, high = _span(term)
        enough = study.gate.has_events(stays if is_treated else times, endpoint, tiers, low, high)
        label = "As treated (tier of the moment)" if is_treated else _period(term)
        cells = [_ratio_cell(study, found, adjustment, enough) for adjustment in (_UNADJUSTED, _ADJUSTED)]
        rows.append(Row((label, *cells), indent=1))
    return rows


def _span(term: str) -> tuple[float, float]:
    """Days of `tier, 0 to 365 days` or `tier, after 365 days`; all of follow-up for `tier`."""
    days = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", term)]
    low, high = [*days, math.inf, math.inf][:2] if days else (-math.inf, math.inf)
    return low, high


def _period(term: str) -> str:
    """`tier, 0 to 365 days` as a row's header."""
    return "All of follow-up" if term == "tier" else term.removeprefix("tier, ").capitalize()


def _ratio_cell(study: Study, found: pl.DataFrame, adjustment: str, is_enough: bool) -> Cell:
    rows = found.filter(pl.col("adjustment") == adjustment)
    if rows.is_empty():
        return ""
    row = rows.row(0, named=True)
    if row["estimate"] is None:
        return Shown(str(row["status"]), is_withheld=True)
    if not is_enough:
        return study.gate.few_events()
    groups = [keys.patients(tier) for tier in (row["tier"], row["reference"])]
    return study.gate.text(numbers.with_limits(row["estimate"], row["ci_low"], row["ci_high"], 2), *groups)


def _test_cell(study: Study, contrast: Contrast, adjustment: str) -> Cell:
    rows = study.snapshot.rows(
        "results.proportional_hazards", contrast=contrast.name, adjustment=adjustment, term="tier", status="estimable"
    )
    if rows.is_empty() or contrast not in _open(study):
        return Shown(numbers.ABSENT, is_withheld=True)
    groups = [keys.patients(tier) for tier in (contrast.tier, contrast.reference)]
    return study.gate.text(numbers.p_value(rows["p_value"][0]), *groups)
