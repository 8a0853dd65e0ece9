"""Funnel plots of sites: exact limits of a count of unequal risks, and the spread between sites beyond chance.

Belongs here: the Poisson-binomial distribution, its limits, over-dispersion (additive, with winsorised z-scores) and
the limits that allow for it. Does not belong here: whose events are counted and what is expected (the caller's), or
shrinkage of a site's figure (`shrinkage`).

A site's risks are given as probabilities, one a patient; its count is then Poisson-binomial. With a site effect d on
the log odds the count's distribution is the same one tilted by exp(d k), so that one convolution serves all effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from scipy import stats
from scipy.optimize import brentq

from pipelines.models._frames import Floats, ModelInputError, numeric, require_columns

# Equally likely values of the between-site variance over which limits are averaged.
VARIANCE_DRAWS = 200
# Steps of a site effect in standard errors of the site's own log odds ratio, and how far out effects are followed.
STEP_ERRORS, REACH = 0.35, 4.5
# A tilt further than this many nats from its base would multiply what has underflowed; a new base is made there.
TILT_NATS = 200.0
FEWEST_SITES = 3
_REFERENCE_DRAWS, _REFERENCE_SEED = 20_000, 20_050_401


def poisson_binomial(probabilities: Floats) -> Floats:
    """Distribution of the number of events among independent patients, shape (n + 1,) for probabilities (n,).

    Direct convolution of positive terms, so that tails keep their relative accuracy. Raises ModelInputError if a
    probability lies outside 0 to 1. Source: Hong 2013, Computational Statistics & Data Analysis 59:41-51.
    """
    p = np.asarray(probabilities, dtype=float)
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()):
        raise ModelInputError("Probabilities must lie between 0 and 1, without gaps.")
    if not len(p):
        return np.ones(1)
    parts = [np.array([1 - x, x]) for x in p]
    while len(parts) > 1:
        paired = [np.convolve(one, two) for one, two in zip(parts[::2], parts[1::2], strict=False)]
        parts = paired if len(parts) % 2 == 0 else [*paired, parts[-1]]
    return parts[0]


def limits_of(distribution: Floats, level: float) -> tuple[int, int]:
    """The smallest counts with at least (1 − level)/2 and (1 + level)/2 of the distribution at or below them.

    A count below the first or above the second is beyond the limits, which happens with a probability of at most
    1 − level. Source: Spiegelhalter 2005, Statistics in Medicine 24:1185-1202, appendix.
    """
    below = np.cumsum(distribution)
    tail = (1 - level) / 2
    low, high = (int(np.searchsorted(below, share - 1e-12)) for share in (tail, 1 - tail))
    return low, min(high, len(distribution) - 1)


@dataclass(frozen=True)
class Overdispersion:
    """How much more sites differ than chance makes them.

    `phi` is the mean squared z-score (of winsorised ones, divided by what it is by chance alone where that was asked
    for), `tau_squared` the additive variance between sites on the scale of the standard errors, `degrees` of freedom
    those of `phi` by chance, `weight` the denominator of DerSimonian and Laird, `precision` the sums of the sites'
    inverse variances and of their squares, from which the error of their level comes (by default it is known).
    """

    sites: int
    phi: float
    tau_squared: float
    degrees: float
    weight: float
    precision: tuple[float, float] = (np.inf, 0.0)

    def level_variance(self, tau_squared: Floats) -> Floats:
        """Variance of the sites' common level, weighted by inverse variances, shape as `tau_squared`."""
        total, squares = self.precision
        return 1 / total + tau_squared * squares / total**2

    def tau_squared_at(self, shares: Floats) -> Floats:
        """Quantiles of the confidence distribution of the variance between sites, shape as `shares`.

        `phi` times its degrees of freedom over its true value is taken as chi-square.
        Source: Nagashima, Noma & Furukawa 2019, Statistical Methods in Medical Research 28:1689-1702.
        """
        phi = self.phi * self.degrees / stats.chi2.isf(shares, self.degrees)
        return _additive(phi, self.sites, self.weight)


def overdispersion(z: Floats, std_error: Floats, winsorise: float = 0.1, is_consistent: bool = False) -> Overdispersion:
    """Over-dispersion of z-scores (k,) whose figures have these standard errors (k,) when sites differ by chance only.

    `winsorise` is the share of sites at each end whose z is drawn in to the quantile there; `is_consistent` divides
    by what winsorising leaves of chance, without which the spread between sites is understated (by a third at 10 %).
    Raises ModelInputError with fewer than three sites. Source: Spiegelhalter 2005, Quality and Safety in Health Care
    14:347-351; DerSimonian & Laird 1986, Controlled Clinical Trials 7:177-188.
    """
    z, std_error = np.asarray(z, dtype=float), np.asarray(std_error, dtype=float)
    if len(z) < FEWEST_SITES or len(z) != len(std_error):
        raise ModelInputError("Over-dispersion needs z-scores and standard errors of at least three sites.")
    left, degrees = chance_of_winsorised(len(z), winsorise)
    phi = float(np.mean(_winsorised(z, winsorise) ** 2)) / (left if is_consistent else 1.0)
    w = 1 / std_error**2
    total, squares = float(w.sum()), float((w**2).sum())
    weight = total - squares / total
    tau_squared = float(_additive(np.array(phi), len(z), weight))
    return Overdispersion(len(z), phi, tau_squared, degrees, weight, (total, squares))


@lru_cache(maxsize=64)
def chance_of_winsorised(sites: int, share: float) -> tuple[float, float]:
    """Mean of the mean squared winsorised z of so many sites that differ by chance only, and its degrees of freedom.

    By simulation of normal scores with a fixed seed; without winsorising the answers are 1 and the number of sites.
    """
    if share == 0:
        return 1.0, float(sites)
    scores = np.random.default_rng(_REFERENCE_SEED).normal(size=(_REFERENCE_DRAWS, sites))
    phi = np.mean(_winsorised(scores, share) ** 2, axis=1)
    return float(phi.mean()), float(2 * phi.mean() ** 2 / phi.var())


def predictive(probabilities: Floats, spread: Overdispersion | None) -> Floats:
    """Distribution (n + 1,) of a site's count when its log odds differ from the network's as those of sites do.

    `spread` must be on the scale of log odds (standard errors 1/√Σp(1−p), the one-step estimate of Yusuf and Peto).
    Site effects are normal around a level that the sites of `spread` were used to estimate, with a variance that is
    drawn from its confidence distribution: few sites give wider limits on both counts, as a prediction interval has
    them. Without spread this is the Poisson-binomial distribution itself.
    Source: Higgins, Thompson & Spiegelhalter 2009, Journal of the Royal Statistical Society A 172:137-159, 4.3.
    """
    base = poisson_binomial(probabilities)
    if spread is None:
        return base
    p = np.asarray(probabilities, dtype=float)
    variance = float((p * (1 - p)).sum())
    shares = (np.arange(VARIANCE_DRAWS) + 0.5) / VARIANCE_DRAWS
    squared = spread.tau_squared_at(shares)
    tau = np.sqrt(squared + spread.level_variance(squared))
    if not variance or not tau.max():
        return base
    effects, weights = _effects(tau, STEP_ERRORS / np.sqrt(variance))
    return _tilted(p, base, effects, weights, variance)


def funnel_limits(
    frame: pl.DataFrame,
    group: str,
    event: str,
    probability: str,
    winsorise: float | None = None,
    levels: Sequence[float] = (0.95, 0.998),
) -> pl.DataFrame:
    """Observed, expected and limits of each site's count.

    One row a patient in: `event` 0 or 1, `probability` the risk expected of such a patient anywhere in the network.
    One row a site out, in the order of its name: group, subjects, observed, expected, variance (of the count by
    chance), z, tau_squared (None without over-dispersion), and for each level `low_95`, `high_95`, `low_998`,
    `high_998` …: the least and largest count within.

    With `winsorise` (a share, see `overdispersion`) limits are those of `predictive`; level and spread are those of the
    other sites, so that none is its own yardstick. With fewer than four sites there is no spread to know of.
    Source: Spiegelhalter 2005 (above); Jones & Spiegelhalter 2011, American Statistician 65:154-163, for the others.
    """
    require_columns(frame, [group, event, probability])
    rows, risks = [], []
    for (name,), part in frame.select(group, event, probability).sort(group).group_by(group, maintain_order=True):
        p = numeric(part, probability)
        observed, expected, variance = float(numeric(part, event).sum()), float(p.sum()), float((p * (1 - p)).sum())
        z = (observed - expected) / np.sqrt(variance) if variance else 0.0
        rows.append({"group": str(name), "subjects": part.height, "observed": observed, "expected": expected,
                     "variance": variance, "z": z})  # fmt: skip
        risks.append(p)
    known = pl.DataFrame(rows)
    spreads, shifts = _others(known, winsorise)
    distributions = [predictive(_shifted(p, d), s) for p, s, d in zip(risks, spreads, shifts, strict=True)]
    limits = {}
    for level in levels:
        ends = [limits_of(distribution, level) for distribution in distributions]
        low, high = limit_names(level)
        limits[low], limits[high] = zip(*ends, strict=True)
    squared = pl.Series("tau_squared", [s.tau_squared if s else None for s in spreads], dtype=pl.Float64)
    return known.with_columns(squared, **{name: pl.Series(values) for name, values in limits.items()})


def limit_names(level: float) -> tuple[str, str]:
    """The columns of `funnel_limits` that hold the least and largest count within a level: `low_998`, `high_998`."""
    digits = f"{level:.12f}".rstrip("0").removeprefix("0.")
    return f"low_{digits}", f"high_{digits}"


def _others(sites: pl.DataFrame, winsorise: float | None) -> tuple[list[Overdispersion | None], list[float]]:
    """For each site the over-dispersion of all others around their own level, and that level (log odds)."""
    z, variance = sites["z"].to_numpy(), sites["variance"].to_numpy()
    spreads: list[Overdispersion | None] = []
    shifts: list[float] = []
    for place in range(sites.height):
        others = (np.arange(sites.height) != place) & (variance > 0)
        if winsorise is None or others.sum() < FEWEST_SITES:
            spreads.append(None)
            shifts.append(0.0)
            continue
        v = variance[others]
        level = float((z[others] * np.sqrt(v)).sum() / v.sum())
        apart = (z[others] - level * np.sqrt(v)) * np.sqrt(others.sum() / (others.sum() - 1))
        spreads.append(overdispersion(apart, v**-0.5, winsorise, True))
        shifts.append(level)
    return spreads, shifts


def _shifted(p: Floats, log_odds: float) -> Floats:
    odds = np.exp(log_odds)
    return p * odds / (1 - p + p * odds)


def ratio_limits(probabilities: Floats, observed: float, level: float = 0.95) -> tuple[float, float]:
    """Exact limits of observed over expected: of the site effects that make a count this far out no rarer than that.

    As Clopper and Pearson's for a proportion, with the tilted Poisson-binomial in place of the binomial. Without an
    event the lower limit is 0; with nothing but events the upper one is the patients over those expected.
    Raises ModelInputError if all probabilities are 0 or 1.
    """
    p = np.asarray(probabilities, dtype=float)
    if not ((p > 0) & (p < 1)).any():
        raise ModelInputError("Limits of observed over expected need a patient whose outcome is not certain.")
    with np.errstate(divide="ignore"):
        logs = np.log(poisson_binomial(p))
    counts, tail = np.arange(len(p) + 1), (1 - level) / 2

    def beyond(effect: float, side: Floats) -> float:
        tilted = logs + effect * counts
        shares = np.exp(tilted - tilted.max())
        return float(shares[side].sum() / shares.sum()) - tail

    def expected(effect: float) -> float:
        odds = np.exp(effect)
        return float((p * odds / (1 - p + p * odds)).sum())

    low = (
        expected(brentq(beyond, -30, 30, (counts >= observed,))) if observed > counts[np.isfinite(logs)].min() else 0.0
    )
    is_full = observed >= counts[np.isfinite(logs)].max()
    high = float(observed) if is_full else expected(brentq(beyond, -30, 30, (counts <= observed,)))
    return low / float(p.sum()), high / float(p.sum())


def _winsorised(z: Floats, share: float) -> Floats:
    if share == 0:
        return z
    low, high = np.quantile(z, [share, 1 - share], axis=-1, keepdims=True)
    return np.clip(z, low, high)


def _additive(phi: Floats, sites: int, weight: float) -> Floats:
    return np.maximum(0.0, (sites * phi - (sites - 1)) / weight)


def _effects(tau: Floats, step: float) -> tuple[Floats, Floats]:
    """Site effects in equal steps and the probability of each, averaged over the variances between sites."""
    reach = int(np.ceil(REACH * tau.max() / step))
    effects = step * np.arange(-reach, reach + 1)
    edges = np.r_[-np.inf, (effects[1:] + effects[:-1]) / 2, np.inf]
    with np.errstate(divide="ignore"):
        cells = np.diff(stats.norm.cdf(edges[None, :] / np.maximum(tau, 1e-12)[:, None]), axis=1)
    return effects, cells.mean(axis=0)


def _tilted(p: Floats, base: Floats, effects: Floats, weights: Floats, variance: float) -> Floats:
    """The mixture over effects of the count's distribution, each the tilt of a base not too far away."""
    apart = 2 * np.sqrt(2 * TILT_NATS / variance)
    nearest = np.round(effects / apart)
    counts = np.arange(len(base))
    mixed = np.zeros(len(base))
    for anchor in np.unique(nearest):
        here = nearest == anchor
        start = anchor * apart
        with np.errstate(divide="ignore"):
            logs = np.log(base if anchor == 0 else poisson_binomial(_shifted(p, start)))
        tilted = logs + (effects[here] - start)[:, None] * counts
        tilted = np.exp(tilted - tilted.max(axis=1, keepdims=True))
        mixed += (weights[here] / tilted.sum(axis=1)) @ tilted
    return mixed
