"""Questionnaire scores at one window: differences between neighbouring tiers by analysis of covariance.

One model per outcome and window holds all tiers, so that the contrasts are linear combinations of one fit. Baseline
only stands beside the case-mix adjusted model. Missing values are left out (complete cases, counted in `subjects`);
values after escalation stay in (treatment policy).
"""

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order, score_instruments, stacked, windows, without_keys
from pipelines.models.comparison import ancova
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Instrument

ANCOVA_UNADJUSTED = "ANCOVA (HC3), baseline only"
ANCOVA_ADJUSTED = "ANCOVA (HC3), covariate-adjusted"


def ancova_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Mean differences of every ordered pair of tiers by outcome, window and method."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    pieces = []
    for name in score_instruments(protocol):
        instrument = protocol.instrument(name)
        rows = model_rows(scores.filter(pl.col("instrument") == name), subjects, instrument)
        for window in windows(rows, protocol):
            here = rows.filter(pl.col("visit_window") == window.name)
            if here["tier"].n_unique() < 2:
                continue
            merged, covariates = usable(here, protocol, without=[f"{name}_baseline"])
            baseline = None if instrument.is_after_treatment_only else "baseline_value"
            for method, adjusters in ((ANCOVA_UNADJUSTED, []), (ANCOVA_ADJUSTED, covariates)):
                fitted = ancova(merged, "value", baseline, "tier", adjusters)
                labels = {"outcome": name, "window": window.name, "method": method, "measure": "mean difference"}
                pieces.append(fitted.with_columns(pl.lit(v).alias(k) for k, v in labels.items()))
    return stacked(pieces)


def model_rows(scores: pl.DataFrame, subjects: pl.DataFrame, instrument: Instrument) -> pl.DataFrame:
    """The observed scores with the covariates of their subjects; with a baseline, unless the score has none."""
    seen = scores.filter("is_observed")
    if not instrument.is_after_treatment_only:
        seen = seen.drop_nulls("baseline_value")
    return seen.join(without_keys(subjects), on="episode_id", how="inner", maintain_order="left")
