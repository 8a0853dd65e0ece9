"""Survival curves, the log-rank test and restricted mean survival for one kind of event.

Belongs here: estimators for right-censored (and left-truncated) data with a single event. Does not belong here:
competing events (`competing_risks`), regression (`cox`, `parametric`), interval censoring (`interval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from pipelines.models._aalen_johansen import Influence, Rows, greenwood, product_limit
from pipelines.models._frames import (
    ModelInputError,
    case_weights,
    cluster_codes,
    event_indicator,
    follow_up_times,
    groups_of,
    joint_codes,
    nullable,
    require_columns,
)
from pipelines.models._intervals import adjusted_p, probability_limits
from pipelines.models._log_rank import log_rank_test, test_frame
from pipelines.models._restricted import areas_by_group, compare, comparison_frame


def kaplan_meier(
    frame: pl.DataFrame,
    time: str,
    event: str,
    group: str | None = None,
    weights: str | None = None,
    entry: str | None = None,
    cluster: str | None = None,
    conf_type: str = "log-log",
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the Kaplan-Meier curve of each group, a row per distinct exit time.

    Columns: group, time, at_risk, events, censored (weighted), estimate, std_error, ci_low, ci_high, subjects_at_risk
    (rows at risk, unweighted). Rows are at risk on (entry, time]. Without weights and clusters the standard error is
    Greenwood's, else the infinitesimal jackknife's (as R's `survfit(robust = TRUE)`), summed within clusters.
    Standard error and limits are null where nobody survives; limits also where the scale of `conf_type` has none.

    Raises:
        ModelInputError: unknown columns, missing values, negative times or weights, an event that is not 0 or 1.
    Source: Kaplan & Meier, JASA 53 (1958) 457-481; Therneau & Grambsch, Modeling Survival Data (2000), ch. 2.
    """
    require_columns(frame, [time, event, group, weights, entry, cluster])
    start, stop = follow_up_times(frame, time, entry)
    cause = event_indicator(frame, event).astype(np.int64)
    weight, clusters, groups = case_weights(frame, weights), cluster_codes(frame, cluster), groups_of(frame, group)
    pieces = []
    for code in range(groups.count):
        rows = Rows.of(start, stop, cause, weight, clusters, groups.codes == code)
        table = product_limit(rows, (1,))
        robust = weights is not None or cluster is not None
        variance = Influence.of(rows, table).variance()[:, 0] if robust else greenwood(table)
        std_error = np.where(table.survival > 0, np.sqrt(variance), np.nan)
        low, high = probability_limits(table.survival, std_error, conf_type, level)
        columns = {
            "time": table.time,
            "at_risk": table.at_risk,
            "events": table.events[:, 0],
            "censored": table.censored,
            "estimate": table.survival,
            "std_error": nullable(std_error),
            "ci_low": nullable(low),
            "ci_high": nullable(high),
            "subjects_at_risk": table.subjects_at_risk.astype(np.int64),
        }
        pieces.append(pl.DataFrame({"group": groups.levels.new_from_index(code, len(table.time)), **columns}))
    return pl.concat(pieces)


def survival_quantile(
    frame: pl.DataFrame,
    time: str,
    event: str,
    probability: float = 0.5,
    group: str | None = None,
    weights: str | None = None,
    cluster: str | None = None,
    conf_type: str = "log-log",
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the time by which a share of each group has had the event (0.5: the median), with limits.

    Columns: group, probability, estimate, ci_low, ci_high; null where the curve, or its limit, does not fall so far.
    Where the curve lies exactly at the share, the middle of that stretch is taken. For the median follow-up (reverse
    Kaplan-Meier) pass a column that is true where the row is censored as `event`.

    Raises:
        ModelInputError: as `kaplan_meier`, or a probability that is not between 0 and 1.
    Source: Brookmeyer & Crowley, Biometrics 38 (1982) 29-41.
    """
    if not 0 < probability < 1:
        raise ModelInputError(f"probability must lie between 0 and 1, it is {probability}.")
    curve = kaplan_meier(frame, time, event, group, weights, None, cluster, conf_type, level)
    parts = curve.partition_by("group", maintain_order=True)
    columns = {
        name: nullable(np.array([_first_below(part, source, 1 - probability) for part in parts]))
        for name, source in (("estimate", "estimate"), ("ci_low", "ci_low"), ("ci_high", "ci_high"))
    }
    labels = pl.concat([part.select("group").head(1) for part in parts])
    return labels.with_columns(probability=pl.lit(probability), **columns)


def log_rank(
    frame: pl.DataFrame, time: str, event: str, group: str, strata: str | Sequence[str] | None = None
) -> pl.DataFrame:
    """Return the log-rank test of equal survival, one row: statistic, df, p_value, status.

    Strata add up observed minus expected events over their levels. Where the data cannot carry the test the numbers
    are null and `status` says why.

    Raises:
        ModelInputError: unknown columns, missing values, negative times, fewer than two groups.
    Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), section 1.5.
    """
    groups = groups_of(frame, group)
    if groups.count < 2:
        raise ModelInputError(f"Column {group} has one level; a log-rank test needs at least two.")
    _, stop = follow_up_times(frame, time)
    happened, stratum = event_indicator(frame, event), joint_codes(frame, strata)
    return test_frame([log_rank_test(stop, happened, groups.codes, groups.count, stratum)])


def pairwise_log_rank(
    frame: pl.DataFrame,
    time: str,
    event: str,
    group: str,
    strata: str | Sequence[str] | None = None,
    adjust: str = "holm",
) -> pl.DataFrame:
    """Return the log-rank test of each pair of groups on the rows of that pair, with p-values adjusted over the pairs.

    Columns: group, reference, statistic, df, p_value, status, p_adjusted (`adjust`: holm, bonferroni or none; a pair
    that cannot be tested counts as one of the pairs).
    """
    groups = groups_of(frame, group)
    if groups.count < 2:
        raise ModelInputError(f"Column {group} has one level; a log-rank test needs at least two.")
    _, stop = follow_up_times(frame, time)
    happened, stratum = event_indicator(frame, event), joint_codes(frame, strata)
    pairs = list(combinations(range(groups.count), 2))
    tests = []
    for first, second in pairs:
        kept = (groups.codes == first) | (groups.codes == second)
        tests.append(
            log_rank_test(stop[kept], happened[kept], (groups.codes[kept] == second).astype(np.int64), 2, stratum[kept])
        )
    p_adjusted = adjusted_p(np.array([test.p_value for test in tests]), adjust)
    labels = pl.DataFrame(
        {
            "group": groups.levels.gather([second for _, second in pairs]),
            "reference": groups.levels.gather([first for first, _ in pairs]),
        }
    )
    return labels.hstack(test_frame(tests)).with_columns(p_adjusted=nullable(p_adjusted))


def restricted_mean(
    frame: pl.DataFrame,
    time: str,
    event: str,
    tau: float,
    group: str | None = None,
    reference: object = None,
    weights: str | None = None,
    cluster: str | None = None,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return the mean time without event up to `tau` in each group, with differences and ratios to the reference.

    Columns: measure (`mean`, `difference`, `ratio`), group, reference, estimate, std_error, ci_low, ci_high, p_value,
    status. Times are in the unit of `time`. The reference is the first level unless another is named. Limits and
    p-value of a ratio come from its logarithm; its standard error is on the scale of the ratio. A group whose
    follow-up ends before `tau` while some survive is not estimable.

    Raises:
        ModelInputError: unknown columns, missing values, negative times, tau not positive, an unknown reference.
    Source: Uno et al., Journal of Clinical Oncology 32 (2014) 2380-2385.
    """
    require_columns(frame, [time, event, group, weights, cluster])
    groups = groups_of(frame, group)
    _, stop = follow_up_times(frame, time)
    cause = event_indicator(frame, event).astype(np.int64)
    weight, clusters = case_weights(frame, weights), cluster_codes(frame, cluster)
    lost = areas_by_group(stop, cause, (1,), weight, clusters, groups, tau)
    base = None if groups.count < 2 else 0 if reference is None else groups.index_of(reference)
    rows = list(compare([area.as_time_without(tau) for area in lost], base, level))
    return comparison_frame(rows, groups, None)


def _first_below(curve: pl.DataFrame, column: str, share: float, tolerance: float = 1e-8) -> float:
    """Return where a curve falls to a share, NaN if it does not; the middle of a stretch exactly at the share."""
    known = curve.select("time", pl.col(column)).drop_nulls()
    time, values = known["time"].to_numpy(), known[column].to_numpy()
    reached, passed = time[values <= share + tolerance], time[values < share - tolerance]
    if len(reached) == 0:
        return float("nan")
    return float((reached[0] + (passed[0] if len(passed) else time[-1])) / 2)
