"""Further ways to answer the questions about scores, for the specification curve of the full analysis set.

Belongs here: doubly robust, trimmed and complete-case estimates, standardised risks, clustering by site. Does not
belong here: the primary estimators (`weighted_effects`, `scores`, `repeated`), multiple imputation (`imputed`).
"""

from collections.abc import Iterator

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import ESCALATION_IS_NON_RESPONSE, arms, in_ladder_order, stacked
from pipelines.analyses.scores import model_rows
from pipelines.analyses.weighted_effects import ESTIMATED, of_contrast, responses, with_visits
from pipelines.analyses.weighting import OVERLAP, Weighted, weighted_contrasts
from pipelines.models.comparison import aipw, ancova
from pipelines.models.propensity import effects, trim, weights
from pipelines.models.standardisation import standardised_risks
from pipelines.protocol import Protocol
from pipelines.protocol_parts import PrimaryOutcome

AIPW = "doubly robust (AIPW), complete cases"
COMPLETE = "propensity-weighted, complete cases"
COMPLETE_BY_SITE = "propensity-weighted, complete cases, clustered by site"
TRIMMED = "propensity-weighted, trimmed to scores of at least 0.05, complete cases"
BY_SITE = "ANCOVA, covariate-adjusted, clustered by site"
STANDARDISED = "standardised by logistic regression, complete cases"


def further_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Further estimates of the scores and responses that the protocol asks about, contrast by contrast."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    responders = in_ladder_order(tables["analysis.responders"], protocol)
    shared = list(weighted_contrasts(subjects, protocol))
    pieces: list[pl.DataFrame] = []
    for asked in protocol.primary.questions:
        if protocol.instrument(asked.outcome).kind != "score":
            continue
        at_window = (pl.col("instrument") == asked.outcome) & (pl.col("visit_window") == asked.window)
        for weighted in shared:
            pieces += _of_scores(weighted, scores.filter(at_window), asked, protocol)
            pieces += _of_responses(weighted, responders.filter(at_window), protocol)
    return stacked(pieces)


def _of_scores(
    weighted: Weighted, scores: pl.DataFrame, asked: PrimaryOutcome, protocol: Protocol
) -> Iterator[pl.DataFrame]:
    rows = model_rows(scores, weighted.rows, protocol.instrument(asked.outcome))
    if rows.is_empty():
        return
    pair, covariates = usable(arms(rows, weighted.contrast), protocol)
    if pair["tier"].n_unique() < 2:
        return
    labels = {"outcome": asked.outcome, "window": asked.window, "measure": "mean difference"}
    yield of_contrast(aipw(pair, "value", "tier", covariates), weighted, labels | {"method": AIPW}, "ate")
    own = f"{asked.outcome}_baseline"
    others = [name for name in covariates if name != own]
    baseline = None if protocol.instrument(asked.outcome).is_after_treatment_only else "baseline_value"
    clustered = ancova(pair, "value", baseline, "tier", others, cluster="site_id")
    yield of_contrast(clustered, weighted, labels | {"method": BY_SITE}, "ate")
    complete = weights(pair, "tier", covariates, OVERLAP)
    for method, cluster in ((COMPLETE, None), (COMPLETE_BY_SITE, "site_id")):
        found = effects(complete, pair, "value", cluster=cluster).filter(pl.col("variance") == ESTIMATED)
        yield of_contrast(found, weighted, labels | {"method": method}, OVERLAP)
    everyone = weights(pair, "tier", covariates, "ate")
    if everyone.model is not None:
        kept, left = usable(pair.filter(trim(everyone).kept), protocol)
        found = effects(weights(kept, "tier", left, "ate"), kept, "value").filter(pl.col("variance") == ESTIMATED)
        yield of_contrast(found, weighted, labels | {"method": TRIMMED}, "ate")


def _of_responses(weighted: Weighted, rows: pl.DataFrame, protocol: Protocol) -> Iterator[pl.DataFrame]:
    for (instrument, threshold, window), part in rows.group_by(
        "instrument", "threshold", "visit_window", maintain_order=True
    ):
        frame = with_visits(weighted, responses(part), ["is_responder"]).drop_nulls("is_responder")
        pair, covariates = usable(frame, protocol)
        labels = {
            "outcome": str(instrument),
            "threshold": str(threshold),
            "window": str(window),
            "measure": "risk difference",
            "method": STANDARDISED,
            "strategy": ESCALATION_IS_NON_RESPONSE,
        }
        if pair.height and pair["tier"].n_unique() > 1:
            found = standardised_risks(pair, "is_responder", "tier", covariates)
            yield of_contrast(found, weighted, labels, "ate")
