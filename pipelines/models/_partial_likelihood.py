"""The log partial likelihood of proportional-hazards models, its derivatives and its score residuals.

Belongs here: Efron's and Breslow's likelihood on sorted arrays, for any kind of risk set. Does not belong here:
maximisation (`_cox_fit`), sorting, frames.

No sum over times of p × p matrices is needed: with S2 the weighted second moment of those at risk,
Σ_times S2 / S0 = Xᵀ diag(w exp(η) H) X, where H is the cumulative hazard over the times a row is at risk; and the
squared means are one cross product of the first moments S1. Tied deaths (Efron) add, per time, a few sums over
l = 0 … d-1 of 1 / (S0 - (l/d) S0_deaths), where the moments of the deaths enter with the share l/d.
Source: Efron, JASA 72 (1977) 557-565; Therneau & Grambsch, Modeling Survival Data (2000), chs. 3 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pipelines.models._frames import Bools, Floats, Ints
from pipelines.models._risk_sets import RiskSets, SubdistributionRiskSets, rows_by_slot, slot_sums

CHUNK = 16_384


@dataclass(frozen=True)
class PartialLikelihood:
    """The data of a fit: X of shape (n, p), weights and events of shape (n,), risk sets with s slots.

    `deaths` are the numbers of the rows with an event, `slot_of_deaths` their slots.
    The ties are laid out as terms, one per slot (Breslow) or one per death (Efron): `term_slot`, the weight
    `term_weight` of the term and the share `term_share` = l/d of the deaths already taken out.
    """

    X: Floats
    weight: Floats
    event: Bools
    deaths: Ints
    slot_of_deaths: Ints
    risk_sets: RiskSets | SubdistributionRiskSets
    deaths_by_slot: sparse.csr_matrix
    term_weight: Floats
    term_share: Floats
    term_starts: np.ndarray
    event_slots: np.ndarray

    @classmethod
    def of(
        cls, X: Floats, weight: Floats, event: Bools, risk_sets: RiskSets | SubdistributionRiskSets, ties: str
    ) -> PartialLikelihood:
        """Lay out the ties; `ties` is `efron` or `breslow`."""
        slots = risk_sets.slots.count
        rows = np.flatnonzero(event)
        deaths_by_slot = rows_by_slot(risk_sets.slot[rows], slots, rows, len(event))
        counts = np.diff(deaths_by_slot.indptr)
        event_slots = np.flatnonzero(counts)
        total = slot_sums(deaths_by_slot, weight)[event_slots]
        terms = counts[event_slots] if ties == "efron" else np.ones(len(event_slots), dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(terms)[:-1]])
        share = (np.arange(terms.sum()) - np.repeat(starts, terms)) / np.repeat(terms, terms)
        return cls(
            X,
            weight,
            event,
            rows,
            risk_sets.slot[rows],
            risk_sets,
            deaths_by_slot,
            np.repeat(total / terms, terms),
            share,
            starts,
            event_slots,
        )

    def at(self, beta: Floats) -> Evaluation:
        """Return the log-likelihood at beta with what its derivatives need."""
        eta = self.X @ beta
        risk = self.weight * np.exp(eta)
        S0, S0_deaths = self.risk_sets.sums(risk), slot_sums(self.deaths_by_slot, risk)
        terms = np.diff(np.append(self.term_starts, len(self.term_share)))
        denominator = np.repeat(S0[self.event_slots], terms) - self.term_share * np.repeat(
            S0_deaths[self.event_slots], terms
        )
        log_likelihood = self.weight[self.deaths] @ eta[self.deaths] - (self.term_weight * np.log(denominator)).sum()
        return Evaluation(self, risk, denominator, float(log_likelihood))

    def by_slot(self, per_term: Floats) -> Floats:
        """Return the sums of the terms of each slot, 0 where there are no deaths, shape (s,)."""
        result = np.zeros(self.risk_sets.slots.count)
        result[self.event_slots] = np.add.reduceat(per_term, self.term_starts)
        return result

    def own_slot(self, per_slot: Floats) -> Floats:
        """Return, for the rows with an event, the value at their own time."""
        return per_slot[self.slot_of_deaths]


class Evaluation:
    """The partial likelihood at one beta. Shapes: risk (n,), slot quantities (s,) or (s, p)."""

    def __init__(self, data: PartialLikelihood, risk: Floats, denominator: Floats, log_likelihood: float):
        self.data = data
        self.risk = risk
        self.log_likelihood = log_likelihood
        self._denominator = denominator
        self._moments: tuple[Floats, Floats] | None = None
        first = data.term_weight / denominator
        self.hazard = data.by_slot(first)
        self.hazard_of_deaths = data.by_slot(first * data.term_share)

    def expected(self, factor: Floats | None = None) -> Floats:
        """Return each row's cumulative hazard (times exp(η): its expected events), each slot's jump times `factor`."""
        hazard, own = self._times(self.hazard, factor), self._times(self.hazard_of_deaths, factor)
        result = self.data.risk_sets.accumulator(hazard)(slice(None))
        result[self.data.deaths] -= self.data.own_slot(own)
        return result

    def score(self, factor: Floats | None = None) -> Floats:
        """Return the score, each event time weighted by `factor` (shape (s,)), shape (p,)."""
        data = self.data
        residual = -self.risk * self.expected(factor)
        own = 1.0 if factor is None else data.own_slot(factor)
        residual[data.deaths] += data.weight[data.deaths] * own
        return data.X.T @ residual

    def information(self, factor: Floats | None = None) -> Floats:
        """Return the observed information, each event time weighted by `factor`, shape (p, p)."""
        S1, S1_deaths = self.moments()
        plain, mixed, squared = (self._times(part, factor) for part in self._curvature())
        second = cross_product(self.data.X, self.risk * self.expected(factor))
        between = S1.T @ (S1_deaths * mixed[:, None])
        means = S1.T @ (S1 * plain[:, None]) - between - between.T + S1_deaths.T @ (S1_deaths * squared[:, None])
        information = second - means
        return (information + information.T) / 2

    def score_residuals(self) -> Floats:
        """Return each row's contribution to the score (unweighted), shape (n, p)."""
        return np.concatenate(list(self.score_residual_parts()))

    def schoenfeld_residuals(self) -> Floats:
        """Return each event's covariates less their mean over those at risk then, in the order of the rows, (d, p)."""
        return self.data.X[self.data.deaths] - self._mean_at_risk()[self.data.slot_of_deaths]

    def score_residual_parts(self) -> Iterator[Floats]:
        """Yield the score residuals in the order of the rows, at most CHUNK rows at a time."""
        data = self.data
        S1, S1_deaths = self.moments()
        plain, mixed, squared = self._curvature()
        mean_path = plain[:, None] * S1 - mixed[:, None] * S1_deaths
        mean_path_of_deaths = mixed[:, None] * S1 - squared[:, None] * S1_deaths
        mean = self._mean_at_risk()
        relative, expected = self.risk / data.weight, self.expected()
        at_risk = data.risk_sets.accumulator(mean_path)
        for low in range(0, len(data.X), CHUNK):
            rows = slice(low, low + CHUNK)
            X, deaths = data.X[rows], np.flatnonzero(data.event[rows])
            own = data.risk_sets.slot[low + deaths]
            residuals = at_risk(rows)
            residuals[deaths] -= mean_path_of_deaths[own]
            residuals -= X * expected[rows, None]
            residuals *= relative[rows, None]
            residuals[deaths] += X[deaths] - mean[own]
            yield residuals

    def moments(self) -> tuple[Floats, Floats]:
        """Return S1 of those at risk and of the deaths, shapes (s, p)."""
        if self._moments is None:
            data = self.data
            at_risk = data.risk_sets.sums(self.risk, data.X)
            self._moments = at_risk, slot_sums(data.deaths_by_slot, self.risk, data.X)
        return self._moments

    def _mean_at_risk(self) -> Floats:
        """Return the covariates' mean over those at risk at each slot, averaged over tied deaths, shape (s, p)."""
        S1, S1_deaths = self.moments()
        total = np.maximum(slot_sums(self.data.deaths_by_slot, self.data.weight), np.finfo(float).tiny)
        return (self.hazard[:, None] * S1 - self.hazard_of_deaths[:, None] * S1_deaths) / total[:, None]

    def _curvature(self) -> tuple[Floats, Floats, Floats]:
        """Return Σ over the terms of a slot of weight × share^j / denominator², j = 0, 1, 2."""
        data = self.data
        second = data.term_weight / self._denominator**2
        once = second * data.term_share
        return data.by_slot(second), data.by_slot(once), data.by_slot(once * data.term_share)

    @staticmethod
    def _times(per_slot: Floats, factor: Floats | None) -> Floats:
        return per_slot if factor is None else per_slot * factor


def cross_product(X: Floats, weight: Floats) -> Floats:
    """Return Xᵀ diag(weight) X, chunk by chunk so that the weighted copy stays in the processor's cache."""
    result = np.zeros((X.shape[1], X.shape[1]))
    for low in range(0, len(X), CHUNK):
        part = X[low : low + CHUNK]
        result += (part * weight[low : low + CHUNK, None]).T @ part
    return result
