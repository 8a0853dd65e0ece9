"""What happens to a patient after a tier begins: escalation, repeats, death. One call simulates one potential course.

Called with the tier that a patient got it makes the cohort; called with every tier in turn, and the same generator
state, it makes the potential outcomes that `truth.py` compares. Scores along the course belong in `outcomes.py`.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.population import Array, IntArray, Patients
from pipelines.simulate.settings import TIERS, Settings

STEPS = 4  # later tiers followed after the index tier
YEAR = 365.25
_NEVER = 1_000_000

# Where care goes next, by current tier: log odds at the average patient; −inf where the ladder has no such step.
_NO = -np.inf
_NEXT = np.array(
    [
        # conservative, esi, mild, laminectomy, fusion
        [_NO, 0.2, -1.2, -0.3, -1.3],
        [_NO, _NO, -0.9, 0.0, -0.9],
        [_NO, _NO, -0.7, 0.3, -0.7],
        [_NO, _NO, _NO, 0.0, 0.2],
        [_NO, _NO, _NO, -1.2, 0.6],
    ]
)


_EQUAL_NEXT = np.tile([_NO, _NO, -0.9, 0.0, -0.9], (len(TIERS), 1))


@dataclass(frozen=True)
class Course:
    """Later tiers in order (patients × STEPS) and the day of death, all in days from the start of the index tier.

    Days are whole, at least 1; a step or death that never comes lies beyond any follow-up.
    """

    tier: IntArray
    step_day: IntArray
    step_tier: IntArray
    death_day: IntArray

    def first_day(self, tiers: tuple[int, ...]) -> IntArray:
        """Day of the first later treatment in one of these tiers (beyond follow-up: none)."""
        wanted = np.isin(self.step_tier, tiers)
        return np.where(wanted, self.step_day, _NEVER).min(axis=1)


def simulate_course(
    patients: Patients, tier: IntArray, site_effect: Array, settings: Settings, rng: np.random.Generator
) -> Course:
    """Simulate later treatments and death after the index tier.

    Every draw has the same shape whatever the tier, so that two calls with equal generator states share their luck.

    Args:
        patients: the block.
        tier: index tier of each patient (rank from 0).
        site_effect: log hazard ratio of each patient's treating site.
        settings: the generator's settings.
        rng: the generator.
    """
    death = _death_day(patients, tier, settings, rng)
    pull = escalation_pull(patients, site_effect, settings)
    rates, shapes = _hazard_table(settings)
    next_odds = _EQUAL_NEXT if settings.hazards.kind == "equal" else _NEXT
    current, day = tier.copy(), np.zeros(patients.size)
    step_day = np.full((patients.size, STEPS), _NEVER, dtype=np.int64)
    step_tier = np.full((patients.size, STEPS), -1, dtype=np.int64)
    for step in range(STEPS):
        hazard = rng.standard_exponential(patients.size) * np.exp(-pull)
        years = hazard ** (1 / shapes[current]) / np.maximum(rates[current], 1e-12)
        day = day + np.maximum(np.ceil(years * YEAR), 1)
        current = _next_tier(patients, next_odds[current], rng)
        happens = (day < death) & (day < _NEVER)
        step_day[happens, step] = day[happens]
        step_tier[happens, step] = current[happens]
    return Course(tier, step_day, step_tier, death)


def _hazard_table(settings: Settings) -> tuple[Array, Array]:
    hazards = settings.hazards
    rates, shapes = np.array(hazards.yearly_rate.values), np.array(hazards.shape.values)
    if hazards.kind == "proportional":
        shapes = np.full(len(TIERS), 0.85)
    elif hazards.kind == "crossing":
        shapes = np.array([1.7, 0.7, 1.5, 0.55, 1.5])
    elif hazards.kind == "equal":
        rates, shapes = np.full(len(TIERS), rates[0]), np.full(len(TIERS), shapes[0])
    return rates * settings.hazard_scale, shapes


def escalation_pull(patients: Patients, site_effect: Array, settings: Settings) -> Array:
    """Log hazard ratio of later care, the same under every tier.

    Earlier surgery 1.65 (Deyo 2011); fewer reoperations with age and comorbidity.
    """
    return (
        0.50 * (patients.prior_lumbar_surgery - 0.12)
        - 0.030 * (patients.age_years - 70)
        - 0.08 * (patients.comorbidity_count - 2)
        + 0.20 * (patients.current_smoker - 0.12)
        + 0.20 * (patients.opioid_use - 0.25)
        + 0.25 * (patients.spondylolisthesis - 0.32)
        + 0.15 * (patients.stenosis_grade - 1.6)
        + 0.10 * (patients.nrs_leg - 6.5)
        + 0.008 * (patients.odi - 43)
        + settings.hazards.frailty * patients.need
        + 0.5 * settings.unmeasured * patients.unmeasured
        + site_effect
    )


def _next_tier(patients: Patients, log_odds: Array, rng: np.random.Generator) -> IntArray:
    score = log_odds.copy()
    score[:, 2] += 0.06 * (patients.age_years - 70)
    score[:, 4] += 1.2 * (patients.spondylolisthesis - 0.32)
    weight = np.exp(score)
    cumulative = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    return np.minimum((rng.random(patients.size)[:, None] > cumulative).sum(axis=1), len(TIERS) - 1)


def _death_day(patients: Patients, tier: IntArray, settings: Settings, rng: np.random.Generator) -> IntArray:
    """Gompertz mortality (about 1.75 % a year at 70, 3.75 % at 77) and deaths within 30 days of an operation."""
    growth = 0.105
    yearly = settings.hazards.death_at_70 * np.exp(
        growth * (patients.age_years - 70) + 0.18 * (patients.comorbidity_count - 2) - 0.25 * patients.female
    )
    years = np.log1p(growth * rng.standard_exponential(patients.size) / np.maximum(yearly, 1e-12)) / growth
    natural = np.ceil(years * YEAR)
    luck, operative_day = rng.random(patients.size), rng.integers(1, 31, patients.size)
    table = np.array(settings.hazards.perioperative_death.values)
    risk = np.zeros(tier.size) if settings.hazards.kind == "equal" else table[tier]
    return np.minimum(np.where(luck < risk, operative_day, natural), _NEVER).astype(np.int64)
