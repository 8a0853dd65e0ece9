"""Outcomes over visits by tier: a mean with its interval at each visit, labelled at the line's end."""

from collections.abc import Sequence

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.figures.marks import Series, height_of_numbers_mm, line_look, numbers_below


def trajectory_panel(
    series: Sequence[Series],
    visits: Sequence[str],
    title: str,
    axis: str,
    alt: str,
    limits: tuple[float, float] | None = None,
    is_log: bool = False,
    ticks: Sequence[float] | None = None,
    unit: str = "",
) -> Panel:
    """One panel; points of a series have the visit's place (0, 1, …) as `x`, so that visits are evenly spaced."""
    below = height_of_numbers_mm(series)
    height = 43 + below
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, height)
        ax = style.axes_mm(figure, left=18.5, bottom=below, right=17.5, top=5.5)
        if is_log:
            ax.set_yscale("log")
        spread = 0.055
        for place, one in enumerate(series):
            shift = (place - (len(series) - 1) / 2) * spread
            points = one.drawn
            xs = [p.x + shift for p in points]
            ax.plot(xs, [float(p.y or 0) for p in points], zorder=3, **line_look(one))
            for p, x in zip(points, xs, strict=True):
                if p.low is not None and p.high is not None:
                    ax.plot([x, x], [p.low, p.high], color=one.look.colour, linewidth=0.7, zorder=2)
        ax.set_xlim(-0.35, len(visits) - 1 + 0.35)
        ax.set_xticks(range(len(visits)), visits)
        if limits:
            ax.set_ylim(*limits)
        if ticks is not None:
            ax.set_yticks(ticks, [f"{tick:,.0f}{unit}" for tick in ticks])
            ax.minorticks_off()
        elif unit:
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}{unit}")
        ax.grid(axis="y", color=style.FAINT, linewidth=0.5, zorder=0)
        ax.set_axisbelow(True)
        ax.set_title(axis, loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        ends = [(one.drawn[-1], one) for one in series if one.drawn]
        last = len(visits) - 1 + 0.16
        style.direct_labels(ax, last, [(float(p.y or 0), one.label, one.look.colour) for p, one in ends])
        numbers_below(ax, series, "Patients")
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)
