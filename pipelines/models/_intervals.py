"""Confidence limits, p-values and their adjustment for multiple comparisons, shared by the estimators.

Belongs here: arithmetic on an estimate and its standard error. Does not belong here: where these come from.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from pipelines.models._frames import Floats, ModelInputError

CONF_TYPES = ("log-log", "log", "plain")


def normal_quantile(level: float) -> float:
    """Return the two-sided normal quantile of a confidence level, 1.96 for 0.95."""
    if not 0 < level < 1:
        raise ModelInputError(f"level must lie between 0 and 1, it is {level}.")
    return float(stats.norm.ppf(0.5 + level / 2))


def probability_limits(estimate: Floats, std_error: Floats, conf_type: str, level: float) -> tuple[Floats, Floats]:
    """Return limits of a survival probability or cumulative incidence, NaN where the scale cannot carry them.

    `log-log`: log(-log p) ± z se / (p |log p|); `log`: log p ± z se / p; `plain`: p ± z se; cut at 0 and 1.
    Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), section 1.4.
    """
    if conf_type not in CONF_TYPES:
        raise ModelInputError(f"conf_type must be one of {', '.join(CONF_TYPES)}, it is {conf_type}.")
    z = normal_quantile(level)
    if conf_type == "plain":
        return np.maximum(estimate - z * std_error, 0.0), np.minimum(estimate + z * std_error, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = z * std_error / estimate
        if conf_type == "log":
            lower, upper = estimate * np.exp(-relative), np.minimum(estimate * np.exp(relative), 1.0)
        else:
            spread = np.exp(relative / np.abs(np.log(estimate)))
            lower, upper = estimate**spread, estimate ** (1.0 / spread)
    usable = (estimate > 0) if conf_type == "log" else (estimate > 0) & (estimate < 1)
    return np.where(usable, lower, np.nan), np.where(usable, upper, np.nan)


def two_sided_p(z: Floats) -> Floats:
    """Return the two-sided normal p-value of a standardised difference."""
    return np.asarray(2 * stats.norm.sf(np.abs(z)))


def chi_square_p(statistic: Floats | float, df: Floats | float) -> Floats:
    """Return the upper tail of the chi-square distribution."""
    return np.asarray(stats.chi2.sf(statistic, df))


def adjusted_p(p_values: Floats, method: str) -> Floats:
    """Return adjusted p-values (`holm`, `bonferroni` or `none`), shape (k,).

    A comparison that could not be made (NaN) stays NaN but counts as one of the k.
    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    if method not in ("holm", "bonferroni", "none"):
        raise ModelInputError(f"adjust must be holm, bonferroni or none, it is {method}.")
    known = np.where(np.isnan(p_values), 1.0, p_values)
    count = len(known)
    if method == "none":
        adjusted = known
    elif method == "bonferroni":
        adjusted = np.minimum(known * count, 1.0)
    else:
        order = np.argsort(known, kind="stable")
        steps = np.maximum.accumulate((count - np.arange(count)) * known[order])
        adjusted = np.empty(count)
        adjusted[order] = np.minimum(steps, 1.0)
    return np.where(np.isnan(p_values), np.nan, adjusted)
