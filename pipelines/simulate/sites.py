"""Sites and surgeons: where care is given and how the place changes results.

Who comes to a site may depend on recorded covariates, never on the tier given them, so that sites do not confound
the comparison of tiers.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.simulate.population import Array, IntArray, Patients
from pipelines.simulate.settings import Settings


@dataclass(frozen=True)
class SiteModel:
    """Sites of a cohort: size (log), effect on outcomes (standard deviations, positive: worse) and on escalation."""

    log_size: Array
    outcome: Array
    log_hazard: Array
    log_harm: Array
    hard_case_site: int
    poor_site: int


def site_model(settings: Settings, rng: np.random.Generator) -> SiteModel:
    """Draw the sites of a cohort. The second site (if wanted) is truly poor, the third has hard cases only."""
    count = settings.sites.count
    outcome = settings.sites.spread * rng.standard_normal(count)
    log_hazard = settings.sites.spread * rng.standard_normal(count)
    log_size = 0.35 * rng.standard_normal(count)
    log_harm = settings.sites.spread * rng.standard_normal(count)
    poor = 1 if settings.sites.poor_site and count > 1 else -1
    hard = 2 if settings.sites.hard_case_site and count > 2 else -1
    if poor >= 0:
        outcome[poor], log_hazard[poor], log_harm[poor] = 0.45, 0.65, 0.85
        log_size[poor] = 0.2
    if hard >= 0:
        outcome[hard], log_hazard[hard], log_harm[hard] = 0.0, 0.0, 0.0
        log_size[hard] = 0.0
    return SiteModel(log_size, outcome, log_hazard, log_harm, hard, poor)


def draw_sites(patients: Patients, model: SiteModel, rng: np.random.Generator) -> IntArray:
    """Home site of each patient (from 0)."""
    hardness = (
        0.05 * (patients.odi - 43) + 0.5 * (patients.comorbidity_count - 2) + 0.15 * (patients.symptom_months - 32) / 10
    )
    score = np.broadcast_to(model.log_size, (patients.size, model.log_size.size)).copy()
    if model.hard_case_site >= 0:
        score[:, model.hard_case_site] += 1.5 * hardness - 1.0
    weight = np.exp(score)
    cumulative = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    return np.minimum((rng.random(patients.size)[:, None] > cumulative).sum(axis=1), model.log_size.size - 1)
