"""Log cumulative hazard against log time, one panel for each contrast: parallel lines mean proportional hazards."""

from collections.abc import Sequence

from pipelines.reports import style
from pipelines.reports.content import Panel
from pipelines.reports.figures.marks import Series, line_look


def log_log_panel(series: Sequence[Series], x_ticks: Sequence[tuple[float, str]], title: str, alt: str) -> Panel:
    """One panel of two or more arms; `x` in days (drawn on a log axis), `y` the log of the cumulative hazard."""
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, 50)
        ax = style.axes_mm(figure, left=11, bottom=9.5, right=19, top=5.5)
        ax.set_xscale("log")
        for one in series:
            banded = [p for p in one.drawn if p.low is not None and p.high is not None]
            lows, highs = [float(p.low or 0) for p in banded], [float(p.high or 0) for p in banded]
            ax.fill_between([p.x for p in banded], lows, highs, color=one.look.colour, alpha=0.10, linewidth=0)
            heights = [float(p.y or 0) for p in one.drawn]
            ax.plot([p.x for p in one.drawn], heights, clip_on=False, zorder=3, **line_look(one))
        places = [x for x, _ in x_ticks]
        ax.set_xlim(places[0] * 0.92, places[-1])
        ax.set_xticks(places, [label for _, label in x_ticks])
        ax.minorticks_off()
        ax.grid(axis="y", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        ax.set_xlabel("Months since the tier began, on a log scale", labelpad=2, color=style.QUIET)
        axis = "Log of the cumulative hazard"
        ax.set_title(axis, loc="left", x=-0.02, fontsize=style.FONT_SIZE, color=style.QUIET, pad=5)
        ends = [(float(one.drawn[-1].y or 0), one.label, one.look.colour) for one in series]
        style.direct_labels(ax, max(one.drawn[-1].x for one in series), ends)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)
