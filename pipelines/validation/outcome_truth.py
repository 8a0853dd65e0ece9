"""True values of the scenarios of scores, walks and the negative control, by arithmetic and quadrature.

Belongs here: how the outcomes of a scenario depend on arm and covariates, and what follows from it in closed form or by
Gauss-Hermite quadrature. Does not belong here: drawing data or fitting models (see `outcome_study`).

x1 is standard normal, x2 is 1 in 40 % and 0 in 60 %; arm 1 has the probability
expit(r + c (0.8 x1 + 0.6 x2 - 0.24) + h u), r its rarity, c the confounding, u standard normal and seen by nobody (h is
0 except where a scenario hides a confounder).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import ndtr

Floats = NDArray[np.float64]

X2_SHARE = 0.4
NODES = 40
VISITS = ("y1", "y2", "y3")
# Points: baseline mean and spread beside covariates, visit means, share of the effect at each visit, spreads.
BASELINE_MEAN, BASELINE_SPREAD = 6.0, 1.0
VISIT_MEANS = (4.5, 4.2, 4.0)
EFFECT_SHARES = (0.5, 0.8, 1.0)
PERSON_SPREAD, VISIT_SPREAD = 0.8, 1.0
RESPONSE = 2.0
# Log seconds and log metres per second of the walks; the test ends after half an hour.
CAP_S = 1800.0
TIME_GIVEN_SPEED = 0.5


class Scenario(BaseModel, ABC):
    """What every line of the grid has: its size, how rare arm 1 is, and how strongly covariates decide the arm."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    subjects: int
    confounding: float
    rarity: float = 0.0

    def propensity(self, x1: Floats, x2: Floats) -> Floats:
        """Probability of arm 1 where nothing is hidden."""
        return expit(self.rarity + self.confounding * (0.8 * x1 + 0.6 * x2 - 0.24))

    @abstractmethod
    def true_values(self, overlap: bool) -> dict[str, float]:
        """True values by quantity, in everyone or in the overlap population."""


class ScoreScenario(Scenario):
    """A score at baseline and three visits, in points.

    y0 = 6 + 0.8 x1 + 0.4 (x2 - 0.4) + N(0, 1); y_j = m_j + 0.4 (y0 - 6) + 0.5 x1 + 0.5 x2 + s_j a D(x1) + b + N(0, 1)
    with b ~ N(0, 0.8) the person's own level and D(x1) = effect (1 + modification x1).

    With `dropout` d a visit is missed with probability expit(-1.4 + d k_a (y - 4.5)), y the score at the visit before,
    k = 1 in arm 1 and -0.7 in arm 0; who missed one does not come back. `delta` is added to the unseen last score of
    those of arm 1: what imputation given the seen cannot know.
    """

    kind: Literal["scores"] = "scores"
    effect: float
    modification: float = 0.0
    dropout: float = 0.0
    delta: float = 0.0
    is_repeated: bool = False

    def effect_at(self, x1: Floats) -> Floats:
        """The effect at the last visit."""
        return self.effect * (1 + self.modification * x1)

    def visit_mean(self, visit: int, x1: Floats, x2: Floats, arm: Floats | float) -> Floats:
        """Mean of a visit's score given covariates, at the average baseline."""
        return VISIT_MEANS[visit] + 0.5 * x1 + 0.5 * x2 + EFFECT_SHARES[visit] * arm * self.effect_at(x1)

    def chance_to_miss(self, before: Floats, arm: Floats | float) -> Floats:
        """Probability of missing a visit, given the score at the one before."""
        if self.dropout == 0:
            return np.zeros_like(before)
        return expit(-1.4 + self.dropout * np.where(np.asarray(arm) == 1, 1.0, -0.7) * (before - 4.5))

    def true_values(self, overlap: bool) -> dict[str, float]:
        """Differences at the last visit (arm 1 minus arm 0): of means, and of the share that improved by 2 points."""
        at = _population(self, overlap)
        difference = self.effect_at(at.x1) + self.delta * self._share_unseen(at)
        risks = [at.mass @ self._response(arm, at) for arm in (1.0, 0.0)]
        return {
            "mean difference": float(at.mass @ difference),
            "risk difference": float(risks[0] - risks[1]),
            "log risk ratio": float(np.log(risks[0] / risks[1])),
        }

    def share_unseen(self, overlap: bool = False) -> float:
        """Share of arm 1 whose last score is not seen."""
        at = _population(self, overlap)
        return float(at.mass @ self._share_unseen(at))

    def _response(self, arm: float, at: _Population) -> Floats:
        """Probability of y0 - y3 of at least 2 points given covariates, where no score is shifted."""
        away = 0.8 * at.x1 + 0.4 * (at.x2 - X2_SHARE)
        mean = BASELINE_MEAN + 0.6 * away - self.visit_mean(2, at.x1, at.x2, arm)
        spread = np.sqrt(0.6**2 * BASELINE_SPREAD**2 + PERSON_SPREAD**2 + VISIT_SPREAD**2)
        return ndtr((mean - RESPONSE) / spread)

    def _share_unseen(self, at: _Population) -> Floats:
        """P(last score unseen | x, arm 1): over the joint normal distribution of the first two scores."""
        if self.dropout == 0:
            return np.zeros_like(at.x1)
        node, weight = _normal_nodes()
        away = 0.4 * (0.8 * at.x1 + 0.4 * (at.x2 - X2_SHARE))
        first, second = (self.visit_mean(visit, at.x1, at.x2, 1.0) + away for visit in (0, 1))
        shared = (0.4 * BASELINE_SPREAD) ** 2 + PERSON_SPREAD**2
        spread = np.sqrt(shared + VISIT_SPREAD**2)
        correlation = shared / spread**2
        y1 = first[:, None, None] + spread * node[:, None]
        y2 = second[:, None, None] + spread * (
            correlation * node[:, None] + np.sqrt(1 - correlation**2) * node[None, :]
        )
        seen = (1 - self.chance_to_miss(y1, 1.0)) * (1 - self.chance_to_miss(y2, 1.0))
        return 1 - np.einsum("xij,i,j->x", seen, weight, weight)


class WalkScenario(Scenario):
    """A walking test with a cap at 1,800 s, before and after, times and speeds as logarithms.

    Baseline time b = 6.2 - 0.2 x1 + N(0, 0.8), speed v0 = -0.2 - 0.05 x1 + N(0, 0.2). Afterwards speed
    v = -0.15 + 0.6 (v0 + 0.2) + 0.03 (b - 6.2) - 0.05 x1 + effect_speed a + N(0, 0.15) and time to stop
    t = 6.7 + 0.5 (b - 6.2) - 0.3 x1 - 0.2 x2 + 0.5 (v + 0.15) + effect_time a + N(0, 0.8).
    """

    kind: Literal["walks"] = "walks"
    effect_time: float
    effect_speed: float

    def true_values(self, overlap: bool) -> dict[str, float]:
        """Log ratios of time, speed and distance: the same in everyone as in the overlap, as no effect is modified."""
        time = self.effect_time + TIME_GIVEN_SPEED * self.effect_speed
        return {
            "log time ratio": time,
            "log speed ratio": self.effect_speed,
            "log distance ratio": time + self.effect_speed,
        }


class ControlScenario(Scenario):
    """An event that no arm affects: rate 0.25 exp(0.5 x1 + 0.4 x2 + 0.7 u) a year, followed for 1.5 to 3.5 years.

    `hidden` says how strongly u, seen by nobody, decides the arm; `power` is the least share of studies that must then
    find a difference.
    """

    kind: Literal["negative control"] = "negative control"
    hidden: float = 0.0
    power: float | None = None

    def true_values(self, overlap: bool) -> dict[str, float]:
        """No arm affects the event."""
        return {"incidence difference": 0.0}


def expit(x: Floats) -> Floats:
    """Inverse of the logit."""
    return 1.0 / (1.0 + np.exp(-x))


@dataclass(frozen=True)
class _Population:
    """Nodes of the covariates and their probabilities in everyone or, weighted by e (1 - e), in the overlap."""

    x1: Floats
    x2: Floats
    mass: Floats


def _population(scenario: Scenario, overlap: bool) -> _Population:
    node, weight = _normal_nodes()
    x1, x2 = np.concatenate([node, node]), np.repeat([0.0, 1.0], len(node))
    mass = np.concatenate([weight * (1 - X2_SHARE), weight * X2_SHARE])
    if overlap:
        score = scenario.propensity(x1, x2)
        mass = mass * score * (1 - score)
    return _Population(x1, x2, mass / mass.sum())


def _normal_nodes() -> tuple[Floats, Floats]:
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    return node, weight / weight.sum()
