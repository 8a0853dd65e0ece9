"""Contrasts as a forest plot: each row its estimate with interval, adjusted above unadjusted, and the words beside."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reports import style
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
    row_mm = 11.5
    height = 15 + row_mm * len(rows)
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, height)
        ax = style.axes_mm(figure, left=3, bottom=13, right=3, top=2)
        low, high = _span(rows, axis)
        if axis.is_log:
            ax.set_xscale("log")
        ax.set_xlim(low, high)
        ax.set_ylim(len(rows) - 0.0, 0.0)
        if axis.band is not None:
            edges = (axis.neutral / axis.band, axis.neutral * axis.band) if axis.is_log else (-axis.band, axis.band)
            ax.axvspan(max(low, edges[0]), min(high, edges[1]), color=style.FAINT, linewidth=0, zorder=0)
        ax.axvline(axis.neutral, color=style.QUIET, linewidth=0.6, zorder=1)
        for place, row in enumerate(rows):
            _draw_row(ax, place, row)
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        if axis.ticks is not None:
            ticks = [tick for tick in axis.ticks if low <= tick <= high]
            ax.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
            ax.minorticks_off()
        ax.set_xlabel(axis.label, labelpad=8.5, color=style.INK)
        for text, x, align in ((f"← {axis.favours[0]}", 0.0, "left"), (f"{axis.favours[1]} →", 1.0, "right")):
            ax.annotate(text, (x, 0), xycoords="axes fraction", xytext=(0, -15.5), textcoords="offset points",
                        ha=align, va="center", fontsize=style.FONT_SIZE - 0.7, color=style.QUIET)  # fmt: skip
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _draw_row(ax: "object", place: int, row: ForestRow) -> None:
    from matplotlib.axes import Axes

    assert isinstance(ax, Axes)
    if place:
        ax.axhline(place, color=style.FAINT, linewidth=0.5, zorder=0.5)
    ax.annotate(row.label, (0, place + 0.24), xycoords=("axes fraction", "data"), fontweight=600, ha="left", va="center",
                fontsize=style.FONT_SIZE)  # fmt: skip
    for mark, y, colour, face, words in (
        (row.adjusted, place + 0.52, style.ACCENT, style.ACCENT, "adjusted"),
        (row.unadjusted, place + 0.80, style.QUIET, style.PAPER, "unadjusted"),
    ):
        if mark is None:
            continue
        top = 0.24 if words == "adjusted" else None
        if mark.y is not None and mark.low is not None and mark.high is not None:
            ax.plot([mark.low, mark.high], [y, y], color=colour, linewidth=1.3 if face == colour else 0.8, zorder=3)
            ax.plot([mark.y], [y], marker="s" if face == colour else "o", color=colour, markerfacecolor=face,
                    markersize=4.0 if face == colour else 3.2, zorder=4)  # fmt: skip
        elif top is not None:
            ax.annotate("withheld", (0.0, y), xycoords=("axes fraction", "data"), ha="left", va="center",
                        fontsize=style.FONT_SIZE - 0.5, color=style.QUIET, fontstyle="italic")  # fmt: skip
        if top is not None:
            ax.annotate(mark.text.text, (1, place + top), xycoords=("axes fraction", "data"), ha="right", va="center",
                        fontsize=style.FONT_SIZE, color=colour if not mark.text.is_withheld else style.QUIET)  # fmt: skip


def _span(rows: Sequence[ForestRow], axis: ForestAxis) -> tuple[float, float]:
    """Limits of the axis: all intervals, and no difference well inside."""
    marks = [mark for row in rows for mark in (row.adjusted, row.unadjusted) if mark is not None and mark.low is not None]
    lows = [float(mark.low) for mark in marks if mark.low is not None] + [axis.neutral]
    highs = [float(mark.high) for mark in marks if mark.high is not None] + [axis.neutral]
    if axis.is_log:
        return min([*lows, axis.neutral / 1.3]) / 1.08, max([*highs, axis.neutral * 1.3]) * 1.08
    width = max(highs) - min(lows) or 1.0
    return min(lows) - 0.08 * width, max(highs) + 0.08 * width
