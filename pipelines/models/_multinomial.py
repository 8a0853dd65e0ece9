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
from dataclasses import dataclass
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
    log_likelihood: float
    converged: bool

    @cached_property
    def covariance(self) -> Floats:
        """Inverse information, shape (q, q), arms one after the other; raises LinAlgError if it is singular."""
        return inverse(_information(self.design, self.probabilities))

    def scores(self) -> Floats:
        """Return each row's score, shape (n, q), arms one after the other."""
        k = self.probabilities.shape[1]
        residual = (np.arange(1, k) == self.codes[:, None]) - self.probabilities[:, 1:]
        return (residual[:, :, None] * self.design[:, None, :]).reshape(len(self.codes), -1)

    def separating_column(self) -> int | None:
        """Return the column (0 the intercept) that tells arms apart without error, or None when there is none.

        Compares the information at the fit with that at equal slopes: a direction in which it has vanished has no
        finite maximum (Albert & Anderson 1984, Biometrika 71:1).
        """
        k = self.probabilities.shape[1]
        shares = np.bincount(self.codes, minlength=k) / len(self.codes)
        null = np.kron(np.diag(shares[1:]) - np.outer(shares[1:], shares[1:]), self.design.T @ self.design)
        shares_kept = eigh(_information(self.design, self.probabilities), null, eigvals_only=True)
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


def fit_multinomial(matrix: Floats, codes: Ints, count: int) -> MultinomialFit:
    """Fit codes 0 … count-1 on the columns of `matrix`, shape (n, p), with intercepts. Columns must not be aliased."""
    centre, scale = matrix.mean(axis=0), matrix.std(axis=0)
    design = np.empty((len(codes), matrix.shape[1] + 1))
    design[:, 0] = 1.0
    np.divide(matrix - centre, scale, out=design[:, 1:])
    start, curvature = _from_part(design, codes, count)
    coefficients, probabilities, value, converged = _newton(design, codes, start, curvature)
    return MultinomialFit(coefficients, probabilities, design, codes, centre, scale, value, converged)


def _from_part(design: Floats, codes: Ints, count: int) -> tuple[Floats, Floats | None]:
    """Return starting values, and the information of a part scaled to all rows when there are rows to spare."""
    shares = np.bincount(codes, minlength=count) / len(codes)
    start = np.zeros((design.shape[1], count - 1))
    start[0] = np.log(shares[1:] / shares[0])
    if len(codes) < 4 * PART or shares.min() * PART < 10 * design.shape[1]:
        return start, None
    rows = np.random.default_rng(0).choice(len(codes), PART, replace=False)
    coefficients, probabilities, _, converged = _newton(design[rows], codes[rows], start, None)
    if not converged:
        return start, None
    return coefficients, _information(design[rows], probabilities) * (len(codes) / PART)


def _newton(design: Floats, codes: Ints, start: Floats, curvature: Floats | None) -> tuple[Floats, Floats, float, bool]:
    """Climb to the maximum; return coefficients, probabilities, log-likelihood and whether it was reached."""
    coefficients, p1 = start, design.shape[1]
    observed = _arm_sums(design, codes, start.shape[1] + 1)
    probabilities, gradient, value = _pass(design, codes, coefficients, observed)
    exact, last = curvature is None, np.inf
    for _ in range(MAX_STEPS):
        information = _information(design, probabilities) if exact or curvature is None else curvature
        try:
            step = cho_solve(cho_factor(information), gradient.T.ravel())
        except np.linalg.LinAlgError:
            return coefficients, probabilities, value, False
        decrement = float(gradient.T.ravel() @ step)
        if decrement < DECREMENT:
            return coefficients, probabilities, value, True
        exact = exact or decrement > POOR_SHRINKAGE * last
        last = decrement
        moved = _line_search(design, codes, coefficients, step.reshape(-1, p1).T, observed, value)
        if moved is None:
            return coefficients, probabilities, value, decrement < ACCEPTED_DECREMENT
        coefficients, (probabilities, gradient, value) = moved
    return coefficients, probabilities, value, False


def _line_search(
    design: Floats, codes: Ints, coefficients: Floats, step: Floats, observed: Floats, value: float
) -> tuple[Floats, tuple[Floats, Floats, float]] | None:
    """Return the first of the full, half, quarter … steps that does not lose likelihood, or None."""
    allowance = 1e-12 * abs(value)
    for _ in range(30):
        trial = coefficients + step
        result = _pass(design, codes, trial, observed)
        if result[2] >= value - allowance:
            return trial, result
        step = step / 2
    return None


def _pass(design: Floats, codes: Ints, coefficients: Floats, observed: Floats) -> tuple[Floats, Floats, float]:
    """One pass over the rows: probabilities (n, k), gradient (p + 1, k - 1), log-likelihood."""
    n, k = len(codes), coefficients.shape[1] + 1
    probabilities = np.empty((k, n))  # arms first: sums over few arms run along long rows
    expected = np.zeros_like(coefficients)
    value = 0.0
    for rows in _chunks(n, coefficients.size):
        x, own = design[rows], codes[rows]
        part = np.zeros((k, len(own)))
        np.matmul(coefficients.T, x.T, out=part[1:])
        part -= part.max(axis=0)
        at_own = part[own, np.arange(len(own))].sum()
        np.exp(part, out=part)
        total = part.sum(axis=0)
        part /= total
        probabilities[:, rows] = part
        expected += x.T @ part[1:].T
        value += float(at_own - np.log(total).sum())
    return probabilities.T, observed - expected, value


def _arm_sums(design: Floats, codes: Ints, count: int) -> Floats:
    """Return the sums of the columns within all arms but the first, shape (p + 1, k - 1)."""
    sums = np.zeros((design.shape[1], count))
    for rows in _chunks(len(codes), sums.size):
        sums += design[rows].T @ np.eye(count)[codes[rows]]
    return sums[:, 1:]


def _information(design: Floats, probabilities: Floats) -> Floats:
    """Return the Fisher information, shape (q, q), arms one after the other."""
    p1, k1 = design.shape[1], probabilities.shape[1] - 1
    blocks = np.zeros((k1, p1, k1, p1))
    for rows in _chunks(len(design), p1 * p1):
        x, e = design[rows], probabilities[rows, 1:]
        for j in range(k1):
            for m in range(j, k1):
                weight = e[:, j] * ((j == m) - e[:, m])
                blocks[j, :, m] += x.T @ (x * weight[:, None])
    for j in range(k1):
        for m in range(j):
            blocks[j, :, m] = blocks[m, :, j].T
    return blocks.reshape(k1 * p1, k1 * p1)


def _chunks(n: int, result: int) -> Sequence[slice]:
    """Return slices of rows whose matrix product, `result` numbers in size, needs at most PRODUCT multiplications."""
    rows = max(PRODUCT // result, 64)
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
