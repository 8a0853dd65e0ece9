"""Return of leg pain after a response: both ends are intervals. Answers are checked on paper.

The rule of the protocol: response at 2 points (MCID), relapse when back to within 1 point of baseline.
"""

from typing import Any

import pytest

SPAN = ("response_lower_day", "response_day", "last_free_day", "relapse_day", "time_lower_days", "time_upper_days")


def relapse(cohort: Any, *visits: str, start: str = "esi 0", **facts: Any) -> list[Any]:
    cohort.patient("A", start, *visits, **facts)
    return cohort.rows("outcomes.symptom_relapses", *SPAN, episode_id="A-1")  # type: ignore[no-any-return]


def test_the_clock_starts_at_the_first_responding_visit_and_the_relapse_lies_between_two_visits(cohort: Any) -> None:
    visits = ("nrs_leg 0 = 8", "nrs_leg 42 = 7", "nrs_leg 91 = 5", "nrs_leg 182 = 6", "nrs_leg 365 = 7")
    assert relapse(cohort, *visits) == [(42, 91, 182, 365, 91, 274)]


def test_a_response_at_the_first_visit_began_after_the_start(cohort: Any) -> None:
    assert relapse(cohort, "nrs_leg 10 = 8", "nrs_leg 52 = 3", "nrs_leg 101 = 8", start="esi 10") == [
        (10, 52, 52, 101, 0, 49)
    ]


def test_without_a_relapse_the_last_visit_censors_and_there_is_no_upper_time(cohort: Any) -> None:
    assert relapse(cohort, "nrs_leg 0 = 8", "nrs_leg 42 = 4", "nrs_leg 365 = 6") == [(0, 42, 365, None, 323, None)]


def test_a_patient_seen_once_after_responding_is_censored_at_zero(cohort: Any) -> None:
    assert relapse(cohort, "nrs_leg 0 = 8", "nrs_leg 42 = 4") == [(0, 42, 42, None, 0, None)]


@pytest.mark.parametrize("visit", ["nrs_leg 42 = 7", "odi 42 = 0"])
def test_who_never_responded_cannot_relapse(cohort: Any, visit: str) -> None:
    assert relapse(cohort, "nrs_leg 0 = 8", "odi 0 = 40", visit) == []


@pytest.mark.parametrize(("later", "is_back"), [("7", True), ("6", False), ("9", True)])
def test_back_means_within_one_point_of_baseline(cohort: Any, later: str, is_back: bool) -> None:
    (row,) = relapse(cohort, "nrs_leg 0 = 8", "nrs_leg 42 = 4", f"nrs_leg 91 = {later}")
    assert (row[3] == 91) is is_back


def test_visits_after_an_escalation_say_nothing_about_the_tier_before(cohort: Any) -> None:
    visits = ("nrs_leg 0 = 8", "nrs_leg 42 = 4", "nrs_leg 91 = 5", "nrs_leg 182 = 8")
    assert relapse(cohort, *visits, "mild 120") == [(0, 42, 91, None, 49, None)]


def test_a_relapse_is_a_row_of_time_to_event_with_two_ends(cohort: Any) -> None:
    cohort.patient("A", "esi 0", "nrs_leg 0 = 8", "nrs_leg 42 = 4", "nrs_leg 91 = 8")
    cohort.patient("B", "esi 0", "nrs_leg 0 = 8", "nrs_leg 42 = 4", "nrs_leg 91 = 4")
    columns = ("patient_id", "start_day", "time_days", "time_lower_days", "time_upper_days", "status", "source_id")
    assert cohort.rows("outcomes.time_to_event", *columns, endpoint="leg_pain_relapse") == [
        ("A", 42, 49, 0, 49, 1, "assessments.csv:4"),
        ("B", 42, 49, 49, None, 0, "assessments.csv:7"),
    ]
    assert cohort.rows("analysis.time_to_event", "episode_id", endpoint="leg_pain_relapse") == []
    columns = ("episode_id", "response_lower_days", "response_upper_days", "time_lower_days", "time_upper_days")
    assert cohort.rows("analysis.symptom_relapses", *columns) == [("A-1", 0, 42, 0, 49), ("B-1", 0, 42, 49, None)]
