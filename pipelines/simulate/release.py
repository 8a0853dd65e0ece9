"""Writes a simulated cohort as a release folder: blocks of patients, files in parts, manifest.

A cohort is made of fixed-size blocks, each with its own random generator, so that neither the number of parts nor the
order in which blocks are computed changes a single value.
"""

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from pipelines.simulate.course import simulate_course
from pipelines.simulate.follow_up import draw_follow_up, visit_days
from pipelines.simulate.identifiers import patient_ids, site_ids
from pipelines.simulate.indication import indication_model
from pipelines.simulate.outcomes import latent_levels
from pipelines.simulate.population import draw_patients
from pipelines.simulate.records import TABLES, Block, block_tables
from pipelines.simulate.settings import Settings, settings_from
from pipelines.simulate.sites import draw_sites, site_model

BLOCK_PATIENTS = 10_000


def simulate(
    out_dir: Path,
    patients: int,
    seed: int,
    format: Literal["csv", "parquet"] = "csv",
    settings: Settings | str | None = None,
) -> Path:
    """Write a release of simulated patients and return its folder."""
    chosen = settings_from(settings)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    blocks = [simulate_block(i, patients, seed, chosen) for i in range(-(-patients // BLOCK_PATIENTS))]
    lines = [
        'release = "' + out_dir.name + '"',
        'source = "simulated"',
        'deidentification = "synthetic"',
        'linkage = "all payers"',
        'data_use_agreement = ""',
    ]
    for table in TABLES:
        frame = pl.concat(block[table] for block in blocks)
        file = out_dir / f"{table}.{format}"
        frame.write_csv(file) if format == "csv" else frame.write_parquet(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += [
            "",
            f"[tables.{table}]",
            f'files = ["{file.name}"]',
            f"rows = {frame.height}",
            f'sha256 = ["{digest}"]',
        ]
    (out_dir / "manifest.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out_dir


def simulate_block(number: int, patients: int, seed: int, settings: Settings) -> dict[str, pl.DataFrame]:
    """The four tables of one block of the cohort."""
    first = number * BLOCK_PATIENTS
    size = min(BLOCK_PATIENTS, patients - first)
    rng = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(1, number)))
    sites = site_model(settings, np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(0,))))
    model = indication_model(settings)
    people = draw_patients(size, model.locations, settings.log_time_shift, rng)
    home = draw_sites(people, sites, rng)
    elsewhere = rng.random(size) < settings.sites.elsewhere_share
    treating = np.where(elsewhere, rng.integers(0, settings.sites.count, size), home)
    tier = model.draw(people, rng)
    course = simulate_course(people, tier, sites.log_hazard[treating], settings, rng)
    days = visit_days(size, rng)
    levels = latent_levels(people, course, days, sites.outcome[treating], settings, rng)
    place = (first + np.arange(size) + rng.random(size)) / patients
    follow_up = draw_follow_up(people, tier, course, days, levels, place, settings, rng)
    block = Block(
        patients=people,
        patient_id=patient_ids(first, size, seed),
        site_names=site_ids(settings.sites.count),
        tier=tier,
        home_site=home,
        treating_site=treating,
        course=course,
        follow_up=follow_up,
        levels=levels,
        sites=sites,
    )
    return block_tables(block, settings, rng)
