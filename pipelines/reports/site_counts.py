"""Counts by treating site that the network's or any site's report may print, in the one ledger of a release.

All reports of a release ask the same ledger, so that no small count can be worked out from the network's report and
those of sites together, nor by a site that takes its own patients from the network's. How the counts hang together is
said here; what is withheld follows from `suppression.py`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from pipelines.protocol import Protocol
from pipelines.reports import keys
from pipelines.reports.ledger import DETAIL, Key, Ledger
from pipelines.reports.tables import Snapshot

SITE_TOTAL, SITE_COUNT = 50.0, 3.0
WEIGHTED = ", weighted for response"

Row = dict[str, Any]


def is_judged(frame: pl.DataFrame) -> pl.DataFrame:
    """The indicators that have an expected number by case mix: no completeness, no weighted repetition."""
    if frame.is_empty() or "adjustment" not in frame.columns:
        return pl.DataFrame()
    return frame.filter(pl.col("adjustment").is_not_null() & ~pl.col("indicator").str.ends_with(WEIGHTED))


def enter_sites(ledger: Ledger, snapshot: Snapshot, protocol: Protocol) -> None:
    """Volumes by site and tier, indicators by site, blocks of charts; each known to its own site.

    Nothing is entered where sites have fewer patients on average than may be shown.
    """
    subjects = snapshot["analysis.subjects"]
    if subjects.is_empty() or "site_id" not in subjects.columns:
        return
    if subjects.height < subjects["site_id"].n_unique() * ledger.minimum:
        return
    _volumes(ledger, subjects, protocol)
    _indicators(ledger, is_judged(snapshot["results.site_indicators"]))
    _charts(ledger, snapshot["results.site_cusum"])


def _volumes(ledger: Ledger, subjects: pl.DataFrame, protocol: Protocol) -> None:
    typed = subjects.select("site_id", pl.col("tier").cast(pl.String))
    sites = sorted(typed["site_id"].unique().to_list())
    sizes = {(site, tier): n for site, tier, n in typed.group_by("site_id", "tier").len().rows()}
    for site in sites:
        parts = []
        for tier in protocol.tier_names:
            key = keys.at_site(site, tier)
            ledger.add(key, sizes.get((site, tier), 0), weight=DETAIL, owner=site)
            parts.append(key)
        total = sum(ledger.counts[key].value for key in parts)
        ledger.add(keys.at_site(site), total, weight=SITE_TOTAL, owner=site)
        ledger.sum_of(keys.at_site(site), parts)
    for tier in protocol.tier_names:
        ledger.sum_of(keys.patients(tier), [keys.at_site(site, tier) for site in sites])
    ledger.sum_of(keys.patients(), [keys.at_site(site) for site in sites])


# ----------------------------------------------------------------------------------------------------------- indicators


def _indicators(ledger: Ledger, frame: pl.DataFrame) -> None:
    for (name,), part in frame.group_by("indicator", maintain_order=True) if frame.height else ():
        indicator = str(name)
        rows = list(part.iter_rows(named=True))
        for row in rows:
            _indicator(ledger, indicator, row)
        told = [keys.site_observed(indicator, row["site_id"]) for row in rows]
        _beside_tiers(ledger, told, _network_events(ledger, indicator), ("site observed", indicator))
        seen = [keys.site_subjects(indicator, row["site_id"]) for row in rows]
        due = [keys.site_due(indicator, row["site_id"]) for row in rows]
        for method, here in (("observed", seen), ("missing as non-response", due)):
            _beside_tiers(ledger, here, _network_judged(ledger, indicator, method), ("site counted", indicator, method))


def _indicator(ledger: Ledger, indicator: str, row: Row) -> None:
    """Patients judged, with the event, and due to answer; a response that is withheld leaves no count of events."""
    site = row["site_id"]
    base, hits = keys.site_subjects(indicator, site), keys.site_observed(indicator, site)
    ledger.add(base, int(row["subjects"]), weight=SITE_COUNT, owner=site)
    whole = keys.at_site(site)
    if row.get("response"):
        due = keys.site_due(indicator, site)
        ledger.add(due, round(row["subjects"] / row["response"]), weight=DETAIL, owner=site)
        _within(ledger, base, due)
        _within(ledger, due, whole)
        outcome, _, window = indicator.partition(" at ")
        listed = keys.expected(outcome.partition(" ")[0], window, site)
        if listed in ledger.counts:
            _within(ledger, due, listed)
    else:
        _within(ledger, base, whole)
    if row["observed"] is not None:
        ledger.add(hits, round(row["observed"]), weight=SITE_COUNT, owner=site)
        _within(ledger, hits, base)


def _beside_tiers(ledger: Ledger, sites: list[Key], tiers: list[Key], name: Key) -> None:
    """The network's figures by tier beside those by site: what is missing there is a count of its own."""
    known = [key for key in sites if key in ledger.counts]
    if not tiers or not known:
        return
    whole, rest = (*name, keys.ALL), (*name, "elsewhere")
    total = sum(ledger.counts[key].value for key in tiers)
    left = total - sum(ledger.counts[key].value for key in known)
    if left < 0:  # tables that do not speak of the same patients
        return
    ledger.add(whole, total, "hidden")
    ledger.sum_of(whole, tiers)
    if left:
        ledger.add(rest, left, "hidden")
    ledger.sum_of(whole, [*known, rest] if left else known)


def _network_events(ledger: Ledger, indicator: str) -> list[Key]:
    """Events, or responders, of the network by tier, as other tables of the report print them."""
    endpoint, _, days = indicator.partition(" within ")
    if days:
        horizon = days.removesuffix(" days")
        return _keys(ledger, "events", lambda key: key[1] == endpoint and key[3] == horizon)
    place = tuple(_response(indicator))
    return _keys(ledger, "responders", lambda key: key[1:4] == place)


def _network_judged(ledger: Ledger, indicator: str, method: str) -> list[Key]:
    place = tuple(_response(indicator))
    return _keys(ledger, "judged", lambda key: key[1:4] == place and key[5] == method) if place else []


def _response(indicator: str) -> Iterator[str]:
    """Outcome, threshold and window of an indicator of response; nothing for an endpoint."""
    name, found, window = indicator.partition(" at ")
    if found:
        yield from (*name.split(" ", 1), window)


def _keys(ledger: Ledger, kind: str, is_asked: Callable[[Key], bool]) -> list[Key]:
    return [key for key in ledger.counts if key[0] == kind and is_asked(key)]


# --------------------------------------------------------------------------------------------------------------- charts


def _charts(ledger: Ledger, frame: pl.DataFrame) -> None:
    """Patients and events up to the end of each block, each end within the next and the last within the site's."""
    if frame.is_empty() or "number" not in frame.columns:
        return
    for (name, place), part in frame.drop_nulls("number").group_by("indicator", "site_id", maintain_order=True):
        indicator, site = str(name), str(place)
        before: tuple[Key, Key] | None = None
        for row in part.sort("number").iter_rows(named=True):
            both = (keys.site_charted(indicator, site, row["number"]), keys.site_chart(indicator, site, row["number"]))
            for key, value in zip(both, (row["number"], round(row["observed"])), strict=True):
                ledger.add(key, value, weight=DETAIL, owner=site)
            _within(ledger, both[1], both[0])
            if before:
                _within(ledger, before[0], both[0])
                _within(ledger, before[1], both[1])
            before = both
        whole = (keys.site_subjects(indicator, site), keys.site_observed(indicator, site))
        if before:
            _within(ledger, before[0], whole[0])
            _within(ledger, before[1], whole[1])


def _within(ledger: Ledger, part: Key, whole: Key) -> None:
    """State that one count lies within another, where both are known and it does."""
    counts = ledger.counts
    if part in counts and whole in counts and counts[part].value <= counts[whole].value:
        ledger.part_of(part, whole)
