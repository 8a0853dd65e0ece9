"""Time to each endpoint: what is an event, what competes, what censors, and which record says so. Checked on paper."""

from typing import Any

import pytest

EVENT, COMPETING, CENSORED = 1, 2, 0


def outcome(cohort: Any, endpoint: str, *records: str, episode: str = "A-1", **facts: Any) -> tuple[int, int]:
    """(time in days, status) of patient A's episode."""
    cohort.patient("A", *records, **facts)
    time_days, status = cohort.one(
        "outcomes.time_to_event", "time_days", "status", endpoint=endpoint, episode_id=episode
    )
    return time_days, status


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (("conservative 10", "esi 60"), (50, EVENT)),
        (("esi 10", "esi 60", "esi 120"), (1990, CENSORED)),  # a repeat injection is not failure
        (("conservative 0", "conservative 200"), (2000, CENSORED)),
        (("laminectomy 10", "laminectomy 400"), (390, EVENT)),  # a repeat operation is
        (("mild 10", "mild 400"), (390, EVENT)),
        (("fusion 0", "fusion 700"), (700, EVENT)),
        (("fusion 0", "laminectomy 700"), (2000, CENSORED)),  # fusion cannot escalate
        (("laminectomy 0", "esi 30", "conservative 60"), (2000, CENSORED)),  # nor is a step down failure
        (("laminectomy 0", "laminectomy 90 planned"), (2000, CENSORED)),
        (("laminectomy 0", "laminectomy 91 planned"), (91, EVENT)),
        (("laminectomy 0", "fusion 90 planned"), (2000, CENSORED)),
        (("laminectomy 0", "fusion 60 planned", "fusion 300"), (300, EVENT)),
        (("laminectomy 0", "fusion 60"), (60, EVENT)),
        (("conservative 0", "other 40"), (2000, CENSORED)),  # a spacer is outside the ladder
        (("laminectomy -400", "conservative 0", "laminectomy 80"), (80, EVENT)),  # history is no event
    ],
)
def test_treatment_failure(cohort: Any, records: tuple[str, ...], expected: tuple[int, int]) -> None:
    assert outcome(cohort, "treatment_failure", *records) == expected


# The design: one event set for both arms of a contrast.
@pytest.mark.parametrize(
    ("endpoint", "records", "expected"),
    [
        ("decompression_or_fusion", ("conservative 0", "esi 50", "mild 90"), (90, EVENT)),
        ("decompression_or_fusion", ("esi 0", "mild 90"), (90, EVENT)),
        ("laminectomy_or_fusion", ("esi 0", "mild 90", "laminectomy 200"), (200, EVENT)),
        ("laminectomy_or_fusion", ("mild 0", "mild 90", "fusion 200"), (200, EVENT)),
        ("decompression_or_fusion", ("mild 0", "mild 90"), (90, EVENT)),
        ("decompression_or_fusion", ("laminectomy 0", "mild 90"), (90, EVENT)),
        ("decompression_or_fusion", ("fusion 0", "laminectomy 90"), (90, EVENT)),
    ],
)
def test_a_contrast_counts_the_same_events_in_both_arms(
    cohort: Any, endpoint: str, records: tuple[str, ...], expected: tuple[int, int]
) -> None:
    assert outcome(cohort, endpoint, *records) == expected


@pytest.mark.parametrize(
    ("records", "facts", "expected", "description", "source"),
    [
        (("esi 5", "mild 300"), {}, (295, EVENT), "mild", ("treatments", "treatments.csv:3")),
        (("esi 5", "death 300"), {}, (295, COMPETING), "death", ("events", "events.csv:2")),
        (("esi 5", "mild 300", "death 300"), {}, (295, EVENT), "mild", ("treatments", "treatments.csv:3")),
        (("esi 5", "mild 299", "death 300"), {}, (294, EVENT), "mild", ("treatments", "treatments.csv:3")),
        (("esi 5", "withdrawal 300"), {}, (295, CENSORED), "withdrawal", ("events", "events.csv:2")),
        (("esi 5", "withdrawal 300", "mild 301"), {}, (295, CENSORED), "withdrawal", ("events", "events.csv:2")),
        (("esi 5",), {"last_contact": 400}, (395, CENSORED), "last contact", ("patients", "patients.csv:2")),
        (("esi 5",), {"data_cut": 500}, (495, CENSORED), "data cut", ("patients", "patients.csv:2")),
        (("esi 5", "mild 400"), {"last_contact": 400}, (395, EVENT), "mild", ("treatments", "treatments.csv:3")),
        (("esi 5", "mild 401"), {"last_contact": 400}, (395, CENSORED), "last contact", ("patients", "patients.csv:2")),
        (("esi 5", "death 5"), {}, (0, COMPETING), "death", ("events", "events.csv:2")),
    ],
)
def test_each_row_names_what_decided_it(
    cohort: Any, records: tuple[str, ...], facts: Any, expected: Any, description: str, source: Any
) -> None:
    assert outcome(cohort, "decompression_or_fusion", *records, **facts) == expected
    columns = ("event_description", "source_table", "source_id")
    found = cohort.one("outcomes.time_to_event", *columns, endpoint="decompression_or_fusion", episode_id="A-1")
    assert found == (description, *source)


@pytest.mark.parametrize(
    ("records", "facts", "expected", "description"),
    [
        (("fusion 10", "dural_tear 10"), {}, (0, EVENT), "dural_tear"),  # on the day of the operation
        (("fusion 10", "infection 100"), {}, (90, EVENT), "infection"),
        (("fusion 10", "infection 101"), {}, (90, CENSORED), "end of the endpoint's window"),
        (("fusion 10", "infection 9"), {}, (90, CENSORED), "end of the endpoint's window"),
        (("fusion 10", "death 100"), {}, (90, COMPETING), "death"),
        (("fusion 10", "death 101"), {}, (90, CENSORED), "end of the endpoint's window"),
        (("fusion 10",), {"last_contact": 50}, (40, CENSORED), "last contact"),
        (("fusion 10",), {"last_contact": 100}, (90, CENSORED), "last contact"),
        (("fusion 10", "infection 40", "readmission 20"), {}, (10, EVENT), "readmission"),
        (("fusion 10", "opioid_start 40"), {}, (90, CENSORED), "end of the endpoint's window"),
    ],
)
def test_harm_is_counted_within_90_days(
    cohort: Any, records: tuple[str, ...], facts: Any, expected: Any, description: str
) -> None:
    assert outcome(cohort, "harm_90_days", *records, **facts) == expected
    assert cohort.one("outcomes.time_to_event", "event_description", endpoint="harm_90_days") == description


def test_the_end_of_an_endpoints_window_is_the_protocols_decision(cohort: Any) -> None:
    cohort.patient("A", "fusion 0")
    found = cohort.one("outcomes.time_to_event", "source_table", "source_id", endpoint="harm_90_days")
    assert found == ("protocol", "harm_90_days")


def test_each_episode_has_its_own_clock(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "laminectomy 200", "fusion 500")
    times = cohort.rows(
        "outcomes.time_to_event", "episode_id", "start_day", "time_days", "status", endpoint="decompression_or_fusion"
    )
    assert times == [("A-1", 0, 200, 1), ("A-2", 200, 300, 1), ("A-3", 500, 1500, 0)]


@pytest.mark.parametrize("wait", [0, 100, 700])
def test_delaying_an_operation_adds_no_surgical_time_at_risk(cohort: Any, wait: int) -> None:
    """Followed for 300 days after surgery, whatever the wait: the days before it never count as surgical."""
    cohort.patient("A", "conservative 0", f"laminectomy {wait}", last_contact=wait + 300)
    surgical = cohort.rows("outcomes.time_to_event", "time_days", tier="laminectomy", endpoint="treatment_failure")
    assert surgical == [300]
    as_treated = cohort.table("analysis.as_treated", tier="laminectomy", endpoint="treatment_failure")
    assert (as_treated["time_days"] - as_treated["entry_days"]).to_list() == [300.5]


def test_every_episode_has_a_row_for_every_endpoint(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "laminectomy 200")
    cohort.patient("B", "fusion 0")
    listed = [e.name for e in (*cohort.protocol.endpoints, *cohort.protocol.supplementary_endpoints)]
    found = cohort.rows("outcomes.time_to_event", "episode_id", "endpoint")
    assert sorted(found) == sorted((episode, name) for episode in ("A-1", "A-2", "B-1") for name in listed)


def test_the_index_view_holds_first_episodes_only(cohort: Any) -> None:
    cohort.patient("A", "conservative 0", "laminectomy 200")
    assert cohort.rows("analysis.time_to_event", "episode_id", "time_days", "status", endpoint="treatment_failure") == [
        ("A-1", 200, 1)
    ]


# --------------------------------------------------------------------------------------------- asked on the side


@pytest.mark.parametrize(
    ("endpoint", "records", "expected"),
    [
        ("escalation", ("laminectomy 0", "laminectomy 50", "fusion 80"), (80, EVENT)),
        ("repeat_procedure", ("laminectomy 0", "fusion 40", "laminectomy 80"), (80, EVENT)),
        ("repeat_procedure", ("esi 0", "esi 100"), (2000, CENSORED)),
        ("failure_or_repeat_injection", ("esi 0", "esi 84"), (2000, CENSORED)),
        ("failure_or_repeat_injection", ("esi 0", "esi 40", "esi 85"), (85, EVENT)),
        ("failure_or_repeat_injection", ("esi 0", "esi 40", "mild 60", "esi 85"), (60, EVENT)),
        ("failure_or_repeat_injection", ("conservative 0", "conservative 400"), (2000, CENSORED)),
        ("opioid_start", ("esi 0", "opioid_start 12"), (12, EVENT)),
        ("negative_control", ("esi 0", "negative_control 30"), (30, EVENT)),
    ],
)
def test_components_and_other_definitions(
    cohort: Any, endpoint: str, records: tuple[str, ...], expected: tuple[int, int]
) -> None:
    assert outcome(cohort, endpoint, *records) == expected


PAIN = ("esi 0", "nrs_leg 0 = 8", "nrs_leg 42 = 4", "nrs_leg 91 = 5")


def test_a_relapse_counts_as_symptom_failure_on_the_day_that_saw_it_and_no_earlier_than_the_visit_before(
    cohort: Any,
) -> None:
    assert outcome(cohort, "failure_or_relapse", *PAIN, "nrs_leg 182 = 7", "mild 300") == (182, EVENT)
    columns = ("time_lower_days", "time_upper_days", "event_description", "source_table", "source_id")
    found = cohort.one("outcomes.time_to_event", *columns, endpoint="failure_or_relapse", episode_id="A-1")
    assert found == (91, 182, "leg_pain_relapse", "assessments", "assessments.csv:5")


def test_an_escalation_before_the_relapse_is_the_symptom_failure(cohort: Any) -> None:
    assert outcome(cohort, "failure_or_relapse", *PAIN, "mild 150", "nrs_leg 182 = 7") == (150, EVENT)
