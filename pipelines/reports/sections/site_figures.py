"""Figures of treating sites: funnel plots, and charts over patients in order, through the gate.

Which site is named follows from `own`: None for the network's report, else the site that the report goes to.
"""

from typing import Any

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Callout, Figure, Panel, Sentence
from pipelines.reports.figures.funnel import ChartLine, FunnelSite, funnel_panel, vlad_panel
from pipelines.reports.study import Study

FEWEST_IN_FUNNEL = 3


def is_shown(study: Study, row: dict[str, Any]) -> bool:
    """Whether a site's figure may be printed: the counts behind it are printed as they are."""
    place = (str(row["indicator"]), str(row["site_id"]))
    hits, base = keys.site_observed(*place), keys.site_subjects(*place)
    return study.gate.is_exact(hits) and study.gate.is_exact(base)


# -------------------------------------------------------------------------------------------------------------- funnels


def funnel(study: Study, label: str, rows: pl.DataFrame, own: str | None) -> list[Figure]:
    """Observed over expected of all sites whose figures may be shown; nothing with fewer than three."""
    indicator = str(rows["indicator"][0])
    limits = study.snapshot.rows("results.funnel_limits", indicator=indicator)
    ends = {row["site_id"]: row for row in limits.iter_rows(named=True)}
    found = [_site(study, row, ends.get(row["site_id"]), own) for row in rows.iter_rows(named=True)]
    drawn = [site for site in found if site is not None]
    if len(drawn) < FEWEST_IN_FUNNEL:
        return []
    ratios = [site.ratio for site in drawn]
    beyond = sum(site.is_signal for site in drawn)
    alt = (
        f"Funnel plot of {label}: {len(drawn)} sites, observed over expected from {numbers.fixed(min(ratios), 2)} to "
        f"{numbers.fixed(max(ratios), 2)}; {beyond} marked as beyond the outer limits."
    )
    asked = study.protocol.sites
    return [
        Figure(
            wording.anchor("figure", indicator),
            f"{label}: observed over expected by site",
            (funnel_panel(drawn, "", alt),),
            f"Each point is a site; further right, more events are expected. Bars: exact limits for that site's own "
            f"patients, {numbers.percent(asked.warning_level)} (dark) and {numbers.percent(asked.signal_level, 1)} "
            "(light), with the spread between sites allowed for. A diamond beyond its bar is a signal for review.",
            source=f"results.funnel_limits, results.site_indicators (indicator = {indicator})",
            notes=(_spread(study, limits, hidden=rows.height - len(drawn)), _undrawn(study, rows.height - len(drawn))),
        )
    ]


def _site(study: Study, row: dict[str, Any], end: dict[str, Any] | None, own: str | None) -> FunnelSite | None:
    if row["estimate"] is None or end is None or not is_shown(study, row):
        return None
    key, e = keys.site_subjects(str(row["indicator"]), row["site_id"]), row["expected"]
    x, y = study.gate.drawn(e, 1, key), study.gate.drawn(row["estimate"], 2, key)
    ends = [study.gate.drawn(end[name] / e, 2, key) for name in ("inner_low", "inner_high", "low", "high")]
    if x is None or y is None or None in ends:
        return None
    is_own, is_signal = row["site_id"] == own, bool(row["signal"])
    label = row["site_id"] if is_own or (own is None and is_signal) else ""
    inner_low, inner_high, low, high = (float(value) for value in ends)  # type: ignore[arg-type]
    is_marked = is_signal and (own is None or is_own)
    return FunnelSite(label, x, y, (inner_low, inner_high), (low, high), is_marked, is_own)


def _spread(study: Study, limits: pl.DataFrame, hidden: int) -> str:
    """Over-dispersion; the mean over all sites is not told where it would tell of the one that is not drawn."""
    tau = limits["tau_squared"].drop_nulls().median()
    spread = numbers.fixed(float(tau) ** 0.5, 2) if isinstance(tau, float) else "not known with so few sites"
    phi = "" if hidden else f"mean squared z {numbers.fixed(limits['phi'][0], 2)} (1 by chance); "
    share = numbers.percent(study.protocol.sites.winsorised_share)
    return (
        f"Over-dispersion: {phi}standard deviation between sites {spread} on the log odds scale ({share} winsorised)."
    )


def _undrawn(study: Study, hidden: int) -> str:
    if not hidden:
        return "All sites are drawn."
    fewest = study.protocol.sites.minimum_subjects
    return (
        f"Not drawn: {hidden} of the sites, with fewer than {fewest} patients, small or withheld counts, or too few "
        "answers. Their signals, if any, stand in the table."
    )


# --------------------------------------------------------------------------------------------------------------- charts


def chart_signals(study: Study) -> dict[str, list[str]]:
    """Sites whose CUSUM reached its limit, by indicator."""
    frame = study.snapshot["results.site_cusum"]
    if frame.is_empty() or "signals" not in frame.columns:
        return {}
    marked = frame.filter(pl.col("signals") > 0)
    return {
        str(indicator): sorted(rows["site_id"].unique().to_list())
        for (indicator,), rows in marked.group_by("indicator", maintain_order=True)
    }


def charts(study: Study, labels: dict[str, str], own: str | None) -> list[Figure | Callout]:
    """VLAD and what the CUSUM says, where an order exists; else the reason, as `not applicable`."""
    frame = study.snapshot["results.site_cusum"]
    panels: list[Panel] = []
    said: list[str] = []
    for indicator, label in labels.items():
        rows = frame.filter(pl.col("indicator") == indicator)
        if "number" not in rows.columns or rows["number"].count() == 0:
            said.append(f"{label}: {rows['reason'][0]}.")
            continue
        lines = _lines(study, indicator, rows.drop_nulls("number"), own)
        if lines:
            marked = numbers.listed([line.label for line in lines if line.label]) or "none"
            alt = f"VLAD of {label} for {len(lines)} sites over their patients in order; marked: {marked}."
            panels.append(vlad_panel(lines, label, alt))
        said.append(f"{label}: {_cusum(study, indicator, rows.drop_nulls('number'), own)}")
    if not panels:
        why = " ".join(said) or "The release has no charts of sites."
        return [
            Callout(
                "not applicable",
                "Sites over their patients in order: not applicable",
                Sentence(why, "results.site_cusum"),
            )
        ]
    odds = numbers.fixed(study.protocol.sites.cusum_odds_ratio, 0)
    band = "Grey: limits for an ordinary site with these patients. " if own is not None else ""
    return [
        Figure(
            "figure-vlad",
            "Sites over their patients in order: expected minus observed (VLAD)",
            tuple(panels),
            f"A line that falls has more events than expected, one that rises fewer. {band}Marked are sites whose "
            f"CUSUM, which looks for {odds} times the odds, reached its limit. Points stand where at least "
            f"{study.gate.minimum} patients with and without the event lie between them.",
            source="results.site_cusum",
            notes=tuple(said),
        )
    ]


def _cusum(study: Study, indicator: str, rows: pl.DataFrame, own: str | None) -> str:
    row = rows.row(0, named=True)
    signals = chart_signals(study).get(indicator, [])
    told = f"the CUSUM of {len(signals)} of {rows['site_id'].n_unique()} charted sites reached its limit"
    if own is not None:
        if not (rows["site_id"] == own).any():
            return "this site has too few patients with and without the event for a chart."
        told = f"this site's CUSUM {'reached its limit: signal for review' if own in signals else 'kept to its limit'}"
    return (
        f"{told} ({numbers.fixed(row['control_limit'], 2)}, which an ordinary site reaches once in "
        f"{numbers.count(int(round(row['run_length'], -2)))} patients, by simulation; order: {row['order']})."
    )


def _lines(study: Study, indicator: str, rows: pl.DataFrame, own: str | None) -> list[ChartLine]:
    signals = chart_signals(study).get(indicator, [])
    lines = []
    for (place,), part in rows.group_by("site_id", maintain_order=True):
        site = str(place)
        if own not in (None, site):
            continue
        points = []
        for row in part.sort("number").iter_rows(named=True):
            both = keys.site_chart(indicator, site, row["number"]), keys.site_charted(indicator, site, row["number"])
            if not all(study.gate.is_exact(key) for key in both):
                continue
            drawn = [study.gate.drawn(row[name], 1, both[1]) for name in ("vlad", "ci_low", "ci_high")]
            if None not in drawn:
                points.append((float(row["number"]), *(float(y) for y in drawn)))  # type: ignore[arg-type]
        is_marked = site in signals if own is None else True
        if points:
            lines.append(ChartLine(site if is_marked else "", tuple(points), is_marked, has_band=own is not None))
    return lines
