"""Fine and Gray's regression for the subdistribution hazard of one cause.

Belongs here: the censoring weights and the risk sets they make; the fit itself is that of `cox`. Public as
`competing_risks.fine_gray`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from pipelines.models._design import design_matrix
from pipelines.models._frames import (
    Bools,
    Floats,
    ModelInputError,
    cause_codes,
    cluster_codes,
    follow_up_times,
    groups_of,
    require_columns,
)
from pipelines.models._risk_sets import RiskSets, SubdistributionRiskSets
from pipelines.models.cox import CoxFit, Problem, SortedTimes, fit_model, risk_order


def fine_gray(
    frame: pl.DataFrame,
    time: str,
    cause: str,
    covariates: Sequence[str],
    cause_of_interest: int = 1,
    cluster: str | None = None,
    censoring_group: str | None = None,
    ties: str = "efron",
    level: float = 0.95,
) -> CoxFit:
    """Fit the proportional subdistribution hazards model of one cause; exp(coef) are subdistribution hazard ratios.

    `cause` is 0 for censored rows. Rows with another cause stay at risk with weight G(u-) / G(t-), G being the
    Kaplan-Meier curve of censoring, overall or within `censoring_group` (events come before censorings of the same
    time). Equals `finegray` followed by
    `coxph(cluster = id)` of R's survival, without the expanded rows: the censoring weights are taken as known in the
    robust covariance, which gives limits and p-values. Its `robust_std_error` is by row, or by `cluster`.

    Raises:
        ModelInputError: unknown columns, missing values, negative times, no covariates, or a cause of interest that
            is not a positive whole number.
    Source: Fine & Gray, JASA 94 (1999) 496-509.
    """
    if ties not in ("efron", "breslow"):
        raise ModelInputError(f"ties must be efron or breslow, it is {ties}.")
    if cause_of_interest != int(cause_of_interest) or cause_of_interest < 1:
        raise ModelInputError(f"cause_of_interest must be a positive whole number, it is {cause_of_interest}.")
    require_columns(frame, [time, cause, cluster, censoring_group])
    X, terms = design_matrix(frame, covariates)
    start, stop = follow_up_times(frame, time)
    codes, clusters = cause_codes(frame, cause), cluster_codes(frame, cluster)
    weight = np.ones(len(stop))
    order = risk_order(stop, np.zeros(len(stop), dtype=np.int64), weight)
    start, stop, codes = start[order], stop[order], codes[order]
    event = codes == cause_of_interest
    natural = RiskSets.of(start, stop, event, np.zeros(len(stop), dtype=np.int64))
    groups = groups_of(frame, censoring_group)
    faded = [
        _fading(stop, codes == 0, (codes > 0) & ~event, groups.codes[order] == code, natural.slots.time)
        for code in range(groups.count)
    ]
    problem = Problem(
        X[order],
        terms,
        weight,
        None if clusters is None else clusters[order],
        SubdistributionRiskSets(natural, faded),
        SortedTimes(start, stop, event, order),
        pl.DataFrame(),
    )
    return fit_model(problem, robust=True, ties=ties, level=level)


def _fading(stop: Floats, censored: Bools, stays: Bools, member: Bools, slot_time: Floats) -> tuple[Floats, Floats]:
    """Return G(u-) at the slots and 1 / G(t-) of the rows of one censoring group that stay at risk."""
    at_slot = _censoring_survival_before(stop[member], censored[member], slot_time)
    own = _censoring_survival_before(stop[member], censored[member], stop)
    return at_slot, np.divide(1.0, own, out=np.zeros(len(stop)), where=member & stays & (own > 0))


def _censoring_survival_before(stop: Floats, censored: Bools, at: Floats) -> Floats:
    """Return G(t-) at the times `at`: the Kaplan-Meier curve of censoring just before them.

    Rows with an event at a censoring time have left the risk set before it.
    """
    time, index = np.unique(stop, return_inverse=True)
    lost = np.bincount(index, weights=censored, minlength=len(time))
    leaving = np.bincount(index, minlength=len(time))
    at_risk = np.cumsum(leaving[::-1])[::-1] - (leaving - lost)
    kept = np.divide(at_risk - lost, at_risk, out=np.ones(len(time)), where=at_risk > 0)
    survival = np.concatenate([[1.0], np.cumprod(kept)])
    return survival[np.searchsorted(time, at, side="left")]
