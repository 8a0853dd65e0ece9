"""statsmodels' mixed model and estimating equations, guarded, against nlme and geepack (second_opinion.R)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models import second_opinion

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
COVARIATES = ["sex", "base", "arm"]


@pytest.fixture(scope="module")
def visits() -> pl.DataFrame:
    table = pl.read_csv(REFERENCE / "visits.csv").sort("subject", "visit")
    return table.with_columns(low=(pl.col("odi") < 25).cast(pl.Int8))


@pytest.fixture(scope="module")
def from_r() -> dict:
    return json.loads((REFERENCE / "second_opinion.json").read_text())


def _assert_matches(
    opinion: second_opinion.SecondOpinion, expected: dict, tolerance: float, absolute: float = 0.0
) -> None:
    assert opinion.status == "estimable"
    names = [term.replace("[T.", "").replace("]", "") for term in opinion.coefficients["term"]]
    for column in ("coef", "std_error"):
        found = dict(zip(names, opinion.coefficients[column], strict=True))
        assert found == pytest.approx(expected[column], rel=tolerance, abs=absolute)


def test_random_intercept_matches_r_lme(visits: pl.DataFrame, from_r: dict) -> None:
    opinion = second_opinion.random_intercept(visits, "odi", "subject", [*COVARIATES, "visit"])
    _assert_matches(opinion, from_r["lme"], 1e-4, 1e-6)
    assert opinion.details["log_likelihood"] == pytest.approx(from_r["lme"]["log_likelihood"], abs=1e-5)


@pytest.mark.parametrize(
    ("key", "outcome", "structure"), [("binomial", "low", "exchangeable"), ("gaussian", "odi", "independence")]
)
def test_estimating_equations_match_r_geepack(
    visits: pl.DataFrame, from_r: dict, key: str, outcome: str, structure: str
) -> None:
    opinion = second_opinion.estimating_equations(visits, outcome, "subject", COVARIATES, key, structure)
    # geepack estimates the working correlation with another denominator: with unequal clusters that moves a digit
    tolerance = (2e-3, 1e-4) if structure == "exchangeable" else (1e-6, 0.0)
    _assert_matches(opinion, from_r[key], *tolerance)


def test_no_variance_between_subjects_is_named(visits: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    noise = visits.with_columns(odi=pl.Series(rng.normal(size=visits.height)) - pl.col("odi") * 0)
    centred = noise.with_columns(odi=pl.col("odi") - pl.col("odi").mean().over("subject"))
    opinion = second_opinion.random_intercept(centred, "odi", "subject", ["arm"])
    assert opinion.status.startswith("not estimable")
    assert opinion.coefficients["coef"].null_count() == opinion.coefficients.height


def test_data_that_cannot_carry_the_models_are_named(visits: pl.DataFrame) -> None:
    constant = second_opinion.random_intercept(visits.with_columns(k=1), "odi", "subject", ["k"])
    assert constant.status == "not estimable: constant or collinear covariates: k"
    once = second_opinion.estimating_equations(visits.unique("subject"), "odi", "subject", ["arm"])
    assert once.status == "not estimable: no subject has a second row"
    told = visits.with_columns(low=(pl.col("arm") == "c").cast(pl.Int8))
    assert second_opinion.estimating_equations(told, "low", "subject", ["arm"], "binomial").status.startswith("not")
