"""The simulation study judges rightly: its truth, its verdicts, and a small run of the real grid."""

import numpy as np
import polars as pl
import pytest

from pipelines.validation.failure_study import draw_arms, questions, replication_of
from pipelines.validation.failure_truth import FailureScenario, population_curves, true_values
from pipelines.validation.study import Finding, Question, judge, run_replications

PLAIN = {"name": "plain", "title": "constant hazards", "death_rate": 0.1, "event_rate": 0.3, "confounding": 0.0}


def scenario(**settings: float) -> FailureScenario:
    return FailureScenario.model_validate(PLAIN | {"effect_early": 0.0, "effect_late": 0.0} | settings)


def test_without_covariate_spread_the_curves_are_the_textbook_formula() -> None:
    """With hazards λ and μ the incidence is λ/(λ+μ) (1 − exp(−(λ+μ) t)); covariates enter as exp(0.5 x1 + 0.4 x2).

    Rates so small that only their means count: the incidence is then E[λ] t to first order, with
    E[exp(0.5 x1)] = exp(0.125) and E[exp(0.4 x2)] = 0.6 + 0.4 exp(0.4), on paper.
    """
    tiny = scenario(event_rate=1e-6, death_rate=1e-9)
    found = population_curves(tiny, 0, np.array([2.0]), overlap=False).incidence[0]
    assert found == pytest.approx(2e-6 * np.exp(0.125) * (0.6 + 0.4 * np.exp(0.4)), rel=1e-5)


def test_a_large_drawn_cohort_has_the_true_incidence() -> None:
    crossing = scenario(effect_early=0.5, effect_late=-0.5, change_time=0.75, confounding=0.8)
    frame = draw_arms(crossing, 400_000, np.random.default_rng(1))
    score = crossing.propensity(frame["x1"].to_numpy(), frame["x2"].to_numpy())
    arm = frame["arm"].to_numpy()
    weight = np.where(arm == 1, 1 - score, score)
    happened = ((frame["cause"] == 1) & (frame["time"] <= 1.5)).to_numpy()  # nobody is censored before 1.5 years
    for a in (0, 1):
        share = np.average(happened[arm == a], weights=weight[arm == a])
        truth = population_curves(crossing, a, np.array([1.5]), overlap=True).incidence[0]
        assert share == pytest.approx(truth, abs=0.005)  # four standard errors of 200,000 draws


def test_without_effect_every_truth_is_zero() -> None:
    for overlap in (False, True):
        values = true_values(scenario(confounding=0.8), 2.0, overlap)
        assert all(abs(value) < 1e-12 for value in values.values())


def test_the_verdict_follows_bias_coverage_and_failures() -> None:
    draw = np.random.default_rng(2)
    estimates = draw.normal(1.0, 0.1, 2000)
    asked = Question("effect", "method", 1.0, 0.0, "valid")

    def verdict(values: np.ndarray, half_width: float, question: Question = asked) -> tuple[str, str]:
        rows = [
            (i, question.quantity, question.method, value, value - half_width, value + half_width)
            for i, value in enumerate(values)
        ]
        schema = ["replication", "quantity", "method", "estimate", "ci_low", "ci_high"]
        row = judge(pl.DataFrame(rows, schema=schema, orient="row"), [question]).row(0, named=True)
        return row["verdict"], row["reason"]

    assert verdict(estimates, 0.196) == ("passed", "")
    assert verdict(estimates, 0.12)[0] == "failed"
    assert "bias of" in verdict(estimates + 0.02, 0.196)[1]
    assert "not estimable" in verdict(np.where(np.arange(2000) % 50 == 0, np.nan, estimates), 0.196)[1]
    hidden = Question("effect", "method", 1.0, 0.0, "biased")
    assert verdict(estimates, 0.196, hidden) == ("failed", "no bias seen where one was put in")
    assert verdict(estimates + 0.1, 0.196, hidden)[0] == "passed"


def test_the_result_does_not_depend_on_the_number_of_workers() -> None:
    work = replication_of(scenario(), 150, 1.5)
    alone = run_replications(work, 3, [7], workers=1)
    together = run_replications(work, 3, [7], workers=2)
    assert alone.equals(together)
    assert alone.height > 0


@pytest.mark.slow
def test_a_small_study_finds_weighting_valid_and_the_crude_comparison_biased() -> None:
    confounded = scenario(effect_early=-0.5, effect_late=-0.5, confounding=0.8)
    findings = run_replications(replication_of(confounded, 800, 2.0), 120, [20261123], workers=1)
    judged = judge(findings, questions(confounded, 2.0))
    assert set(judged.filter(method="unadjusted")["verdict"]) == {"passed"}
    assert set(judged.filter(method="overlap-weighted, weights estimated")["verdict"]) == {"passed"}
    assert judged.filter(method="covariate-adjusted")["verdict"].to_list() == ["passed"]


def test_a_finding_that_was_not_asked_for_is_left_out() -> None:
    findings = run_replications(lambda _: [Finding("a", "b", 1.0, 0.5, 1.5)], 2, [1], workers=1)
    judged = judge(findings, [Question("other", "b", 1.0, 0.0, "valid")])
    assert judged["reason"].to_list() == ["no replication gave this quantity"]
    assert judged["verdict"].to_list() == ["failed"]
