"""From simulated patients to the four tables of a release, as a clean registry would write them.

Flaws of a real extract are put in afterwards by `dirt.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulate.course import STEPS, YEAR, Course
from pipelines.simulate.follow_up import FollowUp
from pipelines.simulate.outcomes import TIME_LIMIT_S, Levels, as_nrs, as_odi
from pipelines.simulate.population import Array, BoolArray, IntArray, Patients
from pipelines.simulate.settings import TIERS, Settings
from pipelines.simulate.sites import SiteModel

TABLES = ("patients", "treatments", "assessments", "events")
_OTHER = len(TIERS)  # care outside the ladder
_TIER_WORDS = pl.Series([*TIERS, "other"])
# Codes that a claims-based site would send instead of a tier; two a tier, drawn at even odds.
_CODES = (
    (("CPT", "97110"), ("CPT", "97140")),
    (("CPT", "62323"), ("CPT", "64483")),
    (("CPT", "0275T"), ("HCPCS", "G0276")),
    (("CPT", "63047"), ("CPT", "63005")),
    (("CPT", "22633"), ("CPT", "22612")),
    (("CPT", "22867"), ("CPT", "22869")),
)
_STOP_REASONS = pl.Series(["claudication", "back_pain", "fatigue", "other_pain", "balance", "choice", "time_limit"])
_STOP_SHARES = np.cumsum([0.72, 0.08, 0.10, 0.04, 0.03, 0.03])
_HARMS = (
    "readmission",
    "infection",
    "dural_tear",
    "haematoma",
    "nerve_injury",
    "thromboembolism",
    "other_complication",
)
_HARM_SHARES = np.cumsum([0.45, 0.14, 0.12, 0.08, 0.04, 0.07, 0.10])
_FACTORS = {
    "insurance": pl.Series(["public", "private", "none"]),
    "education": pl.Series(["school", "college", "university"]),
}


@dataclass(frozen=True)
class Block:
    """Everything simulated about a block of patients; arrays in the same order of patients."""

    patients: Patients
    patient_id: pl.Series
    site_names: pl.Series
    tier: IntArray
    home_site: IntArray
    treating_site: IntArray
    course: Course
    follow_up: FollowUp
    levels: Levels
    sites: SiteModel


def block_tables(block: Block, settings: Settings, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    """The block's rows of the four tables, in order of patients and days (`site_sequence` counts within the block)."""
    return {
        "patients": _patients(block, rng),
        "treatments": _treatments(block, settings, rng),
        "assessments": _assessments(block, rng),
        "events": _events(block, settings, rng),
    }


# ------------------------------------------------------------------------------------------------------------ patients


def _patients(block: Block, rng: np.random.Generator) -> pl.DataFrame:
    p, f = block.patients, block.follow_up
    size = p.size
    sex = np.where(p.sex_other, 2, np.where(p.female, 0, 1))
    smoking = np.where(p.current_smoker, 2, np.where(p.former_smoker, 1, 0))
    insurance = np.digitize(rng.random(size) + 0.25 * (p.age_years >= 65), [-1, 0.6, 0.97])
    insurance = np.where(p.age_years >= 65, 0, np.clip(insurance - 1, 0, 2))
    frame = pl.DataFrame(
        {
            "patient_id": block.patient_id,
            "site_id": block.site_names.gather(block.home_site),
            "enrolment_year": f.enrolment_year,
            "age_years": p.age_years.astype(np.int64),
            "sex": pl.Series(["female", "male", "other"]).gather(sex),
            "bmi": p.bmi,
            "smoking": pl.Series(["never", "former", "current"]).gather(smoking),
            "comorbidity_count": p.comorbidity_count.astype(np.int64),
            "diabetes": p.diabetes,
            "depression": p.depression,
            "opioid_use": p.opioid_use,
            "prior_lumbar_surgery": p.prior_lumbar_surgery,
            "spondylolisthesis": p.spondylolisthesis,
            "stenosis_grade": pl.Series(["A", "B", "C", "D"]).gather(p.stenosis_grade.astype(np.int64)),
            "stenotic_levels": p.stenotic_levels.astype(np.int64),
            "symptom_months": p.symptom_months.astype(np.int64),
            "last_contact_day": f.last_contact_day,
            "administrative_end_day": f.administrative_end_day,
            "back_dominant": p.nrs_back > p.nrs_leg,
            "workers_comp": (rng.random(size) < 0.06) & (p.age_years < 67),
            "insurance": _FACTORS["insurance"].gather(insurance),
            "education": _FACTORS["education"].gather(p.education),
        }
    )
    return frame.with_columns(site_sequence=pl.int_range(1, pl.len() + 1).over("site_id"))


# ---------------------------------------------------------------------------------------------------------- treatments


def _treatments(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    who, day, tier, planned = _collect(
        [
            _index_care(block),
            _later_care(block),
            _history(block, rng),
            _repeat_injections(block, rng),
            _exercise_sessions(block, rng),
            _planned_stages(block, rng),
            _care_outside_the_ladder(block, rng),
        ]
    )
    keep = day <= block.follow_up.last_contact_day[who]
    who, day, tier, planned = who[keep], day[keep], tier[keep], planned[keep]
    order = np.lexsort((tier, day, who))
    who, day, tier, planned = who[order], day[order], tier[order], planned[order]
    size = who.size
    coded = rng.random(size) < settings.code_share
    choice = (rng.random(size) < 0.4).astype(np.int64)
    systems = pl.Series([system for pair in _CODES for system, _ in pair])
    codes = pl.Series([code for pair in _CODES for _, code in pair])
    site = np.where(day < 0, block.home_site[who], block.treating_site[who])
    operates = (tier >= 1) & (tier <= 5)
    frame = pl.DataFrame(
        {
            "patient_id": block.patient_id.gather(who),
            "day": day,
            "tier": _TIER_WORDS.gather(tier),
            "code": codes.gather(2 * tier + choice),
            "code_system": systems.gather(2 * tier + choice),
            "site_id": block.site_names.gather(site),
            "surgeon_id": block.site_names.gather(site)
            + pl.Series(["-a", "-b", "-c", "-d"]).gather(rng.integers(0, 4, size)),
            "levels_treated": np.maximum(
                block.patients.stenotic_levels[who].astype(np.int64) - (rng.random(size) < 0.3), 1
            ),
            "planned_stage": planned,
            "coded": coded,
            "operates": operates,
        }
    )
    return frame.select(
        pl.concat_str("patient_id", pl.lit("-t"), pl.int_range(1, pl.len() + 1).over("patient_id")).alias(
            "treatment_id"
        ),
        "patient_id",
        "day",
        tier=pl.when(~pl.col("coded")).then("tier"),
        code=pl.when("coded").then("code"),
        code_system=pl.when("coded").then("code_system"),
        site_id="site_id",
        surgeon_id=pl.when("operates").then("surgeon_id"),
        levels_treated=pl.when("operates").then("levels_treated"),
        planned_stage="planned_stage",
    )


_Care = tuple[IntArray, IntArray, IntArray, BoolArray]


def _care(who: IntArray, day: IntArray, tier: IntArray, planned: bool = False) -> _Care:
    return who, day.astype(np.int64), tier.astype(np.int64), np.full(who.size, planned)


def _collect(parts: Sequence[_Care]) -> _Care:
    who, day, tier, planned = (np.concatenate(column) for column in zip(*parts, strict=True))
    return who, day, tier, planned


def _index_care(block: Block) -> _Care:
    return _care(np.arange(block.patients.size), block.follow_up.start_day, block.tier)


def _later_care(block: Block) -> _Care:
    who, step = np.nonzero(block.course.step_tier >= 0)
    return _care(
        who, block.follow_up.start_day[who] + block.course.step_day[who, step], block.course.step_tier[who, step]
    )


def _history(block: Block, rng: np.random.Generator) -> _Care:
    """Distinct tiers before enrolment, as many as `prior_tiers` says: conservative care first, then injection."""
    size = block.patients.size
    injection_first = rng.random(size) < 0.15
    third = np.where(block.patients.prior_lumbar_surgery, 3, 2)
    order = np.column_stack([np.where(injection_first, 1, 0), np.where(injection_first, 0, 1), third])
    day = -rng.integers(20, 400, (size, 3)) - np.array([0, 0, 400])
    who, place = np.nonzero(np.arange(3) < block.patients.prior_tiers[:, None])
    return _care(who, day[who, place], order[who, place])


def _repeat_injections(block: Block, rng: np.random.Generator) -> _Care:
    """Up to three further injections while no higher tier has come (ENCORE allowed four a year)."""
    return _repeats(block, tier=1, shares=(0.55, 0.35, 0.2), gap=(60, 180), rng=rng)


def _exercise_sessions(block: Block, rng: np.random.Generator) -> _Care:
    return _repeats(block, tier=0, shares=(0.8, 0.5, 0.3), gap=(14, 45), rng=rng)


def _repeats(
    block: Block, tier: int, shares: tuple[float, ...], gap: tuple[int, int], rng: np.random.Generator
) -> _Care:
    size = block.patients.size
    until = np.minimum(block.course.step_day[:, 0], block.course.death_day)
    day, goes_on = np.zeros(size, dtype=np.int64), block.tier == tier
    parts = []
    for share in shares:
        day = day + rng.integers(*gap, size)
        goes_on = goes_on & (rng.random(size) < share) & (day < until)
        who = np.flatnonzero(goes_on)
        parts.append(_care(who, block.follow_up.start_day[who] + day[who], np.full(who.size, tier)))
    return _collect(parts)


def _planned_stages(block: Block, rng: np.random.Generator) -> _Care:
    """A second stage of the same plan, flagged, within 80 days: not failure."""
    day, luck = rng.integers(5, 80, block.patients.size), rng.random(block.patients.size)
    share = np.array([0.0, 0.0, 0.03, 0.03, 0.06])[block.tier]
    until = np.minimum(block.course.step_day[:, 0], block.course.death_day)
    who = np.flatnonzero((luck < share) & (day < until))
    return _care(who, block.follow_up.start_day[who] + day[who], block.tier[who], planned=True)


def _care_outside_the_ladder(block: Block, rng: np.random.Generator) -> _Care:
    """Interspinous spacers and the like, now and then; the model gives them no effect."""
    day, luck = rng.integers(30, 700, block.patients.size), rng.random(block.patients.size)
    who = np.flatnonzero((luck < 0.015) & (day < block.course.death_day))
    return _care(who, block.follow_up.start_day[who] + day[who], np.full(who.size, _OTHER))


# --------------------------------------------------------------------------------------------------------- assessments


@dataclass(frozen=True)
class _Occasions:
    """Baseline and five visits of every patient (patients × 6)."""

    day: IntArray
    is_seen: BoolArray
    is_in_clinic: BoolArray
    mode: IntArray


_MODES = pl.Series(["clinic", "phone", "web", "mail"])


def _occasions(block: Block, rng: np.random.Generator) -> _Occasions:
    f = block.follow_up
    size = block.patients.size
    baseline = f.start_day - np.minimum(rng.integers(0, 29, size), f.start_day)
    clinic = np.column_stack([rng.random(size) < 0.95, f.is_in_clinic])
    return _Occasions(
        day=np.column_stack([baseline, f.visit_day]),
        is_seen=np.column_stack([np.ones(size, dtype=bool), f.is_seen]),
        is_in_clinic=clinic,
        mode=np.where(clinic, 0, rng.integers(1, 4, clinic.shape)),
    )


def _assessments(block: Block, rng: np.random.Generator) -> pl.DataFrame:
    occasions = _occasions(block, rng)
    scores = _scores(block, rng)
    size = block.patients.size
    answered = rng.random((size, 6, len(scores))) < 0.985
    answered[:, 0, :3] = True  # the choice of a tier looked at these
    answered[:, 0, 5] = False  # satisfaction is asked after treatment only
    names = pl.Series([*scores, "spwt", "treadmill", "six_minute_walk"])
    values = np.stack([*scores.values()], axis=2)
    who, visit, item = np.nonzero(answered & occasions.is_seen[:, :, None])
    units = pl.Series(["points"] * 6 + ["index"])
    questionnaires = pl.DataFrame(
        {
            "who": who,
            "day": occasions.day[who, visit],
            "item": item,
            "value": values[who, visit, item],
            "unit": units.gather(item),
            "mode": _MODES.gather(occasions.mode[who, visit]),
            "duration_s": pl.Series([None] * who.size, dtype=pl.Int64),
            "stop_reason": pl.Series([None] * who.size, dtype=pl.String),
        }
    )
    walks = [_walks(block, occasions, place, rng) for place in range(3)]
    frame = pl.concat([questionnaires, *walks]).sort("who", "day", "item")
    return frame.select(
        patient_id=block.patient_id.gather(frame["who"]),
        day="day",
        instrument=names.gather(frame["item"]),
        value="value",
        unit="unit",
        mode="mode",
        duration_s="duration_s",
        stop_reason="stop_reason",
    )


def _scores(block: Block, rng: np.random.Generator) -> dict[str, Array]:
    """Questionnaire scores (patients × 6 occasions), the recorded baseline first."""
    p, v = block.patients, block.levels
    leg, back, odi = (
        np.column_stack([baseline, level])
        for baseline, level in (
            (p.nrs_leg, as_nrs(v.nrs_leg)),
            (p.nrs_back, as_nrs(v.nrs_back)),
            (p.odi, as_odi(v.odi)),
        )
    )
    true_odi = np.column_stack([p.true_odi, v.odi])
    true_leg = np.column_stack([p.true_leg, v.nrs_leg])
    own = rng.standard_normal((3, p.size, 1))
    noise = rng.standard_normal((4, *odi.shape))
    symptom = 3.15 + 0.022 * (true_odi - 43) + 0.09 * (true_leg - 6.5) + 0.30 * own[0] + 0.22 * noise[0]
    function = 2.52 + 0.018 * (true_odi - 43) + 0.03 * (true_leg - 6.5) + 0.25 * own[1] + 0.20 * noise[1]
    utility = (
        0.46 - 0.0095 * (true_odi - 43) - 0.06 * (p.stenosis_grade - 1.6)[:, None] + 0.12 * own[2] + 0.10 * noise[2]
    )
    improvement = (odi[:, [0]] - odi) / np.maximum(odi[:, [0]], 10)
    satisfaction = 2.3 - 1.1 * improvement + 0.45 * noise[3]
    return {
        "nrs_leg": leg,
        "nrs_back": back,
        "odi": odi,
        "zcq_symptom": np.round(np.clip(np.rint(symptom * 7) / 7, 1, 5), 2),
        "zcq_function": np.round(np.clip(np.rint(function * 5) / 5, 1, 4), 2),
        "zcq_satisfaction": np.round(np.clip(np.rint(satisfaction * 6) / 6, 1, 4), 2),
        "eq5d_3l": np.round(np.clip(utility, -0.594, 1.0), 3),
    }


# Walking tests: time limit (s), time and speed against the self-paced test; treadmill and corridor tests are done at a
# few sites only. Same people walked 987 m self-paced and 611 m on the treadmill (Tomkins 2009).
_WALKS = ((TIME_LIMIT_S, 1.0, 1.0), (900.0, 0.72, 0.85), (360.0, 0.95, 1.15))


def _walks(block: Block, occasions: _Occasions, place: int, rng: np.random.Generator) -> pl.DataFrame:
    limit, time_factor, speed_factor = _WALKS[place]
    p, v = block.patients, block.levels
    size = p.size
    noise = rng.standard_normal((2, size))
    log_time = np.column_stack([p.log_time + 0.20 * noise[0], v.log_time]) + np.log(time_factor)
    log_speed = np.column_stack([p.log_speed + 0.06 * noise[1], v.log_speed]) + np.log(speed_factor)
    if place:
        log_time = log_time + 0.15 * rng.standard_normal(log_time.shape)
    tested = occasions.is_seen & occasions.is_in_clinic & (rng.random(log_time.shape) < 0.97)
    if place == 1:
        tested &= (block.treating_site % 6 == 3)[:, None]
    elif place == 2:
        tested &= (block.treating_site % 6 == 5)[:, None]
    who, visit = np.nonzero(tested)
    seconds, speed = np.exp(log_time[who, visit]), np.exp(log_speed[who, visit])
    capped = seconds >= limit
    reason = np.searchsorted(_STOP_SHARES, rng.random(who.size) * _STOP_SHARES[-1])
    reason = np.where(capped, 6, np.minimum(reason, 5))
    duration = np.where(capped, limit, np.minimum(np.rint(seconds), limit - 1)).astype(np.int64)
    distance = np.rint(np.minimum(seconds, limit) * speed)
    return pl.DataFrame(
        {
            "who": who,
            "day": occasions.day[who, visit],
            "item": np.full(who.size, 7 + place),
            "value": distance,
            "unit": pl.repeat("m", who.size, eager=True),
            "mode": pl.repeat("clinic", who.size, eager=True),
            "duration_s": duration,
            "stop_reason": _STOP_REASONS.gather(reason),
        }
    )


# -------------------------------------------------------------------------------------------------------------- events


def _events(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    f, size = block.follow_up, block.patients.size
    everyone = np.arange(size)
    death = f.start_day + block.course.death_day
    parts = [(everyone[death <= f.last_contact_day], death[death <= f.last_contact_day], "death")]
    gone = f.withdrawal_day >= 0
    parts.append((everyone[gone], f.withdrawal_day[gone], "withdrawal"))
    parts += _harms(block, settings, rng)
    parts.append(_opioid_starts(block, settings, rng))
    control = settings.hazards.negative_control * np.exp(
        0.02 * (block.patients.age_years - 70) + settings.unmeasured * block.patients.unmeasured
    )
    parts.append((everyone, f.start_day + _days(control, rng), "negative_control"))
    frame = pl.concat(
        pl.DataFrame({"who": who, "day": day, "event": pl.repeat(event, who.size, eager=True)})
        for who, day, event in parts
    )
    frame = frame.filter(pl.col("day") <= pl.Series(f.last_contact_day).gather(frame["who"])).sort(
        "who", "day", "event"
    )
    return frame.select(patient_id=block.patient_id.gather(frame["who"]), day="day", event="event")


def _days(yearly: Array, rng: np.random.Generator) -> IntArray:
    years = rng.standard_exponential(yearly.size) / np.maximum(yearly, 1e-12)
    return np.ceil(np.minimum(years * YEAR, 1e6)).astype(np.int64)


def _harms(block: Block, settings: Settings, rng: np.random.Generator) -> list[tuple[IntArray, IntArray, str]]:
    """At most one harm after each treatment, on day 1 to 90, early ones more often."""
    p, size = block.patients, block.patients.size
    share = np.array(settings.hazards.harm_90_days.values)
    log_odds_shift = (
        0.18 * (p.comorbidity_count - 2) + 0.015 * (p.age_years - 70) + block.sites.log_harm[block.treating_site]
    )
    parts = []
    for step in range(-1, STEPS):
        tier = block.tier if step < 0 else block.course.step_tier[:, step]
        began = np.zeros(size, dtype=np.int64) if step < 0 else block.course.step_day[:, step]
        risk = share[np.maximum(tier, 0)]
        odds = risk / (1 - risk) * np.exp(log_odds_shift)
        kind = np.minimum(np.searchsorted(_HARM_SHARES, rng.random(size)), len(_HARMS) - 1)
        day = began + 1 + np.floor(90 * rng.random(size) ** 2.5).astype(np.int64)
        until = (
            block.course.death_day
            if step + 1 >= STEPS
            else np.minimum(block.course.death_day, block.course.step_day[:, step + 1])
        )
        happens = (tier >= 0) & (rng.random(size) < odds / (1 + odds)) & (day < until)
        for place, event in enumerate(_HARMS):
            who = np.flatnonzero(happens & (kind == place))
            parts.append((who, block.follow_up.start_day[who] + day[who], event))
    return parts


def _opioid_starts(block: Block, settings: Settings, rng: np.random.Generator) -> tuple[IntArray, IntArray, str]:
    p = block.patients
    yearly = np.array(settings.hazards.opioid_start.values)[block.tier] * np.exp(
        0.10 * (p.nrs_leg - 6.5) + 0.3 * (p.depression - 0.22)
    )
    day = _days(yearly, rng)
    who = np.flatnonzero(~p.opioid_use)
    return who, block.follow_up.start_day[who] + day[who], "opioid_start"
