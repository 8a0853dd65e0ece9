"""The disclosure gate: the one place where a number from patients becomes something that may be printed or drawn.

`Shown` texts and `Drawn` numbers are made here and nowhere else; tables and figures accept nothing else. Counts and
shares are asked for by the keys of `counts.py`; estimates by the number of patients they rest on. The rules are the
protocol's `disclosure` block: counts from 1 to `minimum_count` − 1 never leave, nor does what gives one away.
"""

import math
from collections.abc import Sequence
from typing import NewType

import numpy as np
import polars as pl

from pipelines.protocol import Protocol
from pipelines.reports import counts, event_counts, keys, numbers
from pipelines.reports.bands import DEATH, Bands, safe_bands
from pipelines.reports.content import Shown
from pipelines.reports.curves import Cuts, agreeing, safe_cuts, value_at
from pipelines.reports.ledger import Decisions, Key, round_count
from pipelines.reports.suppression import TooFewToProtect, decide
from pipelines.reports.tables import Snapshot

Drawn = NewType("Drawn", float)
"""A number that has passed the gate and may be drawn."""

ABOUT = "≈"
WITHHELD = "–†"
LEGEND = "≈ Rounded to the nearest 5, or † withheld, because a small count could otherwise be worked out."
_STEP_DAYS = 91.3125  # curves are cut at quarters of a year where counts allow it
_TICK_WORTH, _HORIZON_WORTH = 3.0, 1000.0


def scaled(value: Drawn | None, factor: float) -> Drawn | None:
    """A number that has passed the gate in another unit (a share in per cent)."""
    return None if value is None else Drawn(round(factor * value, 6))


class Gate:
    """What may leave of one release under one protocol, beside what the report `before` has printed already."""

    def __init__(self, snapshot: Snapshot, protocol: Protocol, before: Decisions | None = None) -> None:
        self.protocol = protocol
        self.minimum = protocol.disclosure.minimum_count
        self.decimals = protocol.disclosure.percent_decimals
        self.has_earlier_report = before is not None
        self.decisions = _decided(snapshot, protocol, before)

    # ----------------------------------------------------------------------------------------------------------- counts

    def knows(self, key: Key) -> bool:
        """Whether the release has this count at all."""
        return key in self.decisions.ledger.counts

    def is_exact(self, key: Key) -> bool:
        """Whether the count is known and may be printed as it is."""
        return self.knows(key) and self.decisions.state(key) == "exact"

    def is_printed(self, key: Key) -> bool:
        """Whether the count is known and may be printed, exact or rounded."""
        return self.knows(key) and self.decisions.state(key) in ("exact", "rounded")

    def count(self, key: Key) -> Shown:
        """The count, `≈45` where it is rounded, `<11` where it is small, or a dagger where it is withheld."""
        if not self.knows(key):
            return Shown(numbers.ABSENT, is_withheld=True)
        state = self.decisions.state(key)
        if state in ("small", "withheld"):
            return Shown(f"<{self.minimum}" if state == "small" else WITHHELD, is_withheld=True)
        return Shown(f"{ABOUT if state == 'rounded' else ''}{numbers.count(self.decisions.value(key))}")

    def at_risk(self, number: int) -> Shown:
        """A number under a curve; rounded where an earlier report may show the same curve with a few patients less."""
        if self.has_earlier_report:
            return Shown(f"{ABOUT}{numbers.count(round_count(number))}")
        return Shown(numbers.count(number))

    def share(self, part: Key, whole: Key) -> Shown:
        """The percentage that one count is of another, of the counts as printed."""
        value = self.drawn_share(part, whole)
        if value is None:
            return Shown(self.count(part).text if self.is_small(part) else WITHHELD, is_withheld=True)
        about = "" if self.is_exact(part) and self.is_exact(whole) else ABOUT
        return Shown(f"{about}{numbers.percent(value, self.decimals)}")

    def count_and_share(self, part: Key, whole: Key) -> Shown:
        """`45 (23 %)`, the count alone where the whole may not be printed, or what stands in for it."""
        shown = self.count(part)
        if shown.is_withheld or self.drawn_share(part, whole) is None:
            return shown
        return Shown(f"{shown.text} ({self.share(part, whole).text})")

    def fraction(self, part: Key, whole: Key) -> Shown:
        """`45/198`, or what stands in for it."""
        if self.drawn_share(part, whole) is None:
            return self.share(part, whole)
        return Shown(f"{self.count(part)}/{self.count(whole)}")

    def drawn_share(self, part: Key, whole: Key) -> Drawn | None:
        """The share of the counts as printed, rounded as the protocol rounds percentages."""
        if not (self.is_printed(part) and self.is_printed(whole)):
            return None
        top, bottom = self.decisions.value(part), self.decisions.value(whole)
        return Drawn(round(min(1.0, top / bottom), 2 + self.decimals)) if bottom else None

    def rough_share(self, part: Key, whole: Key) -> Drawn | None:
        """As `drawn_share`; of a rounded part where an earlier report may show the same patients in other groups."""
        if not self.has_earlier_report or self.drawn_share(part, whole) is None:
            return self.drawn_share(part, whole)
        top, bottom = round_count(self.decisions.value(part)), self.decisions.value(whole)
        return Drawn(round(min(1.0, top / bottom), 2 + self.decimals))

    def drawn_percent(self, part: Key, whole: Key) -> Drawn | None:
        """As `drawn_share`, in per cent."""
        share = self.drawn_share(part, whole)
        return None if share is None else Drawn(round(100 * share, self.decimals))

    def has_events(
        self, times: pl.DataFrame, endpoint: str, tiers: Sequence[str], after: float = -math.inf, upto: float = math.inf
    ) -> bool:
        """Whether each of the tiers has enough of an endpoint's events within a span of days."""
        if times.is_empty():
            return False
        seen = times.filter((pl.col("status") == 1) & (pl.col("time_days") > after) & (pl.col("time_days") <= upto))
        return all(_of(seen, endpoint, tier).height >= self.minimum for tier in tiers)

    def is_small(self, key: Key) -> bool:
        """Whether the count is withheld for its own size."""
        return key in self.decisions.small

    def few_events(self, key: Key | None = None) -> Shown:
        """What stands for a figure with too few events; a dagger where it is withheld for another's sake."""
        is_own_size = key is None or self.is_small(key)
        return Shown(f"<{self.minimum} ev." if is_own_size else WITHHELD, is_withheld=True)

    @property
    def few_events_note(self) -> str:
        """What `few_events` means, for the foot of a table."""
        return f"<{self.minimum} ev. fewer than {self.minimum} patients had the event."

    @property
    def small_note(self) -> str:
        """What `<11` means, for the foot of a table."""
        return f"Counts from 1 to {self.minimum - 1} are shown as <{self.minimum}."

    # -------------------------------------------------------------------------------------------------------- estimates

    def rests_on_enough(self, *keys: Key) -> bool:
        """Whether an estimate that rests on these groups of patients may be shown: each known and large enough."""
        all_counts = self.decisions.ledger.counts
        return all(key in all_counts and all_counts[key].value >= self.minimum for key in keys)

    def number(self, value: float | None, digits: int, *keys: Key) -> Shown:
        """An estimate with that many decimals, if it rests on enough patients."""
        if not self.rests_on_enough(*keys):
            return Shown(f"n <{self.minimum}", is_withheld=True)
        return Shown(numbers.fixed(value, digits), is_withheld=value is None)

    def effective(self, size: float, *keys: Key) -> Shown:
        """An effective sample size; a small one is told as a small count is."""
        return Shown(f"<{self.minimum}", is_withheld=True) if size < self.minimum else self.number(size, 0, *keys)

    def text(self, text: str, *keys: Key) -> Shown:
        """A phrase that holds estimates, if they rest on enough patients."""
        if not self.rests_on_enough(*keys):
            return Shown(f"n <{self.minimum}", is_withheld=True)
        return Shown(text, is_withheld=text == numbers.ABSENT)

    def drawn(self, value: float | None, digits: int, *keys: Key) -> Drawn | None:
        """An estimate for a figure, rounded; None where it may not be shown or does not exist."""
        if value is None or not math.isfinite(value) or not self.rests_on_enough(*keys):
            return None
        return Drawn(round(float(value), digits))

    # ----------------------------------------------------------------------------------------------------------- curves

    def cuts(self, times: pl.DataFrame, endpoint: str, tier: str, with_competing: bool = False) -> Cuts:
        """Days at which a tier's curve may be shown, from the endpoint's rows of the time-to-event table.

        With `with_competing` the competing event is drawn and must be as numerous in each interval. What has a curve
        already (the endpoint's own event, endpoints earlier in `event_counts.drawn`) is cut at these days too and
        differs there by no patient or by enough, so that no two curves together show an interval that neither may show.
        """
        rows = _of(times, endpoint, tier)
        if not self.is_exact(keys.patients(tier)) or rows.is_empty():
            return Cuts((), ())
        horizons = self.protocol.horizons(self.protocol.endpoint(endpoint))
        allowed = [day for day in horizons if self.is_exact(keys.events(endpoint, tier, day))]
        withheld = set(horizons) - set(allowed)
        kinds = _kinds(rows, separate=(0, 1, 2) if with_competing else (1,))
        grid = [day for day in _grid(horizons) if day not in withheld]
        drawn = event_counts.drawn(self.protocol, tier)
        before = drawn[: drawn.index(endpoint)] if endpoint in drawn else drawn
        for other in [*before, endpoint] if with_competing else before:
            grid = self._beside(times, grid, endpoint, other, tier)
        ticks = {day: _TICK_WORTH for day in grid if _is_half_year(day)}
        return safe_cuts(kinds, grid, self.minimum, ticks | {float(day): _HORIZON_WORTH for day in allowed})

    def _beside(self, times: pl.DataFrame, grid: list[float], endpoint: str, other: str, tier: str) -> list[float]:
        """The days of the grid at which an endpoint may be shown where another one is drawn."""
        shown = self.cuts(times, other, tier)
        if shown.is_empty:
            return grid
        both = [day for day in grid if day in shown.times]
        return agreeing(both, *_event_times(times, endpoint, other, tier), self.minimum)

    def shared_cuts(self, times: pl.DataFrame, endpoint: str, tiers: Sequence[str]) -> tuple[float, ...]:
        """Days above 0 at which what is drawn of several tiers together may be shown: each allows them."""
        each = [set(self.cuts(times, endpoint, tier).times) for tier in tiers]
        return tuple(sorted(set.intersection(*each) - {0.0})) if each else ()

    def bands(self, moves: pl.DataFrame, times: pl.DataFrame, tier: str) -> Bands:
        """Which states of the ladder may be drawn apart for a tier of entry, and at which days.

        Args:
            moves: the stays of `analysis.transitions`.
            times: the time-to-event table; where the tier's headline curve is drawn, days are taken from its cuts.
            tier: tier of entry.
        """
        mine = moves.filter(pl.col("index_tier").cast(pl.String) == tier) if moves.height else moves
        if not self.is_exact(keys.patients(tier)) or mine.is_empty():
            return Bands((), Cuts((), ()))
        horizons = self.protocol.primary.all_horizons_days
        grid = _grid(horizons)
        for endpoint in event_counts.drawn(self.protocol, tier)[:1]:
            shown = self.cuts(times, endpoint, tier)
            grid = grid if shown.is_empty else [day for day in grid if day in shown.times]
        worth = {day: _TICK_WORTH for day in grid if _is_half_year(day)} | {
            float(day): _HORIZON_WORTH for day in horizons
        }
        return safe_bands(mine, tier, (*self.protocol.tier_names, DEATH), grid, self.minimum, worth)

    def walking_cuts(self, walks: pl.DataFrame, column: str, grid: Sequence[float], ticks: Sequence[float]) -> Cuts:
        """Distances or durations at which a curve of walks may be shown, from observed walks of one tier and visit.

        Numbers at risk stand at the `ticks`, so cuts there are preferred.
        """
        capped = walks["is_at_cap"].fill_null(False).to_numpy()
        at = walks[column].to_numpy()
        return safe_cuts([at[~capped], at[capped]], grid, self.minimum, dict.fromkeys(map(float, ticks), _TICK_WORTH))


def points_of(curve: pl.DataFrame, cuts: Cuts, start: float, digits: int) -> list[tuple[float, int, tuple[Drawn, ...]]]:
    """A step function (`at`, estimate, ci_low, ci_high) at its cuts: position, number at risk, rounded values."""
    rows = curve.drop_nulls("estimate").sort("at")
    times = rows["at"].to_numpy()
    columns = [value_at(times, rows[name].to_numpy(), cuts.times, start) for name in ("estimate", "ci_low", "ci_high")]
    return [
        (time, risk, tuple(Drawn(round(float(column[k]), digits)) for column in columns))
        for k, (time, risk) in enumerate(zip(cuts.times, cuts.at_risk, strict=True))
    ]


def log_hazards_of(curve: pl.DataFrame, cuts: Cuts) -> list[tuple[float, Drawn, Drawn | None, Drawn | None]]:
    """Log of the cumulative hazard at the cuts after the start, with its limits, from the share still free of an event.

    `curve` has time_days, estimate, ci_low, ci_high; days at which nobody or everybody has had the event are left out.
    """
    times = curve["time_days"].to_numpy()
    columns = [value_at(times, curve[name].to_numpy(), cuts.times, 1.0) for name in ("estimate", "ci_high", "ci_low")]
    found = []
    for day, *free in zip(cuts.times, *columns, strict=True):
        y, low, high = (_log_hazard(float(share)) for share in free)
        if y is not None:
            found.append((day, y, low, high))
    return found


def _log_hazard(free: float) -> Drawn | None:
    return Drawn(round(math.log(-math.log(free)), 1)) if 0 < free < 1 else None


def edges_of(curve: pl.DataFrame, bands: Bands, digits: int) -> list[tuple[Drawn, ...]]:
    """Upper edges of stacked bands at their cuts, rounded running sums of the shares (state, time_days, estimate)."""
    total = np.zeros(len(bands.cuts.times))
    found = []
    for states in bands.states:
        for state in states:
            own = curve.filter(pl.col("state") == state).sort("time_days")
            total = total + value_at(own["time_days"].to_numpy(), own["estimate"].to_numpy(), bands.cuts.times, 0.0)
        found.append(tuple(Drawn(round(min(float(share), 1.0), digits)) for share in total))
    return found


def _grid(horizons: Sequence[int]) -> list[float]:
    last = max(horizons)
    quarters = [round(_STEP_DAYS * k) for k in range(1, int(last / _STEP_DAYS) + 2)]
    return [float(day) for day in sorted({*horizons, *(q for q in quarters if q <= last)}) if _is_clear(day, horizons)]


def _is_half_year(day: float) -> bool:
    return abs(day / 182.625 - round(day / 182.625)) < 0.02


def _is_clear(day: float, horizons: Sequence[int]) -> bool:
    """Whether a day is a horizon, or not so near to one that both could not be told apart."""
    return day in horizons or all(abs(day - horizon) > 10 for horizon in horizons)


def _of(times: pl.DataFrame, endpoint: str, tier: str) -> pl.DataFrame:
    return times.filter((pl.col("endpoint") == endpoint) & (pl.col("tier").cast(pl.String) == tier))


def _event_times(times: pl.DataFrame, endpoint: str, other: str, tier: str) -> tuple[np.ndarray, np.ndarray]:
    """Days of both endpoints' events of the same patients, infinite where there is none."""
    day = pl.when(pl.col("status") == 1).then(pl.col("time_days").cast(pl.Float64)).otherwise(float("inf"))
    one, two = (_of(times, name, tier).select("episode_id", day=day) for name in (endpoint, other))
    both = one.join(two, on="episode_id", how="full", coalesce=True).fill_null(float("inf"))
    return both["day"].to_numpy(), both["day_right"].to_numpy()


def _kinds(rows: pl.DataFrame, separate: tuple[int, ...]) -> list[np.ndarray]:
    """Times of leaving by status: those the picture tells apart, and all others together."""
    kinds = [rows.filter(pl.col("status") == status)["time_days"].to_numpy() for status in separate]
    rest = rows.filter(~pl.col("status").is_in(separate))["time_days"].to_numpy()
    return [*kinds, rest] if len(rest) else kinds


def _decided(snapshot: Snapshot, protocol: Protocol, before: Decisions | None, with_sites: bool = True) -> Decisions:
    """What is printed of each count; without any by treating site where these could not be protected.

    Raises:
        TooFewToProtect: the release is too small for any report.
    """
    ledger = counts.ledger_of(snapshot, protocol, with_sites)
    if before is not None:
        ledger.follow(before)
    try:
        return decide(ledger)
    except TooFewToProtect:
        if not with_sites:
            raise
        return _decided(snapshot, protocol, before, with_sites=False)
