"""What each method of `results.contrasts` is: estimator, rule for missing data, formula and function.

One table serves two purposes: the specification curve of the protocol (`sensitivity`), which spans estimator,
population, missing-data rule, strategy and threshold, and the traces that lead a reviewer from a number on the report
to its rows, its protocol key, its formula and its function (`results.traces`). Does not belong here: any estimate.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.analyses import horizons, imputed, repeated, scores, specifications, walking, weighted_effects
from pipelines.analyses.registry import Tables
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast

COMPLETE_CASES = "complete cases"
DROPOUT_WEIGHTS = "dropout weights"
NON_RESPONSE = "missing as non-response"
LIKELIHOOD = "likelihood, missing at random"
IMPUTATION = "multiple imputation"
CENSORING = "censoring at end of follow-up"

KEY = ("contrast", "outcome", "window", "threshold", "method", "population", "strategy", "variance", "measure")
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


# -------------------------------------------------------------------------------------------------------------- traces


def with_trace(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `trace`, a name that follows from what the row is and so stays the same in every run."""
    names = [_trace(row) for row in rows.select(name for name in KEY if name in rows.columns).iter_rows(named=True)]
    return rows.with_columns(trace=pl.Series(names, dtype=pl.String))


def _trace(row: Mapping[str, Any]) -> str:
    text = "|".join(str(row.get(name) or "") for name in KEY)
    return f"C-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def traces(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """One row a contrast row: its rows as SQL, their number, the protocol's key, formula, covariates and function."""
    contrasts = {contrast.name: contrast for contrast in protocol.contrasts}
    covariates = ", ".join(covariate.name for covariate in protocol.covariates)
    counted: dict[str, int] = {}
    made = []
    for row in tables["results.contrasts"].iter_rows(named=True):
        choice, contrast = choice_of(row["method"]), contrasts[row["contrast"]]
        terms = _terms(row, choice, contrast, protocol)
        where = " AND ".join(f"{column} IN ({', '.join(map(_quoted, values))})" for column, values in terms.items())
        place = f"{choice.table} WHERE {where}"
        if place not in counted:
            conditions = [pl.col(column).cast(pl.String).is_in(values) for column, values in terms.items()]
            counted[place] = tables[choice.table].filter(conditions).height
        uses_covariates = "X" in choice.formula
        made.append(
            {name: row[name] for name in ("trace", "contrast", "outcome", "window", "method")}
            | {
                "input_table": choice.table,
                "rows_sql": f"SELECT * FROM {place}",
                "input_rows": counted[place],
                "subjects": row["subjects"],
                "protocol_key": _protocol_key(row, contrast, protocol),
                "formula": choice.formula,
                "covariates": covariates if uses_covariates else "",
                "function": choice.function,
                "missing_data": choice.missing_data,
            }
        )
    return pl.DataFrame(made, infer_schema_length=None)


def _terms(row: Mapping[str, Any], choice: Choice, contrast: Contrast, protocol: Protocol) -> dict[str, list[str]]:
    """Which rows of its table a method is given, as columns and the values that they may have.

    Models of repeated measures see every window; models of all tiers at once see every tier.
    """
    is_time = choice.table == _TIMES
    terms = {"endpoint" if is_time else "instrument": [row["outcome"]]}
    is_repeated = choice.method in (repeated.MMRM, repeated.MMRM_WEIGHTED, repeated.RANDOM_INTERCEPT, imputed.IMPUTED)
    if not is_time and not is_repeated:
        terms["visit_window"] = [row["window"]]
    if choice.table == _RESPONSES and row["threshold"]:
        terms["threshold"] = [row["threshold"]]
    is_joint = choice.method in (scores.ANCOVA_ADJUSTED, scores.ANCOVA_UNADJUSTED, repeated.MMRM, imputed.IMPUTED,
                                 repeated.RANDOM_INTERCEPT, walking.JOINT_ADJUSTED, walking.JOINT_UNADJUSTED,
                                 walking.FIXED_TIME_ADJUSTED, walking.FIXED_TIME_UNADJUSTED)  # fmt: skip
    terms["tier"] = list(protocol.tier_names) if is_joint else [contrast.tier, contrast.reference]
    return terms


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _protocol_key(row: Mapping[str, Any], contrast: Contrast, protocol: Protocol) -> str:
    """The keys of the protocol that the row answers, the contrast first."""
    keys = [f"contrasts.{contrast.name}"]
    for name, asked in (("outcomes", protocol.primary.outcomes),
                        ("secondary_outcomes", protocol.primary.secondary_outcomes)):  # fmt: skip
        keys += [
            f"primary.{name}.{a.outcome}" for a in asked if (a.outcome, a.window) == (row["outcome"], row["window"])
        ]
    if row["threshold"]:
        keys.append(f"instruments.{row['outcome']}.thresholds.{row['threshold']}")
    elif row["outcome"] in {endpoint.name for endpoint in protocol.endpoints}:
        keys.append(f"endpoints.{row['outcome']}")
    else:
        keys.append(f"instruments.{row['outcome']}")
    return "; ".join(keys)
