"""Turnbull's curve: on paper, beside Kaplan-Meier where times are exact, and its optimality conditions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models._frames import ModelInputError
from pipelines.models.interval import turnbull
from pipelines.models.survival import kaplan_meier


def test_two_overlapping_intervals_share_their_overlap():
    # (0, 2] and (1, 3]: the likelihood is largest with all mass on (1, 2].
    curve = turnbull(pl.DataFrame({"lower": [0, 1], "upper": [2, 3]}), "lower", "upper")
    assert curve.select("lower", "upper", "mass", "estimate").rows() == [(1.0, 2.0, 1.0, 0.0)]


def test_four_visits_on_paper():
    # (0,1], (0,1], (1,2] and one never seen after 2: masses 1/2, 1/4 and 1/4 beyond.
    frame = pl.DataFrame({"lower": [0, 0, 1, 2], "upper": [1, 1, 2, None]})
    curve = turnbull(frame, "lower", "upper")
    assert curve["mass"].to_list() == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    assert curve["upper"].to_list() == [1, 2, None]
    assert curve["estimate"].to_list() == pytest.approx([1 / 2, 1 / 4, 0])


def test_exact_and_right_censored_times_give_kaplan_meier(subjects):
    frame = subjects.with_columns(upper=pl.when("event").then("time"))
    curve = turnbull(frame, "time", "upper", group="arm")
    for arm in "abcd":
        events = kaplan_meier(subjects, "time", "event", "arm").filter(pl.col("group") == arm, pl.col("events") > 0)
        ours = curve.filter(pl.col("group") == arm, pl.col("upper").is_not_null())
        assert ours["upper"].to_list() == events["time"].to_list()
        assert ours["estimate"].to_list() == pytest.approx(events["estimate"].to_list(), abs=1e-8)


def test_weights_are_repeated_rows(visits):
    frame = visits.with_columns(w=pl.int_range(pl.len()) % 3 + 1)
    repeated = frame.select(pl.all().repeat_by("w")).explode(pl.all())
    ours, theirs = turnbull(frame, "lower", "upper", weights="w"), turnbull(repeated, "lower", "upper")
    assert ours["mass"].to_list() == pytest.approx(theirs["mass"].to_list(), abs=1e-8)


def test_limits_come_from_resampled_rows_and_are_repeatable(visits):
    ours, again = (turnbull(visits, "lower", "upper", replicates=50, seed=4) for _ in range(2))
    assert ours.equals(again)
    assert (ours["ci_low"] <= ours["estimate"] + 1e-9).all()
    assert (ours["ci_high"] >= ours["estimate"] - 1e-9).all()
    assert turnbull(visits, "lower", "upper")["ci_low"].null_count() == ours.height


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"lower": [2], "upper": [1]}), "earlier"),
        (pl.DataFrame({"lower": [-1], "upper": [1]}), "negative"),
        (pl.DataFrame({"lower": [None], "upper": [1]}, schema={"lower": pl.Int64, "upper": pl.Int64}), "Missing"),
        (pl.DataFrame({"lower": [1.0], "upper": [float("nan")]}), "use null for right-censored"),
        (pl.DataFrame({"lower": [1]}), "no column upper"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(frame, message):
    with pytest.raises(ModelInputError, match=message):
        turnbull(frame, "lower", "upper")


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_optimality_conditions_hold(rows):
    # Gentleman & Geyer, Biometrika 81 (1994) 618-623: the mean of 1/P over the rows that contain an interval is at
    # most 1, and exactly 1 where the interval holds mass.
    lower = np.array([float(a) for a, _, _ in rows])
    upper = np.array([np.inf if never else float(a + b) for a, b, never in rows])
    frame = pl.DataFrame({"lower": lower, "upper": upper})
    curve = turnbull(frame, "lower", "upper")
    q, p = curve["lower"].to_numpy(), curve["upper"].fill_null(np.inf).to_numpy()
    mass = curve["mass"].to_numpy()
    exact = (lower == upper)[:, None]
    inside = (p[None, :] <= upper[:, None]) & np.where(
        exact,
        (q == p)[None, :] & (q[None, :] == lower[:, None]),
        (q[None, :] > lower[:, None]) | ((q[None, :] == lower[:, None]) & (q < p)[None, :]),
    )
    gradient = (inside / (inside @ mass)[:, None]).mean(axis=0)
    assert mass.sum() == pytest.approx(1)
    assert gradient.max() <= 1 + 1e-7
    assert gradient[mass > 1e-6] == pytest.approx(1, abs=1e-3)
