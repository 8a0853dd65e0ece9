"""Distances between arms in the distribution of covariates, weighted or not. Public in `propensity`.

Belongs here: standardised mean difference, variance ratio and Kolmogorov-Smirnov distance, and the terms that a model
left out. What is passed or failed is the caller's rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from pipelines.models._arms import Arms, arms_of
from pipelines.models._design import design_matrix
from pipelines.models._frames import Bools, Floats, Ints, case_weights, nullable, require_columns

CHUNK = 65_536


def balance(frame: pl.DataFrame, treatment: str, covariates: Sequence[str], weights: str | None = None) -> pl.DataFrame:
    """Balance of covariates between each pair of arms.

    Covariates are expanded as in the models (terms such as `I(age**2)` and `age:sex` are allowed). Result: a row a pair
    and term: pair ("group vs reference"), group, reference, covariate, smd (difference of weighted means over the
    pair's unweighted pooled standard deviation), variance_ratio (weighted; null for 0/1 columns), ks (distance of the
    weighted distribution functions). What has no value (no spread in either arm, an arm without rows) is null.
    Sources: Austin & Stuart 2015, Stat Med 34:3661; Austin 2009, Stat Med 28:3083.
    """
    arms = arms_of(frame, treatment)
    matrix, terms = design_matrix(frame, covariates)
    case = case_weights(frame, weights)
    by_arm = moments(matrix, arms.codes, case, arms.count)
    pairs = [(j, i) for i, j in combinations(range(arms.count), 2)]
    means, variances, plain = by_arm.means, by_arm.variances, by_arm.plain_variances
    with np.errstate(divide="ignore", invalid="ignore"):
        smd = np.array([(means[i] - means[j]) / np.sqrt((plain[i] + plain[j]) / 2) for i, j in pairs])
        ratio = np.array([np.where(by_arm.binary, np.nan, variances[i] / variances[j]) for i, j in pairs])
        gaps = np.abs(np.array([means[i] - means[j] for i, j in pairs]))
    ks = np.column_stack(
        [
            gaps[:, c] if by_arm.binary[c] else _ks_where_present(matrix[:, c], arms, case, pairs)
            for c in range(matrix.shape[1])
        ]
        or [np.empty((len(pairs), 0))]
    )
    names = arms.names
    return pl.DataFrame(
        {
            "pair": [f"{names[i]} vs {names[j]}" for i, j in pairs for _ in terms],
            "group": pl.concat([arms.levels[[i] * len(terms)] for i, _ in pairs]),
            "reference": pl.concat([arms.levels[[j] * len(terms)] for _, j in pairs]),
            "covariate": pl.Series(terms * len(pairs), dtype=pl.String),
            "smd": nullable(smd.ravel()),
            "variance_ratio": nullable(ratio.ravel()),
            "ks": nullable(ks.ravel()),
        }
    )


def unmodelled_terms(frame: pl.DataFrame, covariates: Sequence[str]) -> list[str]:
    """Return the squares of numeric covariates and all pairwise interactions, as terms for `balance`.

    Weights balance what their model holds; these terms show what it left out. Covariates must be plain columns; 0/1
    columns have no square.
    """
    require_columns(frame, covariates)
    numbers = [name for name in covariates if frame.schema[name].is_numeric() and frame[name].n_unique() > 2]
    return [f"I(`{name}`**2)" for name in numbers] + [f"`{a}`:`{b}`" for a, b in combinations(covariates, 2)]


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


def _ks_where_present(column: Floats, arms: Arms, case: Floats, pairs: list[tuple[int, int]]) -> Floats:
    filled = np.bincount(arms.codes, case, arms.count) > 0
    usable = [pair for pair in pairs if filled[list(pair)].all()]
    found = dict(zip(usable, kolmogorov_smirnov(column, arms.codes, case, usable), strict=True)) if usable else {}
    return np.array([found.get(pair, np.nan) for pair in pairs])
