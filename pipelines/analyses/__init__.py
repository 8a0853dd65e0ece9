"""What is asked of the data: per endpoint, outcome and contrast of the protocol, which model on which rows.

Frames in, result tables out; nothing here knows the warehouse or Dagster. `ANALYSES` registers every table of
`results`; each module makes a few of them and says in its first lines which.
"""

import polars as pl

from pipelines.analyses import (
    hazards,
    incidence,
    ladder,
    literature,
    overlap,
    responders,
    trajectories,
    treatment_choice,
    walking,
)
from pipelines.analyses.balance import balance
from pipelines.analyses.completeness import completeness_trend
from pipelines.analyses.contrasts import contrasts, restricted_times
from pipelines.analyses.covariates import imputation_table
from pipelines.analyses.diagnostics import diagnostics
from pipelines.analyses.distributions import parametric_fits
from pipelines.analyses.dropout import dropout_weights
from pipelines.analyses.registry import Analysis, Tables, analysis, in_order, run_analyses
from pipelines.analyses.repeated import repeated_means
from pipelines.analyses.rows import stacked
from pipelines.analyses.schemas import TABLES
from pipelines.analyses.sensitivity import sensitivity
from pipelines.analyses.site_charts import site_cusum
from pipelines.analyses.sites import funnel_limits, site_indicators
from pipelines.analyses.subgroups import subgroups
from pipelines.analyses.table_one import table_one
from pipelines.analyses.traces import traces
from pipelines.protocol import Protocol

__all__ = ["ANALYSES", "TABLES", "Analysis", "analyse", "in_order"]

SUBJECTS = "analysis.subjects"
SCORES = "analysis.scores"
WALKS = "analysis.walking_tests"
TIMES = "analysis.time_to_event"
RESPONDERS = "analysis.responders"
GATE = "results.diagnostics"


def _imputation(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    return imputation_table(tables[SUBJECTS], protocol)


def _trajectories(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    return stacked([trajectories.trajectories(tables, protocol), repeated_means(tables, protocol)])


ANALYSES: dict[str, Analysis] = dict(
    (
        analysis(
            "table_one", [SUBJECTS], table_one, "Descriptive statistics by tier; missing values shown, not filled."
        ),
        analysis(
            "imputation", [SUBJECTS], _imputation, "Median or most frequent value over all tiers; counts by tier."
        ),
        analysis(
            "balance",
            [SUBJECTS],
            balance,
            "Standardised differences, variance ratios and Kolmogorov-Smirnov distances on modelled and other terms.",
        ),
        analysis(
            "diagnostics",
            [SUBJECTS, SCORES, WALKS, TIMES, "results.balance"],
            diagnostics,
            "Checks with value, threshold and verdict; a failed one withholds its contrast.",
        ),
        analysis(
            "cumulative_incidence",
            [SUBJECTS, TIMES, GATE],
            incidence.cumulative_incidence,
            "Aalen-Johansen with death competing, log-log limits, infinitesimal-jackknife variance.",
        ),
        analysis(
            "survival_curves",
            [TIMES],
            incidence.survival_curves,
            "Kaplan-Meier with death censored, log-log limits: a sensitivity view.",
        ),
        analysis(
            "restricted_times",
            [SUBJECTS, TIMES, GATE],
            restricted_times,
            "Area under the cumulative incidence (time lost) and under event-free survival up to the horizon.",
        ),
        analysis(
            "ladder_occupation",
            ["analysis.transitions"],
            ladder.ladder_occupation,
            "Aalen-Johansen state occupation over the ladder and death, by tier of entry.",
        ),
        analysis(
            "ladder_times",
            ["analysis.transitions"],
            ladder.ladder_times,
            "Expected time in each tier up to the horizon: area under state occupation.",
        ),
        analysis(
            "relapse_curves",
            ["analysis.symptom_relapses"],
            ladder.relapse_curves,
            "Turnbull's curve for interval-censored relapse, bootstrap limits.",
        ),
        analysis(
            "propensity_overlap",
            [SUBJECTS],
            overlap.propensity_overlap,
            "Histogram of the preference score (Walker 2013) by arm.",
        ),
        analysis(
            "treatment_choice",
            [SUBJECTS],
            treatment_choice.treatment_choice,
            "Multinomial logistic regression of the tier on case mix; descriptive, no ranking.",
        ),
        analysis(
            "choice_scores",
            [SUBJECTS],
            treatment_choice.choice_scores,
            "Probabilities of the multinomial model; descriptive.",
        ),
        analysis(
            "choice_weights",
            [SUBJECTS],
            treatment_choice.choice_weights,
            "Generalised overlap weights and inverse probability weights of the multinomial model; descriptive.",
        ),
        analysis(
            "choice_balance",
            [SUBJECTS],
            treatment_choice.choice_balance,
            "Balance of each pair of tiers before and after these weights; descriptive.",
        ),
        analysis(
            "parametric_fits",
            [SUBJECTS, TIMES, GATE],
            parametric_fits,
            "Weibull, log-normal and log-logistic accelerated failure time models compared by AIC.",
            full=True,
        ),
        analysis(
            "missing_patterns",
            [SCORES, WALKS],
            overlap.patterns,
            "Visits kept and missed among patients whose windows have all closed.",
        ),
        analysis(
            "completeness_trend",
            [SUBJECTS, SCORES, WALKS],
            completeness_trend,
            "Closed windows by year (or quarter) of enrolment, over all sites and by site; Wilson limits.",
        ),
        analysis(
            "dropout_weights",
            [SUBJECTS, SCORES, WALKS],
            dropout_weights,
            "Inverse probability of being seen given tier, case mix and earlier visits (Robins 1995).",
        ),
        analysis("log_rank", [TIMES], incidence.log_rank, "Log-rank test over all tiers, death censored."),
        analysis("gray_test", [TIMES], incidence.gray_test, "Gray's test over all tiers, death competing."),
        analysis(
            "hazard_ratios",
            [SUBJECTS, TIMES, "analysis.as_treated", GATE],
            hazards.hazard_ratios,
            "Cause-specific Cox regression (Efron ties) and Fine-Gray, variance clustered by patient; one event set "
            "per contrast.",
        ),
        analysis(
            "proportional_hazards",
            [SUBJECTS, TIMES],
            hazards.proportional_hazards,
            "Score test of proportional hazards on the Kaplan-Meier scale (as R's cox.zph).",
        ),
        analysis(
            "hazard_ratios_over_time",
            [SUBJECTS, TIMES, GATE],
            hazards.hazard_ratios_over_time,
            "Natural spline (4 degrees of freedom) through the scaled Schoenfeld residuals of the cause-specific Cox "
            "model, on the Kaplan-Meier scale (as R's plot.cox.zph).",
        ),
        analysis(
            "contrasts",
            [SUBJECTS, SCORES, WALKS, TIMES, RESPONDERS, GATE],
            contrasts,
            "Propensity-weighted differences (primary: overlap), ANCOVA with HC3, joint model of walking time and "
            "speed, risk differences, incidence differences.",
        ),
        analysis(
            "traces",
            [
                SCORES,
                WALKS,
                RESPONDERS,
                TIMES,
                "analysis.as_treated",
                "results.contrasts",
                "results.restricted_times",
                "results.hazard_ratios",
                "results.subgroups",
                "results.sensitivity",
                "results.parametric_fits",
            ],
            traces,
            "From each contrast to its rows, protocol keys, formula, function and source.",
        ),
        analysis(
            "subgroups",
            [SUBJECTS, SCORES, WALKS, GATE],
            subgroups,
            "Overlap-weighted effects within groups named in the protocol; tests of interaction.",
            full=True,
        ),
        analysis(
            "site_indicators",
            [SUBJECTS, SCORES, WALKS, TIMES, RESPONDERS],
            site_indicators,
            "Indirect standardisation by logistic regression on case mix and tier; signals beyond exact "
            "Poisson-binomial limits with additive over-dispersion; random-intercept shrinkage.",
        ),
        analysis(
            "funnel_limits",
            [SUBJECTS, TIMES, RESPONDERS],
            funnel_limits,
            "Exact Poisson-binomial limits of each site's count, by chance and with additive over-dispersion.",
        ),
        analysis(
            "site_cusum",
            [SUBJECTS, TIMES, RESPONDERS],
            site_cusum,
            "Risk-adjusted CUSUM (Steiner 2000) with its limit by simulation, and VLAD with exact limits.",
        ),
        analysis(
            "sensitivity",
            [
                SUBJECTS,
                SCORES,
                GATE,
                "results.contrasts",
                "results.trajectories",
                "results.hazard_ratios",
                "results.cumulative_incidence",
            ],
            sensitivity,
            "E-values; in the full analysis set the specification curve, second opinions (statsmodels) and the tipping "
            "points of missing data.",
        ),
        analysis(
            "literature",
            [SUBJECTS, SCORES, WALKS, "protocol.literature", *(f"results.{name}" for name in literature.READS)],
            literature.literature,
            "Published figures matched by tier, instrument, kind of estimate and time; verified ones only.",
        ),
        analysis(
            "trajectories",
            [SUBJECTS, SCORES, WALKS],
            _trajectories,
            "Observed means with t limits, adjusted means of the MMRM; walking by median, geometric mean and share at "
            "the time limit.",
        ),
        analysis(
            "walking_curves",
            [WALKS],
            walking.walking_curves,
            "Kaplan-Meier of time and distance to stop; walks to the time limit censored.",
        ),
        analysis("stop_reasons", [WALKS], walking.stop_reasons, "Walks by reason for stopping, Wilson limits."),
        analysis(
            "responders",
            [RESPONDERS],
            responders.responders,
            "Share of responders with Wilson limits; escalation before the visit is non-response.",
        ),
    )
)


def analyse(tables: Tables, protocol: Protocol) -> dict[str, pl.DataFrame]:
    """All result tables by name, from the `analysis.*` frames by name."""
    return run_analyses(ANALYSES, tables, protocol)
