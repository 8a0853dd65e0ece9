"""How unseen results differ from seen ones under `mnar`: the delta that a delta adjustment would have to add.

For each tier, outcome and visit the seen results are regressed on the recorded covariates and the baseline; delta is
the mean by which results that stayed unseen, of patients alive and due, exceed that regression's predictions.
"""

from typing import Any

import numpy as np

from pipelines.simulate.block import BLOCK_PATIENTS, Block, draw_block
from pipelines.simulate.outcomes import as_nrs, as_odi
from pipelines.simulate.population import Array
from pipelines.simulate.settings import TIERS, Settings
from pipelines.simulate.truth_estimates import WINDOWS

_OUTCOMES = ("nrs_leg", "nrs_back", "odi", "spwt")


def dropout_deltas(settings: Settings, patients: int, seed: int) -> list[dict[str, Any]]:
    """Mean excess of unseen over seen results, given covariates: one row a tier, outcome and visit window.

    Args:
        settings: the generator's settings.
        patients: how many to simulate for it (rounded up to whole blocks).
        seed: seed of that simulation.

    Returns:
        tier, outcome, window, value (points; for walking the logarithm of a ratio of distances).
    """
    size = -(-patients // BLOCK_PATIENTS) * BLOCK_PATIENTS
    blocks = [draw_block(number, size, seed, settings) for number in range(size // BLOCK_PATIENTS)]
    tier = np.concatenate([block.tier for block in blocks])
    design = np.concatenate([_design(block) for block in blocks])
    results = np.concatenate([_results(block) for block in blocks])
    seen = np.concatenate([block.follow_up.is_seen[:, : len(WINDOWS)] for block in blocks])
    due = np.concatenate([_is_due(block) for block in blocks])
    rows = []
    for rank, name in enumerate(TIERS):
        for w, window in enumerate(WINDOWS):
            kept, lost = (tier == rank) & seen[:, w], (tier == rank) & due[:, w] & ~seen[:, w]
            fit, *_ = np.linalg.lstsq(design[kept], results[kept, w, :], rcond=None)
            excess = (results[lost, w, :] - design[lost] @ fit).mean(axis=0)
            rows += [
                {"tier": name, "outcome": outcome, "window": window, "value": round(float(value), 5)}
                for outcome, value in zip(_OUTCOMES, excess, strict=True)
            ]
    return rows


def _design(block: Block) -> Array:
    p = block.patients
    return np.column_stack([np.ones(p.size), p.features(), p.log_time + p.log_speed])


def _results(block: Block) -> Array:
    """Results at the scheduled visits (patients × windows × outcomes)."""
    v, visits = block.levels, slice(len(WINDOWS))
    scores = [as_nrs(v.nrs_leg), as_nrs(v.nrs_back), as_odi(v.odi), v.log_time + v.log_speed]
    return np.stack([score[:, visits] for score in scores], axis=2)


def _is_due(block: Block) -> np.ndarray:
    f = block.follow_up
    last = np.minimum(f.last_contact_day, f.start_day + block.course.death_day - 1)
    return f.visit_day[:, : len(WINDOWS)] <= last[:, None]
