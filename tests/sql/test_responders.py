"""Responders at each threshold: who can respond, who does, who is excluded and why. Answers are checked on paper."""

from typing import Any

import pytest


def response(cohort: Any, instrument: str, threshold: str, *records: str, **facts: Any) -> Any:
    """Response and reason at 3 months of patients who started their tier on day 0."""
    cohort.patient("A", "esi 0", *records, **facts)
    return cohort.one(
        "analysis.responders",
        "response",
        "reason",
        instrument=instrument,
        threshold=threshold,
        visit_window="3m",
    )


YES = ("responder", "threshold reached")
NO = ("non-responder", "threshold not reached")


@pytest.mark.parametrize(
    ("instrument", "threshold", "baseline", "visit", "expected"),
    [
        ("nrs_leg", "mcid", "7", "5", YES),  # 2 points
        ("nrs_leg", "mcid", "7", "6", NO),
        ("nrs_leg", "percent_30", "10", "7", YES),  # 30 %
        ("nrs_leg", "percent_30", "9", "7", NO),  # 22 %
        ("nrs_leg", "scb", "8", "5", YES),  # 3 of 2.5 points
        ("nrs_leg", "pass", "2", "3", YES),  # final score of 3, whatever came before
        ("nrs_leg", "pass", "9", "4", NO),
        ("odi", "mcid", "40", "27.2", YES),  # 40 − 27.2 = 12.8 on paper, a hair less in binary
        ("odi", "mcid", "40", "27.3", NO),
        ("zcq_satisfaction", "pass", None, "2.5", YES),
        ("spwt", "percent_30", "100 in 300 claudication", "130 in 300 claudication", YES),
        ("spwt", "percent_30", "100 in 300 claudication", "129 in 300 claudication", NO),
        ("spwt", "percent_30", "1000 ft in 300 claudication", "1300 ft in 300 claudication", YES),
    ],
)
def test_thresholds_of_change_percent_and_final_score(
    cohort: Any, instrument: str, threshold: str, baseline: str | None, visit: str, expected: tuple[str, str]
) -> None:
    before = (f"{instrument} 0 = {baseline}",) if baseline else ()
    assert response(cohort, instrument, threshold, *before, f"{instrument} 91 = {visit}") == expected


@pytest.mark.parametrize(
    ("instrument", "threshold", "baseline", "reason"),
    [
        ("nrs_leg", "mcid", None, "no baseline"),
        ("nrs_leg", "percent_30", "0", "baseline zero"),
        ("nrs_leg", "mcid", "1", "no room to improve"),
        ("zcq_symptom", "mcid", "1.3", "no room to improve"),  # the scale ends at 1
        ("spwt", "percent_30", "0 in 0 claudication", "baseline zero"),
        ("spwt", "percent_30", "1700 in 1800 time_limit", "baseline at the ceiling"),
    ],
)
@pytest.mark.parametrize("is_seen", [True, False])
def test_who_cannot_respond_is_excluded_by_baseline_alone_whether_seen_later_or_not(
    cohort: Any, instrument: str, threshold: str, baseline: str | None, reason: str, is_seen: bool
) -> None:
    walk = " in 900 fatigue" if instrument == "spwt" else ""
    records = [f"{instrument} 0 = {baseline}"] if baseline else [f"{instrument} 300 = 2{walk}"]
    records += [f"{instrument} 91 = 2{walk}"] if is_seen else []
    assert response(cohort, instrument, threshold, *records) == ("excluded", reason)


def test_exactly_enough_room_is_room(cohort: Any) -> None:
    assert response(cohort, "nrs_leg", "mcid", "nrs_leg 0 = 2", "nrs_leg 91 = 0") == YES


@pytest.mark.parametrize(
    ("visit", "expected"),
    [
        ("1300 in 1800 time_limit", YES),
        ("1299 in 1800 time_limit", ("excluded", "at the ceiling, indeterminate")),
        ("1299 in 1700 claudication", NO),
    ],
)
def test_a_walk_at_the_cap_responds_if_it_already_is_30_percent_longer_and_else_cannot_be_told(
    cohort: Any, visit: str, expected: tuple[str, str]
) -> None:
    assert (
        response(cohort, "spwt", "percent_30", "spwt 0 = 1000 in 1500 claudication", f"spwt 91 = {visit}") == expected
    )


@pytest.mark.parametrize("records", [("nrs_leg 91 = 0",), ()])
def test_escalation_before_the_visit_is_non_response_also_when_the_visit_was_missed(
    cohort: Any, records: tuple[str, ...]
) -> None:
    found = response(cohort, "nrs_leg", "mcid", "nrs_leg 0 = 8", "laminectomy 80", *records)
    assert found == ("non-responder", "escalated before the visit")


def test_escalation_after_the_visit_changes_nothing(cohort: Any) -> None:
    assert response(cohort, "nrs_leg", "mcid", "nrs_leg 0 = 8", "nrs_leg 70 = 2", "laminectomy 80") == YES


@pytest.mark.parametrize(
    ("records", "facts", "expected"),
    [
        (("death 100",), {}, ("died", "died before the visit")),
        (("laminectomy 80", "death 100"), {}, ("died", "died before the visit")),
        (("withdrawal 60",), {}, ("missing", "withdrawn")),
        ((), {"last_contact": 60}, ("missing", "lost to follow-up")),
        ((), {}, ("missing", "no record in the window")),
        (("nrs_leg 91 = 2", "death 120"), {}, YES),
    ],
)
def test_the_dead_are_not_missing_and_the_missing_say_why(
    cohort: Any, records: tuple[str, ...], facts: dict[str, int], expected: tuple[str, str]
) -> None:
    assert response(cohort, "nrs_leg", "mcid", "nrs_leg 0 = 8", *records, **facts) == expected


def test_windows_that_have_not_closed_are_judged_only_where_there_is_a_value(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 8", "nrs_leg 70 = 2", data_cut=100, last_contact=100)
    cohort.patient("B", "esi 0", "nrs_leg 0 = 8", data_cut=100, last_contact=100)
    windows = cohort.rows("outcomes.responders", "patient_id", "visit_window", "response", threshold="mcid")
    assert windows == [("A", "3m", "responder"), ("A", "6w", "missing"), ("B", "6w", "missing")]


def test_only_index_episodes_are_analysed(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "laminectomy 30", "nrs_leg 0 = 8", "nrs_leg 91 = 2")
    assert set(cohort.rows("outcomes.responders", "episode_id")) == {"A-1", "A-2"}
    assert set(cohort.rows("analysis.responders", "episode_id")) == {"A-1"}
