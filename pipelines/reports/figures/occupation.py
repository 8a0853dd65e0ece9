"""Where patients are over time as stacked bands, one panel for each tier of entry.

Bands keep the tiers' order and colour; hatching, white seams and a label in or beside each band tell them apart in grey
print. Straight lines join the days that the gate allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn

# Lines only: a tile of dots or rings is two hundred times as long as one of lines in the SVG.
_HATCHES = ("", "////", "||||", "\\\\\\\\", "xxxx", "++++", "//", "xx")
_DEATH, _POOLED = ("#3a434c", "", 0.9), ("#9aa3ab", "----", 0.25)


@dataclass(frozen=True)
class Band:
    """One band: its upper edge at each day, as a share of patients.

    `rank` is a tier's place on the ladder, None for death and for several states; `is_death` marks the first of these.
    """

    label: str
    rank: int | None
    upper: tuple[Drawn, ...]
    is_death: bool = False

    @property
    def look(self) -> tuple[str, str, float]:
        """Colour, hatching, and how strongly the colour fills."""
        if self.rank is None:
            return _DEATH if self.is_death else _POOLED
        return style.tier_look(self.rank).colour, _HATCHES[self.rank % len(_HATCHES)], 0.35


def occupation_panel(
    days: Sequence[float], bands: Sequence[Band], x_ticks: Sequence[tuple[float, str]], title: str, alt: str
) -> Panel:
    """Bands stacked from the lowest; `days` are the positions of their upper edges, ticks are (position, label)."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 50)
        ax = style.axes_mm(figure, left=10, bottom=9.5, right=24, top=5.5)
        ax.set_xlim(0, x_ticks[-1][0])
        ax.set_ylim(0, 1)
        lower: list[float] = [0.0] * len(days)
        for band in bands:
            _fill(ax, days, lower, band)
            lower = [float(edge) for edge in band.upper]
        ax.set_xticks([x for x, _ in x_ticks], [label for _, label in x_ticks])
        shares = (0, 0.25, 0.5, 0.75, 1)
        ax.set_yticks(shares, [f"{100 * share:.0f}{numbers.NBSP}%" for share in shares])
        ax.set_xlabel("Months since the first tier began", labelpad=2, color=style.QUIET)
        ax.set_title("Per cent of patients", loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        style.direct_labels(ax, days[-1], list(_labels(bands)))
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _fill(ax: Axes, days: Sequence[float], lower: Sequence[float], band: Band) -> None:
    colour, hatch, strength = band.look
    upper = [float(edge) for edge in band.upper]
    ax.fill_between(days, lower, upper, facecolor=colour, alpha=strength, linewidth=0, zorder=2)
    if hatch:
        ax.fill_between(
            days, lower, upper, facecolor="none", edgecolor=colour, hatch=hatch, linewidth=0, alpha=0.55, zorder=3
        )
    ax.plot(days, upper, color=style.PAPER, linewidth=1.0, zorder=4)


def _labels(bands: Sequence[Band]) -> list[tuple[float, str, str]]:
    """A label in the middle of each band's right end with its share there; bands that are empty there have none."""
    found, below = [], 0.0
    for band in bands:
        top = float(band.upper[-1])
        if top - below > 0.004:
            colour = band.look[0] if band.rank is not None or band.is_death else style.QUIET
            found.append(((below + top) / 2, f"{band.label} {numbers.percent(top - below)}", colour))
        below = top
    return found
