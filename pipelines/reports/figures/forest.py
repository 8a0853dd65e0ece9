"""Contrasts as a forest plot: each row its estimate with interval, adjusted above unadjusted, and the words beside."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel, Shown
from pipelines.reports.gate import Drawn


@dataclass(frozen=True)
class Mark:
    """An estimate with its limits, or what stands in for it."""

    text: Shown
    y: Drawn | None = None
    low: Drawn | None = None
    high: Drawn | None = None


@dataclass(frozen=True)
class ForestRow:
    """One contrast: adjusted leads, unadjusted stands under it."""

    label: str
    adjusted: Mark | None
    unadjusted: Mark | None


@dataclass(frozen=True)
class ForestAxis:
    """Scale of a forest plot; `favours` names the sides left and right of no difference."""

    label: str
    neutral: float
    favours: tuple[str, str]
    is_log: bool = False
    ticks: Sequence[float] | None = None
    band: float | None = None


def forest_panel(rows: Sequence[ForestRow], axis: ForestAxis, title: str, alt: str) -> Panel:
    """One panel with a row a contrast; the shaded band holds differences too small to matter."""
    row_mm = 11.0
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 14 + row_mm * len(rows))
        ax = style.axes_mm(figure, left=2, bottom=13, right=2, top=1)
        if axis.is_log:
            ax.set_xscale("log")
        low, high = _span(rows, axis)
        ax.set_xlim(low, high)
        ax.set_ylim(len(rows), 0.0)
        for place, row in enumerate(rows):
            _draw_words(ax, place, row)
            _draw_strip(ax, place, row, axis)
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        if axis.ticks is not None:
            ticks = [tick for tick in axis.ticks if low <= tick <= high]
            ax.set_xticks(ticks, [numbers.fixed(tick, 2).rstrip("0").rstrip(".") for tick in ticks])
            ax.minorticks_off()
        ax.set_xlabel(axis.label, labelpad=9, color=style.INK)
        for text, x, align in ((f"← {axis.favours[0]}", 0.0, "left"), (f"{axis.favours[1]} →", 1.0, "right")):
            ax.annotate(text, (x, 0), xycoords="axes fraction", xytext=(0, -16), textcoords="offset points",
                        ha=align, va="center", fontsize=style.FONT_SIZE - 0.7, color=style.QUIET)  # fmt: skip
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


_TOP, _ADJUSTED, _UNADJUSTED, _BOTTOM = 0.42, 0.58, 0.80, 0.93  # where things stand within a row of height 1


def _draw_words(ax: Axes, place: int, row: ForestRow) -> None:
    """The contrast's name at the left and the leading estimate in words at the right, above the intervals."""
    lead = row.adjusted or row.unadjusted
    ax.annotate(row.label, (0, place + 0.22), xycoords=("axes fraction", "data"), fontweight=600,
                ha="left", va="center", fontsize=style.FONT_SIZE)  # fmt: skip
    if lead is not None:
        text = lead.text.text if row.adjusted else f"{lead.text.text}, unadjusted"
        colour = style.QUIET if lead.text.is_withheld or not row.adjusted else style.ACCENT
        ax.annotate(text, (1, place + 0.22), xycoords=("axes fraction", "data"), ha="right", va="center",
                    fontsize=style.FONT_SIZE, color=colour)  # fmt: skip


def _draw_strip(ax: Axes, place: int, row: ForestRow, axis: ForestAxis) -> None:
    """The intervals, over a band of what is too small to matter and the line of no difference."""
    top, bottom = place + _TOP, place + _BOTTOM
    ax.axhspan(top, bottom, color=style.WASH, linewidth=0, zorder=0)
    if not any(mark is not None and mark.y is not None for mark in (row.adjusted, row.unadjusted)):
        return
    if axis.band is not None:
        ends = (axis.neutral / axis.band, axis.neutral * axis.band) if axis.is_log else (-axis.band, axis.band)
        ax.fill_betweenx([top, bottom], *ends, color=style.BAND, linewidth=0, zorder=0.5)
    ax.plot([axis.neutral, axis.neutral], [top, bottom], color=style.QUIET, linewidth=0.7, zorder=1)
    for mark, y, look in ((row.adjusted, _ADJUSTED, ("s", style.ACCENT, style.ACCENT, 4.0, 1.4)),
                          (row.unadjusted, _UNADJUSTED, ("o", style.QUIET, style.PAPER, 3.2, 0.8))):  # fmt: skip
        if mark is not None and mark.y is not None and mark.low is not None and mark.high is not None:
            marker, colour, face, size, line = look
            ax.plot([mark.low, mark.high], [place + y, place + y], color=colour, linewidth=line, zorder=3)
            ax.plot([mark.y], [place + y], marker=marker, color=colour, markerfacecolor=face, markersize=size, zorder=4)


def _span(rows: Sequence[ForestRow], axis: ForestAxis) -> tuple[float, float]:
    """Limits of the axis: all intervals, and no difference well inside."""
    marks = [
        mark for row in rows for mark in (row.adjusted, row.unadjusted) if mark is not None and mark.low is not None
    ]
    lows = [float(mark.low) for mark in marks if mark.low is not None] + [axis.neutral]
    highs = [float(mark.high) for mark in marks if mark.high is not None] + [axis.neutral]
    if axis.is_log:
        return min([*lows, axis.neutral / 1.3]) / 1.08, max([*highs, axis.neutral * 1.3]) * 1.08
    width = max(highs) - min(lows) or 1.0
    return min(lows) - 0.08 * width, max(highs) + 0.08 * width
