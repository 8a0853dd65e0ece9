"""Likelihood of repeated measures with a residual covariance matrix, from cross products by missingness pattern.

Belongs here: restricted (or plain) log-likelihood, its gradient in the covariance matrix, the search for its maximum
and the curvature there. Formulas, tests and tidy rows live in `longitudinal`.

Subjects fall into at most 2^visits patterns of seen visits, and within a pattern all share one covariance matrix. So
the cross products of each pattern are sufficient: after one pass over the rows, an evaluation costs nothing that grows
with their number. With W the inverse covariance of a pattern, padded with zeros where unseen, S its cross products of
base columns and A_a the map of visit a to coefficients:

    X'WX = sum over visits a, b of  A_a' (sum over patterns of W_ab S) A_b.

Sources: Laird & Ware 1982, Biometrics 38:963; Jennrich & Schluchter 1986, Biometrics 42:805; Mallinckrodt et al. 2008,
Drug Inf J 42:303 (MMRM).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.models._covariance import Structure
from pipelines.models._fixed_effects import RepeatedMeasures
from pipelines.models._frames import Bools, Floats, Ints

MAX_STEPS = 200
DECREMENT, ACCEPTED_DECREMENT = 1e-16, 1e-8
LOG_TWO_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Patterns:
    """Sufficient statistics by pattern (k of them): seen (k, v), subjects (k, weighted), cross products of the base
    (k, r, r), of base and outcomes (k, r, v) and of outcomes (k, v, v); each subject's pattern (n,); maps (v, r, p)."""

    seen: Bools
    subjects: Floats
    base: Floats
    base_outcome: Floats
    outcome: Floats
    of_subject: Ints
    maps: Floats
    centre: float

    @property
    def observations(self) -> float:
        return float(self.subjects @ self.seen.sum(axis=1))


def patterns_of(data: RepeatedMeasures) -> Patterns:
    """Pass over the subjects once and sum their cross products."""
    seen = np.isfinite(data.outcomes)
    v, r = seen.shape[1], data.base.shape[1]
    code = seen @ (1 << np.arange(v))
    bits = np.flatnonzero(np.bincount(code, minlength=1 << v))
    of_subject, k = np.searchsorted(bits, code), len(bits)
    # outcomes are centred where an intercept takes the mean up again: smaller numbers, fewer digits lost
    centre = float(np.nanmean(data.outcomes)) if data.intercept is not None else 0.0
    cross = np.zeros((k, r + v, r + v))
    order = np.argsort(of_subject, kind="stable")
    bounds = np.searchsorted(of_subject[order], np.arange(k + 1))
    for i in range(k):
        rows = order[bounds[i] : bounds[i + 1]]
        joined = np.column_stack([data.base[rows], np.where(seen[rows], data.outcomes[rows] - centre, 0.0)])
        cross[i] = joined.T @ (joined * data.weights[rows, None])
    return Patterns(
        (bits[:, None] >> np.arange(v) & 1).astype(bool),
        np.bincount(of_subject, data.weights, k),
        cross[:, :r, :r],
        cross[:, :r, r:],
        cross[:, r:, r:],
        of_subject,
        data.maps,
        centre,
    )


@dataclass(frozen=True)
class Evaluation:
    """At one covariance matrix: log-likelihood, coefficients, their covariance, and the gradient in the matrix (v, v;
    the derivative along a symmetric direction D is the sum of gradient * D)."""

    log_likelihood: float
    coefficients: Floats
    covariance: Floats
    gradient: Floats
    inverses: Floats


def evaluate(patterns: Patterns, sigma: Floats, reml: bool) -> Evaluation:
    """Return the (restricted) log-likelihood and its gradient; raises LinAlgError unless sigma is positive definite."""
    np.linalg.cholesky(sigma)
    inverses, log_determinants = pattern_inverses(patterns, sigma)
    information = gls_information(patterns, inverses)
    right = np.einsum("arp,kab,krb->p", patterns.maps, inverses, patterns.base_outcome, optimize=True)
    covariance = np.linalg.inv(information)
    coefficients = covariance @ right
    residual = residual_products(patterns, coefficients)
    p = len(coefficients)
    value = -0.5 * (
        patterns.subjects @ log_determinants
        + np.einsum("kab,kab->", inverses, residual)
        + (patterns.observations - (p if reml else 0)) * LOG_TWO_PI
    )
    spread = residual - patterns.subjects[:, None, None] * _masked(patterns, sigma)
    if reml:
        value -= 0.5 * np.linalg.slogdet(information)[1]
        spread = spread + leverage_products(patterns, covariance)
    gradient = 0.5 * np.einsum("kab,kbc,kcd->ad", inverses, spread, inverses, optimize=True)
    return Evaluation(float(value), coefficients, covariance, gradient, inverses)


def pattern_inverses(patterns: Patterns, sigma: Floats) -> tuple[Floats, Floats]:
    """Return the inverse covariance of each pattern, zero where unseen, and the log determinants."""
    filled = _masked(patterns, sigma) + np.eye(len(sigma)) * ~patterns.seen[:, :, None]
    inverses = np.linalg.inv(filled)
    pairs = patterns.seen[:, :, None] & patterns.seen[:, None, :]
    return np.where(pairs, inverses, 0.0), np.linalg.slogdet(filled)[1]


def gls_information(patterns: Patterns, inverses: Floats) -> Floats:
    """Return the sum of X'WX, shape (p, p), for any symmetric W a pattern, shape (k, v, v)."""
    by_visits = np.einsum("kab,krs->abrs", inverses, patterns.base, optimize=True)
    return np.einsum("arp,abrs,bsq->pq", patterns.maps, by_visits, patterns.maps, optimize=True)


def residual_products(patterns: Patterns, coefficients: Floats) -> Floats:
    """Return the residual cross products of each pattern, shape (k, v, v)."""
    by_visit = patterns.maps @ coefficients  # (v, r)
    crossed = np.einsum("ar,krb->kab", by_visit, patterns.base_outcome)
    fitted = np.einsum("ar,krs,bs->kab", by_visit, patterns.base, by_visit, optimize=True)
    pairs = patterns.seen[:, :, None] & patterns.seen[:, None, :]
    return np.where(pairs, patterns.outcome - crossed - crossed.transpose(0, 2, 1) + fitted, 0.0)


def leverage_products(patterns: Patterns, covariance: Floats) -> Floats:
    """Return the sums of x_a' C x_b over the subjects of each pattern, shape (k, v, v)."""
    spread = np.einsum("arp,pq,bsq->abrs", patterns.maps, covariance, patterns.maps, optimize=True)
    return np.einsum("abrs,krs->kab", spread, patterns.base, optimize=True)


def expected_information(patterns: Patterns, inverses: Floats, directions: Floats) -> Floats:
    """Return the expected information of parameters along which sigma changes by `directions` (q, v, v)."""
    turned = np.einsum("kab,qbc->kqac", inverses, directions, optimize=True)
    return 0.5 * np.einsum("k,kqac,ksca->qs", patterns.subjects, turned, turned, optimize=True)


@dataclass(frozen=True)
class CovarianceFit:
    """Where the search ended: parameters of the structure, sigma (v, v), and why it is no maximum (None: it is)."""

    parameters: Floats
    sigma: Floats
    evaluation: Evaluation
    problem: str | None


def maximise(patterns: Patterns, structure: Structure, reml: bool) -> CovarianceFit:
    """Climb by Fisher scoring with halved steps until the gradient vanishes in units of its standard error."""
    theta = structure.start(residual_moments(patterns))
    at = evaluate(patterns, structure.sigma(theta), reml)
    problem: str | None = "the search did not converge"
    for _ in range(MAX_STEPS):
        directions = structure.derivatives(theta)
        gradient = np.einsum("ab,qab->q", at.gradient, directions)
        try:
            step = np.linalg.solve(expected_information(patterns, at.inverses, directions), gradient)
        except np.linalg.LinAlgError:
            problem = "the covariance parameters are not identified"
            break
        decrement = float(gradient @ step)
        if decrement < DECREMENT:
            problem = None
            break
        moved = _climb(lambda t: evaluate(patterns, structure.sigma(t), reml), theta, step, at.log_likelihood)
        if moved is None:
            problem = None if decrement < ACCEPTED_DECREMENT else "the search did not converge"
            break
        theta, at = moved
    return CovarianceFit(theta, structure.sigma(theta), at, problem)


def _climb(
    evaluation: Callable[[Floats], Evaluation], theta: Floats, step: Floats, value: float
) -> tuple[Floats, Evaluation] | None:
    """Return the first of the full, half, quarter … steps that raises the likelihood, or None."""
    for _ in range(40):
        trial = theta + step
        try:
            at = evaluation(trial)
        except np.linalg.LinAlgError:
            at = None
        if at is not None and np.isfinite(at.log_likelihood) and at.log_likelihood > value:
            return trial, at
        step = step / 2
    return None


def curvature(patterns: Patterns, structure: Structure, theta: Floats, reml: bool) -> Floats:
    """Return minus the Hessian in the parameters, by central differences of the gradient."""

    def gradient(at: Floats) -> Floats:
        return np.einsum("ab,qab->q", evaluate(patterns, structure.sigma(at), reml).gradient, structure.derivatives(at))

    widths = 1e-4 * structure.units(theta)
    rows = [
        (gradient(theta + width * unit) - gradient(theta - width * unit)) / (2 * width)
        for width, unit in zip(widths, np.eye(len(theta)), strict=True)
    ]
    hessian = np.array(rows)
    return -(hessian + hessian.T) / 2


def residual_moments(patterns: Patterns) -> Floats:
    """Return pairwise residual covariances about the least-squares fit; NaN for visits never seen together."""
    flat = np.eye(patterns.seen.shape[1]) * patterns.seen[:, :, None]
    information = gls_information(patterns, flat)
    right = np.einsum("arp,kab,krb->p", patterns.maps, flat, patterns.base_outcome, optimize=True)
    residual = residual_products(patterns, np.linalg.solve(information, right)).sum(axis=0)
    together = np.einsum("k,ka,kb->ab", patterns.subjects, patterns.seen, patterns.seen)
    return np.divide(residual, together, out=np.full(residual.shape, np.nan), where=together > 0)


def _masked(patterns: Patterns, sigma: Floats) -> Floats:
    return sigma * (patterns.seen[:, :, None] & patterns.seen[:, None, :])
