"""Accelerated failure time regression: on paper, beside R's survreg, and fits that are not estimable."""

import numpy as np
import polars as pl
import pytest

from pipelines.models._aft_likelihood import DISTRIBUTIONS, AftLikelihood
from pipelines.models._frames import ModelInputError
from pipelines.models.parametric import compare_distributions, parametric_regression


def between_visits(visits: pl.DataFrame) -> pl.DataFrame:
    return visits.with_columns(event=pl.col("upper").is_not_null())


@pytest.mark.parametrize("distribution", list(DISTRIBUTIONS))
def test_interval_censoring_matches_r_survreg(visits, r_estimates, distribution):
    expected = r_estimates["parametric"][distribution]
    fit = parametric_regression(between_visits(visits), "lower", "event", ["age"], distribution, upper="upper")
    assert fit.status == "estimable"
    assert fit.coefficients["term"].to_list() == ["Intercept", "age", "log(scale)"]
    assert fit.coefficients["coef"].to_list() == pytest.approx(expected["coef"], rel=1e-6)
    assert fit.coefficients["std_error"].to_list() == pytest.approx(expected["std_error"], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(expected["log_likelihood"], rel=1e-9)
    assert fit.aic == pytest.approx(6 - 2 * expected["log_likelihood"])


def test_log_normal_of_exact_times_is_the_mean_and_spread_of_the_logs():
    # On paper: log times 0, 1 and 5: mean 2, maximum-likelihood variance 14/3.
    frame = pl.DataFrame({"time": np.exp([0.0, 1.0, 5.0]), "event": [1, 1, 1]})
    fit = parametric_regression(frame, "time", "event", [], "log-normal")
    assert fit.coefficients["coef"].to_list() == pytest.approx([2, np.log(14 / 3) / 2])


def test_doubling_the_times_of_one_arm_doubles_its_time_ratio(subjects):
    frame = subjects.filter(pl.col("time") > 0)
    doubled = frame.with_columns(time=pl.when(pl.col("arm") == "c").then(2.0).otherwise(1.0) * pl.col("time"))
    before, after = (parametric_regression(part, "time", "event", ["arm", "age"]) for part in (frame, doubled))
    ratios = after.coefficients["time_ratio"] / before.coefficients["time_ratio"]
    assert ratios.to_list() == pytest.approx([1, 1, 2, 1, 1, 1], rel=1e-6)


def test_distributions_are_listed_by_aic(visits):
    table = compare_distributions(between_visits(visits), "lower", "event", ["age"], upper="upper")
    assert table["aic"].to_list() == sorted(table["aic"].to_list())
    assert table["parameters"].to_list() == [3, 3, 3]
    assert table["distribution"][0] == "weibull"


def test_rows_that_say_nothing_change_nothing(visits):
    frame = between_visits(visits)
    silent = frame.head(5).with_columns(lower=pl.lit(0, dtype=pl.Int64), event=pl.lit(False))
    more = pl.concat([frame, silent])
    plain, with_silent = (parametric_regression(f, "lower", "event", ["age"], upper="upper") for f in (frame, more))
    assert with_silent.coefficients["coef"].to_list() == pytest.approx(plain.coefficients["coef"].to_list())


@pytest.mark.parametrize("distribution", list(DISTRIBUTIONS))
def test_score_and_information_are_derivatives_of_the_likelihood(distribution):
    rng = np.random.default_rng(5)
    low = np.array([1.0, 2.0, 0.0, 3.0, 4.0, 2.5])
    high = np.array([1.0, np.inf, 2.0, 5.0, 4.0, 9.0])
    likelihood = AftLikelihood.of(np.column_stack([np.ones(6), rng.normal(size=6)]), low, high, distribution)
    theta, step = np.array([0.9, 0.4, -0.3]), 1e-5
    _, score, information = likelihood.at(theta)
    for j, direction in enumerate(np.eye(3) * step):
        up, down = likelihood.at(theta + direction), likelihood.at(theta - direction)
        assert score[j] == pytest.approx((up[0] - down[0]) / (2 * step), abs=1e-7)
        assert information[j] == pytest.approx((down[1] - up[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("distribution", list(DISTRIBUTIONS))
def test_an_arm_without_events_is_not_estimable(subjects, distribution):
    quiet = subjects.filter(pl.col("time") > 0).with_columns(event=pl.col("event") & (pl.col("arm") != "c"))
    fit = parametric_regression(quiet, "time", "event", ["arm"], distribution)
    assert fit.status == "not estimable: all events are on one side of arm[T.c]"
    assert fit.coefficients["coef"].null_count() == 5
    assert (fit.log_likelihood, fit.aic, fit.covariance) == (None, None, None)
    other = quiet.with_columns(arm=pl.col("arm").replace({"c": "0"}))
    assert "rises without end" in parametric_regression(other, "time", "event", ["arm"], distribution).status


def test_what_cannot_be_used_is_refused_in_words(subjects, visits):
    with pytest.raises(ModelInputError, match="events at time 0"):
        parametric_regression(subjects, "time", "event", ["age"])
    with pytest.raises(ModelInputError, match="distribution must be"):
        parametric_regression(subjects, "time", "event", ["age"], "gamma")
    wrong = between_visits(visits).with_columns(upper=pl.col("upper") - 100)
    with pytest.raises(ModelInputError, match="upper is earlier than lower"):
        parametric_regression(wrong, "lower", "event", ["age"], upper="upper")
    with pytest.raises(ModelInputError, match="Missing values in upper"):
        parametric_regression(visits.with_columns(event=True), "lower", "event", ["age"], upper="upper")
