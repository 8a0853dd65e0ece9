"""The simulation study of time-to-failure models: draw two arms, fit every estimator, compare with the truth.

Belongs here: one replication and what is expected of each method. Does not belong here: the true values
(`failure_truth`) and how replications are run and judged (`study`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl

from pipelines.models import competing_risks, cox, propensity, survival
from pipelines.models.weighted_failure import weighted_hazard_ratios, weighted_incidence
from pipelines.validation.failure_truth import (
    CENSORED_FROM,
    CENSORED_TO,
    X2_SHARE,
    FailureScenario,
    true_values,
)
from pipelines.validation.study import Expectation, Finding, Question

EVENT, DEATH = 1, 2
UNADJUSTED = "unadjusted"
ADJUSTED = "covariate-adjusted"
FIXED = "overlap-weighted, weights fixed"
ESTIMATED = "overlap-weighted, weights estimated"
COVARIATES = ["x1", "x2"]
LIMIT_95 = 1.959963984540054


def draw_arms(scenario: FailureScenario, subjects: int, generator: np.random.Generator) -> pl.DataFrame:
    """Draw a cohort: time (years), cause (0 censored, 1 event, 2 death), arm, x1, x2; shape (subjects, 5)."""
    x1 = generator.normal(size=subjects)
    x2 = (generator.random(subjects) < X2_SHARE).astype(float)
    arm = (generator.random(subjects) < scenario.propensity(x1, x2)).astype(float)
    early, late = scenario.event_hazards(x1, x2, arm)
    exposure = generator.exponential(size=subjects)
    at_change = early * scenario.change_time
    event = np.where(exposure < at_change, exposure / early, scenario.change_time + (exposure - at_change) / late)
    death = generator.exponential(size=subjects) / scenario.death_hazard(x1)
    censored = generator.uniform(CENSORED_FROM, CENSORED_TO, subjects)
    time = np.minimum(np.minimum(event, death), censored)
    cause = np.where(time == event, EVENT, np.where(time == death, DEATH, 0))
    return pl.DataFrame({"time": time, "cause": cause, "arm": arm.astype(np.int64), "x1": x1, "x2": x2}).with_columns(
        event=pl.col("cause") == EVENT, any_event=pl.col("cause") > 0
    )


def replicate(
    scenario: FailureScenario, subjects: int, horizon: float, generator: np.random.Generator
) -> list[Finding]:
    """Draw one cohort and fit every estimator to it."""
    frame = draw_arms(scenario, subjects, generator)
    return [*_unadjusted(frame, horizon), *_hazard_models(frame), *_weighted(frame, horizon)]


def replication_of(scenario: FailureScenario, subjects: int, horizon: float) -> Callable[..., list[Finding]]:
    """Return the replication of a scenario as a function of its generator, fit for other processes."""
    return partial(replicate, scenario, subjects, horizon)


def questions(scenario: FailureScenario, horizon: float) -> list[Question]:
    """What is asked of each method in a scenario.

    Unadjusted methods must be valid without confounding and visibly biased with it; covariate adjustment is asked for
    the conditional hazard ratio where hazards are proportional; weighting with estimated weights must be valid
    everywhere.
    """
    confounded = scenario.confounding != 0
    crude: Expectation = "biased" if confounded else "valid"
    whole, overlap = true_values(scenario, horizon, overlap=False), true_values(scenario, horizon, overlap=True)
    asked = [Question(name, UNADJUSTED, value, 0.0, crude) for name, value in whole.items()]
    if scenario.is_null:
        asked.append(Question("log-rank statistic", UNADJUSTED, 0.0, 0.0, crude))
    if scenario.is_proportional:
        asked.append(Question("log hazard ratio given covariates", ADJUSTED, scenario.effect_early, 0.0, "valid"))
    for name in ("incidence difference", "time lost difference", "event-free time difference", "log hazard ratio"):
        asked.append(Question(name, ESTIMATED, overlap[name], 0.0, "valid"))
        asked.append(Question(name, FIXED, overlap[name], 0.0, "shown"))
    return asked


def _unadjusted(frame: pl.DataFrame, horizon: float) -> Iterator[Finding]:
    curves = competing_risks.cumulative_incidence(frame, "time", "cause", "arm")
    last = curves.filter(pl.col("cause") == EVENT, pl.col("time") <= horizon).group_by("group").last()
    estimate = dict(zip(last["group"], last["estimate"], strict=True))
    error = dict(zip(last["group"], last["std_error"], strict=True))
    yield _normal("incidence difference", UNADJUSTED, estimate[1] - estimate[0], np.hypot(error[1], error[0]))
    lost = competing_risks.restricted_time_lost(frame, "time", "cause", horizon, "arm")
    yield _of_row("time lost difference", UNADJUSTED, lost.filter(measure="difference", cause=EVENT))
    free = survival.restricted_mean(frame, "time", "any_event", horizon, "arm")
    yield _of_row("event-free time difference", UNADJUSTED, free.filter(measure="difference"))
    test = survival.log_rank(frame, "time", "event", "arm")
    signed = np.sqrt(test["statistic"][0]) * np.sign(estimate[1] - estimate[0])
    yield _normal("log-rank statistic", UNADJUSTED, signed, 1.0)


def _hazard_models(frame: pl.DataFrame) -> Iterator[Finding]:
    rows = frame.with_row_index("subject")
    crude = cox.cox_regression(rows, "time", "event", ["arm"], cluster="subject")
    yield _of_coefficient("log hazard ratio", UNADJUSTED, crude.coefficients)
    adjusted = cox.cox_regression(rows, "time", "event", ["arm", *COVARIATES])
    yield _of_coefficient("log hazard ratio given covariates", ADJUSTED, adjusted.coefficients)
    subdistribution = competing_risks.fine_gray(rows, "time", "cause", ["arm"], cluster="subject")
    yield _of_coefficient("log subdistribution hazard ratio", UNADJUSTED, subdistribution.coefficients)


def _weighted(frame: pl.DataFrame, horizon: float) -> Iterator[Finding]:
    model = propensity.weights(frame, "arm", COVARIATES, "overlap")
    found = weighted_incidence(model, frame, "time", "cause", horizon).filter(group=1, reference=0)
    for measure, cause in (("incidence", EVENT), ("time lost", EVENT), ("event-free time", 0)):
        for variance, method in (("weights fixed", FIXED), ("weights estimated", ESTIMATED)):
            yield _of_row(
                f"{measure} difference", method, found.filter(measure=measure, cause=cause, variance=variance)
            )
    ratios = weighted_hazard_ratios(model, frame, "time", "event").filter(group=1, reference=0)
    for variance, method in (("weights fixed", FIXED), ("weights estimated", ESTIMATED)):
        logs = ratios.filter(variance=variance).select(pl.col("estimate", "ci_low", "ci_high").log())
        yield _of_row("log hazard ratio", method, logs)


def _normal(quantity: str, method: str, estimate: float, error: float) -> Finding:
    return Finding(quantity, method, estimate, estimate - LIMIT_95 * error, estimate + LIMIT_95 * error)


def _of_row(quantity: str, method: str, row: pl.DataFrame) -> Finding:
    return Finding(quantity, method, *_floats(row.select("estimate", "ci_low", "ci_high").row(0)))


def _of_coefficient(quantity: str, method: str, coefficients: pl.DataFrame) -> Finding:
    """The arm's coefficient stands first; its limits are given for the ratio."""
    estimate, low, high = _floats(coefficients.select("coef", "ci_low", "ci_high").row(0))
    return Finding(quantity, method, estimate, np.log(low), np.log(high))


def _floats(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]
