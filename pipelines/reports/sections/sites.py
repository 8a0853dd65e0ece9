"""Treating sites: volumes, observed over expected with limits and shrinkage, charts over patients in order.

The same parts serve the network's report, where sites bear their pseudonyms, and the report of one site (`own`), where
that site alone is named. A signal asks for a review; the words here never rank a site as good or bad.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import (
    Callout,
    Cell,
    Column,
    Figure,
    Row,
    Section,
    Sentence,
    Shown,
    Table,
)
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.responders import threshold_label
from pipelines.reports.sections.site_figures import chart_signals, charts, funnel, is_shown
from pipelines.reports.site_counts import WEIGHTED, is_judged
from pipelines.reports.study import Study

SiteRow = dict[str, Any]
_NOTHING = Shown(numbers.ABSENT, is_withheld=True)


def sites(study: Study, own: str | None = None) -> Section:
    """Volumes, funnel plots, the table of each indicator, and charts where an order exists."""
    title = "Treating sites"
    if len(site_names(study)) < 2:
        return not_applicable(
            "sites",
            title,
            "The release has fewer than two treating sites, or so few patients in them that small counts would show.",
        )
    blocks: list[Figure | Table | Callout] = [_note(study), volumes(study, own)]
    for indicator, rows in judged(study):
        label = indicator_label(study, indicator)
        blocks += funnel(study, label, rows, own)
        blocks.append(_table(study, label, rows, own))
    labels = {indicator: indicator_label(study, indicator) for indicator in _charted(study)}
    return Section("sites", title, (*blocks, *charts(study, labels, own)))


def site_names(study: Study) -> list[str]:
    """Pseudonyms of the treating sites that the gate lets be shown, in alphabetical order."""
    frame = study.snapshot["analysis.subjects"]
    names = sorted(frame["site_id"].unique().to_list()) if "site_id" in frame.columns else []
    return [name for name in names if study.gate.knows(keys.at_site(name))]


def judged(study: Study) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each indicator with its row for each site."""
    frame = is_judged(study.snapshot["results.site_indicators"])
    for (indicator,), rows in frame.group_by("indicator", maintain_order=True) if frame.height else ():
        yield str(indicator), rows


def _charted(study: Study) -> list[str]:
    frame = study.snapshot["results.site_cusum"]
    return frame["indicator"].unique(maintain_order=True).to_list() if frame.height else []


def indicator_label(study: Study, indicator: str) -> str:
    """An indicator in words: an endpoint within its horizon, or response at a visit."""
    name, found, days = indicator.partition(" within ")
    if found:
        label = {e.name: e.label for e in study.protocol.endpoints}.get(name, name)
        has_days = "within" in label
        return label if has_days else f"{label} within {numbers.horizon(float(days.removesuffix(' days')))}"
    name, _, window = indicator.partition(" at ")
    outcome, _, threshold = name.partition(" ")
    instrument = study.protocol.instrument(outcome)
    asked = next(t for t in instrument.thresholds if t.name == threshold)
    visit = study.window_label(window)
    better = threshold_label(asked, instrument).replace("\n", " ")
    return f"{instrument.short_label} {better} at {wording.inside(visit)}"


# ------------------------------------------------------------------------------------------------------------- page one


def signal_sentences(study: Study) -> list[Sentence]:
    """One sentence an indicator with signals, for page one: signal for review, and no more."""
    said = []
    level = numbers.percent(study.protocol.sites.signal_level, 1)
    for indicator, rows in judged(study):
        marked = rows.filter(pl.col("signal").fill_null("") != "").sort("site_id")
        if marked.height:
            named = [f"{row['site_id']} ({direction(row)})" for row in marked.iter_rows(named=True)]
            text = (
                f"Signal for review: {marked.height} of {rows.height} sites lie beyond {level} limits for "
                f"{wording.inside(indicator_label(study, indicator))}: {numbers.listed(named)} "
                "([treating sites](#sites))."
            )
            said.append(Sentence(text, f"results.site_indicators, results.funnel_limits (indicator = {indicator})"))
    for indicator, marked_sites in chart_signals(study).items():
        label = wording.inside(indicator_label(study, indicator))
        text = (
            f"Signal for review: over their patients in order the CUSUM of {numbers.listed(marked_sites)} reached its "
            f"limit for {label} ([treating sites](#sites))."
        )
        said.append(Sentence(text, f"results.site_cusum (indicator = {indicator})"))
    return said


def direction(row: SiteRow) -> str:
    """`more than expected` or `fewer than expected`."""
    return str(row["signal"]).removeprefix("signal for review: ")


# --------------------------------------------------------------------------------------------------------------- tables


def _note(study: Study) -> Callout:
    asked = study.protocol.sites
    text = (
        f"A site's count beyond exact limits that {numbers.percent(asked.signal_level, 1)} of ordinary sites keep, "
        "after its patients' risks and the usual spread between sites are allowed for. It asks for a review of data, "
        "case mix and care, in that order; it is no verdict. Sites stand in alphabetical order. Shrunken figures and "
        f"ranks are shown from {asked.minimum_subjects} patients and a reliability of "
        f"{numbers.fixed(asked.reliability_minimum)} on; signals never wait for either."
    )
    return Callout(
        "note",
        "What a signal is",
        Sentence(text, "protocol (sites)"),
    )


def volumes(study: Study, own: str | None = None) -> Table:
    """Patients by treating site and first tier."""
    rows = []
    for site in site_names(study):
        if own in (None, site):
            cells: list[Cell] = [study.gate.count(keys.at_site(site, tier)) for tier in study.tiers]
            rows.append(Row((site, study.gate.count(keys.at_site(site)), *cells)))
    total = [study.gate.count(keys.patients(tier)) for tier in study.tiers]
    rows.append(Row(("Network", study.gate.count(keys.patients()), *total), "total"))
    return Table(
        "table-volumes",
        "Patients by treating site and first tier",
        (Column("Site (pseudonym)", "left"), Column("All"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Outcomes belong to the site that gave the treatment.",
        notes=(study.gate.small_note, LEGEND),
        source="analysis.subjects",
    )


def _table(study: Study, label: str, rows: pl.DataFrame, own: str | None) -> Table:
    indicator = str(rows["indicator"][0])
    weighted = study.snapshot.rows("results.site_indicators", indicator=indicator + WEIGHTED)
    others = {row["site_id"]: row for row in weighted.iter_rows(named=True)}
    has_rank = "rank" in rows.columns and rows["rank"].count() > 0
    heads = ["Patients", *(["Response"] if others else []), "Observed", "Expected", "O/E (95 % CI)"]
    heads += ["Weighted (95 % CI)"] if others else []
    heads += ["Rel.", "Shrunken (95 % CI)", *(["Rank"] if has_rank else [])]
    asked = study.protocol.sites
    rank = f"Rank: expected one, 1 the lowest O/E of {rows.height}. " if has_rank else ""
    listed = [row for row in rows.iter_rows(named=True) if own in (None, row["site_id"])]
    limits = f"rel. <{numbers.fixed(asked.reliability_minimum)}: reliability too low for a shrunken figure or a rank. "
    limits += f"n <{asked.minimum_subjects}: too few patients for an estimate. "
    if others:
        limits += (
            f"resp. <{numbers.percent(asked.response_minimum)}: too few of those due answered, so no figure is shown. "
            "Weighted: each answer stands for those like it who gave none; a sensitivity analysis that raises no "
            "signal. "
        )
    return Table(
        wording.anchor("table-sites", indicator),
        f"{label}, by treating site",
        (Column("Site", "left"), *[Column(head) for head in heads], Column("Signal", "left")),
        tuple(_site_row(study, row, others, has_rank) for row in listed),
        reading=f"Expected: what such patients have over all sites ({rows['adjustment'][0]}). O/E: observed over "
        "expected. Rel.: reliability, the share of the spread between sites that is not chance. Shrunken: O/E drawn "
        f"towards the network by its own uncertainty. {rank}Signal: signal for review, more or fewer than expected.",
        notes=(f"{limits}{LEGEND}",),
        source=f"results.site_indicators (indicator = {indicator})",
    )


def _response(study: Study, row: SiteRow) -> Cell:
    """Share of those due who answered; on which side of the protocol's minimum where rounding could blur it."""
    base, due = (key(str(row["indicator"]), str(row["site_id"])) for key in (keys.site_subjects, keys.site_due))
    if study.gate.is_exact(base) and study.gate.is_exact(due):
        return study.gate.share(base, due)
    least = study.protocol.sites.response_minimum
    return study.gate.text(f"{'<' if row['response'] < least else '≥'}{numbers.percent(least)}", base)


def _mark(row: SiteRow) -> str:
    return {"more than expected": "▲ more", "fewer than expected": "▼ fewer"}[direction(row)] if row["signal"] else ""


def _site_row(study: Study, row: SiteRow, weighted: dict[str, SiteRow], has_rank: bool) -> Row:
    place = (str(row["indicator"]), str(row["site_id"]))
    base, gate = keys.site_subjects(*place), study.gate
    shown = is_shown(study, row)
    cells: list[Cell] = [gate.count(base)]
    if weighted:
        cells.append(_response(study, row))
    cells += [
        gate.count(keys.site_observed(*place)),
        gate.number(row["expected"], 1, base) if shown else _NOTHING,
        _ratio(study, row, row),
    ]
    if weighted:
        cells.append(_ratio(study, row, weighted.get(str(row["site_id"]), {})))
    cells.append(gate.number(row.get("reliability"), 2, base) if shown else _NOTHING)
    cells.append(_shrunken(study, row))
    if has_rank:
        cells.append(gate.number(row["rank"], 1, base) if shown and row["rank"] is not None else _NOTHING)
    return Row((str(row["site_id"]), *cells, _mark(row)))


def _ratio(study: Study, row: SiteRow, of: SiteRow) -> Cell:
    """Observed over expected with its limits, or why there is none."""
    asked = study.protocol.sites
    base = keys.site_subjects(str(row["indicator"]), str(row["site_id"]))
    response = row.get("response")
    if response is not None and response < asked.response_minimum:
        return Shown(f"resp. <{numbers.percent(asked.response_minimum)}", is_withheld=True)
    if not is_shown(study, row):
        return _NOTHING
    if row["subjects"] < asked.minimum_subjects:
        return Shown(f"n <{asked.minimum_subjects}", is_withheld=True)
    return _with_limits(study, of.get("estimate"), of.get("ci_low"), of.get("ci_high"), base)


def _shrunken(study: Study, row: SiteRow) -> Cell:
    asked = study.protocol.sites
    if row["estimate"] is None or not is_shown(study, row):
        return _NOTHING
    if row.get("shrunken") is None:
        is_low = row.get("reliability") is not None and row["reliability"] < asked.reliability_minimum
        return Shown(f"rel. <{numbers.fixed(asked.reliability_minimum)}", is_withheld=True) if is_low else _NOTHING
    base = keys.site_subjects(str(row["indicator"]), str(row["site_id"]))
    return _with_limits(study, row["shrunken"], row["shrunken_low"], row["shrunken_high"], base)


def _with_limits(study: Study, value: float | None, low: float | None, high: float | None, base: keys.Key) -> Cell:
    if value is None:
        return _NOTHING
    return study.gate.text(numbers.with_limits(value, low, high, 2), base)
