"""`results.contrasts` and `results.restricted_times`: all comparisons, gated, with the primary ones marked.

Belongs here: gathering what the estimators' modules found for the protocol's contrasts, withholding what failed a
diagnostic, marking the primary rows and adjusting their p-values. Does not belong here: an estimate.

Primary is the propensity-weighted difference in the overlap population, for walking the ratio of distances of the
weighted joint model.
"""

import polars as pl

from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.horizons import contrast_times, incidence_differences, tier_times
from pipelines.analyses.imputed import imputed_contrasts
from pipelines.analyses.multiplicity import holm
from pipelines.analyses.registry import Tables
from pipelines.analyses.repeated import repeated_contrasts, unrepeated_contrasts
from pipelines.analyses.rows import TREATMENT_POLICY, names_of, stacked
from pipelines.analyses.schemas import NOT_ESTIMABLE
from pipelines.analyses.scores import ancova_contrasts
from pipelines.analyses.specifications import further_contrasts
from pipelines.analyses.trace_names import TIMES, with_trace
from pipelines.analyses.walking import FIXED_TIME_UNADJUSTED, fixed_time_contrasts, joint_contrasts
from pipelines.analyses.weighted_effects import (
    ESTIMATED,
    WEIGHTED,
    WEIGHTED_WALK,
    risk_differences,
    score_differences,
    walking_ratios,
)
from pipelines.analyses.weighting import OVERLAP
from pipelines.protocol import Protocol

NUMBERS = ("estimate", "std_error", "ci_low", "ci_high", "p_value")
PRIMARY_MEASURES = {WEIGHTED: ("mean difference", ESTIMATED), WEIGHTED_WALK: ("distance ratio", ESTIMATED)}


def contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Every comparison of the protocol's contrasts at every window and horizon, by every method."""
    is_full = protocol.analysis_set == "full"
    incidence = incidence_differences(tables, protocol)
    pieces = [
        score_differences(tables, protocol),
        of_protocol(ancova_contrasts(tables, protocol), protocol),
        of_protocol(repeated_contrasts(tables, protocol), protocol),
        unrepeated_contrasts(tables, protocol),
        _as_ratios(walking_ratios(tables, protocol)),
        _as_ratios(of_protocol(joint_contrasts(tables, protocol), protocol)),
        of_protocol(fixed_time_contrasts(tables, protocol), protocol),
        risk_differences(tables, protocol),
        *((further_contrasts(tables, protocol), imputed_contrasts(tables, protocol)) if is_full else ()),
        incidence if incidence.is_empty() else incidence.with_columns(measure=pl.lit("incidence difference")),
    ]
    rows = stacked([_labelled(piece) for piece in pieces if piece.height])
    rows = stacked([rows, unanswered(rows, tables, protocol)])
    if rows.is_empty():
        return rows
    gated = withhold_failed(rows, Gate(tables["results.diagnostics"]), "outcome", "window")
    return with_trace(with_primary(gated, protocol))


def unanswered(rows: pl.DataFrame, tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """A row, `not estimable` with its reason, for each question of the protocol that no primary estimator answered.

    So that a tier without patients, or a window in which nobody was seen, is told rather than left out. Tests of a
    fixed time are compared in metres, not by the joint model.
    """
    found = {
        (row["contrast"], row["outcome"], row["window"], row["method"])
        for row in (rows.select("contrast", "outcome", "window", "method").to_dicts() if rows.height else ())
    }
    treated = set(tables["analysis.subjects"]["tier"].cast(pl.String).to_list())
    pieces = []
    for asked in protocol.primary.questions:
        method = WEIGHTED_WALK if protocol.instrument(asked.outcome).kind == "walking" else WEIGHTED
        for contrast in protocol.contrasts:
            key = (contrast.name, asked.outcome, asked.window)
            if (*key, method) in found or (*key, FIXED_TIME_UNADJUSTED) in found:
                continue
            absent = [tier for tier in (contrast.tier, contrast.reference) if tier not in treated]
            measure, variance = PRIMARY_MEASURES[method]
            pieces.append(
                {
                    **names_of(contrast),
                    "outcome": asked.outcome,
                    "window": asked.window,
                    "method": method,
                    "measure": measure,
                    "variance": variance,
                    "population": OVERLAP,
                    "strategy": TREATMENT_POLICY,
                    "status": NOT_ESTIMABLE,
                    "reason": f"no patients in {' and '.join(absent)}" if absent else "nobody was seen in this window",
                }
            )
    return pl.DataFrame(pieces).with_columns(*(pl.lit(None, pl.Float64).alias(name) for name in NUMBERS if pieces))


def restricted_times(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Tiers side by side, then contrasts; Holm over each contrast's own endpoint at the primary horizon."""
    compared = contrast_times(tables, protocol)
    if compared.height:
        gated = withhold_failed(compared, Gate(tables["results.diagnostics"]), "endpoint", None)
        compared = _adjusted_times(gated, protocol)
    return with_trace(stacked([piece for piece in (tier_times(tables, protocol), compared) if piece.height]), TIMES)


def of_protocol(pairs: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """The rows (group over reference) that are contrasts of the protocol, named, in the protocol's order."""
    if pairs.is_empty():
        return pairs
    names = pl.DataFrame(
        {
            "tier": [contrast.tier for contrast in protocol.contrasts],
            "reference": [contrast.reference for contrast in protocol.contrasts],
            "contrast": [contrast.name for contrast in protocol.contrasts],
        },
        schema=dict.fromkeys(("tier", "reference", "contrast"), pl.String),
    )
    tiers = pairs.with_columns(tier=pl.col("group").cast(pl.String), reference=pl.col("reference").cast(pl.String))
    return tiers.join(names, on=["tier", "reference"], how="inner", maintain_order="left_right")


def with_primary(rows: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """The rows with `is_primary`, and `p_adjusted` over the contrasts of each primary outcome."""
    asked = [(primary.outcome, primary.window) for primary in protocol.primary.outcomes]
    is_primary = [
        (row["outcome"], row["window"]) in asked
        and row["population"] == OVERLAP
        and row["strategy"] == TREATMENT_POLICY
        and PRIMARY_MEASURES.get(row["method"]) == (row["measure"], row["variance"])
        for row in rows.iter_rows(named=True)
    ]
    marked = rows.with_row_index("_row").with_columns(is_primary=pl.Series(is_primary, dtype=pl.Boolean))
    adjusted: dict[int, float | None] = {}
    for _, family in marked.filter("is_primary").group_by("outcome", "window", maintain_order=True):
        adjusted |= _holm_by_row(family, protocol)
    return _with_adjusted(marked, adjusted)


def _adjusted_times(rows: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    endpoints = {contrast.name: contrast.endpoint for contrast in protocol.contrasts}
    horizon = protocol.primary.endpoint_horizon_days
    marked = rows.with_row_index("_row")
    # the primary horizon, or the end of follow-up where that came sooner; horizons beyond it are not primary
    within = marked.filter(pl.col("tau_days") <= horizon)
    primary = within.filter(
        (pl.col("measure") == "difference")
        & (pl.col("cause") == "event")
        & (pl.col("weighting") == OVERLAP)
        & (pl.col("variance") == ESTIMATED)
        & (pl.col("tau_days") == pl.col("tau_days").max().over("endpoint", "contrast"))
        & (pl.col("endpoint") == pl.col("contrast").replace_strict(endpoints, return_dtype=pl.String))
    )
    return _with_adjusted(marked, _holm_by_row(primary, protocol))


def _holm_by_row(family: pl.DataFrame, protocol: Protocol) -> dict[int, float | None]:
    """Adjusted p-values by row number; contrasts of the protocol without a row count as questions too."""
    absent = max(len(protocol.contrasts) - family.height, 0)
    adjusted = holm([*family["p_value"].to_list(), *[None] * absent])
    return dict(zip(family["_row"].to_list(), adjusted[: family.height], strict=True))


def _with_adjusted(marked: pl.DataFrame, adjusted: dict[int, float | None]) -> pl.DataFrame:
    values = [adjusted.get(row) for row in marked["_row"].to_list()]
    return marked.with_columns(p_adjusted=pl.Series(values, dtype=pl.Float64)).drop("_row")


def _as_ratios(walks: pl.DataFrame) -> pl.DataFrame:
    if walks.is_empty():
        return walks
    return walks.rename({"log_std_error": "std_error"}).with_columns(measure=pl.format("{} ratio", "measure"))


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with what regression over all tiers leaves unsaid: everyone, treatment policy, the model's variance."""
    unsaid = {"population": "ate", "strategy": TREATMENT_POLICY, "variance": "model"}
    return rows.with_columns(
        (pl.col(name) if name in rows.columns else pl.lit(None, pl.String)).fill_null(value).alias(name)
        for name, value in unsaid.items()
    )
