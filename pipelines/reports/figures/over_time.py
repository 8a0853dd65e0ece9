"""A ratio as a smooth function of time beside the one ratio of the model, one panel for each contrast."""

import math
from collections.abc import Sequence

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel
from pipelines.reports.figures.marks import Point
from pipelines.reports.gate import Drawn

_RATIOS = (0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 1, 1.5, 2, 3, 5, 10, 20)
_REACH = 25.0  # limits beyond this ratio, or its inverse, run out of the panel


def over_time_panel(
    points: Sequence[Point], overall: Drawn | None, x_ticks: Sequence[tuple[float, str]], title: str, alt: str
) -> Panel:
    """One panel: ratios by day with limits on a log scale, a line at no difference, a dashed one at `overall`."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 50)
        ax = style.axes_mm(figure, left=10, bottom=9.5, right=21, top=5.5)
        xs, last = [p.x for p in points], x_ticks[-1][0]
        lows, middles, highs = ([_log(value) for value in line] for line in _lines(points))
        ax.axhline(0, color=style.RULE, linewidth=0.7, zorder=1)
        ax.fill_between(xs, lows, highs, color=style.ACCENT, alpha=0.12, linewidth=0)
        for edge in (lows, highs):
            ax.plot(xs, edge, color=style.ACCENT, linewidth=0.5, dashes=(1.2, 1.6))
        ax.plot(xs, middles, color=style.ACCENT, marker="o", markersize=2.8)
        labels = [(middles[-1], "Over time", style.ACCENT)]
        if overall is not None:
            ax.plot([0, last], [_log(overall)] * 2, color=style.INK, linewidth=0.8, dashes=(4, 2))
            labels.append((_log(overall), f"Overall {numbers.fixed(overall, 2)}", style.INK))
        low, high = min([*lows, _log(0.67)]) - 0.08, max([*highs, _log(1.5)]) + 0.08
        ax.set_xlim(0, last)
        ax.set_ylim(low, high)
        shown = [ratio for ratio in _RATIOS if low <= _log(ratio) <= high]
        ax.set_yticks([_log(ratio) for ratio in shown], [f"{ratio:g}" for ratio in shown])
        ax.set_xticks([x for x, _ in x_ticks], [label for _, label in x_ticks])
        ax.set_xlabel("Months since the tier began", labelpad=2, color=style.QUIET)
        axis = "Hazard ratio, on a log scale"
        ax.set_title(axis, loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        style.direct_labels(ax, last, labels)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _lines(points: Sequence[Point]) -> tuple[list[float], list[float], list[float]]:
    """Lower limits, estimates and upper limits."""
    lows, highs = (
        [float(value or 1) for value in ends] for ends in zip(*((p.low, p.high) for p in points), strict=True)
    )
    return lows, [float(p.y or 1) for p in points], highs


def _log(ratio: float) -> float:
    return math.log(min(max(ratio, 1 / _REACH), _REACH))
