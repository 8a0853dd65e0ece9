"""Hazard ratios between neighbouring tiers, which are secondary, and the test of proportional hazards.

Belongs here: cause-specific Cox models of one contrast's two arms, unadjusted and adjusted for case mix, stratified
where the contrast says so, with variance clustered by patient. Does not belong here: what leads (`horizons`).

The test of proportional hazards informs; it neither withholds nor switches an estimator.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import arms, comparable_contrasts, endpoint_rows, in_ladder_order, smallest_arm, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.models.cox import CoxFit, cox_regression, proportional_hazards_test
from pipelines.protocol import Contrast, Endpoint, Protocol

UNADJUSTED = "unadjusted"
ADJUSTED = "covariates"
TREATMENT = "is_tier"


@dataclass(frozen=True)
class _Fitted:
    """One model of one contrast, or why there is none."""

    endpoint: Endpoint
    contrast: Contrast
    adjustment: str
    rows: pl.DataFrame
    fit: CoxFit | None
    reason: str | None


def hazard_ratios(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Cause-specific hazard ratio of tier over reference for each endpoint and contrast; the event is the endpoint."""
    rows = stacked([_ratio(fitted) for fitted in _models(tables, protocol)])
    return rows if rows.is_empty() else withhold_failed(rows, Gate(tables["results.diagnostics"]), "endpoint", None)


def proportional_hazards(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Score test of proportional hazards (as `cox.zph`) of the treatment term and of the whole model."""
    pieces = []
    for fitted in _models(tables, protocol):
        if fitted.fit is None or fitted.fit.status != ESTIMABLE:
            continue
        test = proportional_hazards_test(fitted.fit).filter(pl.col("term").is_in([TREATMENT, "GLOBAL"]))
        parts = pl.col("status").str.splitn(": ", 2)
        pieces.append(
            test.with_columns(
                term=pl.col("term").replace({TREATMENT: "tier"}),
                endpoint=pl.lit(fitted.endpoint.name),
                contrast=pl.lit(fitted.contrast.name),
                adjustment=pl.lit(fitted.adjustment),
                status=parts.struct.field("field_0"),
                reason=parts.struct.field("field_1"),
            )
        )
    return stacked(pieces)


def _models(tables: Tables, protocol: Protocol) -> Iterator[_Fitted]:
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    for endpoint in protocol.endpoints:
        for contrast in comparable_contrasts(protocol, endpoint):
            rows = model_rows(endpoint_rows(times, endpoint), subjects, contrast)
            if smallest_arm(rows, contrast) == 0:
                continue
            for adjustment in (UNADJUSTED, ADJUSTED):
                yield _fitted(endpoint, contrast, adjustment, rows, protocol)


def model_rows(times: pl.DataFrame, subjects: pl.DataFrame, contrast: Contrast) -> pl.DataFrame:
    """A contrast's subjects with their time, whether the endpoint happened, the arm as 0 and 1, and covariates."""
    joined = arms(times, contrast).join(
        subjects.drop("tier", "site_id", "patient_id"), on="episode_id", how="inner", maintain_order="left"
    )
    return joined.with_columns(
        is_event=pl.col("status") == 1,
        is_tier=(pl.col("tier").cast(pl.String) == contrast.tier).cast(pl.Float64),
    )


def _fitted(endpoint: Endpoint, contrast: Contrast, adjustment: str, rows: pl.DataFrame, protocol: Protocol) -> _Fitted:
    events = smallest_arm(rows, contrast, pl.col("is_event"))
    least = protocol.diagnostics.events_per_arm_minimum
    if events < least:
        reason = f"an arm has {'no' if events == 0 else f'fewer than {least}'} events"
        return _Fitted(endpoint, contrast, adjustment, rows, None, reason)
    adjusters: list[str] = []
    merged = rows
    if adjustment == ADJUSTED:
        merged, adjusters = usable(rows, protocol, without=contrast.strata)
    strata = list(contrast.strata) if adjustment == ADJUSTED else []
    fit = cox_regression(
        merged, "time_days", "is_event", [TREATMENT, *adjusters], strata=strata or None, cluster="patient_id"
    )
    return _Fitted(endpoint, contrast, adjustment, rows, fit, None)


def _ratio(fitted: _Fitted) -> pl.DataFrame:
    labels = {
        "endpoint": fitted.endpoint.name,
        "view": "index",
        "model": "cause-specific",
        "weighting": "unweighted",
        "variance": "robust, clustered by patient",
        "term": "tier",
        "tier": fitted.contrast.tier,
        "reference": fitted.contrast.reference,
        "subjects": fitted.rows.height,
        "events": int(fitted.rows["is_event"].sum()),
        "contrast": fitted.contrast.name,
        "adjustment": fitted.adjustment,
    }
    reason = fitted.reason
    if fitted.fit is not None and fitted.fit.status != ESTIMABLE:
        reason = fitted.fit.status.removeprefix("not estimable: ")
    if fitted.fit is None or reason is not None:
        return pl.DataFrame([labels | {"status": NOT_ESTIMABLE, "reason": reason}])
    term = fitted.fit.coefficients.filter(pl.col("term") == TREATMENT).row(0, named=True)
    numbers = {
        "estimate": term["hazard_ratio"],
        "log_std_error": term["robust_std_error"],
        "ci_low": term["ci_low"],
        "ci_high": term["ci_high"],
        "p_value": term["p_value"],
    }
    return pl.DataFrame(
        [labels | numbers | {"status": ESTIMABLE, "reason": None}], schema_overrides={"reason": pl.String}
    )
