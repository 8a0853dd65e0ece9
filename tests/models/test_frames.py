"""The shared checks and the design matrix: what they refuse, and in which words; how factors are coded."""

import numpy as np
import polars as pl
import pytest

from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    ModelInputError,
    cause_codes,
    event_indicator,
    follow_up_times,
    groups_of,
    joint_codes,
    nullable,
    require_columns,
)

FRAME = pl.DataFrame(
    {
        "age": [50.0, None, 70.0, float("nan")],
        "dose": [1, 2, 3, 4],
        "arm": pl.Series(["new", "old", "old", "new"], dtype=pl.Enum(["old", "unused", "new"])),
        "sex": ["male", "female", "male", "other"],
        "smokes": [True, False, False, True],
        "two words": [0.5, 1.5, 2.5, 3.5],
    }
)


def test_missing_values_are_refused_with_column_and_count():
    with pytest.raises(ModelInputError, match=r"age \(2 rows\)"):
        require_columns(FRAME, ["age", "dose", None])


def test_unknown_columns_are_refused_by_name():
    with pytest.raises(ModelInputError, match="weight"):
        design_matrix(FRAME, ["dose", "weight"])


def test_factors_are_coded_against_their_first_level_and_empty_levels_dropped():
    matrix, names = design_matrix(FRAME, ["dose", "arm", "sex", "smokes", "two words"])
    assert names == ["dose", "arm[T.new]", "sex[T.male]", "sex[T.other]", "smokes", "two words"]
    assert matrix.tolist() == [
        [1, 1, 1, 0, 1, 0.5],
        [2, 0, 0, 0, 0, 1.5],
        [3, 0, 1, 0, 0, 2.5],
        [4, 1, 0, 1, 1, 3.5],
    ]


def test_interactions_are_read_as_terms():
    matrix, names = design_matrix(FRAME, ["dose", "arm", "dose:arm"])
    assert names == ["dose", "arm[T.new]", "dose:arm[T.new]"]
    assert matrix[:, 2].tolist() == [1, 0, 0, 4]


def test_no_covariates_give_an_empty_matrix():
    matrix, names = design_matrix(FRAME, [])
    assert matrix.shape == (4, 0)
    assert names == []


def test_groups_keep_the_order_of_the_enum():
    groups = groups_of(FRAME, "arm")
    assert groups.levels.to_list() == ["old", "new"]
    assert groups.codes.tolist() == [1, 0, 0, 1]
    assert groups.index_of("new") == 1
    with pytest.raises(ModelInputError, match="unused"):
        groups.index_of("unused")


def test_strata_of_two_columns_are_their_combinations():
    assert len(set(joint_codes(FRAME, ["arm", "smokes"]).tolist())) == 2
    assert joint_codes(FRAME, None).tolist() == [0, 0, 0, 0]


def test_impossible_values_are_refused():
    with pytest.raises(ModelInputError, match="0 \\(censored\\) and 1"):
        event_indicator(FRAME, "dose")
    with pytest.raises(ModelInputError, match="whole number"):
        cause_codes(FRAME, "two words")
    with pytest.raises(ModelInputError, match="numeric"):
        event_indicator(FRAME, "sex")
    with pytest.raises(ModelInputError, match="negative"):
        follow_up_times(pl.DataFrame({"t": [-1.0]}), "t")
    with pytest.raises(ModelInputError, match="not later"):
        follow_up_times(pl.DataFrame({"t": [1.0], "s": [1.0]}), "t", "s")
    with pytest.raises(ModelInputError, match="no rows"):
        require_columns(FRAME.clear(), ["dose"])


def test_nullable_hides_what_is_not_a_number():
    assert nullable(np.array([1.0, np.nan, np.inf])).to_list() == [1.0, None, None]


def test_plain_columns_are_expanded_as_formulaic_expands_them() -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame(
        {
            "dose": rng.normal(size=40),
            "smokes": rng.random(40) < 0.4,
            "sex": rng.choice(["male", "female"], 40),
            "grade": pl.Series(rng.choice(["D", "A", "C"], 40), dtype=pl.Enum(["D", "C", "B", "A"])),
        }
    )
    names = ["grade", "dose", "sex", "smokes"]
    plain, plain_names = design_matrix(frame, names)
    # a product makes the whole formula go through formulaic
    expanded, expanded_names = design_matrix(frame, [*names, "dose:smokes"])
    assert expanded_names == [*plain_names, "dose:smokes"]
    np.testing.assert_array_equal(plain, expanded[:, :-1])
