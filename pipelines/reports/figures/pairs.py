"""Published figures with the cohort's own under them: one row a published figure, two marks with their limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn

_ROW_MM = 6.6


@dataclass(frozen=True)
class PublishedMark:
    """A figure from a paper; it needs no gate."""

    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class OwnMark:
    """The cohort's own figure, past the gate; None is not drawn."""

    y: Drawn | None
    low: Drawn | None = None
    high: Drawn | None = None


@dataclass(frozen=True)
class PairRow:
    """One published figure and the cohort's own; `rank` is the tier's place on the ladder, which fixes its look."""

    label: str
    detail: str
    rank: int
    published: PublishedMark
    own: OwnMark


def pairs_panel(rows: Sequence[PairRow], axis: str, title: str, alt: str, zero: bool = False) -> Panel:
    """One panel: hollow diamonds are published, filled marks in the tier's colour are the cohort's."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 13 + _ROW_MM * len(rows))
        ax = style.axes_mm(figure, left=45, bottom=9, right=3, top=2)
        ax.set_xlim(*_span(rows, zero))
        ax.set_ylim(len(rows), 0)
        for place, row in enumerate(rows):
            look = style.tier_look(row.rank)
            if place:
                ax.axhline(place, color=style.FAINT, linewidth=0.5)
            for text, y, colour, weight in ((row.label, 0.3, style.INK, 600), (row.detail, 0.72, style.QUIET, 400)):
                ax.annotate(text, (0, place + y), xycoords=("axes fraction", "data"), xytext=(-127, 0),
                            textcoords="offset points", ha="left", va="center", fontsize=style.FONT_SIZE - 0.8,
                            color=colour, fontweight=weight, annotation_clip=False)  # fmt: skip
            _mark(ax, row.published, place + 0.3, style.QUIET, style.PAPER, "D", 0.9)
            _mark(ax, row.own, place + 0.72, look.colour, look.colour, "o", 1.4)
        if zero:
            ax.axvline(0, color=style.QUIET, linewidth=0.6, zorder=0)
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel(axis)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _mark(
    ax: object, mark: PublishedMark | OwnMark, y: float, colour: str, face: str, marker: str, width: float
) -> None:
    if mark.y is None:
        return
    plot = ax.plot  # type: ignore[attr-defined]
    if mark.low is not None and mark.high is not None:
        plot([mark.low, mark.high], [y, y], color=colour, linewidth=width, zorder=2)
    plot([mark.y], [y], marker=marker, color=colour, markerfacecolor=face, markersize=3.6, linestyle="none", zorder=3)


def _span(rows: Sequence[PairRow], zero: bool) -> tuple[float, float]:
    values = [
        float(v)
        for row in rows
        for mark in (row.published, row.own)
        for v in (mark.low, mark.y, mark.high)
        if v is not None
    ]
    low, high = min([*values, *([0.0] if zero else [])]), max([*values, *([0.0] if zero else [])])
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room
