"""Which rows enter an analysis, and the small conversions that all analyses share.

Belongs here: tiers in ladder order, the two arms of a contrast, which endpoint and which contrasts go together, names
of the strategies for escalation, statuses of rows without a number. Does not belong here: filling of missing covariates
(`covariates`), any model.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE, WITHHELD
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, Endpoint, Window

NUMBERS = ("estimate", "std_error", "log_std_error", "ci_low", "ci_high", "p_value", "df")
CAUSES = {1: "event", 2: "death"}
# Strategies for escalation, as `results.contrasts` calls them (ICH E9(R1) 2019).
TREATMENT_POLICY = "treatment policy"
HYPOTHETICAL = "hypothetical: no escalation"
ESCALATION_IS_NON_RESPONSE = "composite: escalation is non-response"


def in_ladder_order(frame: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """The frame with `tier` as an Enum in ladder order, rows in an order that does not depend on their input order."""
    keys = [
        name for name in ("episode_id", "endpoint", "instrument", "threshold", "visit_window") if name in frame.columns
    ]
    return frame.with_columns(pl.col("tier").cast(pl.Enum(protocol.tier_names))).sort(keys)


def arms(frame: pl.DataFrame, contrast: Contrast) -> pl.DataFrame:
    """The rows of a contrast's two tiers; `tier` becomes an Enum of these two with the reference first."""
    pair = [contrast.reference, contrast.tier]
    return (
        frame.with_columns(pl.col("tier").cast(pl.String))
        .filter(pl.col("tier").is_in(pair))
        .with_columns(pl.col("tier").cast(pl.Enum(pair)))
    )


def names_of(contrast: Contrast) -> dict[str, str]:
    """How a result row names a contrast and its two tiers."""
    return {"contrast": contrast.name, "tier": contrast.tier, "reference": contrast.reference}


def smallest_arm(frame: pl.DataFrame, contrast: Contrast, condition: pl.Expr | None = None) -> int:
    """The number of rows (that meet a condition) of the smaller arm of a contrast."""
    chosen = frame if condition is None else frame.filter(condition)
    tiers = chosen["tier"].cast(pl.String)
    return min(int((tiers == name).sum()) for name in (contrast.tier, contrast.reference))


def comparable_contrasts(protocol: Protocol, endpoint: Endpoint) -> list[Contrast]:
    """The contrasts that an endpoint may be compared over.

    An endpoint made of treatments serves only the contrasts that name it, so that both arms have one event set; one
    made of events (harm, opioid start, the negative control) serves all. A descriptive endpoint serves none.
    """
    if endpoint.is_descriptive:
        return []
    if endpoint.treatments:
        return [contrast for contrast in protocol.contrasts if contrast.endpoint == endpoint.name]
    return list(protocol.contrasts)


def described_endpoints(protocol: Protocol) -> tuple[Endpoint, ...]:
    """All endpoints that are described by tier, the supplementary ones too; contrasts rest on `protocol.endpoints`."""
    return (*protocol.endpoints, *protocol.supplementary_endpoints)


def endpoint_rows(times: pl.DataFrame, endpoint: Endpoint) -> pl.DataFrame:
    """The rows of one endpoint, one per subject."""
    return times.filter(pl.col("endpoint") == endpoint.name)


def without_keys(subjects: pl.DataFrame) -> pl.DataFrame:
    """The subjects as they are joined to rows of outcomes, which have tier, site and patient themselves."""
    return subjects.drop("tier", "site_id", "patient_id")


def due(frame: pl.DataFrame) -> pl.Expr:
    """Whether a visit is expected: its window has closed and the patient was alive, or it has happened."""
    return (pl.col("is_due") & pl.col("is_alive")) | pl.col("is_observed")


def score_instruments(protocol: Protocol) -> Iterator[str]:
    """Names of the questionnaire scores."""
    return (instrument.name for instrument in protocol.instruments if instrument.kind == "score")


def walking_instruments(protocol: Protocol) -> Iterator[str]:
    """Names of the walking tests."""
    return (instrument.name for instrument in protocol.instruments if instrument.kind == "walking")


def windows(frame: pl.DataFrame, protocol: Protocol) -> list[Window]:
    """The visit windows of the protocol in which the frame has an observed value."""
    seen = set(frame.filter("is_observed")["visit_window"].unique().to_list())
    return [window for window in protocol.windows if window.name in seen]


def split_status(frame: pl.DataFrame) -> pl.DataFrame:
    """Statuses of the form `not estimable: why` as `status` and `reason`; numbers of such rows are removed."""
    return without_numbers(frame.with_columns(**status_parts()), pl.col("status") != ESTIMABLE)


def status_parts() -> dict[str, pl.Expr]:
    """`status` and `reason` out of a status of that form, as columns to select."""
    parts = pl.col("status").str.splitn(": ", 2).struct
    return {"status": parts.field("field_0"), "reason": parts.field("field_1")}


def without_numbers(frame: pl.DataFrame, condition: pl.Expr) -> pl.DataFrame:
    """The frame with no number in the rows that meet the condition."""
    return frame.with_columns(
        pl.when(~condition).then(pl.col(name)).alias(name) for name in NUMBERS if name in frame.columns
    )


def not_estimable(reason: str, **values: object) -> pl.DataFrame:
    """One row that says why there is no number."""
    return pl.DataFrame([{**values, "status": NOT_ESTIMABLE, "reason": reason}])


def withhold(frame: pl.DataFrame, reasons: Sequence[str | None]) -> pl.DataFrame:
    """The frame with the estimable rows that have a reason marked withheld and blinded."""
    marked = frame.with_columns(pl.Series("_why", list(reasons), dtype=pl.String))
    hidden = pl.col("_why").is_not_null() & (pl.col("status") == ESTIMABLE)
    return (
        without_numbers(marked, hidden)
        .with_columns(
            status=pl.when(hidden).then(pl.lit(WITHHELD)).otherwise("status"),
            reason=pl.when(hidden).then("_why").otherwise("reason"),
        )
        .drop("_why")
    )


def stacked(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames on top of each other; columns that one lacks are empty there; an empty frame if there are none."""
    filled = [frame for frame in frames if frame.height]
    return pl.concat(filled, how="diagonal_relaxed") if filled else pl.DataFrame()
