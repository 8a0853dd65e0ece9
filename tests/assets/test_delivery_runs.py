"""Delivery as Dagster does it: a failed run is told to the stewards, a failed mail is tried again, a missed tick shows.

Real runs on an instance of their own, and a real mail server on this machine.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import CronFreshnessPolicyEvaluator
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time
from mailbox_server import Mailbox, mail_server

from pipelines.analyses.registry import Tables
from pipelines.assets import published
from pipelines.assets.instance import open_instance
from pipelines.assets.jobs import DELIVERY, DELIVERY_JOB
from pipelines.assets.report_files import report_files
from pipelines.protocol import Protocol
from pipelines.releases import Home

pytestmark = pytest.mark.slow


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


@pytest.fixture
def study(tiny, box: Mailbox, monkeypatch: pytest.MonkeyPatch):
    """The small study with a report to deliver, a mail server, and no waiting between tries."""

    def write_report(home: Home, release: str, protocol: str) -> dict[str, Path]:
        paths = report_files(home, release, protocol)
        paths["html"].parent.mkdir(parents=True, exist_ok=True)
        for path in paths.values():
            path.write_text("report")
        return paths

    monkeypatch.setattr(published, "write_report", write_report)
    tiny.home.settings_file.write_text(f"[delivery]\nretry_after_s = 0\n{box.settings}")
    return tiny


def _deliver(study, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """A run of the job that the inbox and the quarterly schedule start."""
    job = study.definitions().resolve_job_def(DELIVERY_JOB)
    return job.execute_in_process(instance=instance, partition_key="tiny", raise_on_error=False)


def test_a_failed_run_is_told_to_the_stewards_without_data(study, box: Mailbox) -> None:
    def fail(tables: Tables, protocol: Protocol) -> pl.DataFrame:
        raise ValueError(f"cannot use {tables['staging.patients']['patient_id'].to_list()}")

    study.compute = fail
    repository = study.definitions().get_repository_def()
    sensor = repository.get_sensor_def("failure_notice")

    def tick(instance: dg.DagsterInstance, cursor: str | None) -> str | None:
        context = dg.build_sensor_context(instance, cursor=cursor, repository_def=repository)
        return sensor.evaluate_tick(context).cursor or context.cursor

    with open_instance(study.home) as instance:
        cursor = tick(instance, None)  # the daemon's first look only notes where it stands
        failed = _deliver(study, instance)
        assert not failed.success
        cursor = tick(instance, cursor)
        tick(instance, cursor)
        ids = study.patient_ids()
    [notice] = box.messages
    assert (notice["To"], notice["Subject"]) == (
        "steward@example.org",
        "Release tiny needs attention: the models",
    )
    said = " ".join([notice.as_string(), *notice.get_content().split()])
    assert failed.run_id[:8] in said
    assert "mend it, then choose Re-execute there" in said
    assert not any(one in said for one in ids)
    assert list(notice.iter_attachments()) == []


def test_a_mail_that_the_server_turned_away_is_sent_by_the_next_try(study, box: Mailbox) -> None:
    box.busy = 2
    with open_instance(study.home) as instance:
        done = _deliver(study, instance)
    assert done.success
    retried = [event.step_key for event in done.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert retried == ["reports__delivery"] * 2
    assert [message["Subject"] for message in box.messages] == ["Committee report, release tiny"]


def test_a_missed_tick_of_the_schedule_shows_as_stale(study) -> None:
    """Due on the fifth of April at six, to be there by noon; the run of the quarter before does not count."""

    def state(instance: dg.DagsterInstance, now: datetime) -> FreshnessState:
        node = study.definitions().get_repository_def().asset_graph.get(DELIVERY)
        with freeze_time(now):
            evaluator = CronFreshnessPolicyEvaluator()
            return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))

    with open_instance(study.home) as instance:
        assert instance.freshness_enabled
        with freeze_time(datetime(2026, 1, 5, 6, 10, tzinfo=UTC)):
            assert _deliver(study, instance).success
        assert state(instance, datetime(2026, 4, 5, 11, 59, tzinfo=UTC)) == FreshnessState.PASS
        assert state(instance, datetime(2026, 4, 5, 12, 1, tzinfo=UTC)) == FreshnessState.FAIL
        with freeze_time(datetime(2026, 4, 6, 9, 0, tzinfo=UTC)):
            assert _deliver(study, instance).success
        assert state(instance, datetime(2026, 4, 6, 9, 1, tzinfo=UTC)) == FreshnessState.PASS
