"""Who is seen, and when: enrolment, data cut, loss, visits and dropout."""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.course import YEAR, Course
from pipelines.simulate.outcomes import Levels, as_nrs
from pipelines.simulate.population import Array, BoolArray, IntArray, Patients
from pipelines.simulate.settings import FollowUpPlan, Settings

NOMINAL_DAYS = np.array([42, 91, 182, 365, 730])
_JITTER_SD = np.array([4.0, 8.0, 15.0, 28.0, 45.0])
_JITTER_LIMIT = np.array([13, 26, 45, 90, 170])
_RETURN_SHIFT = np.array([0.45, 0.35, 0.15, 0.0, -0.45])  # log odds of coming against the 12-month visit
_MEAN_WAITING_DAYS = np.array([8.0, 18.0, 32.0, 45.0, 55.0])  # from enrolment to the index tier
_FIRST_ENROLMENT_YEAR = 2020
_HABIT_SD = 0.6  # some patients always come, others hardly ever
_HABIT_FACTOR = 1.06  # undoes the pull of the habit towards one half


@dataclass(frozen=True)
class FollowUp:
    """Days counted from enrolment, one element a patient; visits are patients × occasions (see `visit_days`)."""

    start_day: IntArray
    enrolment_year: IntArray
    administrative_end_day: IntArray
    last_contact_day: IntArray
    withdrawal_day: IntArray
    visit_day: IntArray
    is_seen: BoolArray
    is_in_clinic: BoolArray


def visit_days(course: Course, rng: np.random.Generator) -> Array:
    """Days of possible visits from the start of the tier (patients × 7).

    Five around the nominal days, one unscheduled, and one shortly before the first later tier (beyond follow-up where
    there is none): the baseline of the next episode.
    """
    size = course.tier.size
    jitter = rng.standard_normal((size, NOMINAL_DAYS.size)) * _JITTER_SD
    scheduled = NOMINAL_DAYS + np.rint(np.clip(jitter, -_JITTER_LIMIT, _JITTER_LIMIT))
    unscheduled = rng.integers(10, 900, size)
    before_next = course.step_day[:, 0] - rng.integers(1, 22, size)
    return np.column_stack([scheduled, unscheduled, before_next]).astype(np.float64)


def draw_follow_up(
    patients: Patients,
    tier: IntArray,
    course: Course,
    days: Array,
    levels: Levels,
    enrolment_order: Array,
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
        enrolment_order: place in the order of enrolment, from 0 to 1.
        settings: the generator's settings.
        rng: the generator.
    """
    plan = settings.follow_up
    start = _waiting_days(tier, rng)
    enrolled = np.floor(enrolment_order * plan.accrual_days)
    cut = (plan.accrual_days + plan.first_cut_day - enrolled).astype(np.int64)
    risk = _dropout_score(patients)
    loss_years = rng.standard_exponential(patients.size) / np.maximum(plan.loss_a_year * np.exp(0.5 * risk), 1e-12)
    lost = start + np.ceil(np.minimum(loss_years * YEAR, 1_000_000)).astype(np.int64)
    tells = rng.random(patients.size) < 0.3
    death = start + course.death_day
    end = np.minimum(death, cut)
    contact = np.minimum(lost, end)
    visit = start[:, None] + days.astype(np.int64)
    is_seen = _comes(tier, levels, risk, settings, rng) & (visit <= contact[:, None]) & (visit < death[:, None])
    is_seen[:, -2:] &= _is_new_day(visit)
    return FollowUp(
        start_day=start,
        enrolment_year=_FIRST_ENROLMENT_YEAR + np.floor(enrolled / YEAR).astype(np.int64),
        administrative_end_day=cut,
        last_contact_day=contact,
        withdrawal_day=np.where((lost < end) & tells, lost, -1),
        visit_day=visit,
        is_seen=is_seen,
        is_in_clinic=rng.random(visit.shape) < plan.walking_test_share,
    )


def _waiting_days(tier: IntArray, rng: np.random.Generator) -> IntArray:
    return np.minimum(np.floor(rng.gamma(1.5, _MEAN_WAITING_DAYS[tier] / 1.5)), 180).astype(np.int64)


def _is_new_day(visit: IntArray) -> BoolArray:
    """Whether the unscheduled visit and the one before the next tier fall on days after the start without a visit."""
    unscheduled, before_next = visit[:, -2], visit[:, -1]
    scheduled = visit[:, :-2]
    return np.column_stack(
        [
            (scheduled != unscheduled[:, None]).all(axis=1),
            (scheduled != before_next[:, None]).all(axis=1) & (before_next != unscheduled),
        ]
    )


def _dropout_score(patients: Patients) -> Array:
    """Lost patients were older, sicker and less educated (SPORT, 8 years)."""
    return (
        0.02 * (patients.age_years - 70)
        + 0.12 * (patients.comorbidity_count - 2)
        + 0.25 * (patients.depression - 0.22)
        - 0.20 * (patients.education - 0.9)
    )


def _comes(tier: IntArray, levels: Levels, risk: Array, settings: Settings, rng: np.random.Generator) -> BoolArray:
    """Whether a patient comes to each visit.

    Under `mar` it depends on recorded covariates, the tier and (with `earlier_pain`) the leg pain last recorded; under
    `mnar` also on how the patient is on that very day.
    """
    plan = settings.follow_up
    luck, habit = rng.random(levels.odi.shape), rng.standard_normal(tier.size)
    scheduled = NOMINAL_DAYS.size
    if plan.dropout == "none":
        comes = np.ones(levels.odi.shape, dtype=bool)
    else:
        share = np.array(plan.return_12_months.values)[tier]
        log_odds = _HABIT_FACTOR * np.log(share / (1 - share))[:, None] + _RETURN_SHIFT + _HABIT_SD * habit[:, None]
        if plan.dropout != "mcar":
            log_odds = log_odds - 0.6 * risk[:, None]
        if plan.dropout == "mnar":
            now = 0.03 * (levels.odi - 33) + 0.15 * (levels.nrs_leg - 4.5)
            log_odds = log_odds - now[:, :scheduled]
        comes = np.ones(levels.odi.shape, dtype=bool)
        comes[:, :scheduled] = _one_by_one(log_odds, luck[:, :scheduled], levels, plan)
    comes[:, scheduled] = luck[:, scheduled] < plan.unscheduled_share
    comes[:, scheduled + 1] = luck[:, scheduled + 1] < plan.before_next_tier_share
    return comes


def _one_by_one(log_odds: Array, luck: Array, levels: Levels, plan: FollowUpPlan) -> BoolArray:
    """Visits in order, because under `mar` each may depend on the leg pain recorded before it."""
    slope = plan.earlier_pain if plan.dropout == "mar" else 0.0
    comes = np.empty(luck.shape, dtype=bool)
    shift = np.zeros(luck.shape[0])
    for visit in range(luck.shape[1]):
        comes[:, visit] = luck[:, visit] < 1 / (1 + np.exp(-(log_odds[:, visit] - shift)))
        recorded = slope * (as_nrs(levels.nrs_leg[:, visit]) - 4.5)
        shift = np.where(comes[:, visit], recorded, shift)
    return comes
