"""Flow of patients in the manner of CONSORT: who was left after each step, who was left out, and the tiers at the end."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from pipelines.reports import style
from pipelines.reports.content import Panel, Shown

_BOX_MM, _STEP_MM = 8.6, 15.5


def flow_panel(
    steps: Sequence[tuple[str, Shown, Shown | None]], ends: Sequence[tuple[str, int, Shown]], alt: str
) -> Panel:
    """A column of boxes with what was left out at the right; `steps` are (rule, remaining, excluded), `ends` the tiers."""
    width = 118.0
    height = _STEP_MM * len(steps) + 22
    with style.house_style():
        figure = style.canvas(width, height)
        ax = style.axes_mm(figure, 0, 0, 0, 0)
        ax.set_xlim(0, width)
        ax.set_ylim(height, 0)
        ax.axis("off")
        left, middle = 3.0, 31.0
        for place, (rule, remaining, excluded) in enumerate(steps):
            top = 2 + place * _STEP_MM
            _box(ax, left, top, 56, rule, f"n = {remaining}", bold=True)
            bottom = top + _BOX_MM
            _arrow(ax, middle, bottom, middle, 2 + (place + 1) * _STEP_MM)
            if place + 1 < len(steps):
                out = steps[place + 1][2]
                if out is not None:
                    y = bottom + (_STEP_MM - _BOX_MM) / 2
                    _arrow(ax, middle, y, 66, y)
                    ax.text(67.5, y, f"{out} left out: {_lower(steps[place + 1][0])}", va="center", fontsize=6.6,
                            color=style.QUIET)  # fmt: skip
        base = 2 + len(steps) * _STEP_MM
        wide = (width - 6 - 2.4 * (len(ends) - 1)) / len(ends)
        ax.plot([left + wide / 2, left + (len(ends) - 0.5) * wide + 2.4 * (len(ends) - 1)], [base, base],
                color=style.QUIET, linewidth=0.6)  # fmt: skip
        for place, (label, rank, n) in enumerate(ends):
            x = left + place * (wide + 2.4)
            _arrow(ax, x + wide / 2, base, x + wide / 2, base + 4.5)
            _box(ax, x, base + 4.6, wide, label, f"n = {n}", colour=style.tier_look(rank).colour)
        return Panel(style.svg(figure), alt, width)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _box(ax: Axes, x: float, y: float, width: float, head: str, line: str, colour: str = style.INK, bold: bool = False) -> None:
    ax.add_patch(FancyBboxPatch((x, y), width, _BOX_MM, boxstyle="round,pad=0,rounding_size=0.8", linewidth=0.7,
                                edgecolor=colour if not bold else style.RULE, facecolor=style.PAPER))  # fmt: skip
    ax.text(x + width / 2, y + 2.9, head, ha="center", va="center", fontsize=6.8, color=colour, fontweight=600)
    ax.text(x + width / 2, y + 6.2, line, ha="center", va="center", fontsize=6.8, color=style.INK)


def _arrow(ax: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "-|>,head_length=0.25,head_width=0.12",
                "color": style.QUIET, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
