"""Runs of the job on a small study: what they publish, what they refuse to publish and what they say."""

import shutil
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from pipelines.analyses.registry import Tables
from pipelines.assets.alive import alive
from pipelines.assets.instance import open_instance
from pipelines.protocol import Protocol, load_protocol
from pipelines.releases import Register, Release, open_snapshot
from pipelines.resources import default_protocol_file, sql_folder
from pipelines.warehouse import open_warehouse

pytestmark = pytest.mark.slow

HORIZON = {"primary": {"endpoint_horizon_days": 365}}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _holding(home: Path, words: set[str]) -> list[str]:
    """Files of the home outside the warehouse and the snapshots that hold one of the words."""
    kept = ("releases", "snapshots")
    files = [path for path in home.rglob("*") if path.is_file() and path.relative_to(home).parts[0] not in kept]
    return [path.name for path in files if any(word.encode() in path.read_bytes() for word in words)]


def test_a_whole_run_publishes_results_with_their_stamp(tiny) -> None:
    finished = tiny.run()
    assert (finished.outcome, finished.sentence, finished.is_published) == ("done", "", True)
    snapshot = open_snapshot(tiny.home, "tiny")
    counts = snapshot.read("results.counts")
    assert counts["patients"].sum() == snapshot.count("raw.patients")
    assert counts["release"].unique().to_list() == ["tiny"]
    assert counts["protocol_hash"].unique().to_list() == [load_protocol(default_protocol_file()).hash]
    assert ("all_counted", "passed") in snapshot.read("quality.checks").select("check_name", "verdict").rows()
    assert (
        tiny.steps.index("staging__patients") < tiny.steps.index("outcomes__ages") < tiny.steps.index("results__counts")
    )
    assert tiny.steps[-2:] == ["reports__snapshot", "reports__committee_report"]
    snapshot.close()


def _said(tiny, *table: str) -> dict[str, dg.MetadataValue]:
    """What the page of a table says of how it was made last."""
    with open_instance(tiny.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(table))
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)


def _sources(said: dict[str, dg.MetadataValue]) -> dict[str, list[str]]:
    lineage = said["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    return {
        column: [f"{'.'.join(dep.asset_key.path)}.{dep.column_name}" for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }


def test_a_page_tells_of_each_column_what_it_was_made_of_and_where_its_figures_are(tiny) -> None:
    tiny.run()
    assert _sources(_said(tiny, "outcomes", "ages"))["is_old"] == [
        "protocol.rules.horizon_days",
        "staging.patients.age_years",
    ]
    counts = _said(tiny, "results", "counts")
    assert _sources(counts) == {"is_old": ["outcomes.ages.is_old"], "patients": ["outcomes.ages.patients"]}
    schema = counts["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    said = {column.name: column.description for column in schema.columns}
    assert said["patients"] == "How many. Made from outcomes.ages: patients"
    assert counts["figures and tables"].value == dg.AssetKey(["reports", "committee_report"])


def test_changed_keys_of_the_protocol_are_stamped_and_not_published(tiny) -> None:
    tiny.run()
    before = tiny.snapshot.read_bytes()
    finished = tiny.run(overrides=HORIZON)
    assert (finished.outcome, finished.is_published) == ("done", False)
    assert tiny.snapshot.read_bytes() == before
    changed = load_protocol(default_protocol_file()).with_overrides({"primary.endpoint_horizon_days": 365})
    with open_warehouse(tiny.home.working_file("tiny", "lss-ladder")) as warehouse:
        assert warehouse.read("results.counts")["protocol_hash"].unique().to_list() == [changed.hash]
        assert warehouse.read("protocol.rules")["horizon_days"].item() == 365


def _materialize(tiny, *tables: str, **config: object) -> dg.ExecuteInProcessResult:
    keys = {dg.AssetKey(table.split(".")) for table in tables}
    with open_instance(tiny.home) as instance:
        return (
            tiny.job()
            .get_subset(asset_selection=keys)
            .execute_in_process(
                instance=instance,
                partition_key="tiny",
                run_config={"resources": {"study": {"config": config}}},
                raise_on_error=False,
            )
        )


def test_one_asset_under_changed_keys_joins_the_changed_protocol_and_stops_publishing_until_a_whole_run(tiny) -> None:
    tiny.run()
    assert _materialize(tiny, "outcomes.ages", overrides=HORIZON).success
    with open_warehouse(tiny.home.working_file("tiny", "lss-ladder")) as warehouse:
        old = warehouse.query("SELECT count(*) FILTER (age_years > 36.5) AS old FROM raw.patients")["old"].item()
        ages = dict(warehouse.read("outcomes.ages").rows())
    assert ages[True] == old
    refused = _materialize(tiny, "reports.snapshot")
    assert not refused.success
    message = refused.all_events[-1].job_failure_data
    assert message is not None
    failed = [event.step_failure_data.error for event in refused.all_events if event.is_step_failure]
    assert "must be made again after what it is made from; run the whole job" in str(failed[0].cause.message)
    assert tiny.run().is_published


def test_an_unknown_key_is_refused_in_a_sentence(tiny) -> None:
    finished = tiny.run(overrides={"primary": {"horizon": 365}})
    assert finished.outcome == "failed"
    assert finished.sentence == "the protocol has no key primary.horizon; name one that stands in the protocol file"


def test_a_failed_blocking_check_publishes_nothing(tiny) -> None:
    tiny.run()
    before = tiny.snapshot.read_bytes()
    tiny.write_sql(
        {"checks/all_counted.sql": (tiny.sql / "checks/all_counted.sql").read_text().replace("0 AS", "3 AS")}
    )
    finished = tiny.run()
    assert finished.outcome == "check failed"
    assert finished.sentence == (
        "nothing is published, a check of outcomes.ages did not pass: Patients were lost while they were counted."
    )
    assert tiny.snapshot.read_bytes() == before
    with open_warehouse(tiny.home.working_file("tiny", "lss-ladder")) as warehouse:
        checks = warehouse.read("quality.checks").select("check_name", "verdict", "violations").rows()
    assert ("all_counted", "failed", 3) in checks


@pytest.mark.parametrize(("action", "outcome"), [("warn", "done"), ("block", "check failed")])
def test_patients_who_stand_out_stop_publishing_where_the_protocol_says_so(tiny, action: str, outcome: str) -> None:
    names = ("few_alike_not_published", "few_alike_warned_of")
    tiny.write_sql({f"checks/{name}.sql": (sql_folder() / f"checks/{name}.sql").read_text() for name in names})
    finished = tiny.run(overrides={"anonymity": {"action": action}})
    assert finished.outcome == outcome
    assert ("smaller than the protocol lets be published" in finished.sentence) == (action == "block")
    assert tiny.snapshot.exists() == (action == "warn")


def test_no_patient_id_leaves_the_warehouse_in_a_run_that_passes(tiny) -> None:
    tiny.run()
    assert _holding(tiny.home.path, _patient_ids(tiny)) == []


def test_no_patient_id_leaves_the_warehouse_when_an_analysis_fails(tiny) -> None:
    def fail(tables: Tables, protocol: Protocol) -> pl.DataFrame:
        frame = tables["staging.patients"]
        try:
            frame.select(pl.col("patient_id").cast(pl.Int64))
        except Exception as error:
            raise ValueError(f"cannot use {frame['patient_id'].to_list()}") from error
        raise AssertionError

    tiny.compute = fail
    finished = tiny.run()
    assert finished.outcome == "failed"
    assert finished.sentence.startswith("making results.counts: ValueError in ")
    assert _holding(tiny.home.path, _patient_ids(tiny)) == []


def test_no_patient_id_leaves_the_warehouse_when_sql_fails(tiny) -> None:
    tiny.write_sql({"staging/patients.sql": PATIENTS_AS_NUMBERS})
    finished = tiny.run()
    assert finished.sentence == "making staging.patients: the database refused (ConversionException)"
    assert _holding(tiny.home.path, _patient_ids(tiny)) == []


PATIENTS_AS_NUMBERS = """\
-- title: Patients
-- grain: patient_id
-- rule: Ids as numbers, which they are not.
-- source: test
SELECT CAST(patient_id || 'x' AS INTEGER) AS patient_id, age_years FROM raw.patients
"""


def _patient_ids(tiny) -> set[str]:
    with open_warehouse(tiny.home.working_file("tiny", "lss-ladder")) as warehouse:
        ids = set(warehouse.read("raw.patients")["patient_id"])
    assert len(ids) > 20
    return ids


def test_an_interrupt_goes_on_as_one_and_publishes_nothing(tiny) -> None:
    def interrupt(tables: Tables, protocol: Protocol) -> pl.DataFrame:
        raise KeyboardInterrupt

    tiny.compute = interrupt
    with pytest.raises(KeyboardInterrupt):
        tiny.run()
    assert not tiny.snapshot.exists()
    with open_instance(tiny.home) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def test_the_next_run_marks_a_dead_one_as_failed(tiny) -> None:
    with open_instance(tiny.home) as instance:
        tags = {"dagster/partition": "tiny"}
        dead, living = (instance.create_run_for_job(tiny.job(), tags=tags) for _ in range(2))
        for run in (dead, living):
            instance.report_run_canceling(run)  # a state that is not an end
        lock = tiny.home.lock_file(f"run-{dead.run_id}")
        lock.touch()  # what a killed process leaves: the file without the lock
        with alive(tiny.home, living.run_id):
            tiny.run()
            assert instance.get_run_by_id(dead.run_id).status == dg.DagsterRunStatus.FAILURE
            assert instance.get_run_by_id(living.run_id).status == dg.DagsterRunStatus.CANCELING
        assert not lock.exists()


def test_a_working_file_that_cannot_be_read_is_begun_anew(tiny) -> None:
    working = tiny.home.working_file("tiny", "lss-ladder")
    working.parent.mkdir(parents=True)
    working.write_bytes(b"no database, " * 1000)
    assert tiny.run().is_published


def test_a_release_whose_files_changed_since_is_refused_and_the_warehouse_stays_as_it_was(tiny, tmp_path: Path) -> None:
    tiny.run()
    entry = Register(tiny.home).find("tiny")
    moved = tmp_path / "moved"
    shutil.copytree(entry.folder, moved)
    patients = next(moved.glob("patients*"))
    patients.write_bytes(patients.read_bytes() + b"\n")
    Register(tiny.home).add(Release("tiny", str(moved), entry.manifest_sha256, entry.protocol))
    before = _files(tiny.home.path / "snapshots")
    finished = tiny.run()
    assert finished.outcome == "refused"
    assert "is not the file that manifest.toml describes" in finished.sentence
    assert _files(tiny.home.path / "snapshots") == before
    with open_warehouse(tiny.home.working_file("tiny", "lss-ladder")) as warehouse:
        assert warehouse.count("results.counts") > 0


def test_two_runs_leave_two_histories_and_one_archived_snapshot(tiny) -> None:
    tiny.run()
    tiny.run()
    assert len(list((tiny.snapshot.parent / "archive").glob("*.duckdb"))) == 1
    with open_instance(tiny.home) as instance:
        runs = instance.get_runs()
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert {run.tags[".dagster/repository"] for run in runs} == {"__repository__@lss"}


@pytest.mark.parametrize("analysis_set", ["core", "full"])
def test_the_analysis_set_is_part_of_the_protocol_and_published(tiny, analysis_set: str) -> None:
    finished = tiny.run(analysis_set=analysis_set)
    assert finished.is_published
    snapshot = open_snapshot(tiny.home, "tiny")
    assert snapshot.read("protocol.study")["analysis_set"].item() == analysis_set
    snapshot.close()
