"""Where a curve may be cut, on times that a reader can count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reports.curves import safe_cuts, value_at


def days(*pairs: tuple[int, float]) -> np.ndarray:
    """`(how many, day)` as an array of days."""
    return np.concatenate([np.full(n, day) for n, day in pairs]) if pairs else np.array([])


def test_a_cut_stands_where_enough_have_left_and_enough_remain() -> None:
    events, censored = days((11, 50), (12, 150)), days((20, 250), (30, 400))
    cuts = safe_cuts([events, censored], [100, 200, 300], minimum=11)
    assert cuts.times == (0, 100, 200, 300)
    assert cuts.at_risk == (73, 62, 50, 30)


def test_an_interval_with_few_events_is_joined_to_the_next() -> None:
    events = days((4, 50), (9, 150))
    cuts = safe_cuts([events, days((40, 300))], [100, 200], minimum=11)
    assert cuts.times == (0, 200)


def test_an_interval_without_any_event_may_stand() -> None:
    assert safe_cuts([days((15, 150)), days((40, 300))], [100, 200], minimum=11).times == (0, 100, 200)


def test_the_curve_ends_where_few_remain_at_risk() -> None:
    assert safe_cuts([days((30, 50), (15, 150)), days((10, 250))], [100, 200], minimum=11).times == (0, 100)


def test_few_censored_in_an_interval_forbid_a_cut_too() -> None:
    # 11 events and 3 censored by day 100: those leaving (14) less the events that the curve shows would give the 3
    assert safe_cuts([days((11, 50)), days((3, 60), (40, 300))], [100], minimum=11).is_empty


def test_fewer_patients_than_the_minimum_give_no_curve() -> None:
    assert safe_cuts([days((10, 50))], [100], minimum=11).times == ()


def test_a_horizon_is_kept_at_the_cost_of_other_cuts() -> None:
    # cutting at 100 leaves 5 events to 200 and 8 to 300; only one of the three intervals' ends can be had beside it
    events = days((11, 50), (5, 150), (8, 250))
    rest = days((40, 500))
    assert safe_cuts([events, rest], [100, 200, 300], minimum=11).times == (0, 100, 300)
    assert safe_cuts([events, rest], [100, 200, 300], minimum=11, worth={200.0: 1000.0}).times == (0, 200)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 100), max_size=120),
    st.lists(st.integers(1, 100), max_size=60),
    st.sets(st.integers(5, 100), max_size=12),
)
def test_no_interval_shows_a_small_count(events: list[int], censored: list[int], grid: set[int]) -> None:
    kinds = [np.array(events, float), np.array(censored, float)]
    cuts = safe_cuts(kinds, sorted(grid), minimum=11)
    for start, end in zip(cuts.times, cuts.times[1:], strict=False):
        for kind in (*kinds, np.concatenate(kinds)):
            n = int(((kind > start) & (kind <= end)).sum())
            assert n == 0 or n >= 11
    assert all(n >= 11 for n in cuts.at_risk)


def test_a_step_function_is_read_from_the_right() -> None:
    values = value_at(np.array([10.0, 20.0]), np.array([0.1, 0.4]), [0, 9, 10, 19, 20, 99], start=0.0)
    assert values == pytest.approx([0, 0, 0.1, 0.1, 0.4, 0.4])
