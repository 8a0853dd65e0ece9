"""Love plot: how far the arms of a contrast stand apart in each term, before and after weighting (Love 2004)."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn

_ROW_MM, _GAP_MM = 2.75, 5.0
_LABELS_MM = 42.0


@dataclass(frozen=True)
class LoveRow:
    """A term with its standardised differences, drawn without their sign; None is not drawn."""

    label: str
    before: Drawn | None
    after: Drawn | None


@dataclass(frozen=True)
class LoveGroup:
    """Terms that are judged by the same limit."""

    title: str
    rows: tuple[LoveRow, ...]
    limit: float


def love_panel(groups: Sequence[LoveGroup], reach: float, title: str, alt: str) -> Panel:
    """One panel: open circles before weighting, squares after; the broken line is the limit of each group.

    `reach` is the largest difference on the axis: the same for panels that stand beside each other.
    """
    tall = sum(_GAP_MM + _ROW_MM * len(group.rows) for group in groups)
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 10 + tall)
        ax = style.axes_mm(figure, left=_LABELS_MM, bottom=9, right=3, top=1)
        ax.set_xlim(0, 1.06 * reach)
        ax.set_ylim(tall, 0)
        top = 0.0
        for group in groups:
            _draw_group(ax, group, top)
            top += _GAP_MM + _ROW_MM * len(group.rows)
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("Absolute standardised difference (○ before, ■ after)", loc="right")
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def reach_of(groups: Sequence[LoveGroup]) -> float:
    """The largest difference or limit of these groups."""
    values = [abs(v) for group in groups for row in group.rows for v in (row.before, row.after) if v is not None]
    return max([*values, *(group.limit for group in groups)])


def _draw_group(ax: Axes, group: LoveGroup, top: float) -> None:
    """The group's title, its limit, and a row a term."""
    _word(ax, group.title, top + 0.55 * _GAP_MM, style.QUIET, 600)
    first, last = top + 0.85 * _GAP_MM, top + _GAP_MM + _ROW_MM * len(group.rows)
    ax.plot([group.limit] * 2, [first, last], color=style.ALERT, linewidth=0.8, dashes=(3, 2), zorder=1)
    for place, row in enumerate(group.rows):
        y = top + _GAP_MM + (place + 0.5) * _ROW_MM
        _word(ax, row.label, y, style.INK, 400)
        if row.before is not None and row.after is not None:
            ax.plot([abs(row.before), abs(row.after)], [y, y], color=style.RULE, linewidth=0.7, zorder=1)
        if row.before is not None:
            ax.plot([abs(row.before)], [y], marker="o", markersize=3.0, markerfacecolor=style.PAPER, color=style.QUIET,
                    linestyle="none", clip_on=False, zorder=3)  # fmt: skip
        if row.after is not None:
            ax.plot([abs(row.after)], [y], marker="s", markersize=2.8, color=style.ACCENT, linestyle="none",
                    clip_on=False, zorder=4)  # fmt: skip


def _word(ax: Axes, text: str, y: float, colour: str, weight: int) -> None:
    ax.annotate(text, (0, y), xycoords=("axes fraction", "data"), xytext=(-_LABELS_MM * 72 * style.MM + 1, 0),
                textcoords="offset points", ha="left", va="center", fontsize=style.FONT_SIZE - 1.3, color=colour,
                fontweight=weight, annotation_clip=False)  # fmt: skip
