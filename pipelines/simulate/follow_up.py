"""Who is seen, and when: enrolment, data cut, loss, visits and dropout."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.course import YEAR, Course
from pipelines.simulate.outcomes import Levels
from pipelines.simulate.population import Array, BoolArray, IntArray, Patients
from pipelines.simulate.settings import Settings

NOMINAL_DAYS = np.array([42, 91, 182, 365, 730])
_JITTER_SD = np.array([4.0, 8.0, 15.0, 28.0, 45.0])
_JITTER_LIMIT = np.array([13, 26, 45, 90, 170])
_RETURN_SHIFT = np.array([0.45, 0.35, 0.15, 0.0, -0.45])  # log odds against the 12-month visit
_FIRST_ENROLMENT_YEAR, _CUT_YEAR_DAY = 2020, 2190  # the data cut lies 2,190 days after the first day of enrolment


@dataclass(frozen=True)
class FollowUp:
    """Days counted from enrolment, one element a patient, and the visits (patients × 5)."""

    start_day: IntArray
    enrolment_year: IntArray
    administrative_end_day: IntArray
    last_contact_day: IntArray
    withdrawal_day: IntArray
    visit_day: IntArray
    is_seen: BoolArray
    is_in_clinic: BoolArray


def visit_days(size: int, rng: np.random.Generator) -> Array:
    """Days from the start of the tier (patients × 5) around the nominal days of the visit windows."""
    jitter = rng.standard_normal((size, NOMINAL_DAYS.size)) * _JITTER_SD
    return NOMINAL_DAYS + np.rint(np.clip(jitter, -_JITTER_LIMIT, _JITTER_LIMIT))


def draw_follow_up(
    patients: Patients,
    tier: IntArray,
    course: Course,
    days: Array,
    levels: Levels,
    enrolment_place: Array,
    settings: Settings,
    rng: np.random.Generator,
) -> FollowUp:
    """Decide who is seen.

    Args:
        patients: the block.
        tier: index tier.
        course: the course under that tier.
        days: visit days from the start of the tier.
        levels: latent levels on those days (looked at under `mnar` only).
        enrolment_place: place in the order of enrolment, from 0 to 1.
        settings: the generator's settings.
        rng: the generator.
    """
    plan = settings.follow_up
    size = patients.size
    waiting_mean = np.array([8.0, 18.0, 32.0, 45.0, 55.0])[tier]
    start = np.minimum(np.floor(rng.gamma(1.5, waiting_mean / 1.5)), 180).astype(np.int64)
    enrolled = np.floor(enrolment_place * plan.accrual_days)
    cut = (plan.accrual_days + plan.first_cut_day - enrolled).astype(np.int64)
    risk = _dropout_score(patients)
    loss_years = rng.standard_exponential(size) / np.maximum(plan.loss_a_year * np.exp(0.5 * risk), 1e-12)
    lost = start + np.minimum(np.ceil(loss_years * YEAR), 1_000_000).astype(np.int64)
    withdraws = rng.random(size) < 0.3
    death = start + course.death_day
    alive_end = np.minimum(death, cut)
    contact = np.minimum(lost, alive_end)
    day = start[:, None] + days.astype(np.int64)
    seen = _is_seen(tier, levels, risk, settings, rng) & (day <= contact[:, None]) & (day < death[:, None])
    return FollowUp(
        start_day=start,
        enrolment_year=_FIRST_ENROLMENT_YEAR + np.floor(enrolled / YEAR).astype(np.int64),
        administrative_end_day=cut,
        last_contact_day=contact,
        withdrawal_day=np.where((lost < alive_end) & withdraws, lost, -1),
        visit_day=day,
        is_seen=seen,
        is_in_clinic=rng.random(day.shape) < plan.walking_test_share,
    )


def _dropout_score(patients: Patients) -> Array:
    """Lost patients were older, sicker and less educated (SPORT, 8 years)."""
    return (
        0.02 * (patients.age_years - 70)
        + 0.12 * (patients.comorbidity_count - 2)
        + 0.25 * (patients.depression - 0.22)
        - 0.20 * (patients.education - 0.9)
    )


def _is_seen(tier: IntArray, levels: Levels, risk: Array, settings: Settings, rng: np.random.Generator) -> BoolArray:
    kind = settings.follow_up.dropout
    luck, habit = rng.random(levels.odi.shape), rng.standard_normal(tier.size)
    if kind == "none":
        return np.ones(levels.odi.shape, dtype=bool)
    share = np.array(settings.follow_up.return_12_months.values)[tier]
    log_odds = np.log(share / (1 - share))[:, None] + _RETURN_SHIFT + 0.6 * habit[:, None]
    if kind in ("mar", "mnar"):
        log_odds = log_odds - 0.6 * risk[:, None]
    if kind == "mnar":
        log_odds = log_odds - 0.03 * (levels.odi - 33) - 0.15 * (levels.nrs_leg - 4.5)
    return luck < 1 / (1 + np.exp(-log_odds))
