"""Weighted incidence at a horizon: against the weighted curves, against the bootstrap, and its refusals."""

import numpy as np
import polars as pl
import pytest

from pipelines.models import competing_risks, cox, propensity
from pipelines.models._frames import ModelInputError
from pipelines.models.weighted_failure import weighted_hazard_ratios, weighted_incidence

HORIZON = 2.0


def cohort(subjects: int, seed: int) -> pl.DataFrame:
    """Confounded two-arm data with a competing event: hazards log-linear in x, arms by expit(0.8 x)."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=subjects)
    arm = draw.random(subjects) < 1 / (1 + np.exp(-0.8 * x))
    event = draw.exponential(1 / (0.3 * np.exp(0.5 * x - 0.5 * arm)))
    death = draw.exponential(1 / (0.1 * np.exp(0.3 * x)))
    censored = draw.uniform(1.5, 3.5, subjects)
    time = np.minimum(np.minimum(event, death), censored)
    cause = np.where(time == event, 1, np.where(time == death, 2, 0))
    return pl.DataFrame({"time": time, "cause": cause, "arm": arm.astype(int), "x": x, "row": np.arange(subjects)})


@pytest.mark.parametrize("estimand", ["ate", "att", "overlap"])
def test_an_arms_own_values_are_those_of_the_weighted_curves(estimand: str) -> None:
    """The curves of `competing_risks` agree with R's survfit(robust = TRUE); here they are read at the horizon."""
    frame = cohort(400, 1)
    model = propensity.weights(frame, "arm", ["x"], estimand)
    found = weighted_incidence(model, frame, "time", "cause", HORIZON).filter(
        pl.col("reference").is_null(), pl.col("variance") == "weights fixed"
    )
    weighted = frame.with_columns(weight=model.weights)
    curves = competing_risks.cumulative_incidence(weighted, "time", "cause", "arm", weights="weight")
    lost = competing_risks.restricted_time_lost(weighted, "time", "cause", HORIZON, "arm", weights="weight")
    for arm in (0, 1):
        for cause in (1, 2):
            curve = curves.filter(pl.col("time") <= HORIZON, group=arm, cause=cause)[-1]
            point = found.filter(measure="incidence", group=arm, cause=cause)
            assert point["estimate"][0] == pytest.approx(curve["estimate"][0], rel=1e-12)
            assert point["std_error"][0] == pytest.approx(curve["std_error"][0], rel=1e-9)
            area = found.filter(measure="time lost", group=arm, cause=cause)
            expected = lost.filter(measure="mean", group=arm, cause=cause)
            assert area["estimate"][0] == pytest.approx(expected["estimate"][0], rel=1e-12)
            assert area["std_error"][0] == pytest.approx(expected["std_error"][0], rel=1e-9)


def test_the_estimated_weights_variance_is_that_of_the_bootstrap() -> None:
    """400 bootstrap samples, propensity refitted in each: its spread has a relative error of 1/sqrt(800), 3.5 %."""
    frame = cohort(600, 2)
    draw = np.random.default_rng(3)

    def differences(rows: pl.DataFrame, column: str, variance: str) -> np.ndarray:
        model = propensity.weights(rows, "arm", ["x"], "ate")
        result = weighted_incidence(model, rows, "time", "cause", HORIZON)
        return result.filter(reference=0, variance=variance)[column].to_numpy()

    samples = [
        differences(frame[draw.integers(0, frame.height, frame.height)], "estimate", "weights fixed")
        for _ in range(400)
    ]
    bootstrap = np.std(samples, axis=0, ddof=1)
    estimated = differences(frame, "std_error", "weights estimated")
    assert estimated == pytest.approx(bootstrap, rel=0.12)


def test_a_patient_in_two_rows_counts_once() -> None:
    """Doubling every row under one cluster leaves estimates and standard errors as they were."""
    frame = cohort(300, 4)
    twice = pl.concat([frame, frame])
    once = weighted_incidence(propensity.weights(frame, "arm", ["x"]), frame, "time", "cause", HORIZON, "row")
    doubled = weighted_incidence(propensity.weights(twice, "arm", ["x"]), twice, "time", "cause", HORIZON, "row")
    for column in ("estimate", "std_error"):
        assert doubled[column].to_numpy() == pytest.approx(once[column].to_numpy(), rel=1e-6)


def test_short_follow_up_and_separation_are_named_not_numbered() -> None:
    frame = cohort(300, 5)
    late = weighted_incidence(propensity.weights(frame, "arm", ["x"]), frame, "time", "cause", 30.0)
    assert late["estimate"].null_count() == late.height
    assert all("ends before the horizon" in reason for reason in late["reason"])
    apart = frame.with_columns(x=pl.col("arm") * 1.0)
    separated = weighted_incidence(propensity.weights(apart, "arm", ["x"]), apart, "time", "cause", HORIZON)
    assert separated["estimate"].null_count() == separated.height
    assert set(separated["status"]) == {"not estimable"}


def test_other_rows_than_the_propensitys_are_refused() -> None:
    frame = cohort(100, 6)
    with pytest.raises(ModelInputError, match="the rows on which the propensity was fitted"):
        weighted_incidence(propensity.weights(frame, "arm", ["x"]), frame[:50], "time", "cause", HORIZON)


def test_the_fixed_weights_hazard_ratio_is_the_robust_cox_model() -> None:
    """`cox_regression` with weights agrees with R's coxph(weights, robust = TRUE)."""
    frame = cohort(500, 7).with_columns(event=pl.col("cause") == 1)
    model = propensity.weights(frame, "arm", ["x"], "ate")
    found = weighted_hazard_ratios(model, frame, "time", "event").filter(reference=0, variance="weights fixed")
    weighted = frame.with_columns(weight=model.weights)
    expected = cox.cox_regression(weighted, "time", "event", ["arm"], weights="weight").coefficients
    assert found["estimate"][0] == pytest.approx(expected["hazard_ratio"][0], rel=1e-10)
    assert found["log_std_error"][0] == pytest.approx(expected["robust_std_error"][0], rel=1e-10)
    assert found["ci_low"][0] == pytest.approx(expected["ci_low"][0], rel=1e-10)


def test_the_estimated_weights_hazard_ratio_has_the_bootstraps_error() -> None:
    """300 bootstrap samples with the propensity refitted: a relative error of 1/sqrt(600), 4 %."""
    frame = cohort(600, 8).with_columns(event=pl.col("cause") == 1)
    draw = np.random.default_rng(9)

    def ratio(rows: pl.DataFrame) -> pl.DataFrame:
        model = propensity.weights(rows, "arm", ["x"], "ate")
        return weighted_hazard_ratios(model, rows, "time", "event").filter(reference=0, variance="weights estimated")

    samples = [np.log(ratio(frame[draw.integers(0, 600, 600)])["estimate"][0]) for _ in range(300)]
    assert ratio(frame)["log_std_error"][0] == pytest.approx(np.std(samples, ddof=1), rel=0.13)


def test_an_arm_without_events_has_no_hazard_ratio() -> None:
    frame = cohort(300, 10).with_columns(event=(pl.col("cause") == 1) & (pl.col("arm") == 1))
    found = weighted_hazard_ratios(propensity.weights(frame, "arm", ["x"]), frame, "time", "event")
    assert found["estimate"].null_count() == found.height
    assert set(found["status"]) == {"not estimable"}
