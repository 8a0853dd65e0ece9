"""Tiers can be told apart: in colour, by the colour-blind, and in grey print; figures are the same each time."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.protocol import Protocol
from pipelines.reports import style
from pipelines.reports.content import Shown
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.figures.trajectories import trajectory_panel

# Machado, Oliveira and Fernandes 2009, IEEE TVCG 15:1291, severity 1.0, on linear RGB
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def linear(colour: str) -> np.ndarray:
    """sRGB hex to linear RGB (IEC 61966-2-1)."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(rgb: np.ndarray) -> float:
    return float(rgb @ [0.2126, 0.7152, 0.0722])


def lab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB to CIELAB, D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    f = np.cbrt(xyz / [0.95047, 1.0, 1.08883])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("look", style.LOOKS)
def test_labels_in_tier_colour_have_the_contrast_of_wcag_aa(look: style.TierLook) -> None:
    assert 1.05 / (luminance(linear(look.colour)) + 0.05) >= 4.5


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_five_tiers_differ_in_colour_for_everyone(deficiency: str) -> None:
    matrix = DEFICIENCIES[deficiency]
    seen = [lab(matrix @ linear(look.colour)) for look in style.LOOKS[:5]]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 15


def test_tiers_differ_without_colour_by_line_or_marker() -> None:
    for a, b in combinations(style.LOOKS, 2):
        assert (a.dashes, a.marker, a.is_hollow) != (b.dashes, b.marker, b.is_hollow)
    assert len({look.marker for look in style.LOOKS[:5]}) == 5
    assert len({look.dashes for look in style.LOOKS[:5]}) >= 4


def test_a_tier_keeps_its_look_whichever_others_are_drawn(protocol: Protocol) -> None:
    looks = [style.tier_look(protocol.tier_names.index(name)) for name in ("mild", "fusion")]
    assert looks == [style.LOOKS[2], style.LOOKS[4]]


def panel() -> str:
    series = [
        Series("A", 0, (Point(0, 5.0, 4.0, 6.0, Shown("20")), Point(1, 3.0, 2.0, 4.0, Shown("18")))),  # type: ignore[arg-type]
        Series("B", 1, (Point(0, 5.1, 4.0, 6.0, Shown("30")), Point(1, None, n=Shown("<11", True)))),  # type: ignore[arg-type]
    ]
    return trajectory_panel(series, ["Baseline", "12 mo"], "Pain", "Mean", "alt", limits=(0, 10)).svg


def test_a_figure_is_the_same_each_time_and_its_text_stays_text() -> None:
    first = panel()
    assert first == panel()
    assert first.startswith("<svg")
    assert all(f">{text}</text>" in first for text in ("Baseline", "12 mo", "18", "&lt;11"))
    assert "Inter" in first
    assert "<metadata" not in first


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    panel()
    assert dict(mpl.rcParams) == before


@given(st.lists(st.floats(0, 10), max_size=8), st.floats(0.1, 3))
def test_labels_are_moved_apart_and_stay_in_order(positions: list[float], gap: float) -> None:
    placed = style.spread(positions, gap, 0, 10)
    order = sorted(range(len(positions)), key=lambda i: (positions[i], i))
    room = min(gap, 10 / max(1, len(positions) - 1)) if len(positions) > 1 else gap
    for i, j in pairwise(order):
        assert placed[j] - placed[i] >= room - 1e-6
    assert all(-1e-6 <= p <= 10 + 1e-6 for p in placed)


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert style.spread([1, 5, 9], 2, 0, 10) == pytest.approx([1, 5, 9])
    assert style.spread([5, 5], 2, 0, 10) == pytest.approx([4, 6])
