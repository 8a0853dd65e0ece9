"""Rows of the table `assessments`: questionnaires and walking tests as they are recorded on each occasion seen."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulate.block import Block
from pipelines.simulate.outcomes import TIME_LIMIT_S, as_nrs, as_odi
from pipelines.simulate.population import WITHIN_PERSON_SD, Array, BoolArray, IntArray

_ITEM_ANSWERED = 0.985
_MODES = pl.Series(["clinic", "phone", "web", "mail"])
_STOP_REASONS = pl.Series(["claudication", "back_pain", "fatigue", "other_pain", "balance", "choice", "time_limit"])
_STOP_SHARES = np.cumsum([0.72, 0.08, 0.10, 0.04, 0.03, 0.03])
_AT_LIMIT = 6


@dataclass(frozen=True)
class _Walk:
    """A walking test: limit in seconds, time and speed relative to the self-paced test, and where it is done."""

    instrument: str
    limit_s: float
    time_factor: float
    speed_factor: float
    every_sixth_site_from: int | None


# The same people walked 987 m self-paced and 611 m on the treadmill (Tomkins 2009).
_WALKS = (
    _Walk("spwt", TIME_LIMIT_S, 1.0, 1.0, None),
    _Walk("treadmill", 900.0, 0.72, 0.85, 3),
    _Walk("six_minute_walk", 360.0, 0.95, 1.15, 5),
)
SCORES = ("nrs_leg", "nrs_back", "odi", "zcq_symptom", "zcq_function", "zcq_satisfaction", "eq5d_3l")
_CHOSEN_BY = 3  # the first three scores are always there at baseline: the choice of a tier looked at them
_SATISFACTION = SCORES.index("zcq_satisfaction")
_UNITS = pl.Series(["points"] * 6 + ["index"])
_INSTRUMENTS = pl.Series([*SCORES, *(walk.instrument for walk in _WALKS)])


@dataclass(frozen=True)
class _Occasions:
    """Baseline and later occasions (patients × occasions); modes as places in `_MODES`."""

    day: IntArray
    is_seen: BoolArray
    is_in_clinic: BoolArray
    mode: IntArray


def assessment_rows(block: Block, rng: np.random.Generator) -> pl.DataFrame:
    """All assessments, in order of patients, days and instruments."""
    occasions = _occasions(block, rng)
    parts = [_questionnaires(block, occasions, rng)]
    parts += [_walking_tests(block, occasions, place, rng) for place in range(len(_WALKS))]
    frame = pl.concat(parts).sort("who", "day", "item")
    return frame.select(
        block.patient_id.gather(frame["who"]).alias("patient_id"),
        "day",
        _INSTRUMENTS.gather(frame["item"]).alias("instrument"),
        "value",
        "unit",
        "mode",
        "duration_s",
        "stop_reason",
    )


def _occasions(block: Block, rng: np.random.Generator) -> _Occasions:
    f, size = block.follow_up, block.patients.size
    baseline = f.start_day - np.minimum(rng.integers(0, 29, size), f.start_day)
    seen = f.is_seen & (f.visit_day != baseline[:, None])
    clinic = np.column_stack([rng.random(size) < 0.95, f.is_in_clinic])
    return _Occasions(
        day=np.column_stack([baseline, f.visit_day]),
        is_seen=np.column_stack([np.ones(size, dtype=bool), seen]),
        is_in_clinic=clinic,
        mode=np.where(clinic, 0, rng.integers(1, _MODES.len(), clinic.shape)),
    )


def _questionnaires(block: Block, occasions: _Occasions, rng: np.random.Generator) -> pl.DataFrame:
    values = score_values(block, rng)
    answered = rng.random(values.shape) < _ITEM_ANSWERED
    answered[:, 0, :_CHOSEN_BY] = True
    answered[:, 0, _SATISFACTION] = False
    who, occasion, item = np.nonzero(answered & occasions.is_seen[:, :, None])
    return pl.DataFrame(
        {
            "who": who,
            "day": occasions.day[who, occasion],
            "item": item,
            "value": values[who, occasion, item],
            "unit": _UNITS.gather(item),
            "mode": _MODES.gather(occasions.mode[who, occasion]),
            "duration_s": pl.repeat(None, who.size, dtype=pl.Int64, eager=True),
            "stop_reason": pl.repeat(None, who.size, dtype=pl.String, eager=True),
        }
    )


def score_values(block: Block, rng: np.random.Generator) -> Array:
    """Questionnaire scores (patients × occasions × instruments), the recorded baseline first."""
    p, v = block.patients, block.levels
    odi = np.column_stack([p.odi, as_odi(v.odi)])
    odi_change = np.column_stack([np.zeros(p.size), v.odi - p.true_odi[:, None]])
    leg_change = np.column_stack([np.zeros(p.size), v.nrs_leg - p.true_leg[:, None]])
    odi_before, leg_before = (p.true_odi - 43)[:, None], (p.true_leg - 6.5)[:, None]
    grade = (p.stenosis_grade - 1.6)[:, None]
    own = rng.standard_normal((3, p.size, 1))
    noise = rng.standard_normal((4, *odi.shape))
    symptom = 3.19 + 0.020 * odi_before + 0.08 * leg_before + 0.12 * grade + 0.022 * odi_change + 0.09 * leg_change
    symptom = symptom + 0.30 * own[0] + 0.22 * noise[0]
    function = 2.54 + 0.016 * odi_before + 0.02 * leg_before + 0.08 * grade + 0.020 * odi_change + 0.03 * leg_change
    function = function + 0.25 * own[1] + 0.20 * noise[1]
    utility = 0.455 - 0.0065 * odi_before - 0.02 * (p.true_back - 6.2)[:, None] - 0.10 * grade - 0.012 * odi_change
    utility = utility + 0.12 * own[2] + 0.10 * noise[2]
    improvement = (odi[:, [0]] - odi) / np.maximum(odi[:, [0]], 10)
    satisfaction = 2.3 - 1.1 * improvement + 0.45 * noise[3]
    return np.stack(
        [
            np.column_stack([p.nrs_leg, as_nrs(v.nrs_leg)]),
            np.column_stack([p.nrs_back, as_nrs(v.nrs_back)]),
            odi,
            _mean_of_items(symptom, 7, 5),
            _mean_of_items(function, 5, 4),
            _mean_of_items(satisfaction, 6, 4),
            np.round(np.clip(utility, -0.594, 1.0), 3),
        ],
        axis=2,
    )


def _mean_of_items(score: Array, items: int, highest: int) -> Array:
    return np.asarray(np.round(np.clip(np.rint(score * items) / items, 1, highest), 2), dtype=np.float64)


def _walking_tests(block: Block, occasions: _Occasions, place: int, rng: np.random.Generator) -> pl.DataFrame:
    walk = _WALKS[place]
    p, v = block.patients, block.levels
    first = rng.standard_normal((2, p.size))
    baseline_time = p.log_time + WITHIN_PERSON_SD["log_time"] * first[0]
    baseline_speed = p.log_speed + WITHIN_PERSON_SD["log_speed"] * first[1]
    log_time = np.column_stack([baseline_time, v.log_time]) + np.log(walk.time_factor)
    log_speed = np.column_stack([baseline_speed, v.log_speed]) + np.log(walk.speed_factor)
    tested = occasions.is_seen & occasions.is_in_clinic & (rng.random(log_time.shape) < _ITEM_ANSWERED)
    if walk.every_sixth_site_from is not None:
        log_time = log_time + 0.15 * rng.standard_normal(log_time.shape)
        tested &= (block.treating_site % 6 == walk.every_sixth_site_from)[:, None]
    who, occasion = np.nonzero(tested)
    seconds, speed = np.exp(log_time[who, occasion]), np.exp(log_speed[who, occasion])
    is_at_limit = seconds >= walk.limit_s
    reason = np.searchsorted(_STOP_SHARES[:-1], rng.random(who.size))
    duration = np.where(is_at_limit, walk.limit_s, np.minimum(np.rint(seconds), walk.limit_s - 1))
    return pl.DataFrame(
        {
            "who": who,
            "day": occasions.day[who, occasion],
            "item": pl.repeat(len(SCORES) + place, who.size, dtype=pl.Int64, eager=True),
            "value": np.rint(np.minimum(seconds, walk.limit_s) * speed),
            "unit": pl.repeat("m", who.size, eager=True),
            "mode": pl.repeat("clinic", who.size, eager=True),
            "duration_s": duration.astype(np.int64),
            "stop_reason": _STOP_REASONS.gather(np.where(is_at_limit, _AT_LIMIT, reason)),
        }
    )
