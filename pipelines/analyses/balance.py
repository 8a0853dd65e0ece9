"""Standardised differences between the arms of each contrast, unweighted and weighted.

Belongs here: `results.balance`, on the terms of the propensity model and on those it leaves out (squares of numbers,
products of two covariates). Does not belong here: verdicts on it (`comparability`).
"""

import polars as pl

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked
from pipelines.analyses.weighting import OVERLAP, POPULATIONS, UNWEIGHTED, Weighted, weighted_contrasts
from pipelines.models import propensity
from pipelines.protocol import Protocol


def balance(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """One row a contrast, weighting and term; weightings that cannot be estimated have no rows.

    Terms that the model leaves out are shown for the unweighted and the overlap-weighted arms.
    """
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    pieces = []
    for weighted in weighted_contrasts(subjects, protocol, POPULATIONS):
        if not weighted.covariates:
            continue
        left_out: list[str] = []
        if weighted.population == OVERLAP:
            left_out = propensity.unmodelled_terms(weighted.rows, weighted.covariates)
            pieces.append(_labelled(_terms(weighted.rows, weighted, left_out, None), weighted, UNWEIGHTED))
        if weighted.propensity.model is not None:
            rows = weighted.rows.with_columns(weight=weighted.propensity.weights)
            pieces.append(_labelled(_terms(rows, weighted, left_out, "weight"), weighted, weighted.population))
    return stacked(pieces)


def _terms(rows: pl.DataFrame, weighted: Weighted, left_out: list[str], weights: str | None) -> pl.DataFrame:
    """Balance of the model's terms and of those left out: covariate, smd, variance_ratio, ks, is_modelled."""
    terms = list(dict.fromkeys([*weighted.terms, *left_out]))
    found = propensity.balance(rows, "tier", terms, weights)
    modelled = pl.Series([name.replace("`", "") for name in weighted.propensity.terms], dtype=pl.String)
    return (
        found.filter(pl.col("group").cast(pl.String) == weighted.contrast.tier)
        .with_columns(pl.col("covariate").str.replace_all("`", ""))
        .select("covariate", "smd", "variance_ratio", "ks", is_modelled=pl.col("covariate").is_in(modelled.implode()))
    )


def _labelled(rows: pl.DataFrame, weighted: Weighted, weighting: str) -> pl.DataFrame:
    return rows.with_columns(
        contrast=pl.lit(weighted.contrast.name),
        weighting=pl.lit(weighting),
        population=pl.lit(None if weighting == UNWEIGHTED else weighting, dtype=pl.String),
    )
