"""The log-likelihood of location-scale models for log time, for exact and interval-censored rows, and its maximum.

Belongs here: Weibull, log-normal and log-logistic likelihoods with analytic derivatives, and Newton's method on them.
Does not belong here: frames, names and the decision what to report (`parametric`).

log T = η + σ Z, with η = X β and θ = (β, log σ). A row is exact at y, or lies between y_low and y_high, either of which
may be infinite. Own code because lifelines 0.30 stops early on raw covariates (a percent off for log-logistic) and
cannot fit left- or interval-censored log-normal rows at all (NaN gradients).
Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), ch. 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import expit, log_expit, log_ndtr

from pipelines.models._cox_fit import DECREMENT_TOLERANCE, INFORMATION_KEPT, MAX_HALVINGS, NoMaximum, loaded
from pipelines.models._frames import Bools, Floats

MAX_ITERATIONS = 60
CHUNK = 16_384
# So near a maximum the likelihood is concave, unless it has none.
NEARLY_THERE = 1e-3


@dataclass(frozen=True)
class Distribution:
    """A standard distribution by the logs of its density, lower and upper tail, and f'/f with its derivative."""

    log_density: Callable[[Floats], Floats]
    log_lower: Callable[[Floats], Floats]
    log_upper: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    curvature: Callable[[Floats], Floats]


DISTRIBUTIONS = {
    "weibull": Distribution(
        lambda z: z - np.exp(z),
        lambda z: np.log(-np.expm1(-np.exp(z))),
        lambda z: -np.exp(z),
        lambda z: 1.0 - np.exp(z),
        lambda z: -np.exp(z),
    ),
    "log-normal": Distribution(
        lambda z: -0.5 * (z**2 + np.log(2 * np.pi)),
        log_ndtr,
        lambda z: log_ndtr(-z),
        lambda z: -z,
        lambda z: np.full_like(z, -1.0),
    ),
    "log-logistic": Distribution(
        lambda z: log_expit(z) + log_expit(-z),
        log_expit,
        lambda z: log_expit(-z),
        lambda z: -np.tanh(z / 2),
        lambda z: -2.0 * expit(z) * expit(-z),
    ),
}


@dataclass(frozen=True)
class AftMaximum:
    """The maximum: θ (p + 1,), the observed information there and the log-likelihood, Jacobian of log T included."""

    theta: Floats
    information: Floats
    log_likelihood: float


@dataclass(frozen=True)
class AftLikelihood:
    """The data: X (n, p) with its intercept, log bounds (n,), equal for exact rows."""

    X: Floats
    low: Floats
    high: Floats
    exact: Bools
    distribution: Distribution

    @classmethod
    def of(cls, X: Floats, low: Floats, high: Floats, distribution: str) -> AftLikelihood:
        with np.errstate(divide="ignore"):
            return cls(X, np.log(low), np.log(high), low == high, DISTRIBUTIONS[distribution])

    def maximise(self, names: Sequence[str]) -> AftMaximum:
        """Return the maximum found by Newton's method; `names` of θ are for the message.

        Raises:
            NoMaximum: the likelihood rises without end, or the method did not converge.
        """
        theta = self._start()
        value, gradient, information = self.at(theta)
        reference = _positive(information)
        for _ in range(MAX_ITERATIONS):
            step = linalg.solve(_positive(information), gradient, assume_a="pos")
            decrement = float(gradient @ step)
            theta, value, gradient, information = self._ascend(theta, step, value)
            if decrement < NEARLY_THERE:
                _check_information(information, reference, names)
            if decrement < DECREMENT_TOLERANCE:
                return AftMaximum(theta, information, value)
        raise NoMaximum(f"the likelihood did not converge in {MAX_ITERATIONS} iterations")

    def at(self, theta: Floats) -> tuple[float, Floats, Floats]:
        """Return log-likelihood, score (p + 1,) and observed information (p + 1, p + 1).

        Summed chunk by chunk, so that what is computed for each row stays in the processor's cache.
        """
        value, gradient, information = 0.0, np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for begin in range(0, len(self.X), CHUNK):
            rows = slice(begin, begin + CHUNK)
            part = AftLikelihood(self.X[rows], self.low[rows], self.high[rows], self.exact[rows], self.distribution)
            added = part._at(theta)
            value, gradient, information = value + added[0], gradient + added[1], information + added[2]
        return value, gradient, information

    def _at(self, theta: Floats) -> tuple[float, Floats, Floats]:
        eta, scale = self.X @ theta[:-1], np.exp(theta[-1])
        value = np.empty(len(eta))
        first, second = np.empty((2, len(eta))), np.empty((3, len(eta)))
        for rows, part in ((self.exact, self._exact), (~self.exact, self._between)):
            value[rows], first[:, rows], second[:, rows] = part(eta[rows], scale, rows)
        gradient = np.append(self.X.T @ first[0], first[1].sum())
        information = np.empty((len(theta), len(theta)))
        information[:-1, :-1] = (self.X * second[0][:, None]).T @ self.X
        information[-1, :-1] = information[:-1, -1] = self.X.T @ second[1]
        information[-1, -1] = second[2].sum()
        return float(value.sum()), gradient, -information

    def _exact(self, eta: Floats, scale: float, rows: Bools) -> tuple[Floats, Floats, Floats]:
        y = self.low[rows]
        z = (y - eta) / scale
        slope, curvature = self.distribution.slope(z), self.distribution.curvature(z)
        value = self.distribution.log_density(z) - np.log(scale) - y
        first = np.stack([-slope / scale, -slope * z - 1.0])
        second = np.stack([curvature / scale**2, (curvature * z + slope) / scale, (curvature * z + slope) * z])
        return value, first, second

    def _between(self, eta: Floats, scale: float, rows: Bools) -> tuple[Floats, Floats, Floats]:
        """Log P(low < Y <= high) and its derivatives; bounds at infinity add nothing."""
        shape = self.distribution
        has_low, has_high = np.isfinite(self.low[rows]), np.isfinite(self.high[rows])
        low = np.where(has_low, (self.low[rows] - eta) / scale, 0.0)
        high = np.where(has_high, (self.high[rows] - eta) / scale, 0.0)
        value = _log_mass(shape, low, high, has_low, has_high)
        below = np.where(has_low, np.exp(shape.log_density(low) - value), 0.0)
        above = np.where(has_high, np.exp(shape.log_density(high) - value), 0.0)
        LL = -below * shape.slope(low) - below**2
        HH = above * shape.slope(high) - above**2
        LH = below * above
        net, moment = above - below, above * high - below * low
        first = np.stack([-net / scale, -moment])
        crossed = LL * low + LH * (low + high) + HH * high + net
        second = np.stack(
            [
                (LL + 2 * LH + HH) / scale**2,
                crossed / scale,
                LL * low**2 + 2 * LH * low * high + HH * high**2 + moment,
            ]
        )
        return value, first, second

    def _start(self) -> Floats:
        """Return least squares on the log time, or on the middle or only bound of a censored row."""
        middle = np.where(np.isinf(self.high), self.low, np.where(np.isinf(self.low), self.high, 0.0))
        inside = np.isfinite(self.low) & np.isfinite(self.high)
        middle[inside] = (self.low[inside] + self.high[inside]) / 2
        beta = linalg.lstsq(self.X, middle)[0]
        spread = np.sqrt(np.mean((middle - self.X @ beta) ** 2))
        return np.append(beta, np.log(max(spread, 1e-3)))

    def _ascend(self, theta: Floats, step: Floats, value: float) -> tuple[Floats, float, Floats, Floats]:
        slack = 1e-10 * max(1.0, abs(value))
        for halving in range(MAX_HALVINGS):
            candidate = theta + step / 2**halving
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                found, gradient, information = self.at(candidate)
            usable = np.isfinite(found) and np.isfinite(gradient).all() and np.isfinite(information).all()
            if usable and found >= value - slack:
                return candidate, found, gradient, information
        raise NoMaximum("the likelihood could not be raised further, and its slope is not zero")


def _log_mass(shape: Distribution, low: Floats, high: Floats, has_low: Bools, has_high: Bools) -> Floats:
    """Return the log probability between the bounds, computed in the tail in which both lie."""
    right = low > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        upper, upper_end = shape.log_upper(low), shape.log_upper(high)
        lower, lower_end = shape.log_lower(low), shape.log_lower(high)
        inside = np.where(
            right,
            upper + np.log(-np.expm1(upper_end - upper)),
            lower_end + np.log(-np.expm1(lower - lower_end)),
        )
    return np.where(has_low & has_high, inside, np.where(has_low, upper, lower_end))


def _positive(information: Floats) -> Floats:
    """Return the information, its eigenvalues made positive where the likelihood is not concave yet."""
    values, vectors = linalg.eigh(information)
    return (vectors * np.maximum(np.abs(values), 1e-10 * np.abs(values).max())) @ vectors.T


def _check_information(information: Floats, reference: Floats, names: Sequence[str]) -> None:
    values, vectors = linalg.eigh(information, reference)
    if not values[0] > INFORMATION_KEPT:
        raise NoMaximum(f"the likelihood rises without end (separation) along {loaded(vectors[:, 0], names)}")
