"""Comparisons at one window against R (tests/reference/models/*.R on cohort.csv)."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.models import comparison, propensity
from pipelines.models._frames import ModelInputError
from pipelines.models.standardisation import standardised_risks
from pipelines.models.walking import joint_time_speed

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
    assert with_d["reason"].to_list() == ["d has fewer than 3 rows"] * 6
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


@pytest.fixture(scope="module")
def r_doubly_robust() -> dict:
    return json.loads((REFERENCE / "doubly_robust.json").read_text())


def _assert_pairs(rows: pl.DataFrame, expected: dict) -> None:
    for (group, reference), pair in SIGN.items():
        row = rows.filter(group=group, reference=reference).row(0, named=True)
        assert row["estimate"] == pytest.approx(expected[pair]["estimate"], rel=1e-7)
        assert row["std_error"] == pytest.approx(expected[pair]["std_error"], rel=1e-6)


@pytest.mark.parametrize(("model", "outcome"), [("linear", "pain1"), ("logistic", "responder")])
def test_aipw_matches_influence_function_in_r(
    cohort: pl.DataFrame, r_doubly_robust: dict, model: str, outcome: str
) -> None:
    expected = r_doubly_robust[f"aipw_{model}"]
    columns = (cohort, outcome, "arm", ["age", "sex", "pain0"], model)
    _assert_pairs(comparison.aipw(*columns), expected["plain"])
    _assert_pairs(comparison.aipw(*columns, cluster="site"), expected["site"])


@pytest.mark.parametrize(("model", "outcome"), [("linear", "pain1"), ("logistic", "responder")])
def test_aipw_with_one_outcome_regression_matches_r(
    cohort: pl.DataFrame, r_doubly_robust: dict, model: str, outcome: str
) -> None:
    rows = comparison.aipw(cohort, outcome, "arm", ["age", "sex", "pain0"], model, modifiers=["age"])
    _assert_pairs(rows, r_doubly_robust[f"joint_{model}"])


def test_ancova_with_estimated_weights_matches_stacked_equations_in_r(
    cohort: pl.DataFrame, r_doubly_robust: dict
) -> None:
    scores = propensity.weights(cohort, "arm", ["age", "sex", "pain0"])
    columns = (cohort, "pain1", "pain0", "arm", ["age", "sex"])
    _assert_pairs(comparison.ancova(*columns, propensity=scores), r_doubly_robust["ancova"]["plain"])
    _assert_pairs(comparison.ancova(*columns, propensity=scores, cluster="site"), r_doubly_robust["ancova"]["site"])


def test_aipw_names_separation_and_a_thin_arm(cohort: pl.DataFrame) -> None:
    marked = cohort.with_columns(mark=(pl.col("arm") == "a").cast(pl.Int8))
    rows = comparison.aipw(marked, "pain1", "arm", ["mark"])
    assert rows["reason"].str.contains("separation").all()
    thin = pl.concat([cohort.filter(pl.col("arm") != "c"), cohort.filter(pl.col("arm") == "c").head(4)])
    rows = comparison.aipw(thin, "pain1", "arm", ["age", "sex", "pain0"])
    assert rows.filter(group="c")["estimate"].null_count() == 2
    assert rows.filter(group="b", reference="a")["status"].item() == "estimable"


def test_propensity_of_other_rows_is_refused(cohort: pl.DataFrame) -> None:
    scores = propensity.weights(cohort.head(200), "arm", ["age"])
    with pytest.raises(ModelInputError, match="same order"):
        comparison.ancova(cohort, "pain1", "pain0", "arm", ["age"], propensity=scores)


@pytest.mark.parametrize("estimate", ["ancova", "aipw", "effects", "risks", "walking"])
def test_few_clusters_print_no_number(cohort: pl.DataFrame, estimate: str) -> None:
    # summed over so few clusters the scores cancel, and the sandwich would shrink to nothing
    few = cohort.with_columns(site=pl.col("site") % 2)
    rows = {
        "ancova": lambda: comparison.ancova(few, "pain1", "pain0", "arm", ["age"], cluster="site"),
        "aipw": lambda: comparison.aipw(few, "pain1", "arm", ["age"], cluster="site"),
        "effects": lambda: propensity.effects(propensity.weights(few, "arm", ["age"]), few, "pain1", cluster="site"),
        "risks": lambda: standardised_risks(few, "responder", "arm", ["age"], cluster="site"),
        "walking": lambda: joint_time_speed(few, "time1_s", "capped1", "speed1_m_s", "arm", cluster="site"),
    }[estimate]()
    assert set(rows["reason"]) == {"2 clusters, fewer than 5, cannot carry a clustered variance"}
    assert rows["estimate"].null_count() == rows.height


def test_level_that_one_row_alone_has_leaves_hc3_without_a_value(cohort: pl.DataFrame) -> None:
    alone = cohort.with_columns(clinic=pl.when(pl.col("subject") == 7).then(pl.lit("x")).otherwise(pl.lit("y")))
    rows = comparison.ancova(alone, "pain1", "pain0", "arm", ["clinic"])
    assert rows["reason"].str.contains("HC1 has one").all()
    assert set(comparison.ancova(alone, "pain1", "pain0", "arm", ["clinic"], robust="HC1")["status"]) == {"estimable"}
