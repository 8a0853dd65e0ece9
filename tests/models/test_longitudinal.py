"""Repeated measures against R (tests/reference/models/mmrm.R on visits.csv): nlme::gls, clubSandwich, optim."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models import longitudinal
from pipelines.models._frames import ModelInputError

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
FIXED = "sex + base * visit + arm * visit"
COLUMNS = ("odi", "visit", "subject")
STRUCTURES = {
    "unstructured": "unstructured",
    "heterogeneous": "heterogeneous compound symmetry",
    "compound": "compound symmetry",
}


@pytest.fixture(scope="module")
def visits() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "visits.csv")


@pytest.fixture(scope="module")
def from_r() -> dict:
    return json.loads((REFERENCE / "mmrm.json").read_text())


@pytest.fixture(scope="module")
def fit(visits: pl.DataFrame) -> longitudinal.RepeatedMeasuresFit:
    return longitudinal.mmrm(visits, *COLUMNS, FIXED)


def _plain(term: str) -> str:
    """Name a term as R does, its parts in alphabetical order: `arm[T.b]:visit[T.m06]` is `armb:visitm06`."""
    return ":".join(sorted(term.replace("[T.", "").replace("]", "").split(":")))


def _column(fit: longitudinal.RepeatedMeasuresFit, name: str) -> dict[str, float]:
    return {_plain(term): value for term, value in fit.coefficients.select("term", name).iter_rows()}


def _expected(values: dict[str, float]) -> dict[str, float]:
    return {_plain(term): value for term, value in values.items()}


@pytest.mark.parametrize("key", STRUCTURES)
def test_each_covariance_structure_matches_r_gls(visits: pl.DataFrame, from_r: dict, key: str) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, FIXED, covariance=STRUCTURES[key])
    expected = from_r["gls"][key]
    assert fit.status == "estimable"
    assert fit.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-6)
    assert _column(fit, "coef") == pytest.approx(_expected(expected["coef"]), rel=1e-4, abs=1e-5)
    assert _column(fit, "std_error") == pytest.approx(_expected(expected["std_error"]), rel=1e-4)


def test_residual_covariance_and_degrees_of_freedom_match_r(fit, from_r: dict) -> None:
    assert fit.log_likelihood == pytest.approx(from_r["log_likelihood"], abs=1e-6)
    np.testing.assert_allclose(fit.residual_covariance, from_r["sigma"], rtol=1e-4)
    assert _column(fit, "df") == pytest.approx(_expected(from_r["df"]), rel=1e-3)


def test_contrasts_and_means_by_visit_match_r(fit, from_r: dict) -> None:
    contrasts, means = fit.contrasts("arm"), fit.means("arm")
    for visit, pairs in from_r["contrasts"].items():
        for pair, expected in pairs.items():
            group, reference = pair.split("_")
            row = contrasts.filter(visit=visit, group=group, reference=reference).row(0, named=True)
            assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-4, abs=1e-4)
            assert row["std_error"] == pytest.approx(expected["std_error"], rel=1e-4)
            assert row["df"] == pytest.approx(expected["df"], rel=1e-3)
        for group, expected in from_r["means"][visit].items():
            row = means.filter(visit=visit, group=group).row(0, named=True)
            assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-4)
            assert row["std_error"] == pytest.approx(expected["std_error"], rel=1e-4)


def test_kenward_roger_variance_matches_r_subject_by_subject(visits: pl.DataFrame, from_r: dict) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, FIXED, variance="kenward-roger")
    assert _column(fit, "std_error") == pytest.approx(_expected(from_r["kenward_roger"]), rel=1e-4)
    assert _column(fit, "df") == pytest.approx(_expected(from_r["df"]), rel=1e-3)
    with pytest.raises(ModelInputError, match="unstructured"):
        longitudinal.mmrm(visits, *COLUMNS, FIXED, covariance="compound symmetry", variance="kenward-roger")


@pytest.mark.parametrize(("key", "cluster"), [("sandwich", None), ("sandwich_site", "site")])
def test_sandwich_and_its_degrees_of_freedom_match_r_clubsandwich(
    visits: pl.DataFrame, from_r: dict, key: str, cluster: str | None
) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, FIXED, variance="sandwich", cluster=cluster)
    assert _column(fit, "std_error") == pytest.approx(_expected(from_r[key]["std_error"]), rel=1e-4)
    assert _column(fit, "df") == pytest.approx(_expected(from_r[key]["df"]), rel=1e-2)


def test_weighted_fit_matches_r_pseudo_likelihood(visits: pl.DataFrame, from_r: dict) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, FIXED, weights="weight", variance="sandwich")
    expected = from_r["weighted"]
    assert fit.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-6)
    assert _column(fit, "coef") == pytest.approx(_expected(expected["coef"]), rel=1e-3, abs=1e-3)
    assert _column(fit, "std_error") == pytest.approx(_expected(expected["std_error"]), rel=1e-3)


def test_weight_two_equals_two_copies(visits: pl.DataFrame) -> None:
    heavy = visits["subject"].unique().sort()[:30]
    weighted = visits.with_columns(w=pl.when(pl.col("subject").is_in(heavy.implode())).then(2.0).otherwise(1.0))
    copies = visits.filter(pl.col("subject").is_in(heavy.implode())).with_columns(subject="copy " + pl.col("subject"))
    doubled = pl.concat([visits, copies])
    by_weight = longitudinal.mmrm(weighted, *COLUMNS, FIXED, weights="w", variance="sandwich")
    origin = doubled.with_columns(origin=pl.col("subject").str.strip_prefix("copy "))
    by_copy = longitudinal.mmrm(origin, *COLUMNS, FIXED, variance="sandwich", cluster="origin")
    for name in ("coef", "std_error"):
        np.testing.assert_allclose(by_weight.coefficients[name], by_copy.coefficients[name], rtol=1e-6)


def test_maximum_likelihood_matches_r(visits: pl.DataFrame, from_r: dict) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, FIXED, reml=False)
    assert fit.log_likelihood == pytest.approx(from_r["ml"]["log_likelihood"], abs=1e-6)


def test_covariate_that_changes_between_visits_matches_r_gls(visits: pl.DataFrame, from_r: dict) -> None:
    fit = longitudinal.mmrm(visits, *COLUMNS, f"{FIXED} + late_days")
    expected = from_r["changing"]
    assert fit.log_likelihood == pytest.approx(expected["log_likelihood"], abs=1e-6)
    assert _column(fit, "coef") == pytest.approx(_expected(expected["coef"]), rel=1e-3, abs=1e-4)
    assert _column(fit, "std_error") == pytest.approx(_expected(expected["std_error"]), rel=1e-4)


def test_sandwich_is_the_same_whether_covariates_are_taken_as_steady_or_not(visits: pl.DataFrame) -> None:
    # a covariate that changes in one row only, by nothing that matters, sends the fit down the general road
    nudged = visits.with_row_index().with_columns(
        base=pl.col("base") + pl.when(pl.col("index") == 1).then(1e-9).otherwise(0)
    )
    steady = longitudinal.mmrm(visits, *COLUMNS, FIXED, variance="sandwich")
    general = longitudinal.mmrm(nudged, *COLUMNS, FIXED, variance="sandwich")
    assert general.data.base.shape[1] > steady.data.base.shape[1]
    for name in ("coef", "std_error", "df"):
        np.testing.assert_allclose(general.coefficients[name], steady.coefficients[name], rtol=1e-6)


def test_observed_means_average_over_the_subjects(fit, visits: pl.DataFrame) -> None:
    # sex and baseline at their averages over subjects, read off the coefficients by hand
    coef = _column(fit, "coef")
    subjects = visits.unique("subject")
    base, male = subjects["base"].mean(), (subjects["sex"] == "male").mean()
    expected = coef["(Intercept)"] + coef["sexmale"] * male + coef["base"] * base + coef["armb"]
    row = fit.means("arm", weights="observed").filter(visit="m03", group="b")
    assert row["estimate"].item() == pytest.approx(expected, rel=1e-10)


def test_numeric_visits_count_as_categories(visits: pl.DataFrame, fit) -> None:
    numbered = visits.with_columns(visit=pl.col("visit").str.slice(1).cast(pl.Int64))
    other = longitudinal.mmrm(numbered, *COLUMNS, FIXED)
    np.testing.assert_allclose(other.coefficients["coef"], fit.coefficients["coef"], rtol=1e-9)
    assert other.contrasts("arm")["visit"].dtype == pl.Int64


def test_visits_never_seen_together_fall_back_and_are_recorded(visits: pl.DataFrame) -> None:
    late = visits.filter(visit="m24")["subject"].implode()
    apart = visits.filter(~((pl.col("visit") == "m12") & pl.col("subject").is_in(late)))
    fit = longitudinal.mmrm(apart, *COLUMNS, FIXED)
    assert fit.attempts["status"][0] == "not estimable: no subject was seen at both m12 and m24"
    assert fit.covariance_structure == "heterogeneous compound symmetry"
    assert fit.variance == "sandwich"
    assert fit.status == "estimable"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.filter(visit="m03"), "one visit only"),
        (lambda d: d.filter(~((pl.col("arm") == "c") & (pl.col("visit") == "m24"))), "collinear"),
        (lambda d: d.with_columns(base=1.0), "collinear fixed effects: base"),
        (lambda d: d.with_columns(visit=pl.col("visit").cast(pl.Enum(["m03", "m06", "m12", "m24", "m60"]))), "m60"),
    ],
)
def test_data_that_cannot_carry_the_model_are_named_and_print_no_number(visits: pl.DataFrame, change, reason) -> None:
    fit = longitudinal.mmrm(change(visits), *COLUMNS, FIXED)
    assert fit.status.startswith("not estimable")
    assert reason in fit.status
    assert fit.coefficients["coef"].null_count() == fit.coefficients.height
    contrasts = fit.contrasts("arm")
    assert contrasts["estimate"].null_count() == contrasts.height
    assert fit.log_likelihood is None


def test_empty_arm_is_named_and_the_others_are_compared(visits: pl.DataFrame, fit) -> None:
    declared = visits.with_columns(pl.col("arm").cast(pl.Enum(["a", "b", "c", "d"])))
    rows = longitudinal.mmrm(declared, *COLUMNS, FIXED).contrasts("arm")
    assert set(rows.filter(group="d")["reason"]) == {"d has no rows"}
    ours = rows.filter(visit="m12", group="b", reference="a")["estimate"].item()
    assert ours == pytest.approx(fit.contrasts("arm").filter(visit="m12", group="b", reference="a")["estimate"].item())


def test_constant_outcome_prints_no_number(visits: pl.DataFrame) -> None:
    assert longitudinal.mmrm(visits.with_columns(odi=3.0), *COLUMNS, FIXED).status.startswith("not estimable")


def test_two_rows_at_one_visit_and_model_variance_with_weights_are_refused(visits: pl.DataFrame) -> None:
    with pytest.raises(ModelInputError, match="unique"):
        longitudinal.mmrm(pl.concat([visits, visits.head(1)]), *COLUMNS, FIXED)
    with pytest.raises(ModelInputError, match="sandwich"):
        longitudinal.mmrm(visits, *COLUMNS, FIXED, weights="weight")
