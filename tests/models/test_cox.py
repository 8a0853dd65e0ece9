"""Cox regression and the test of proportional hazards: on paper, beside R, not estimable fits, and what must hold."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models._frames import ModelInputError
from pipelines.models.cox import cox_regression, proportional_hazards_test

COVARIATES = ["arm", "age", "severe"]


def test_two_by_two_on_paper():
    # x has an event at 1, y at 2, one more x censored at 3. Partial likelihood θ/(2θ+1) × 1/(θ+1) with θ = exp(β):
    # its maximum solves 1/θ = 2/(2θ+1) + 1/(θ+1), that is 2θ² = 1.
    frame = pl.DataFrame({"time": [1, 2, 3], "event": [1, 1, 0], "arm": ["x", "y", "x"]})
    fit = cox_regression(frame, "time", "event", ["arm"])
    assert fit.coefficients["term"].to_list() == ["arm[T.y]"]
    assert fit.coefficients["hazard_ratio"][0] == pytest.approx(np.sqrt(2))
    theta = np.sqrt(1 / 2)
    assert fit.log_likelihood == pytest.approx(np.log(theta / (2 * theta + 1) / (theta + 1)))
    assert fit.null_log_likelihood == pytest.approx(np.log(1 / 6))
    assert (fit.subjects, fit.events) == (3, 2)


FITS = {
    "cox": (COVARIATES, {}),
    "cox_breslow": (COVARIATES, {"ties": "breslow"}),
    "cox_full": (["age", "severe"], {"strata": "site", "weights": "weight", "cluster": "patient", "entry": "entry"}),
}


@pytest.mark.parametrize("name", FITS)
def test_cox_matches_r_coxph(subjects, r_estimates, name):
    covariates, options = FITS[name]
    expected = r_estimates[name]
    fit = cox_regression(subjects, "time", "event", covariates, **options)
    assert fit.status == "estimable"
    assert fit.coefficients["coef"].to_list() == pytest.approx(expected["coef"], rel=1e-6)
    assert fit.coefficients["std_error"].to_list() == pytest.approx(expected["std_error"], rel=1e-6)
    if expected["robust"]:
        assert fit.coefficients["robust_std_error"].to_list() == pytest.approx(expected["robust"], rel=1e-6)
    assert [fit.null_log_likelihood, fit.log_likelihood] == pytest.approx(expected["log_likelihood"], rel=1e-9)
    for transform in ("km", "rank"):
        ours = proportional_hazards_test(fit, transform)
        assert ours["term"].to_list()[-1] == "GLOBAL"
        assert ours["df"].to_list() == [1] * len(fit.terms) + [len(fit.terms)]
        assert ours["statistic"].to_list() == pytest.approx(expected[transform], rel=1e-5)


def test_baseline_hazard_matches_r_basehaz(subjects, r_estimates):
    for name in ("cox", "cox_breslow"):
        covariates, options = FITS[name]
        baseline = cox_regression(subjects, "time", "event", covariates, **options).baseline_hazard
        ours = baseline.filter(pl.col("time") <= 20)["cumulative_hazard"][-1]
        assert ours == pytest.approx(r_estimates[name]["hazard_at_20"], rel=1e-6)


def test_baseline_hazard_is_by_stratum(subjects):
    fit = cox_regression(subjects, "time", "event", ["age"], strata=["site", "severe"])
    assert fit.baseline_hazard.columns == ["site", "severe", "time", "hazard", "cumulative_hazard"]
    assert fit.baseline_hazard.select("site", "severe").n_unique() == 8
    one = subjects.filter(pl.col("site") == 2, pl.col("severe") == 1, pl.col("event"))
    ours = fit.baseline_hazard.filter(pl.col("site") == 2, pl.col("severe") == 1)
    assert ours["time"].to_list() == sorted(one["time"].unique().to_list())


def test_limits_use_the_robust_error_only_with_weights_or_clusters(subjects):
    plain = cox_regression(subjects, "time", "event", ["age"]).coefficients.to_dicts()[0]
    robust = cox_regression(subjects, "time", "event", ["age"], cluster="id").coefficients.to_dicts()[0]
    assert plain["robust_std_error"] == pytest.approx(robust["robust_std_error"])
    for row, error in ((plain, plain["std_error"]), (robust, plain["robust_std_error"])):
        assert row["ci_low"] == pytest.approx(np.exp(row["coef"] - 1.959963984540054 * error))


def test_an_arm_without_events_is_not_estimable(subjects):
    quiet = subjects.with_columns(event=pl.col("event") & (pl.col("arm") != "c"))
    fit = cox_regression(quiet, "time", "event", COVARIATES)
    assert fit.status == "not estimable: all events are on one side of arm[T.c]"
    numbers = fit.coefficients.drop("term")
    assert sum(numbers.null_count().row(0)) == numbers.width * numbers.height
    assert (fit.covariance, fit.log_likelihood) == (None, None)
    assert fit.baseline_hazard.height == 0
    drift = proportional_hazards_test(fit)
    assert drift["statistic"].null_count() == drift.height
    assert drift["status"].unique().to_list() == [fit.status]


def test_a_reference_arm_without_events_is_not_estimable(subjects):
    quiet = subjects.with_columns(event=pl.col("event") & (pl.col("arm") != "a"))
    fit = cox_regression(quiet, "time", "event", COVARIATES)
    assert fit.status.startswith("not estimable: the likelihood rises without end (separation) along arm[T.b]")


def test_separation_by_a_number_is_not_estimable():
    # The older of those at risk always goes first: the coefficient runs off to infinity.
    frame = pl.DataFrame({"time": [1, 2, 3, 4, 5, 6], "event": [1, 1, 1, 1, 1, 0], "age": [80, 75, 70, 66, 60, 51]})
    assert "rises without end" in cox_regression(frame, "time", "event", ["age"]).status


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": pl.lit(False)}, "there are no events"),
        ({"age": pl.lit(70.0)}, "no variation in age"),
        ({"age": 2 * pl.col("severe") + 1}, "the covariates are collinear: age, severe"),
    ],
)
def test_data_that_cannot_carry_the_model_are_said_to(subjects, change, reason):
    fit = cox_regression(subjects.with_columns(**change), "time", "event", ["age", "severe"])
    assert fit.status == f"not estimable: {reason}"


def test_one_subject_is_not_estimable():
    frame = pl.DataFrame({"time": [1], "event": [1], "age": [60]})
    assert cox_regression(frame, "time", "event", ["age"]).status == "not estimable: no variation in age"


def test_covariate_constant_within_strata_is_not_estimable(subjects):
    fit = cox_regression(subjects, "time", "event", ["site"], strata="site")
    assert fit.status == "not estimable: no variation within the risk sets in site"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "exact"}, "ties must be"),
        ({"entry": "time"}, "not later than"),
        ({"weights": "nothing"}, "no column nothing"),
        ({"covariates": []}, "at least one covariate"),
        ({"covariates": "age"}, "as a list"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(subjects, options, message):
    with pytest.raises(ModelInputError, match=message):
        cox_regression(subjects, "time", "event", **{"covariates": ["age"], **options})


def test_missing_covariates_are_refused_by_name(subjects):
    holes = subjects.with_columns(age=pl.when(pl.col("id") > 3).then("age"))
    with pytest.raises(ModelInputError, match=r"age \(3 rows\)"):
        cox_regression(holes, "time", "event", ["age"])


def test_transforms_of_time(subjects):
    fit = cox_regression(subjects, "time", "event", ["age"])
    with pytest.raises(ModelInputError, match="above 0"):
        proportional_hazards_test(fit, "log")
    with pytest.raises(ModelInputError, match="transform must be"):
        proportional_hazards_test(fit, "sqrt")
    later = cox_regression(subjects.with_columns(time=pl.col("time") + 1), "time", "event", ["age"])
    assert proportional_hazards_test(later, "log")["status"].unique().to_list() == ["estimable"]


def test_extreme_weights_give_the_fit_of_the_heavy_rows(subjects):
    heavy = subjects.filter(pl.col("id") % 2 == 0)
    weighted = subjects.with_columns(w=pl.when(pl.col("id") % 2 == 0).then(1e6).otherwise(1e-9))
    ours = cox_regression(weighted, "time", "event", ["age", "severe"], weights="w", ties="breslow")
    theirs = cox_regression(heavy, "time", "event", ["age", "severe"], ties="breslow")
    assert ours.coefficients["coef"].to_list() == pytest.approx(theirs.coefficients["coef"].to_list(), rel=1e-6)
    assert ours.coefficients["robust_std_error"].to_list() == pytest.approx(
        theirs.coefficients["robust_std_error"].to_list(), rel=1e-6
    )


@pytest.mark.parametrize("factor", [1e-14, 1e14])
def test_scale_of_the_weights_does_not_matter(subjects, factor):
    scaled = subjects.with_columns(weight=factor * pl.col("weight"))
    ours, theirs = (
        cox_regression(part, "time", "event", COVARIATES, weights="weight").coefficients for part in (scaled, subjects)
    )
    for column in ("coef", "robust_std_error"):
        assert ours[column].to_list() == pytest.approx(theirs[column].to_list(), rel=1e-8)


def test_units_and_origin_of_a_covariate_do_not_matter(subjects):
    shifted = subjects.with_columns(age=1e6 + pl.col("age") / 1e3)
    plain, moved = (cox_regression(frame, "time", "event", ["age", "severe"]) for frame in (subjects, shifted))
    assert moved.coefficients["coef"][0] == pytest.approx(1e3 * plain.coefficients["coef"][0], rel=1e-5)
    assert moved.log_likelihood == pytest.approx(plain.log_likelihood)


def test_shuffled_rows_give_the_same_fit(subjects):
    shuffled = subjects.sample(fraction=1, shuffle=True, seed=11)
    options = {"weights": "weight", "cluster": "patient", "strata": "site"}
    ours, theirs = (cox_regression(frame, "time", "event", COVARIATES, **options) for frame in (subjects, shuffled))
    for column in ("coef", "std_error", "robust_std_error"):
        assert ours.coefficients[column].to_list() == pytest.approx(theirs.coefficients[column].to_list(), rel=1e-9)


def test_follow_up_cut_into_pieces_gives_the_same_fit(subjects):
    whole = subjects.with_columns(time=pl.col("time") + 10, entry=pl.col("entry") + 10)
    day = pl.lit(20, dtype=pl.Int64)
    first = whole.with_columns(time=pl.min_horizontal("time", day), event=pl.col("event") & (pl.col("time") <= 20))
    second = whole.filter(pl.col("time") > 20).with_columns(entry=pl.max_horizontal("entry", day))
    pieces = pl.concat([first, second])
    assert pieces.height > whole.height
    options = {"entry": "entry", "cluster": "id"}
    ours, theirs = (cox_regression(frame, "time", "event", COVARIATES, **options) for frame in (whole, pieces))
    for column in ("coef", "std_error", "robust_std_error"):
        assert ours.coefficients[column].to_list() == pytest.approx(theirs.coefficients[column].to_list(), rel=1e-8)
    drifts = [proportional_hazards_test(fit, "identity")["statistic"].to_list() for fit in (ours, theirs)]
    assert drifts[0] == pytest.approx(drifts[1], rel=1e-8)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_whole_weights_are_repeated_rows_under_breslow(seed):
    frame = random_rows(seed)
    repeated = frame.with_row_index("row").select(pl.all().repeat_by("w")).explode(pl.all())
    ours = cox_regression(frame, "time", "event", ["x", "z"], weights="w", ties="breslow")
    theirs = cox_regression(repeated, "time", "event", ["x", "z"], cluster="row", ties="breslow")
    assert ours.status.split(":")[0] == theirs.status.split(":")[0]
    if ours.status == "estimable":
        for column in ("coef", "std_error", "robust_std_error"):
            assert ours.coefficients[column].to_list() == pytest.approx(
                theirs.coefficients[column].to_list(), rel=1e-6, abs=1e-8
            )


@given(seed=st.integers(0, 10_000), ties=st.sampled_from(["efron", "breslow"]))
@settings(max_examples=25, deadline=None)
def test_score_and_information_are_derivatives_of_the_likelihood(seed, ties):
    frame = random_rows(seed)
    fit = cox_regression(frame, "time", "event", ["x", "z"], weights="w", entry="entry", ties=ties)
    if fit.status != "estimable":
        return
    data = fit._maximum.evaluation.data
    beta, step = np.array([0.3, -0.2]), 1e-5
    here = data.at(beta)
    for j, direction in enumerate(np.eye(2) * step):
        up, down = data.at(beta + direction), data.at(beta - direction)
        assert here.score()[j] == pytest.approx((up.log_likelihood - down.log_likelihood) / (2 * step), abs=1e-4)
        assert here.information()[j] == pytest.approx((down.score() - up.score()) / (2 * step), abs=1e-4)
    weighted = here.score_residuals() * data.weight[:, None]
    assert weighted.sum(axis=0) == pytest.approx(here.score(), abs=1e-8)


def random_rows(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 60))
    x = rng.normal(size=n).round(2)
    time = np.ceil(rng.exponential(8 * np.exp(-0.5 * x))) + 1
    return pl.DataFrame(
        {
            "x": x,
            "z": rng.integers(0, 2, n),
            "time": time,
            "entry": np.floor(time * rng.uniform(0, 0.9, n)) - 1,
            "event": rng.random(n) < 0.7,
            "w": rng.integers(1, 4, n),
        }
    )
