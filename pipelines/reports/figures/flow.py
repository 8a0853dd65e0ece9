"""Flow of patients in the manner of CONSORT: who was left after each step, who was left out, and the final tiers."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from pipelines.reports import style, wording
from pipelines.reports.content import Panel, Shown

_BOX_MM, _STEP_MM = 8.6, 15.5


@dataclass(frozen=True)
class FlowStep:
    """Who remains after a step, and who was left out at it and why; the first step leaves nobody out."""

    rule: str
    remaining: Shown
    excluded: Shown | None


def flow_panel(steps: Sequence[FlowStep], ends: Sequence[tuple[str, int, Shown]], alt: str) -> Panel:
    """A column of boxes with what was left out at the right; `ends` are the tiers as (label, rank, patients)."""
    width = style.COLUMN_MM
    height = _STEP_MM * len(steps) + 17
    with style.house_style():
        figure = style.canvas(width, height)
        ax = style.axes_mm(figure, 0, 0, 0, 0)
        ax.set_xlim(0, width)
        ax.set_ylim(height, 0)
        ax.axis("off")
        left, middle, wide = 1.0, 21.0, 40.0
        for place, step in enumerate(steps):
            top = 1 + place * _STEP_MM
            head = wording.capital(step.rule) if not place else "Remaining"
            _box(
                ax,
                left,
                top,
                wide,
                head if place + 1 < len(steps) else "Compared, by first tier",
                f"n = {step.remaining}",
            )
            _arrow(ax, middle, top + _BOX_MM, middle, 1 + (place + 1) * _STEP_MM)
            if place + 1 < len(steps):
                _left_out(ax, middle, top + _BOX_MM + (_STEP_MM - _BOX_MM) / 2, steps[place + 1])
        _tiers(ax, ends, 1 + len(steps) * _STEP_MM, left, width - 2 * left, middle)
        return Panel(style.svg(figure), alt, width)


def _left_out(ax: Axes, x: float, y: float, step: FlowStep) -> None:
    _arrow(ax, x, y, 44.5, y)
    words = textwrap.wrap(f"{step.excluded} left out: {step.rule}", 36)
    ax.text(46, y, "\n".join(words), va="center", fontsize=6.3, color=style.QUIET, linespacing=1.25)


def _tiers(
    ax: Axes, ends: Sequence[tuple[str, int, Shown]], base: float, left: float, width: float, middle: float
) -> None:
    if not ends:  # nobody was treated
        return
    gap = 1.4
    wide = (width - gap * (len(ends) - 1)) / len(ends)
    centres = [left + k * (wide + gap) + wide / 2 for k in range(len(ends))]
    ax.plot([min(centres[0], middle), centres[-1]], [base, base], color=style.QUIET, linewidth=0.6)
    size = 5.7 if max(len(label) for label, _, _ in ends) > 9 else 6.3
    for (label, rank, n), x in zip(ends, centres, strict=True):
        _arrow(ax, x, base, x, base + 4.5)
        _box(ax, x - wide / 2, base + 4.6, wide, label, f"n = {n}", style.tier_look(rank).colour, size)


def _box(
    ax: Axes, x: float, y: float, width: float, head: str, line: str, colour: str | None = None, size: float = 6.3
) -> None:
    ax.add_patch(FancyBboxPatch((x, y), width, _BOX_MM, boxstyle="round,pad=0,rounding_size=0.8", linewidth=0.7,
                                edgecolor=colour or style.RULE, facecolor=style.PAPER))  # fmt: skip
    ax.text(
        x + width / 2, y + 2.9, head, ha="center", va="center", fontsize=size, color=colour or style.INK, fontweight=600
    )
    ax.text(x + width / 2, y + 6.2, line, ha="center", va="center", fontsize=6.3, color=style.INK)


def _arrow(ax: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>,head_length=0.25,head_width=0.12",
                "color": style.QUIET, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
