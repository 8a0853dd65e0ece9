"""A specification curve: one estimate a row, in order of size, with the choices behind it; the primary stands out."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn

_ROW_MM = 3.1


@dataclass(frozen=True)
class ChoiceRow:
    """One way to answer, with its estimate."""

    label: str
    y: Drawn
    low: Drawn | None
    high: Drawn | None
    is_primary: bool = False


def choices_panel(
    rows: Sequence[ChoiceRow], axis: str, neutral: float, title: str, alt: str, is_log: bool = False
) -> Panel:
    """One panel; rows are drawn in the order given."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 12 + _ROW_MM * len(rows))
        ax = style.axes_mm(figure, left=46, bottom=9, right=2, top=1)
        if is_log:
            ax.set_xscale("log")
            ax.minorticks_off()
        ax.set_ylim(len(rows), 0)
        ends = [float(v) for row in rows for v in (row.low, row.y, row.high) if v is not None] + [neutral]
        low, high = min(ends), max(ends)
        room = 0.05 * (high - low or 1.0)
        ax.set_xlim(*((low / 1.05, high * 1.05) if is_log else (low - room, high + room)))
        if is_log:
            ticks = [tick for tick in (0.25, 0.5, 0.7, 1, 1.4, 2, 3, 4) if low / 1.05 <= tick <= high * 1.05]
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.axvline(neutral, color=style.QUIET, linewidth=0.6, zorder=0)
        for place, row in enumerate(rows):
            y = place + 0.5
            colour = style.ACCENT if row.is_primary else style.INK
            _label(ax, row.label, y, colour, row.is_primary)
            if row.low is not None and row.high is not None:
                ax.plot([row.low, row.high], [y, y], color=colour, linewidth=1.6 if row.is_primary else 0.7)
            ax.plot([row.y], [y], marker="s" if row.is_primary else "o", color=colour, linestyle="none",
                    markersize=4.0 if row.is_primary else 2.6)  # fmt: skip
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel(axis)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _label(ax: object, text: str, y: float, colour: str, is_strong: bool) -> None:
    ax.annotate(text, (0, y), xycoords=("axes fraction", "data"), xytext=(-129, 0),  # type: ignore[attr-defined]
                textcoords="offset points", ha="left", va="center", fontsize=style.FONT_SIZE - 1.6, color=colour,
                fontweight=600 if is_strong else 400, annotation_clip=False)  # fmt: skip
