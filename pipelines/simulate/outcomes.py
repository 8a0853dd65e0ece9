"""Scores and walking along a course: what a patient would show on a given day after the index tier began.

Latent levels first (`latent_levels`), then what an instrument records of them (`as_scores`, `as_walk`). Who is seen,
and when, belongs in `follow_up.py`.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.course import STEPS, Course
from pipelines.simulate.population import WITHIN_PERSON_SD, Array, Patients
from pipelines.simulate.settings import Settings

OUTCOMES = ("nrs_leg", "nrs_back", "odi", "walking", "speed")
TIME_LIMIT_S = 1800.0
_KNOTS = np.array([0, 42, 91, 182, 365, 730, 1825])
# Share of the 12-month effect reached by then, by tier: injections help early and fade (LESS), operations last.
_REACHED = np.array(
    [
        [0, 0.60, 0.90, 1.00, 1.00, 0.95, 0.90],
        [0, 2.35, 1.85, 1.30, 1.00, 0.90, 0.85],
        [0, 0.75, 0.90, 1.00, 1.00, 0.95, 0.90],
        [0, 0.70, 0.90, 1.00, 1.00, 0.95, 0.90],
        [0, 0.50, 0.80, 0.95, 1.00, 1.00, 0.95],
    ]
)
_LATER_TIER_SHARE = 0.85  # a tier reached by escalation does a little less than the same tier at the start
_RESPONSE_SD = {"nrs_leg": 1.8, "nrs_back": 1.7, "odi": 13.0, "walking": 0.45, "speed": 0.05}
_PROGNOSIS_SD = {"nrs_leg": 2.2, "nrs_back": 2.2, "odi": 15.0, "walking": -0.6, "speed": -0.1}


@dataclass(frozen=True)
class Levels:
    """Latent levels (patients × days): scores in points, log seconds to stop, log metres a second."""

    nrs_leg: Array
    nrs_back: Array
    odi: Array
    log_time: Array
    log_speed: Array


def latent_levels(
    patients: Patients, course: Course, day: Array, site_effect: Array, settings: Settings, rng: np.random.Generator
) -> Levels:
    """Levels on the given days (patients × days) from the start of the index tier, measurement noise included.

    Args:
        patients: the block.
        course: its course; a later tier replaces the effect of the one before (treatment policy).
        day: days from the start of the index tier.
        site_effect: of each patient's treating site, in standard deviations (positive: worse).
        settings: the generator's settings.
        rng: the generator; the draws do not depend on the course.
    """
    effects = _effects(patients, course, day, settings)
    ramp = np.clip(day / 42, 0, 1)
    burden = (_prognosis(patients) + site_effect + 0.5 * settings.unmeasured * patients.unmeasured)[:, None] * ramp
    base = {
        "nrs_leg": patients.true_leg,
        "nrs_back": patients.true_back,
        "odi": patients.true_odi,
        "walking": patients.log_time,
        "speed": patients.log_speed,
    }
    level = {}
    for name in OUTCOMES:
        own = 0.7 * patients.response + np.sqrt(1 - 0.7**2) * rng.standard_normal(patients.size)
        direction = -1.0 if name in ("walking", "speed") else 1.0
        noise = WITHIN_PERSON_SD[{"walking": "log_time", "speed": "log_speed"}.get(name, name)]
        level[name] = (
            base[name][:, None]
            + effects[name]
            + _PROGNOSIS_SD[name] * burden
            + direction * _RESPONSE_SD[name] * own[:, None] * ramp
            + noise * rng.standard_normal(day.shape)
        )
    return Levels(level["nrs_leg"], level["nrs_back"], level["odi"], level["walking"], level["speed"])


def _effects(patients: Patients, course: Course, day: Array, settings: Settings) -> dict[str, Array]:
    modifier = _modifier(patients, settings)
    current = np.broadcast_to(course.tier[:, None], day.shape)
    since = day
    later = np.zeros(day.shape, dtype=bool)
    for step in range(STEPS):
        reached = day >= course.step_day[:, [step]]
        current = np.where(reached, course.step_tier[:, [step]], current)
        since = np.where(reached, day - course.step_day[:, [step]], since)
        later = later | reached
    reached_share = _time_course(current, since)
    conservative_share = np.interp(since, _KNOTS, _REACHED[0])
    attenuation = np.where(later, _LATER_TIER_SHARE, 1.0)
    operative = current >= 2
    result = {}
    for name in OUTCOMES:
        change = np.array(getattr(settings.effects, name).values)
        natural = change[0] * conservative_share
        specific = settings.effect_scale * (change[current] * reached_share - natural)
        result[name] = attenuation * (natural + specific * np.where(operative, modifier[:, None], 1.0))
    return result


def _time_course(tier: np.ndarray, since: Array) -> Array:
    share = np.empty(since.shape)
    for rank, reached in enumerate(_REACHED):
        chosen = tier == rank
        share[chosen] = np.interp(since[chosen], _KNOTS, reached)
    return share


def _modifier(patients: Patients, settings: Settings) -> Array:
    """Effect of an operation relative to its average, from SPORT (Pearson 2012): smoker −1.6 against −11.7 ODI points,
    leg-dominant −11.5 against back-dominant −7.3, ODI up to 56 −15.0 against −4.4."""
    smoking = np.where(patients.current_smoker, 0.15, 1.12)
    dominance = np.where(patients.nrs_back > patients.nrs_leg, 0.75, 1.16)
    disability = np.where(patients.odi > 56, 0.45, 1.15)
    return 1 + settings.effect_modification * (smoking * dominance * disability - 1)


def _prognosis(patients: Patients) -> Array:
    """How much worse a patient does whatever the tier, in standard deviations."""
    return (
        0.06 * (patients.comorbidity_count - 2)
        + 0.15 * (patients.depression - 0.22)
        + 0.15 * (patients.current_smoker - 0.12)
        + 0.20 * (patients.prior_lumbar_surgery - 0.12)
        + 0.15 * (patients.opioid_use - 0.25)
        + 0.004 * (patients.symptom_months - 32)
        + 0.015 * (patients.bmi - 29)
        + 0.008 * (patients.age_years - 70)
        + 0.05 * (patients.prior_tiers - 1.1)
        - 0.05 * (patients.stenosis_grade - 1.6)
    )


def as_nrs(level: Array) -> Array:
    """Numeric rating scale: whole points from 0 to 10."""
    return np.clip(np.rint(level), 0, 10)


def as_odi(level: Array) -> Array:
    """Oswestry Disability Index: ten items of 0–5, so even numbers from 0 to 100."""
    return np.clip(2 * np.rint(level / 2), 0, 100)
