"""Parametric models of time to failure, side by side by their AIC: `results.parametric_fits`.

Belongs here: accelerated failure time models of each contrast's own endpoint, adjusted for case mix. Does not belong
here: anything a contrast is judged by. The full analysis set only.

An event on the day the tier began is put half a day later: these distributions have no mass at 0.
"""

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.gate import Gate
from pipelines.analyses.hazards import TREATMENT, index_questions
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE, WITHHELD
from pipelines.analyses.trace_names import PARAMETRIC, with_trace
from pipelines.models._frames import reason_of
from pipelines.models.parametric import DISTRIBUTIONS, ParametricFit, parametric_regression
from pipelines.protocol import Protocol

HALF_A_DAY = 0.5


def parametric_fits(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Time ratio of tier over reference, log-likelihood and AIC under each distribution; death is censored."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    gate = Gate(tables["results.diagnostics"])
    pieces = []
    for question in index_questions(subjects, times, protocol):
        if question.contrast.endpoint != question.endpoint.name:
            continue
        labels = {"endpoint": question.endpoint.name, "contrast": question.contrast.name}
        withheld = gate.reason(question.contrast.name, question.endpoint.name, None)
        obstacle = question.obstacle(protocol)
        rows, adjusters = usable(question.rows, protocol)
        timed = rows.with_columns(pl.col("time_days").cast(pl.Float64).clip(lower_bound=HALF_A_DAY))
        for name in DISTRIBUTIONS:
            fit = None
            if withheld is None and obstacle is None:
                fit = parametric_regression(timed, "time_days", "is_event", [TREATMENT, *adjusters], name)
            row = labels | {"distribution": name} | _numbers(fit, withheld, obstacle)
            pieces.append(pl.DataFrame([row], schema_overrides={"reason": pl.String}))
    return with_trace(stacked(pieces), PARAMETRIC)


def _numbers(fit: ParametricFit | None, withheld: str | None, obstacle: str | None) -> dict[str, object]:
    if fit is None:
        status = NOT_ESTIMABLE if obstacle is not None else WITHHELD
        return {"status": status, "reason": obstacle or withheld}
    if fit.status != ESTIMABLE:
        return {"status": NOT_ESTIMABLE, "reason": reason_of(fit.status)}
    term = fit.coefficients.filter(pl.col("term") == TREATMENT).row(0, named=True)
    return {
        "estimate": term["time_ratio"],
        "log_std_error": term["std_error"],
        "ci_low": term["ci_low"],
        "ci_high": term["ci_high"],
        "p_value": term["p_value"],
        "log_likelihood": fit.log_likelihood,
        "aic": fit.aic,
        "status": ESTIMABLE,
        "reason": None,
    }
