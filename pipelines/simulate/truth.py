"""The truth about a cohort: what each neighbour contrast would be if both tiers were given to the same patients.

Both potential courses of many simulated patients are followed without loss, later care included (treatment policy),
and averaged over three populations with the true probabilities of treatment as weights:

- `ate`: patients whose index tier is one of the pair;
- `att`: patients whose index tier is the contrast's own;
- `overlap`: patients who could have had either (Li, Morgan and Zaslavsky 2018).

The truth belongs to the settings, not to a cohort: sites are drawn anew in every block. Sums are gathered block by
block; the spread of the blocks gives the Monte Carlo error. How estimates follow from sums is in `truth_estimates.py`.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.protocol import Protocol, load_protocol
from pipelines.protocol_parts import Contrast
from pipelines.resources import default_protocol_file
from pipelines.simulate.block import generator
from pipelines.simulate.course import Course, simulate_course
from pipelines.simulate.follow_up import NOMINAL_DAYS, visit_days
from pipelines.simulate.indication import indication_model
from pipelines.simulate.outcomes import Levels, as_nrs, as_odi, latent_levels
from pipelines.simulate.population import Array, draw_patients
from pipelines.simulate.settings import TIERS, Settings, settings_from
from pipelines.simulate.sites import draw_sites, site_model
from pipelines.simulate.truth_dropout import dropout_deltas
from pipelines.simulate.truth_estimates import ArmSums, ContrastSums, arm_sums, contrast_rows, outcome_moments

POPULATIONS = ("ate", "att", "overlap")
STUDY_PATIENTS = 20_000  # the study that the Monte Carlo error is measured against
_BLOCK = 2_500
_SIZE = 300_000  # every value's Monte Carlo error is within a tenth of `study_se`, whatever the cohort's size
_FEWEST_BLOCKS = 8  # the jackknife needs some
_TRUTH_SEED = 711
_EVERYONE, _FUTURE = 0, 1


@dataclass(frozen=True)
class _Question:
    """A neighbour contrast: its tiers (ranks) and the tiers whose beginning is the event."""

    name: str
    tier: int
    reference: int
    endpoint: str
    event_tiers: tuple[int, ...]


@dataclass(frozen=True)
class _Future:
    """One potential course of every patient of a block, with the moments of its outcomes."""

    course: Course
    moments: Array


def truth_document(
    patients: int, seed: int, settings: Settings, scenario: str | None = None, truth_patients: int | None = None
) -> dict[str, Any]:
    """What `truth.json` holds: the settings and one row for each contrast, population, horizon or window and measure.

    Args:
        patients: size of the cohort.
        seed: seed of the cohort (recorded; the truth does not depend on it).
        settings: the generator's settings.
        scenario: name of the scenario that they come from (None: none).
        truth_patients: size of the simulation; None: 300,000 (some seconds; Monte Carlo errors within a tenth of
            `study_se`).
    """
    size = truth_patients or _SIZE
    document: dict[str, Any] = {
        "settings": {
            "patients": patients,
            "seed": seed,
            "scenario": scenario,
            "dropout": settings.follow_up.dropout,
            "truth_patients": _blocks(size) * _BLOCK,
            "truth_seed": _TRUTH_SEED,
            "generator": settings.model_dump(mode="json"),
        },
        "about": (
            "Potential outcomes of the generator, later care included, deaths competing (incidence) or while alive "
            "(scores, walking); simulator settings, not findings. monte_carlo_se: standard error of the value; "
            f"study_se: of a study of {STUDY_PATIENTS} patients with complete follow-up and known propensity; both of "
            "the logarithm where the value is a ratio. "
            "The hazard ratio is the one that a Cox model with the tier alone tends to over the horizon."
        ),
        "truth": list(truth_rows(settings, size)),
    }
    if settings.follow_up.dropout == "mnar":
        document["dropout_deltas"] = dropout_deltas(settings, size, _TRUTH_SEED)
    return document


def write_truth(path: Path, document: dict[str, Any]) -> None:
    """Write `truth.json`, one row a line."""
    head = {key: value for key, value in document.items() if not isinstance(value, list)}
    lists = [
        f'  "{key}": [\n    ' + ",\n    ".join(json.dumps(row) for row in rows) + "\n  ]"
        for key, rows in document.items()
        if isinstance(rows, list)
    ]
    path.write_text(",\n".join([json.dumps(head, indent=2)[:-2], *lists]) + "\n}\n", encoding="utf-8")


def truth_frame(settings: Settings | str | None = None, size: int = _SIZE) -> pl.DataFrame:
    """All true values of these settings as a frame, for studies that hold estimates against them.

    Returns:
        contrast, tier, reference, endpoint, outcome, population, horizon_days, window, measure, value, tier_value,
        reference_value, monte_carlo_se, study_se (see `truth_document`; null where a column does not apply).
    """
    return pl.DataFrame(list(truth_rows(settings_from(settings), size)), infer_schema_length=None).select(
        "contrast", "tier", "reference", "endpoint", "outcome", "population", "horizon_days", "window", "measure",
        "value", "tier_value", "reference_value", "monte_carlo_se", "study_se",
    )  # fmt: skip


@lru_cache(maxsize=16)
def truth_rows(settings: Settings, size: int) -> tuple[dict[str, Any], ...]:
    """All true values of these settings, from a simulation of `size` patients (in blocks of 2,500, at least 8)."""
    questions = _questions(load_protocol(default_protocol_file()))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        sums = list(pool.map(lambda number: _block_sums(number, questions, settings), range(_blocks(size))))
    rows: list[dict[str, Any]] = []
    for place, question in enumerate(questions):
        named = {
            "contrast": question.name,
            "tier": TIERS[question.tier],
            "reference": TIERS[question.reference],
        }
        for population in POPULATIONS:
            parts = [block[place][population] for block in sums]
            rows += [named | row for row in contrast_rows(parts, population, question.endpoint, STUDY_PATIENTS)]
    return tuple(rows)


def _blocks(size: int) -> int:
    return max(-(-size // _BLOCK), _FEWEST_BLOCKS)


def _questions(protocol: Protocol) -> tuple[_Question, ...]:
    return tuple(_question(protocol, contrast) for contrast in protocol.contrasts if contrast.endpoint)


def _question(protocol: Protocol, contrast: Contrast) -> _Question:
    endpoint = protocol.endpoint(str(contrast.endpoint))
    events = tuple(TIERS.index(tier) for tier in endpoint.treatments)
    return _Question(contrast.name, TIERS.index(contrast.tier), TIERS.index(contrast.reference), endpoint.name, events)


def _block_sums(number: int, questions: tuple[_Question, ...], settings: Settings) -> list[dict[str, ContrastSums]]:
    """Sums of one block, a dictionary of populations for each question."""
    rng = generator(_TRUTH_SEED, _EVERYONE, number)
    model = indication_model(settings)
    patients = draw_patients(_BLOCK, model.locations, settings.log_time_shift, rng)
    sites = site_model(settings, rng)
    site = draw_sites(patients, sites, rng)
    chance = model.probabilities(patients)
    futures = {}
    for tier in sorted({rank for question in questions for rank in (question.tier, question.reference)}):
        same_luck = generator(_TRUTH_SEED, _FUTURE, number)
        given = np.full(_BLOCK, tier)
        course = simulate_course(patients, given, sites.log_hazard[site], settings, same_luck)
        days = visit_days(course, same_luck)[:, : NOMINAL_DAYS.size]
        levels = latent_levels(patients, course, days, sites.outcome[site], settings, same_luck)
        futures[tier] = _Future(course, outcome_moments(_recorded(levels), days < course.death_day[:, None]))
    return [_question_sums(question, chance, futures) for question in questions]


def _recorded(levels: Levels) -> Array:
    return np.stack(
        [
            as_nrs(levels.nrs_leg),
            as_nrs(levels.nrs_back),
            as_odi(levels.odi),
            levels.log_time + levels.log_speed,
            levels.log_time,
            levels.log_speed,
        ],
        axis=2,
    )


def _question_sums(question: _Question, chance: Array, futures: dict[int, _Future]) -> dict[str, ContrastSums]:
    own, other = chance[:, question.tier], chance[:, question.reference]
    targets = {"ate": own + other, "att": own, "overlap": own * other / (own + other)}

    def sums(rank: int, target: Array) -> ArmSums:
        future = futures[rank]
        event_day = future.course.first_day(question.event_tiers)
        return arm_sums(target, chance[:, rank], event_day, future.course.death_day, future.moments)

    return {
        population: ContrastSums(sums(question.tier, target), sums(question.reference, target))
        for population, target in targets.items()
    }
