"""How numbers read."""

import pytest

from pipelines.reports import numbers


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.25, 1, "1.2"),
        (-0.6, 1, "−0.6"),
        (-0.04, 1, "0.0"),
        (12345.6, 0, "12,346"),
        (None, 1, "–"),
        (float("nan"), 1, "–"),
    ],
)
def test_fixed_has_a_true_minus_and_no_minus_before_zero(value: float | None, digits: int, text: str) -> None:
    assert numbers.fixed(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "<0.001"), (0.0042, "0.004"), (0.042, "0.04"), (0.42, "0.42"), (0.9999, "1.00"), (None, "–")],
)
def test_p_values_are_never_zero(value: float | None, text: str) -> None:
    assert numbers.p_value(value) == text


@pytest.mark.parametrize(("days", "text"), [(365, "12 months"), (730, "24 months"), (90, "90 days"), (612, "612 days")])
def test_horizons_are_told_in_months_where_they_are_months(days: float, text: str) -> None:
    assert numbers.horizon(days) == text


def test_limits_are_joined_by_a_word_so_that_no_dash_is_taken_for_a_minus() -> None:
    assert numbers.interval(-1.44, -0.36) == "−1.4 to −0.4"
    assert numbers.interval(0.05, 0.12, 0, scale=100) == "5 to 12"


def test_lists_read_as_sentences() -> None:
    assert [numbers.listed(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_percentages_keep_their_sign_on_the_same_line() -> None:
    assert numbers.percent(0.234) == "23\u202f%"
