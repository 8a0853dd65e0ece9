"""Another staged-treatment cohort runs through the same SQL: other tiers, no walking test, no endpoint."""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.derive import load_checks, run_check
from pipelines.protocol import Protocol
from pipelines.resources import sql_folder


@pytest.fixture
def knee(ladder: Protocol) -> Protocol:
    """Knee pain: exercise, then injection, then replacement; one score; nothing timed."""
    tiers = [{"name": name, "label": name, "short_label": name} for name in ("exercise", "injection", "replacement")]
    score = {
        "name": "knee_pain",
        "label": "Knee pain",
        "short_label": "Pain",
        "kind": "score",
        "unit": "points",
        "minimum": 0,
        "maximum": 10,
        "better": "lower",
        "citation": "made up",
        "thresholds": [{"name": "mcid", "kind": "change", "value": 2, "citation": "made up"}],
    }
    day = {"first_day": 60, "last_day": 120, "citation": "made up"}
    changes: dict[str, Any] = {
        "name": "knee",
        "tiers": tiers,
        "instruments": [score],
        "windows": [{"name": "3m", "label": "3 months", "nominal_day": 90, **day}],
        "endpoints": [],
        "supplementary_endpoints": [],
        "relapses": [],
        "contrasts": [],
        "primary": ladder.primary.model_dump(mode="json") | {"outcomes": [], "secondary_outcomes": []},
    }
    return Protocol.model_validate(ladder.model_dump(mode="json") | {"literature": None} | changes)


@pytest.fixture
def knees(knee: Protocol, cohort_of: Callable[[Protocol], Any]) -> Any:
    cohort = cohort_of(knee)
    cohort.patient("A", "exercise 0", "knee_pain 0 = 6", "knee_pain 90 = 3", "injection 150")
    cohort.patient("B", "injection 0", "replacement 0", "knee_pain 0 = 5", "knee_pain 100 = 4")
    cohort.patient("C", "fusion 0")
    cohort.make_all()
    return cohort


def test_its_own_ladder_rules(knees: Any) -> None:
    assert knees.rows("outcomes.episodes", "episode_id", "tier", "next_tier") == [
        ("A-1", "exercise", "injection"),
        ("A-2", "injection", None),
        ("B-1", "replacement", None),
    ]
    assert knees.rows("analysis.responders", "episode_id", "response") == [
        ("A-1", "responder"),
        ("B-1", "non-responder"),
    ]


def test_what_it_does_not_have_is_empty_or_null(knees: Any) -> None:
    for table in (
        "outcomes.time_to_event",
        "analysis.as_treated",
        "analysis.walking_tests",
        "outcomes.symptom_relapses",
    ):
        assert knees.table(table).height == 0, table
    assert knees.rows("analysis.subjects", "nrs_leg_baseline", "spwt_baseline") == [(None, None)] * 2
    assert knees.rows("analysis.transitions", "from_state", "to_state") == [
        ("exercise", "injection"),
        ("injection", "censor"),
        ("replacement", "censor"),
    ]


def test_checks_of_what_it_does_not_have_are_not_applicable_and_none_fails(knees: Any) -> None:
    verdicts = {check.name: run_check(knees.make(), check).verdict for check in load_checks(sql_folder())}
    for name in ("endpoints_complete", "event_times_in_follow_up", "walking_outcomes_cover_visits", "walks_have_time"):
        assert verdicts.pop(name) == "not applicable", name
    # what ingest and the end of a run write, which hand-made patients do not pass through
    of_runs = {"accepted_rows_arrived", "ingest_counts_reconcile", "source_counts_reconcile"}
    of_runs |= {"few_alike_not_published", "few_alike_warned_of", "release_changes_explained"}
    assert {name for name, verdict in verdicts.items() if verdict in ("error", "failed")} == of_runs
