"""Shares of patients who responded, at every threshold of the protocol.

Two ways of counting stand side by side: those seen, and everyone due with a missing visit counted as no response. In
both, escalation before the visit is non-response; patients who died, or whom the rule cannot judge (no baseline, a
walk at its ceiling), are left out, as the derivation's `response` says.
"""

import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order
from pipelines.models.proportions import wilson
from pipelines.protocol import Protocol

OBSERVED = "observed"
MISSING_AS_NON_RESPONSE = "missing as non-response"
COUNTED = {
    OBSERVED: ("responder", "non-responder"),
    MISSING_AS_NON_RESPONSE: ("responder", "non-responder", "missing"),
}


def responders(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Responder shares with Wilson limits by outcome, threshold, window, tier and way of counting."""
    rows = tables["analysis.responders"]
    if rows.is_empty():
        return rows.clear()
    pieces = [_counted(rows, method, protocol) for method in COUNTED]
    counts = in_protocol_order(pl.concat(pieces), protocol)
    shares = wilson(counts["responders"], counts["subjects"])
    return counts.with_columns(
        shares["estimate"], shares["ci_low"], shares["ci_high"], shares["status"], shares["reason"]
    )


def _counted(rows: pl.DataFrame, method: str, protocol: Protocol) -> pl.DataFrame:
    """Responders and subjects of each cell that has anyone, also where nobody can be counted."""
    counted = pl.col("response").is_in(COUNTED[method])
    return (
        in_ladder_order(rows, protocol)
        .group_by("instrument", "threshold", "visit_window", "tier")
        .agg(
            responders=(pl.col("response") == "responder").sum().cast(pl.Int64),
            subjects=counted.sum().cast(pl.Int64),
        )
        .with_columns(method=pl.lit(method))
    )


def in_protocol_order(counts: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Rows in the order in which the protocol names instruments, thresholds, windows and tiers."""
    thresholds = [threshold.name for instrument in protocol.instruments for threshold in instrument.thresholds]
    order = {
        "instrument": [instrument.name for instrument in protocol.instruments],
        "threshold": list(dict.fromkeys(thresholds)),
        "visit_window": [window.name for window in protocol.windows],
        "tier": list(protocol.tier_names),
    }
    keys = [pl.col(name).cast(pl.Enum(levels)).alias(f"_{name}") for name, levels in order.items()]
    return (
        counts.with_columns(keys)
        .sort([f"_{name}" for name in order] + ["method"])
        .drop([f"_{name}" for name in order])
        .with_columns(pl.col("tier").cast(pl.String))
        .rename({"instrument": "outcome", "visit_window": "window"})
    )
