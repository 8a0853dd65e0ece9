"""Patterns of missing data and dropout weights on tables small enough to check by hand."""

from __future__ import annotations

import polars as pl
import pytest

from pipelines.models import missingness

# 10 old, 4 of them seen; 10 young, 8 of them seen
FRAME = pl.DataFrame(
    {
        "old": [True] * 10 + [False] * 10,
        "arm": ["a", "b"] * 10,
        "seen": [1] * 4 + [0] * 6 + [1] * 8 + [0] * 2,
    }
)


def test_weights_are_the_inverse_share_seen_in_a_saturated_model() -> None:
    result = missingness.dropout_weights(FRAME, "seen", ["old"])
    by_age = FRAME.with_columns(result.weights).filter(seen=1).group_by("old").agg(pl.col("weight").unique())
    found = dict(by_age.iter_rows())
    assert found[True] == pytest.approx([10 / 4])
    assert found[False] == pytest.approx([10 / 8])
    assert result.weights.null_count() == 8


def test_stabilised_weights_carry_the_share_seen_in_the_group() -> None:
    result = missingness.dropout_weights(FRAME, "seen", ["old"], stabilise_by="old")
    assert result.weights.drop_nulls().to_list() == pytest.approx([1.0] * 12)


def test_nobody_missing_nobody_seen_and_separation() -> None:
    assert missingness.dropout_weights(FRAME.with_columns(seen=1), "seen", ["old"]).weights.to_list() == [1.0] * 20
    none = missingness.dropout_weights(FRAME.with_columns(seen=0), "seen", ["old"])
    assert none.status == "not estimable: nobody was observed"
    assert none.weights.null_count() == 20
    told = missingness.dropout_weights(FRAME.with_columns(seen=pl.col("old")), "seen", ["old"])
    assert told.status.startswith("not estimable: separation")
    constant = missingness.dropout_weights(FRAME.with_columns(k=1), "seen", ["k"])
    assert constant.status == "not estimable: constant or collinear covariates: k"


def test_patterns_are_counted_by_group() -> None:
    frame = pl.DataFrame({"arm": ["a", "a", "b"], "x": [1.0, None, float("nan")], "y": [1, 2, None]})
    rows = missingness.missing_patterns(frame, ["x", "y"], "arm").rows()
    assert sorted(rows) == [("a", False, True, 1, 0.5), ("a", True, True, 1, 0.5), ("b", False, False, 1, 1.0)]
