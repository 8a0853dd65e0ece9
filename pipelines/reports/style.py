"""The one plotting style: sizes, type, the look of each tier, and the way an axis is dressed.

Every figure of the project is drawn with these; what is drawn belongs in `figures/`. Text stays text in the SVG, set in
the bundled Inter, so that figures are small, sharp, searchable and the same in HTML and PDF.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

FONTS = Path(__file__).parent / "fonts"
MM = 1 / 25.4
COLUMN_MM = 86.0  # one column of an A4 page, and about the width of a phone's screen
WIDE_MM = 176.0  # both columns

INK = "#1b2733"
QUIET = "#5a6672"
RULE = "#c9d0d6"
FAINT = "#e8ecef"
WASH = "#f6f8f9"
BAND = "#dde3e8"
PAPER = "#ffffff"
ACCENT = "#0b5c8a"
ALERT = "#9a3412"

FONT_SIZE = 7.0


@dataclass(frozen=True)
class TierLook:
    """How one tier looks in every figure: colour, and line and marker for print without colour."""

    colour: str
    dashes: tuple[float, ...]
    marker: str
    is_hollow: bool = False

    @property
    def face(self) -> str:
        """Fill of the marker."""
        return PAPER if self.is_hollow else self.colour


# By protocol rank, lowest first. Colours in the manner of Okabe and Ito (2008), darkened until each has a contrast of
# at least 4.5 to 1 on white, so that a label may wear its tier's colour, and moved apart until the first five differ
# for the colour-blind as well; lines and markers differ too.
LOOKS: tuple[TierLook, ...] = (
    TierLook("#6b7280", (), "o", is_hollow=True),
    TierLook("#0a62b0", (4.0, 1.4), "s"),
    TierLook("#00805f", (1.2, 1.2), "^"),
    TierLook("#b3400e", (), "D"),
    TierLook("#5a0f45", (5.0, 1.2, 1.2, 1.2), "v"),
    TierLook("#4b3ea8", (2.4, 1.2), "P", is_hollow=True),
    TierLook("#7a5c00", (6.0, 2.0), "X"),
    TierLook("#1f1f1f", (1.2, 2.0), "s", is_hollow=True),
)

_SETTINGS: dict[str, Any] = {
    "font.family": "Inter",
    "font.size": FONT_SIZE,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 1,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": FONT_SIZE - 0.5,
    "ytick.labelsize": FONT_SIZE - 0.5,
    "xtick.major.size": 2.4,
    "ytick.major.size": 2.4,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.pad": 2.5,
    "ytick.major.pad": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.8,
    "lines.dash_capstyle": "butt",
    "lines.scale_dashes": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "lss",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "mathtext.fontset": "stix",
}


def tier_look(rank: int) -> TierLook:
    """The look of the tier at this place of the protocol's ladder, counted from 0; looks repeat after eight."""
    return LOOKS[rank % len(LOOKS)]


def _register_fonts() -> None:
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for name, weight, slant in (("Regular", 400, "normal"), ("SemiBold", 600, "normal"), ("Italic", 400, "italic")):
        path = str(FONTS / f"Inter-{name}.otf")
        if path not in known:
            font_manager.fontManager.ttflist.append(
                font_manager.FontEntry(
                    fname=path, name="Inter", style=slant, weight=weight, stretch="normal", size="scalable"
                )
            )


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside this block to draw in the house style; settings outside are left as they were."""
    _register_fonts()
    with mpl.rc_context(_SETTINGS):  # type: ignore[arg-type]
        yield


def canvas(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of that size, without pyplot's global state."""
    figure = Figure(figsize=(width_mm * MM, height_mm * MM))
    FigureCanvasSVG(figure)
    return figure


def axes_mm(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes placed by their margins in millimetres, so that panels of one figure line up."""
    width, height = (float(inches) / MM for inches in figure.get_size_inches())
    return figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )


def svg(figure: Figure) -> str:
    """The figure as an SVG element, byte for byte the same for the same drawing."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", text)
    # hundredths of a point are enough, save for the factors by which outlines of letters are scaled
    text = re.sub(r"scale\([^)]*\)|(-?\d+\.\d{2})\d+", lambda found: found[1] or found[0], text)
    return re.sub(r"\n\s*", "\n", text).strip()


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved as little as needed to stand at least `gap` apart within `low` to `high`, in the same order."""
    order = sorted(range(len(positions)), key=lambda i: (positions[i], i))
    gap = min(gap, (high - low) / max(1, len(order) - 1)) if len(order) > 1 else gap
    blocks: list[tuple[list[int], float]] = []
    for i in order:
        blocks.append(([i], positions[i]))
        while len(blocks) > 1 and blocks[-2][1] + gap * len(blocks[-2][0]) > blocks[-1][1] + 1e-12:
            later, _ = blocks.pop()
            members = blocks.pop()[0] + later
            start = sum(positions[m] - gap * k for k, m in enumerate(members)) / len(members)
            blocks.append((members, start))
    placed = [0.0] * len(positions)
    floor = low
    ceiling = high - gap * (len(order) - 1)
    for members, start in blocks:
        start = min(max(start, floor), ceiling)
        for k, member in enumerate(members):
            placed[member] = start + gap * k
        floor = start + gap * len(members)
        ceiling += gap * len(members)
    return placed


def direct_labels(ax: Axes, x: float, labels: Sequence[tuple[float, str, str]], gap_points: float = 8.0) -> None:
    """Write (y, text, colour) labels to the right of x in data units, moved apart where they would touch."""
    if not labels:
        return
    low, high = ax.get_ylim()
    height_points = ax.get_window_extent().height / ax.figure.dpi * 72
    gap = gap_points / height_points * (high - low)
    for (y, text, colour), place in zip(labels, spread([y for y, _, _ in labels], gap, low, high), strict=True):
        ax.annotate(
            text,
            (x, place),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            ha="left",
            fontsize=FONT_SIZE - 0.3,
            fontweight=600,
            annotation_clip=False,
        )
        if abs(place - y) > gap * 0.35:
            rise = (place - y) / (high - low) * height_points
            ax.annotate("", (x, y), xytext=(4.5, rise), textcoords="offset points",
                        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
                        annotation_clip=False)  # fmt: skip
