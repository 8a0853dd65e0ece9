"""The study of comparative models judges rightly: its truths against large draws, and small runs of the real grid."""

import tomllib

import numpy as np
import polars as pl
import pytest

from pipelines.resources import data_folder
from pipelines.validation import outcome_study
from pipelines.validation.outcome_truth import ControlScenario, Scenario, ScoreScenario, WalkScenario
from pipelines.validation.run import SCENARIOS
from pipelines.validation.study import Finding, Question, judge, run_replications

DRAWS = 400_000


def committed(name: str) -> Scenario:
    grid = tomllib.loads((data_folder() / "validation.toml").read_text(encoding="utf-8"))["outcomes"]
    (content,) = (line for line in grid["scenarios"] if line["name"] == name)
    return SCENARIOS[content["kind"]].model_validate(content)


def drawn(name: str, **settings: float) -> tuple[ScoreScenario, pl.DataFrame, np.ndarray]:
    """A scenario with a very large cohort and each row's overlap weight by the true propensity."""
    scenario = ScoreScenario.model_validate(committed(name).model_dump() | {"subjects": DRAWS} | settings)
    frame = outcome_study.draw_scores(scenario, np.random.default_rng(5))
    score = scenario.propensity(frame["x1"].to_numpy(), frame["x2"].to_numpy())
    return scenario, frame, np.where(frame["arm"].to_numpy() == 1, 1 - score, score)


def weighted_difference(frame: pl.DataFrame, column: str, weight: np.ndarray) -> float:
    arm, values = frame["arm"].to_numpy(), frame[column].to_numpy()
    return float(np.average(values[arm == 1], weights=weight[arm == 1])) - float(
        np.average(values[arm == 0], weights=weight[arm == 0])
    )


def test_true_differences_are_those_of_a_very_large_cohort_weighted_by_its_true_propensity() -> None:
    scenario, frame, weight = drawn("modified")
    truth = scenario.true_values(overlap=True)
    # standard errors of 200,000 an arm: 1.7 / sqrt(100,000) points, 0.5 / sqrt(100,000) of a share
    assert weighted_difference(frame, "all_seen", weight) == pytest.approx(truth["mean difference"], abs=0.02)
    assert weighted_difference(frame, "is_responder", weight) == pytest.approx(truth["risk difference"], abs=0.007)
    # in everyone the mean of x1 is 0, so the effect is the scenario's; the overlap holds more of those it helps most
    assert scenario.true_values(overlap=False)["mean difference"] == pytest.approx(-1.0, abs=1e-12)
    assert truth["mean difference"] < -1.05


def test_the_share_of_unseen_last_scores_shifts_the_truth() -> None:
    scenario, frame, weight = drawn("missing_not_at_random")
    unseen = frame.filter(arm=1)["y3"].is_null().to_numpy()
    share = np.average(unseen, weights=weight[frame["arm"].to_numpy() == 1])
    assert share == pytest.approx(scenario.share_unseen(overlap=True), abs=0.005)
    truth = scenario.true_values(overlap=True)["mean difference"]
    assert truth == pytest.approx(scenario.effect + scenario.delta * scenario.share_unseen(overlap=True), abs=1e-12)
    assert weighted_difference(frame, "all_seen", weight) == pytest.approx(truth, abs=0.02)


def test_walks_have_their_true_ratio_before_the_cap() -> None:
    """On paper: the log ratio of time is 0.5 + 0.5 × 0.06, that of distance adds the speed's 0.06."""
    scenario = committed("ceiling_walks")
    truth = scenario.true_values(overlap=False)
    assert truth == pytest.approx({"log time ratio": 0.53, "log speed ratio": 0.06, "log distance ratio": 0.59})
    assert isinstance(scenario, WalkScenario)
    frame = outcome_study.draw_walks(scenario, np.random.default_rng(3))
    assert frame.filter("capped")["time_s"].unique().to_list() == [1800.0]
    assert 0.15 < float(frame["capped"].to_numpy().mean()) < 0.5
    assert 0 < float(frame["capped0"].to_numpy().mean()) < 0.3


@pytest.mark.parametrize(
    ("name", "replications"),
    [("modified", 60), ("missing_not_at_random", 15), ("ceiling_walks", 30), ("control_unmeasured", 40)],
)
def test_a_small_study_gives_every_method_its_verdict(name: str, replications: int) -> None:
    scenario = committed(name)
    findings = run_replications(outcome_study.replication_of(scenario), replications, [20261128, 99], workers=1)
    judged = judge(findings, outcome_study.questions(scenario))
    assert judged.filter(verdict="failed").select("quantity", "method", "reason").rows() == []
    assert {"passed"} <= set(judged["verdict"]) <= {"passed", "shown"}


@pytest.mark.slow
def test_imputation_and_mmrm_make_up_for_what_complete_cases_lose() -> None:
    scenario = committed("missing_at_random")
    findings = run_replications(outcome_study.replication_of(scenario), 15, [20261128, 99], workers=1)
    judged = judge(findings, outcome_study.questions(scenario))
    expected = dict(judged.select("method", "expectation").iter_rows())
    assert expected["MMRM"] == expected["overlap-weighted, multiple imputation"] == "valid"
    assert expected["overlap-weighted, weights estimated"] == "biased"
    assert judged.filter(verdict="failed").is_empty()


def test_power_and_too_wide_limits_are_judged() -> None:
    """Estimates around 1 with spread 0.1: half-widths of 0.3 cover almost always, and exclude 0 always."""
    values = np.random.default_rng(2).normal(1.0, 0.1, 500)

    def verdict(question: Question, half: float) -> str:
        rows = [(i, "effect", "method", v, v - half, v + half) for i, v in enumerate(values)]
        schema = ["replication", "quantity", "method", "estimate", "ci_low", "ci_high"]
        return judge(pl.DataFrame(rows, schema=schema, orient="row"), [question])["reason"][0]

    assert verdict(Question("effect", "method", 1.0, 0.0, "conservative"), 0.3) == ""
    assert verdict(Question("effect", "method", 1.0, 0.0, "conservative"), 0.196) == "limits are not too wide"
    assert verdict(Question("effect", "method", 0.0, 0.0, "biased", 0.8), 0.3) == ""
    assert verdict(Question("effect", "method", 0.0, 0.0, "biased", 0.8), 1.1).startswith("power")


def test_every_scenario_of_the_grid_is_one_of_the_issues_kinds() -> None:
    grid = tomllib.loads((data_folder() / "validation.toml").read_text(encoding="utf-8"))["outcomes"]
    scenarios = [SCENARIOS[line["kind"]].model_validate(line) for line in grid["scenarios"]]
    assert grid["replications"] == 2000
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    controls = [scenario for scenario in scenarios if isinstance(scenario, ControlScenario)]
    assert sorted(scenario.hidden > 0 for scenario in controls) == [False, True]
    asked = {question.expectation for scenario in scenarios for question in outcome_study.questions(scenario)}
    assert asked == {"valid", "biased", "conservative", "shown"}
    assert all(isinstance(found, Finding) for found in outcome_study.replicate(controls[0], np.random.default_rng(1)))
