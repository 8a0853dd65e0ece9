"""The as-treated view, moves between tiers, attrition and crossover. Answers are checked on paper."""

from typing import Any

import pytest

STAY = ("episode_id", "entry_days", "time_days", "status")


def stays(cohort: Any, endpoint: str, *records: str, **facts: Any) -> list[Any]:
    cohort.patient("A", *records, **facts)
    return cohort.rows("analysis.as_treated", *STAY, endpoint=endpoint)  # type: ignore[no-any-return]


def test_a_stay_runs_from_the_start_of_its_tier_to_the_next_on_the_clock_since_enrolment(cohort: Any) -> None:
    records = ("conservative 10", "esi 100", "laminectomy 300")
    assert stays(cohort, "decompression_or_fusion", *records, last_contact=700) == [
        ("A-1", 9.5, 100.0, 0),  # the injection is no event of this endpoint
        ("A-2", 99.5, 300.0, 1),  # the operation counts against the injections it ended
        ("A-3", 299.5, 700.0, 0),
    ]


def test_an_event_within_a_stay_ends_it(cohort: Any) -> None:
    assert stays(cohort, "opioid_start", "esi 0", "opioid_start 40", "mild 90") == [
        ("A-1", -0.5, 40.0, 1),
        ("A-2", 89.5, 2000.0, 0),
    ]


@pytest.mark.parametrize(
    ("endpoint", "event", "expected"),
    [
        ("harm_90_days", "dural_tear 60", [("A-1", -0.5, 60.0, 0), ("A-2", 59.5, 60.0, 1)]),
        ("harm_90_days", "death 60", [("A-1", -0.5, 60.0, 0), ("A-2", 59.5, 60.0, 2)]),
    ],
)
def test_what_happens_on_the_day_a_tier_starts_happens_under_that_tier(
    cohort: Any, endpoint: str, event: str, expected: Any
) -> None:
    assert stays(cohort, endpoint, "esi 0", "fusion 60", event) == expected


def test_death_competes_in_the_stay_in_which_it_came(cohort: Any) -> None:
    assert stays(cohort, "laminectomy_or_fusion", "esi 0", "mild 60", "death 200") == [
        ("A-1", -0.5, 60.0, 0),
        ("A-2", 59.5, 200.0, 2),
    ]


MOVE = ("start_days", "stop_days", "from_state", "to_state")


@pytest.mark.parametrize(
    ("records", "facts", "expected"),
    [
        (
            ("conservative 10", "esi 40", "fusion 110", "death 410"),
            {},
            [(0, 30, "conservative", "esi"), (30, 100, "esi", "fusion"), (100, 400, "fusion", "death")],
        ),
        (("mild 10",), {"last_contact": 110}, [(0, 100, "mild", "censor")]),
        (("mild 10", "withdrawal 30"), {}, [(0, 20, "mild", "censor")]),
        (("esi 0", "fusion 50", "death 50"), {}, [(0, 50, "esi", "fusion"), (50, 50.5, "fusion", "death")]),
        (("esi 0", "fusion 50"), {"last_contact": 50}, [(0, 50, "esi", "fusion")]),
        (("esi 5",), {"last_contact": 5}, []),
        (("esi 0", "esi 40", "conservative 80"), {"last_contact": 100}, [(0, 100, "esi", "censor")]),
    ],
)
def test_moves_between_tiers_and_death_since_the_index_episode(
    cohort: Any, records: tuple[str, ...], facts: Any, expected: Any
) -> None:
    cohort.patient("A", *records, **facts)
    assert cohort.rows("analysis.transitions", *MOVE) == expected


def test_attrition_counts_every_patient_once_and_ends_with_the_index_episodes(cohort: Any) -> None:
    cohort.patient("never")
    cohort.patient("history only", "esi -20")
    cohort.patient("spacer only", "other 3")
    cohort.patient("late", "mild 50", last_contact=40)
    cohort.patient("in 1", "mild 0", "fusion 20")
    cohort.patient("in 2", "esi 0")
    found = cohort.table("outcomes.attrition")
    left_out = found.filter((found["tier"] == "none") | (found["tier"] == "mild") | (found["tier"] == "esi"))
    assert left_out.select("step", "tier", "excluded", "remaining").rows() == [
        (1, "esi", 0, 1),
        (1, "mild", 0, 2),
        (1, "none", 0, 3),
        (2, "esi", 0, 1),
        (2, "mild", 0, 2),
        (2, "none", 3, 0),
        (3, "esi", 0, 1),
        (3, "mild", 1, 1),
        (3, "none", 0, 0),
    ]
    assert found.height == 3 * 6  # tiers without patients have their rows too


def test_crossover_counts_index_episodes_by_the_next_tier_within_follow_up(cohort: Any) -> None:
    cohort.patient("1", "esi 0", "mild 30", "fusion 60")
    cohort.patient("2", "esi 0", "mild 90")
    cohort.patient("3", "esi 0", "esi 40")
    cohort.patient("4", "esi 0", "mild 600", last_contact=500)
    cohort.patient("5", "laminectomy 0", "fusion 60 planned")
    assert cohort.rows("outcomes.crossover", "from_tier", "to_tier", "patients") == [
        ("esi", "mild", 2),
        ("esi", "none", 2),
        ("laminectomy", "none", 1),
    ]
