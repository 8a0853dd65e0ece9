"""Merging bins of the preference score and kinds of missing visits, on numbers a reader can add up."""

import polars as pl

from pipelines.reports.overlap import merged_bins
from pipelines.reports.patterns import COMPLETE, DROPOUT, INTERMITTENT, NEVER, by_kind


def bins(*counts: int) -> list[tuple[float, float, int]]:
    return [(k / 10, (k + 1) / 10, n) for k, n in enumerate(counts)]


def merged(*counts: int) -> list[tuple[float, float, int]]:
    return [(b.low, b.high, b.subjects) for b in merged_bins(bins(*counts), 11)]


def test_small_bins_join_their_right_neighbours_until_they_are_large_enough() -> None:
    assert merged(1, 2, 8, 20) == [(0.0, 0.3, 11), (0.3, 0.4, 20)]


def test_what_is_left_over_joins_the_last_large_bin() -> None:
    assert merged(12, 15, 3, 2) == [(0.0, 0.1, 12), (0.1, 0.4, 20)]


def test_bins_of_nobody_stand_alone_unless_a_small_neighbour_needs_them() -> None:
    assert merged(0, 12, 0, 14) == [(0.0, 0.1, 0), (0.1, 0.2, 12), (0.2, 0.3, 0), (0.3, 0.4, 14)]
    assert merged(12, 0, 3) == [(0.0, 0.3, 15)]


def test_an_arm_smaller_than_the_minimum_becomes_one_bin() -> None:
    assert merged(0, 3, 4) == [(0.0, 0.3, 7)]


def test_merged_bins_know_what_they_were_made_of() -> None:
    assert merged_bins(bins(5, 6), 11)[0].parts == [(0.0, 0.1), (0.1, 0.2)]


def test_kinds_of_patterns_on_five_patients() -> None:
    """1 seen, 0 not: all; the first two and no more; a gap; late start; never."""
    frame = pl.DataFrame(
        {
            "outcome": "nrs_leg",
            "tier": "esi",
            "pattern": ["111", "110", "101", "011", "000"],
            "subjects": [20, 4, 3, 2, 1],
        }
    )
    assert by_kind(frame, ["nrs_leg"]).row(0, named=True) == {
        "outcome": "nrs_leg", "tier": "esi", COMPLETE: 20, DROPOUT: 4, INTERMITTENT: 5, NEVER: 1,
    }  # fmt: skip
    assert by_kind(frame, ["odi"]).is_empty()
