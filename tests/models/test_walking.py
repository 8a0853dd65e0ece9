"""Walking tests with a cap, against R (tests/reference/models/walking.R) and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from lifelines import LogNormalAFTFitter

from pipelines.models import propensity, walking
from pipelines.models._frames import ModelInputError
from pipelines.models._walking_likelihood import Baseline, WalkingData, WalkingLikelihood

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
PAIRS = {("b", "a"): "b_a", ("c", "a"): "c_a", ("c", "b"): "c_b"}
COLUMNS = {"time": "time1_s", "capped": "capped1", "speed": "speed1_m_s", "treatment": "arm"}


@pytest.fixture(scope="module")
def cohort() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "cohort.csv").with_columns(log_speed0=pl.col("speed0_m_s").log())


@pytest.fixture(scope="module")
def from_r() -> dict:
    return json.loads((REFERENCE / "walking.json").read_text())


def _assert_matches(rows: pl.DataFrame, expected: dict, tolerance: float) -> None:
    for (group, reference), pair in PAIRS.items():
        for wanted in expected[pair]:
            this = (pl.col("group") == group) & (pl.col("reference") == reference)
            row = rows.row(by_predicate=this & (pl.col("measure") == wanted["measure"]), named=True)
            assert row["status"] == "estimable"
            assert row["estimate"] == pytest.approx(wanted["ratio"], rel=tolerance)
            assert row["log_std_error"] == pytest.approx(wanted["log_std_error"], rel=tolerance)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("factorised", {"variance": "model"}),
        ("weighted", {"variance": "model", "weights": "weight"}),
        ("clustered", {"cluster": "site"}),
    ],
)
def test_joint_model_matches_r_survreg_times_lm(cohort: pl.DataFrame, from_r: dict, key: str, options: dict) -> None:
    # without walks of 0 m the bivariate likelihood is survreg's (time given speed) times lm's (speed)
    rows = walking.joint_time_speed(cohort, **COLUMNS, covariates=["age", "sex"], **options)
    _assert_matches(rows, from_r[key], 1e-8)


def test_walks_of_zero_match_r_likelihood(cohort: pl.DataFrame, from_r: dict) -> None:
    lame = pl.col("subject") % 10 == 7
    zeros = cohort.with_columns(
        time1_s=pl.when(lame).then(0.0).otherwise("time1_s"), speed1_m_s=pl.when(~lame).then("speed1_m_s")
    )
    rows = walking.joint_time_speed(zeros, **COLUMNS, covariates=["age", "sex"], variance="model", zero=30)
    _assert_matches(rows, from_r["zero"], 2e-6)


def test_latent_baseline_matches_r_multivariate_normal(cohort: pl.DataFrame, from_r: dict) -> None:
    assert from_r["both_capped"] > 0
    rows = walking.joint_time_speed(
        cohort,
        **COLUMNS,
        covariates=["age", "sex", "log_speed0"],
        baseline_time="time0_s",
        baseline_capped="capped0",
        variance="model",
    )
    _assert_matches(rows, from_r["baseline"], 2e-6)


def test_distance_ratio_is_the_product_of_both(cohort: pl.DataFrame) -> None:
    rows = walking.joint_time_speed(cohort, **COLUMNS, covariates=["age"])
    wide = rows.pivot(on="measure", index=["group", "reference"], values="estimate")
    np.testing.assert_allclose(wide["distance"], wide["time"] * wide["speed"], rtol=1e-12)


def test_time_agrees_with_lifelines_when_speed_tells_nothing_of_time() -> None:
    rng = np.random.default_rng(4)
    n = 20_000
    treated = rng.integers(0, 2, n)
    times = np.exp(6.5 + 0.4 * treated + rng.normal(0, 1, n))
    speeds = np.exp(rng.normal(-0.2, 0.2, n))
    frame = pl.DataFrame(
        {"t": np.minimum(times, 1800), "capped": times >= 1800, "v": speeds, "arm": treated, "stop": times < 1800}
    )
    rows = walking.joint_time_speed(frame, "t", "capped", "v", "arm", variance="model")
    row = rows.filter(measure="time", group=1).row(0, named=True)
    marginal = LogNormalAFTFitter().fit(frame.select("t", "stop", "arm").to_pandas(), "t", "stop")
    assert np.log(row["estimate"]) == pytest.approx(marginal.params_["mu_"]["arm"], abs=0.01)
    assert row["log_std_error"] == pytest.approx(marginal.standard_errors_["mu_"]["arm"], rel=0.02)


def test_derivatives_match_differences() -> None:
    rng = np.random.default_rng(1)
    n = 60
    design = np.column_stack([np.arange(n) % 2 == 0, np.arange(n) % 2 == 1, rng.normal(size=n)]).astype(float)
    baseline = Baseline(rng.normal(0, 1, n), rng.choice([0, 1, -1], n, p=[0.8, 0.15, 0.05]))
    kind = rng.integers(0, 3, n)
    likelihood = WalkingLikelihood(
        WalkingData(kind, rng.normal(6, 1, n), rng.normal(0, 0.3, n), design, rng.uniform(0.5, 2, n), baseline)
    )
    theta = rng.normal(0, 0.4, likelihood.size)
    at = likelihood.evaluate(theta)
    steps = 1e-6 * np.eye(likelihood.size)
    sides = [(likelihood.evaluate(theta + step), likelihood.evaluate(theta - step)) for step in steps]
    slope = np.array([(up.log_likelihood - down.log_likelihood) / 2e-6 for up, down in sides])
    bend = np.array([(up.scores.sum(0) - down.scores.sum(0)) / 2e-6 for up, down in sides])
    np.testing.assert_allclose(at.scores.sum(0), slope, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(at.hessian, bend, rtol=1e-5, atol=1e-3)


def test_arm_that_always_reaches_the_cap_is_named(cohort: pl.DataFrame) -> None:
    strong = cohort.with_columns(capped1=pl.when(pl.col("arm") == "c").then(1).otherwise("capped1"))
    rows = walking.joint_time_speed(strong, **COLUMNS)
    with_c = rows.filter((pl.col("group") == "c") | (pl.col("reference") == "c"))
    assert set(with_c["reason"]) == {"c has fewer than 5 observed stops"}
    assert with_c["estimate"].null_count() == with_c.height
    assert set(rows.filter(group="b", reference="a")["status"]) == {"estimable"}


def test_constant_covariate_and_constant_speed_print_no_number(cohort: pl.DataFrame) -> None:
    flat = walking.joint_time_speed(cohort.with_columns(k=1.0), **COLUMNS, covariates=["k"])
    same = walking.joint_time_speed(cohort.with_columns(speed1_m_s=0.8), **COLUMNS)
    assert flat["estimate"].null_count() == same["estimate"].null_count() == flat.height
    assert set(flat["status"]) == set(same["status"]) == {"not estimable"}


def test_walk_of_zero_without_stated_minimum_is_refused(cohort: pl.DataFrame) -> None:
    with pytest.raises(ModelInputError, match="zero"):
        walking.joint_time_speed(cohort.with_columns(time1_s=0.0), **COLUMNS)


def test_curve_by_distance_on_four_walkers() -> None:
    # stops at 100 and 300 m, capped at 200 m: 3/4 after 100 m, then 3/4 * 1/2 after 300 m (Kaplan-Meier on paper)
    frame = pl.DataFrame({"metres": [100, 200, 300, 400], "capped": [False, True, False, True]})
    curve = walking.distance_to_stop_curve(frame, "metres", "capped")
    by_distance = dict(zip(curve["distance"], curve["estimate"], strict=True))
    assert by_distance[100] == pytest.approx(0.75)
    assert by_distance[300] == pytest.approx(0.375)


def test_last_row_of_the_time_curve_is_the_share_able_to_finish() -> None:
    frame = pl.DataFrame({"s": [600, 900, 1800, 1800], "capped": [0, 0, 1, 1]})
    assert walking.time_to_stop_curve(frame, "s", "capped")["estimate"][-1] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def weighted_from_r() -> dict:
    return json.loads((REFERENCE / "walking_weighted.json").read_text())


def _with_unseen_walks(cohort: pl.DataFrame) -> pl.DataFrame:
    walked = pl.col("subject") % 9 != 4
    return cohort.with_columns(pl.when(walked).then(name).alias(name) for name in ("time1_s", "capped1", "speed1_m_s"))


@pytest.mark.parametrize(("cluster", "suffix"), [(None, ""), ("site", "_site")])
def test_weighted_ratios_match_stacked_equations_in_r(
    cohort: pl.DataFrame, weighted_from_r: dict, cluster: str | None, suffix: str
) -> None:
    # subjects without a walk count for the propensity only
    model = propensity.weights(cohort, "arm", ["age", "sex", "pain0"])
    columns = {"time": "time1_s", "capped": "capped1", "speed": "speed1_m_s", "covariates": ["log_speed0"]}
    rows = walking.weighted_time_speed(model, _with_unseen_walks(cohort), **columns, cluster=cluster)
    _assert_matches(rows.filter(variance="weights fixed"), weighted_from_r[f"fixed{suffix}"], 1e-6)
    _assert_matches(rows.filter(variance="weights estimated"), weighted_from_r[f"stacked{suffix}"], 1e-6)
    assert set(rows.filter(group="b", reference="a")["subjects"]) == {
        _with_unseen_walks(cohort).filter(pl.col("arm") != "c")["time1_s"].count()
    }


def test_weighted_ratios_spread_as_r_bootstrap_of_the_whole_procedure(
    cohort: pl.DataFrame, weighted_from_r: dict
) -> None:
    # 4,000 samples leave a standard error of the spread of 1.1 %; a bootstrap also counts terms of second order
    model = propensity.weights(cohort, "arm", ["age", "sex", "pain0"])
    columns = {"time": "time1_s", "capped": "capped1", "speed": "speed1_m_s", "covariates": ["log_speed0"]}
    rows = walking.weighted_time_speed(model, _with_unseen_walks(cohort), **columns)
    for (group, reference), pair in PAIRS.items():
        for wanted in weighted_from_r["bootstrap"][pair]:
            row = rows.filter(
                group=group, reference=reference, measure=wanted["measure"], variance="weights estimated"
            ).row(0, named=True)
            assert row["log_std_error"] == pytest.approx(wanted["log_std_error"], rel=0.035)


def test_fixed_weights_are_those_of_the_joint_model(cohort: pl.DataFrame) -> None:
    model = propensity.weights(cohort, "arm", ["age", "sex"])
    columns = {"time": "time1_s", "capped": "capped1", "speed": "speed1_m_s"}
    rows = walking.weighted_time_speed(model, cohort, **columns, weights="weight").filter(variance="weights fixed")
    product = cohort.with_columns(both=model.weights * cohort["weight"])
    plain = walking.joint_time_speed(product, **columns, treatment="arm", weights="both")
    assert rows.drop("variance").equals(plain)


def test_weighted_ratios_without_weights_or_walkers_say_so(cohort: pl.DataFrame) -> None:
    columns = {"time": "time1_s", "capped": "capped1", "speed": "speed1_m_s"}
    told = propensity.weights(cohort.with_columns(mark=(pl.col("arm") == "a").cast(pl.Int8)), "arm", ["mark"])
    rows = walking.weighted_time_speed(told, cohort, **columns)
    assert rows["reason"].str.starts_with("separation").all()
    assert rows.height == 2 * 3 * 6
    model = propensity.weights(cohort, "arm", ["age"])
    nobody = cohort.with_columns(pl.lit(None, cohort.schema[name]).alias(name) for name in columns.values())
    unseen = walking.weighted_time_speed(model, nobody, **columns)
    assert unseen["estimate"].null_count() == unseen.height
    assert set(unseen["reason"]) == {"no walk was seen"}
    with pytest.raises(ModelInputError, match="same order"):
        walking.weighted_time_speed(model, cohort.head(10), **columns)
