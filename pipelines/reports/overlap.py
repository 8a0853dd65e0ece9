"""Histograms of the preference score as they may leave: bins merged until each holds nobody or enough patients.

Belongs here: which bins of `results.propensity_overlap` stand together. Drawing is for `sections/balance.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

EQUIPOISE = (0.3, 0.7)
"""Preference scores between which either tier was a real choice (Walker et al. 2013, Comp Eff Res 3:11)."""


@dataclass(frozen=True)
class Bin:
    """Patients of one arm whose preference score lies from `low` to `high`; `edges` are those of what was merged."""

    low: float
    high: float
    subjects: int
    edges: tuple[float, ...]

    @property
    def parts(self) -> list[tuple[float, float]]:
        """The bins that were merged into this one."""
        return list(pairwise(self.edges))


def merged_bins(bins: Sequence[tuple[float, float, int]], minimum: int) -> list[Bin]:
    """Neighbouring bins put together until each holds 0 or at least `minimum` patients, as many bins as can be.

    Args:
        bins: low, high and patients of each, in order and without gaps.
        minimum: the smallest number of patients that may be shown.
    """
    merged: list[Bin] = []
    for low, high, subjects in bins:
        grown = Bin(low, high, subjects, (low, high))
        if merged and 0 < merged[-1].subjects < minimum:
            grown = _joined(merged.pop(), grown)
        merged.append(grown)
    while len(merged) > 1 and 0 < merged[-1].subjects < minimum:  # what is left over goes to the last that is large
        last = merged.pop()
        merged.append(_joined(merged.pop(), last))
    return merged


def _joined(one: Bin, other: Bin) -> Bin:
    return Bin(one.low, other.high, one.subjects + other.subjects, one.edges + other.edges[1:])


def histograms(frame: pl.DataFrame) -> Iterator[tuple[str, str, list[tuple[float, float, int]]]]:
    """Contrast, arm and bins of each histogram of the table."""
    if frame.is_empty():
        return
    for (contrast, arm), rows in frame.group_by("contrast", "arm", maintain_order=True):
        yield str(contrast), str(arm), rows.sort("low").select("low", "high", "subjects").rows()
