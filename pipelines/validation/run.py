"""Running the validation studies with progress, and saying whether all of them passed."""

import tomllib
from collections.abc import Callable, Mapping

import polars as pl

from pipelines.protocol import Protocol
from pipelines.resources import data_folder
from pipelines.simulate.calibration import calibration_frame
from pipelines.validation.agreement import agreement
from pipelines.validation.failure_study import questions, replication_of
from pipelines.validation.failure_truth import FailureScenario
from pipelines.validation.recovery import FramesOf, judge_recovery, run_recovery
from pipelines.validation.study import judge, run_replications

STUDIES = ("agreement", "failure", "recovery", "calibration")
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
    if name == "recovery":
        seeds = range(1, cohorts + 1)
        found = run_recovery(
            frames_of, protocol, COHORT_PATIENTS, seeds, progress=lambda done: say(f"cohort {done} of {cohorts}")
        )
        return judge_recovery(found)
    return calibration_frame(patients=CALIBRATION_PATIENTS)


def failure_grid(replications: int | None, say: Say = lambda text: None) -> pl.DataFrame:
    """Run the committed grid of time-to-failure scenarios: the judged questions with scenario and title."""
    grid = tomllib.loads((data_folder() / "validation.toml").read_text(encoding="utf-8"))["failure"]
    count = replications or grid["replications"]
    pieces = []
    for number, content in enumerate(grid["scenarios"]):
        scenario = FailureScenario.model_validate(content)
        findings = run_replications(
            replication_of(scenario, grid["subjects"], grid["horizon"]),
            count,
            [grid["seed"], number],
            progress=lambda done, name=scenario.name: say(f"{name}: {done} of {count}"),  # type: ignore[misc]
        )
        judged = judge(findings, questions(scenario, grid["horizon"]))
        named = [pl.lit(scenario.name).alias("scenario"), pl.lit(scenario.title).alias("title")]
        pieces.append(judged.select(*named, pl.all()))
    return pl.concat(pieces)


def failures(frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """What did not pass, one line a study."""
    found = []
    for name in ("agreement", "failure"):
        if name in frames and (count := frames[name].filter(verdict="failed").height):
            found.append(f"{name}: {count} of {frames[name].height} criteria failed")
    if "recovery" in frames:
        adjusted = frames["recovery"].filter(method="adjusted")
        missed = adjusted.height - int(adjusted["is_within"].sum())
        if missed:
            found.append(f"recovery: {missed} of {adjusted.height} true values missed")
        crude = frames["recovery"].filter(method="unadjusted")
        blind = [q for (q,), rows in crude.group_by("quantity") if rows["is_within"].all()]
        found += [f"recovery: confounding is not visible in {quantity}" for quantity in blind]
    return found
