"""Hazard ratios between neighbouring tiers, which are secondary, and the test of proportional hazards.

Belongs here: models of one contrast's two arms in the index view (cause-specific: unadjusted, adjusted for case mix,
weighted to the overlap, by period; subdistribution: Fine-Gray) and in the as-treated view, each with a status. Does not
belong here: what leads (`horizons`).

The test of proportional hazards informs; it neither withholds nor switches an estimator. Ratios by period and a smooth
of the ratio over time stand beside it for the contrast's own endpoint, so that crossing hazards can be seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.horizons import PROPENSITY, UNADJUSTED
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    arms,
    comparable_contrasts,
    endpoint_rows,
    in_ladder_order,
    smallest_arm,
    stacked,
    status_parts,
    without_keys,
)
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.trace_names import HAZARDS, with_trace
from pipelines.analyses.weighting import weighted_contrasts
from pipelines.models._frames import reason_of
from pipelines.models.competing_risks import fine_gray
from pipelines.models.cox import CoxFit, cox_regression, proportional_hazards_test
from pipelines.models.schoenfeld import coefficient_over_time
from pipelines.models.weighted_failure import weighted_hazard_ratios
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, Endpoint

ADJUSTED = "covariates"
INDEX = "index"
AS_TREATED = "as treated"
CAUSE_SPECIFIC = "cause-specific"
SUBDISTRIBUTION = "subdistribution"
ROBUST = "robust, clustered by patient"
TREATMENT = "is_tier"
MONTH_DAYS = 30.4375


@dataclass(frozen=True)
class Question:
    """An endpoint, a contrast that it serves, and the rows of its two arms with covariates.

    `rows` have `time_days`, `status`, `is_event`, `is_tier` (1 in the tier, 0 in the reference) and, where subjects
    enter late, `entry_days`.
    """

    endpoint: Endpoint
    contrast: Contrast
    view: str
    rows: pl.DataFrame

    def labels(self, model: str, adjustment: str, term: str = "tier") -> dict[str, object]:
        return {
            "endpoint": self.endpoint.name,
            "view": self.view,
            "model": model,
            "weighting": "overlap" if adjustment == PROPENSITY else "unweighted",
            "variance": ROBUST,
            "term": term,
            "tier": self.contrast.tier,
            "reference": self.contrast.reference,
            "subjects": self.rows["patient_id"].n_unique(),
            "events": int(self.rows["is_event"].sum()),
            "contrast": self.contrast.name,
            "adjustment": adjustment,
        }

    def obstacle(self, protocol: Protocol) -> str | None:
        """Why no model is fitted: an arm has too few events."""
        fewest = smallest_arm(self.rows, self.contrast, pl.col("is_event"))
        least = protocol.diagnostics.events_per_arm_minimum
        if fewest >= least:
            return None
        return f"an arm has {'no events' if fewest == 0 else f'fewer than {least} events'}"


def hazard_ratios(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Hazard ratios of tier over reference for each endpoint and contrast; the event is the endpoint."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    pieces: list[pl.DataFrame] = []
    for question in index_questions(subjects, times, protocol):
        pieces += _regressions(question, protocol)
        if question.contrast.endpoint == question.endpoint.name:
            pieces += _periods(question, protocol)
    pieces += _weighted(subjects, times, protocol)
    for question in _as_treated_questions(tables, subjects, protocol):
        for adjustment in (UNADJUSTED, ADJUSTED):
            pieces.append(_cox(question, adjustment, protocol))
    rows = stacked(pieces)
    if rows.is_empty():
        return rows
    return with_trace(withhold_failed(rows, Gate(tables["results.diagnostics"]), "endpoint", None), HAZARDS)


def proportional_hazards(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Score test of proportional hazards (as `cox.zph`), of the treatment term and of the whole model."""
    return stacked([_drift(*fitted) for fitted in _own_fits(tables, protocol)])


def hazard_ratios_over_time(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Ratio of tier over reference as a smooth function of time, through the scaled Schoenfeld residuals of one model.

    A row every month from the first to the last event; single residuals, which belong to single patients, stay here.
    """
    horizons = protocol.primary.all_horizons_days
    months = {round(MONTH_DAYS * k) for k in range(1, int(horizons[-1] / MONTH_DAYS) + 1)}
    days = np.array(sorted({*months, *horizons}), float)
    rows = stacked([_over_time(*fitted, days) for fitted in _own_fits(tables, protocol)])
    return rows if rows.is_empty() else withhold_failed(rows, Gate(tables["results.diagnostics"]), "endpoint", None)


def _own_fits(tables: Tables, protocol: Protocol) -> Iterator[tuple[CoxFit, Question, str]]:
    """The cause-specific models of each contrast's own endpoint, unadjusted and adjusted, that could be fitted."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    for question in index_questions(subjects, times, protocol):
        if question.obstacle(protocol) is None and question.contrast.endpoint == question.endpoint.name:
            for adjustment in (UNADJUSTED, ADJUSTED):
                fit = _cox_fit(question, adjustment, protocol)
                if fit.status == ESTIMABLE:
                    yield fit, question, adjustment


def index_questions(subjects: pl.DataFrame, times: pl.DataFrame, protocol: Protocol) -> Iterator[Question]:
    """Every endpoint and contrast that it serves, with the rows of the index view; both arms have patients."""
    for endpoint in protocol.endpoints:
        for contrast in comparable_contrasts(protocol, endpoint):
            pair = arms(endpoint_rows(times, endpoint), contrast)
            rows = _modelled(pair, without_keys(subjects), "episode_id", contrast)
            if smallest_arm(rows, contrast) > 0:
                yield Question(endpoint, contrast, INDEX, rows)


def _as_treated_questions(tables: Tables, subjects: pl.DataFrame, protocol: Protocol) -> Iterator[Question]:
    """The same in the as-treated view (delayed entry, the tier of the moment), for each contrast's own endpoint."""
    stays = tables["analysis.as_treated"].sort("episode_id", "endpoint")
    of_the_stay = ["tier", "tier_rank", "site_id", "episode_id", "start_day", "prior_tiers", "waiting_days"]
    known = subjects.drop(of_the_stay, strict=False)
    for contrast in protocol.contrasts:
        if contrast.endpoint is None:
            continue
        endpoint = protocol.endpoint(contrast.endpoint)
        rows = _modelled(arms(endpoint_rows(stays, endpoint), contrast), known, "patient_id", contrast)
        if smallest_arm(rows, contrast) > 0:
            yield Question(endpoint, contrast, AS_TREATED, rows)


def _modelled(pair: pl.DataFrame, subjects: pl.DataFrame, key: str, contrast: Contrast) -> pl.DataFrame:
    joined = pair.join(subjects, on=key, how="inner", maintain_order="left")
    return joined.with_columns(
        is_event=pl.col("status") == 1,
        is_tier=(pl.col("tier").cast(pl.String) == contrast.tier).cast(pl.Float64),
    )


def _regressions(question: Question, protocol: Protocol) -> Iterator[pl.DataFrame]:
    for adjustment in (UNADJUSTED, ADJUSTED):
        yield _cox(question, adjustment, protocol)
        labels = question.labels(SUBDISTRIBUTION, adjustment)
        obstacle = question.obstacle(protocol)
        if obstacle is not None:
            yield _row(labels, None, obstacle)
            continue
        rows, adjusters = _adjusters(question, adjustment, protocol)
        yield _row(labels, fine_gray(rows, "time_days", "status", [TREATMENT, *adjusters], cluster="patient_id"), None)


def _cox(question: Question, adjustment: str, protocol: Protocol) -> pl.DataFrame:
    labels, obstacle = question.labels(CAUSE_SPECIFIC, adjustment), question.obstacle(protocol)
    return _row(labels, None if obstacle else _cox_fit(question, adjustment, protocol), obstacle)


def _cox_fit(question: Question, adjustment: str, protocol: Protocol) -> CoxFit:
    """A cause-specific model; where the contrast names strata, the adjusted one has a baseline hazard in each.

    A stratum that is not recorded is left out, as a covariate would be.
    """
    rows, adjusters = _adjusters(question, adjustment, protocol)
    strata = list(question.contrast.strata) if adjustment == ADJUSTED else []
    return cox_regression(
        rows,
        "time_days",
        "is_event",
        [TREATMENT, *(name for name in adjusters if name not in strata)],
        strata=[name for name in strata if name in rows.columns and not rows[name].null_count()] or None,
        cluster="patient_id",
        entry="entry_days" if "entry_days" in rows.columns else None,
    )


def _adjusters(question: Question, adjustment: str, protocol: Protocol) -> tuple[pl.DataFrame, Sequence[str]]:
    return usable(question.rows, protocol) if adjustment == ADJUSTED else (question.rows, [])


def _periods(question: Question, protocol: Protocol) -> Iterator[pl.DataFrame]:
    """Unadjusted ratios within the periods that the protocol's horizons cut follow-up into."""
    cuts = [0.0, *(float(day) for day in protocol.primary.all_horizons_days[:-1]), float("inf")]
    for start, end in pairwise(cuts) if len(cuts) > 2 else []:
        at_risk = question.rows.filter(pl.col("time_days") > start) if start > 0 else question.rows
        rows = at_risk.with_columns(
            entry_days=pl.lit(start if start > 0 else -1.0),
            is_event=pl.col("is_event") & (pl.col("time_days") <= end),
            time_days=pl.min_horizontal(pl.col("time_days").cast(pl.Float64), pl.lit(end)),
        )
        term = f"tier, after {start:g} days" if end == float("inf") else f"tier, {start:g} to {end:g} days"
        period = Question(question.endpoint, question.contrast, question.view, rows)
        obstacle = period.obstacle(protocol)
        fit = None if obstacle else _cox_fit(period, UNADJUSTED, protocol)
        yield _row(period.labels(CAUSE_SPECIFIC, UNADJUSTED, term), fit, obstacle)


def _weighted(subjects: pl.DataFrame, times: pl.DataFrame, protocol: Protocol) -> Iterator[pl.DataFrame]:
    """Marginal cause-specific ratios in the overlap population, with weights held fixed and estimated."""
    for weighted in weighted_contrasts(subjects, protocol):
        for endpoint in protocol.endpoints:
            if weighted.contrast not in comparable_contrasts(protocol, endpoint):
                continue
            outcome = endpoint_rows(times, endpoint).select("episode_id", "time_days", "status")
            rows = weighted.with_outcome(outcome).with_columns(is_event=pl.col("status") == 1)
            question = Question(endpoint, weighted.contrast, INDEX, rows)
            labels, obstacle = question.labels(CAUSE_SPECIFIC, PROPENSITY), question.obstacle(protocol)
            if obstacle is not None:
                yield _row(labels, None, obstacle)
                continue
            found = weighted_hazard_ratios(weighted.propensity, rows, "time_days", "is_event", cluster="patient_id")
            chosen = found.filter(pl.col("group").cast(pl.String) == weighted.contrast.tier)
            kept = {name: value for name, value in labels.items() if name not in ("variance", "subjects", "reference")}
            yield chosen.with_columns(
                *(pl.lit(value).alias(name) for name, value in kept.items()), pl.col("reference").cast(pl.String)
            ).drop("group")


def _row(labels: dict[str, object], fit: CoxFit | None, obstacle: str | None) -> pl.DataFrame:
    reason = obstacle
    if fit is not None and fit.status != ESTIMABLE:
        reason = reason_of(fit.status)
    if fit is None or reason is not None:
        return pl.DataFrame([labels | {"status": NOT_ESTIMABLE, "reason": reason}])
    term = fit.coefficients.filter(pl.col("term") == TREATMENT).row(0, named=True)
    numbers = {
        "estimate": term["hazard_ratio"],
        "log_std_error": term["robust_std_error"],
        "ci_low": term["ci_low"],
        "ci_high": term["ci_high"],
        "p_value": term["p_value"],
    }
    found = labels | numbers | {"status": ESTIMABLE, "reason": None}
    return pl.DataFrame([found], schema_overrides={"reason": pl.String})


def _drift(fit: CoxFit, question: Question, adjustment: str) -> pl.DataFrame:
    test = proportional_hazards_test(fit).filter(pl.col("term").is_in([TREATMENT, "GLOBAL"]))
    return test.with_columns(
        term=pl.col("term").replace({TREATMENT: "tier"}),
        endpoint=pl.lit(question.endpoint.name),
        contrast=pl.lit(question.contrast.name),
        adjustment=pl.lit(adjustment),
        **status_parts(),
    )


def _over_time(fit: CoxFit, question: Question, adjustment: str, days: np.ndarray) -> pl.DataFrame:
    smooth = coefficient_over_time(fit, at=days).filter(pl.col("term") == TREATMENT)
    seen = smooth.filter(pl.col("estimate").is_not_null() | (pl.col("status") != ESTIMABLE))
    return seen.select(
        *(pl.lit(value).alias(name) for name, value in question.labels(CAUSE_SPECIFIC, adjustment).items()),
        time_days=pl.when(pl.col("status") == ESTIMABLE).then("time"),
        estimate=pl.col("estimate").exp(),
        log_std_error="std_error",
        ci_low=pl.col("ci_low").exp(),
        ci_high=pl.col("ci_high").exp(),
        **status_parts(),
    ).unique(maintain_order=True)
