"""Imputation, pooling and tipping points: arithmetic on paper, and recovery where the truth is simulated."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipelines.models import comparison, imputation
from pipelines.models._frames import ModelInputError


def test_pooling_two_data_sets_on_paper() -> None:
    # estimates 1 and 3, variances 1: within 1, between 2, total 1 + 1.5 * 2 = 4; relative increase 3, share 3/4;
    # classical df 1 / 0.75^2 = 16/9; observed df 11/13 * 10 / 4 = 110/52; Barnard-Rubin their harmonic combination
    row = imputation.pool([1, 3], [1, 1], df=10).row(0, named=True)
    observed = 110 / 52
    df = 16 / 9 * observed / (16 / 9 + observed)
    assert (row["estimate"], row["std_error"]) == (2, 2)
    assert row["df"] == pytest.approx(df)
    assert row["fraction_missing"] == pytest.approx((3 + 2 / (df + 3)) / 4)
    assert imputation.pool([1, 3], [1, 1])["df"].item() == pytest.approx(16 / 9)


def test_pooling_alike_data_sets_changes_nothing() -> None:
    row = imputation.pool([2.0, 2.0, 2.0], [0.25, 0.25, 0.25]).row(0, named=True)
    assert (row["estimate"], row["std_error"], row["fraction_missing"]) == (2.0, 0.5, 0.0)
    assert row["ci_high"] == pytest.approx(2 + 1.959963984540054 * 0.5)


def test_quantity_missing_from_one_data_set_prints_no_number() -> None:
    rows = imputation.pool([[1, 2], [1.2, float("nan")]], [[1, 1], [1, 1]])
    assert rows["status"].to_list() == ["estimable", "not estimable"]
    assert rows["estimate"].null_count() == 1
    with pytest.raises(ModelInputError, match="at least two"):
        imputation.pool([1], [1])


def test_ratios_are_pooled_on_the_log_scale() -> None:
    results = [pl.DataFrame({"term": ["x"], "estimate": [ratio], "log_std_error": [0.1]}) for ratio in (0.5, 2.0)]
    row = imputation.pool_results(results, ["term"], "log_std_error", log=True).row(0, named=True)
    assert row["estimate"] == pytest.approx(1)  # the geometric mean of 1/2 and 2
    assert row["std_error"] == pytest.approx(np.sqrt(0.01 + 1.5 * 2 * np.log(2) ** 2))


def _cohort(seed: int, n: int = 1500) -> pl.DataFrame:
    """Pain (0 to 10) and smoking with gaps that depend on age and outcome; `whole_pain` keeps the truth."""
    rng = np.random.default_rng(seed)
    age = rng.normal(0, 1, n)
    arm = rng.integers(0, 2, n)
    pain = np.clip(np.round(5 + 1.5 * age - arm + rng.normal(0, 1.5, n)), 0, 10).astype(int)
    lean = 0.8 * age + 0.5 * arm
    smoking = np.select([rng.logistic(size=n) < lean - 0.5, rng.logistic(size=n) < 0], ["current", "former"], "never")
    chance = 1 / (1 + np.exp(-(0.2 + 1.2 * age)))
    lost_pain, lost_smoking = rng.random(n) < chance, rng.random(n) < chance / 2
    return pl.DataFrame(
        {
            "age": age,
            "arm": arm.astype(str),
            "whole_pain": pain,
            "whole_smoking": smoking,
            "pain": pain,
            "smoking": smoking,
        }
    ).with_columns(
        pain=pl.when(~pl.Series(lost_pain)).then("pain"),
        smoking=pl.when(~pl.Series(lost_smoking)).then("smoking").cast(pl.Enum(["never", "former", "current"])),
    )


@pytest.fixture(scope="module")
def cohort() -> pl.DataFrame:
    return _cohort(1)


@pytest.fixture(scope="module")
def completed(cohort: pl.DataFrame) -> imputation.Imputations:
    return imputation.impute(cohort, ["pain", "smoking"], ["age", "arm"], imputations=10, iterations=5, seed=7)


def test_imputation_recovers_means_and_shares_that_complete_cases_miss(
    cohort: pl.DataFrame, completed: imputation.Imputations
) -> None:
    truth = cohort["whole_pain"].mean()
    means = np.array([frame["pain"].mean() for frame in completed.frames])
    assert abs(cohort["pain"].mean() - truth) > 0.5  # complete cases are biased by more than ten standard errors
    assert abs(means.mean() - truth) < 0.15
    share = np.mean([(frame["smoking"] == "current").mean() for frame in completed.frames])
    true_share = (cohort["whole_smoking"] == "current").mean()
    assert abs((cohort["smoking"] == "current").sum() / cohort["smoking"].count() - true_share) > 0.02
    assert abs(share - true_share) < 0.02


def test_imputed_scores_stay_on_their_scale_and_seen_values_stay(
    cohort: pl.DataFrame, completed: imputation.Imputations
) -> None:
    seen = cohort["pain"].is_not_null()
    for frame in completed.frames:
        assert frame.schema == cohort.schema
        assert frame["pain"].null_count() == frame["smoking"].null_count() == 0
        assert set(frame["pain"]) <= set(range(11))
        assert (frame["pain"].filter(seen) == cohort["pain"].filter(seen)).all()


def test_normal_draws_keep_to_their_bounds_and_recover_the_mean(cohort: pl.DataFrame) -> None:
    result = imputation.impute(
        cohort, ["pain"], ["age", "arm"], 10, 3, methods={"pain": "normal"}, bounds={"pain": (0, 10)}
    )
    means = [frame["pain"].mean() for frame in result.frames]
    assert abs(np.mean(means) - cohort["whole_pain"].mean()) < 0.15
    assert all(frame["pain"].dtype == pl.Int64 and frame["pain"].is_between(0, 10).all() for frame in result.frames)
    with pytest.raises(ModelInputError, match="matching or normal"):
        imputation.impute(cohort, ["pain"], ["age"], methods={"pain": "forest"})


def test_same_seed_same_numbers_and_other_seed_others(cohort: pl.DataFrame) -> None:
    few = cohort.head(300)
    first, again, other = (
        imputation.impute(few, ["pain"], ["age"], imputations=2, iterations=2, seed=s).frames for s in (3, 3, 4)
    )
    assert first[0].equals(again[0])
    assert not first[0].equals(other[0])
    assert not first[0].equals(first[1])


def test_booleans_and_perfectly_told_categories_are_drawn(cohort: pl.DataFrame) -> None:
    # `old` is told without error by age: the augmented regression must stay finite
    told = cohort.head(400).with_columns(old=pl.when(pl.int_range(pl.len()) % 4 != 0).then(pl.col("age") > 0))
    frames = imputation.impute(told, ["old"], ["age"], imputations=2, iterations=2).frames
    assert frames[0]["old"].dtype == pl.Boolean
    assert (frames[0]["old"] == (told["age"] > 0)).mean() > 0.9


def test_column_without_seen_values_is_named(cohort: pl.DataFrame) -> None:
    empty = cohort.with_columns(pain=pl.lit(None, pl.Int64))
    result = imputation.impute(empty, ["pain"], ["age"])
    assert result.status == "not estimable: pain has fewer than 10 seen values"
    assert result.frames == []
    with pytest.raises(ModelInputError, match="smoking"):
        imputation.impute(cohort, ["pain"], ["smoking"])


def _difference(frame: pl.DataFrame) -> pl.DataFrame:
    return comparison.ancova(frame, "pain", None, "arm", []).filter(pl.col("group") == "1")


def test_delta_shifts_a_plain_difference_by_its_share_of_drawn_values(
    cohort: pl.DataFrame, completed: imputation.Imputations
) -> None:
    treated = cohort.filter(pl.col("arm") == "1")
    share = treated["pain"].null_count() / treated.height
    rows = imputation.delta_adjusted(
        completed, "pain", [0, 2], _difference, ["group", "reference"], where=pl.col("arm") == "1"
    )
    plain, shifted = rows["estimate"].to_list()
    assert shifted - plain == pytest.approx(2 * share)


def test_bounds_keep_shifted_scores_on_their_scale(completed: imputation.Imputations) -> None:
    tops: list[float] = []

    def watch(frame: pl.DataFrame) -> pl.DataFrame:
        tops.append(frame["pain"].max())
        return _difference(frame)

    imputation.delta_adjusted(completed, "pain", [9], watch, ["group", "reference"], bounds=(0, 10))
    assert max(tops) == 10


def test_tipping_point_is_the_first_delta_at_which_the_conclusion_falls() -> None:
    rows = pl.DataFrame(
        {
            "group": ["b"] * 4 + ["c"] * 4 + ["d"] * 4,
            "delta": [0.0, 1.0, 2.0, 3.0] * 3,
            "estimate": [-2.0, -1.5, -1.0, -0.5, -3.0, -3.0, -3.0, -3.0, -0.1, 0.0, 0.1, 0.2],
            "p_value": [0.001, 0.01, 0.06, 0.4, 0.001, 0.001, 0.001, 0.001, 0.8, 0.9, 0.8, 0.7],
        }
    )
    tipped = imputation.tipping_point(rows, ["group"])
    assert tipped["tipping_delta"].to_list() == [2.0, None, None]
    assert tipped["conclusion"].to_list() == ["falls", "held", "none to lose"]
