"""Rows of the table `events`: death, withdrawal, harm, opioid start and the negative control."""

import numpy as np
import polars as pl

from pipelines.simulate.block import Block
from pipelines.simulate.course import STEPS, YEAR
from pipelines.simulate.population import Array, IntArray
from pipelines.simulate.settings import Settings

_HARM_SHARES = (
    ("readmission", 0.45),
    ("infection", 0.14),
    ("dural_tear", 0.12),
    ("haematoma", 0.08),
    ("nerve_injury", 0.04),
    ("thromboembolism", 0.07),
    ("other_complication", 0.10),
)
HARMS = tuple(event for event, _ in _HARM_SHARES)
_HARM_DAYS = 90

_Events = tuple[IntArray, IntArray, str]  # whose, day from enrolment, word


def event_rows(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    """All events up to last contact, in order of patients and days."""
    parts = [
        _deaths(block),
        _withdrawals(block),
        *_harms(block, settings, rng),
        _opioid_starts(block, settings, rng),
        _negative_control(block, settings, rng),
    ]
    frame = pl.concat(
        pl.DataFrame({"who": who, "day": day, "event": pl.repeat(event, who.size, eager=True)})
        for who, day, event in parts
    )
    last = pl.Series(block.follow_up.last_contact_day).gather(frame["who"])
    frame = frame.filter(frame["day"] <= last).unique().sort("who", "day", "event")
    return frame.select(patient_id=block.patient_id.gather(frame["who"]), day="day", event="event")


def _deaths(block: Block) -> _Events:
    day = block.follow_up.start_day + block.course.death_day
    return np.arange(day.size), day, "death"


def _withdrawals(block: Block) -> _Events:
    who = np.flatnonzero(block.follow_up.withdrawal_day >= 0)
    return who, block.follow_up.withdrawal_day[who], "withdrawal"


def _harms(block: Block, settings: Settings, rng: np.random.Generator) -> list[_Events]:
    """At most one harm after each treatment, within 90 days, early days more often."""
    p, course = block.patients, block.course
    share = np.array(settings.hazards.harm_90_days.values)
    shift = 0.18 * (p.comorbidity_count - 2) + 0.015 * (p.age_years - 70) + block.sites.log_harm[block.treating_site]
    cumulative = np.cumsum([weight for _, weight in _HARM_SHARES])
    parts = []
    for step in range(STEPS + 1):
        tier = block.tier if step == 0 else course.step_tier[:, step - 1]
        begins = np.zeros(p.size, dtype=np.int64) if step == 0 else course.step_day[:, step - 1]
        ends = course.death_day if step == STEPS else np.minimum(course.death_day, course.step_day[:, step])
        odds = share[np.maximum(tier, 0)] / (1 - share[np.maximum(tier, 0)]) * np.exp(shift)
        kind = np.minimum(np.searchsorted(cumulative, rng.random(p.size)), len(HARMS) - 1)
        day = begins + 1 + np.floor((_HARM_DAYS - 1) * rng.random(p.size) ** 2.5).astype(np.int64)
        happens = (tier >= 0) & (rng.random(p.size) < odds / (1 + odds)) & (day < ends)
        for place, event in enumerate(HARMS):
            who = np.flatnonzero(happens & (kind == place))
            parts.append((who, block.follow_up.start_day[who] + day[who], event))
    return parts


def _opioid_starts(block: Block, settings: Settings, rng: np.random.Generator) -> _Events:
    p = block.patients
    yearly = np.array(settings.hazards.opioid_start.values)[block.tier]
    day = _exponential_days(yearly * np.exp(0.10 * (p.nrs_leg - 6.5) + 0.3 * (p.depression - 0.22)), rng)
    who = np.flatnonzero(~p.opioid_use)
    return who, block.follow_up.start_day[who] + day[who], "opioid_start"


def _negative_control(block: Block, settings: Settings, rng: np.random.Generator) -> _Events:
    """The same hazard under every tier; only what nobody measured can make it differ between them."""
    p = block.patients
    hidden = settings.unmeasured * p.unmeasured
    yearly = settings.hazards.negative_control * np.exp(0.02 * (p.age_years - 70) + hidden)
    return np.arange(p.size), block.follow_up.start_day + _exponential_days(yearly, rng), "negative_control"


def _exponential_days(yearly: Array, rng: np.random.Generator) -> IntArray:
    years = rng.standard_exponential(yearly.size) / np.maximum(yearly, 1e-12)
    return np.ceil(np.minimum(years * YEAR, 1e6)).astype(np.int64)
