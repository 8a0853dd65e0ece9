"""Running the validation studies with progress, and saying whether all of them passed."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.protocol import Protocol
from pipelines.resources import data_folder
from pipelines.simulate.calibration import calibration_frame
from pipelines.validation import failure_study, outcome_study
from pipelines.validation.agreement import agreement
from pipelines.validation.failure_truth import FailureScenario
from pipelines.validation.outcome_truth import ControlScenario, Scenario, ScoreScenario, WalkScenario
from pipelines.validation.recovery import FramesOf, judge_recovery, run_recovery
from pipelines.validation.site_study import site_study
from pipelines.validation.study import Question, Replicate, judge, run_replications

STUDIES = ("agreement", "failure", "outcomes", "recovery", "sites", "calibration")
SCENARIOS: dict[str, type[Scenario]] = {
    "scores": ScoreScenario,
    "walks": WalkScenario,
    "negative control": ControlScenario,
}
COHORT_PATIENTS = 5000
CALIBRATION_PATIENTS = 40_000

Say = Callable[[str], None]


def run_study(
    name: str,
    replications: int | None,
    cohorts: int,
    frames_of: FramesOf,
    protocol: Protocol,
    say: Say = lambda text: None,
) -> pl.DataFrame:
    """Run one of `STUDIES` and return its frame; `replications` None means the committed number."""
    if name == "agreement":
        return agreement()
    if name == "failure":
        return failure_grid(replications, say)
    if name == "outcomes":
        return outcome_grid(replications, say)
    if name == "sites":
        return site_study(_committed("sites"), replications, say=say)
    if name == "recovery":
        seeds = range(1, cohorts + 1)
        found = run_recovery(
            frames_of, protocol, COHORT_PATIENTS, seeds, progress=lambda done: say(f"cohort {done} of {cohorts}")
        )
        return judge_recovery(found)
    return calibration_frame(patients=CALIBRATION_PATIENTS)


def _committed(name: str) -> dict[str, Any]:
    grid: dict[str, Any] = tomllib.loads((data_folder() / "validation.toml").read_text(encoding="utf-8"))[name]
    return grid


@dataclass(frozen=True)
class Case:
    """A scenario of a committed grid: its name and title, one replication, and what is asked of each method."""

    name: str
    title: str
    replicate: Replicate
    questions: Sequence[Question]


def failure_grid(replications: int | None, say: Say = lambda text: None) -> pl.DataFrame:
    """Run the committed grid of time-to-failure scenarios: the judged questions with scenario and title."""
    grid = _grid("failure")
    horizon, cases = grid["horizon"], []
    for content in grid["scenarios"]:
        scenario = FailureScenario.model_validate(content)
        replicate = failure_study.replication_of(scenario, grid["subjects"], horizon)
        cases.append(Case(scenario.name, scenario.title, replicate, failure_study.questions(scenario, horizon)))
    return _run(cases, replications or grid["replications"], grid["seed"], say)


def outcome_grid(
    replications: int | None, say: Say = lambda text: None, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Run the committed grid of scores, walks and the negative control (all scenarios, or those named)."""
    grid, cases = _grid("outcomes"), []
    for content in grid["scenarios"]:
        scenario: Scenario = SCENARIOS[content["kind"]].model_validate(content)
        replicate = outcome_study.replication_of(scenario)
        cases.append(Case(scenario.name, scenario.title, replicate, outcome_study.questions(scenario)))
    return _run(cases, replications or grid["replications"], grid["seed"], say, names)


def _grid(study: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((data_folder() / "validation.toml").read_text(encoding="utf-8"))[study]
    return found


def _run(cases: Sequence[Case], count: int, seed: int, say: Say, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Each scenario has its own seed by its place in the grid, so that it can be run alone."""
    pieces = []
    for number, case in enumerate(cases):
        if names is not None and case.name not in names:
            continue
        findings = run_replications(
            case.replicate,
            count,
            [seed, number],
            progress=lambda done, name=case.name: say(f"{name}: {done} of {count}"),  # type: ignore[misc]
        )
        named = [pl.lit(case.name).alias("scenario"), pl.lit(case.title).alias("title")]
        pieces.append(judge(findings, case.questions).select(*named, pl.all()))
    return pl.concat(pieces)


def failures(frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """What did not pass, one line a study."""
    found = []
    for name in ("agreement", "failure", "outcomes"):
        if name in frames and (count := frames[name].filter(verdict="failed").height):
            found.append(f"{name}: {count} of {frames[name].height} criteria failed")
    if "sites" in frames and (count := frames["sites"].filter(verdict="failed").height):
        found.append(f"sites: {count} of {frames['sites'].height} criteria failed")
    if "recovery" in frames:
        adjusted = frames["recovery"].filter(method="adjusted")
        missed = adjusted.height - int(adjusted["is_within"].sum())
        if missed:
            found.append(f"recovery: {missed} of {adjusted.height} true values missed")
        crude = frames["recovery"].filter(method="unadjusted")
        blind = [q for (q,), rows in crude.group_by("quantity") if rows["is_within"].all()]
        found += [f"recovery: confounding is not visible in {quantity}" for quantity in blind]
    return found
