"""From a step function of `results.*` and the cuts the gate allows to a series that can be drawn."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from pipelines.reports import numbers
from pipelines.reports.curves import Cuts
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.gate import points_of
from pipelines.reports.study import Study


def curve_series(study: Study, tier: str, curve: pl.DataFrame, cuts: Cuts, start: float) -> Series:
    """One tier's curve (columns `at`, estimate, ci_low, ci_high) at its cuts, with numbers at risk; empty if none."""
    if curve.is_empty() or cuts.is_empty or curve["estimate"].null_count() == curve.height:
        return Series(study.short(tier), study.rank(tier), ())
    digits = 2 + study.protocol.disclosure.percent_decimals
    points = tuple(
        Point(at, y, low, high, study.gate.at_risk(risk))
        for at, risk, (y, low, high) in points_of(curve, cuts, start, digits)
    )
    return Series(study.short(tier), study.rank(tier), points)


def numbers_at_ticks(series: Sequence[Series], ticks: Sequence[tuple[float, str]], reach: float = 0.0) -> list[Series]:
    """The series with numbers at risk kept where a tick stands (within `reach`), so that they do not run together."""
    places = [x for x, _ in ticks]
    return [
        replace(
            one,
            points=tuple(
                p if any(abs(p.x - place) <= reach for place in places) else replace(p, n=None) for p in one.points
            ),
        )
        for one in series
    ]


def month_ticks(last: float) -> list[tuple[float, str]]:
    """Ticks in months up to a last day, as (day, label)."""
    months = round(last / numbers.MONTH_DAYS)
    step = 6 if months > 12 else 3
    return [(_day_of(month, last, months), str(month)) for month in range(0, months + 1, step)]


def _day_of(month: int, last: float, months: int) -> float:
    return float(last) if month == months else round(month * numbers.MONTH_DAYS)
