"""Distances between arms in the distribution of covariates, weighted or not, in arrays.

Belongs here: standardised mean difference, variance ratio and Kolmogorov-Smirnov distance. What is passed or failed is
the caller's rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.models._frames import Bools, Floats, Ints

CHUNK = 65_536


@dataclass(frozen=True)
class Moments:
    """Weighted means and variances (k, p) by arm, the arms' unweighted variances (k, p), and which columns are 0/1."""

    means: Floats
    variances: Floats
    plain_variances: Floats
    binary: Bools


def moments(matrix: Floats, codes: Ints, weights: Floats, count: int) -> Moments:
    """Return the moments of each column in each arm, in one pass over the rows.

    The weighted variance has the denominator of reliability weights, 1 - sum of squared normalised weights, so that
    equal weights give the sample variance with n - 1.
    """
    shift = matrix.mean(axis=0)
    sums = {name: np.zeros((count, matrix.shape[1])) for name in ("w", "w2", "one", "one2")}
    totals = np.zeros((3, count))
    binary = np.ones(matrix.shape[1], dtype=bool)
    for start in range(0, len(codes), CHUNK):
        rows = slice(start, start + CHUNK)
        x = matrix[rows]
        binary &= ((x == 0) | (x == 1)).all(axis=0)
        x = x - shift
        one = np.eye(count)[codes[rows]]
        weighted = one * weights[rows, None]
        squares = x**2
        for name, by, values in (
            ("w", weighted, x),
            ("w2", weighted, squares),
            ("one", one, x),
            ("one2", one, squares),
        ):
            sums[name] += by.T @ values
        totals += [weighted.sum(axis=0), (weighted**2).sum(axis=0), one.sum(axis=0)]
    weight, weight_squared, n = (total[:, None] for total in totals)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre, plain_centre = sums["w"] / weight, sums["one"] / n
        spread = sums["w2"] / weight - centre**2
        plain = (sums["one2"] - n * plain_centre**2) / (n - 1)
        return Moments(centre + shift, spread / (1 - weight_squared / weight**2), plain, binary)


def kolmogorov_smirnov(column: Floats, codes: Ints, weights: Floats, pairs: list[tuple[int, int]]) -> Floats:
    """Return the largest distance between the weighted distribution functions of each pair of arms, shape (pairs,)."""
    order = np.argsort(column)
    ordered, arm = column[order], codes[order]
    last_of_tie = np.r_[ordered[1:] > ordered[:-1], True]
    curves = {}
    for code in {code for pair in pairs for code in pair}:
        cumulative = np.cumsum(np.where(arm == code, weights[order], 0.0))
        curves[code] = cumulative[last_of_tie] / cumulative[-1]
    return np.array([np.abs(curves[i] - curves[j]).max() for i, j in pairs])
