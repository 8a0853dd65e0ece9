"""Runs of the job from the command line: in this process, on the home's instance, so that the UI shows them.

What a run says on the screen belongs in `console.py`, exit codes in `cli/`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id
from dagster_shared.error import SerializableErrorInfo

from pipelines.assets.alive import alive
from pipelines.assets.instance import history_errors, open_instance, sync_less_often
from pipelines.assets.instance_files import LOCATION
from pipelines.assets.parts import STAGE_TAG
from pipelines.assets.study import REPORT, STUDY
from pipelines.releases import Home

REPOSITORY_TAG = ".dagster/repository"  # with it the run stands on the job's own page
REPOSITORY = f"__repository__@{LOCATION}"

Outcome = Literal["done", "refused", "check failed", "failed"]

_OUTCOMES: dict[str | None, Outcome] = {
    "ReleaseRefused": "refused",
    "BlockingCheckFailed": "check failed",
    "DagsterAssetCheckFailedError": "check failed",
}


_INTERRUPTS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


@dataclass(frozen=True)
class Watcher:
    """What wants to know how a run gets on: the steps to come with the stage of each, then each beginning and end."""

    plan: Callable[[dict[str, str]], None] = lambda _: None
    begun: Callable[[str], None] = lambda _: None
    ended: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Finished:
    """How a run ended; `sentence` says what went wrong, `is_published` whether the report is of this run."""

    outcome: Outcome
    sentence: str
    is_published: bool


def run_release(
    home: Home, release: str, job: dg.JobDefinition, config: dict[str, Any], watcher: Watcher | None = None
) -> Finished:
    """Run the whole job on a registered release.

    Args:
        home: the home folder.
        release: the release's name in the register.
        job: the job over that home.
        config: the configuration of the study: `protocol_file`, `analysis_set`, `overrides`.
        watcher: is told how the run gets on.
    """
    sync_less_often()
    run_id = make_new_run_id()
    with history_errors(home), open_instance(home) as instance, alive(home, run_id):
        # Dagster asks some hundred times in a run whether the release is a partition: a sixth of a small run's time
        instance.has_dynamic_partition = functools.cache(instance.has_dynamic_partition)  # type: ignore[method-assign]
        run = instance.create_run_for_job(
            job,
            run_id=run_id,
            run_config={"resources": {STUDY: {"config": config}}},
            tags={PARTITION_NAME_TAG: release, REPOSITORY_TAG: REPOSITORY},
        )
        log = _Log(_stages(job), watcher or Watcher())
        for happened in execute_run_iterator(InMemoryJob(job), run, instance):
            log.note(happened)
        return log.finished()


def _stages(job: dg.JobDefinition) -> dict[str, str]:
    """The steps in the order in which they can run, each with its stage."""
    return {node.name: node.definition.tags[STAGE_TAG] for node in job.nodes_in_topological_order}


@dataclass
class _Log:
    """What happened in a run, as far as its end depends on it."""

    stages: dict[str, str]
    watcher: Watcher
    errors: list[SerializableErrorInfo] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)
    is_reported: bool = False

    def __post_init__(self) -> None:
        self.watcher.plan(self.stages)

    def note(self, happened: DagsterEvent) -> None:
        step = happened.step_key
        if step in self.stages and happened.is_step_start:
            self.watcher.begun(step)
        elif step in self.stages and (happened.is_step_success or happened.is_step_failure):
            self.watcher.ended(step)
        if happened.event_type == DagsterEventType.ASSET_MATERIALIZATION:
            self.is_reported |= happened.asset_key == REPORT
        if happened.event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
            self._note_check(happened.asset_check_evaluation_data)
        error = _error(happened)
        if error:
            self.errors.append(_innermost(error))

    def finished(self) -> Finished:
        """How the run ended; an interrupt goes on as one."""
        if not self.errors:
            return Finished("done", "", self.is_reported)
        if self.errors[0].cls_name in _INTERRUPTS:
            raise KeyboardInterrupt
        outcome = _OUTCOMES.get(self.errors[0].cls_name, "failed")
        sentence = self.failed_checks[0] if self.failed_checks else _sentence(self.errors[0])
        return Finished(outcome, sentence, self.is_reported)

    def _note_check(self, check: dg.AssetCheckEvaluation) -> None:
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
            table = ".".join(check.asset_key.path)
            self.failed_checks.append(f"nothing is published, a check of {table} did not pass: {check.description}")


def _error(happened: DagsterEvent) -> SerializableErrorInfo | None:
    if happened.is_step_failure:
        return happened.step_failure_data.error
    if happened.is_resource_init_failure:
        return happened.engine_event_data.error
    return happened.job_failure_data.error if happened.is_job_failure else None


def _innermost(error: SerializableErrorInfo) -> SerializableErrorInfo:
    return _innermost(error.cause) if error.cause else error


def _sentence(error: SerializableErrorInfo) -> str:
    """The message without the name of its class in front."""
    return error.message.strip().split(f"{error.cls_name}: ", 1)[-1]
