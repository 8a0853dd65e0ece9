"""What each method of `results.contrasts` is: estimator, rule for missing data, formula and function.

One table serves two purposes: the specification curve of the protocol (`sensitivity`), which spans estimator,
population, missing-data rule, strategy and threshold, and the traces of numbers on the report (`traces`). Does not
belong here: any estimate.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.analyses import horizons, imputed, repeated, scores, specifications, walking, weighted_effects

COMPLETE_CASES = "complete cases"
DROPOUT_WEIGHTS = "dropout weights"
NON_RESPONSE = "missing as non-response"
LIKELIHOOD = "likelihood, missing at random"
IMPUTATION = "multiple imputation"
CENSORING = "censoring at end of follow-up"

_SCORES, _WALKS = "analysis.scores", "analysis.walking_tests"
_RESPONSES, _TIMES = "analysis.responders", "analysis.time_to_event"
_SCORE = "logit P(tier | X); mean of Y in each arm weighted by it"
_WALK = "log time ~ tier + baseline, log speed ~ tier + baseline, jointly normal, time censored at the limit"


@dataclass(frozen=True)
class Choice:
    """How a method answers: `formula` in words that name its terms, `function` its place in the package."""

    method: str
    estimator: str
    missing_data: str
    table: str
    function: str
    formula: str


CHOICES: tuple[Choice, ...] = (
    Choice(weighted_effects.WEIGHTED, "propensity weighting", DROPOUT_WEIGHTS, _SCORES,
           "pipelines.models.propensity.effects", _SCORE),
    Choice(weighted_effects.RISK_OBSERVED, "propensity weighting", DROPOUT_WEIGHTS, _RESPONSES,
           "pipelines.models.propensity.effects", _SCORE.replace("mean of Y", "share of responders")),
    Choice(weighted_effects.RISK_NON_RESPONSE, "propensity weighting", NON_RESPONSE, _RESPONSES,
           "pipelines.models.propensity.effects", _SCORE.replace("mean of Y", "share of responders")),
    Choice(weighted_effects.WEIGHTED_WALK, "propensity-weighted joint model", DROPOUT_WEIGHTS, _WALKS,
           "pipelines.models.walking.weighted_time_speed", f"{_WALK}; weighted by P(tier | X)"),
    Choice(specifications.COMPLETE, "propensity weighting", COMPLETE_CASES, _SCORES,
           "pipelines.models.propensity.effects", _SCORE),
    Choice(specifications.COMPLETE_BY_SITE, "propensity weighting, clustered by site", COMPLETE_CASES, _SCORES,
           "pipelines.models.propensity.effects", f"{_SCORE}; errors clustered by site"),
    Choice(specifications.TRIMMED, "propensity weighting", COMPLETE_CASES, _SCORES,
           "pipelines.models.propensity.effects", f"{_SCORE}; only where P of both arms is at least 0.05"),
    Choice(specifications.AIPW, "doubly robust (AIPW)", COMPLETE_CASES, _SCORES,
           "pipelines.models.comparison.aipw", "Y ~ X in each arm, corrected by residuals over P(tier | X)"),
    Choice(specifications.BY_SITE, "ANCOVA, clustered by site", COMPLETE_CASES, _SCORES,
           "pipelines.models.comparison.ancova", "Y ~ tier + Y0 + X; errors clustered by site"),
    Choice(specifications.STANDARDISED, "logistic standardisation", COMPLETE_CASES, _RESPONSES,
           "pipelines.models.standardisation.standardised_risks", "logit P(response) ~ tier + X, averaged over X"),
    Choice(imputed.IMPUTED, "propensity weighting", IMPUTATION, _SCORES,
           "pipelines.models.imputation.pool_results", f"{_SCORE}, in each completed data set, pooled by Rubin"),
    Choice(scores.ANCOVA_ADJUSTED, "ANCOVA", COMPLETE_CASES, _SCORES,
           "pipelines.models.comparison.ancova", "Y ~ tier + Y0 + X"),
    Choice(scores.ANCOVA_UNADJUSTED, "ANCOVA, unadjusted", COMPLETE_CASES, _SCORES,
           "pipelines.models.comparison.ancova", "Y ~ tier + Y0"),
    Choice(repeated.MMRM_WEIGHTED, "MMRM, propensity-weighted", LIKELIHOOD, _SCORES,
           "pipelines.models.longitudinal.mmrm", "Y ~ visit * tier + visit * Y0, one weight a patient"),
    Choice(repeated.MMRM, "MMRM", LIKELIHOOD, _SCORES,
           "pipelines.models.longitudinal.mmrm", "Y ~ visit * tier + visit * Y0 + X"),
    Choice(repeated.RANDOM_INTERCEPT, "random intercept, unadjusted", LIKELIHOOD, _SCORES,
           "pipelines.models.longitudinal.mmrm", "Y, Y0 ~ visit * tier + (1 | patient)"),
    Choice(walking.JOINT_ADJUSTED, "joint time and speed", COMPLETE_CASES, _WALKS,
           "pipelines.models.walking.joint_time_speed", f"{_WALK}; both with X"),
    Choice(walking.JOINT_UNADJUSTED, "joint time and speed, unadjusted", COMPLETE_CASES, _WALKS,
           "pipelines.models.walking.joint_time_speed", _WALK),
    Choice(walking.FIXED_TIME_ADJUSTED, "ANCOVA", COMPLETE_CASES, _WALKS,
           "pipelines.models.comparison.ancova", "metres ~ tier + metres at baseline + X"),
    Choice(walking.FIXED_TIME_UNADJUSTED, "ANCOVA, unadjusted", COMPLETE_CASES, _WALKS,
           "pipelines.models.comparison.ancova", "metres ~ tier + metres at baseline"),
    Choice(horizons.AALEN_JOHANSEN_WEIGHTED, "Aalen-Johansen, weighted", CENSORING, _TIMES,
           "pipelines.models.weighted_failure.weighted_incidence", "incidence by arm, weighted by P(tier | X)"),
    Choice(horizons.AALEN_JOHANSEN, "Aalen-Johansen, unadjusted", CENSORING, _TIMES,
           "pipelines.models.competing_risks.cumulative_incidence", "incidence by arm, death competing"),
)  # fmt: skip


def choice_of(method: str) -> Choice:
    """What a method is; one that names its rung of the fallback ladder (`MMRM (compound symmetry)`) is found too."""
    plain = method.removesuffix(")").rsplit(" (", 1)[0] if "symmetry)" in method else method
    return next(choice for choice in CHOICES if choice.method == plain)


def with_choices(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of contrasts with `estimator` and `missing_data`.

    A trimmed population and a variance clustered by site are told by their own names.
    """
    found = [choice_of(method) for method in rows["method"].to_list()]
    trimmed = pl.col("method") == specifications.TRIMMED
    estimators = pl.Series([choice.estimator for choice in found], dtype=pl.String)
    is_by_site = rows["variance"] == weighted_effects.BY_SITE
    return rows.with_columns(
        estimator=pl.select(
            pl.when(is_by_site).then(estimators + ", clustered by site").otherwise(estimators)
        ).to_series(),
        missing_data=pl.Series([choice.missing_data for choice in found], dtype=pl.String),
        population=pl.when(trimmed).then(pl.lit("trimmed")).otherwise("population"),
    )
