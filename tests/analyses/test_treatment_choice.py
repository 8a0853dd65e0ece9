"""One model of the choice among all tiers, where its probabilities are shares that can be counted."""

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.protocol import Protocol

# patients by smoking and tier; with this one covariate the model's probabilities are the shares within each row
CELLS = {
    "never": {"esi": 20, "mild": 10, "laminectomy": 10},
    "current": {"esi": 10, "mild": 20, "laminectomy": 30},
}
TABLES = ("treatment_choice", "choice_scores", "choice_weights", "choice_balance")


@pytest.fixture(scope="module")
def smoking_only(protocol: Protocol) -> Protocol:
    kept = [c.model_dump() for c in protocol.covariates if c.name == "smoking"]
    return protocol.with_overrides({"literature": None, "covariates": kept, "contrasts": []})


@pytest.fixture(scope="module")
def subjects() -> pl.DataFrame:
    rows = [(tier, smoking) for smoking, counts in CELLS.items() for tier, n in counts.items() for _ in range(n)]
    frame = pl.DataFrame(rows, schema=["tier", "smoking"], orient="row").with_row_index("number")
    return frame.with_columns(episode_id=pl.format("e{}", "number"), patient_id=pl.format("p{}", "number"))


@pytest.fixture(scope="module")
def results(subjects: pl.DataFrame, smoking_only: Protocol) -> dict[str, pl.DataFrame]:
    return {name: ANALYSES[name].run({"analysis.subjects": subjects}, smoking_only) for name in TABLES}


def test_odds_ratios_are_those_of_the_counts(results: dict[str, pl.DataFrame]) -> None:
    odds = dict(results["treatment_choice"].select("tier", "estimate").iter_rows())
    # current against never smokers: (20/10) / (10/20) for MILD, (30/10) / (10/20) for laminectomy, over injection
    assert odds == {"mild": pytest.approx(4.0, rel=1e-6), "laminectomy": pytest.approx(6.0, rel=1e-6)}


def test_scores_are_shares_within_smoking(results: dict[str, pl.DataFrame]) -> None:
    scores = results["choice_scores"]
    row = scores.filter(tier="mild", score_of="mild").row(0, named=True)
    # 10 MILD patients never smoked (10 of 40 had MILD), 20 smoke (20 of 60)
    assert row["subjects"] == 30
    assert row["mean"] == pytest.approx((10 / 4 + 20 / 3) / 30, rel=1e-6)
    assert (row["p05"], row["median"], row["p95"]) == pytest.approx((1 / 4, 1 / 3, 1 / 3), rel=1e-6)
    assert scores.group_by("tier").agg(pl.col("mean").sum())["mean"].to_list() == pytest.approx([1.0] * 3)


def test_effective_sizes_follow_kish(results: dict[str, pl.DataFrame]) -> None:
    sizes = {
        population: rows.filter(tier="mild").row(0, named=True)
        for (population,), rows in results["choice_weights"].group_by("population")
    }
    # everyone: weights 4 (10 patients) and 3 (20): 100² / (160 + 180)
    assert sizes["ate"]["effective_sample_size"] == pytest.approx(10_000 / 340, rel=1e-6)
    assert sizes["ate"]["largest_share"] == pytest.approx(4 / 100, rel=1e-6)
    # generalised overlap: 1/(2 + 4 + 4) over 1/4 = 0.4, and 1/(6 + 3 + 2) over 1/3 = 3/11
    total, squares = 10 * 0.4 + 20 * 3 / 11, 10 * 0.16 + 20 * 9 / 121
    assert sizes["overlap"]["effective_sample_size"] == pytest.approx(total**2 / squares, rel=1e-6)


def test_weighing_all_tiers_balances_what_the_model_holds(results: dict[str, pl.DataFrame]) -> None:
    balance = results["choice_balance"]
    assert set(balance["weighting"]) == {"unweighted", "overlap", "ate"}
    before = balance.filter(weighting="unweighted", tier="mild", reference="esi")["smd"].item()
    # shares of smokers 2/3 and 1/3; with n - 1 below: variances (2/9)(30/29) both
    assert before == pytest.approx((1 / 3) / (2 / 9 * 30 / 29) ** 0.5, rel=1e-6)
    assert balance.filter(pl.col("weighting") != "unweighted")["smd"].abs().max() == pytest.approx(0, abs=1e-8)
    assert balance.height == 9


def test_a_characteristic_that_tells_tiers_apart_is_named(smoking_only: Protocol) -> None:
    rows = [(t, s) for t, s in (("esi", "never"), ("mild", "current")) for _ in range(15)]
    frame = pl.DataFrame(rows, schema=["tier", "smoking"], orient="row").with_row_index("number")
    told = frame.with_columns(episode_id=pl.format("e{}", "number"))
    for name in ("treatment_choice", "choice_scores", "choice_weights"):
        found = ANALYSES[name].run({"analysis.subjects": told}, smoking_only)
        assert set(found["status"]) == {"not estimable"}
        assert found["reason"].str.contains("separation").all()
    balance = ANALYSES["choice_balance"].run({"analysis.subjects": told}, smoking_only)
    assert set(balance["weighting"]) == {"unweighted"}


def test_one_tier_makes_no_choice(subjects: pl.DataFrame, smoking_only: Protocol) -> None:
    alone = {"analysis.subjects": subjects.filter(tier="esi")}
    assert all(ANALYSES[name].run(alone, smoking_only).is_empty() for name in TABLES)
