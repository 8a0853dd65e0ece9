"""How the primary results stand under other choices: `results.sensitivity`.

Belongs here: E-values of the primary contrasts, and in the full analysis set the specification curve (every estimate
of a primary question side by side), a library's second opinion and the tipping points of missing data. Does not belong
here: the estimates (`contrasts`, `second_opinions`), imputation itself (`imputed`).
"""

import math
from collections.abc import Iterator

import polars as pl

from pipelines.analyses.choices import with_choices
from pipelines.analyses.horizons import incidence_at
from pipelines.analyses.imputed import tipping_points
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked
from pipelines.analyses.schemas import ESTIMABLE
from pipelines.analyses.second_opinions import second_opinions
from pipelines.analyses.trace_names import SENSITIVITY, with_trace
from pipelines.models.sensitivity import e_value, standardised_difference_limits
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast

E_VALUE = "E-value"
CURVE = "specification"
# Above this share of patients with the event by the end a hazard ratio is not a risk ratio (VanderWeele & Ding 2017).
COMMON = 0.15


def sensitivity(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """E-values; in the full analysis set also the specification curve, second opinions and tipping points."""
    own = list(_e_values(tables, protocol))
    if protocol.analysis_set != "full":
        return stacked([with_trace(piece, SENSITIVITY) for piece in own])
    own += [second_opinions(tables, protocol), tipping_points(tables, protocol)]
    return stacked([_specification_curve(tables, protocol), *(with_trace(piece, SENSITIVITY) for piece in own)])


def _e_values(tables: Tables, protocol: Protocol) -> Iterator[pl.DataFrame]:
    primary = tables["results.contrasts"].filter(pl.col("is_primary") & (pl.col("status") == ESTIMABLE))
    for row in primary.iter_rows(named=True):
        is_walk = protocol.instrument(row["outcome"]).kind == "walking"
        spread = _spread(tables["results.trajectories"], row, is_walk)
        if spread is None:
            continue
        estimate = (math.log(row["estimate"]) if is_walk else row["estimate"]) / spread
        low, high = standardised_difference_limits(estimate, row["std_error"] / spread)
        values = e_value(estimate, low, high, "standardised mean difference").row(0, named=True)
        yield _e_row(row["outcome"], row["contrast"], row["window"], values)
    for contrast in protocol.contrasts:
        yield from _of_hazard(tables, contrast, protocol)


def _of_hazard(tables: Tables, contrast: Contrast, protocol: Protocol) -> Iterator[pl.DataFrame]:
    """The E-value of the overlap-weighted hazard ratio of the contrast's own endpoint."""
    if contrast.endpoint is None:
        return
    found = e_values_of(tables["results.hazard_ratios"], contrast)
    if found.is_empty():
        return
    ratio, horizon = found.row(0, named=True), protocol.primary.endpoint_horizon_days
    curves = tables["results.cumulative_incidence"].filter(
        (pl.col("endpoint") == contrast.endpoint) & (pl.col("weighting") == "unweighted")
    )
    share = max(incidence_at(curves, tier, horizon)[0] for tier in (contrast.tier, contrast.reference))
    measure = "hazard ratio, common" if share > COMMON else "hazard ratio, rare"
    values = e_value(ratio["estimate"], ratio["ci_low"], ratio["ci_high"], measure).row(0, named=True)
    yield _e_row(contrast.endpoint, contrast.name, None, values)


def e_values_of(hazards: pl.DataFrame, contrast: Contrast) -> pl.DataFrame:
    """The overlap-weighted hazard ratio of a contrast's endpoint, of which an E-value is told; no row without one."""
    return hazards.filter(
        (pl.col("contrast") == contrast.name)
        & (pl.col("endpoint") == contrast.endpoint)
        & (pl.col("weighting") == "overlap")
        & (pl.col("variance") == "weights estimated")
        & (pl.col("status") == ESTIMABLE)
    )


def _e_row(outcome: str, contrast: str, window: str | None, values: dict[str, float]) -> pl.DataFrame:
    note = (
        "strength, as a risk ratio with both tier and outcome, that an unmeasured confounder would need to explain the "
        "estimate away; lower limit: to move the interval to no difference"
    )
    return pl.DataFrame(
        [
            {
                "outcome": outcome,
                "contrast": contrast,
                "window": window,
                "analysis": E_VALUE,
                "estimate": values["point"],
                "ci_low": values["limit"],
                "note": note,
                "measure": "risk ratio",
                "status": ESTIMABLE,
            }
        ],
        schema_overrides={"window": pl.String},
    )


def _spread(trajectories: pl.DataFrame, row: dict[str, object], is_walk: bool) -> float | None:
    """The pooled standard deviation of the outcome in both arms; of its logarithm for walking distance."""
    method = "geometric mean distance" if is_walk else "observed mean"
    arms = trajectories.filter(
        (pl.col("outcome") == row["outcome"])
        & (pl.col("window") == row["window"])
        & (pl.col("method") == method)
        & pl.col("tier").is_in([row["tier"], row["reference"]])
    ).drop_nulls("std_error")
    if arms.height < 2:
        return None
    errors = arms["std_error"] / arms["estimate"] if is_walk else arms["std_error"]
    variances = errors.to_numpy() ** 2 * arms["subjects"].to_numpy()
    spread = math.sqrt(float(variances.mean()))
    return spread if spread > 0 else None


def _specification_curve(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Every estimate of the protocol's questions on the scale of the primary one, labelled by its choices."""
    asked = pl.DataFrame(
        [(p.outcome, p.window) for p in protocol.primary.questions],
        schema={"outcome": pl.String, "window": pl.String},
        orient="row",
    )
    label = pl.concat_str(
        pl.lit(CURVE), pl.col("estimator", "population", "missing_data", "strategy", "variance"), separator="; "
    )
    spec = protocol.sensitivity
    rows = with_choices(
        tables["results.contrasts"]
        .join(asked, on=["outcome", "window"], how="semi", maintain_order="left")
        .filter(pl.col("measure").is_in(["mean difference", "distance ratio", "risk difference"]))
    )
    return rows.filter(
        *(
            pl.col(column).is_in(list(kept))
            for column, kept in (
                ("estimator", spec.estimators),
                ("population", spec.populations),
                ("missing_data", spec.missing_data),
                ("strategy", spec.strategies),
            )
            if kept
        ),
        pl.col("threshold").is_null() | pl.col("threshold").is_in(list(spec.thresholds)) if spec.thresholds else True,
    ).with_columns(
        analysis=pl.when(pl.col("threshold").is_null()).then(label).otherwise(label + "; " + pl.col("threshold")),
        note=pl.when("is_primary").then(pl.lit("primary")).otherwise(pl.col("reason")),
    )
