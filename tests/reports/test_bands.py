"""Which states may be drawn apart, on moves that a reader can count."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reports.bands import Bands, safe_bands

STATES = ("care", "injection", "surgery", "death")
Move = tuple[float, str, str]


def stays(*courses: tuple[int, list[Move]]) -> pl.DataFrame:
    """`(how many, moves)`: that many patients with the same moves (day, from, to)."""
    rows = []
    for number, moves in courses:
        for _ in range(number):
            patient = f"P{len({row[0] for row in rows}):03d}"
            rows += [(patient, float(day), before, after) for day, before, after in moves]
    return pl.DataFrame(rows, schema=["patient_id", "stop_days", "from_state", "to_state"], orient="row")


END: Move = (900, "care", "censor")


def bands(frame: pl.DataFrame, grid: list[float]) -> Bands:
    return safe_bands(frame, "care", STATES, grid, minimum=11)


def test_states_with_enough_moves_stand_apart() -> None:
    frame = stays(
        (12, [(50, "care", "injection"), (900, "injection", "censor")]),
        (15, [(150, "care", "surgery"), (900, "surgery", "censor")]),
        (40, [END]),
    )
    found = bands(frame, [100, 200])
    assert found.states == (("care",), ("injection",), ("surgery",))
    assert (found.cuts.times, found.cuts.at_risk) == ((0, 100, 200), (67, 67, 67))


def test_rare_states_are_drawn_together() -> None:
    frame = stays(
        (30, [(50, "care", "injection"), (900, "injection", "censor")]),
        (6, [(60, "care", "surgery"), (900, "surgery", "censor")]),
        (7, [(70, "care", "death")]),
        (40, [END]),
    )
    assert bands(frame, [100]).states == (("care",), ("injection",), ("surgery", "death"))


def test_death_stays_on_top_of_a_pool_that_it_is_not_in() -> None:
    frame = stays(
        (30, [(50, "care", "death")]),
        (6, [(60, "care", "surgery"), (900, "surgery", "censor")]),
        (7, [(70, "care", "injection"), (900, "injection", "censor")]),
        (40, [END]),
    )
    assert bands(frame, [100]).states == (("care",), ("injection", "surgery"), ("death",))


def test_a_band_that_would_hold_few_is_joined_to_the_rest() -> None:
    # 14 are injected and 9 of them operated on by day 200: 5 would be left in the band of injections
    frame = stays(
        (9, [(50, "care", "injection"), (150, "injection", "surgery"), (900, "surgery", "censor")]),
        (5, [(50, "care", "injection"), (900, "injection", "censor")]),
        (11, [(160, "care", "surgery"), (900, "surgery", "censor")]),
        (40, [END]),
    )
    assert bands(frame, [200]).states == (("care",), ("injection", "surgery"))


def test_a_time_before_anybody_moved_shows_nothing() -> None:
    frame = stays((5, [(150, "care", "surgery"), (900, "surgery", "censor")]), (40, [END]))
    assert bands(frame, [100, 200]).is_empty


def test_a_state_reached_only_later_is_no_band() -> None:
    frame = stays(
        (12, [(50, "care", "injection"), (900, "injection", "censor")]),
        (5, [(150, "care", "surgery"), (900, "surgery", "censor")]),
        (40, [END]),
    )
    assert bands(frame, [100]).states == (("care",), ("injection",))


@pytest.mark.parametrize(
    "courses",
    [
        [(5, [(50, "care", "surgery"), (900, "surgery", "censor")]), (40, [END])],
        [(12, [(50, "care", "surgery"), (900, "surgery", "censor")]), (9, [END])],
        [(12, [(50, "care", "surgery"), (900, "surgery", "censor")]), (3, [(60, "care", "censor")]), (40, [END])],
        [(10, [(50, "care", "surgery"), (900, "surgery", "censor")])],
    ],
    ids=["few moved", "few stayed", "few were lost", "few patients"],
)
def test_where_few_moved_stayed_or_were_lost_nothing_is_drawn(courses: list[tuple[int, list[Move]]]) -> None:
    assert bands(stays(*courses), [100]).is_empty


moves = st.tuples(st.integers(1, 20), st.sampled_from(STATES[1:]), st.integers(1, 100), st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.lists(moves, max_size=12), st.integers(0, 40), st.sets(st.integers(5, 100), max_size=8))
def test_no_band_and_no_step_of_one_is_of_few(
    courses: list[tuple[int, str, int, bool]], staying: int, grid: set[int]
) -> None:
    made = []
    for number, state, day, goes_on in courses:
        tail: list[Move] = [] if state == "death" else [(day + 30.0, state, "death" if goes_on else "censor")]
        made.append((number, [(float(day), "care", state), *tail]))
    frame = stays(*made, (staying, [END])) if made or staying else stays((1, [END]))
    found = bands(frame, sorted(float(day) for day in grid))
    patients = frame["patient_id"].n_unique()
    rows = frame.rows(named=True)
    for day in found.cuts.times:
        for band in found.states:
            held = (patients if "care" in band else 0) + sum(
                (row["to_state"] in band) - (row["from_state"] in band) for row in rows if 0 < row["stop_days"] <= day
            )
            assert held == 0 or held >= 11
    for start, end in zip(found.cuts.times, found.cuts.times[1:], strict=False):
        inside = [row for row in rows if start < row["stop_days"] <= end]
        for band in found.states:
            entered = sum(row["to_state"] in band and row["from_state"] not in band for row in inside)
            assert entered == 0 or entered >= 11
        lost = sum(row["to_state"] == "censor" for row in inside)
        assert lost == 0 or lost >= 11
