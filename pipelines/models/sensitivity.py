"""How strong would an unmeasured confounder have to be? E-values.

Belongs here: what asks of a finished estimate how easily it could be explained away. Tipping points of missing data are
`imputation`'s; the specification curve belongs to the analyses.
"""

from __future__ import annotations

import math

import polars as pl

from pipelines.models._frames import ModelInputError

MEASURES = (
    "risk ratio",
    "hazard ratio, rare",
    "hazard ratio, common",
    "odds ratio, rare",
    "odds ratio, common",
    "standardised mean difference",
)
# The abbreviations of R's EValue package and of tables of results.
ABBREVIATIONS = dict(zip(("RR", "HR_rare", "HR_common", "OR_rare", "OR_common", "SMD"), MEASURES, strict=True))
# A standardised mean difference d is taken as a risk ratio exp(0.91 d) (VanderWeele 2017, after Chinn 2000).
LOG_RATIO_PER_SD = 0.91


def e_value(estimate: float, ci_low: float | None, ci_high: float | None, measure: str = "risk ratio") -> pl.DataFrame:
    """Return the E-value of an estimate and of the limit nearer to no effect: one row with point and limit.

    `measure` is one of MEASURES or ABBREVIATIONS. Ratios are first turned into risk ratios: a common hazard ratio by
    (1 - 0.5^sqrt(HR)) / (1 - 0.5^sqrt(1/HR)), a common odds ratio by its square root, a standardised mean difference d
    by exp(0.91 d). `rare` and `common` speak of the outcome by the end of follow-up (15 % is the usual border). `limit`
    is 1 when the interval holds no effect, and null without limits; for an estimate that is null both are null.

    Raises ModelInputError for an unknown measure, a ratio that is not positive, or limits on the wrong sides.
    Source: VanderWeele & Ding 2017, Annals of Internal Medicine 167:268.
    """
    measure = ABBREVIATIONS.get(measure, measure)
    if measure not in MEASURES:
        raise ModelInputError(f"measure must be one of: {'; '.join(MEASURES)}.")
    if estimate is None:
        return _row(None, None)
    limits = [value for value in (ci_low, ci_high) if value is not None]
    if any(not math.isfinite(value) for value in (estimate, *limits)):
        raise ModelInputError("Estimate and limits must be finite numbers.")
    if (ci_low is not None and ci_low > estimate) or (ci_high is not None and ci_high < estimate):
        raise ModelInputError("The estimate must lie between its limits.")
    ratio = _risk_ratio(estimate, measure)
    nearer = ci_low if ratio >= 1 else ci_high
    if nearer is None:
        return _row(_e_value(ratio), None)
    at_limit = _risk_ratio(nearer, measure)
    crosses = (at_limit <= 1) if ratio >= 1 else (at_limit >= 1)
    return _row(_e_value(ratio), 1.0 if crosses else _e_value(at_limit))


def standardised_difference_limits(estimate: float, std_error: float) -> tuple[float, float]:
    """Return the limits of a standardised mean difference that the risk-ratio scale of `e_value` expects.

    VanderWeele & Ding give exp(0.91 d ± 1.78 se) for the limits, 1.78 = 0.91 * 1.96 rounded; this returns d ± 1.78/0.91
    standard errors, so that `e_value` agrees with their printed formula.
    """
    reach = 1.78 / LOG_RATIO_PER_SD * std_error
    return estimate - reach, estimate + reach


def _risk_ratio(value: float, measure: str) -> float:
    if measure == "standardised mean difference":
        return math.exp(LOG_RATIO_PER_SD * value)
    if value <= 0:
        raise ModelInputError("A ratio and its limits must be positive.")
    if measure == "hazard ratio, common":
        return (1 - 0.5 ** math.sqrt(value)) / (1 - 0.5 ** math.sqrt(1 / value))
    return math.sqrt(value) if measure == "odds ratio, common" else value


def _e_value(ratio: float) -> float:
    away = max(ratio, 1 / ratio)
    return away + math.sqrt(away * (away - 1))


def _row(point: float | None, limit: float | None) -> pl.DataFrame:
    return pl.DataFrame({"point": [point], "limit": [limit]}, schema={"point": pl.Float64, "limit": pl.Float64})
