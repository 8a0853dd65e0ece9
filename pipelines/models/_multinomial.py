"""Multinomial (and so binary) logistic regression by Newton's method, quick on many rows.

Belongs here: the solver behind propensity scores and dropout models, in arrays. What the scores are used for lives in
`propensity`.

On many rows the search starts from a fit to a random part and uses that part's curvature, scaled up: each step then
costs one pass for the gradient and shrinks the error about fifty-fold. When it shrinks less, the full curvature takes
its place. Either way the search ends on the gradient of all rows (Newton decrement), so the answer is the same.
Source: McCullagh & Nelder 1989, Generalized Linear Models, 2nd ed., ch. 5; Boyd & Vandenberghe 2004, section 9.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from pipelines.models._frames import Floats, Ints
from pipelines.models._linear import inverse

# Matrix products below this many multiplications run on one thread in OpenBLAS: chunks that small stay in the cache and
# do not wait for threads that a busy machine has taken away.
PRODUCT = 250_000
PART = 20_000
MAX_STEPS = 60
# The squared distance to the maximum in standard errors: aimed at, and accepted where rounding stops the search.
DECREMENT, ACCEPTED_DECREMENT = 1e-18, 1e-10
POOR_SHRINKAGE = 0.25
# Along a separating direction the information falls to nothing as the coefficients run off; elsewhere it keeps a share.
SEPARATION_SHARE = 1e-7


@dataclass(frozen=True)
class MultinomialFit:
    """Maximum-likelihood coefficients, shape (p + 1, k - 1) on standardised columns, first row the intercepts.

    `probabilities` (n, k) in the order of the codes, the first being the reference; `design` (n, p + 1) standardised.
    """

    coefficients: Floats
    probabilities: Floats
    design: Floats
    codes: Ints
    centre: Floats
    scale: Floats
    weights: Floats | None
    log_likelihood: float
    converged: bool

    @cached_property
    def information(self) -> Floats:
        """Fisher information at the fit, shape (q, q), arms one after the other."""
        return _information(self.design, self.probabilities, self.weights)

    @cached_property
    def covariance(self) -> Floats:
        """Inverse information, shape (q, q), arms one after the other; raises LinAlgError if it is singular."""
        return inverse(self.information)

    def scores(self) -> Floats:
        """Return each row's (weighted) score, shape (n, q), arms one after the other."""
        k = self.probabilities.shape[1]
        residual = (np.arange(1, k) == self.codes[:, None]) - self.probabilities[:, 1:]
        if self.weights is not None:
            residual = residual * self.weights[:, None]
        return (residual[:, :, None] * self.design[:, None, :]).reshape(len(self.codes), -1)

    def predict(self, matrix: Floats) -> Floats:
        """Return the probabilities of other rows, shape (rows, k), from columns in the order of the fit, (rows, p)."""
        design = np.column_stack([np.ones(len(matrix)), (matrix - self.centre) / self.scale])
        predictors = np.column_stack([np.zeros(len(matrix)), design @ self.coefficients])
        predictors = np.exp(predictors - predictors.max(axis=1, keepdims=True))
        return predictors / predictors.sum(axis=1, keepdims=True)

    def moved(self, shift: Floats) -> MultinomialFit:
        """Return the fit with its coefficients shifted, shape (p + 1, k - 1), for drawing from their distribution."""
        return replace(self, coefficients=self.coefficients + shift)

    def separating_column(self) -> int | None:
        """Return the column (0 the intercept) that tells arms apart without error, or None when there is none.

        Compares the information at the fit with that at equal slopes: a direction in which it has vanished has no
        finite maximum (Albert & Anderson 1984, Biometrika 71:1).
        """
        k = self.probabilities.shape[1]
        shares = np.bincount(self.codes, self.weights, k) / (
            len(self.codes) if self.weights is None else self.weights.sum()
        )
        # where all rows have the same probabilities every block is a multiple of one cross product
        rows = self.design if self.weights is None else self.design * self.weights[:, None]
        null = np.kron(np.diag(shares[1:]) - np.outer(shares[1:], shares[1:]), rows.T @ self.design)
        shares_kept = eigh(self.information, null, eigvals_only=True)
        if shares_kept[0] > SEPARATION_SHARE:
            return None
        # the coefficients that run off are those of the separating columns
        return int(1 + np.argmax(np.abs(self.coefficients[1:]).max(axis=1))) if len(self.coefficients) > 1 else 0

    def in_units(self) -> tuple[Floats, Floats]:
        """Return coefficients and their standard errors in the columns' own units, each (p + 1, k - 1)."""
        p1, k1 = self.coefficients.shape
        back = np.diag(np.r_[1.0, 1 / self.scale])
        back[0, 1:] = -self.centre / self.scale
        blocks = [self.covariance[j * p1 : (j + 1) * p1, j * p1 : (j + 1) * p1] for j in range(k1)]
        errors = np.column_stack([np.sqrt(np.diag(back @ block @ back.T)) for block in blocks])
        return back @ self.coefficients, errors


def fit_multinomial(matrix: Floats, codes: Ints, count: int, weights: Floats | None = None) -> MultinomialFit:
    """Fit codes 0 … count-1 on the columns of `matrix`, shape (n, p), with intercepts. Columns must not be aliased."""
    centre, scale = matrix.mean(axis=0), matrix.std(axis=0)
    design = np.empty((len(codes), matrix.shape[1] + 1))
    design[:, 0] = 1.0
    np.divide(matrix - centre, scale, out=design[:, 1:])
    rows = _Rows(design, codes, count, weights)
    start, curvature = _from_part(rows)
    coefficients, probabilities, value, converged = _newton(rows, start, curvature)
    return MultinomialFit(coefficients, probabilities, design, codes, centre, scale, weights, value, converged)


@dataclass(frozen=True)
class _Rows:
    """What the search reads: standardised design (n, p + 1), codes (n,), number of codes, weights (n,) or None."""

    design: Floats
    codes: Ints
    count: int
    weights: Floats | None

    def part(self, rows: Ints) -> _Rows:
        return _Rows(
            self.design[rows], self.codes[rows], self.count, None if self.weights is None else self.weights[rows]
        )

    @cached_property
    def observed(self) -> Floats:
        """Sums of the columns within all codes but the first, shape (p + 1, k - 1)."""
        sums = np.zeros((self.design.shape[1], self.count))
        for rows in _chunks(len(self.codes), sums.size):
            own = np.eye(self.count)[self.codes[rows]]
            sums += self.design[rows].T @ (own if self.weights is None else own * self.weights[rows, None])
        return sums[:, 1:]


def _from_part(data: _Rows) -> tuple[Floats, Floats | None]:
    """Return starting values, and the information of a part scaled to all rows when there are rows to spare."""
    n, p1 = data.design.shape
    counts = np.bincount(data.codes, data.weights, data.count)
    start = np.zeros((p1, data.count - 1))
    start[0] = np.log(counts[1:] / counts[0])
    if n < 4 * PART or np.bincount(data.codes).min() / n * PART < 10 * p1:
        return start, None
    part = data.part(np.random.default_rng(0).choice(n, PART, replace=False))
    coefficients, probabilities, _, converged = _newton(part, start, None)
    if not converged:
        return start, None
    return coefficients, _information(part.design, probabilities, part.weights) * (n / PART)


def _newton(data: _Rows, start: Floats, curvature: Floats | None) -> tuple[Floats, Floats, float, bool]:
    """Climb to the maximum; return coefficients, probabilities, log-likelihood and whether it was reached."""
    coefficients, p1 = start, data.design.shape[1]
    probabilities, gradient, value = _pass(data, coefficients)
    exact, last = curvature is None, np.inf
    for _ in range(MAX_STEPS):
        if exact or curvature is None:
            information = _information(data.design, probabilities, data.weights)
        else:
            information = curvature
        try:
            step = cho_solve(cho_factor(information), gradient.T.ravel())
        except np.linalg.LinAlgError:
            return coefficients, probabilities, value, False
        decrement = float(gradient.T.ravel() @ step)
        if decrement < DECREMENT:
            return coefficients, probabilities, value, True
        exact = exact or decrement > POOR_SHRINKAGE * last
        last = decrement
        moved = _line_search(data, coefficients, step.reshape(-1, p1).T, value)
        if moved is None:
            return coefficients, probabilities, value, decrement < ACCEPTED_DECREMENT
        coefficients, (probabilities, gradient, value) = moved
    return coefficients, probabilities, value, False


def _line_search(
    data: _Rows, coefficients: Floats, step: Floats, value: float
) -> tuple[Floats, tuple[Floats, Floats, float]] | None:
    """Return the first of the full, half, quarter … steps that does not lose likelihood, or None."""
    allowance = 1e-12 * abs(value)
    for _ in range(30):
        trial = coefficients + step
        result = _pass(data, trial)
        if result[2] >= value - allowance:
            return trial, result
        step = step / 2
    return None


def _pass(data: _Rows, coefficients: Floats) -> tuple[Floats, Floats, float]:
    """One pass over the rows: probabilities (n, k), gradient (p + 1, k - 1), log-likelihood."""
    n, k = len(data.codes), data.count
    probabilities = np.empty((k, n))  # codes first: sums over few codes run along long rows
    expected = np.zeros_like(coefficients)
    value = 0.0
    for rows in _chunks(n, coefficients.size):
        x, own = data.design[rows], data.codes[rows]
        part = np.zeros((k, len(own)))
        np.matmul(coefficients.T, x.T, out=part[1:])
        part -= part.max(axis=0)
        at_own = part[own, np.arange(len(own))]
        np.exp(part, out=part)
        total = part.sum(axis=0)
        part /= total
        probabilities[:, rows] = part
        gains = at_own - np.log(total)
        if data.weights is None:
            expected += x.T @ part[1:].T
            value += float(gains.sum())
        else:
            expected += x.T @ (part[1:] * data.weights[rows]).T
            value += float(gains @ data.weights[rows])
    return probabilities.T, data.observed - expected, value


def _information(design: Floats, probabilities: Floats, weights: Floats | None) -> Floats:
    """Return the Fisher information, shape (q, q), codes one after the other."""
    p1, k1 = design.shape[1], probabilities.shape[1] - 1
    blocks = np.zeros((k1, p1, k1, p1))
    for rows in _chunks(len(design), p1 * p1):
        x, e = design[rows], probabilities[rows, 1:]
        left = x if weights is None else x * weights[rows, None]
        for j in range(k1):
            for m in range(j, k1):
                blocks[j, :, m] += left.T @ (x * (e[:, j] * ((j == m) - e[:, m]))[:, None])
    for j in range(k1):
        for m in range(j):
            blocks[j, :, m] = blocks[m, :, j].T
    return blocks.reshape(k1 * p1, k1 * p1)


def _chunks(n: int, result: int) -> Sequence[slice]:
    """Return slices of rows whose matrix product, `result` numbers in size, needs at most PRODUCT multiplications."""
    rows = max(PRODUCT // result, 64)
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
