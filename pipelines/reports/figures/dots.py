"""Shares of responders by threshold: one row a threshold, one dot with its interval a tier."""

from collections.abc import Sequence

from pipelines.reports import numbers, style
from pipelines.reports.content import Panel
from pipelines.reports.figures.marks import Series

_DOT_MM = 2.35


def dot_panel(series: Sequence[Series], rows: Sequence[str], title: str, alt: str) -> Panel:
    """One panel; points of a series have the row's place as `x` and a share as `y`."""
    row_mm = _DOT_MM * len(series) + 2.6
    height = 14 + row_mm * len(rows)
    with style.house_style():
        figure = style.canvas(style.COLUMN_MM, height)
        ax = style.axes_mm(figure, left=25, bottom=8, right=25, top=3)
        ax.set_xlim(0, 1)
        ax.set_ylim(len(rows), 0)
        for place, label in enumerate(rows):
            if place:
                ax.axhline(place, color=style.FAINT, linewidth=0.5)
            ax.annotate(label, (0, place + 0.5), xycoords=("axes fraction", "data"), xytext=(-5, 0),
                        textcoords="offset points", ha="right", va="center", fontsize=style.FONT_SIZE - 0.3,
                        )  # fmt: skip
        unit = _DOT_MM / row_mm
        for number, one in enumerate(series):
            shift = 0.5 + (number - (len(series) - 1) / 2) * unit
            for point in one.drawn:
                y = point.x + shift
                if point.low is not None and point.high is not None:
                    ax.plot([point.low, point.high], [y, y], color=one.look.colour, linewidth=0.8)
                ax.plot([float(point.y or 0)], [y], marker=one.look.marker, color=one.look.colour, markersize=3.4,
                        markerfacecolor=one.look.face, linestyle="none")  # fmt: skip
            for point in one.points:
                share = point.n.text if point.n is not None else ""
                text = f"{share}  {one.label}" if point.x == 0 else share
                ax.annotate(text, (1, point.x + shift), xycoords=("axes fraction", "data"), xytext=(4, 0), ha="left",
                            textcoords="offset points", va="center", fontsize=style.FONT_SIZE - 1.2,
                            color=one.look.colour, annotation_clip=False)  # fmt: skip
        ax.spines["left"].set_visible(False)
        ax.set_yticks([])
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], [f"{25 * k}{numbers.NBSP}%" for k in range(5)])
        ax.grid(axis="x", color=style.FAINT, linewidth=0.5)
        ax.set_axisbelow(True)
        return Panel(style.svg(figure), alt, style.COLUMN_MM, title)
