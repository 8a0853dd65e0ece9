"""Maximising a partial likelihood, and saying plainly when it has no maximum.

Belongs here: Newton's method on standardised covariates, the checks that decide whether a fit is estimable, and the
model-based and robust covariance. Does not belong here: frames and names of results (`cox`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from pipelines.models._frames import Bools, Floats, Ints
from pipelines.models._partial_likelihood import CHUNK, Evaluation, PartialLikelihood

MAX_ITERATIONS = 40
MAX_HALVINGS = 20
DECREMENT_TOLERANCE = 1e-12
# Below this share of the information at 0, a direction of the coefficients has run off to infinity.
INFORMATION_KEPT = 1e-6
COLLINEAR = 1e-9
# A column with more than two values among its first rows need not be looked at whole.
FIRST_ROWS = 100


class NoMaximum(Exception):
    """The likelihood has no usable maximum; the text is the reason shown to the reader."""


@dataclass(frozen=True)
class Maximum:
    """The maximum on the scale of the standardised covariates: coefficients (p,), information (p, p)."""

    evaluation: Evaluation
    coefficients: Floats
    information: Floats
    null_log_likelihood: float
    null_score: Floats
    null_information: Floats
    iterations: int


@dataclass(frozen=True)
class Scale:
    """How the columns of X were centred and scaled: shapes (p,)."""

    centre: Floats
    spread: Floats

    @classmethod
    def standardise(cls, X: Floats) -> Scale:
        """Standardise X in its own memory; a constant column keeps spread 0 and is refused by `check_covariates`."""
        centre, squares = X.mean(axis=0), np.zeros(X.shape[1])
        for low in range(0, len(X), CHUNK):
            part = X[low : low + CHUNK]
            part -= centre
            squares += np.einsum("ij,ij->j", part, part)
        spread = np.sqrt(squares / len(X))
        spread[spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)] = 0.0
        X /= np.where(spread > 0, spread, 1.0)
        return cls(centre, spread)

    def covariance(self, standardised: Floats) -> Floats:
        return standardised / np.outer(self.spread, self.spread)


def check_covariates(X: Floats, event: Bools, scale: Scale, names: Sequence[str]) -> None:
    """Refuse what can be seen before fitting: no events, constant columns, indicator columns without events.

    Raises:
        NoMaximum: with the reason.
    """
    if not event.any():
        raise NoMaximum("there are no events")
    constant = [name for name, spread in zip(names, scale.spread, strict=True) if spread == 0]
    if constant:
        raise NoMaximum(f"no variation in {', '.join(constant)}")
    for name, column in zip(names, X.T, strict=True):
        if len(np.unique(column[:FIRST_ROWS])) > 2 or len(np.unique(column)) > 2:
            continue
        among_events = column[event]
        if (among_events == among_events[0]).all():
            raise NoMaximum(f"all events are on one side of {name}")


def maximise(likelihood: PartialLikelihood, names: Sequence[str]) -> Maximum:
    """Return the maximum found by Newton's method with step halving.

    Raises:
        NoMaximum: collinear covariates, a likelihood that rises without end (separation), or no convergence.
    """
    beta = np.zeros(likelihood.X.shape[1])
    null = current = likelihood.at(beta)
    score, information = current.score(), current.information()
    null_score, null_information = score, information
    _check_collinear(information, names)
    # In units of an event's weight, so that weights may be scaled at will.
    tolerance = DECREMENT_TOLERANCE * float(likelihood.weight[likelihood.event].mean())
    for iteration in range(1, MAX_ITERATIONS + 1):
        step = _newton_step(information, score, null_information, names)
        decrement = float(score @ step)
        beta, current = _ascend(likelihood, beta, step, current)
        if decrement < tolerance:
            return Maximum(current, beta, information, null.log_likelihood, null_score, null_information, iteration)
        score, information = current.score(), current.information()
    raise NoMaximum(f"the likelihood did not converge in {MAX_ITERATIONS} iterations")


def robust_covariance(maximum: Maximum, cluster: Ints | None) -> Floats:
    """Return the sandwich covariance from weighted score residuals, summed within clusters, shape (p, p).

    Source: Lin & Wei, JASA 84 (1989) 1074-1078; no small-sample factor.
    """
    bread = linalg.inv(maximum.information)
    meat = np.zeros_like(bread)
    for part in _weighted_scores(maximum.evaluation, cluster):
        meat += part.T @ part
    return bread @ meat @ bread


def _weighted_scores(evaluation: Evaluation, cluster: Ints | None) -> Iterator[Floats]:
    """Yield weighted score residuals by row, in chunks; with clusters, all of their sums by cluster."""
    weight = evaluation.data.weight
    if cluster is not None:
        n = len(cluster)
        by_cluster = sparse.csc_matrix((weight, cluster.astype(np.int32), np.arange(n + 1, dtype=np.int32)))
        yield by_cluster @ evaluation.score_residuals()
        return
    low = 0
    for part in evaluation.score_residual_parts():
        yield part * weight[low : low + len(part), None]
        low += len(part)


def _newton_step(information: Floats, score: Floats, null_information: Floats, names: Sequence[str]) -> Floats:
    values, vectors = linalg.eigh(information, null_information)
    if not values[0] > INFORMATION_KEPT:
        raise NoMaximum(f"the likelihood rises without end (separation) along {loaded(vectors[:, 0], names)}")
    return linalg.solve(information, score, assume_a="pos")


def _ascend(
    likelihood: PartialLikelihood, beta: Floats, step: Floats, current: Evaluation
) -> tuple[Floats, Evaluation]:
    """Return the next point, halving the step while the likelihood falls."""
    slack = 1e-10 * abs(current.log_likelihood) + 1e-300
    for halving in range(MAX_HALVINGS):
        candidate = beta + step / 2**halving
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            evaluation = likelihood.at(candidate)
        if np.isfinite(evaluation.log_likelihood) and evaluation.log_likelihood >= current.log_likelihood - slack:
            return candidate, evaluation
    raise NoMaximum("the likelihood could not be raised further, and its slope is not zero")


def _check_collinear(information: Floats, names: Sequence[str]) -> None:
    scale = np.sqrt(np.maximum(np.diag(information), 0.0))
    empty = [name for name, value in zip(names, scale, strict=True) if not value > 1e-8 * scale.max()]
    if empty or not scale.max() > 0:
        raise NoMaximum(f"no variation within the risk sets in {', '.join(empty) or ', '.join(names)}")
    values, vectors = linalg.eigh(information / np.outer(scale, scale))
    if values[0] < COLLINEAR:
        raise NoMaximum(f"the covariates are collinear: {loaded(vectors[:, 0], names)}")


def loaded(direction: Floats, names: Sequence[str]) -> str:
    """Return the names of the covariates that take part in a direction."""
    size = np.abs(direction)
    return ", ".join(name for name, value in zip(names, size, strict=True) if value > 0.05 * size.max())
