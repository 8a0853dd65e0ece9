"""Episodes: when a tier starts, what is history, what a planned stage is. Answers are checked on paper."""

from typing import Any

import pytest

Days = list[tuple[str, int]]


def episodes(cohort: Any, *records: str, **facts: Any) -> Days:
    cohort.patient("A", *records, **facts)
    return cohort.rows("outcomes.episodes", "tier", "start_day")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (("conservative 0",), [("conservative", 0)]),
        (("conservative 0", "esi 30", "fusion 400"), [("conservative", 0), ("esi", 30), ("fusion", 400)]),
        (("laminectomy 10", "conservative 40", "esi 90"), [("laminectomy", 10)]),
        (("esi 10", "esi 40", "esi 100"), [("esi", 10)]),
        (("laminectomy 10", "laminectomy 300"), [("laminectomy", 10)]),
        (("esi 10", "conservative 20", "esi 30", "mild 50"), [("esi", 10), ("mild", 50)]),
        (("esi 10", "laminectomy 10"), [("laminectomy", 10)]),
        (("other 5",), []),
        ((), []),
    ],
)
def test_a_tier_higher_than_any_before_opens_an_episode(cohort: Any, records: tuple[str, ...], expected: Days) -> None:
    assert episodes(cohort, *records) == expected


def test_what_was_done_before_enrolment_is_history_and_opens_nothing(cohort: Any) -> None:
    cohort.patient("A", "fusion -700", "esi -30", "esi -5", "conservative 0", "esi 60")
    assert cohort.rows("outcomes.episodes", "tier", "start_day", "prior_tiers") == [
        ("conservative", 0, 2),
        ("esi", 60, 3),
    ]


def test_prior_tiers_are_distinct_ladder_tiers_on_earlier_days(cohort: Any) -> None:
    cohort.patient("A", "other 1", "conservative 3", "conservative 4", "esi 9", "mild 9")
    assert cohort.rows("outcomes.episodes", "tier", "prior_tiers") == [("conservative", 0), ("mild", 1)]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # within 90 days of the start and flagged: a stage of the same plan
        (("laminectomy 10", "fusion 100 planned"), [("laminectomy", 10)]),
        (("laminectomy 10", "fusion 101 planned"), [("laminectomy", 10), ("fusion", 101)]),
        (("laminectomy 10", "fusion 60"), [("laminectomy", 10), ("fusion", 60)]),
        # the first treatment of all opens its episode, flagged or not
        (("laminectomy 10 planned", "fusion 60 planned"), [("laminectomy", 10)]),
        # the plan starts at the latest unflagged new tier
        (("esi 0", "laminectomy 80", "fusion 150 planned"), [("esi", 0), ("laminectomy", 80)]),
        # after a planned stage the same tier is no higher than what was done
        (("laminectomy 10", "fusion 60 planned", "fusion 300"), [("laminectomy", 10)]),
    ],
)
def test_a_planned_stage_within_90_days_opens_no_episode(cohort: Any, records: tuple[str, ...], expected: Days) -> None:
    assert episodes(cohort, *records) == expected


def test_episodes_end_where_the_next_begins_or_follow_up_ends(cohort: Any) -> None:
    cohort.patient("A", "conservative 5", "esi 40", "laminectomy 300", last_contact=700)
    columns = ("episode_id", "episode_number", "next_tier", "next_start_day", "end_day", "is_index", "waiting_days")
    assert cohort.rows("outcomes.episodes", *columns) == [
        ("A-1", 1, "esi", 40, 40, True, 5),
        ("A-2", 2, "laminectomy", 300, 300, False, 40),
        ("A-3", 3, None, None, 700, False, 300),
    ]


def test_nothing_starts_after_the_end_of_follow_up_and_a_start_on_its_last_day_counts(cohort: Any) -> None:
    assert episodes(cohort, "conservative 0", "esi 500", "mild 501", last_contact=500) == [
        ("conservative", 0),
        ("esi", 500),
    ]
    assert cohort.one("outcomes.episodes", "next_tier", tier="esi") is None


def test_an_episode_belongs_to_the_treating_site(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", site_id="home")
    cohort.add("treatments", treatment_id="X", patient_id="A", day=50, tier="fusion", site_id="away")
    assert cohort.rows("outcomes.episodes", "tier", "site_id") == [("conservative", "home"), ("fusion", "away")]


def test_an_episode_names_the_record_that_opened_it(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "esi 50")
    assert cohort.rows("outcomes.episodes", "treatment_id", "source_id") == [
        ("T0001", "treatments.csv:2"),
        ("T0002", "treatments.csv:3"),
    ]


def test_subjects_are_the_index_episodes_with_what_was_known_then(cohort: Any) -> None:
    cohort.patient("A", "esi -9", "conservative 4", "nrs_leg 2 = 6", "nrs_leg 3 = 7", "odi 0 = 40", age_years=71)
    cohort.patient("B", "nrs_leg 0 = 5")
    columns = ("episode_id", "tier", "age_years", "prior_tiers", "waiting_days", "nrs_leg_baseline", "odi_baseline")
    assert cohort.rows("analysis.subjects", *columns) == [("A-1", "conservative", 71, 1, 4, 7.0, 40.0)]
    assert cohort.one("analysis.subjects", "nrs_back_baseline", "spwt_baseline", "is_spwt_baseline_at_cap") == (
        None,
        None,
        None,
    )


def test_subjects_are_watched_to_the_end_of_follow_up_and_the_dead_to_the_data_cut(cohort: Any) -> None:
    cohort.patient("A", "conservative 10", "fusion 200", last_contact=700, data_cut=900)
    cohort.patient("B", "conservative 10", "death 100", last_contact=100, data_cut=900)
    cohort.patient("C", site_id="home")
    cohort.add("treatments", treatment_id="X", patient_id="C", day=0, tier="fusion", site_id="away")
    assert cohort.rows("analysis.subjects", "episode_id", "watched_days", "is_enrolling_site") == [
        ("A-1", 690, True),
        ("B-1", 890, True),
        ("C-1", 2000, False),
    ]
