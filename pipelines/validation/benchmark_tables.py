"""The tables that the benchmark draws: the same numbers for every engine.

Belongs here: drawn columns as arrays. Does not belong here: what is done with them (`benchmark_tasks`, `benchmark.R`).

They follow the design's: 10 covariates, daily ties, 5 groups; repeated measures have 5 visits, 20 % missing and 27
fixed effects; the ladder has five tiers and death; relapse is seen at jittered visits only.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20261123
COVARIATES = [f"x{i}" for i in range(1, 11)]
MANY_COVARIATES = [f"x{i}" for i in range(1, 21)]
VISITS = 5
MISSING_SHARE = 0.2
STATES = 6
VISIT_DAYS = np.array([0, 42, 90, 180, 365, 545, 730, 1095, 1460, 1825])

Columns = dict[str, NDArray[Any]]


def columns_of(task: str, rows: int) -> dict[str, NDArray[np.float64]]:
    """The table that a task runs on; `rows` counts patients where a task has several rows a patient."""
    draw = {
        "mmrm": visit_columns,
        "propensity": arm_columns,
        "balance": arm_columns,
        "state_occupation": stay_columns,
        "time_in_state": stay_columns,
        "turnbull": interval_columns,
    }.get(task, failure_columns)
    return {name: np.ascontiguousarray(values, dtype=float) for name, values in draw(rows).items()}


def failure_columns(rows: int) -> Columns:
    """time (days, ties), cause (0, 1, 2), weight, group (0–4) and ten covariates, each of shape (rows,)."""
    draw = np.random.default_rng(SEED)
    x = draw.normal(size=(rows, len(COVARIATES)))
    group = draw.integers(0, 5, rows)
    hazard = 5e-4 * np.exp(0.2 * x[:, 0] - 0.1 * x[:, 1] + 0.1 * group)
    event, death = draw.exponential(1 / hazard), draw.exponential(1 / 1e-4, rows)
    censored = draw.uniform(200, 1800, rows)
    stop = np.minimum(np.minimum(event, death), censored)
    cause = np.where(stop == event, 1, np.where(stop == death, 2, 0))
    columns = {"time": np.ceil(stop), "cause": cause, "weight": draw.uniform(0.5, 2.5, rows), "group": group}
    return columns | {name: x[:, i] for i, name in enumerate(COVARIATES)}


def visit_columns(subjects: int) -> Columns:
    """subject, visit (1–5), arm (0–4), baseline, one covariate and the outcome y; missing visits are left out."""
    draw = np.random.default_rng(SEED)
    arm, baseline = draw.integers(0, 5, subjects), draw.normal(6, 2, subjects)
    shape = 0.6 ** np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS))) * 4
    noise = draw.multivariate_normal(np.zeros(VISITS), shape, subjects)
    y = baseline[:, None] * 0.5 - 0.2 * arm[:, None] * np.arange(1, VISITS + 1) / VISITS + noise
    seen = draw.random((subjects, VISITS)) >= MISSING_SHARE
    subject, visit = np.nonzero(seen)
    columns = {"subject": subject, "visit": visit + 1, "arm": arm[subject], "baseline": baseline[subject]}
    return columns | {"x1": draw.normal(size=subjects)[subject], "y": y[seen]}


def arm_columns(rows: int) -> Columns:
    """arm (0–4) chosen by the first covariates, and twenty covariates."""
    draw = np.random.default_rng(SEED)
    x = draw.normal(size=(rows, len(MANY_COVARIATES)))
    scores = np.outer(x[:, 0] + 0.5 * x[:, 1], np.linspace(-0.6, 0.6, 5)) + draw.gumbel(size=(rows, 5))
    return {"arm": scores.argmax(axis=1)} | {name: x[:, i] for i, name in enumerate(MANY_COVARIATES)}


def stay_columns(rows: int) -> Columns:
    """About `rows` stays on the ladder: subject, group, start, stop, state (0–4) and to (0–5, 5 death, the state itself
    where follow-up ends), in the order of subject and time."""
    draw = np.random.default_rng(SEED)
    subjects = max(int(rows / 1.75), 10)
    until = np.ceil(draw.uniform(200, 1800, subjects))
    clock, state = np.zeros(subjects), np.zeros(subjects, dtype=int)
    alive, pieces = np.arange(subjects), []
    while len(alive):
        climb = np.ceil(np.where(state[alive] < STATES - 2, draw.exponential(1 / 8e-4, len(alive)), np.inf))
        death = np.ceil(draw.exponential(1 / 1e-4, len(alive)))
        stop = np.minimum(clock[alive] + np.minimum(climb, death), until[alive])
        moved = stop < until[alive]
        to = np.where(~moved, state[alive], np.where(climb < death, state[alive] + 1, STATES - 1))
        pieces.append(np.array([alive, alive % 5, clock[alive], stop, state[alive], to]))
        clock[alive], state[alive] = stop, to
        alive = alive[moved & (to < STATES - 1)]
    table = np.concatenate(pieces, axis=1)
    table = table[:, np.lexsort((table[2], table[0]))]
    return dict(zip(("subject", "group", "start", "stop", "state", "to"), table, strict=True))


def interval_columns(rows: int) -> Columns:
    """lower and upper of a relapse seen at visits a few days off plan; upper is infinite where it was not seen."""
    draw = np.random.default_rng(SEED)
    relapse = draw.weibull(0.8, rows) * 1500
    days = np.maximum(VISIT_DAYS + np.round(draw.normal(0, 10, (rows, len(VISIT_DAYS)))), 0)
    days[:, 0] = 0
    days = np.sort(np.where(draw.random(days.shape) < MISSING_SHARE, 0.0, days), axis=1)
    after = (days < relapse[:, None]).sum(axis=1)
    upper = np.append(days, np.full((rows, 1), np.inf), axis=1)[np.arange(rows), after]
    return {"lower": days[np.arange(rows), np.maximum(after - 1, 0)], "upper": upper}
