"""Sentences of page one, made by rules from findings whose numbers are written down here."""

import pytest

from pipelines.protocol import Protocol
from pipelines.reports.findings import Estimate, Finding, importance, is_unadjusted
from pipelines.reports.sentences import estimate_text, question
from pipelines.reports.study import Study


@pytest.fixture(scope="module")
def study(small_cohort, protocol: Protocol) -> Study:  # type: ignore[no-untyped-def]
    return Study(small_cohort.read, protocol)


def estimate(
    value: float | None, low: float | None, high: float | None, measure: str = "mean difference", **other: object
) -> Estimate:
    given = {"p": 0.01, "p_adjusted": 0.02, "status": "estimable", "reason": "", "method": "weighted"} | other
    return Estimate(value, low, high, measure=measure, **given)  # type: ignore[arg-type]


def finding(study: Study, number: int, adjusted: Estimate | None, outcome: str = "nrs_leg") -> Finding:
    return Finding(study.protocol.contrasts[number], outcome, "12m", adjusted, None)


def test_a_clear_difference_is_told_with_direction_limits_and_what_matters(study: Study) -> None:
    said = question(study, "Leg pain at 12 months", [finding(study, 1, estimate(-1.6, -2.1, -1.1))])
    assert said == (
        "**Leg pain at 12 months:** lower with MILD than with ESI "
        "(−1.6 points, 95 % CI −2.1 to −1.1; large enough to matter)."
    )


def test_a_difference_that_holm_does_not_uphold_says_so(study: Study) -> None:
    said = question(study, "Leg pain", [finding(study, 0, estimate(0.6, 0.1, 1.1, p_adjusted=0.2))])
    assert said == (
        "**Leg pain:** higher with ESI than with conservative (0.6 points, 95 % CI 0.1 to 1.1; perhaps too small to "
        "matter; within chance once the number of comparisons is allowed for)."
    )


def test_unclear_and_withheld_contrasts_are_named_without_a_figure(study: Study) -> None:
    hidden = estimate(None, None, None, status="withheld", reason="failed: events per arm")
    said = question(study, "Leg pain", [finding(study, 1, estimate(-0.2, -0.9, 0.5)), finding(study, 2, hidden)])
    assert said == "**Leg pain:** no clear difference for MILD vs ESI. Not shown: Laminectomy vs MILD."


def test_distances_are_told_as_ratios(study: Study) -> None:
    found = finding(study, 3, estimate(1.57, 1.32, 1.87, "distance ratio"), "spwt")
    assert question(study, "Walking", [found]) == (
        "**Walking:** farther with fusion than with laminectomy (1.57 times, 95 % CI 1.32 to 1.87; large enough to "
        "matter)."
    )


def test_an_unadjusted_difference_is_called_so(study: Study) -> None:
    raw = estimate(-0.08, -0.15, -0.01, "incidence difference", p_adjusted=None)
    found = Finding(study.protocol.contrasts[0], "decompression_or_fusion", "730 days", None, raw)
    assert question(study, "Later operation", [found]) == (
        "**Later operation:** lower with ESI than with conservative "
        "(−8.0 percentage points, 95 % CI −15.0 to −1.0; not adjusted for case mix)."
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-2, -1.2, "at least"), (-0.8, 0.4, "less"), (-1.4, -0.3, "possibly"), (-3, 3, "possibly")],
)
def test_importance_follows_the_limits_not_the_estimate(low: float, high: float, verdict: str) -> None:
    assert importance(estimate((low + high) / 2, low, high), 1.0) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(1.35, 2, "at least"), (0.8, 1.2, "less"), (1.1, 1.5, "possibly")]
)
def test_importance_of_ratios_is_symmetric_on_the_log_scale(low: float, high: float, verdict: str) -> None:
    assert importance(estimate(1.2, low, high, "distance ratio"), 1.3) == verdict
    assert importance(estimate(0.8, 1 / high, 1 / low, "distance ratio"), 1.3) == verdict


def test_limits_show_on_which_side_of_no_difference_they_lie(study: Study) -> None:
    assert estimate_text(study, estimate(-1.0, -1.96, -0.04), "nrs_leg") == "−1.00 (−1.96 to −0.04)"
    assert estimate_text(study, estimate(-1.0, -1.96, 0.02), "nrs_leg") == "−1.0 (−2.0 to 0.0)"


@pytest.mark.parametrize(
    ("method", "verdict"),
    [
        ("ANCOVA (HC3), baseline only", True),
        ("Aalen-Johansen, unadjusted", True),
        ("ANCOVA (HC3), covariate-adjusted", False),
        ("propensity-weighted", False),
    ],
)
def test_methods_are_told_apart(method: str, verdict: bool) -> None:
    assert is_unadjusted(method) is verdict
