"""Each check passes on sound tables and fails once its table is damaged in the way it looks for."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from pipelines.derive import load_checks, run_check
from pipelines.protocol import Protocol
from pipelines.releases.diff import SCHEMA as CHANGES
from pipelines.resources import sql_folder
from pipelines.warehouse import Warehouse

CHECKS = {check.name: check for check in load_checks(sql_folder())}
GRAINS = {name for name, check in CHECKS.items() if name == f"{check.target.replace('.', '_')}_grain"}

DAMAGE = {
    "accepted_rows_arrived": "DELETE FROM raw.events WHERE event = 'infection'",
    "assessment_values_in_range": "UPDATE staging.assessments SET value = 11 WHERE instrument = 'nrs_leg'",
    "assessments_kept": "DELETE FROM staging.assessments WHERE day = 91",
    "assessments_within_follow_up": "UPDATE staging.assessments SET day = 5000 WHERE day = 91",
    "attrition_reconciles": "UPDATE outcomes.attrition SET excluded = excluded + 1 WHERE step = 3 AND tier = 'esi'",
    "attrition_starts_with_everyone": "UPDATE outcomes.attrition SET remaining = 7 WHERE step = 1 AND tier = 'esi'",
    "baselines_in_window": "UPDATE outcomes.baselines SET baseline_day = baseline_day - 61",
    "completeness_within_expected": "UPDATE outcomes.completeness SET observed = expected + 1",
    "crossover_reconciles": "UPDATE outcomes.crossover SET patients = patients + 1 WHERE from_tier = 'esi'",
    "endpoints_complete": "DELETE FROM outcomes.time_to_event WHERE endpoint = 'harm_90_days' AND episode_id = 'A-1'",
    "episodes_climb": "UPDATE outcomes.episodes SET tier_rank = 1 WHERE episode_id = 'A-2'",
    "episodes_within_follow_up": "UPDATE outcomes.episodes SET end_day = start_day - 1 WHERE episode_id = 'A-1'",
    "event_records_exist": "UPDATE outcomes.time_to_event SET source_id = 'events.csv:9' WHERE source_table = 'events'",
    "event_times_in_follow_up": "UPDATE outcomes.time_to_event SET time_days = -1 WHERE status = 1",
    "few_alike_not_published": "UPDATE quality.anonymity SET patients_below = 1 WHERE action = 'block'",
    "few_alike_warned_of": "UPDATE quality.anonymity SET patients_below = 2 WHERE action = 'warn'",
    "follow_up_end_known": "UPDATE staging.follow_up SET follow_up_end_day = NULL WHERE patient_id = 'B'",
    "follow_up_ends_after_enrolment": "UPDATE staging.follow_up SET follow_up_end_day = -1 WHERE patient_id = 'B'",
    "ingest_counts_reconcile": "UPDATE quality.ingest_counts SET rows_read = rows_read + 1",
    "source_counts_reconcile": "UPDATE quality.source_counts SET row_count = row_count - 1",
    "moves_follow_each_other": "UPDATE analysis.transitions SET stop_days = stop_days + 1 WHERE to_state = 'mild'",
    "one_index_episode": "UPDATE outcomes.episodes SET is_index = FALSE",
    "pain_outcomes_cover_visits": "DELETE FROM outcomes.pain_outcomes",
    "release_changes_explained": "UPDATE quality.changes SET verdict = 'beyond'",
    "relapses_after_responses": "UPDATE outcomes.symptom_relapses SET relapse_day = response_day",
    "responders_complete": "DELETE FROM outcomes.responders WHERE visit_window = '3m' AND threshold = 'mcid'",
    "responses_known": "UPDATE outcomes.responders SET response = 'maybe' WHERE visit_window = '3m'",
    "stays_complete": "DELETE FROM analysis.as_treated WHERE endpoint = 'opioid_start' AND episode_id = 'A-2'",
    "subjects_complete": "DELETE FROM analysis.subjects WHERE episode_id = 'A-1'",
    "subjects_have_baselines": "DELETE FROM outcomes.baselines",
    "treated_patients_have_episodes": "DELETE FROM outcomes.episodes WHERE patient_id = 'A'",
    "treatment_codes_unambiguous": "INSERT INTO raw.codes VALUES ('CPT', '63047', 'fusion', 'again')",
    "treatments_kept": "DELETE FROM staging.treatments WHERE tier = 'esi'",
    "treatments_mapped": "DELETE FROM raw.codes",
    "treatments_within_follow_up": "UPDATE staging.treatment_days SET day = 5000 WHERE tier = 'esi'",
    "visits_in_window": "UPDATE outcomes.visits SET days_from_start = 1",
    "visits_scheduled": "DELETE FROM outcomes.scheduled_visits WHERE is_observed",
    "walk_speeds_plausible": "UPDATE staging.assessments SET walk_speed_m_s = 4 WHERE instrument = 'spwt'",
    "walking_outcomes_cover_visits": "INSERT INTO outcomes.walking_outcomes SELECT * FROM outcomes.walking_outcomes",
    "walks_have_time": "UPDATE staging.assessments SET stop_reason = NULL WHERE instrument = 'spwt'",
}


@pytest.fixture(scope="module")
def warehouse(ladder: Protocol, cohort_of: Callable[[Protocol], Any]) -> Warehouse:
    """Two patients with a little of everything, what ingest would have counted, and one change that is expected."""
    cohort = cohort_of(ladder)
    walks = ("spwt 0 = 300 in 400 claudication", "spwt 91 = 500 in 600 fatigue")
    pain = ("nrs_leg 0 = 7", "nrs_leg 42 = 3", "nrs_leg 91 = 6")
    cohort.patient("A", "esi 0", "mild 100", "infection 110", *pain, *walks)
    cohort.patient("B", "conservative 3", "nrs_leg 0 = 6", "death 500", last_contact=500)
    cohort.add("treatments", treatment_id="X", patient_id="B", day=9, code_system="CPT", code="63047")
    warehouse = cohort.make_all()
    counts = [(name, warehouse.count(f"raw.{name}")) for name in ("patients", "treatments", "assessments", "events")]
    rows = [(name, count, count, 0) for name, count in counts]
    schema = {"table_name": pl.String, "rows_read": pl.Int64, "rows_accepted": pl.Int64, "rows_quarantined": pl.Int64}
    warehouse.write("quality.ingest_counts", pl.DataFrame(rows, schema, orient="row"))
    told = [(name, count, "used", count) for name, count in counts]
    schema = {"source_table": pl.String, "rows_read": pl.Int64, "outcome": pl.String, "row_count": pl.Int64}
    warehouse.write("quality.source_counts", pl.DataFrame(told, schema, orient="row"))
    alike = {"left_out": "nothing", "action": ["warn", "block"], "patients": 9, "patients_below": 0}
    warehouse.write("quality.anonymity", pl.DataFrame(alike))
    change = {"before": "a", "after": "b", "quantity": "patients", "group": "", "verdict": "within"}
    warehouse.write("quality.changes", pl.DataFrame([change], schema=CHANGES))
    return warehouse  # type: ignore[no-any-return]


@pytest.fixture
def damaged(warehouse: Warehouse) -> Iterator[Callable[[str], Warehouse]]:
    """Does damage that the end of the test takes back."""

    def damage(statement: str) -> Warehouse:
        warehouse.run(statement, "doing damage")
        return warehouse

    warehouse.run("BEGIN TRANSACTION", "starting")
    yield damage
    warehouse.run("ROLLBACK", "taking the damage back")


def test_every_written_check_has_its_damage() -> None:
    assert set(DAMAGE) == set(CHECKS) - GRAINS


def test_sound_tables_pass_every_check(warehouse: Warehouse) -> None:
    assert {run_check(warehouse, check).verdict for check in CHECKS.values()} == {"passed"}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_a_check_fails_on_what_it_looks_for(damaged: Callable[[str], Warehouse], name: str) -> None:
    verdict = run_check(damaged(DAMAGE[name]), CHECKS[name])
    assert verdict.verdict == "failed"
    assert verdict.violations is not None
    assert verdict.violations > 0


@pytest.mark.parametrize("name", sorted(GRAINS))
def test_a_row_that_stands_twice_breaks_the_grain(damaged: Callable[[str], Warehouse], name: str) -> None:
    target = CHECKS[name].target
    verdict = run_check(damaged(f"INSERT INTO {target} SELECT * FROM {target} LIMIT 1"), CHECKS[name])
    assert (verdict.verdict, verdict.violations) == ("failed", 2)


def test_small_groups_block_only_where_the_protocol_says_so(damaged: Callable[[str], Warehouse]) -> None:
    warehouse = damaged("DELETE FROM quality.anonymity WHERE action = 'block'")
    warehouse.run("UPDATE quality.anonymity SET patients_below = 9", "doing more damage")
    verdicts = {name: run_check(warehouse, CHECKS[name]).verdict for name in DAMAGE if name.startswith("few_alike")}
    assert verdicts == {"few_alike_not_published": "not applicable", "few_alike_warned_of": "failed"}
    assert (CHECKS["few_alike_not_published"].is_blocking, CHECKS["few_alike_warned_of"].is_blocking) == (True, False)


def test_a_missing_key_breaks_the_grain(damaged: Callable[[str], Warehouse]) -> None:
    warehouse = damaged("UPDATE outcomes.crossover SET to_tier = NULL")
    assert run_check(warehouse, CHECKS["outcomes_crossover_grain"]).verdict == "failed"
