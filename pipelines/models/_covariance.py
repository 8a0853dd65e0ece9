"""Residual covariance matrices of repeated measures, by structure and free parameters.

Each structure turns parameters into a matrix sigma (v, v) and its derivatives, and finds a start from moments. The
order of `LADDER` is the order in which `longitudinal.mmrm` falls back.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import expit

from pipelines.models._frames import Floats

UNSTRUCTURED = "unstructured"
HETEROGENEOUS = "heterogeneous compound symmetry"
COMPOUND = "compound symmetry"
LADDER = (UNSTRUCTURED, HETEROGENEOUS, COMPOUND)


class Structure(Protocol):
    """A family of covariance matrices; `units` are the sizes by which a parameter may sensibly be nudged."""

    name: str

    def sigma(self, theta: Floats) -> Floats: ...
    def derivatives(self, theta: Floats) -> Floats: ...
    def start(self, moments: Floats) -> Floats: ...
    def units(self, theta: Floats) -> Floats: ...


def structure_of(name: str, visits: int) -> Structure:
    """Return the structure of one of the names in LADDER."""
    if name == UNSTRUCTURED:
        return Unstructured(visits)
    return CompoundSymmetry(visits, heterogeneous=name == HETEROGENEOUS)


class Unstructured:
    """Every variance and covariance free; the parameters are the lower triangle itself, so derivatives are constant."""

    name = UNSTRUCTURED

    def __init__(self, visits: int) -> None:
        self.rows, self.columns = np.tril_indices(visits)
        self.visits = visits
        q = np.arange(len(self.rows))
        self._directions = np.zeros((len(q), visits, visits))
        self._directions[q, self.rows, self.columns] = 1.0
        self._directions[q, self.columns, self.rows] = 1.0

    def sigma(self, theta: Floats) -> Floats:
        return np.einsum("q,qab->ab", theta, self._directions)

    def derivatives(self, theta: Floats) -> Floats:
        return self._directions

    def start(self, moments: Floats) -> Floats:
        """Pairwise moments, their correlations shrunk until the matrix is positive definite."""
        scale = np.sqrt(np.diag(moments))
        correlation = np.nan_to_num(moments / np.outer(scale, scale))
        shrink = 1.0
        while np.linalg.eigvalsh(shrink * correlation + (1 - shrink) * np.eye(self.visits))[0] < 1e-3 and shrink > 0.01:
            shrink *= 0.8
        start = (shrink * correlation + (1 - shrink) * np.eye(self.visits)) * np.outer(scale, scale)
        return start[self.rows, self.columns]

    def units(self, theta: Floats) -> Floats:
        scale = np.sqrt(np.diag(self.sigma(theta)))
        return scale[self.rows] * scale[self.columns]


class CompoundSymmetry:
    """One correlation between any two visits; one variance, or one a visit. Parameters: log standard deviations, then
    the logit of the correlation between its lower limit -1/(v-1) and 1."""

    def __init__(self, visits: int, heterogeneous: bool) -> None:
        self.name = HETEROGENEOUS if heterogeneous else COMPOUND
        self.visits = visits
        self.lowest = -1 / (visits - 1)
        # which log standard deviation belongs to each visit
        self.spread = np.eye(visits) if heterogeneous else np.ones((visits, 1))

    def _correlation(self, theta: Floats) -> tuple[float, float]:
        share = float(expit(theta[-1]))
        return self.lowest + (1 - self.lowest) * share, (1 - self.lowest) * share * (1 - share)

    def sigma(self, theta: Floats) -> Floats:
        scale = np.exp(self.spread @ theta[:-1])
        correlation, _ = self._correlation(theta)
        return np.outer(scale, scale) * (correlation + (1 - correlation) * np.eye(self.visits))

    def derivatives(self, theta: Floats) -> Floats:
        scale = np.exp(self.spread @ theta[:-1])
        by_visit = self.spread.T[:, :, None] + self.spread.T[:, None, :]
        by_correlation = np.outer(scale, scale) * (1 - np.eye(self.visits)) * self._correlation(theta)[1]
        return np.concatenate([self.sigma(theta) * by_visit, by_correlation[None]])

    def start(self, moments: Floats) -> Floats:
        variances = np.diag(moments)
        correlations = (moments / np.sqrt(np.outer(variances, variances)))[np.triu_indices(self.visits, 1)]
        seen = correlations[np.isfinite(correlations)]
        middle = float(np.clip(seen.mean() if len(seen) else 0.0, self.lowest + 0.05, 0.95))
        share = (middle - self.lowest) / (1 - self.lowest)
        log_scales = np.log(variances) / 2 if self.spread.shape[1] > 1 else [np.log(variances.mean()) / 2]
        return np.r_[log_scales, np.log(share / (1 - share))]

    def units(self, theta: Floats) -> Floats:
        return np.ones_like(theta)
