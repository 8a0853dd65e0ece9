"""The drawing of where patients are on the ladder: small, and true to every edge it is given."""

import re
from itertools import pairwise

import pytest

from pipelines.reports.figures.occupation import Band, occupation_panel
from pipelines.reports.gate import Drawn

DAYS = [float(round(91.3125 * quarter)) for quarter in range(41)]  # ten years by the quarter
TIERS = 8


def bands() -> list[Band]:
    """Eight tiers, others and death, every tenth of the height; edges sink a little with each quarter."""
    names = [f"Tier {rank}" for rank in range(TIERS)]
    upper = [[0.1 * (place + 1) - 0.001 * k * (place < 9) for k in range(41)] for place in range(10)]
    looks = [*enumerate(names), (None, "Other"), (None, "Died")]
    return [
        Band(name, rank, tuple(Drawn(round(y, 3)) for y in edge), is_death=name == "Died")
        for (rank, name), edge in zip(looks, upper, strict=True)
    ]


@pytest.fixture(scope="module")
def svg() -> str:
    return occupation_panel(DAYS, bands(), [(0, "0"), (DAYS[-1], "120")], "Began in tier 0", "bands").svg


def test_the_drawing_of_ten_years_and_ten_bands_is_small(svg: str) -> None:
    assert len(svg) < 60_000


def test_each_band_that_has_a_hatching_has_its_own(svg: str) -> None:
    patterns = re.findall(r"<pattern[^>]*>.*?</pattern>", svg, re.DOTALL)
    drawn = {re.search(r' d="([^"]+)"', pattern)[1] for pattern in patterns}  # type: ignore[index]
    assert len(patterns) == len(drawn) == TIERS  # seven tiers and the others; the first tier and death have none
    assert max(map(len, patterns)) < 3_000


def test_no_edge_is_moved(svg: str) -> None:
    """Each white seam holds a point a day; the axes' own corners give the scale: 0 to 1 from the lowest to the top."""
    seams = re.findall(r'<path d="([^"]+)"[^>]*style="[^"]*stroke: #ffffff', svg)
    assert len(seams) == 10
    points = [[(float(x), float(y)) for x, y in re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", seam)] for seam in seams]
    top = points[-1][0][1]  # the last band ends at 1
    unit = (points[0][0][1] - top) / 0.9  # the first at 0.1
    for band, seam in zip(bands(), points, strict=True):
        places = [x for x, _ in seam]
        assert all(one < other for one, other in pairwise(places))
        ends = [1 - (y - top) / unit for _, y in seam]
        assert ends == pytest.approx([float(edge) for edge in band.upper], abs=2e-4)
