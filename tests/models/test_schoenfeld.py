"""Scaled Schoenfeld residuals and the smooth through them: on paper, beside R's cox.zph, and what cannot be shown."""

import json

import numpy as np
import polars as pl
import pytest

from pipelines.models._frames import ModelInputError
from pipelines.models.cox import cox_regression, proportional_hazards_test
from pipelines.models.schoenfeld import coefficient_over_time, scaled_schoenfeld_residuals

from .conftest import TIME_TO_EVENT

COVARIATES = ["arm", "age", "severe"]
FULL = {"strata": "site", "weights": "weight", "cluster": "patient", "entry": "entry"}
FITS = {
    "cox": (COVARIATES, {}, "km"),
    "cox_rank": (COVARIATES, {}, "rank"),
    "cox_breslow": (COVARIATES, {"ties": "breslow"}, "km"),
    "cox_full": (["age", "severe"], FULL, "km"),
    "constant_in_a_stratum": (["age", "severe"], {"strata": "site"}, "km"),
}


@pytest.fixture(scope="module")
def r_schoenfeld() -> dict:
    """What R printed for subjects.csv (schoenfeld.R: survival 3.5-3)."""
    return json.loads((TIME_TO_EVENT / "schoenfeld.json").read_text())


def fitted(subjects, name):
    covariates, options, transform = FITS[name]
    if name == "constant_in_a_stratum":
        subjects = subjects.with_columns(severe=pl.when(pl.col("site") == 2).then(1).otherwise("severe"))
    return cox_regression(subjects, "time", "event", covariates, **options), transform


@pytest.mark.parametrize("name", FITS)
def test_scaled_residuals_match_r_cox_zph(subjects, r_schoenfeld, name):
    fit, transform = fitted(subjects, name)
    ours, expected = scaled_schoenfeld_residuals(fit, transform), r_schoenfeld[name]
    assert ours.height == fit.events * len(fit.terms)
    for term, theirs in zip(fit.terms, expected["residuals"], strict=True):
        mine = ours.filter(pl.col("term") == term).sort("time", "residual")  # tied events have no order of their own
        wanted = pl.DataFrame({"time": expected["time"], "residual": theirs}, strict=False).sort("time", "residual")
        assert mine["time"].to_list() == wanted["time"].to_list()
        assert mine["residual"].is_null().to_list() == wanted["residual"].is_null().to_list()
        both = mine["residual"].drop_nulls().to_list(), wanted["residual"].drop_nulls().to_list()
        assert both[0] == pytest.approx(both[1], rel=1e-6, abs=1e-7)
    assert (ours["residual"].null_count() > 0) == (name == "constant_in_a_stratum")


@pytest.mark.parametrize("name", FITS)
def test_the_smooth_matches_r_plot_cox_zph(subjects, r_schoenfeld, name):
    fit, transform = fitted(subjects, name)
    ours = coefficient_over_time(fit, transform=transform)
    assert ours["status"].unique().to_list() == ["estimable"]
    for term, theirs in zip(fit.terms, r_schoenfeld[name]["smooth"], strict=True):
        mine = ours.filter(pl.col("term") == term)
        assert mine["estimate"].to_list() == pytest.approx(theirs["estimate"], rel=1e-6, abs=1e-7)
        assert mine["std_error"].to_list() == pytest.approx(theirs["std_error"], rel=1e-6)
        reach = (mine["ci_high"] - mine["estimate"]) / mine["std_error"]
        assert reach.to_list() == pytest.approx([1.959963984540054] * mine.height)


def test_one_residual_on_paper():
    # Events at 1 (y = 0) and 2 (y = 1), one more censored at 3 (y = 0): likelihood 1/(2 + θ) × θ/(1 + θ), at its
    # maximum θ² = 2. The means of y over those at risk are m = θ/(2 + θ) and θ/(1 + θ), the information is the sum of
    # m(1 - m), and a residual is β + 2 (y - m) / information.
    frame = pl.DataFrame({"time": [1, 2, 3], "event": [1, 1, 0], "y": [0.0, 1.0, 0.0]})
    theta = np.sqrt(2)
    means = np.array([theta / (2 + theta), theta / (1 + theta)])
    information = (means * (1 - means)).sum()
    ours = scaled_schoenfeld_residuals(cox_regression(frame, "time", "event", ["y"]))
    expected = np.log(theta) + 2 * (np.array([0, 1]) - means) / information
    assert ours["residual"].to_list() == pytest.approx(expected.tolist())
    assert ours["transformed_time"].to_list() == pytest.approx([0, 1 / 3])


def test_their_mean_is_the_coefficient(subjects):
    """The score is 0 at the maximum, so that the residuals scatter about the coefficient."""
    fit, _ = fitted(subjects, "cox")
    means = scaled_schoenfeld_residuals(fit).group_by("term", maintain_order=True).agg(pl.col("residual").mean())
    assert means["residual"].to_list() == pytest.approx(fit.coefficients["coef"].to_list())


def test_the_smooth_finds_a_coefficient_that_changes():
    """Hazard ratio 3 before time 1 and 1/3 after it: log ratio near 1.1 early, near -1.1 late."""
    rng = np.random.default_rng(20260401)
    x = np.repeat([0.0, 1.0], 2000)
    early, late = rng.exponential(1 / np.where(x, 1.2, 0.4)), rng.exponential(1 / np.where(x, 0.4, 1.2))
    time = np.minimum(np.where(early < 1, early, 1 + late), 2.5)
    fit = cox_regression(pl.DataFrame({"time": time, "event": time < 2.5, "x": x}), "time", "event", ["x"])
    ours = coefficient_over_time(fit, at=np.array([0.3, 1.7]))
    assert ours["estimate"].to_list() == pytest.approx([np.log(3), -np.log(3)], abs=0.35)
    assert (ours["ci_low"] < ours["estimate"]).all()
    assert proportional_hazards_test(fit)["p_value"][0] < 1e-6


def test_times_beyond_the_events_have_no_estimate(subjects):
    fit, _ = fitted(subjects, "cox_full")
    ours = coefficient_over_time(fit, at=np.array([-5.0, 10.0, 1e6])).filter(pl.col("term") == "age")
    assert ours["estimate"].is_null().to_list() == [True, False, True]
    assert ours["std_error"].is_null().to_list() == [True, False, True]


def test_shuffled_rows_give_the_same(subjects):
    one = coefficient_over_time(fitted(subjects, "cox")[0])
    other = coefficient_over_time(fitted(subjects.sample(fraction=1, shuffle=True, seed=4), "cox")[0])
    assert other["estimate"].to_list() == pytest.approx(one["estimate"].to_list(), rel=1e-8)


def test_too_few_event_times_and_fits_without_numbers_are_not_estimable(subjects):
    few = pl.DataFrame({"time": [1, 1, 2, 2, 2, 2], "event": [1, 1, 1, 1, 0, 0], "x": [0, 1, 0, 1, 1, 0]})
    smooth = coefficient_over_time(cox_regression(few, "time", "event", ["x"]))
    assert smooth["status"].unique().to_list() == ["not estimable: too few distinct event times for 4 knots"]
    assert smooth["estimate"].null_count() == smooth.height
    quiet = cox_regression(subjects.with_columns(event=pl.lit(False)), "time", "event", ["age"])
    assert scaled_schoenfeld_residuals(quiet).is_empty()
    assert coefficient_over_time(quiet, at=np.array([1.0]))["status"].to_list() == [quiet.status]


def test_what_cannot_be_used_is_refused_in_words(subjects):
    fit, _ = fitted(subjects, "cox")
    with pytest.raises(ModelInputError, match="transform must be"):
        scaled_schoenfeld_residuals(fit, "square")
    with pytest.raises(ModelInputError, match="df must be at least 2"):
        coefficient_over_time(fit, df=1)
