"""Sites in a funnel plot and over their patients: each with the limits that are exact for its own patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.gate import Drawn


@dataclass(frozen=True)
class FunnelSite:
    """A site's observed over expected with its inner and outer limits; `label` only where it may be named."""

    label: str
    expected: Drawn
    ratio: Drawn
    inner: tuple[float, float]
    outer: tuple[float, float]
    is_signal: bool
    is_own: bool = False


@dataclass(frozen=True)
class ChartLine:
    """One site's VLAD at the ends of its blocks: patients, value, and an ordinary site's limits there."""

    label: str
    points: tuple[tuple[float, ...], ...]
    is_marked: bool
    has_band: bool = False


_MANY = 16  # sites, from which on bars are thin
_BAR = "#9aa5af"
_ORDINARY: dict[str, Any] = {"markersize": 3.0, "markerfacecolor": style.PAPER}


def funnel_panel(sites: Sequence[FunnelSite], title: str, alt: str) -> Panel:
    """Observed over expected against the expected count; bars are limits, light 99.8 %, dark 95 %."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 62)
        ax = style.axes_mm(figure, left=11, bottom=10, right=9, top=3)
        bar: dict[str, Any] = {"linewidth": 3.2 if len(sites) <= _MANY else 1.8, "solid_capstyle": "butt"}
        for site in sites:
            ax.plot([site.expected] * 2, site.outer, color=style.RULE, zorder=1, **bar)
            ax.plot([site.expected] * 2, site.inner, color=_BAR, zorder=2, **bar)
            stands_out = site.is_signal or site.is_own
            colour = style.ALERT if site.is_signal else style.ACCENT if site.is_own else style.INK
            look = {"markersize": 4.2, "markerfacecolor": colour} if stands_out else _ORDINARY
            ax.plot([site.expected], [site.ratio], "D" if site.is_signal else "o", color=colour, zorder=4, **look)
            if stands_out and site.label:
                ax.annotate(site.label, (site.expected, site.ratio), xytext=(4, 3), textcoords="offset points",
                            fontsize=style.FONT_SIZE - 0.3, color=colour, fontweight=600, zorder=5)  # fmt: skip
        ax.axhline(1, color=style.QUIET, linewidth=0.6, zorder=0)
        ax.set_xlim(*_range([float(site.expected) for site in sites]))
        ax.set_ylim(0, max(2.0, 1.08 * max(max(float(s.ratio), s.outer[1]) for s in sites)))
        ax.set_xlabel("Expected number of patients with the event")
        ax.set_title("Observed over expected", loc="left", x=-0.06, fontsize=style.FONT_SIZE, color=style.QUIET, pad=3)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def vlad_panel(lines: Sequence[ChartLine], title: str, alt: str) -> Panel:
    """Expected minus observed over patients: a line that falls has more events than expected."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 55)
        ax = style.axes_mm(figure, left=11, bottom=10, right=12, top=4)
        ends = []
        for line in lines:
            xs, ys = [0.0, *(p[0] for p in line.points)], [0.0, *(p[1] for p in line.points)]
            colour = _BAR if not line.is_marked else style.ACCENT if line.has_band else style.ALERT
            if line.has_band:
                low, high = ([0.0, *(p[k] for p in line.points)] for k in (2, 3))
                ax.fill_between(xs, low, high, color=style.RULE, linewidth=0, zorder=1)
            ax.plot(xs, ys, color=colour, linewidth=1.3 if line.is_marked else 0.7, zorder=3 if line.is_marked else 2,
                    marker="o", markersize=2)  # fmt: skip
            if line.label:
                ends.append((xs[-1], ys[-1], line.label, colour))
        for x, y, label, colour in ends:
            ax.annotate(label, (x, y), xytext=(3, 0), textcoords="offset points", va="center", color=colour,
                        fontsize=style.FONT_SIZE - 0.3, fontweight=600)  # fmt: skip
        ax.axhline(0, color=style.QUIET, linewidth=0.6, zorder=0)
        ax.set_xlim(0, None)
        ax.set_xlabel("Patients of the site, in order")
        ax.set_title("Expected minus observed", loc="left", x=-0.06, fontsize=style.FONT_SIZE, color=style.QUIET, pad=3)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)


def _range(xs: Sequence[float]) -> tuple[float, float]:
    """Room on both sides, also where all sites are alike."""
    room = max(0.12 * (max(xs) - min(xs)), 0.06 * max(xs))
    return max(0.0, min(xs) - room), max(xs) + 1.5 * room
