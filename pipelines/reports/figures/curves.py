"""Incidence and stopping curves, drawn at the times that the gate allows, with numbers at risk underneath.

Straight lines join the cut points: between two of them nothing finer may be shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel
from pipelines.reports.figures.marks import Series, height_of_numbers_mm, line_look, numbers_below


@dataclass(frozen=True)
class CurveAxes:
    """How a curve panel is dressed: ticks as (position, label)."""

    x_ticks: Sequence[tuple[float, str]]
    x_label: str
    y_label: str
    y_top: float
    y_step: float
    is_percent: bool = True


def curve_panel(
    series: Sequence[Series], axes: CurveAxes, title: str, alt: str, numbers_title: str = "At risk"
) -> Panel:
    """One panel of curves by tier; each point's `n` is the number at risk there, shown where a tick stands."""
    below = height_of_numbers_mm(series) + 3.2
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 45 + below)
        ax = style.axes_mm(figure, left=21, bottom=below, right=17.5, top=5.5)
        last = axes.x_ticks[-1][0]
        ax.set_xlim(0, last)
        ax.set_ylim(0, axes.y_top)
        for one in series:
            points = one.drawn
            xs = [p.x for p in points]
            banded = [p for p in points if p.low is not None and p.high is not None]
            lows, highs = [float(p.low or 0) for p in banded], [float(p.high or 0) for p in banded]
            ax.fill_between([p.x for p in banded], lows, highs, color=one.look.colour, alpha=0.10, linewidth=0)
            ax.plot(xs, [float(p.y or 0) for p in points], clip_on=False, zorder=3, **line_look(one, marker_size=2.8))
        ax.set_xticks([x for x, _ in axes.x_ticks], [label for _, label in axes.x_ticks])
        steps = round(axes.y_top / axes.y_step)
        ticks = [k * axes.y_step for k in range(steps + 1)]
        labels = [f"{100 * t:.0f}{numbers.NBSP}%" if axes.is_percent else f"{t:g}" for t in ticks]
        ax.set_yticks(ticks, labels)
        ax.set_xlabel(axes.x_label, labelpad=2, color=style.QUIET)
        ax.grid(axis="y", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_title(axes.y_label, loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        ends = [(one.drawn[-1], one) for one in series if len(one.drawn) > 1]
        style.direct_labels(ax, last, [(float(p.y or 0), one.label, one.look.colour) for p, one in ends])
        numbers_below(ax, series, numbers_title, first_mm=12.2, left_mm=20.5)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)
