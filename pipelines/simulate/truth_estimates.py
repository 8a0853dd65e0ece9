"""From weighted sums over potential outcomes to true values with their Monte Carlo errors.

Nothing here knows tiers or draws patients: arms are two sets of sums, one block of patients each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np

from pipelines.simulate.population import Array, BoolArray, IntArray

WINDOWS = ("6w", "3m", "6m", "12m", "24m")
OUTCOME_MEASURES = (
    ("nrs_leg", "mean difference"),
    ("nrs_back", "mean difference"),
    ("odi", "mean difference"),
    ("spwt", "distance ratio"),
    ("spwt", "time ratio"),
    ("spwt", "speed ratio"),
)
HORIZONS_DAYS = (365, 730)


@dataclass(frozen=True)
class ArmSums:
    """Weighted sums over one arm.

    `weight` is the sum of the target weights h; `events` and `deaths` (of patients without the event before) are their
    sums by day (0 to the longest horizon); `moments` those of `outcome_moments`. The `study_*` sums carry h² / p
    instead, p the probability of the arm's tier: they give the variance of an inverse-probability estimate in a study
    of that population.
    """

    patients: float
    weight: float
    events: Array
    deaths: Array
    moments: Array
    study_weight: float
    study_events: Array
    study_moments: Array

    def __add__(self, other: "ArmSums") -> "ArmSums":
        return ArmSums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __sub__(self, other: "ArmSums") -> "ArmSums":
        return ArmSums(*(getattr(self, name) - getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class ContrastSums:
    """The sums of the contrast's tier and of its reference."""

    tier: ArmSums
    reference: ArmSums

    def __add__(self, other: "ContrastSums") -> "ContrastSums":
        return ContrastSums(self.tier + other.tier, self.reference + other.reference)

    def __sub__(self, other: "ContrastSums") -> "ContrastSums":
        return ContrastSums(self.tier - other.tier, self.reference - other.reference)


def outcome_moments(outcomes: Array, is_alive: BoolArray) -> Array:
    """Alive, value and square of every outcome in every window, zero after death, one row a patient.

    Args:
        outcomes: patients × windows × OUTCOME_MEASURES (walking as logarithms, without the test's limit).
        is_alive: patients × windows.
    """
    alive = np.broadcast_to(is_alive[:, :, None], outcomes.shape).astype(np.float64)
    return np.stack([alive, alive * outcomes, alive * outcomes**2], axis=1).reshape(len(outcomes), -1)


def arm_sums(target: Array, chance: Array, event_day: IntArray, death_day: IntArray, moments: Array) -> ArmSums:
    """Sums over a block of patients who were all given one tier.

    Args:
        target: weight of each patient in the population asked about.
        chance: probability that the patient gets this tier.
        event_day: day of the endpoint's event (beyond the horizon: none).
        death_day: day of death.
        moments: of `outcome_moments`.
    """
    longest = HORIZONS_DAYS[-1]
    study = target**2 / chance
    is_event = (event_day <= longest) & (event_day <= death_day)
    is_death = (death_day <= longest) & ~is_event

    def by_day(weight: Array, chosen: BoolArray, day: IntArray) -> Array:
        return np.bincount(day[chosen], weights=weight[chosen], minlength=longest + 1).astype(np.float64)

    return ArmSums(
        patients=float(target.size),
        weight=float(target.sum()),
        events=by_day(target, is_event, event_day),
        deaths=by_day(target, is_death, death_day),
        moments=target @ moments,
        study_weight=float(study.sum()),
        study_events=by_day(study, is_event, event_day),
        study_moments=study @ moments,
    )


def contrast_rows(
    blocks: Sequence[ContrastSums], population: str, endpoint: str, study_patients: int
) -> list[dict[str, Any]]:
    """All true values of one contrast in one population.

    Args:
        blocks: sums of each block; leaving each out in turn gives the Monte Carlo error (jackknife).
        population: its name, copied into the rows.
        endpoint: name of the contrast's endpoint.
        study_patients: size of the study whose standard error is given beside each value.
    """
    total = reduce(add, blocks)
    without = [total - block for block in blocks]
    rows = []
    for horizon in HORIZONS_DAYS:
        about = {"endpoint": endpoint, "population": population, "horizon_days": horizon}
        for measure, estimate in EVENT_MEASURES.items():
            rows.append(about | _row(measure, partial(estimate, horizon=horizon), total, without, study_patients))
    for w, window in enumerate(WINDOWS):
        for o, (outcome, measure) in enumerate(OUTCOME_MEASURES):
            about = {"outcome": outcome, "population": population, "window": window}
            estimate = partial(mean_contrast, window=w, outcome=o, is_ratio=outcome == "spwt")
            rows.append(about | _row(measure, estimate, total, without, study_patients))
    return rows


@dataclass(frozen=True)
class Estimate:
    """A contrast (a logarithm where `is_log`), the value in each arm, and the variance of n studies' worth.

    `unit_variance` is the variance of the contrast in a study, times the study's number of patients.
    """

    contrast: float
    tier: float | None
    reference: float | None
    unit_variance: float
    is_log: bool = False


def incidence_difference(sums: ContrastSums, horizon: int) -> Estimate:
    """Difference of cumulative incidences at the horizon, death competing."""
    return _event_contrast(sums, np.where(np.arange(HORIZONS_DAYS[-1] + 1) <= horizon, 1.0, 0.0))


def time_lost_difference(sums: ContrastSums, horizon: int) -> Estimate:
    """Difference of restricted time lost in days: area under the cumulative incidence up to the horizon."""
    return _event_contrast(sums, np.maximum(horizon - np.arange(HORIZONS_DAYS[-1] + 1.0), 0))


def marginal_hazard_ratio(sums: ContrastSums, horizon: int) -> Estimate:
    """Log hazard ratio of a Cox model with the tier alone, deaths censored (Breslow's likelihood on whole days)."""
    events, at_risk = [], []
    for arm in (sums.tier, sums.reference):
        gone = np.cumsum(arm.events + arm.deaths)
        at_risk.append((arm.weight - np.concatenate([[0.0], gone[:-1]]))[: horizon + 1])
        events.append(arm.events[: horizon + 1])
    if min(events[0].sum(), events[1].sum()) <= 0:
        return Estimate(np.nan, None, None, np.nan, is_log=True)
    log_ratio = 0.0
    for _ in range(50):
        share = at_risk[0] * np.exp(log_ratio) / (at_risk[0] * np.exp(log_ratio) + at_risk[1])
        both = events[0] + events[1]
        step = (events[0] - both * share).sum() / (both * share * (1 - share)).sum()
        log_ratio += step
        if abs(step) < 1e-12:
            break
    unit_variance = sum(
        arm.patients * arm.study_events[: horizon + 1].sum() / arm.events[: horizon + 1].sum() ** 2
        for arm in (sums.tier, sums.reference)
    )
    return Estimate(float(log_ratio), None, None, float(unit_variance), is_log=True)


def mean_contrast(sums: ContrastSums, window: int, outcome: int, is_ratio: bool) -> Estimate:
    """Difference of means among those alive; of logarithms (`is_ratio`) it is the log of a ratio of geometric means."""
    shape = (3, len(WINDOWS), len(OUTCOME_MEASURES))
    means, unit_variance = [], 0.0
    for arm in (sums.tier, sums.reference):
        alive, value, _ = arm.moments.reshape(shape)[:, window, outcome]
        study_alive, study_value, study_square = arm.study_moments.reshape(shape)[:, window, outcome]
        mean = float(value / alive)
        means.append(mean)
        squares = study_square - 2 * mean * study_value + mean**2 * study_alive
        unit_variance += float(arm.patients * squares / alive**2)
    arms = [float(np.exp(mean)) for mean in means] if is_ratio else means
    return Estimate(means[0] - means[1], arms[0], arms[1], unit_variance, is_log=is_ratio)


EVENT_MEASURES: dict[str, Callable[..., Estimate]] = {
    "incidence difference": incidence_difference,
    "time lost difference": time_lost_difference,
    "marginal hazard ratio": marginal_hazard_ratio,
}


def _event_contrast(sums: ContrastSums, worth: Array) -> Estimate:
    """Difference of the mean of a quantity that a patient with the event on day d scores `worth[d]`."""
    means, unit_variance = [], 0.0
    for arm in (sums.tier, sums.reference):
        mean = float(arm.events @ worth) / arm.weight
        square = arm.study_events @ (worth**2 - 2 * mean * worth) + mean**2 * arm.study_weight
        means.append(mean)
        unit_variance += float(arm.patients * square / arm.weight**2)
    return Estimate(means[0] - means[1], means[0], means[1], unit_variance)


def _row(
    measure: str,
    estimate: Callable[[ContrastSums], Estimate],
    total: ContrastSums,
    without: Sequence[ContrastSums],
    study_patients: int,
) -> dict[str, Any]:
    whole = estimate(total)
    left_out = np.array([estimate(sums).contrast for sums in without])
    count = len(left_out)
    jackknife = np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())
    value = np.exp(whole.contrast) if whole.is_log else whole.contrast
    return {
        "measure": measure,
        "value": _number(value),
        "tier_value": _number(whole.tier),
        "reference_value": _number(whole.reference),
        "monte_carlo_se": _number(jackknife),
        "study_se": _number(np.sqrt(whole.unit_variance / study_patients)),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.8g}")
