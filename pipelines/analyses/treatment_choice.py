"""Who gets what: one multinomial model of the tier on the case mix, and what its weights would do. Descriptive.

Belongs here: odds ratios, scores, weights and balance over all tiers at once. Does not belong here: a comparison of
outcomes; there is no global ranking of five tiers (design, section 7), contrasts have models of their own
(`weighting`).
"""

from collections.abc import Iterator

import polars as pl
from scipy.stats import norm

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.weighting import OVERLAP, UNWEIGHTED
from pipelines.models._frames import reason_of
from pipelines.models.propensity import Propensity, balance, weights
from pipelines.protocol import Protocol

EVERYONE = "ate"
QUANTILES = {"p05": 0.05, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "p95": 0.95}


def treatment_choice(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Odds ratios of each tier over the first by a multinomial model on the case mix; it ranks nothing."""
    pieces = []
    for _, _, fitted in _models(tables, protocol, (OVERLAP,)):
        first = fitted.arms.names[0]
        if fitted.model is None:
            pieces.append(pl.DataFrame([{"reference": first} | _failed(fitted)]))
            continue
        reach = float(norm.isf(0.025)) * pl.col("std_error")
        pieces.append(
            fitted.coefficients.filter(pl.col("term") != "(Intercept)").select(
                "term",
                tier=pl.col("group").cast(pl.String),
                reference=pl.lit(first),
                estimate=pl.col("coef").exp(),
                log_std_error="std_error",
                ci_low=(pl.col("coef") - reach).exp(),
                ci_high=(pl.col("coef") + reach).exp(),
                status=pl.lit(ESTIMABLE),
            )
        )
    return stacked(pieces)


def choice_scores(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """How probable each tier was (`score_of`) for the patients of each tier: mean and quantiles of the score."""
    pieces = []
    for rows, _, fitted in _models(tables, protocol, (OVERLAP,)):
        if fitted.model is None:
            pieces.append(pl.DataFrame([_failed(fitted)]))
            continue
        scored = fitted.scores.with_columns(tier=rows["tier"].cast(pl.String))
        long = scored.unpivot(index="tier", variable_name="score_of", value_name="score")
        found = long.group_by("tier", "score_of").agg(
            pl.len().alias("subjects"),
            pl.col("score").mean().alias("mean"),
            *(pl.col("score").quantile(at, "linear").alias(name) for name, at in QUANTILES.items()),
        )
        order = pl.Enum(protocol.tier_names)
        pieces.append(
            found.sort(pl.col("tier").cast(order), pl.col("score_of").cast(order)).with_columns(
                status=pl.lit(ESTIMABLE)
            )
        )
    return stacked(pieces)


def choice_weights(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """What weighing all tiers alike leaves of each: its effective sample size, and the share of its largest weight."""
    pieces = []
    for rows, _, fitted in _models(tables, protocol, (OVERLAP, EVERYONE)):
        if fitted.model is None:
            pieces.append(pl.DataFrame([{"population": fitted.estimand} | _failed(fitted)]))
            continue
        largest = (
            pl.DataFrame({"tier": rows["tier"].cast(pl.String), "weight": fitted.weights})
            .group_by("tier")
            .agg(largest_share=pl.col("weight").max() / pl.col("weight").sum())
        )
        sizes = fitted.effective_sample_size.with_columns(tier=pl.col("group").cast(pl.String)).drop("group")
        pieces.append(
            sizes.join(largest, on="tier", how="left", maintain_order="left").with_columns(
                population=pl.lit(fitted.estimand), status=pl.lit(ESTIMABLE)
            )
        )
    return stacked(pieces)


def choice_balance(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Standardised differences of every pair of tiers before and after weighing all tiers alike."""
    pieces = []
    for rows, covariates, fitted in _models(tables, protocol, (OVERLAP, EVERYONE)):
        before = {UNWEIGHTED: None} if fitted.estimand == OVERLAP else {}
        after = {} if fitted.model is None else {fitted.estimand: fitted.weights}
        for weighting, own in (before | after).items():
            frame = rows if own is None else rows.with_columns(weight=own)
            found = balance(frame, "tier", covariates, None if own is None else "weight")
            pieces.append(
                found.rename({"group": "tier"}).with_columns(
                    pl.col("tier", "reference").cast(pl.String), weighting=pl.lit(weighting)
                )
            )
    return stacked(pieces)


def _models(
    tables: Tables, protocol: Protocol, populations: tuple[str, ...]
) -> Iterator[tuple[pl.DataFrame, list[str], Propensity]]:
    """The rows of all tiers with patients, the covariates, and the model under each population's weights.

    Nothing where there are not two tiers, or no covariate that varies.
    """
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    present = [tier for tier in protocol.tier_names if (subjects["tier"] == tier).any()]
    rows, covariates = usable(subjects.with_columns(pl.col("tier").cast(pl.Enum(present))), protocol)
    if len(present) > 1 and covariates:
        for population in populations:
            yield rows, covariates, weights(rows, "tier", covariates, population)


def _failed(fitted: Propensity) -> dict[str, str]:
    return {"status": NOT_ESTIMABLE, "reason": reason_of(fitted.status)}
