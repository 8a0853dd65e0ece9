"""Propensity scores, weights, balance and weighted effects against R (tests/reference/models/propensity.R)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models import propensity
from pipelines.models._frames import ModelInputError
from pipelines.models._multinomial import PART, fit_multinomial

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
COVARIATES = ["age", "sex", "pain0"]
PAIRS = {"b_a": ("b", "a"), "c_a": ("c", "a"), "c_b": ("c", "b")}
OPTIONS = {"ate": {"estimand": "ate"}, "att_b": {"estimand": "att", "target": "b"}, "overlap": {}}


@pytest.fixture(scope="module")
def cohort() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "cohort.csv")


@pytest.fixture(scope="module")
def from_r() -> dict:
    return json.loads((REFERENCE / "propensity.json").read_text())


def test_coefficients_and_scores_match_r_multinom(cohort: pl.DataFrame, from_r: dict) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES)
    expected = np.array(list(from_r["coefficients"].values())).T  # arm by term
    np.testing.assert_allclose(fit.coefficients["coef"].to_numpy().reshape(2, 4), expected, rtol=1e-7)
    np.testing.assert_allclose(fit.scores.head(3).to_numpy(), from_r["scores_first"], rtol=1e-9)


@pytest.mark.parametrize("estimand", OPTIONS)
def test_effective_sample_size_matches_r(cohort: pl.DataFrame, from_r: dict, estimand: str) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES, **OPTIONS[estimand])
    np.testing.assert_allclose(fit.effective_sample_size["effective_sample_size"], from_r["ess"][estimand], rtol=1e-8)


@pytest.mark.parametrize("estimand", OPTIONS)
@pytest.mark.parametrize("outcome", ["pain1", "responder"])
def test_both_standard_errors_match_stacked_equations_in_r(
    cohort: pl.DataFrame, from_r: dict, estimand: str, outcome: str
) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES, **OPTIONS[estimand])
    rows = propensity.effects(fit, cohort, outcome)
    clustered = propensity.effects(fit, cohort, outcome, cluster="site").filter(variance="weights estimated")
    ratios = propensity.effects(fit, cohort, outcome, measure="ratio").filter(variance="weights estimated")
    for pair, (group, reference) in PAIRS.items():
        expected = from_r[outcome][estimand][pair]
        by_variance = {row["variance"]: row for row in rows.filter(group=group, reference=reference).to_dicts()}
        assert by_variance["weights fixed"]["estimate"] == pytest.approx(expected["estimate"], rel=1e-8)
        assert by_variance["weights fixed"]["std_error"] == pytest.approx(expected["fixed"], rel=1e-8)
        assert by_variance["weights estimated"]["std_error"] == pytest.approx(expected["stacked"], rel=1e-6)
        of_pair = clustered.filter(group=group, reference=reference)
        assert of_pair["std_error"].item() == pytest.approx(expected["clustered"], rel=1e-6)
        ratio = ratios.filter(group=group, reference=reference).row(0, named=True)
        assert ratio["estimate"] == pytest.approx(expected["ratio"], rel=1e-8)
        assert ratio["log_std_error"] == pytest.approx(expected["log_stacked"], rel=1e-6)


def test_limits_of_few_clusters_are_those_of_r_scaled(cohort: pl.DataFrame, from_r: dict) -> None:
    """R's stacked equations summed by site, times G / (G - 1), with R's qt(0.975, 19) = 2.093024 for the 20 sites."""
    assert cohort["site"].n_unique() == 20
    fit = propensity.weights(cohort, "arm", COVARIATES)
    rows = propensity.effects(fit, cohort, "pain1", cluster="site", few_clusters=True)
    for pair, (group, reference) in PAIRS.items():
        expected = from_r["pain1"]["overlap"][pair]
        error = expected["clustered"] * (20 / 19) ** 0.5
        row = rows.filter(variance="weights estimated", group=group, reference=reference).row(0, named=True)
        assert row["std_error"] == pytest.approx(error, rel=1e-6)
        assert row["ci_high"] == pytest.approx(expected["estimate"] + 2.093024 * error, rel=1e-6)
        assert row["df"] == 19


def test_balance_matches_r(cohort: pl.DataFrame, from_r: dict) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES)
    rows = propensity.balance(cohort.with_columns(fit.weights), "arm", COVARIATES, "weight")
    for pair, columns in from_r["balance_overlap"].items():
        group, reference = PAIRS[pair]
        for covariate, expected in columns.items():
            row = rows.filter(group=group, reference=reference, covariate=covariate).row(0, named=True)
            assert row["smd"] == pytest.approx(expected[0], abs=1e-9)
            assert row["variance_ratio"] == pytest.approx(expected[1], rel=1e-9)
            assert row["ks"] == pytest.approx(expected[2], rel=1e-9)


def test_overlap_weights_of_two_arms_balance_their_terms_exactly(cohort: pl.DataFrame) -> None:
    # Li, Morgan & Zaslavsky 2018, theorem 3
    two = cohort.filter(pl.col("arm") != "c")
    fit = propensity.weights(two, "arm", COVARIATES)
    rows = propensity.balance(two.with_columns(fit.weights), "arm", COVARIATES, "weight")
    assert rows["smd"].abs().max() < 1e-12


def test_balance_of_four_rows_on_paper() -> None:
    # a: 0, 2 (mean 1, variance 2); b: 1, 5 (mean 3, variance 8); smd 2 / sqrt(5); ratio 4; the curves part by 1/2
    frame = pl.DataFrame({"arm": ["a", "a", "b", "b"], "x": [0.0, 2.0, 1.0, 5.0]})
    row = propensity.balance(frame, "arm", ["x"]).row(0, named=True)
    assert row["pair"] == "b vs a"
    assert row["smd"] == pytest.approx(2 / math.sqrt(5))
    assert row["variance_ratio"] == pytest.approx(4)
    assert row["ks"] == pytest.approx(0.5)


def test_balance_of_many_rows_does_not_depend_on_chunks(cohort: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = propensity.balance(cohort, "arm", COVARIATES, "weight")
    monkeypatch.setattr("pipelines.models._balance.CHUNK", 7)
    chunked = propensity.balance(cohort, "arm", COVARIATES, "weight")
    np.testing.assert_allclose(whole["smd"], chunked["smd"], rtol=1e-12)


def test_start_from_a_part_reaches_the_same_maximum() -> None:
    rng = np.random.default_rng(3)
    n = 4 * PART + 1
    x = np.column_stack([rng.normal(size=n), rng.integers(0, 2, n)])
    chance = 1 / (1 + np.exp(-(0.5 * x[:, 0] - x[:, 1])))
    codes = (rng.random(n) < chance).astype(np.int64)
    fit = fit_multinomial(x, codes, 2)
    assert fit.converged
    # the gradient is zero: observed arm sizes and column sums are reproduced
    np.testing.assert_allclose(fit.probabilities[:, 1].sum(), codes.sum(), rtol=1e-12)
    np.testing.assert_allclose(fit.probabilities[:, 1] @ x, codes @ x, rtol=1e-10)


@pytest.mark.parametrize("wide", [False, True])
def test_separation_is_named(cohort: pl.DataFrame, wide: bool) -> None:
    # nobody of arm a is marked: no finite coefficient (quasi-separation); or age tells b from the rest (complete)
    mark = pl.col("age") > 72 if wide else (pl.col("arm") != "a") & (pl.col("subject") % 3 == 0)
    arm = pl.when(pl.col("age") > 72).then(pl.lit("b")).otherwise(pl.lit("a")) if wide else pl.col("arm")
    fit = propensity.weights(cohort.with_columns(mark=mark, arm=arm), "arm", ["mark", "sex"])
    assert fit.status.startswith("not estimable: separation")
    assert "mark" in fit.status
    assert fit.weights.null_count() == cohort.height
    assert fit.effective_sample_size["effective_sample_size"].null_count() == fit.arms.count


def test_constant_covariate_and_empty_arm_are_named(cohort: pl.DataFrame) -> None:
    constant = propensity.weights(cohort.with_columns(k=1), "arm", ["age", "k"])
    assert constant.status == "not estimable: constant or collinear covariates: k"
    tiers = pl.Enum(["a", "b", "c", "d"])
    empty = propensity.weights(cohort.with_columns(pl.col("arm").cast(tiers)), "arm", ["age"])
    assert empty.status == "not estimable: no rows in d"
    assert set(propensity.effects(empty, cohort, "pain1")["reason"]) == {"no rows in d"}


def test_null_outcomes_count_for_the_scores_only(cohort: pl.DataFrame) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES)
    holed = cohort.with_columns(pain1=pl.when(pl.col("subject") > 40).then("pain1"))
    rows = propensity.effects(fit, holed, "pain1").filter(variance="weights fixed", group="b", reference="a")
    left = cohort.with_columns(fit.weights).filter(pl.col("subject") > 40).group_by("arm")
    means = dict(left.agg((pl.col("pain1") * pl.col("weight")).sum() / pl.col("weight").sum()).iter_rows())
    assert rows["estimate"].item() == pytest.approx(means["b"] - means["a"])
    assert rows["subjects"].item() == holed.filter(pl.col("arm") != "c")["pain1"].count()


def test_all_outcomes_missing_prints_no_number(cohort: pl.DataFrame) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES)
    rows = propensity.effects(fit, cohort.with_columns(pain1=pl.lit(None, pl.Float64)), "pain1")
    assert rows["estimate"].null_count() == rows.height
    assert set(rows["status"]) == {"not estimable"}


def test_trimming_counts_and_says_whom_the_effect_concerns(cohort: pl.DataFrame) -> None:
    fit = propensity.weights(cohort, "arm", COVARIATES)
    trimming = propensity.trim(fit, 0.15)
    lowest = fit.scores.min_horizontal()
    assert trimming.kept.sum() == int((lowest >= 0.15).sum())
    assert trimming.removed["removed"].sum() == cohort.height - trimming.kept.sum()
    assert "not the whole cohort" in trimming.population


def test_preference_score_is_a_half_where_the_score_equals_the_share(cohort: pl.DataFrame) -> None:
    # without informative covariates every score is the arm's share, so every preference is 1/2 (Walker 2013)
    flat = pl.DataFrame({"arm": ["a", "a", "b"] * 4, "x": [1.0] * 3 + [2.0] * 3 + [3.0] * 3 + [4.0] * 3})
    fit = propensity.weights(flat, "arm", ["x"])
    np.testing.assert_allclose(propensity.preference_scores(fit)["preference"], 0.5, atol=1e-9)
    assert set(propensity.preference_overlap(fit)["share"]) == {1.0}


def test_unmodelled_terms_are_squares_and_interactions(cohort: pl.DataFrame) -> None:
    terms = propensity.unmodelled_terms(cohort, COVARIATES)
    rows = propensity.balance(cohort, "arm", terms)
    assert terms == ["I(`age`**2)", "I(`pain0`**2)", "`age`:`sex`", "`age`:`pain0`", "`sex`:`pain0`"]
    assert rows["smd"].null_count() == 0


def test_unknown_target_and_estimand_are_refused(cohort: pl.DataFrame) -> None:
    with pytest.raises(ModelInputError, match="one of the arms"):
        propensity.weights(cohort, "arm", ["age"], "att", "z")
    with pytest.raises(ModelInputError, match="estimand"):
        propensity.weights(cohort, "arm", ["age"], "matching")
