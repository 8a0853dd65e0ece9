"""Rows of `results.trajectories` as series that can be drawn, with words for those who cannot see the figure."""

from collections.abc import Sequence

import polars as pl

from pipelines.reports import keys, numbers
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.study import BASELINE, Study

READING = (
    "Points are {what} among patients seen at that visit, with 95 % intervals; the numbers underneath say how many. "
    "Lines join points of different patients: who was seen may change from visit to visit. Not adjusted for case mix."
)


def visits_of(study: Study, frame: pl.DataFrame) -> list[str]:
    """Baseline and windows that a frame of trajectories holds, in the protocol's order."""
    present = set(frame["window"].to_list())
    return [name for name in (BASELINE, *(w.name for w in study.protocol.windows)) if name in present]


def tick(study: Study, visit: str) -> str:
    """A visit's label short enough for an axis."""
    return study.window_label(visit).replace("months", "mo").replace("weeks", "wk")


def tier_series(study: Study, rows: pl.DataFrame, visits: Sequence[str], digits: int) -> list[Series]:
    """One series a tier from the rows of one outcome and method; a point's `x` is the place of its visit."""
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
    key = keys.seen(row["outcome"], visit, tier)
    y, low, high = (study.gate.drawn(row[name], digits, key) for name in ("estimate", "ci_low", "ci_high"))
    return Point(place, y, low, high, study.gate.count(key))


def series_in_words(study: Study, label: str, drawn: Sequence[Series], visits: Sequence[str], unit: str = "") -> str:
    """Alternative text of a trajectory panel: each tier's first and last point."""
    parts = []
    for one in drawn:
        if len(one.drawn) > 1:
            ends = [f"{numbers.fixed(p.y)}{unit} at {study.window_label(visits[int(p.x)]).lower()}" for p in
                    (one.drawn[0], one.drawn[-1])]  # fmt: skip
            parts.append(f"{one.label} {ends[0]} and {ends[1]}")
        else:
            parts.append(f"{one.label} not shown, too few patients")
    return f"Line chart of {label} by tier: {'; '.join(parts)}."
