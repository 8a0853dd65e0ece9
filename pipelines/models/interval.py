"""The survival curve of a time that is only known to lie between two visits (Turnbull's estimate).

Belongs here: the nonparametric maximum-likelihood curve for interval-censored times and its bootstrap limits. Does not
belong here: exact times (`survival`), models with covariates (`parametric`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.optimize import isotonic_regression

from pipelines.models._frames import (
    ESTIMABLE,
    Floats,
    Ints,
    ModelInputError,
    case_weights,
    groups_of,
    not_estimable,
    nullable,
    numeric,
    require_columns,
)

MAX_ITERATIONS = 20_000
GRADIENT_TOLERANCE = 1e-10


def turnbull(
    frame: pl.DataFrame,
    lower: str,
    upper: str,
    group: str | None = None,
    weights: str | None = None,
    replicates: int = 0,
    seed: int = 0,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return Turnbull's curve of each group, a row per interval that can hold probability.

    Each time lies in (lower, upper]; it is exact where both are equal and right-censored where `upper` is null or
    infinite. Columns: group, lower, upper (null when unbounded), mass, estimate (survival after `upper`), ci_low,
    ci_high, status. Within an interval the curve is not determined. Limits are pointwise percentiles of `replicates`
    bootstrap samples of the rows (null without).

    Raises:
        ModelInputError: unknown columns, missing lower bounds, negative times, or an upper bound below the lower one.
    Source: Turnbull, JRSS B 38 (1976) 290-295; computed as Wellner & Zhan, JASA 92 (1997) 945-959.
    """
    low, high = _bounds(frame, lower, upper)
    weight, groups = case_weights(frame, weights), groups_of(frame, group)
    generator = np.random.default_rng(seed)
    pieces = []
    for code, name in enumerate(groups.levels.to_list()):
        rows = np.flatnonzero((groups.codes == code) & (weight > 0))
        if len(rows) == 0:
            raise ModelInputError("All rows of a group have weight 0; leave the group out or weight it.")
        problem = _Problem.of(low[rows], high[rows])
        mass, converged = problem.fit(problem.summed(weight[rows]))
        limits = problem.bootstrap(weight[rows], replicates, generator, level)
        pieces.append(_frame(name, groups.levels.dtype, problem, mass, converged, limits))
    return pl.concat(pieces)


def _bounds(frame: pl.DataFrame, lower: str, upper: str) -> tuple[Floats, Floats]:
    require_columns(frame, [lower])
    if upper not in frame.columns:
        raise ModelInputError(f"The frame has no column {upper}; name columns that exist.")
    low = numeric(frame, lower)
    if not (frame.schema[upper].is_numeric() or frame.schema[upper] == pl.Null):
        raise ModelInputError(f"Column {upper} must be numeric, it is {frame.schema[upper]}.")
    high = frame[upper].cast(pl.Float64).fill_null(np.inf).to_numpy()
    if np.isnan(high).any():
        raise ModelInputError(f"Column {upper} holds values that are not numbers; use null for right-censored rows.")
    if (low < 0).any():
        raise ModelInputError(f"Column {lower} holds negative times.")
    if (high < low).any():
        raise ModelInputError(f"In some rows {upper} is earlier than {lower}.")
    return low, high


@dataclass(frozen=True)
class _Problem:
    """Distinct observations (d,) as ranges first … last of the k intervals (lower, upper] that can hold mass.

    `member` gives each row's distinct observation.
    """

    lower: Floats
    upper: Floats
    first: Ints
    last: Ints
    member: Ints

    @classmethod
    def of(cls, low: Floats, high: Floats) -> _Problem:
        """Find the intervals: a left end directly followed by a right end.

        At one time the ends come in the order left end of an exact time, right ends, open left ends.
        """
        pairs, member = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
        left, right = pairs[:, 0], pairs[:, 1]
        left_place = np.where(left == right, 0, 2)
        value = np.concatenate([left, right])
        place = np.concatenate([left_place, np.ones(len(right), dtype=np.int64)])
        order = np.lexsort((place, value))
        is_left = np.repeat([True, False], len(left))[order]
        starts = np.flatnonzero(is_left[:-1] & ~is_left[1:])
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        # Ends that coincide have no order of their own: an interval lies within a row when its left end is not
        # before the row's and its right end not after.
        first = np.searchsorted(starts, _first_of_ties(value[order], place[order])[rank[: len(left)]])
        last = np.searchsorted(starts, _last_of_ties(value[order], place[order])[rank[len(left) :]], side="left") - 1
        return cls(value[order][starts], value[order][starts + 1], first, last, member.ravel())

    @property
    def size(self) -> int:
        return len(self.lower)

    def summed(self, weight: Floats) -> Floats:
        """Return the weight of each distinct observation as a share of the total."""
        total = np.bincount(self.member, weights=weight, minlength=len(self.first))
        return total / total.sum()

    def fit(self, share: Floats, start: Floats | None = None) -> tuple[Floats, bool]:
        """Return the masses (k,) and whether the optimality conditions hold.

        Each round makes one step of self-consistency (EM) and one of the iterative convex minorant.
        """
        used = share > 0
        first, last, share = self.first[used], self.last[used], share[used]
        mass = np.full(self.size, 1 / self.size) if start is None else start
        for _ in range(MAX_ITERATIONS):
            gradient = self._gradient(mass, first, last, share)
            if gradient.max() <= 1 + GRADIENT_TOLERANCE:
                return mass, True
            mass = mass * gradient
            mass = self._convex_minorant(mass / mass.sum(), first, last, share)
        return mass, False

    def bootstrap(
        self, weight: Floats, replicates: int, generator: np.random.Generator, level: float
    ) -> tuple[Floats, Floats]:
        """Return pointwise percentile limits of survival after each interval, NaN without replicates."""
        if replicates == 0:
            return np.full(self.size, np.nan), np.full(self.size, np.nan)
        curves = np.empty((replicates, self.size))
        for i in range(replicates):
            drawn = np.bincount(generator.integers(0, len(weight), len(weight)), minlength=len(weight))
            mass, _ = self.fit(self.summed(weight * drawn))
            curves[i] = _survival(mass)
        tail = (1 - level) / 2
        low, high = np.quantile(curves, [tail, 1 - tail], axis=0)
        return low, high

    def _probability(self, mass: Floats, first: Ints, last: Ints) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(mass)])
        return total[last + 1] - total[first]

    def _gradient(self, mass: Floats, first: Ints, last: Ints, share: Floats) -> Floats:
        """Return the derivative of the mean log-likelihood by each mass; at the optimum at most 1, 1 where mass is."""
        pull = share / np.maximum(self._probability(mass, first, last), 1e-300)
        steps = np.bincount(first, pull, self.size + 1) - np.bincount(last + 1, pull, self.size + 1)
        return np.cumsum(steps)[:-1]

    def _convex_minorant(self, mass: Floats, first: Ints, last: Ints, share: Floats) -> Floats:
        """Return the masses after one weighted isotonic step on the distribution function, with a line search."""
        if self.size < 2:
            return mass
        level = np.cumsum(mass)[:-1]
        probability = self._probability(mass, first, last)
        pull, bend = share / probability, share / probability**2
        size = self.size + 1
        slope = (np.bincount(last + 1, pull, size) - np.bincount(first, pull, size))[1:-1]
        curve = (np.bincount(last + 1, bend, size) + np.bincount(first, bend, size))[1:-1]
        curve = np.maximum(curve, 1e-12 * curve.max())
        target = isotonic_regression(level + slope / curve, weights=curve).x
        proposal = np.diff(np.clip(target, 0.0, 1.0), prepend=0.0, append=1.0)
        value = share @ np.log(probability)
        for halving in range(12):
            candidate = mass + (proposal - mass) / 2**halving
            reached = self._probability(candidate, first, last)
            if (reached > 0).all() and share @ np.log(reached) > value:
                return candidate
        return mass


def _first_of_ties(value: Floats, place: Ints) -> Ints:
    """Return, for each sorted end, the position of the first end equal to it."""
    new = np.append(True, (value[1:] != value[:-1]) | (place[1:] != place[:-1]))
    return np.flatnonzero(new)[np.cumsum(new) - 1]


def _last_of_ties(value: Floats, place: Ints) -> Ints:
    """Return, for each sorted end, the position of the last end equal to it."""
    new = np.append(True, (value[1:] != value[:-1]) | (place[1:] != place[:-1]))
    return np.append(np.flatnonzero(new)[1:], len(value))[np.cumsum(new) - 1] - 1


def _survival(mass: Floats) -> Floats:
    return np.clip(1.0 - np.cumsum(mass), 0.0, 1.0)


def _frame(
    name: object, dtype: pl.DataType, problem: _Problem, mass: Floats, converged: bool, limits: tuple[Floats, Floats]
) -> pl.DataFrame:
    known = 1.0 if converged else np.nan
    status = ESTIMABLE if converged else not_estimable("the likelihood did not converge")
    survival = _survival(mass)
    if np.isinf(problem.upper[-1]):
        survival[-1] = 0.0
    return pl.DataFrame(
        {
            "group": pl.Series([name] * problem.size, dtype=dtype),
            "lower": problem.lower,
            "upper": nullable(problem.upper),
            "mass": nullable(mass * known),
            "estimate": nullable(survival * known),
            "ci_low": nullable(limits[0] * known),
            "ci_high": nullable(limits[1] * known),
            "status": [status] * problem.size,
        }
    )
