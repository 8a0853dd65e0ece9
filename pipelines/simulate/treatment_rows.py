"""Rows of the table `treatments`: the index tier, what came before and after it, and care that opens no episode."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulate.block import Block
from pipelines.simulate.population import BoolArray, IntArray
from pipelines.simulate.settings import TIERS, Settings

_CONSERVATIVE, _INJECTION, _MILD, _LAMINECTOMY = 0, 1, 2, 3
_OTHER = len(TIERS)  # care outside the ladder
_TIER_WORDS = pl.Series([*TIERS, "other"])
# Codes that a claims-based site sends instead of a tier, two a tier.
_CODE_SYSTEMS = pl.Series(["CPT", "CPT", "CPT", "CPT", "CPT", "HCPCS", "CPT", "CPT", "CPT", "CPT", "CPT", "CPT"])
_CODES = pl.Series(
    ["97110", "97140", "62323", "64483", "0275T", "G0276", "63047", "63005", "22633", "22612", "22867", "22869"]
)
_SURGEONS = pl.Series(["-a", "-b", "-c", "-d"])


@dataclass(frozen=True)
class _Care:
    """Treatments of many patients: whose (place in the block), day from enrolment, rank of the tier, if planned."""

    who: IntArray
    day: IntArray
    tier: IntArray
    planned: BoolArray

    def take(self, rows: np.ndarray) -> "_Care":
        return _Care(self.who[rows], self.day[rows], self.tier[rows], self.planned[rows])


def treatment_rows(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    """All treatments up to last contact, in order of patients and days."""
    care = _joined(
        [
            _index_care(block),
            _later_care(block),
            _history(block, rng),
            _repeats(block, _INJECTION, (0.55, 0.35, 0.20), (60, 180), rng),  # ENCORE allowed four a year
            _repeats(block, _CONSERVATIVE, (0.80, 0.50, 0.30), (14, 45), rng),
            _rehabilitation(block, rng),
            _planned_stages(block, rng),
            _care_outside_the_ladder(block, rng),
        ]
    )
    care = care.take(np.flatnonzero(care.day <= block.follow_up.last_contact_day[care.who]))
    return _frame(block, care.take(np.lexsort((care.tier, care.day, care.who))), settings, rng)


def _frame(block: Block, care: _Care, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    size = care.who.size
    code = 2 * care.tier + (rng.random(size) < 0.4)
    site = block.site_names.gather(np.where(care.day < 0, block.home_site[care.who], block.treating_site[care.who]))
    levels = block.patients.stenotic_levels[care.who].astype(np.int64) - (rng.random(size) < 0.3)
    frame = pl.DataFrame(
        {
            "patient_id": block.patient_id.gather(care.who),
            "day": care.day,
            "tier": _TIER_WORDS.gather(care.tier),
            "code": _CODES.gather(code),
            "code_system": _CODE_SYSTEMS.gather(code),
            "site_id": site,
            "surgeon_id": site + _SURGEONS.gather(rng.integers(0, _SURGEONS.len(), size)),
            "levels_treated": np.maximum(levels, 1),
            "planned_stage": care.planned,
            "is_coded": rng.random(size) < settings.code_share,
            "is_procedure": care.tier != _CONSERVATIVE,
        }
    )
    number = pl.int_range(1, pl.len() + 1).over("patient_id")
    return frame.select(
        pl.concat_str("patient_id", pl.lit("-t"), number).alias("treatment_id"),
        "patient_id",
        "day",
        pl.when(~pl.col("is_coded")).then("tier").alias("tier"),
        pl.when("is_coded").then("code").alias("code"),
        pl.when("is_coded").then("code_system").alias("code_system"),
        "site_id",
        pl.when("is_procedure").then("surgeon_id").alias("surgeon_id"),
        pl.when("is_procedure").then("levels_treated").alias("levels_treated"),
        "planned_stage",
    )


def _care(block: Block, who: IntArray, day_from_start: IntArray, tier: IntArray | int, planned: bool = False) -> _Care:
    day = block.follow_up.start_day[who] + day_from_start
    return _Care(who, day, np.broadcast_to(tier, who.shape), np.full(who.shape, planned))


def _joined(parts: Sequence[_Care]) -> _Care:
    return _Care(
        np.concatenate([part.who for part in parts]),
        np.concatenate([part.day for part in parts]),
        np.concatenate([part.tier for part in parts]),
        np.concatenate([part.planned for part in parts]),
    )


def _until(block: Block) -> IntArray:
    """First day on which another tier begins or the patient has died."""
    return np.minimum(block.course.step_day[:, 0], block.course.death_day)


def _index_care(block: Block) -> _Care:
    who = np.arange(block.patients.size)
    return _care(block, who, np.zeros_like(who), block.tier)


def _later_care(block: Block) -> _Care:
    who, step = np.nonzero(block.course.step_tier >= 0)
    return _care(block, who, block.course.step_day[who, step], block.course.step_tier[who, step])


def _history(block: Block, rng: np.random.Generator) -> _Care:
    """Distinct tiers before enrolment, as many as `prior_tiers` says: mostly conservative care, then injection."""
    size = block.patients.size
    injection_first = rng.random(size) < 0.15
    third = np.where(block.patients.prior_lumbar_surgery, _LAMINECTOMY, _MILD)
    order = np.column_stack([np.where(injection_first, 1, 0), np.where(injection_first, 0, 1), third])
    day = -rng.integers(20, 400, (size, 3)) - np.array([0, 0, 400])
    who, place = np.nonzero(np.arange(3) < block.patients.prior_tiers[:, None])
    return _Care(who, day[who, place], order[who, place], np.zeros(who.size, dtype=bool))


def _repeats(
    block: Block, tier: int, shares: tuple[float, ...], gap_days: tuple[int, int], rng: np.random.Generator
) -> _Care:
    """Further rounds of the same care while nothing else has begun; each round goes on with its own share."""
    size = block.patients.size
    day, goes_on = np.zeros(size, dtype=np.int64), block.tier == tier
    parts = []
    for share in shares:
        day = day + rng.integers(*gap_days, size)
        goes_on = goes_on & (rng.random(size) < share) & (day < _until(block))
        who = np.flatnonzero(goes_on)
        parts.append(_care(block, who, day[who], tier))
    return _joined(parts)


def _rehabilitation(block: Block, rng: np.random.Generator) -> _Care:
    """Exercise after a procedure: a lower tier, which belongs to the running episode."""
    day, luck = rng.integers(14, 90, block.patients.size), rng.random(block.patients.size)
    who = np.flatnonzero((block.tier >= _MILD) & (luck < 0.35) & (day < _until(block)))
    return _care(block, who, day[who], _CONSERVATIVE)


def _planned_stages(block: Block, rng: np.random.Generator) -> _Care:
    """A second stage of the same plan, flagged, within 80 days: not failure."""
    day, luck = rng.integers(5, 80, block.patients.size), rng.random(block.patients.size)
    share = np.array([0.0, 0.0, 0.03, 0.03, 0.06])[block.tier]
    who = np.flatnonzero((luck < share) & (day < _until(block)))
    return _care(block, who, day[who], block.tier[who], planned=True)


def _care_outside_the_ladder(block: Block, rng: np.random.Generator) -> _Care:
    """Interspinous spacers now and then; the model gives them no effect."""
    day, luck = rng.integers(30, 700, block.patients.size), rng.random(block.patients.size)
    who = np.flatnonzero((luck < 0.015) & (day < block.course.death_day))
    return _care(block, who, day[who], _OTHER)
