"""Charts for notebooks draw what passed the gate, in the tiers' own looks, and bring their script along."""

import json
import re

from pipelines.reports.content import Shown
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.gate import Drawn
from pipelines.reports.interactive import chart, script
from pipelines.reports.style import LOOKS

TICKS = [(0.0, "Baseline"), (1.0, "12 months")]
ESI = Series(
    "ESI",
    1,
    (
        Point(0, Drawn(6.2), Drawn(5.9), Drawn(6.5), Shown("140")),
        Point(1, Drawn(4.1), Drawn(3.7), Drawn(4.5), Shown("≈95")),
    ),
)
HIDDEN = Series("MILD", 2, (Point(0, Drawn(6.0)), Point(1, None, n=Shown("<11", True))))


def _traces(fragment: str) -> list[dict[str, object]]:
    found = re.search(r'Plotly\.newPlot\(\s*"chart-\d+",\s*(\[.*?\]),\s*\{"', fragment, re.DOTALL)
    assert found is not None
    traces: list[dict[str, object]] = json.loads(found[1])
    return traces


def test_points_intervals_and_numbers_are_those_of_the_series() -> None:
    made = chart([ESI, HIDDEN], TICKS, "Leg pain", "Mean score")
    [trace] = _traces(made.fragment)
    assert trace["name"] == "ESI"
    assert (trace["x"], trace["y"]) == ([0, 1], [6.2, 4.1])
    assert trace["text"] == [
        "Baseline: 6.2 (95 % 5.9 to 6.5)<br>140 patients",
        "12 months: 4.1 (95 % 3.7 to 4.5)<br>≈95 patients",
    ]
    assert trace["line"]["color"] == LOOKS[1].colour  # type: ignore[index]
    assert "Not drawn, too few patients: MILD." in made.fragment
    assert made.words == "Interactive line chart, Leg pain: ESI from 6.2 to 4.1."
    assert f'aria-label="{made.words}"' in made.fragment


def test_shares_told_in_per_cent_are_no_finer_than_the_gate_let_them() -> None:
    share = Series("ESI", 1, (Point(0, Drawn(0.0)), Point(1, Drawn(0.29), Drawn(0.07), Drawn(0.57))))
    [trace] = _traces(chart([share], TICKS, "Failed", "Per cent", unit=" %", digits=0, scale=100).fragment)
    assert trace["y"] == [0, 29]
    assert trace["text"][1] == "12 months: 29 % (95 % 7 to 57)"  # type: ignore[index]


def test_the_page_works_offline() -> None:
    made = chart([ESI], TICKS, "Leg pain", "Mean score").fragment
    assert "http" not in made.replace("https://plot.ly", "")
    assert "src=" not in made
    assert len(script().fragment) > 1_000_000


def test_two_charts_in_one_page_do_not_share_a_name() -> None:
    names = [re.findall(r'id="(chart-\d+)"', chart([ESI], TICKS, "A", "B").fragment) for _ in range(2)]
    assert names[0] != names[1]
