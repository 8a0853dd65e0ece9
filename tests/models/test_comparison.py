"""Comparisons at one window against R (tests/reference/models/*.R on cohort.csv)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.models import comparison
from pipelines.models._frames import ModelInputError

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
SIGN = {("b", "a"): "b_a", ("c", "a"): "c_a", ("c", "b"): "c_b"}


@pytest.fixture(scope="module")
def cohort() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "cohort.csv")


@pytest.fixture(scope="module")
def r_ancova() -> dict:
    return json.loads((REFERENCE / "ancova.json").read_text())


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("hc3", {}),
        ("model", {"robust": None}),
        ("weighted_hc3", {"weights": "weight"}),
        ("cluster", {"cluster": "site"}),
    ],
)
def test_ancova_matches_r_lm_and_sandwich(cohort: pl.DataFrame, r_ancova: dict, variant: str, options: dict) -> None:
    rows = comparison.ancova(cohort, "pain1", "pain0", "arm", ["age", "sex"], **options)
    for (group, reference), pair in SIGN.items():
        row = rows.row(by_predicate=(pl.col("group") == group) & (pl.col("reference") == reference), named=True)
        expected = next(r for r in r_ancova[variant] if r["pair"] == pair)
        for name in ("estimate", "std_error", "ci_low", "ci_high", "df"):
            assert row[name] == pytest.approx(expected[name], rel=1e-9), name
        assert row["p_value"] == pytest.approx(expected["p_value"], rel=1e-7)


def test_every_ordered_pair_is_there_and_mirrors_its_reverse(cohort: pl.DataFrame) -> None:
    rows = comparison.ancova(cohort, "pain1", "pain0", "arm", ["age"])
    forward = dict(zip(zip(rows["group"], rows["reference"], strict=True), rows["estimate"], strict=True))
    assert len(forward) == 6
    assert all(forward[a, b] == pytest.approx(-forward[b, a]) for a, b in forward)


@pytest.mark.parametrize(("key", "options"), [("means", {}), ("weighted_means", {"weights": "weight"})])
def test_adjusted_means_match_r_prediction_at_average(
    cohort: pl.DataFrame, r_ancova: dict, key: str, options: dict
) -> None:
    rows = comparison.adjusted_means(cohort, "pain1", "pain0", "arm", ["age", "sex"], **options)
    assert dict(zip(rows["group"], rows["estimate"], strict=True)) == pytest.approx(r_ancova[key], rel=1e-9)


def test_constant_covariate_gives_a_named_status_and_no_number(cohort: pl.DataFrame) -> None:
    rows = comparison.ancova(cohort.with_columns(k=2.0), "pain1", "pain0", "arm", ["k"])
    assert set(rows["status"]) == {"not estimable"}
    assert rows["reason"].str.contains("collinear covariates: k").all()
    assert rows["estimate"].null_count() == rows.height


def test_empty_arm_is_named_and_the_others_are_still_compared(cohort: pl.DataFrame) -> None:
    tiers = pl.Enum(["a", "b", "c", "d"])
    rows = comparison.ancova(cohort.with_columns(pl.col("arm").cast(tiers)), "pain1", "pain0", "arm", ["age"])
    with_d = rows.filter((pl.col("group") == "d") | (pl.col("reference") == "d"))
    assert with_d["reason"].to_list() == ["d has 0 rows, fewer than 3"] * 6
    assert with_d["estimate"].null_count() == 6
    assert rows.filter(pl.col("status") == "estimable").height == 6


def test_more_coefficients_than_rows_is_not_estimable(cohort: pl.DataFrame) -> None:
    few = cohort.filter(pl.col("arm") != "c").group_by("arm").head(3)
    rows = comparison.ancova(few, "pain1", "pain0", "arm", ["age", "time0_s", "speed0_m_s"])
    assert set(rows["status"]) == {"not estimable"}


def test_outcome_without_variation_prints_no_number(cohort: pl.DataFrame) -> None:
    rows = comparison.ancova(cohort.with_columns(pain1=5.0), "pain1", None, "arm", [])
    assert rows["estimate"].null_count() == rows.height


def test_missing_outcomes_are_refused_by_column_name(cohort: pl.DataFrame) -> None:
    holed = cohort.with_columns(pain1=pl.when(pl.col("subject") > 5).then("pain1"))
    with pytest.raises(ModelInputError, match="pain1"):
        comparison.ancova(holed, "pain1", "pain0", "arm", ["age"])
