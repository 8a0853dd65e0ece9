"""Standardised risks against stacked equations in R (tests/reference/models/doubly_robust.R)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.models.standardisation import standardised_risks

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
COLUMNS = ("responder", "arm", ["age", "sex"])


@pytest.fixture(scope="module")
def cohort() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "cohort.csv")


@pytest.fixture(scope="module")
def from_r() -> dict:
    return json.loads((REFERENCE / "doubly_robust.json").read_text())


@pytest.mark.parametrize(("key", "weights"), [("risks", None), ("weighted_risks", "weight")])
def test_risks_differences_and_ratios_match_r(
    cohort: pl.DataFrame, from_r: dict, key: str, weights: str | None
) -> None:
    expected = from_r[key]
    risks = standardised_risks(cohort, *COLUMNS, measure="risk", weights=weights)
    assert risks["estimate"].to_list() == pytest.approx(expected["risk"], rel=1e-9)
    assert risks["std_error"].to_list() == pytest.approx(expected["std_error"], rel=1e-6)
    tables = {
        "difference": standardised_risks(cohort, *COLUMNS, weights=weights),
        "ratio": standardised_risks(cohort, *COLUMNS, measure="ratio", weights=weights),
        "site": standardised_risks(cohort, *COLUMNS, weights=weights, cluster="site"),
    }
    for measure, rows in tables.items():
        for pair, wanted in expected[measure].items():
            group, reference = pair.split("_")
            row = rows.filter(group=group, reference=reference).row(0, named=True)
            for name, value in wanted.items():
                assert row[name] == pytest.approx(value, rel=1e-6), (measure, pair, name)


def test_without_covariates_it_is_the_plain_difference(cohort: pl.DataFrame) -> None:
    shares = dict(cohort.group_by("arm").agg(pl.col("responder").mean()).iter_rows())
    row = standardised_risks(cohort, "responder", "arm", []).filter(group="c", reference="a").row(0, named=True)
    assert row["estimate"] == pytest.approx(shares["c"] - shares["a"], rel=1e-10)


def test_arm_without_events_and_separation_are_named(cohort: pl.DataFrame) -> None:
    none_in_c = cohort.with_columns(responder=pl.when(pl.col("arm") != "c").then("responder").otherwise(0))
    rows = standardised_risks(none_in_c, *COLUMNS)
    assert set(rows.filter(group="c")["reason"]) == {"c has fewer than 1 events"}
    assert rows.filter(group="b", reference="a")["status"].item() == "estimable"
    told = cohort.with_columns(mark=pl.col("responder") * 1.0)
    separated = standardised_risks(told, "responder", "arm", ["mark"])
    assert separated["estimate"].null_count() == separated.height
    assert separated["reason"].str.contains("separation.*mark").all()
    constant = standardised_risks(cohort.with_columns(k=1), "responder", "arm", ["k"])
    assert constant["reason"].str.contains("collinear covariates: k").all()
