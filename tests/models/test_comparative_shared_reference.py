"""Comparative estimators against the R results handed over beside the repository; skipped where these are absent.

The tables stand under licences that keep them out of this repository, so they are read where they lie.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models import comparison, imputation, longitudinal, propensity, proportions, second_opinion, sensitivity

SHARED = Path(__file__).parents[3] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference tables are not beside the repository")


def _results(name: str) -> dict:
    (path,) = (SHARED / "results").glob(f"{name}*.json")
    return json.loads(path.read_text())


def _table(name: str) -> pl.DataFrame:
    return pl.read_csv(SHARED / "data" / name, infer_schema_length=None, null_values=["NA", "NaN", "<undefined>"])


@pytest.fixture(scope="module")
def ashar() -> pl.DataFrame:
    patients = _table("Ashar2022_outcomes_demographics.csv").filter(pl.col("is_patient") == 1).drop_nulls("group")
    wide = patients.pivot(on="time", index=["id", "group"], values=["pain_avg", "odi"])
    names = {1: "PRT", 2: "Placebo", 3: "UsualCare"}
    return wide.with_columns(arm=pl.col("group").replace_strict(names))


@pytest.mark.parametrize(("outcome", "key"), [("pain_avg", "ancova_pain"), ("odi", "ancova_odi")])
def test_ancova_of_the_back_pain_trial_matches_dev_11(ashar: pl.DataFrame, outcome: str, key: str) -> None:
    expected = {term["term"].removeprefix("arm"): term for term in _results("dev_11")[key]}
    seen = ashar.drop_nulls([f"{outcome}_1", f"{outcome}_2"])
    for robust, name in ((None, "se"), ("HC1", "se_HC1"), ("HC3", "se_HC3")):
        rows = comparison.ancova(seen, f"{outcome}_2", f"{outcome}_1", "arm", [], robust=robust)
        for arm in ("PRT", "Placebo"):
            row = rows.filter(group=arm, reference="UsualCare").row(0, named=True)
            assert row["estimate"] == pytest.approx(expected[arm]["est"], rel=1e-8)
            assert row["std_error"] == pytest.approx(expected[arm][name], rel=1e-8)


def test_adjusted_means_match_emmeans_of_dev_11(ashar: pl.DataFrame) -> None:
    seen = ashar.drop_nulls(["pain_avg_1", "pain_avg_2"])
    rows = comparison.adjusted_means(seen, "pain_avg_2", "pain_avg_1", "arm", [], robust=None)
    for expected in _results("dev_11")["emmeans_pain"]:
        row = rows.filter(group=expected["arm"]).row(0, named=True)
        for ours, theirs in (("estimate", "emmean"), ("std_error", "SE"), ("ci_low", "lower.CL")):
            assert row[ours] == pytest.approx(expected[theirs], rel=1e-8)


def test_responders_match_dev_11() -> None:
    for key, counts in {"PRT_vs_UC": (33, 50, 5, 50), "PRT_vs_Placebo": (33, 50, 10, 51)}.items():
        expected = _results("dev_11")["responder_comparisons_nonresponder_imputed_le1"][key]
        difference = proportions.newcombe(*counts)
        ratio = proportions.risk_ratio(*counts)
        assert difference.select("ci_low", "ci_high").row(0) == pytest.approx(expected["rd_newcombe"], rel=1e-8)
        assert ratio.select("ci_low", "ci_high").row(0) == pytest.approx(expected["rr_ci"], rel=1e-8)
        number = proportions.number_needed_to_treat(difference["estimate"], difference["ci_low"], difference["ci_high"])
        assert number["estimate"].item() == pytest.approx(expected["nnt"])


def test_wilson_and_newcombe_match_dev_22() -> None:
    results = _results("dev_22")
    for case in results["wilson_examples"]:
        row = proportions.wilson(case["x"], case["n"]).row(0, named=True)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((case["lo"], case["hi"]), abs=1e-12)
    for case in results["newcombe_site_pairs"] + results["newcombe_published"]:
        row = proportions.newcombe(case["x1"], case["n1"], case["x2"], case["n2"]).row(0, named=True)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((case["lo"], case["hi"]), abs=1e-12)


def _lalonde() -> tuple[pl.DataFrame, str, list[str]]:
    table = _table("MatchIt_lalonde.csv").with_columns(
        black=(pl.col("race") == "black").cast(pl.Int8),
        hispan=(pl.col("race") == "hispan").cast(pl.Int8),
        re74k=pl.col("re74") / 1000,
        re75k=pl.col("re75") / 1000,
        zero78=(pl.col("re78") == 0).cast(pl.Int8),
    )
    return table, "treat", ["age", "educ", "black", "hispan", "married", "nodegree", "re74k", "re75k"]


def _nhefs() -> tuple[pl.DataFrame, str, list[str]]:
    table = _table("nhefs_complete.csv").with_columns(
        pl.col("education", "exercise", "active").cast(pl.String), gain5=(pl.col("wt82_71") > 5).cast(pl.Int8)
    )
    smoking = ["smokeintensity", "I(smokeintensity**2)", "smokeyrs", "I(smokeyrs**2)"]
    others = ["sex", "race", "age", "I(age**2)", "education", "exercise", "active", "wt71", "I(wt71**2)"]
    return table, "qsmk", smoking + others


@pytest.mark.parametrize(("name", "load"), [("lalonde", _lalonde), ("nhefs", _nhefs)])
def test_weighted_effects_with_both_variances_match_dev_21(name: str, load) -> None:
    table, treatment, covariates = load()
    for outcome, by_estimand in _results("dev_21")[name]["results"].items():
        for estimand, expected in by_estimand.items():
            fit = propensity.weights(table, treatment, covariates, estimand)
            rows = propensity.effects(fit, table, outcome).filter(group=1)
            fixed, estimated = rows.sort("variance", descending=True).to_dicts()
            assert fixed["variance"] == "weights fixed"
            assert fixed["estimate"] == pytest.approx(expected["diff"], rel=1e-8)
            assert fixed["std_error"] == pytest.approx(expected["se_fixed_weights_HC0"], rel=1e-8)
            assert estimated["std_error"] == pytest.approx(expected["se_stacked"], rel=1e-8)


def test_binary_balance_and_effective_sample_size_match_dev_05() -> None:
    table, treatment, covariates = _lalonde()
    expected = _results("dev_05")["lalonde"]
    terms = [row["term"] for row in expected["smd"]["ate"]]
    for estimand in ("ate", "overlap"):
        fit = propensity.weights(table, treatment, covariates, estimand)
        sizes = expected["ess"][estimand]
        np.testing.assert_allclose(
            fit.effective_sample_size["effective_sample_size"], [sizes["control"], sizes["treated"]], rtol=1e-6
        )
        rows = propensity.balance(table.with_columns(fit.weights), treatment, terms, "weight")
        np.testing.assert_allclose(rows["smd"], [row["adj"] for row in expected["smd"][estimand]], atol=1e-7)


def test_three_arms_match_dev_06() -> None:
    table = _table("AOD.csv")
    expected = _results("dev_06")["aod"]
    covariates = ["illact", "crimjust", "subprob", "subdep", "white"]
    for estimand in ("ate", "overlap"):
        fit = propensity.weights(table, "treat", covariates, estimand)
        np.testing.assert_allclose(
            fit.effective_sample_size["effective_sample_size"], list(expected["ess"][estimand].values()), rtol=1e-5
        )
        balance = propensity.balance(table.with_columns(fit.weights), "treat", covariates, "weight")
        effects = propensity.effects(fit, table, "suf12").filter(variance="weights fixed")
        for row in expected["smd"][estimand]:
            ours = balance.filter(group=row["b"], reference=row["a"], covariate=row["term"])
            assert ours["smd"].item() == pytest.approx(row["smd_pair_pooled"], abs=1e-5)
        for row in expected["effect"][estimand]["contrasts"]:
            ours = effects.filter(group=row["b"], reference=row["a"])
            assert ours["estimate"].item() == pytest.approx(row["diff_b_minus_a"], rel=1e-5)
            # survey::svyglm has the factor n / (n - 1)
            assert ours["std_error"].item() * np.sqrt(600 / 599) == pytest.approx(row["se"], rel=1e-5)


def _fev() -> tuple[pl.DataFrame, tuple[str, ...], str]:
    table = _table("20_fev_used.csv").with_columns(pl.col("SEX").cast(pl.Enum(["Male", "Female"])))
    return table, ("FEV1", "AVISIT", "USUBJID", "RACE + SEX + FEV1_BL + ARMCD * AVISIT"), "ARMCD"


def _orthodont() -> tuple[pl.DataFrame, tuple[str, ...], str]:
    table = _table("nlme_Orthodont.csv").with_columns(
        pl.col("Sex").cast(pl.Enum(["Male", "Female"])), vis=pl.col("age").cast(pl.Int64)
    )
    return table, ("distance", "vis", "Subject", "Sex * vis"), "Sex"


STRUCTURES = {"us": "unstructured", "csh": "heterogeneous compound symmetry", "cs": "compound symmetry"}


@pytest.mark.parametrize(("name", "load"), [("fev", _fev), ("orthodont", _orthodont)])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_repeated_measures_match_dev_20(name: str, load, structure: str) -> None:
    table, columns, arm = load()
    expected = _results("dev_20")[name][structure]
    fit = longitudinal.mmrm(table, *columns, covariance=STRUCTURES[structure])
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-5)
    for ours, theirs in (("coef", "est"), ("std_error", "se"), ("df", "df")):
        np.testing.assert_allclose(
            fit.coefficients[ours].sort(), sorted(row[theirs] for row in expected["fixed"]), rtol=1e-4
        )
    sandwich = longitudinal.mmrm(table, *columns, covariance=STRUCTURES[structure], variance="sandwich")
    for ours, theirs in (("std_error", "se"), ("df", "df")) if "empirical" in expected else ():
        np.testing.assert_allclose(
            sandwich.coefficients[ours].sort(), sorted(row[theirs] for row in expected["empirical"]), rtol=1e-4
        )
    tables = {"emmeans": fit.means(arm), "contrasts": fit.contrasts(arm)}
    for row in expected["emmeans"] + expected["contrasts"]:
        group, reference = row["contrast"].split(" - ") if "contrast" in row else (row[arm], None)
        found = tables["contrasts" if reference else "emmeans"].filter(
            pl.col("visit").cast(pl.String) == str(row[columns[1]]), group=group
        )
        ours = (found.filter(reference=reference) if reference else found).row(0, named=True)
        assert ours["estimate"] == pytest.approx(row.get("estimate", row.get("emmean")), rel=1e-4)
        assert ours["std_error"] == pytest.approx(row["SE"], rel=1e-4)
        assert ours["df"] == pytest.approx(row["df"], rel=1e-4)


def test_repeated_measures_match_sas_figures_of_dev_08() -> None:
    table = _fev()[0]
    fit = longitudinal.mmrm(table, "FEV1", "AVISIT", "USUBJID", "ARMCD + SEX")
    for ours, sas in zip(fit.coefficients.to_dicts(), _results("dev_08")["sas_fev_arm_sex"]["rows"], strict=True):
        assert ours["coef"] == pytest.approx(sas["est"], abs=1.5e-3)
        assert ours["std_error"] == pytest.approx(sas["se"], abs=1e-3)
        assert round(ours["df"]) == pytest.approx(sas["df"], abs=1)


def test_augmented_weighting_matches_dev_05_and_dev_06() -> None:
    table, treatment, covariates = _lalonde()
    expected = _results("dev_05")["lalonde"]["aipw"]
    row = comparison.aipw(table, "re78", treatment, covariates).filter(group=1).row(0, named=True)
    assert row["estimate"] == pytest.approx(expected["ate"], rel=1e-6)
    assert row["std_error"] == pytest.approx(expected["se_if_n"], rel=1e-6)
    rows = comparison.aipw(_table("AOD.csv"), "suf12", "treat", ["illact", "crimjust", "subprob", "subdep", "white"])
    for expected in _results("dev_06")["aod"]["aipw_armwise_linear"]["contrasts"]:
        row = rows.filter(group=expected["b"], reference=expected["a"]).row(0, named=True)
        assert row["estimate"] == pytest.approx(expected["diff_b_minus_a"], rel=1e-5)
        # the reference divides by n - 1
        assert row["std_error"] * np.sqrt(600 / 599) == pytest.approx(expected["se"], rel=1e-5)


def test_augmented_weighting_with_one_outcome_regression_matches_nhefs_of_dev_05() -> None:
    # The reference's outcome model is that of Hernan & Robins, ch. 13: one regression of both arms, in which quitting
    # interacts with smoking intensity only (its standardised means are the book's). One regression an arm gives 3.373.
    table, treatment, covariates = _nhefs()
    expected = _results("dev_05")["nhefs"]["aipw"]
    rows = comparison.aipw(table, "wt82_71", treatment, covariates, modifiers=["smokeintensity"])
    row = rows.filter(group=1).row(0, named=True)
    assert row["estimate"] == pytest.approx(expected["ate"], rel=1e-6)
    assert row["std_error"] == pytest.approx(expected["se_if_n"], rel=1e-6)
    by_arm = comparison.aipw(table, "wt82_71", treatment, covariates).filter(group=1).row(0, named=True)
    # lm within each arm, glm, and the influence function in R 4.2.2
    assert by_arm["estimate"] == pytest.approx(3.373265, abs=1e-6)
    assert by_arm["std_error"] * np.sqrt(1566 / 1565) == pytest.approx(0.4728444, abs=1e-7)


def test_e_values_match_dev_12() -> None:
    for case in _results("dev_12")["cases"]:
        low, high = case.get("lo"), case.get("hi")
        if case["type"] == "SMD":
            low, high = sensitivity.standardised_difference_limits(case["est"], case["se"])
        row = sensitivity.e_value(case["est"], low, high, case["type"]).row(0, named=True)
        assert row["point"] == pytest.approx(case["evalue"], rel=1e-10)
        assert row["limit"] == pytest.approx(case["evalue_ci"], rel=1e-10)


def test_rubin_pooling_matches_dev_10() -> None:
    results = _results("dev_10")
    # the table holds a row an imputation and a column a term
    estimates, errors = (np.array(results["per_imputation"][name]) for name in ("est", "se"))
    rows = imputation.pool(estimates, errors**2, df=21)
    for ours, expected, mice in zip(rows.to_dicts(), results["rubin"], results["mice_pool"], strict=True):
        for name, theirs in (("estimate", "estimate"), ("std_error", "se"), ("fraction_missing", "fmi")):
            assert ours[name] == pytest.approx(expected[theirs], rel=1e-8)
        assert ours["df"] == pytest.approx(mice["df"], rel=1e-8)
        assert (ours["ci_low"], ours["ci_high"]) == pytest.approx((expected["lo"], expected["hi"]), rel=1e-8)
    example = results["formula_example"]
    row = imputation.pool(example["est"], np.array(example["se"]) ** 2).row(0, named=True)
    assert row["df"] == pytest.approx(example["pooled"][0]["df_rubin1987"], rel=1e-8)


def test_kenward_roger_matches_sas_and_mmrm_in_dev_08() -> None:
    table, columns, _ = _fev()
    results = _results("dev_08")
    fit = longitudinal.mmrm(table, *columns, variance="kenward-roger")
    expected = sorted(row["se"] for row in results["fev"]["fixed_kenward_roger_linear"])
    np.testing.assert_allclose(fit.coefficients["std_error"].sort(), expected, rtol=1e-3)
    arm_only = longitudinal.mmrm(table, *columns[:3], "ARMCD", variance="kenward-roger").coefficients.row(1, named=True)
    (sas,) = results["sas_fev_armonly"]["kr"]
    for ours, theirs in (("coef", "Estimate"), ("std_error", "StdErr"), ("df", "DF")):
        assert arm_only[ours] == pytest.approx(sas[theirs], rel=1e-3)


@pytest.mark.parametrize(("outcome", "key"), [("pain_avg", "ashar_pain"), ("odi", "ashar_odi")])
def test_mixed_model_of_the_back_pain_trial_matches_dev_07(outcome: str, key: str) -> None:
    # a random intercept is compound symmetry between visits
    arms = pl.col("group").replace_strict({1: "PRT", 2: "Placebo", 3: "UsualCare"}, return_dtype=pl.String)
    visit = pl.col("time").replace_strict({1: "pre", 2: "post"}, return_dtype=pl.String).cast(pl.Enum(["pre", "post"]))
    patients = _table("Ashar2022_outcomes_demographics.csv").filter(pl.col("is_patient") == 1)
    long = patients.drop_nulls(["group", outcome]).with_columns(arm=arms, visit=visit)
    fit = longitudinal.mmrm(long, outcome, "visit", "id", "arm * visit", covariance="compound symmetry")
    expected = _results("dev_07")[key]
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-4)
    rows = fit.contrasts("arm")
    for contrast in expected["contrasts_satterthwaite"]:
        group, reference = contrast["contrast"].split(" - ")
        this = (pl.col("visit") == contrast["visit"]) & (pl.col("group") == group) & (pl.col("reference") == reference)
        row = rows.row(by_predicate=this, named=True)
        assert row["estimate"] == pytest.approx(contrast["estimate"], rel=1e-4)
        assert row["std_error"] == pytest.approx(contrast["SE"], rel=1e-4)
        assert row["df"] == pytest.approx(contrast["df"], rel=1e-3)


@pytest.mark.parametrize("structure", ["independence", "exchangeable"])
def test_estimating_equations_match_dev_09(structure: str) -> None:
    fit = second_opinion.estimating_equations(
        _table("geepack_ohio.csv"), "resp", "id", ["age", "smoke", "age:smoke"], "binomial", structure
    )
    for row, expected in zip(fit.coefficients.to_dicts(), _results("dev_09")["ohio"][structure]["coef"], strict=True):
        assert row["coef"] == pytest.approx(expected["est"], rel=1e-5)
        assert row["std_error"] == pytest.approx(expected["robust_se"], rel=1e-5)


@pytest.mark.parametrize(("reml", "key"), [(True, "orthodont_reml"), (False, "orthodont_ml")])
def test_random_intercept_matches_dev_07(reml: bool, key: str) -> None:
    table = _table("nlme_Orthodont.csv").with_columns(pl.col("Sex").cast(pl.Enum(["Male", "Female"])))
    fit = second_opinion.random_intercept(table, "distance", "Subject", ["age", "Sex", "age:Sex"], reml)
    expected = _results("dev_07")[key]
    assert fit.details["log_likelihood"] == pytest.approx(expected["loglik"], abs=1e-4)
    for row, wanted in zip(fit.coefficients.to_dicts(), expected["fixed_satterthwaite"], strict=True):
        assert row["coef"] == pytest.approx(wanted["est"], rel=1e-4)
        assert row["std_error"] == pytest.approx(wanted["se"], rel=1e-4)


@pytest.mark.parametrize(
    ("key", "load", "fixed"),
    [
        ("fev", _fev, "RACE + SEX + FEV1_BL + ARMCD * AVISIT"),
        ("fev_armonly", _fev, "ARMCD"),
        ("fev_armsex", _fev, "ARMCD + SEX"),
        ("orthodont", _orthodont, "Sex * vis"),
    ],
)
def test_repeated_measures_match_every_fit_of_dev_08(key: str, load, fixed: str) -> None:
    # The reference stopped short of the maximum (ours is never lower): 1e-3, absolute below 1, as its README allows.
    table, columns, arm = load()
    expected = _results("dev_08")[key]
    fit = longitudinal.mmrm(table, *columns[:3], fixed)
    assert fit.log_likelihood == pytest.approx(expected["loglik"], abs=1e-3)
    assert fit.log_likelihood > expected["loglik"] - 1e-6
    np.testing.assert_allclose(np.diag(fit.residual_covariance), np.diag(expected["covariance"]), rtol=1e-3)
    for ours, theirs in (("coef", "est"), ("std_error", "se"), ("df", "df")):
        np.testing.assert_allclose(
            fit.coefficients[ours].sort(),
            sorted(row[theirs] for row in expected["fixed_satterthwaite"]),
            rtol=1e-3,
            atol=1e-3,
        )
    by_visit = any(columns[1] in row for row in expected["contrasts_satterthwaite"])
    for row in expected["contrasts_satterthwaite"] if by_visit else ():
        group, reference = row["contrast"].split(" - ")
        found = fit.contrasts(arm).filter(
            pl.col("visit").cast(pl.String) == str(row[columns[1]]), group=group, reference=reference
        )
        ours = found.row(0, named=True)
        for name, theirs in (("estimate", "estimate"), ("std_error", "SE"), ("df", "df"), ("ci_low", "lower.CL")):
            assert ours[name] == pytest.approx(row[theirs], rel=1e-3, abs=1e-3), name


def test_three_arms_of_lalonde_match_dev_06() -> None:
    table = _table("MatchIt_lalonde.csv").with_columns(pl.col("race").cast(pl.Enum(["white", "black", "hispan"])))
    expected = _results("dev_06")["lalonde_race"]
    covariates = ["age", "educ", "married", "nodegree", "re74", "re75"]
    for estimand in ("ate", "overlap"):
        fit = propensity.weights(table, "race", covariates, estimand)
        np.testing.assert_allclose(
            fit.effective_sample_size["effective_sample_size"], list(expected["ess"][estimand].values()), rtol=1e-4
        )
        effects = propensity.effects(fit, table, "re78").filter(variance="weights fixed")
        for row in expected["effect"][estimand]["contrasts"]:
            ours = effects.filter(group=row["b"], reference=row["a"])
            assert ours["estimate"].item() == pytest.approx(row["diff_b_minus_a"], rel=1e-3)
            assert ours["std_error"].item() * np.sqrt(614 / 613) == pytest.approx(row["se"], rel=1e-4)
    for target in ("white", "black", "hispan"):
        fit = propensity.weights(table, "race", covariates, "att", target)
        np.testing.assert_allclose(
            fit.effective_sample_size["effective_sample_size"],
            list(expected["ess"][f"att_{target}"].values()),
            rtol=1e-4,
        )
