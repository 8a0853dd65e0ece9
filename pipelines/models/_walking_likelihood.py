"""Log-likelihood of a walking test that stops at a fixed time, with its gradient and Hessian.

Belongs here: the numerical heart of `walking.joint_time_speed`, in arrays. Frames, arms, ratios and statuses live in
`walking`.

The model. y is log speed, x the log time to stop, c the log of the cap, l the log of the smallest time told apart:

    y | row      ~ N(m, sigma^2)          m = X beta   (+ the effect of a latent baseline)
    x | y, row   ~ N(a + gamma y, tau^2)  a = X alpha  (+ the effect of a latent baseline)
    b | row      ~ N(Z kappa, omega^2)    log baseline time, only where baselines can be censored

A walk to the cap contributes P(x > c | y); a walk of 0 m has no speed and contributes P(x < l), y integrated out; a
censored baseline is integrated over its half line by Gauss-Legendre quadrature on fixed nodes, so that the derivatives
of the sum are exact (Fisher's identity for the gradient, Louis 1982, JRSS B 44:226 for the Hessian).

Tobin 1958, Econometrica 26:24; Amemiya 1984, J Econometrics 24:3 for the censored normal likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

from pipelines.models._frames import Floats, Ints
from pipelines.models._linear import cluster_sums

STOPPED, CAPPED, ZERO = 0, 1, 2
HALF_LOG_TWO_PI = 0.5 * np.log(2 * np.pi)
# Six units of log time beyond the cap is 400 times the cap; 48 nodes leave an error below 1e-9 for any scale above 0.2.
BASELINE_REACH, BASELINE_NODES = 6.0, 48
# The predictors of a row: mean of log time, mean of log speed, gamma, log sigma, log tau, mean of baseline, log omega.
TIME, SPEED, GAMMA, LOG_SIGMA, LOG_TAU, BASELINE, LOG_OMEGA = range(7)


@dataclass(frozen=True)
class Baseline:
    """Log baseline times (n,), at the limit where censored; `side` 0 observed, +1 above the limit, -1 below it."""

    values: Floats
    side: Ints


@dataclass(frozen=True)
class WalkingData:
    """Rows of one fit: kind (n,), log time (n,; the limit where censored), log speed (n,), design (n, p), weights."""

    kind: Ints
    log_time: Floats
    log_speed: Floats
    design: Floats
    weights: Floats
    baseline: Baseline | None = None


@dataclass(frozen=True)
class _Evaluation:
    log_likelihood: float
    scores: Floats
    hessian: Floats


class WalkingLikelihood:
    """The log-likelihood as a function of its parameters, laid out as alpha, beta, gamma, log sigma, log tau and, with
    a latent baseline, kappa, log omega. With a baseline the last elements of alpha and beta are its effects."""

    def __init__(self, data: WalkingData) -> None:
        self.data = data
        self.n = len(data.kind)
        self.owner, self.node, self.log_node_weight = _expand(data.baseline, self.n)
        self.expanded = len(self.owner) > self.n
        design = data.design[self.owner]
        columns = design if data.baseline is None else np.column_stack([design, self.node])
        self.kind, self.log_time, self.log_speed = (
            values[self.owner] for values in (data.kind, data.log_time, data.log_speed)
        )
        one = np.ones((len(self.owner), 1))
        self.maps = [columns, columns, one, one, one] + ([] if data.baseline is None else [design, one])
        self.bounds = np.cumsum([0, *(m.shape[1] for m in self.maps)])
        self.blocks = [slice(a, b) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]
        self._last: tuple[bytes, _Evaluation] | None = None

    @property
    def size(self) -> int:
        return int(self.bounds[-1])

    def evaluate(self, theta: Floats) -> _Evaluation:
        """Return log-likelihood, weighted scores by row (n, q) and Hessian (q, q); the last point is kept."""
        key = theta.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = (key, self._evaluate(theta))
        return self._last[1]

    def _evaluate(self, theta: Floats) -> _Evaluation:
        predictors = [m @ theta[b] for m, b in zip(self.maps, self.blocks, strict=True)]
        value, gradient, curvature = _rows(self, predictors)
        value = value + self.log_node_weight
        weights = self.data.weights
        if not self.expanded:
            scores = self._scores(gradient, weights)
            return _Evaluation(float(weights @ value), scores, self._hessian(curvature, weights))
        row_value = _log_sum(value, self.owner, self.n)
        share = np.exp(value - row_value[self.owner])
        parts = self._scores(gradient, np.ones(len(self.owner)))
        means = np.column_stack([np.bincount(self.owner, share * part, self.n) for part in parts.T])
        spread = weights[self.owner] * share
        hessian = self._hessian(curvature, spread) + parts.T @ (parts * spread[:, None])
        hessian -= means.T @ (means * weights[:, None])
        return _Evaluation(float(weights @ row_value), means * weights[:, None], hessian)

    def _scores(self, gradient: dict[int, Floats], weights: Floats) -> Floats:
        return np.hstack([m * (weights * gradient[j])[:, None] for j, m in enumerate(self.maps)])

    def _hessian(self, curvature: dict[tuple[int, int], Floats], weights: Floats) -> Floats:
        hessian = np.zeros((self.size, self.size))
        for (i, j), values in curvature.items():
            block = self.maps[i].T @ (self.maps[j] * (weights * values)[:, None])
            hessian[self.blocks[i], self.blocks[j]] = block
            hessian[self.blocks[j], self.blocks[i]] = block.T
        return hessian

    def start(self) -> Floats:
        """Return least-squares starting values that take censored times at their limits."""
        data = self.data
        walked = data.kind != ZERO
        if data.baseline is None:
            x = data.design
        else:
            x = np.column_stack([data.design, data.baseline.values])
        beta, sigma = _least_squares(x[walked], data.log_speed[walked], data.weights[walked])
        with_speed = np.column_stack([x, data.log_speed])[walked]
        alpha, tau = _least_squares(with_speed, data.log_time[walked], data.weights[walked])
        theta = np.r_[alpha[:-1], beta, alpha[-1], np.log([sigma, tau])]
        if data.baseline is None:
            return theta
        kappa, omega = _least_squares(data.design, data.baseline.values, data.weights)
        return np.r_[theta, kappa, np.log(omega)]


@dataclass(frozen=True)
class WalkingFit:
    """Where the search ended: theta (q,), Hessian (q, q), weighted scores by row (n, q), and whether it settled."""

    likelihood: WalkingLikelihood
    theta: Floats
    log_likelihood: float
    scores: Floats
    hessian: Floats
    converged: bool

    @cached_property
    def information_inverse(self) -> Floats:
        """Inverse of minus the Hessian; raises numpy's LinAlgError where that is not positive definite."""
        np.linalg.cholesky(-self.hessian)
        return np.linalg.inv(-self.hessian)

    def robust_covariance(self, clusters: Ints | None) -> Floats:
        """Return the sandwich variance, scores summed within clusters (White 1982, Econometrica 50:1)."""
        return self.sandwich(cluster_sums(self.scores, clusters))

    def sandwich(self, totals: Floats) -> Floats:
        """Return the variance, given what each independent unit adds to the estimating function, shape (units, q)."""
        return self.information_inverse @ (totals.T @ totals) @ self.information_inverse


def maximise(data: WalkingData) -> WalkingFit:
    """Maximise by Newton steps in a trust region, with analytic gradient and Hessian."""
    likelihood = WalkingLikelihood(data)
    total = data.weights.sum()

    def loss(theta: Floats) -> float:
        return -likelihood.evaluate(theta).log_likelihood / total

    def slope(theta: Floats) -> Floats:
        return -likelihood.evaluate(theta).scores.sum(axis=0) / total

    def bend(theta: Floats) -> Floats:
        return -likelihood.evaluate(theta).hessian / total

    start = likelihood.start().tolist()
    found = minimize(loss, start, jac=slope, hess=bend, method="trust-exact", options={"gtol": 1e-8, "maxiter": 200})
    at = likelihood.evaluate(found.x)
    settled = bool(np.abs(at.scores.sum(axis=0) / total).max() < 1e-6)
    return WalkingFit(likelihood, found.x, at.log_likelihood, at.scores, at.hessian, settled)


def _expand(baseline: Baseline | None, n: int) -> tuple[Ints, Floats, Floats]:
    """Return for each pseudo-row its row, its baseline value and the logarithm of its quadrature weight."""
    if baseline is None or not baseline.side.any():
        values = np.zeros(n) if baseline is None else baseline.values
        return np.arange(n), values, np.zeros(n)
    nodes, node_weights = np.polynomial.legendre.leggauss(BASELINE_NODES)
    distance = BASELINE_REACH * (nodes + 1) / 2
    censored = np.flatnonzero(baseline.side)
    observed = np.flatnonzero(baseline.side == 0)
    beyond = baseline.values[censored, None] + baseline.side[censored, None] * distance
    owner = np.r_[observed, np.repeat(censored, BASELINE_NODES)]
    log_weights = np.log(node_weights * BASELINE_REACH / 2)
    return (
        owner,
        np.r_[baseline.values[observed], beyond.ravel()],
        np.r_[np.zeros(len(observed)), np.tile(log_weights, len(censored))],
    )


def _rows(
    at: WalkingLikelihood, predictors: list[Floats]
) -> tuple[Floats, dict[int, Floats], dict[tuple[int, int], Floats]]:
    """Return each pseudo-row's log-likelihood with first and second derivatives in its predictors."""
    n = len(at.owner)
    value = np.zeros(n)
    gradient = {j: np.zeros(n) for j in range(len(predictors))}
    curvature: dict[tuple[int, int], Floats] = {}

    def add(rows: Ints, pieces: _Pieces) -> None:
        value[rows] += pieces.value
        for j, part in pieces.gradient.items():
            gradient[j][rows] += part
        for key, part in pieces.curvature.items():
            curvature.setdefault(key, np.zeros(n))[rows] += part

    for kind, piece in ((STOPPED, _stopped_time), (CAPPED, _capped_time), (ZERO, _zero_walk)):
        rows = np.flatnonzero(at.kind == kind)
        if len(rows):
            add(rows, piece(at.log_time[rows], at.log_speed[rows], [p[rows] for p in predictors]))
    walked = np.flatnonzero(at.kind != ZERO)
    add(walked, _normal(at.log_speed[walked], predictors[SPEED][walked], predictors[LOG_SIGMA][walked], SPEED))
    if len(predictors) > BASELINE:
        everyone = np.arange(n)
        add(everyone, _normal(at.node, predictors[BASELINE], predictors[LOG_OMEGA], BASELINE))
    return value, gradient, curvature


@dataclass(frozen=True)
class _Pieces:
    value: Floats
    gradient: dict[int, Floats]
    curvature: dict[tuple[int, int], Floats]


def _normal(y: Floats, mean: Floats, log_scale: Floats, j: int) -> _Pieces:
    """Normal density of an observed value; its mean is predictor j, its log scale predictor `scale` beside it."""
    scale_index = LOG_SIGMA if j == SPEED else LOG_OMEGA
    scale = np.exp(log_scale)
    e = (y - mean) / scale
    return _Pieces(
        -HALF_LOG_TWO_PI - log_scale - e**2 / 2,
        {j: e / scale, scale_index: e**2 - 1},
        {(j, j): -1 / scale**2, (j, scale_index): -2 * e / scale, (scale_index, scale_index): -2 * e**2},
    )


def _stopped_time(x: Floats, y: Floats, predictors: list[Floats]) -> _Pieces:
    """Normal density of log time given log speed."""
    a, gamma, log_tau = predictors[TIME], predictors[GAMMA], predictors[LOG_TAU]
    tau = np.exp(log_tau)
    r = (x - a - gamma * y) / tau
    flat = -1 / tau**2
    return _Pieces(
        -HALF_LOG_TWO_PI - log_tau - r**2 / 2,
        {TIME: r / tau, GAMMA: r * y / tau, LOG_TAU: r**2 - 1},
        {
            (TIME, TIME): flat,
            (TIME, GAMMA): flat * y,
            (GAMMA, GAMMA): flat * y**2,
            (TIME, LOG_TAU): -2 * r / tau,
            (GAMMA, LOG_TAU): -2 * r * y / tau,
            (LOG_TAU, LOG_TAU): -2 * r**2,
        },
    )


def _capped_time(c: Floats, y: Floats, predictors: list[Floats]) -> _Pieces:
    """Probability that the walk would have gone on beyond the cap, given its speed."""
    a, gamma, tau = predictors[TIME], predictors[GAMMA], np.exp(predictors[LOG_TAU])
    q = (a + gamma * y - c) / tau
    first = {TIME: 1 / tau, GAMMA: y / tau, LOG_TAU: -q}
    second = {(TIME, LOG_TAU): -1 / tau, (GAMMA, LOG_TAU): -y / tau, (LOG_TAU, LOG_TAU): q}
    return _log_normal_probability(q, first, second)


def _zero_walk(limit: Floats, _: Floats, predictors: list[Floats]) -> _Pieces:
    """Probability that the walk ends before the smallest time told apart; speed, unseen, is integrated out."""
    a, m, gamma = predictors[TIME], predictors[SPEED], predictors[GAMMA]
    sigma2, tau2 = np.exp(2 * predictors[LOG_SIGMA]), np.exp(2 * predictors[LOG_TAU])
    carried = gamma**2 * sigma2
    variance = carried + tau2
    nu = np.sqrt(variance)
    q = (limit - a - gamma * m) / nu
    u = {TIME: -np.ones_like(a), SPEED: -gamma, GAMMA: -m, LOG_SIGMA: np.zeros_like(a), LOG_TAU: np.zeros_like(a)}
    log_nu = {
        TIME: np.zeros_like(a),
        SPEED: np.zeros_like(a),
        GAMMA: gamma * sigma2 / variance,
        LOG_SIGMA: carried / variance,
        LOG_TAU: tau2 / variance,
    }
    log_nu_second = {
        (GAMMA, GAMMA): sigma2 / variance - 2 * gamma**2 * sigma2**2 / variance**2,
        (GAMMA, LOG_SIGMA): 2 * gamma * sigma2 * tau2 / variance**2,
        (GAMMA, LOG_TAU): -2 * gamma * sigma2 * tau2 / variance**2,
        (LOG_SIGMA, LOG_SIGMA): 2 * carried * tau2 / variance**2,
        (LOG_SIGMA, LOG_TAU): -2 * carried * tau2 / variance**2,
        (LOG_TAU, LOG_TAU): 2 * carried * tau2 / variance**2,
    }
    first = {j: u[j] / nu - q * log_nu[j] for j in u}
    second = {}
    for i in u:
        for j in (j for j in u if j >= i):
            cross = -np.ones_like(a) if (i, j) == (SPEED, GAMMA) else 0.0
            second[i, j] = (cross - u[i] * log_nu[j]) / nu - first[j] * log_nu[i] - q * log_nu_second.get((i, j), 0.0)
    return _log_normal_probability(q, first, second)


def _log_normal_probability(q: Floats, first: dict[int, Floats], second: dict[tuple[int, int], Floats]) -> _Pieces:
    """Return log Phi(q) and its derivatives by the chain rule from those of q."""
    value = log_ndtr(q)
    ratio = np.exp(-HALF_LOG_TWO_PI - q**2 / 2 - value)
    bend = -ratio * (q + ratio)
    curvature = {
        (i, j): bend * first[i] * first[j] + ratio * second.get((i, j), 0.0) for i in first for j in first if j >= i
    }
    return _Pieces(value, {j: ratio * part for j, part in first.items()}, curvature)


def _log_sum(values: Floats, owner: Ints, n: int) -> Floats:
    """Return the logarithm of the sum of exponentials within each row."""
    top = np.full(n, -np.inf)
    np.maximum.at(top, owner, values)
    return top + np.log(np.bincount(owner, np.exp(values - top[owner]), n))


def _least_squares(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, float]:
    root = np.sqrt(weights)
    coefficients = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
    residual = y - x @ coefficients
    return coefficients, max(float(np.sqrt(np.average(residual**2, weights=weights))), 1e-3)
