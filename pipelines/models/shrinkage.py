"""Hierarchical shrinkage of sites: a random-intercept logistic model around known risks, and what it says of each.

Belongs here: the spread between sites by maximum likelihood, each site's shrunken figure, its reliability and rank.
Does not belong here: limits for signals (`funnel`), the risk model itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm

from pipelines.models._frames import ESTIMABLE, Floats, ModelInputError, not_estimable, numeric, require_columns
from pipelines.models._intervals import normal_quantile

# Site effects (log odds) over which is integrated, and the largest spread between sites that is looked for.
EFFECTS = np.linspace(-4.0, 4.0, 321)
SPREAD_MAXIMUM = 2.0
CHUNK = 20_000


@dataclass(frozen=True)
class SiteEffects:
    """`table`: a row a site with group, subjects, observed, expected, effect (posterior mean log odds ratio),
    std_error (posterior), estimate (shrunken observed over expected), ci_low, ci_high, reliability, rank.

    `spread` is the standard deviation between sites on the log odds scale.
    """

    table: pl.DataFrame
    spread: float
    log_likelihood: float
    status: str


def random_intercept(frame: pl.DataFrame, group: str, event: str, probability: str, level: float = 0.95) -> SiteEffects:
    """Fit `event ~ offset(logit(probability)) + (1 | group)` by maximum likelihood and shrink every site by it.

    One row a patient; `event` 0 or 1, `probability` strictly between 0 and 1. Reliability is the share of the spread
    of a site's figure that is not chance, τ²/(τ² + σ²) with σ² = 1/Σp(1−p) (Adams 2009, RAND TR-653). `rank` is the
    expected rank, 1 the lowest (Laird & Louis 1989, Journal of Educational Statistics 14:29-46).
    Raises ModelInputError with one site or probabilities of 0 or 1. Source: Normand, Glickman & Gatsonis 1997,
    Journal of the American Statistical Association 92:803-814.
    """
    require_columns(frame, [group, event, probability])
    ordered = frame.select(group, event, probability).sort(group, maintain_order=True)
    names = ordered[group].unique(maintain_order=True)
    p = numeric(ordered, probability)
    if len(names) < 2 or not ((p > 0) & (p < 1)).all():
        raise ModelInputError("Shrinkage needs at least two sites and probabilities strictly between 0 and 1.")
    codes = ordered[group].rank("dense").to_numpy().astype(int) - 1
    sites = [np.flatnonzero(codes == code) for code in range(len(names))]
    observed = np.array([numeric(ordered, event)[rows].sum() for rows in sites])
    logs = observed[:, None] * EFFECTS - np.array([_normaliser(p[rows]) for rows in sites])
    found = minimize_scalar(lambda s: -_log_likelihood(logs, s), bounds=(1e-6, SPREAD_MAXIMUM), method="bounded",
                            options={"xatol": 1e-9})  # fmt: skip
    spread = 0.0 if _log_likelihood(logs, 1e-6) >= -found.fun else float(found.x)
    is_at_edge = spread > SPREAD_MAXIMUM - 1e-3
    status = not_estimable("the spread between sites has no maximum in reach") if is_at_edge else ESTIMABLE
    posterior = _posterior(logs, max(spread, 1e-6))
    rows = [_site(p[r], posterior[k], spread, level) for k, r in enumerate(sites)]
    table = pl.DataFrame({"group": names.cast(pl.String), "subjects": [len(r) for r in sites], "observed": observed})
    table = table.with_columns(pl.DataFrame(rows).get_columns())
    ranks = _expected_ranks(table["effect"].to_numpy(), table["std_error"].to_numpy())
    return SiteEffects(table.with_columns(rank=ranks), spread, _log_likelihood(logs, max(spread, 1e-6)), status)


def _normaliser(p: Floats) -> Floats:
    """Σ log(1 − p + p e^d) for each effect d."""
    total = np.zeros(len(EFFECTS))
    odds = np.expm1(EFFECTS)
    for first in range(0, len(p), CHUNK):
        total += np.log1p(p[first : first + CHUNK, None] * odds).sum(axis=0)
    return total


def _log_prior(spread: float) -> Floats:
    logs = -0.5 * (EFFECTS / spread) ** 2
    return logs - np.log(np.exp(logs - logs.max()).sum()) - logs.max()


def _log_likelihood(logs: Floats, spread: float) -> float:
    joint = logs + _log_prior(spread)
    top = joint.max(axis=1, keepdims=True)
    return float((np.log(np.exp(joint - top).sum(axis=1)) + top[:, 0]).sum())


def _posterior(logs: Floats, spread: float) -> Floats:
    joint = logs + _log_prior(spread)
    weights = np.exp(joint - joint.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _site(p: Floats, posterior: Floats, spread: float, level: float) -> dict[str, float]:
    variance = float((p * (1 - p)).sum())
    effect = float(posterior @ EFFECTS)
    error = max(0.0, float(posterior @ EFFECTS**2) - effect**2) ** 0.5
    reach = normal_quantile(level) * error
    logs, expected = np.asarray(logit(p)), float(p.sum())
    low, middle, high = (float(expit(logs + e).sum()) / expected for e in (effect - reach, effect, effect + reach))
    return {"expected": expected, "effect": effect, "std_error": error, "estimate": middle, "ci_low": low,
            "ci_high": high, "reliability": spread**2 / (spread**2 + 1 / variance)}  # fmt: skip


def _expected_ranks(effect: Floats, error: Floats) -> Floats:
    apart = np.hypot(error[:, None], error[None, :])
    with np.errstate(divide="ignore", invalid="ignore"):
        above = norm.cdf((effect[:, None] - effect[None, :]) / apart)
    above = np.where(apart > 0, above, 0.5)
    np.fill_diagonal(above, 0.0)
    return np.asarray(1 + above.sum(axis=1))
