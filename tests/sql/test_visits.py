"""Baselines, visits in their windows and the schedule of visits. Answers are checked on paper.

Windows of the protocol: 6 weeks 28–63 (nominal 42), 3 months 64–135 (91), 6 months 136–272 (182), 12 months 273–545
(365), 24 months 546–910 (730); baseline −60 to 0.
"""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("day", "is_baseline"),
    [(-61, False), (-60, True), (-1, True), (0, True), (1, False)],
)
def test_a_baseline_lies_in_the_60_days_up_to_and_including_the_start(cohort: Any, day: int, is_baseline: bool) -> None:
    cohort.patient("A", "esi 100", f"nrs_leg {100 + day} = 7")
    assert cohort.rows("outcomes.baselines", "baseline_day") == ([100 + day] if is_baseline else [])


def test_the_latest_baseline_counts_and_each_episode_has_its_own(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "fusion 50", "nrs_leg -10 = 8", "nrs_leg 0 = 7", "nrs_leg 45 = 6")
    assert cohort.rows("outcomes.baselines", "episode_id", "baseline_value", "source_id") == [
        ("A-1", 7.0, "assessments.csv:3"),
        ("A-2", 6.0, "assessments.csv:4"),
    ]


def test_what_is_asked_after_treatment_only_has_no_baseline(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "zcq_satisfaction 0 = 2", "zcq_satisfaction 42 = 3")
    assert cohort.rows("outcomes.baselines", "instrument") == []
    assert cohort.rows("outcomes.visits", "visit_window", "value") == [("6w", 3.0)]


@pytest.mark.parametrize(
    ("day", "window"),
    [
        (27, None),
        (28, "6w"),
        (63, "6w"),
        (64, "3m"),
        (135, "3m"),
        (136, "6m"),
        (272, "6m"),
        (273, "12m"),
        (545, "12m"),
        (546, "24m"),
        (910, "24m"),
        (911, None),
    ],
)
def test_windows_hold_both_their_ends(cohort: Any, day: int, window: str | None) -> None:
    cohort.patient("A", "esi 10", f"nrs_leg {10 + day} = 3")
    found = cohort.rows("outcomes.visits", "visit_window", "days_from_start", "day")
    assert found == ([(window, day, 10 + day)] if window else [])


def test_the_record_nearest_to_the_nominal_day_counts_and_of_two_as_near_the_earlier(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 28 = 1", "nrs_leg 40 = 2", "nrs_leg 44 = 3", "nrs_leg 60 = 4")
    cohort.patient("B", "esi 0", "nrs_leg 30 = 1", "nrs_leg 43 = 2")
    assert cohort.rows("outcomes.visits", "patient_id", "day", "value") == [("A", 40, 2.0), ("B", 43, 2.0)]


def test_nothing_after_the_end_of_follow_up_is_a_visit(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "withdrawal 40", "nrs_leg 39 = 5", "nrs_leg 90 = 2")
    assert cohort.rows("outcomes.visits", "day") == [39]


def test_a_value_after_escalation_stays_and_is_flagged(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 8", "laminectomy 91", "nrs_leg 90 = 6", "nrs_leg 182 = 2")
    assert cohort.rows("outcomes.pain_outcomes", "visit_window", "is_after_escalation", episode_id="A-1") == [
        ("3m", False),
        ("6m", True),
    ]


def test_the_start_of_the_next_tier_on_the_day_of_the_visit_is_before_it(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "laminectomy 91", "nrs_leg 91 = 6")
    assert cohort.one("outcomes.visits", "is_after_escalation", episode_id="A-1") is True


def test_change_is_signed_and_improvement_is_positive_when_better(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 8", "nrs_leg 91 = 6", "eq5d_5l 0 = 0.4", "eq5d_5l 91 = 0.5")
    columns = ("change", "improvement", "percent_improvement")
    assert cohort.one("outcomes.pain_outcomes", *columns, instrument="nrs_leg") == pytest.approx((-2, 2, 25))
    assert cohort.one("outcomes.pain_outcomes", *columns, instrument="eq5d_5l") == pytest.approx((0.1, 0.1, 25))


def test_percent_of_a_baseline_of_zero_is_undefined(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 0", "nrs_leg 91 = 2", "spwt 0 = 0 in 0 claudication")
    cohort.patient("B", "esi 0", "nrs_leg 91 = 2")
    assert cohort.rows("outcomes.pain_outcomes", "change", "percent_improvement", "is_percent_defined") == [
        (2.0, None, False),
        (None, None, False),
    ]


def test_walking_keeps_metres_seconds_and_flags(cohort: Any) -> None:
    cohort.patient("A", "mild 0", "spwt 0 = 300 in 400 claudication", "spwt 91 = 1620 in 1800 time_limit")
    columns = ("baseline_distance_m", "distance_m", "change_m", "percent_change", "speed_m_s", "is_at_cap")
    assert cohort.one("outcomes.walking_outcomes", *columns) == pytest.approx((300, 1620, 1320, 440, 0.9, True))


def test_percent_change_of_a_walk_is_undefined_from_the_cap_or_from_nothing(cohort: Any) -> None:
    cohort.patient("A", "mild 0", "spwt 0 = 1800 in 1800 time_limit", "spwt 91 = 900 in 1000 fatigue")
    cohort.patient("B", "mild 0", "spwt 0 = 0 in 0 claudication", "spwt 91 = 900 in 1000 fatigue")
    assert cohort.rows("outcomes.walking_outcomes", "change_m", "percent_change") == [(-900.0, None), (900.0, None)]


def test_a_window_is_due_once_it_has_closed_by_the_data_cut(cohort: Any) -> None:
    """Started on day 10: the 3-month window closes on day 145, the 6-month window on day 282."""
    cohort.patient("A", "esi 10", "nrs_leg 5 = 7", data_cut=282, last_contact=282)
    cohort.patient("B", "esi 10", "nrs_leg 5 = 7", data_cut=281, last_contact=281)
    due = [("A", "3m"), ("A", "6m"), ("A", "6w"), ("B", "3m"), ("B", "6w")]
    assert cohort.rows("outcomes.scheduled_visits", "patient_id", "visit_window", is_due=True) == due


def test_a_visit_before_its_window_has_closed_is_observed_and_not_due(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 30 = 7", data_cut=50, last_contact=50)
    assert cohort.rows("analysis.scores", "visit_window", "value", "is_observed", "is_due") == [
        ("6w", 7.0, True, False)
    ]


def test_missed_visits_are_rows_without_a_value(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 7", "nrs_leg 91 = 4", "death 300", data_cut=920, last_contact=300)
    columns = ("visit_window", "value", "is_observed", "is_alive")
    assert sorted(
        cohort.rows("analysis.scores", *columns), key=lambda row: ["6w", "3m", "6m", "12m", "24m"].index(row[0])
    ) == [
        ("6w", None, False, True),
        ("3m", 4.0, True, True),
        ("6m", None, False, True),
        ("12m", None, False, False),
        ("24m", None, False, False),
    ]


def test_instruments_that_nobody_collected_are_not_expected(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 7")
    cohort.patient("B", "esi 0", "spwt 0 = 100 in 200 claudication")
    assert set(cohort.rows("outcomes.scheduled_visits", "instrument")) == {"nrs_leg", "spwt"}
    assert set(cohort.rows("analysis.walking_tests", "instrument", "is_observed")) == {("spwt", False)}


@pytest.mark.parametrize(
    ("records", "last_contact", "status"),
    [
        (("death 120",), 120, "died"),
        (("withdrawal 70",), 800, "withdrawn"),
        ((), 70, "lost to follow-up"),
        ((), 800, "no record in the window"),
        (("nrs_leg 91 = 3",), 800, "observed"),
    ],
)
def test_each_visit_says_why_it_is_missing(
    cohort: Any, records: tuple[str, ...], last_contact: int, status: str
) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 7", *records, last_contact=last_contact)
    assert cohort.one("outcomes.scheduled_visits", "visit_status", visit_window="3m") == status


def test_completeness_counts_closed_windows_of_the_living_and_keeps_the_withdrawn(cohort: Any) -> None:
    start = ("esi 0", "nrs_leg 0 = 7")
    cohort.patient("seen", *start, "nrs_leg 91 = 5")
    cohort.patient("missed", *start)
    cohort.patient("withdrawn", *start, "withdrawal 50")
    cohort.patient("lost", *start, last_contact=20)
    cohort.patient("dead", *start, "death 135")
    cohort.patient("not due", *start, "nrs_leg 100 = 5", data_cut=134, last_contact=134)
    assert cohort.one("outcomes.completeness", "expected", "observed", visit_window="3m") == (4, 1)
