"""Visits due and seen, by tier, by site and by time of enrolment: splits of the same patients, in the one ledger.

Who is due does not depend on the instrument, and who is due at a later window was due at an earlier one. Both are
stated, so that no other line of a table gives away what one line withholds.
"""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import polars as pl

from pipelines.protocol import Protocol
from pipelines.reports import keys
from pipelines.reports.ledger import DETAIL, USUAL, Key, Ledger
from pipelines.reports.tables import Snapshot

YEAR, QUARTER = "year", "quarter"

Row = dict[str, Any]


def enter_completeness(ledger: Ledger, snapshot: Snapshot, protocol: Protocol) -> None:
    """The counts of `outcomes.completeness` and `results.completeness_trend`, and how they hang together."""
    frame = snapshot["outcomes.completeness"]
    if frame.is_empty():
        return
    frame = frame.rename({"instrument": "outcome", "visit_window": "window"})
    primary = [(p.outcome, p.window) for p in protocol.primary.outcomes]
    asked = {p.outcome for p in protocol.primary.questions}
    found = _Splits(ledger)
    for row in _sums(frame.filter(pl.col("outcome").is_in(asked)), "tier"):
        found.of_tier(row)
    is_primary = [(pl.col("outcome") == outcome) & (pl.col("window") == window) for outcome, window in primary]
    for row in _sums(frame.filter(pl.any_horizontal(is_primary)), "site_id"):
        found.of_site(row)
    for row in shown_periods(snapshot["results.completeness_trend"], ledger.minimum).iter_rows(named=True):
        found.of_period(row)
    found.add_up()
    found.follow_each_other([window.name for window in protocol.windows])


def shown_periods(trend: pl.DataFrame, minimum: int) -> pl.DataFrame:
    """The rows of the trend that reports print: by site only where its years hold twice the minimum on average."""
    if trend.is_empty():
        return trend
    of_site = pl.col("site_id").is_not_null()
    size = pl.col("expected").filter(of_site).mean().over("outcome", "window")
    return trend.filter(~of_site | (size >= 2 * minimum))


def _sums(frame: pl.DataFrame, group: str) -> list[Row]:
    sums = frame.group_by("outcome", "window", group).agg(pl.col("expected").sum(), pl.col("observed").sum())
    return list(sums.sort("outcome", "window", group).iter_rows(named=True))


class _Splits:
    """Counts of those due and seen while they are entered, by the total that they are parts of."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.parts: dict[Key, dict[str, list[Key]]] = defaultdict(lambda: defaultdict(list))
        self.due: dict[Key, dict[str, list[Key]]] = defaultdict(lambda: defaultdict(list))  # by group and window

    def of_tier(self, row: Row) -> None:
        tier, place = row["tier"], (row["outcome"], row["window"])
        due, done = keys.expected(*place, tier), keys.observed(*place, tier)
        self._enter(row, due, done, ("tier", tier), (DETAIL, USUAL))
        self.ledger.nest(due, keys.patients(tier))
        seen = keys.seen(*place, tier)
        if seen in self.ledger.counts:
            self.ledger.nest(done, seen)
        self._part("tier", (due, done), (keys.expected(*place, keys.ALL), keys.observed(*place, keys.ALL)))

    def of_site(self, row: Row) -> None:
        site, place = row["site_id"], (row["outcome"], row["window"])
        both = (keys.expected(*place, site), keys.observed(*place, site))
        self._enter(row, *both, ("site", site), (USUAL, USUAL), owner=site)
        self._part("site", both, (keys.expected(*place, keys.ALL), keys.observed(*place, keys.ALL)))

    def of_period(self, row: Row) -> None:
        """A year or quarter of all sites, or a year of one."""
        site, period, place = row["site_id"], row["period"], (row["outcome"], row["window"])
        both = (keys.expected_in(*place, period, site or keys.ALL), keys.observed_in(*place, period, site or keys.ALL))
        weights = (DETAIL, DETAIL if site or row["span"] == QUARTER else USUAL)
        self._enter(row, *both, (row["span"], period, site or keys.ALL), weights, owner=site)
        if row["span"] == QUARTER:
            year = period.split(" ")[0]
            self._part(QUARTER, both, (keys.expected_in(*place, year), keys.observed_in(*place, year)))
            return
        self._part(YEAR, both, (keys.expected(*place, site or keys.ALL), keys.observed(*place, site or keys.ALL)))
        if site:
            self._part("site", both, (keys.expected_in(*place, period), keys.observed_in(*place, period)))

    def _enter(
        self, row: Row, due: Key, done: Key, group: Key, weights: tuple[float, float], owner: str | None = None
    ) -> None:
        self.ledger.add(due, int(row["expected"]), weight=weights[0], owner=owner)
        self.ledger.add(done, int(row["observed"]), weight=weights[1], owner=owner)
        self.ledger.nest(done, due)
        self.due[group][row["window"]].append(due)

    def _part(self, split: str, parts: tuple[Key, Key], totals: tuple[Key, Key]) -> None:
        for part, total in zip(parts, totals, strict=True):
            self.parts[total][split].append(part)

    def add_up(self) -> None:
        """Each split of a total that is printed, or that another split gives away, adds up to it."""
        counts = self.ledger.counts
        for total, splits in self.parts.items():
            if total not in counts and len(splits) > 1:
                first = next(iter(splits.values()))
                self.ledger.add(total, sum(counts[part].value for part in first), "hidden")
            if total in counts:
                for parts in splits.values():
                    self.ledger.sum_of(total, parts)

    def follow_each_other(self, windows: list[str]) -> None:
        """Who is due at one window: the same whatever the instrument, and some of those due at the window before."""
        counts = self.ledger.counts
        for by_window in self.due.values():
            for due in by_window.values():
                for one, other in pairwise(due):
                    if counts[one].value == counts[other].value:
                        self.ledger.sum_of(one, [other])
            for earlier, later in pairwise([by_window[name][0] for name in windows if name in by_window]):
                self.ledger.nest(later, earlier)
