"""What figures are made of: points and series that have passed the gate, and parts that several figures share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from pipelines.reports import style
from pipelines.reports.content import Shown
from pipelines.reports.gate import Drawn
from pipelines.reports.style import TierLook, tier_look


@dataclass(frozen=True)
class Point:
    """A position with an estimate, its limits and the number of patients behind it; None is not drawn."""

    x: float
    y: Drawn | None
    low: Drawn | None = None
    high: Drawn | None = None
    n: Shown | None = None


@dataclass(frozen=True)
class Series:
    """One tier's points. `rank` is its place on the ladder, which fixes its look."""

    label: str
    rank: int
    points: tuple[Point, ...]

    @property
    def look(self) -> TierLook:
        """Colour, line and marker of the tier."""
        return tier_look(self.rank)

    @property
    def drawn(self) -> list[Point]:
        """Points that may be drawn."""
        return [point for point in self.points if point.y is not None]


def line_look(series: Series, marker_size: float = 3.6) -> dict[str, Any]:
    """Keywords for `Axes.plot` that give a tier's line its look."""
    look = series.look
    return {
        "color": look.colour,
        "dashes": look.dashes or (None, None),
        "marker": look.marker,
        "markersize": marker_size,
        "markerfacecolor": look.face,
        "markeredgecolor": look.colour,
    }


def numbers_below(
    ax: Axes, series: Sequence[Series], title: str, first_mm: float = 9.5, step_mm: float = 2.9, left_mm: float = 16.5
) -> None:
    """A row of numbers under the axis for each series, at the points' positions, as under a survival curve."""
    to_points = 72 * style.MM
    ax.annotate(
        title,
        (0, 0),
        xycoords="axes fraction",
        xytext=(-left_mm * to_points, -first_mm * to_points),
        textcoords="offset points",
        fontsize=style.FONT_SIZE - 0.7,
        color=style.QUIET,
        ha="left",
        va="center",
        annotation_clip=False,
    )
    for row, one in enumerate(series, 1):
        drop = -(first_mm + row * step_mm) * to_points
        ax.annotate(
            one.label,
            (0, 0),
            xycoords="axes fraction",
            xytext=(-left_mm * to_points, drop),
            textcoords="offset points",
            fontsize=style.FONT_SIZE - 0.7,
            color=one.look.colour,
            fontweight=600,
            ha="left",
            va="center",
            annotation_clip=False,
        )
        for point in one.points:
            if point.n is not None:
                ax.annotate(
                    point.n.text,
                    (point.x, 0),
                    xycoords=("data", "axes fraction"),
                    xytext=(0, drop),
                    textcoords="offset points",
                    fontsize=style.FONT_SIZE - 0.7,
                    color=style.QUIET if point.n.is_withheld else style.INK,
                    ha="center",
                    va="center",
                    annotation_clip=False,
                )


def height_of_numbers_mm(series: Sequence[Series]) -> float:
    """Room that `numbers_below` needs under the axis."""
    return 11.5 + 2.9 * len(series)
