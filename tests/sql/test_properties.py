"""What must hold for every cohort, tried on small generated ones."""

import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.derive import load_checks, run_check
from pipelines.resources import sql_folder

DAYS = st.integers(-100, 1000)
TREATMENTS = st.builds(
    "{} {}{}".format,
    st.sampled_from(["conservative", "esi", "mild", "laminectomy", "fusion", "other"]),
    DAYS,
    st.sampled_from(["", "", "", " planned"]),
)
SCORES = st.builds("{} {} = {}".format, st.sampled_from(["nrs_leg", "odi"]), DAYS, st.integers(0, 10))
WALKS = st.builds(
    "spwt {} = {} in {} {}".format,
    DAYS,
    st.integers(0, 2000),
    st.integers(0, 1800),
    st.sampled_from(["claudication", "time_limit"]),
)
EVENTS = st.builds(
    "{} {}".format,
    st.sampled_from(["withdrawal", "infection", "readmission", "opioid_start", "negative_control"]),
    DAYS,
)


@st.composite
def patients(draw: st.DrawFn) -> tuple[list[str], int, int]:
    """Records, last contact and data cut of a patient as ingest accepts them: no key twice, nothing after death."""
    treatments = draw(st.lists(TREATMENTS, max_size=6))
    keyed = draw(
        st.lists(st.one_of(SCORES, WALKS, EVENTS), max_size=12, unique_by=lambda text: text.split()[:2].__str__())
    )
    death = draw(st.none() | st.integers(0, 1000))
    records = [r for r in treatments + keyed if death is None or int(r.split()[1]) <= death]
    records += [f"death {death}"] if death is not None else []
    data_cut = draw(st.integers(max([0, *(int(r.split()[1]) for r in records)]), 1200))
    return records, draw(st.integers(0, data_cut)), data_cut


COHORTS = st.lists(patients(), min_size=1, max_size=6)
QUICK = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
# of tables that ingest writes, which hand-made patients do not pass through; ingest has tests of its own
NOT_OF_SQL = {"accepted_rows_arrived", "ingest_counts_reconcile", "source_counts_reconcile", "few_alike_not_published"}


@pytest.fixture
def build(cohort: Any) -> Callable[..., Any]:
    """Makes a fresh cohort of drawn patients and every table of it, its rows shuffled when a seed is given."""
    kind = type(cohort)

    def make(drawn: list[tuple[list[str], int, int]], seed: int | None = None) -> Any:
        fresh = kind(cohort.protocol, list(cohort._tables.values()), cohort._warehouse)
        for number, (records, last_contact, data_cut) in enumerate(drawn):
            fresh.patient(f"P{number}", *records, last_contact=last_contact, data_cut=data_cut)
        if seed is not None:
            fresh.shuffle(random.Random(seed).shuffle)
        fresh.make_all()
        return fresh

    return make


@QUICK
@given(drawn=COHORTS)
def test_every_blocking_check_holds(build: Callable[..., Any], drawn: Any) -> None:
    """Grain, coverage, range and reconciliation, as the checks of `sql/` state them."""
    warehouse = build(drawn).make()
    blocking = [check for check in load_checks(sql_folder()) if check.is_blocking and check.name not in NOT_OF_SQL]
    verdicts = {check.name: run_check(warehouse, check).verdict for check in blocking}
    assert not {name for name, verdict in verdicts.items() if verdict in ("failed", "error")}


@QUICK
@given(drawn=COHORTS)
def test_counts_reconcile_and_nothing_happens_before_the_start(build: Callable[..., Any], drawn: Any) -> None:
    cohort = build(drawn)
    episodes = cohort.table("outcomes.episodes")
    assert cohort.table("outcomes.attrition", step=1)["remaining"].sum() == len(drawn)
    index_episodes = int(episodes["is_index"].sum())
    assert cohort.table("outcomes.attrition", step=3)["remaining"].sum() == index_episodes
    assert cohort.table("outcomes.crossover")["patients"].sum() == index_episodes
    times = cohort.table("outcomes.time_to_event")
    assert times.filter((pl.col("time_days") < 0) | (pl.col("start_day") < 0)).is_empty()
    treatments = times.filter(pl.col("source_table") == "treatments")
    assert treatments.filter(pl.col("time_days") == 0).is_empty()
    stays = cohort.table("analysis.as_treated")
    assert stays.filter(pl.col("time_days") <= pl.col("entry_days")).is_empty()
    moves = cohort.table("analysis.transitions")
    assert moves.filter(pl.col("stop_days") <= pl.col("start_days")).is_empty()
    assert cohort.table("outcomes.visits").filter(pl.col("days_from_start") <= 0).is_empty()


@QUICK
@given(drawn=COHORTS, seed=st.integers(0, 1000))
def test_the_order_of_rows_in_the_release_changes_nothing(build: Callable[..., Any], drawn: Any, seed: int) -> None:
    """Same rows, same order: tables are equal as written, not only after sorting."""
    straight = build(drawn)
    tables = {name: straight.table(name) for name in straight._tables}
    shuffled = build(drawn, seed)
    for name, frame in tables.items():
        assert frame.equals(shuffled.table(name)), name


def test_a_patient_who_is_added_changes_nothing_for_the_others(build: Callable[..., Any]) -> None:
    one = (["conservative 0", "nrs_leg 0 = 7", "nrs_leg 91 = 4", "mild 200"], 900, 900)
    other = (["esi 5", "nrs_leg 0 = 5", "death 300"], 300, 900)
    alone = build([one])
    names = [name for name in alone._tables if name not in ("outcomes.attrition", "outcomes.crossover")]
    kept = [name for name in names if "patient_id" in alone.table(name).columns]
    before = {name: alone.table(name) for name in kept}
    together = build([one, other])
    for name, frame in before.items():
        assert frame.equals(together.table(name, patient_id="P0")), name
