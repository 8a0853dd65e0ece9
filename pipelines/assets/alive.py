"""Which runs are alive: a run holds a lock of its own from start to end, and the kernel frees it when the run dies.

A killed run stays `started` in Dagster's history until the next run of its release finds its lock free.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterInstance, DagsterRun, RunsFilter
from dagster._core.storage.tags import PARTITION_NAME_TAG

from pipelines.releases import Home
from pipelines.releases.locks import hold, is_held

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,  # killed between its entry in the history and its first step
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_YOUNG_S = 5
_held_here: set[str] = set()


@contextmanager
def alive(home: Home, run_id: str) -> Iterator[None]:
    """Mark the run as alive for the block; within the block of the same process it may be called again."""
    if run_id in _held_here:
        yield
        return
    path = home.lock_file(f"run-{run_id}")
    with hold(path):
        _held_here.add(run_id)
        try:
            yield
            path.unlink(missing_ok=True)  # not after an error: one that could not be noted is found by the next run
        finally:
            _held_here.discard(run_id)


def fail_all_dead_runs(instance: DagsterInstance, home: Home) -> None:
    """Mark runs of all releases as failed whose process has died, since one that seems to go on holds up all others."""
    for run in instance.get_runs(filters=RunsFilter(statuses=_UNFINISHED)):
        path = home.lock_file(f"run-{run.run_id}")
        is_young = path.exists() and time.time() - path.stat().st_mtime < _YOUNG_S  # perhaps made and not yet locked
        if not is_young and _has_died(home, run.run_id):
            _fail(instance, home, run)


def fail_dead_runs(instance: DagsterInstance, home: Home, release: str) -> list[DagsterRun]:
    """Mark runs of a release as failed whose process has died; returns them. Call it with the release's lock held."""
    unfinished = RunsFilter(statuses=_UNFINISHED, tags={PARTITION_NAME_TAG: release})
    dead = [run for run in instance.get_runs(filters=unfinished) if _has_died(home, run.run_id)]
    for run in dead:
        _fail(instance, home, run)
    _forget_ended_runs(instance, home)
    return dead


def _forget_ended_runs(instance: DagsterInstance, home: Home) -> None:
    """Remove the lock files of dead runs that have an end in the history, or never stood there."""
    for path in home.lock_file("run-any").parent.glob("run-*.lock"):
        run_id = path.stem.removeprefix("run-")
        if _has_died(home, run_id):
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                path.unlink(missing_ok=True)


def _fail(instance: DagsterInstance, home: Home, run: DagsterRun) -> None:
    instance.report_run_failed(run, message="The process of this run was ended from outside; nothing was published.")
    home.lock_file(f"run-{run.run_id}").unlink(missing_ok=True)


def _has_died(home: Home, run_id: str) -> bool:
    path = home.lock_file(f"run-{run_id}")
    return run_id not in _held_here and path.exists() and not is_held(path)
