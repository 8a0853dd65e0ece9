"""Estimators in which several kinds of event compete: incidence, time lost, Gray's test, Fine-Gray regression.

Belongs here: what is public about competing risks. Does not belong here: the product-limit arithmetic
(`_aalen_johansen`, `_restricted`) or states that can be left again (`multistate`).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.models._aalen_johansen import Influence, Rows, product_limit
from pipelines.models._fine_gray import fine_gray
from pipelines.models._frames import (
    Ints,
    ModelInputError,
    case_weights,
    cause_codes,
    cluster_codes,
    follow_up_times,
    groups_of,
    nullable,
    require_columns,
)
from pipelines.models._gray import gray_statistic
from pipelines.models._intervals import probability_limits
from pipelines.models._log_rank import test_frame
from pipelines.models._restricted import areas_by_group, compare, comparison_frame

__all__ = ["cumulative_incidence", "fine_gray", "gray_test", "restricted_time_lost"]


def cumulative_incidence(
    frame: pl.DataFrame,
    time: str,
    cause: str,
    group: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    conf_type: str = "log-log",
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the Aalen-Johansen cumulative incidence of each cause in each group, a row per distinct exit time.

    `cause` is 0 for censored rows, else the number of the cause. Columns: group, cause, time, at_risk (weighted),
    estimate, std_error, ci_low, ci_high, events (weighted, of that cause), subjects_at_risk (unweighted). Every group
    shows every cause that occurs in the frame (cause 1 when all are censored). Standard errors are the infinitesimal
    jackknife's, summed within clusters; limits are null where the incidence is 0.

    Raises:
        ModelInputError: unknown columns, missing values, negative times or weights, causes that are not whole numbers.
    Source: Aalen & Johansen, Scandinavian Journal of Statistics 5 (1978) 141-150.
    """
    require_columns(frame, [time, cause, group, weights, cluster])
    start, stop = follow_up_times(frame, time)
    codes = cause_codes(frame, cause)
    causes = causes_present(codes)
    weight, clusters, groups = case_weights(frame, weights), cluster_codes(frame, cluster), groups_of(frame, group)
    pieces = []
    for code in range(groups.count):
        rows = Rows.of(start, stop, codes, weight, clusters, groups.codes == code)
        table = product_limit(rows, causes)
        std_error = np.sqrt(Influence.of(rows, table).variance())
        for k, number in enumerate(causes):
            estimate = table.incidence[:, k]
            low, high = probability_limits(estimate, std_error[:, k], conf_type, level)
            columns = {
                "cause": pl.repeat(number, len(estimate), dtype=pl.Int64, eager=True),
                "time": table.time,
                "at_risk": table.at_risk,
                "estimate": estimate,
                "std_error": nullable(std_error[:, k]),
                "ci_low": nullable(low),
                "ci_high": nullable(high),
                "events": table.events[:, k],
                "subjects_at_risk": table.subjects_at_risk.astype(np.int64),
            }
            label = groups.levels.new_from_index(code, len(estimate))
            pieces.append(pl.DataFrame({"group": label, **columns}))
    return pl.concat(pieces)


def restricted_time_lost(
    frame: pl.DataFrame,
    time: str,
    cause: str,
    tau: float,
    group: str | None = None,
    reference: object = None,
    weights: str | None = None,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the mean time lost to each cause up to `tau` (area under its incidence), with differences and ratios.

    Columns as `survival.restricted_mean` with `cause` added; the reference is the first level unless another is
    named. Time without any event is `survival.restricted_mean` of the event "any cause".

    Raises:
        ModelInputError: unknown columns, missing values, negative times, tau not positive, an unknown reference.
    Source: Andersen, Statistics in Medicine 32 (2013) 5278-5285.
    """
    require_columns(frame, [time, cause, group, weights, cluster])
    groups = groups_of(frame, group)
    _, stop = follow_up_times(frame, time)
    codes = cause_codes(frame, cause)
    causes = causes_present(codes)
    weight, clusters = case_weights(frame, weights), cluster_codes(frame, cluster)
    areas = areas_by_group(stop, codes, causes, weight, clusters, groups, tau)
    base = None if groups.count < 2 else 0 if reference is None else groups.index_of(reference)
    return comparison_frame(list(compare(areas, base, level)), groups, causes)


def causes_present(codes: Ints) -> tuple[int, ...]:
    """Return the causes that occur, in order; cause 1 when nobody has an event."""
    return tuple(int(code) for code in np.unique(codes[codes > 0])) or (1,)


def gray_test(frame: pl.DataFrame, time: str, cause: str, group: str) -> pl.DataFrame:
    """Return Gray's test of equal cumulative incidence, a row per cause: cause, statistic, df, p_value, status.

    `cause` is 0 for censored rows. Where the data cannot carry the test the numbers are null and `status` says why.

    Raises:
        ModelInputError: unknown columns, missing values, negative times, fewer than two groups.
    Source: Gray, Annals of Statistics 16 (1988) 1141-1154 (rho = 0).
    """
    require_columns(frame, [time, cause, group])
    groups = groups_of(frame, group)
    if groups.count < 2:
        raise ModelInputError(f"Column {group} has one level; Gray's test needs at least two.")
    _, stop = follow_up_times(frame, time)
    codes = cause_codes(frame, cause)
    causes = causes_present(codes)
    tests = [
        gray_statistic(stop, codes == number, (codes > 0) & (codes != number), groups.codes, groups.count)
        for number in causes
    ]
    labels = pl.DataFrame({"cause": pl.Series(causes, dtype=pl.Int64)})
    return labels.hstack(test_frame(tests))
