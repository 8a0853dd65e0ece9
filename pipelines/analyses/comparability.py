"""Whether the arms of a contrast can be compared at all: balance, sample size after weighting, the negative control.

Belongs here: the checks of `results.diagnostics` that look at the contrast as a whole. Does not belong here: checks of
one outcome (`diagnostics`), or balance itself (`balance`).

Overlap weights balance what their model holds exactly, so the checks look at what it leaves out: squares of numbers,
products of two covariates, variances, whole distributions. Among some two hundred such terms a few stand out by chance
even between equal arms, so a standardised difference counts against a contrast only where it exceeds the protocol's
limit by more than chance (Bonferroni at 5 %, at the effective sample sizes): Hripcsak et al. 2025, Stat Med 44:e70212,
as in CohortMethod 6. Variances and distributions must likewise be beyond the limit and beyond chance.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.stats import norm

from pipelines.analyses.checks import FAILED, Row, at_least, at_most, not_applicable
from pipelines.analyses.rows import endpoint_rows
from pipelines.analyses.weighting import OVERLAP, Weighted
from pipelines.models._frames import reason_of
from pipelines.models.weighted_failure import weighted_incidence
from pipelines.protocol import Protocol
from pipelines.protocol_rules import Diagnostics

SAMPLE_SIZE = "effective sample size"
MODELLED = "balance of modelled terms"
UNMODELLED = "balance of unmodelled terms"
VARIANCES = "variance ratio"
DISTRIBUTIONS = "distributions"
NEGATIVE_CONTROL = "negative control"
LEFT_OUT = "covariates left out"
CHANCE = 0.05


def comparability(weighted: Weighted, balance: pl.DataFrame, times: pl.DataFrame, protocol: Protocol) -> Iterator[Row]:
    """The checks of one contrast under overlap weights; `balance` is `results.balance`."""
    name, limits = weighted.contrast.name, protocol.diagnostics
    yield from _left_out(weighted, protocol)
    if weighted.propensity.model is None:
        reason = reason_of(weighted.propensity.status)
        yield not_applicable(name, SAMPLE_SIZE, limits.effective_sample_size_minimum, reason) | {"verdict": FAILED}
        return
    sizes = weighted.propensity.effective_sample_size
    yield _sample_size(name, sizes, limits)
    terms = balance.filter((pl.col("contrast") == name) & (pl.col("weighting") == OVERLAP))
    known = terms.drop_nulls("smd")
    yield _largest_difference(name, MODELLED, known.filter("is_modelled"), limits, limits.smd_maximum)
    left_out = known.filter(~pl.col("is_modelled"))
    chance = float(norm.isf(CHANCE / max(left_out.height, 1))) * _spread(sizes)
    yield _largest_difference(name, UNMODELLED, left_out, limits, limits.smd_maximum + chance)
    yield _variances(name, terms.filter("is_modelled"), sizes, limits)
    yield _distributions(name, terms.filter("is_modelled"), sizes, limits)
    yield negative_control(weighted, times, protocol)


def _left_out(weighted: Weighted, protocol: Protocol) -> Iterator[Row]:
    """Which covariates of the protocol cannot be adjusted for in these arms: named, for a reader to judge."""
    absent = [c.name for c in protocol.covariates if c.name not in weighted.covariates]
    if absent:
        note = f"no variation to adjust for, or not recorded: {', '.join(absent)}"
        yield not_applicable(weighted.contrast.name, LEFT_OUT, 0, note)


def negative_control(weighted: Weighted, times: pl.DataFrame, protocol: Protocol) -> Row:
    """Whether the arms differ in an event that neither tier can affect, weighted, at the primary horizon or the
    end of the smaller arm's follow-up if that comes sooner.

    With too few such events in both arms together the check cannot tell and is `not applicable`; one arm alone may have
    none. Source: Lipsitch, Tchetgen Tchetgen & Cohen 2010, Epidemiology 21:383.
    """
    name, alpha = weighted.contrast.name, protocol.diagnostics.negative_control_alpha
    control = next((endpoint for endpoint in protocol.endpoints if endpoint.is_negative_control), None)
    if control is None:
        return not_applicable(name, NEGATIVE_CONTROL, alpha, "the protocol names no negative control")
    rows = weighted.with_outcome(endpoint_rows(times, control).select("episode_id", "time_days", "status"))
    horizon = min(float(protocol.primary.endpoint_horizon_days), _followed_until(rows))
    happened = rows.filter((pl.col("status") == 1) & (pl.col("time_days") <= horizon))
    if happened.height < protocol.diagnostics.events_per_arm_minimum:
        return not_applicable(name, NEGATIVE_CONTROL, alpha, "too few negative control events to tell")
    found = weighted_incidence(weighted.propensity, rows, "time_days", "status", horizon, cluster="patient_id").filter(
        (pl.col("measure") == "incidence")
        & (pl.col("cause") == 1)
        & (pl.col("variance") == "weights estimated")
        & (pl.col("group").cast(pl.String) == weighted.contrast.tier)
        & pl.col("reference").is_not_null()
    )
    note = f"p-value of the difference in its weighted incidence at {horizon:g} days"
    return at_least(name, NEGATIVE_CONTROL, found["p_value"][0], alpha, note)


def _followed_until(rows: pl.DataFrame) -> float:
    """The day until which the incidence of both arms is known; that of an arm in which nobody is left stays known."""
    last = pl.col("time_days").max()
    is_someone_left = (pl.col("status").filter(pl.col("time_days") == last) == 0).any()
    ends = rows.group_by("tier").agg(last=last.cast(pl.Float64), is_someone_left=is_someone_left)
    return min(ends.filter("is_someone_left")["last"].to_list(), default=float("inf"))


def _sample_size(contrast: str, sizes: pl.DataFrame, limits: Diagnostics) -> Row:
    """The arm with the least to spare: its effective size against the minimum and the fraction of its patients."""
    needed = [
        max(limits.effective_sample_size_minimum, limits.effective_sample_size_fraction * subjects)
        for subjects in sizes["subjects"].to_list()
    ]
    found = sizes["effective_sample_size"].to_list()
    worst = max(range(len(found)), key=lambda arm: needed[arm] / found[arm])
    return at_least(contrast, SAMPLE_SIZE, found[worst], needed[worst], f"of {sizes['group'][worst]}, overlap-weighted")


def _largest_difference(contrast: str, check: str, terms: pl.DataFrame, limits: Diagnostics, maximum: float) -> Row:
    if terms.is_empty():
        return not_applicable(contrast, check, maximum, "no such terms")
    worst = terms.sort(pl.col("smd").abs(), "covariate", descending=[True, False]).row(0, named=True)
    beyond = terms.filter(pl.col("smd").abs() > limits.smd_maximum).height
    note = f"largest of {terms.height} standardised differences, {worst['covariate']}; "
    return at_most(contrast, check, abs(worst["smd"]), maximum, f"{note}{beyond} above {limits.smd_maximum:g}")


def _variances(contrast: str, terms: pl.DataFrame, sizes: pl.DataFrame, limits: Diagnostics) -> Row:
    """The variance ratio furthest from 1, as larger over smaller, against the protocol's limit and chance.

    By chance the logarithm of a ratio of two variances spreads by the square root of 2/(n1 - 1) + 2/(n0 - 1).
    """
    ratios = terms.drop_nulls("variance_ratio").filter(pl.col("variance_ratio") > 0)
    limit = min(limits.variance_ratio_maximum, 1 / limits.variance_ratio_minimum)
    if ratios.is_empty():
        return not_applicable(contrast, VARIANCES, limit, "no numeric covariates")
    worst = ratios.sort(pl.col("variance_ratio").log().abs(), "covariate", descending=[True, False]).row(0, named=True)
    spread = float(np.sqrt((2 / (sizes["effective_sample_size"].to_numpy() - 1)).sum()))
    chance = float(np.exp(norm.isf(CHANCE / (2 * ratios.height)) * spread))
    ratio = worst["variance_ratio"]
    note = f"larger variance over smaller, {worst['covariate']}"
    return at_most(contrast, VARIANCES, max(ratio, 1 / ratio), max(limit, chance), note)


def _distributions(contrast: str, terms: pl.DataFrame, sizes: pl.DataFrame, limits: Diagnostics) -> Row:
    """The largest Kolmogorov-Smirnov distance, against the same limit as differences and what chance would give."""
    known = terms.drop_nulls("ks")
    if known.is_empty():
        return not_applicable(contrast, DISTRIBUTIONS, limits.smd_maximum, "no such terms")
    worst = known.sort("ks", "covariate", descending=[True, False]).row(0, named=True)
    chance = float(np.sqrt(-np.log(CHANCE / (2 * known.height)) / 2)) * _spread(sizes)
    note = f"largest Kolmogorov-Smirnov distance, {worst['covariate']}"
    return at_most(contrast, DISTRIBUTIONS, worst["ks"], max(limits.smd_maximum, chance), note)


def _spread(sizes: pl.DataFrame) -> float:
    """Standard error of a difference of two arms' means in standard deviations, at their effective sizes."""
    return float(np.sqrt((1 / sizes["effective_sample_size"].to_numpy()).sum()))
