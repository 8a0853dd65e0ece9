"""The simulation study of comparative models: scores, walks with a cap, missing visits and the negative control.

Belongs here: one replication of each kind of scenario and what is expected of each method. Does not belong here: the
true values (`outcome_truth`) and how replications are run and judged (`study`).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from pipelines.models import comparison, imputation, longitudinal, missingness, propensity, walking
from pipelines.models.weighted_failure import weighted_incidence
from pipelines.validation.outcome_truth import (
    BASELINE_MEAN,
    BASELINE_SPREAD,
    CAP_S,
    PERSON_SPREAD,
    RESPONSE,
    TIME_GIVEN_SPEED,
    VISIT_SPREAD,
    VISITS,
    X2_SHARE,
    ControlScenario,
    Floats,
    Scenario,
    ScoreScenario,
    WalkScenario,
    expit,
)
from pipelines.validation.study import Expectation, Finding, Question

UNADJUSTED = "unadjusted"
ANCOVA = "ANCOVA (HC3)"
AIPW = "doubly robust (AIPW)"
FIXED = "overlap-weighted, weights fixed"
ESTIMATED = "overlap-weighted, weights estimated"
EVERYONE = "weighted to everyone, weights estimated"
MMRM = "MMRM"
DROPOUT = "overlap-weighted, dropout weights given earlier visits"
MATCHED = "overlap-weighted, multiple imputation by matching"
IMPUTED = "overlap-weighted, multiple imputation"
SHIFTED = "overlap-weighted, multiple imputation, true delta"
JOINT = "joint time and speed, covariate-adjusted"
METRES = "metres-only regression (logarithm, HC3)"
LAST = VISITS[-1]
COVARIATES = ["x1", "x2", "y0"]
IMPUTATIONS, ITERATIONS = 10, 4
LIMIT_95 = 1.959963984540054
HORIZON = 1.5
Numbers = dict[str, float]
Replication = Callable[[np.random.Generator], list[Finding]]


def replication_of(scenario: Scenario) -> Replication:
    """Return the replication of a scenario as a function of its generator, fit for other processes."""
    return partial(replicate, scenario)


def replicate(scenario: Scenario, generator: np.random.Generator) -> list[Finding]:
    """Draw one cohort and fit every estimator that the scenario asks about."""
    if isinstance(scenario, WalkScenario):
        return list(_of_walks(draw_walks(scenario, generator)))
    if isinstance(scenario, ControlScenario):
        return list(_of_control(draw_control(scenario, generator)))
    if isinstance(scenario, ScoreScenario):
        frame = draw_scores(scenario, generator)
        return list(_of_scores(scenario, frame) if scenario.dropout == 0 else _of_gaps(scenario, frame, generator))
    raise TypeError(f"There is no replication of {type(scenario).__name__}.")


def questions(scenario: Scenario) -> list[Question]:
    """What is asked of each method in a scenario.

    Without confounding the unadjusted comparison must be valid, with it visibly biased. Weights estimated, AIPW and,
    where one effect holds for all, ANCOVA and the MMRM must be valid; there limits that hold the weights fixed must be
    seen too wide, unless arms hardly overlap.
    Where visits are missed at random complete cases must be biased, imputation and the MMRM valid; where they are not,
    the shift at its true value must be valid and no shift biased. Walks: the joint model valid, metres alone biased.
    """
    everyone, overlap = scenario.true_values(overlap=False), scenario.true_values(overlap=True)
    if isinstance(scenario, WalkScenario):
        # a cap shortens differences; where there is none it has nothing to shorten
        capped: Expectation = "biased" if everyone["log distance ratio"] else "shown"
        return [
            *(Question(name, JOINT, value, 0.0, "valid") for name, value in everyone.items()),
            *(Question(name, ESTIMATED, value, 0.0, "valid") for name, value in overlap.items()),
            *(Question(name, FIXED, value, 0.0, "shown") for name, value in overlap.items()),
            Question("log distance ratio", METRES, everyone["log distance ratio"], 0.0, capped),
        ]
    if isinstance(scenario, ControlScenario):
        hidden: Expectation = "biased" if scenario.hidden else "valid"
        return [
            Question("incidence difference", UNADJUSTED, 0.0, 0.0, "biased"),
            Question("incidence difference", ESTIMATED, 0.0, 0.0, hidden, scenario.power),
        ]
    if isinstance(scenario, ScoreScenario):
        return list(_of_missed(scenario, overlap) if scenario.dropout else _of_seen(scenario, everyone, overlap))
    raise TypeError(f"There are no questions about {type(scenario).__name__}.")


def _of_seen(scenario: ScoreScenario, everyone: Numbers, overlap: Numbers) -> Iterator[Question]:
    crude: Expectation = "biased" if scenario.confounding else "valid"
    regression: Expectation = "shown" if scenario.modification else "valid"
    # Where arms hardly overlap a few rows carry the weight to everyone, and who is in the overlap is all but known.
    whole: Expectation = "shown" if scenario.confounding > 1 else "valid"
    mean = everyone["mean difference"]
    yield Question("mean difference", UNADJUSTED, mean, 0.0, crude)
    yield Question("mean difference", ANCOVA, mean, 0.0, regression)
    yield Question("mean difference", AIPW, mean, 0.0, whole)
    yield Question("mean difference", EVERYONE, mean, 0.0, whole)
    if scenario.is_repeated:
        yield Question("mean difference", MMRM, mean, 0.0, "valid")
    for quantity, value in overlap.items():
        yield Question(quantity, ESTIMATED, value, 0.0, "valid")
    too_wide: Expectation = "shown" if scenario.confounding > 1 or scenario.modification else "conservative"
    yield Question("mean difference", FIXED, overlap["mean difference"], 0.0, too_wide)


def _of_missed(scenario: ScoreScenario, overlap: Numbers) -> Iterator[Question]:
    mean = overlap["mean difference"]
    at_random: Expectation = "biased" if scenario.delta else "valid"
    yield Question("mean difference", UNADJUSTED, mean, 0.0, "biased")
    yield Question("mean difference", ANCOVA, mean, 0.0, "biased")
    yield Question("mean difference", ESTIMATED, mean, 0.0, "biased")
    yield Question("mean difference", IMPUTED, mean, 0.0, at_random)
    if scenario.delta:
        yield Question("mean difference", SHIFTED, mean, 0.0, "valid")
        return
    yield Question("mean difference", MMRM, mean, 0.0, "valid")
    yield Question("mean difference", MATCHED, mean, 0.0, "shown")
    yield Question("mean difference", DROPOUT, mean, 0.0, "shown")


def draw_scores(scenario: ScoreScenario, generator: np.random.Generator) -> pl.DataFrame:
    """Draw a cohort: id, arm, x1, x2, y0, y1, y2, y3 (null where missed), is_responder, and the last score in full."""
    n = scenario.subjects
    x1, x2, arm = _covariates(scenario, generator, np.zeros(n))
    y0 = BASELINE_MEAN + 0.8 * x1 + 0.4 * (x2 - X2_SHARE) + generator.normal(0, BASELINE_SPREAD, n)
    own = 0.4 * (y0 - BASELINE_MEAN) + generator.normal(0, PERSON_SPREAD, n)
    scores = [scenario.visit_mean(v, x1, x2, arm) + own + generator.normal(0, VISIT_SPREAD, n) for v in range(3)]
    gone = np.zeros(n, dtype=bool)
    seen = [np.ones(n, dtype=bool)]
    for before in scores[:-1]:
        gone = gone | (generator.random(n) < scenario.chance_to_miss(before, arm))
        seen.append(~gone)
    scores[-1] = scores[-1] + scenario.delta * (gone & (arm == 1))
    visible = {name: np.where(s, y, np.nan) for name, s, y in zip(VISITS, seen, scores, strict=True)}
    columns = {"arm": arm.astype(np.int64), "x1": x1, "x2": x2, "y0": y0}
    return (
        pl.DataFrame(columns | visible | {"all_seen": scores[-1]}, nan_to_null=True)
        .with_row_index("id")
        .with_columns(is_responder=(pl.col("y0") - pl.col("all_seen") >= RESPONSE).cast(pl.Float64))
    )


def draw_walks(scenario: WalkScenario, generator: np.random.Generator) -> pl.DataFrame:
    """Draw walks: arm, x1, x2, log_speed0, time0_s, capped0, speed_m_s, time_s, capped, log_metres, log_metres0."""
    n = scenario.subjects
    x1, x2, arm = _covariates(scenario, generator, np.zeros(n))
    b = 6.2 - 0.2 * x1 + generator.normal(0, 0.8, n)
    v0 = -0.2 - 0.05 * x1 + generator.normal(0, 0.2, n)
    v = -0.15 + 0.6 * (v0 + 0.2) + 0.03 * (b - 6.2) - 0.05 * x1 + scenario.effect_speed * arm
    v = v + generator.normal(0, 0.15, n)
    t = 6.7 + 0.5 * (b - 6.2) - 0.3 * x1 - 0.2 * x2 + TIME_GIVEN_SPEED * (v + 0.15) + scenario.effect_time * arm
    t = t + generator.normal(0, 0.8, n)
    before, after = np.minimum(np.exp(b), CAP_S), np.minimum(np.exp(t), CAP_S)
    return pl.DataFrame(
        {
            "arm": arm.astype(np.int64),
            "x1": x1,
            "x2": x2,
            "log_speed0": v0,
            "time0_s": before,
            "capped0": before == CAP_S,
            "speed_m_s": np.exp(v),
            "time_s": after,
            "capped": after == CAP_S,
            "log_metres": np.log(after) + v,
            "log_metres0": np.log(before) + v0,
        }
    )


def draw_control(scenario: ControlScenario, generator: np.random.Generator) -> pl.DataFrame:
    """Draw times (years) to an event that no arm affects: time, cause (0 censored, 1 event), arm, x1, x2."""
    n = scenario.subjects
    u = generator.normal(size=n)
    x1, x2, arm = _covariates(scenario, generator, scenario.hidden * u)
    event = generator.exponential(size=n) / (0.25 * np.exp(0.5 * x1 + 0.4 * x2 + 0.7 * u))
    censored = generator.uniform(1.5, 3.5, n)
    columns = {"time": np.minimum(event, censored), "cause": (event <= censored).astype(np.int64)}
    return pl.DataFrame(columns | {"arm": arm.astype(np.int64), "x1": x1, "x2": x2})


def _covariates(scenario: Scenario, generator: np.random.Generator, hidden: Floats) -> tuple[Floats, Floats, Floats]:
    n = scenario.subjects
    x1 = generator.normal(size=n)
    x2 = (generator.random(n) < X2_SHARE).astype(float)
    score = scenario.propensity(x1, x2)
    chance = expit(np.log(score / (1 - score)) + hidden)
    return x1, x2, (generator.random(n) < chance).astype(float)


def _of_scores(scenario: ScoreScenario, frame: pl.DataFrame) -> Iterator[Finding]:
    yield from _regressions(frame)
    yield _row("mean difference", AIPW, comparison.aipw(frame, LAST, "arm", COVARIATES))
    whole = propensity.effects(propensity.weights(frame, "arm", COVARIATES, "ate"), frame, LAST)
    yield _row("mean difference", EVERYONE, whole.filter(variance="weights estimated"))
    model = propensity.weights(frame, "arm", COVARIATES, "overlap")
    yield from _both_variances("mean difference", propensity.effects(model, frame, LAST))
    risks = propensity.effects(model, frame, "is_responder").filter(variance="weights estimated")
    yield _row("risk difference", ESTIMATED, risks)
    ratio = propensity.effects(model, frame, "is_responder", measure="ratio").filter(variance="weights estimated")
    yield _row("log risk ratio", ESTIMATED, _logarithms(ratio))
    if scenario.is_repeated:
        yield _repeated(frame)


def _of_gaps(scenario: ScoreScenario, frame: pl.DataFrame, generator: np.random.Generator) -> Iterator[Finding]:
    """The complete cases first, then what makes up for those who left."""
    complete = frame.drop_nulls(LAST)
    yield from _regressions(complete)
    model = propensity.weights(frame, "arm", COVARIATES, "overlap")
    seen = propensity.effects(model, frame, LAST).filter(variance="weights estimated")
    yield _row("mean difference", ESTIMATED, seen)
    drawn = partial(_imputed, frame.drop("all_seen", "is_responder"), int(generator.integers(2**31)))
    if scenario.delta:
        shifted = imputation.delta_adjusted(
            drawn("normal"), LAST, [0.0, scenario.delta], _weighted_again, ["group"], where=pl.col("arm") == 1
        )
        yield _row("mean difference", IMPUTED, shifted.filter(group=1, delta=0.0))
        yield _row("mean difference", SHIFTED, shifted.filter(group=1, delta=scenario.delta))
        return
    for method, name in (("normal", IMPUTED), ("matching", MATCHED)):
        pooled = imputation.pool_results([_weighted_again(f) for f in drawn(method).frames], ["group"])
        yield _row("mean difference", name, pooled)
    stayed = frame.with_columns(_stay_weights(frame))
    found = propensity.effects(model, stayed, LAST, weights="stay").filter(variance="weights estimated")
    yield _row("mean difference", DROPOUT, found)
    yield _repeated(frame)


def _of_walks(frame: pl.DataFrame) -> Iterator[Finding]:
    walk = ("time_s", "capped", "speed_m_s")
    before: dict[str, Any] = {"baseline_time": "time0_s", "baseline_capped": "capped0"}
    adjusted = walking.joint_time_speed(frame, *walk, "arm", ["log_speed0", "x1", "x2"], **before)
    model = propensity.weights(frame, "arm", ["x1", "x2"], "overlap")
    weighted = walking.weighted_time_speed(model, frame, *walk, ["log_speed0"], **before)
    for measure in walking.MEASURES:
        quantity = f"log {measure} ratio"
        yield _row(quantity, JOINT, _logarithms(adjusted.filter(measure=measure)))
        yield from _both_variances(quantity, _logarithms(weighted.filter(measure=measure)))
    metres = comparison.ancova(frame, "log_metres", "log_metres0", "arm", ["x1", "x2"])
    yield _row("log distance ratio", METRES, metres)


def _of_control(frame: pl.DataFrame) -> Iterator[Finding]:
    """The gate's own test: the difference in weighted incidence at the horizon, weights estimated."""
    for method, covariates in ((UNADJUSTED, []), (ESTIMATED, ["x1", "x2"])):
        model = propensity.weights(frame, "arm", covariates, "overlap")
        found = weighted_incidence(model, frame, "time", "cause", HORIZON)
        row = found.filter(measure="incidence", cause=1, variance="weights estimated", reference=0)
        yield _row("incidence difference", method, row)


def _regressions(frame: pl.DataFrame) -> Iterator[Finding]:
    yield _row("mean difference", UNADJUSTED, comparison.ancova(frame, LAST, None, "arm", []))
    yield _row("mean difference", ANCOVA, comparison.ancova(frame, LAST, "y0", "arm", ["x1", "x2"]))


def _repeated(frame: pl.DataFrame) -> Finding:
    long = frame.unpivot(VISITS, index=["id", "arm", "x1", "x2", "y0"], variable_name="visit", value_name="score")
    fit = longitudinal.mmrm(long.drop_nulls("score"), "score", "visit", "id", "visit * arm + visit * y0 + x1 + x2")
    return _row("mean difference", MMRM, fit.contrasts("arm").filter(visit=LAST))


def _imputed(frame: pl.DataFrame, seed: int, method: str) -> imputation.Imputations:
    gaps = [name for name in VISITS if frame[name].null_count()]
    complete = [name for name in ("arm", *COVARIATES, *VISITS) if name not in gaps]
    methods = dict.fromkeys(gaps, method)
    return imputation.impute(frame, gaps, complete, IMPUTATIONS, ITERATIONS, seed, methods)


def _weighted_again(frame: pl.DataFrame) -> pl.DataFrame:
    model = propensity.weights(frame, "arm", COVARIATES, "overlap")
    found = propensity.effects(model, frame, LAST).filter(variance="weights estimated", group=1)
    return found.select("group", "estimate", "std_error")


def _stay_weights(frame: pl.DataFrame) -> pl.Series:
    """One over the chance to be seen at every visit, each visit's chance given the scores before it."""
    chance = np.ones(frame.height)
    came = np.ones(frame.height, dtype=bool)
    for before, visit in pairwise(VISITS):
        here = frame.filter(came).with_columns(seen=pl.col(visit).is_not_null())
        found = missingness.dropout_weights(here, "seen", ["arm", *COVARIATES, before, f"arm:{before}"])
        chance[came] *= found.chances.fill_null(np.nan).to_numpy()
        came &= frame[visit].is_not_null().to_numpy()
    return pl.Series("stay", 1 / chance)


def _both_variances(quantity: str, rows: pl.DataFrame) -> Iterator[Finding]:
    yield _row(quantity, FIXED, rows.filter(variance="weights fixed"))
    yield _row(quantity, ESTIMATED, rows.filter(variance="weights estimated"))


def _logarithms(ratios: pl.DataFrame) -> pl.DataFrame:
    return ratios.with_columns(pl.col("estimate", "ci_low", "ci_high").log())


def _row(quantity: str, method: str, rows: pl.DataFrame) -> Finding:
    """Arm 1 over arm 0."""
    found: Sequence[float | None] = rows.filter(group=1).select("estimate", "ci_low", "ci_high").row(0)
    return Finding(quantity, method, *(np.nan if value is None else value for value in found))
