"""E-values against the published examples of VanderWeele & Ding 2017 and their closed forms."""

from __future__ import annotations

import math

import pytest

from pipelines.models import sensitivity
from pipelines.models._frames import ModelInputError


@pytest.mark.parametrize(
    ("estimate", "low", "high", "point", "limit"),
    [
        (3.9, 1.8, 8.7, 7.26, 3.0),  # VanderWeele & Ding 2017, maternal smoking example as printed
        (0.80, 0.71, 0.91, 1.81, 1.43),
        (1.1, 0.9, 1.3, 1.43, 1.0),
    ],
)
def test_risk_ratio_matches_published_examples(
    estimate: float, low: float, high: float, point: float, limit: float
) -> None:
    row = sensitivity.e_value(estimate, low, high, "risk ratio").row(0)
    assert row == pytest.approx((point, limit), abs=0.005)


def test_common_hazard_ratio_is_turned_into_a_risk_ratio() -> None:
    # (1 - 0.5^sqrt(1.8)) / (1 - 0.5^sqrt(1/1.8)) = 1.50052; E = 1.50052 + sqrt(1.50052 * 0.50052)
    row = sensitivity.e_value(1.8, 1.2, 2.7, "hazard ratio, common").row(0, named=True)
    assert row["point"] == pytest.approx(1.5005188 + math.sqrt(1.5005188 * 0.5005188), abs=1e-6)


def test_common_odds_ratio_takes_the_square_root() -> None:
    # sqrt(4) = 2: E = 2 + sqrt(2); limit sqrt(1.44) = 1.2: 1.2 + sqrt(0.24)
    row = sensitivity.e_value(4, 1.44, 9, "odds ratio, common").row(0)
    assert row == pytest.approx((2 + math.sqrt(2), 1.2 + math.sqrt(0.24)))


def test_standardised_mean_difference_matches_printed_formula() -> None:
    low, high = sensitivity.standardised_difference_limits(-0.42, 0.14)
    row = sensitivity.e_value(-0.42, low, high, "standardised mean difference").row(0, named=True)
    at_limit = 1 / math.exp(0.91 * -0.42 + 1.78 * 0.14)
    assert row["limit"] == pytest.approx(at_limit + math.sqrt(at_limit * (at_limit - 1)))


def test_without_estimate_or_limits_there_is_no_number() -> None:
    assert sensitivity.e_value(None, None, None).row(0) == (None, None)
    assert sensitivity.e_value(2.0, None, None).row(0) == (pytest.approx(2 + math.sqrt(2)), None)


def test_impossible_input_is_refused() -> None:
    with pytest.raises(ModelInputError, match="measure"):
        sensitivity.e_value(2, 1, 3, "mean")
    with pytest.raises(ModelInputError, match="positive"):
        sensitivity.e_value(-1, -2, 3)
    with pytest.raises(ModelInputError, match="between"):
        sensitivity.e_value(2, 3, 4)
