"""One block of simulated patients with everything that happens to them, before it is written down as rows.

A cohort is made of blocks of a fixed size, each with its own random generators, so that neither the number of files
nor the order in which blocks are computed changes a single value. How rows look belongs in the `*_rows.py` modules.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulate.course import Course, simulate_course
from pipelines.simulate.follow_up import FollowUp, draw_follow_up, visit_days
from pipelines.simulate.identifiers import patient_ids, site_ids
from pipelines.simulate.indication import indication_model
from pipelines.simulate.outcomes import Levels, latent_levels
from pipelines.simulate.population import IntArray, Patients, draw_patients
from pipelines.simulate.settings import Settings
from pipelines.simulate.sites import SiteModel, draw_sites, site_model

BLOCK_PATIENTS = 10_000
_SITES, _PEOPLE, _ROWS, _DIRT = range(4)  # first part of a generator's spawn key


@dataclass(frozen=True)
class Block:
    """A block of patients; all arrays in the same order of patients, tiers as ranks from 0, sites from 0."""

    patients: Patients
    patient_id: pl.Series
    site_names: pl.Series
    sites: SiteModel
    tier: IntArray
    home_site: IntArray
    treating_site: IntArray
    course: Course
    levels: Levels
    follow_up: FollowUp


def generator(seed: int, *key: int) -> np.random.Generator:
    """The generator of one part of a cohort: same seed and key, same numbers."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=key))


def row_generators(seed: int, number: int) -> list[np.random.Generator]:
    """One generator for each table's rows and one for the flaws put into them."""
    return [generator(seed, _ROWS, number, table) for table in range(4)] + [generator(seed, _DIRT, number)]


def block_count(patients: int) -> int:
    """How many blocks a cohort of so many patients has."""
    return -(-patients // BLOCK_PATIENTS)


def draw_block(number: int, patients: int, seed: int, settings: Settings) -> Block:
    """Simulate block `number` of a cohort of `patients` patients."""
    first = number * BLOCK_PATIENTS
    size = min(BLOCK_PATIENTS, patients - first)
    rng = generator(seed, _PEOPLE, number)
    sites = site_model(settings, generator(seed, _SITES))
    model = indication_model(settings)
    people = draw_patients(size, model.locations, settings.log_time_shift, rng)
    home = draw_sites(people, sites, rng)
    elsewhere = rng.random(size) < settings.sites.elsewhere_share
    treating = np.where(elsewhere, rng.integers(0, settings.sites.count, size), home)
    tier = model.draw(people, rng)
    course = simulate_course(people, tier, sites.log_hazard[treating], settings, rng)
    days = visit_days(course, rng)
    levels = latent_levels(people, course, days, sites.outcome[treating], settings, rng)
    enrolment_order = (first + np.arange(size) + rng.random(size)) / patients
    return Block(
        patients=people,
        patient_id=patient_ids(first, size, seed),
        site_names=site_ids(settings.sites.count),
        sites=sites,
        tier=tier,
        home_site=home,
        treating_site=treating,
        course=course,
        levels=levels,
        follow_up=draw_follow_up(people, tier, course, days, levels, enrolment_order, settings, rng),
    )
