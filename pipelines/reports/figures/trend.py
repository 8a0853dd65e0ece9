"""Shares over calendar time: a line a visit, or one site beside all, with the target they are held against."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn

_MOST_TICKS = 7
# Lines are no tiers: grey with dashes and markers of their own, and the accent for the one that is asked about.
_QUIET_LOOKS = (("o", ()), ("s", (4.0, 1.4)), ("^", (1.2, 1.2)), ("D", (5.0, 1.2, 1.2, 1.2)), ("v", (2.4, 1.2)))


@dataclass(frozen=True)
class Line:
    """Shares by period, None where one may not be drawn; `is_main` is the line that the question is about."""

    label: str
    shares: tuple[Drawn | None, ...]
    is_main: bool = False


def trend_panel(lines: Sequence[Line], periods: Sequence[str], target: float, title: str, alt: str) -> Panel:
    """One panel: `periods` are evenly spaced places along the axis, shares run from 0 to 1."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 46)
        ax = style.axes_mm(figure, left=10, bottom=9.5, right=19, top=5.5)
        ax.set_xlim(-0.3, len(periods) - 0.7)
        floor = min([target, *(share for line in lines for share in line.shares if share is not None)])
        ax.set_ylim(max(0.0, math.floor(10 * floor - 0.5) / 10), 1.0)
        ax.axhline(target, color=style.QUIET, linewidth=0.7, dashes=(4, 2), zorder=1)
        labels = []
        for place, line in enumerate(lines):
            marker, dashes = ("o", ()) if line.is_main else _QUIET_LOOKS[place % len(_QUIET_LOOKS)]
            colour = style.ACCENT if line.is_main else style.QUIET
            shares = [math.nan if share is None else float(share) for share in line.shares]
            ax.plot(range(len(periods)), shares, color=colour, linewidth=1.4 if line.is_main else 0.8, marker=marker,
                    markersize=3.4 if line.is_main else 2.6, markerfacecolor=colour if line.is_main else style.PAPER,
                    dashes=dashes or (None, None), zorder=3 if line.is_main else 2, clip_on=False)  # fmt: skip
            known = [share for share in shares if not math.isnan(share)]
            if known:
                labels.append((known[-1], line.label, colour))
        step = -(-len(periods) // _MOST_TICKS)
        ax.set_xticks(range(0, len(periods), step), list(periods)[::step])
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}{numbers.NBSP}%")
        ax.grid(axis="y", color=style.FAINT, linewidth=0.5, zorder=0)
        ax.set_axisbelow(True)
        ax.set_xlabel("Enrolled in", labelpad=2, color=style.QUIET)
        ax.set_title("Per cent of those due", loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        style.direct_labels(ax, len(periods) - 1 + 0.05, labels)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)
