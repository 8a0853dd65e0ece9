"""True values of the time-to-failure scenarios, by integration over the covariates, without simulation.

Belongs here: the hazards of a scenario and what follows from them in closed form. Does not belong here: drawing data
or fitting models (see `failure_study`).

x1 is standard normal, x2 is 1 in 40 % and 0 in 60 %. In arm a the event's hazard is
λ exp(β(t) a + 0.5 x1 + 0.4 x2), with β(t) = β₁ before the change time and β₂ after it; death's is μ exp(0.3 x1);
the probability of arm 1 is expit(c (0.8 x1 + 0.6 x2 − 0.24)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import brentq

Floats = NDArray[np.float64]

X2_SHARE = 0.4
CENSORED_FROM, CENSORED_TO = 1.5, 3.5
NODES = 60
GRID = 4000


class FailureScenario(BaseModel):
    """One line of the grid: rates per year, effects as log hazard ratios, times in years."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    event_rate: float
    effect_early: float
    effect_late: float
    change_time: float = 1.0
    death_rate: float
    confounding: float

    @property
    def is_null(self) -> bool:
        """Whether the arms do not differ."""
        return self.effect_early == 0 and self.effect_late == 0

    @property
    def is_proportional(self) -> bool:
        """Whether one hazard ratio holds at all times."""
        return self.effect_early == self.effect_late

    def event_hazards(self, x1: Floats, x2: Floats, arm: Floats | float) -> tuple[Floats, Floats]:
        """Hazards of the event before and after the change time."""
        common = self.event_rate * np.exp(0.5 * x1 + 0.4 * x2)
        return common * np.exp(self.effect_early * arm), common * np.exp(self.effect_late * arm)

    def death_hazard(self, x1: Floats) -> Floats:
        """Hazard of death, the same in both arms."""
        return self.death_rate * np.exp(0.3 * x1)

    def propensity(self, x1: Floats, x2: Floats) -> Floats:
        """Probability of arm 1."""
        return 1.0 / (1.0 + np.exp(-self.confounding * (0.8 * x1 + 0.6 * x2 - 0.24)))


@dataclass(frozen=True)
class Curves:
    """One arm's population curves on a time grid: incidence F, event-free survival S, event density f."""

    incidence: Floats
    survival: Floats
    density: Floats


def population_curves(scenario: FailureScenario, arm: int, times: Floats, overlap: bool) -> Curves:
    """Average an arm's curves over the covariates, weighted by e (1 − e) where `overlap` is asked for."""
    x1, x2, mass = _nodes()
    if overlap:
        propensity = scenario.propensity(x1, x2)
        mass = mass * propensity * (1 - propensity)
    mass = mass / mass.sum()
    early, late = scenario.event_hazards(x1, x2, float(arm))
    death = scenario.death_hazard(x1)
    change = scenario.change_time
    first, second = np.minimum(times, change)[:, None], np.maximum(times - change, 0.0)[:, None]
    survival = np.exp(-(early + death) * first - (late + death) * second)
    at_change = np.exp(-(early + death) * change)
    incidence = early / (early + death) * (1 - np.exp(-(early + death) * first)) + at_change * late / (late + death) * (
        1 - np.exp(-(late + death) * second)
    )
    hazard = np.where(times[:, None] < change, early, late)
    return Curves(incidence @ mass, survival @ mass, (hazard * survival) @ mass)


def true_values(scenario: FailureScenario, horizon: float, overlap: bool) -> dict[str, float]:
    """Differences (arm 1 minus arm 0) of incidence, time lost and event-free time, and the log hazard ratios.

    The hazard ratios are what the proportional-hazards models converge to under the scenario's censoring, also where
    hazards are not proportional (Struthers and Kalbfleisch, Biometrika 73 (1986) 363-369).
    """
    to_horizon = np.linspace(0.0, horizon, GRID + 1)
    treated, control = (population_curves(scenario, arm, to_horizon, overlap) for arm in (1, 0))
    to_end = np.linspace(0.0, CENSORED_TO, GRID + 1)
    late_treated, late_control = (population_curves(scenario, arm, to_end, overlap) for arm in (1, 0))
    uncensored = np.clip((CENSORED_TO - to_end) / (CENSORED_TO - CENSORED_FROM), 0.0, 1.0)
    return {
        "incidence difference": float(treated.incidence[-1] - control.incidence[-1]),
        "time lost difference": float(np.trapezoid(treated.incidence - control.incidence, to_horizon)),
        "event-free time difference": float(np.trapezoid(treated.survival - control.survival, to_horizon)),
        "log hazard ratio": _limit_of_cox(
            late_treated.density, late_control.density, late_treated.survival, late_control.survival, uncensored, to_end
        ),
        "log subdistribution hazard ratio": _limit_of_cox(
            late_treated.density,
            late_control.density,
            1 - late_treated.incidence,
            1 - late_control.incidence,
            uncensored,
            to_end,
        ),
    }


def _limit_of_cox(
    density_1: Floats, density_0: Floats, risk_1: Floats, risk_0: Floats, uncensored: Floats, times: Floats
) -> float:
    """Solve the limiting score equation of a two-arm proportional-hazards model with equal arms."""

    def score(beta: float) -> float:
        share = risk_1 * np.exp(beta) / (risk_1 * np.exp(beta) + risk_0)
        return float(np.trapezoid((density_1 - (density_1 + density_0) * share) * uncensored, times))

    return float(brentq(score, -5.0, 5.0, xtol=1e-12))


def _nodes() -> tuple[Floats, Floats, Floats]:
    """Gauss-Hermite nodes for x1 crossed with the two values of x2, and their probabilities."""
    node, weight = np.polynomial.hermite_e.hermegauss(NODES)
    weight = weight / weight.sum()
    x1 = np.concatenate([node, node])
    x2 = np.repeat([0.0, 1.0], NODES)
    return x1, x2, np.concatenate([weight * (1 - X2_SHARE), weight * X2_SHARE])
