"""One chain of imputation by chained equations, in arrays.

Belongs here: drawing one missing value from a regression on the others. Which columns take part, and what is done with
the completed frames, is `imputation`'s.

Numbers are drawn by predictive mean matching, so that a bounded score stays on its scale and a skewed one keeps its
shape, or from the normal regression itself, clipped to bounds: matching can only give values seen elsewhere, so that
where the missing lie beyond most of the seen it falls short. Categories are drawn from a (multi)nomial regression whose
coefficients are drawn too.

Why not a library: statsmodels' MICEData refuses categories, scikit-learn's IterativeImputer knows neither categories
nor matching, and miceforest imputes by boosted trees without drawing their parameters (and is no longer kept up).

Sources: van Buuren 2018, Flexible Imputation of Missing Data, 2nd ed., sections 3.2, 3.4, 3.6 and 4.5; White, Daniel &
Royston 2010, Comput Stat Data Anal 54:2267 (augmentation against separation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.models._frames import Bools, Floats, Ints
from pipelines.models._multinomial import fit_multinomial

MATCHING, NORMAL = "matching", "normal"
DONORS = 5
# A ridge of this share of the diagonal keeps nearly collinear predictors usable.
RIDGE = 1e-5


@dataclass
class Variable:
    """One column: numbers, or codes of `levels` categories; `missing` marks what is drawn anew in every iteration."""

    name: str
    values: Floats
    missing: Bools
    levels: int | None
    method: str = MATCHING
    bounds: tuple[float, float] = (-np.inf, np.inf)

    def columns(self) -> Floats:
        """Return the column as predictors: itself, or indicators of all levels but the first."""
        if self.levels is None:
            return self.values[:, None]
        return (self.values[:, None] == np.arange(1, self.levels)).astype(float)


def run_chain(variables: Sequence[Variable], iterations: int, rng: np.random.Generator) -> Floats:
    """Draw the missing values of all variables in turn, `iterations` times; the variables are changed in place.

    Returns the mean of the drawn values by iteration and variable, shape (iterations, variables), NaN where complete.
    """
    for variable in variables:
        seen = variable.values[~variable.missing]
        variable.values[variable.missing] = rng.choice(seen, int(variable.missing.sum()))
    order = sorted(
        (i for i, v in enumerate(variables) if v.missing.any()), key=lambda i: int(variables[i].missing.sum())
    )
    trace = np.full((iterations, len(variables)), np.nan)
    for iteration in range(iterations):
        for i in order:
            others = [v.columns() for j, v in enumerate(variables) if j != i]
            predictors = _scaled(np.hstack(others)) if others else np.empty((len(variables[i].values), 0))
            draw = _draw_number if variables[i].levels is None else _draw_category
            variables[i].values[variables[i].missing] = draw(variables[i], predictors, rng)
            trace[iteration, i] = variables[i].values[variables[i].missing].mean()
    return trace


def _draw_number(variable: Variable, predictors: Floats, rng: np.random.Generator) -> Floats:
    """Draw from the normal regression with drawn parameters, or match (type 1: drawn coefficients for the missing)."""
    design = np.column_stack([np.ones(len(predictors)), predictors])
    seen, missing = design[~variable.missing], design[variable.missing]
    y = variable.values[~variable.missing]
    if np.ptp(y) == 0:
        return np.full(len(missing), y[0])  # nothing varies, so neither does what is drawn
    gram = seen.T @ seen
    covariance = np.linalg.inv(gram + RIDGE * np.diag(np.diag(gram) + 1e-12))
    fitted = covariance @ (seen.T @ y)
    residual = y - seen @ fitted
    scale = np.sqrt(residual @ residual / rng.chisquare(max(len(y) - design.shape[1], 1)))
    drawn = fitted + scale * np.linalg.cholesky((covariance + covariance.T) / 2) @ rng.normal(size=len(fitted))
    if variable.method == NORMAL:
        return np.clip(missing @ drawn + scale * rng.normal(size=len(missing)), *variable.bounds)
    return y[_donors(seen @ fitted, missing @ drawn, rng)]


def _donors(seen: Floats, wanted: Floats, rng: np.random.Generator) -> Ints:
    """Return for each wanted prediction one of the DONORS seen rows whose predictions are nearest."""
    shuffled = rng.permutation(len(seen))  # ties in prediction are then broken at random
    order = shuffled[np.argsort(seen[shuffled], kind="stable")]
    at = np.searchsorted(seen[order], wanted)
    near = np.clip(at[:, None] + np.arange(-DONORS, DONORS), 0, len(seen) - 1)
    distance = np.abs(seen[order][near] - wanted[:, None])
    # positions clipped at an end appear several times: keep the first of each
    distance[:, 1:][near[:, 1:] == near[:, :-1]] = np.inf
    k = min(DONORS, len(seen))
    nearest = np.argsort(distance, axis=1)[:, :k]
    chosen = nearest[np.arange(len(wanted)), rng.integers(0, k, len(wanted))]
    return order[near[np.arange(len(wanted)), chosen]]


def _draw_category(variable: Variable, predictors: Floats, rng: np.random.Generator) -> Floats:
    """Draw categories from a multinomial regression with drawn coefficients, augmented against separation."""
    levels = int(variable.levels or 0)
    seen = ~variable.missing
    x, codes, weights = _augmented(predictors[seen], variable.values[seen].astype(np.int64), levels)
    fit = fit_multinomial(x, codes, levels, weights)
    spread = np.linalg.cholesky((fit.covariance + fit.covariance.T) / 2)
    shift = (spread @ rng.normal(size=len(spread))).reshape(levels - 1, -1).T
    chances = fit.moved(shift).predict(predictors[variable.missing])
    return (rng.random((len(chances), 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1).astype(float)


def _augmented(x: Floats, codes: Ints, levels: int) -> tuple[Floats, Ints, Floats]:
    """Add for each predictor and level two rows one standard deviation off the mean, p + 1 rows' worth in all."""
    p = x.shape[1]
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    offsets = np.vstack([np.diag(scale), -np.diag(scale)]) if p else np.zeros((1, 0))
    extra = np.repeat(centre + offsets, levels, axis=0)
    extra_codes = np.tile(np.arange(levels), len(offsets))
    weights = np.r_[np.ones(len(x)), np.full(len(extra), (p + 1) / len(extra))]
    return np.vstack([x, extra]), np.r_[codes, extra_codes], weights


def _scaled(columns: Floats) -> Floats:
    scale = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(scale > 0, scale, 1.0)
