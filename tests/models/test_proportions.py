"""Limits of proportions against published examples and R."""

from __future__ import annotations

import math

import pytest

from pipelines.models import proportions
from pipelines.models._frames import ModelInputError


@pytest.mark.parametrize(
    ("responders", "subjects", "low", "high"),
    [
        (81, 263, 0.255288519878274, 0.3662095769828),  # Newcombe 1998 prints 0.2553, 0.3662; digits from R prop.test
        (0, 10, 0.0, 0.277532799862889),
        (10, 10, 0.722467200137111, 1.0),
        (19, 20, 0.763868806553258, 0.991118551199205),
        (0, 1, 0.0, 0.793450685622763),
    ],
)
def test_wilson_matches_r_prop_test(responders: int, subjects: int, low: float, high: float) -> None:
    row = proportions.wilson(responders, subjects).row(0, named=True)
    assert row["ci_low"] == pytest.approx(low, abs=1e-12)
    assert row["ci_high"] == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize(
    ("responders", "subjects", "low", "high"),
    [
        (81, 263, 0.253508682295185, 0.368176201043004),  # R prop.test(correct = TRUE)
        (10, 10, 0.655462781693077, 1.0),
        (1, 20, 0.00261555513669135, 0.269443745571467),
    ],
)
def test_wilson_with_continuity_matches_r(responders: int, subjects: int, low: float, high: float) -> None:
    row = proportions.wilson(responders, subjects, continuity=True).row(0, named=True)
    assert row["ci_low"] == pytest.approx(low, abs=1e-12)
    assert row["ci_high"] == pytest.approx(high, abs=1e-12)


@pytest.mark.parametrize(
    ("x1", "n1", "x0", "n0", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524314724023649, 0.333872654036906),  # Newcombe 1998, table II, example a
        (9, 10, 3, 10, 0.170522723934503, 0.809017973535488),  # example b
        (10, 10, 0, 20, 0.679086037141915, 1.0),  # example h
        (0, 15, 0, 15, -0.203883301035849, 0.203883301035849),
    ],
)
def test_newcombe_matches_published_examples(x1: int, n1: int, x0: int, n0: int, low: float, high: float) -> None:
    row = proportions.newcombe(x1, n1, x0, n0).row(0, named=True)
    assert row["ci_low"] == pytest.approx(low, abs=1e-12)
    assert row["ci_high"] == pytest.approx(high, abs=1e-12)


def test_risk_ratio_matches_hand_formula() -> None:
    # 33 of 50 against 5 of 50: log ratio log(6.6), variance 1/33 - 1/50 + 1/5 - 1/50 (Katz 1978)
    row = proportions.risk_ratio(33, 50, 5, 50).row(0, named=True)
    std_error = math.sqrt(1 / 33 - 1 / 50 + 1 / 5 - 1 / 50)
    assert row["estimate"] == pytest.approx(6.6)
    assert row["ci_low"] == pytest.approx(6.6 * math.exp(-1.959963984540054 * std_error))
    assert row["ci_high"] == pytest.approx(15.5192184278174)  # R


def test_number_needed_to_treat_is_the_reciprocal_and_swaps_limits() -> None:
    row = proportions.number_needed_to_treat(0.25, 0.2, 0.5).row(0, named=True)
    assert (row["estimate"], row["ci_low"], row["ci_high"]) == (4.0, 2.0, 5.0)


def test_number_needed_to_treat_through_zero_prints_no_number() -> None:
    row = proportions.number_needed_to_treat(0.1, -0.05, 0.25).row(0, named=True)
    assert row["estimate"] is None
    assert row["status"] == "not estimable"
    assert "zero" in row["reason"]


def test_arm_without_subjects_is_named_and_prints_no_number() -> None:
    rows = proportions.newcombe([3, 3], [10, 10], [0, 2], [0, 10])
    assert rows["status"].to_list() == ["not estimable", "estimable"]
    assert rows["estimate"][0] is None
    assert proportions.wilson(0, 0)["estimate"][0] is None


def test_risk_ratio_without_responders_prints_no_number() -> None:
    row = proportions.risk_ratio(3, 10, 0, 10).row(0, named=True)
    assert (row["status"], row["estimate"]) == ("not estimable", None)


def test_more_responders_than_subjects_is_refused() -> None:
    with pytest.raises(ModelInputError, match="between 0 and the number of subjects"):
        proportions.wilson(11, 10)
