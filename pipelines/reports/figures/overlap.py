"""Positivity: how the preference scores of two arms overlap, one arm above the line and the other below it."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel, Shown
from pipelines.reports.gate import Drawn

_WIDTH = 0.1  # heights are shares per tenth of the score, whatever a bin's width


@dataclass(frozen=True)
class OverlapBin:
    """A span of preference scores with the share of the arm's patients in it; None may not be shown."""

    low: float
    high: float
    share: Drawn | None


@dataclass(frozen=True)
class OverlapArm:
    """One arm's histogram, and its share in the middle in words; `rank` fixes its look."""

    label: str
    rank: int
    bins: tuple[OverlapBin, ...]
    middle: Shown


def overlap_panel(tier: OverlapArm, reference: OverlapArm, middle: tuple[float, float], title: str, alt: str) -> Panel:
    """One panel: the tier above the line, the reference below; shaded is where either was a real choice."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 48)
        ax = style.axes_mm(figure, left=11, bottom=9.5, right=23, top=2)
        top = 1.15 * max([_height(b) for arm in (tier, reference) for b in arm.bins], default=0.1)
        top = max(top, 0.1)
        ax.set_xlim(0, 1)
        ax.set_ylim(-top, top)
        ax.axvspan(*middle, color=style.BAND, alpha=0.55, linewidth=0, zorder=0)
        for arm, sign in ((tier, 1), (reference, -1)):
            _draw_arm(ax, arm, sign, top)
        ax.axhline(0, color=style.INK, linewidth=0.6, zorder=4)
        step = 0.1 if top < 0.35 else 0.2
        ticks = [k * step for k in range(-int(top / step), int(top / step) + 1)]
        ax.set_yticks(ticks, [f"{100 * abs(t):.0f}{numbers.NBSP}%" for t in ticks])
        ax.set_xticks([0, 0.3, 0.5, 0.7, 1], ["0", "0.3", "0.5", "0.7", "1"])
        ax.set_xlabel("Preference score (towards the higher tier)")
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _height(found: OverlapBin) -> float:
    return 0.0 if found.share is None else float(found.share) * _WIDTH / (found.high - found.low)


def _draw_arm(ax: Axes, arm: OverlapArm, sign: int, top: float) -> None:
    colour = style.tier_look(arm.rank).colour
    for found in arm.bins:
        height = sign * _height(found)
        ax.bar(found.low, height, width=found.high - found.low, align="edge", color=colour, alpha=0.55, linewidth=0.6,
               edgecolor=style.PAPER, zorder=2)  # fmt: skip
    for text, rise, weight, ink in ((arm.label, 0.62, 600, colour), (arm.middle.text, 0.38, 400, style.INK),
                                    ("in the middle", 0.2, 400, style.QUIET)):  # fmt: skip
        ax.annotate(text, (1, sign * rise * top), xycoords=("axes fraction", "data"), xytext=(5, 0),
                    textcoords="offset points", ha="left", va="center", fontsize=style.FONT_SIZE - 0.7, color=ink,
                    fontweight=weight, annotation_clip=False)  # fmt: skip


def described(arms: Sequence[OverlapArm]) -> str:
    """The arms in words, for those who cannot see the panel."""
    return "; ".join(f"{arm.label}: {arm.middle.text} between 0.3 and 0.7" for arm in arms)
