"""The filling and the choice of covariates."""

import polars as pl

from pipelines.analyses.covariates import complete_subjects, imputation_table, usable
from pipelines.protocol import Protocol


def _subjects(**columns: list[object]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    return pl.DataFrame({"episode_id": [f"e{i:03d}" for i in range(n)], "tier": ["esi"] * n, **columns})


def test_a_number_gets_the_median_and_a_category_the_most_frequent_value(protocol: Protocol) -> None:
    subjects = _subjects(
        age_years=[60, 70, 80, None], smoking=["never", "never", "current", None], diabetes=[True, True, False, None]
    )
    filled = complete_subjects(subjects, protocol)
    assert filled["age_years"].to_list() == [60.0, 70.0, 80.0, 70.0]
    assert filled["smoking"].to_list() == ["never", "never", "current", "never"]
    assert filled["diabetes"].to_list() == [1.0, 1.0, 0.0, 1.0]


def test_a_covariate_that_nobody_has_is_never_used(protocol: Protocol) -> None:
    subjects = complete_subjects(_subjects(age_years=[60, 70, 80, 75]), protocol)
    _, names = usable(subjects, protocol)
    assert names == ["age_years"]


def test_a_rare_level_is_merged_into_the_most_frequent_one(protocol: Protocol) -> None:
    subjects = complete_subjects(_subjects(sex=["female"] * 30 + ["male"] * 20 + ["other"] * 2), protocol)
    merged, names = usable(subjects, protocol)
    assert names == ["sex"]
    assert merged["sex"].value_counts(sort=True).rows() == [("female", 32), ("male", 20)]


def test_a_yes_of_few_patients_is_left_out(protocol: Protocol) -> None:
    subjects = complete_subjects(_subjects(diabetes=[True] * 9 + [False] * 30), protocol)
    assert usable(subjects, protocol)[1] == []


def test_missing_values_are_counted_by_tier(protocol: Protocol) -> None:
    table = imputation_table(_subjects(age_years=[60, None, 80]), protocol)
    row = table.filter(pl.col("covariate") == "age_years").row(0, named=True)
    assert (row["tier"], row["missing"], row["subjects"]) == ("esi", 1, 3)
