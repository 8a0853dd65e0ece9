"""What Dagster's daemon makes of our schedules while nobody watches: the daemon's own code, with its clock moved.

The same instance settings, schedules and jobs as under `lss ui`, over the small study.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import consume_new_runs_for_automatic_reexecution
from dagster._daemon.freshness import FreshnessDaemon
from dagster._scheduler.scheduler import launch_scheduled_runs

from pipelines.assets.instance import open_instance
from pipelines.assets.instance_files import LOCATION
from pipelines.assets.jobs import DATA_QUALITY_DELIVERY, DATA_QUALITY_JOB, DELIVERY, DELIVERY_JOB
from pipelines.releases import Register, Release

pytestmark = pytest.mark.slow

QUIET = logging.getLogger("tests.daemon")
DEFINITIONS = """\
from pathlib import Path

from pipelines.definitions import build_defs
from pipelines.releases import Home

defs = build_defs(Home(Path({home!r})), Path({sql!r}), {{}})
"""


@pytest.fixture
def daemon(tiny, tmp_path: Path) -> Iterator[WorkspaceProcessContext]:
    """What the daemon works on: a home in Berlin, a release registered after the small one."""
    tiny.home.settings_file.write_text('timezone = "Europe/Berlin"\n')
    Register(tiny.home).add(Release("autumn", "/data/autumn", "a" * 64, "lss-ladder"))
    file = tmp_path / "definitions.py"
    file.write_text(DEFINITIONS.format(home=str(tiny.home.path), sql=str(tiny.sql)))
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(file)), location_name=LOCATION)
    with (
        open_instance(tiny.home) as instance,
        create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance) as context,
    ):
        yield context


def _look(daemon: WorkspaceProcessContext, *moment: int) -> list[tuple[str, str]]:
    """One look of the scheduler at a moment in UTC; job and release of each run that waits in the queue since."""
    now = datetime(*moment, tzinfo=UTC)
    before = {run.run_id for run in daemon.instance.get_runs()}
    with freeze_time(now):
        list(launch_scheduled_runs(daemon, QUIET, now, {}))
    new = [run for run in daemon.instance.get_runs() if run.run_id not in before]
    assert all(run.status == dg.DagsterRunStatus.QUEUED for run in new)
    return [(run.job_name, run.tags["dagster/partition"]) for run in new]


def test_the_committee_report_is_asked_for_once_a_quarter_at_six_in_the_homes_own_time(daemon) -> None:
    assert _look(daemon, 2026, 4, 4, 12) == []  # the first look; nobody switched a schedule on
    assert _look(daemon, 2026, 4, 5, 3, 59) == []
    assert _look(daemon, 2026, 4, 5, 4, 0) == [(DELIVERY_JOB, "autumn")]  # six in Berlin's summer
    assert _look(daemon, 2026, 4, 5, 4, 1) == []
    assert _look(daemon, 2026, 7, 5, 3, 59) == []
    assert _look(daemon, 2026, 7, 6, 9, 30) == [(DELIVERY_JOB, "autumn")]  # the machine was off on the day itself
    assert _look(daemon, 2027, 1, 5, 4, 59) == [(DELIVERY_JOB, "autumn")]  # three months off: one run makes up for it
    assert _look(daemon, 2027, 1, 5, 5, 0) == [(DELIVERY_JOB, "autumn")]  # six in Berlin's winter


def test_the_data_quality_page_is_asked_for_each_month_of_the_release_published_last(daemon, tiny) -> None:
    def said() -> list[str | None]:
        [schedule] = [s for s in _schedules(daemon) if s.name == "monthly_data_quality"]
        ticks = daemon.instance.get_ticks(schedule.get_remote_origin_id(), schedule.selector_id)
        return [tick.tick_data.skip_reason for tick in ticks]

    assert _look(daemon, 2026, 4, 30, 12) == []
    assert _look(daemon, 2026, 5, 2, 5, 0) == []
    assert said() == ["no release is published yet; see the runs of the registered ones"]
    tiny.snapshot.parent.mkdir(parents=True)
    tiny.snapshot.touch()
    assert _look(daemon, 2026, 6, 2, 4, 59) == []
    assert _look(daemon, 2026, 6, 2, 5, 0) == [(DATA_QUALITY_JOB, "tiny")]


def _schedules(daemon: WorkspaceProcessContext):
    [entry] = daemon.create_request_context().get_code_location_entries().values()
    [repository] = entry.code_location.get_repositories().values()
    return repository.get_schedules()


def _retried(daemon: WorkspaceProcessContext, reason: RunFailureReason) -> list[dg.DagsterRun]:
    """Let the last run fail for a reason; returns the runs that the daemon asks for in its place."""
    instance = daemon.instance
    failed = instance.get_runs(limit=1)[0]
    instance.report_run_failed(failed, job_failure_data=JobFailureData(None, failure_reason=reason))
    records = instance.get_run_records(dg.RunsFilter(run_ids=[failed.run_id]))
    list(consume_new_runs_for_automatic_reexecution(daemon, records, QUIET))
    return [run for run in instance.get_runs() if run.parent_run_id == failed.run_id]


def test_a_scheduled_run_that_was_killed_is_started_again_twice_and_no_more(daemon) -> None:
    _look(daemon, 2026, 4, 4, 12)
    _look(daemon, 2026, 4, 5, 4, 0)
    for _ in range(2):
        [again] = _retried(daemon, RunFailureReason.UNKNOWN)
        assert (again.job_name, again.tags["dagster/partition"]) == (DELIVERY_JOB, "autumn")
        assert again.status == dg.DagsterRunStatus.QUEUED
    assert _retried(daemon, RunFailureReason.UNKNOWN) == []


def test_a_scheduled_run_whose_step_failed_is_not_started_again(daemon) -> None:
    _look(daemon, 2026, 4, 4, 12)
    _look(daemon, 2026, 4, 5, 4, 0)
    assert _retried(daemon, RunFailureReason.STEP_FAILURE) == []


@pytest.mark.parametrize(("delivery", "due"), [(DELIVERY, (2026, 4, 5, 10)), (DATA_QUALITY_DELIVERY, (2026, 4, 2, 11))])
def test_the_daemon_shows_a_delivery_that_did_not_come_as_stale(
    daemon, delivery: dg.AssetKey, due: tuple[int, int, int, int]
) -> None:
    """Six hours after the scheduled hour, in the home's own time."""
    year, month, day, hour = due
    with freeze_time(datetime(2026, 3, 5, 9, tzinfo=UTC)):
        daemon.instance.report_runless_asset_event(dg.AssetMaterialization(delivery, partition="autumn"))
    assert _freshness(daemon, delivery, datetime(year, month, day, hour - 1, 59, tzinfo=UTC)) == FreshnessState.PASS
    assert _freshness(daemon, delivery, datetime(year, month, day, hour, 1, tzinfo=UTC)) == FreshnessState.FAIL
    with freeze_time(datetime(year, month, day, hour, 30, tzinfo=UTC)):
        daemon.instance.report_runless_asset_event(dg.AssetMaterialization(delivery, partition="autumn"))
    assert _freshness(daemon, delivery, datetime(year, month, day, hour, 31, tzinfo=UTC)) == FreshnessState.PASS


def _freshness(daemon: WorkspaceProcessContext, asset: dg.AssetKey, now: datetime) -> FreshnessState:
    with freeze_time(now):
        list(FreshnessDaemon().run_iteration(daemon))
    [record] = daemon.instance.get_freshness_state_records([asset]).values()
    return record.freshness_state
