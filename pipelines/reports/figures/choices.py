"""A specification curve: one estimate a row, in order of size, each with the choices behind it; the primary stands out.

Also the love plot, in the same form: one covariate a row, its difference before and after weighting.
"""

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


@dataclass(frozen=True)
class LoveRow:
    """One covariate with its standardised difference before and after weighting."""

    label: str
    before: float | None
    after: float | None


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


def love_panel(rows: Sequence[LoveRow], limit: float, title: str, alt: str) -> Panel:
    """Absolute standardised differences: hollow before weighting, filled after; the line is the protocol's limit."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 12 + _ROW_MM * len(rows))
        ax = style.axes_mm(figure, left=40, bottom=9, right=2, top=1)
        ax.set_ylim(len(rows), 0)
        largest = max([limit, *(v for row in rows for v in (row.before, row.after) if v is not None)])
        ax.set_xlim(-0.02 * largest, 1.05 * largest)
        ax.axvline(limit, color=style.QUIET, linewidth=0.6, dashes=(3, 2))
        for place, row in enumerate(rows):
            y = place + 0.5
            _label(ax, row.label, y, style.INK, False, 112)
            if row.before is not None and row.after is not None:
                ax.plot([row.before, row.after], [y, y], color=style.RULE, linewidth=0.7)
            for value, face in ((row.before, style.PAPER), (row.after, style.ACCENT)):
                if value is not None:
                    ax.plot([value], [y], marker="o", markersize=3.2, color=style.ACCENT, markerfacecolor=face,
                            linestyle="none")  # fmt: skip
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("Absolute standardised difference")
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def overlap_panel(
    arms: Sequence[tuple[str, int, Sequence[float | None]]], lows: Sequence[float], title: str, alt: str
) -> Panel:
    """Shares of two arms by preference score, the first upward and the second downward; None is held back."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 40)
        ax = style.axes_mm(figure, left=12, bottom=10, right=2, top=2)
        width = 1 / max(1, len(lows))
        for (label, rank, shares), sign in zip(arms, (1, -1), strict=True):
            look = style.tier_look(rank)
            for low, share in zip(lows, shares, strict=True):
                if share is not None:
                    ax.bar(low + width / 2, sign * share, width * 0.94, color=look.colour, linewidth=0)
            ax.annotate(label, (0.01, 0.97 if sign > 0 else 0.03), xycoords="axes fraction", color=look.colour,
                        ha="left", va="top" if sign > 0 else "bottom", fontweight=600,
                        fontsize=style.FONT_SIZE)  # fmt: skip
        ax.axhline(0, color=style.QUIET, linewidth=0.6)
        ax.set_xlim(0, 1)
        top = max(abs(y) for y in ax.get_ylim())
        ax.set_ylim(-top, top)
        ax.yaxis.set_major_formatter(lambda value, _: f"{100 * abs(value):.0f}\u202f%")
        ax.set_xlabel("Preference score")
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _label(ax: object, text: str, y: float, colour: str, is_strong: bool, left_pt: float = 129) -> None:
    ax.annotate(text, (0, y), xycoords=("axes fraction", "data"), xytext=(-left_pt, 0),  # type: ignore[attr-defined]
                textcoords="offset points", ha="left", va="center", fontsize=style.FONT_SIZE - 1.6, color=colour,
                fontweight=600 if is_strong else 400, annotation_clip=False)  # fmt: skip
