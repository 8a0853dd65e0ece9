"""Charts of a site over its patients in order: risk-adjusted CUSUM with its run length, and VLAD.

Belongs here: the charts, and the limits under which an ordinary site rarely signals. Does not belong here: the risks,
the order of patients, or whose charts are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._frames import Floats, ModelInputError, numeric, require_columns
from pipelines.models.funnel import limits_of

CHAINS = 2000
_LIMIT_STEP = 0.01
_LIMIT_MAXIMUM = 12.0


def scores(event: Floats, probability: Floats, odds_ratio: float) -> Floats:
    """Log-likelihood ratio of each patient for odds `odds_ratio` times the expected ones, shape (n,).

    Source: Steiner, Cook, Farewell & Treasure 2000, Biostatistics 1:441-452, equation 2.3.
    """
    if odds_ratio <= 0 or odds_ratio == 1:
        raise ModelInputError("The odds ratio to look for must be positive and not 1.")
    return event * np.log(odds_ratio) - np.log(1 - probability + odds_ratio * probability)


def risk_adjusted_cusum(
    frame: pl.DataFrame, event: str, probability: str, odds_ratio: float, limit: float
) -> pl.DataFrame:
    """The CUSUM of one site, patients in the frame's order: number, cusum, is_signal.

    The chart starts at 0, never falls below it, and starts again at 0 after a signal (reaching `limit`).
    """
    require_columns(frame, [event, probability])
    steps = scores(numeric(frame, event), numeric(frame, probability), odds_ratio)
    chart, height = np.empty(len(steps)), 0.0
    for k, step in enumerate(steps):
        height = max(0.0, (0.0 if height >= limit else height) + step)
        chart[k] = height
    return pl.DataFrame({"number": np.arange(1, len(steps) + 1), "cusum": chart, "is_signal": chart >= limit})


def vlad(frame: pl.DataFrame, event: str, probability: str, level: float = 0.998) -> pl.DataFrame:
    """Variable life-adjusted display, patients in the frame's order: number, expected, vlad, ci_low, ci_high.

    `vlad` is expected minus observed so far: it falls with more events than expected. The limits hold `level` of
    ordinary sites at each number of patients (exact Poisson-binomial, each number alone).
    Source: Lovegrove et al. 1997, Lancet 350:1128-1130.
    """
    require_columns(frame, [event, probability])
    p = numeric(frame, probability)
    expected, observed = np.cumsum(p), np.cumsum(numeric(frame, event))
    distribution = np.zeros(len(p) + 1)
    distribution[0] = 1.0
    ends = np.empty((len(p), 2))
    for k, x in enumerate(p):
        distribution[1 : k + 2] = distribution[1 : k + 2] * (1 - x) + distribution[: k + 1] * x
        distribution[0] *= 1 - x
        ends[k] = limits_of(distribution[: k + 2], level)
    return pl.DataFrame(
        {
            "number": np.arange(1, len(p) + 1),
            "expected": expected,
            "vlad": expected - observed,
            "ci_low": expected - ends[:, 1],
            "ci_high": expected - ends[:, 0],
        }
    )


@dataclass(frozen=True)
class RunLength:
    """Mean number of patients until an ordinary site signals, with its Monte Carlo error."""

    mean: float
    std_error: float


def in_control_run_length(
    probabilities: Floats, odds_ratio: float, limit: float, seed: int, steps: int, chains: int = CHAINS
) -> RunLength:
    """Simulate ordinary sites whose patients are drawn from these risks until they signal or `steps` patients passed.

    The mean is patients seen over signals raised, as for times censored at `steps`.
    """
    first = _first_passages(probabilities, odds_ratio, seed, steps, chains)
    exposure, signals = _exposure(first, limit, steps)
    return RunLength(exposure / signals if signals else np.inf, exposure / signals**1.5 if signals else np.inf)


def control_limit(
    probabilities: Floats, odds_ratio: float, run_length: float, seed: int, chains: int = CHAINS
) -> float:
    """The limit (to 0.01) at which an ordinary site signals once in `run_length` patients on average, by simulation.

    `probabilities` are the risks of the network's patients, from which each next patient is drawn.
    Raises ModelInputError if no limit up to 12 is enough.
    """
    steps = int(2 * run_length)
    first = _first_passages(probabilities, odds_ratio, seed, steps, chains)
    for place in range(1, first.shape[1]):
        exposure, signals = _exposure(first, place * _LIMIT_STEP, steps)
        if not signals or exposure / signals >= run_length:
            return place * _LIMIT_STEP
    raise ModelInputError("No control limit up to 12 gives that run length; ask for a shorter one.")


def _first_passages(probabilities: Floats, odds_ratio: float, seed: int, steps: int, chains: int) -> Floats:
    """When each chain first reaches each height (multiples of 0.01); `steps` + 1 where it never does.

    A chart that has not reached a height does not know of it, so one simulation serves all limits.
    """
    rng = np.random.default_rng(seed)
    p = np.asarray(probabilities, dtype=float)
    up, down = scores(np.ones(len(p)), p, odds_ratio), scores(np.zeros(len(p)), p, odds_ratio)
    heights = int(_LIMIT_MAXIMUM / _LIMIT_STEP) + 1
    first = np.full((chains, heights), steps + 1, dtype=np.int32)
    first[:, 0] = 0
    chart, reached = np.zeros(chains), np.zeros(chains, dtype=int)
    for step in range(1, steps + 1):
        drawn = rng.integers(len(p), size=chains)
        chart += np.where(rng.random(chains) < p[drawn], up[drawn], down[drawn])
        np.maximum(chart, 0.0, out=chart)
        place = np.minimum((chart / _LIMIT_STEP).astype(int), heights - 1)
        for chain in np.flatnonzero(place > reached):
            first[chain, reached[chain] + 1 : place[chain] + 1] = step
            reached[chain] = place[chain]
    return first


def _exposure(first: Floats, limit: float, steps: int) -> tuple[float, int]:
    place = int(np.ceil(limit / _LIMIT_STEP - 1e-9))
    when = first[:, place]
    return float(np.minimum(when, steps).sum()), int((when <= steps).sum())
