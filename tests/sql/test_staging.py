"""Staging: tiers from codes, the same-day rule, units, the end of follow-up. Answers are checked on paper."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("same_day", "counts"),
    [
        (("conservative 5", "esi 5"), "esi"),
        (("esi 5", "mild 5"), "mild"),
        (("laminectomy 5", "mild 5"), "laminectomy"),
        (("fusion 5", "laminectomy 5", "conservative 5"), "fusion"),
        (("other 5", "conservative 5"), "conservative"),
    ],
)
def test_of_several_treatments_on_one_day_the_highest_tier_counts(
    cohort: Any, same_day: tuple[str, ...], counts: str
) -> None:
    cohort.patient("A", *same_day)
    assert cohort.rows("staging.treatment_days", "day", "tier") == [(5, counts)]


def test_two_records_of_the_same_tier_and_day_are_one_treatment_named_by_the_smaller_id(cohort: Any) -> None:
    cohort.patient("A", "esi 5", "esi 5")
    assert cohort.rows("staging.treatment_days", "treatment_id", "has_other_same_day") == [("T0001", True)]


def test_a_day_alone_has_no_other_record(cohort: Any) -> None:
    cohort.patient("A", "esi 5", "other 6")
    assert cohort.rows("staging.treatment_days", "day", "has_other_same_day") == [(5, False)]


def test_an_operation_recorded_by_two_codes_is_planned_when_one_says_so(cohort: Any) -> None:
    cohort.patient("A", "laminectomy 0", "fusion 30", "fusion 30 planned")
    assert cohort.rows("staging.treatment_days", "day", "is_planned_stage") == [(0, False), (30, True)]


def test_a_spacer_stays_outside_the_five_tiers(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "other 20")
    cohort.add("treatments", treatment_id="X1", patient_id="A", day=30, code_system="CPT", code="22867")
    assert cohort.rows("staging.treatments", "day", "tier", "is_in_ladder", "tier_rank") == [
        (0, "conservative", True, 1),
        (20, "other", False, None),
        (30, "other", False, None),
    ]
    assert cohort.rows("outcomes.episodes", "tier") == ["conservative"]


def test_a_code_gives_the_tier_that_the_code_list_names_and_a_given_tier_comes_first(cohort: Any) -> None:
    cohort.patient("A")
    cohort.add("treatments", treatment_id="1", patient_id="A", day=1, code_system="CPT", code="63047")
    cohort.add("treatments", treatment_id="2", patient_id="A", day=2, code_system="CPT", code="63047", tier="fusion")
    cohort.add("treatments", treatment_id="3", patient_id="A", day=3, code_system="CPT", code="99999")
    assert cohort.rows("staging.treatments", "treatment_id", "tier") == [
        ("1", "laminectomy"),
        ("2", "fusion"),
        ("3", "other"),
    ]


@pytest.mark.parametrize(
    ("given", "metres"), [("1000 ft", 304.8), ("0.5 mi", 804.672), ("1.2 km", 1200.0), ("250 m", 250.0)]
)
def test_walks_are_kept_in_metres(cohort: Any, given: str, metres: float) -> None:
    """1 ft = 0.3048 m and 1 mi = 1,609.344 m by definition (international yard and pound, 1959)."""
    cohort.patient("A", f"spwt 0 = {given} in 500 claudication")
    row = cohort.one("staging.assessments", "value", "walk_distance_m", "walk_speed_m_s")
    assert row == pytest.approx((metres, metres, metres / 500))


@pytest.mark.parametrize(
    ("record", "is_at_cap"),
    [
        ("spwt 0 = 1500 in 1800 time_limit", True),
        ("spwt 0 = 1500 in 1800 claudication", True),
        ("spwt 0 = 1500 in 1799 claudication", False),
        ("spwt 0 = 1500 in 1700 time_limit", True),
        ("treadmill 0 = 900 in 900 fatigue", True),
        ("nrs_leg 0 = 7", False),
    ],
)
def test_a_walk_is_at_its_cap_by_reason_or_by_time(cohort: Any, record: str, is_at_cap: bool) -> None:
    cohort.patient("A", record)
    assert cohort.one("staging.assessments", "is_at_cap") is is_at_cap


def test_a_walk_of_nothing_has_no_speed(cohort: Any) -> None:
    cohort.patient("A", "spwt 0 = 0 in 0 claudication", "spwt 1 = 0 in 20 claudication")
    assert cohort.rows("staging.assessments", "value", "walk_speed_m_s") == [(0, None), (0, None)]


@pytest.mark.parametrize(
    ("records", "last_contact", "data_cut", "end", "reason", "source"),
    [
        ((), 500, 800, 500, "last contact", ("patients", "patients.csv:2")),
        ((), 800, 800, 800, "data cut", ("patients", "patients.csv:2")),
        ((), 900, 800, 800, "data cut", ("patients", "patients.csv:2")),
        (("death 300",), 300, 800, 300, "death", ("events", "events.csv:2")),
        (("withdrawal 250",), 500, 800, 250, "withdrawal", ("events", "events.csv:2")),
        (("withdrawal 250", "death 250"), 500, 800, 250, "death", ("events", "events.csv:3")),
        (("withdrawal 250", "death 300"), 500, 800, 250, "withdrawal", ("events", "events.csv:2")),
        (("infection 100",), 500, 800, 500, "last contact", ("patients", "patients.csv:2")),
    ],
)
def test_follow_up_ends_at_the_earliest_of_death_withdrawal_last_contact_and_data_cut(
    cohort: Any, records: tuple[str, ...], last_contact: int, data_cut: int, end: int, reason: str, source: Any
) -> None:
    cohort.patient("A", *records, last_contact=last_contact, data_cut=data_cut)
    row = cohort.one(
        "staging.follow_up", "follow_up_end_day", "follow_up_end_reason", "end_source_table", "end_source_id"
    )
    assert row == (end, reason, *source)
