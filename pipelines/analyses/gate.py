"""What a contrast must pass to be shown, and the blinding of what did not pass.

Belongs here: the checks of `results.diagnostics` and their effect on tables of contrasts. Does not belong here: the
estimates themselves, or the suppression of small counts (the report's gate).

A failed check withholds every estimate of its contrast, outcome and window: the row stays, its numbers go, the reason
is given. Source: Schuemie et al. 2018, Phil. Trans. R. Soc. A 376:20170356 (blinding until diagnostics pass).
"""

from collections.abc import Iterator

import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    arms,
    comparable_contrasts,
    due,
    endpoint_rows,
    in_ladder_order,
    smallest_arm,
    windows,
    withhold,
)
from pipelines.models.cox import cox_regression
from pipelines.protocol import Contrast, Protocol

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"

SUBJECTS = "patients per arm"
EVENTS = "events per arm"
CROSSOVER = "crossover"
NEGATIVE_CONTROL = "negative control"

Row = dict[str, object]


class Gate:
    """The failed checks of `results.diagnostics`, looked up by contrast, outcome and window."""

    def __init__(self, diagnostics: pl.DataFrame) -> None:
        failed = diagnostics.filter(pl.col("verdict") == FAILED)
        self._failed = failed.select("contrast", "outcome", "window", "check").rows()

    def reason(self, contrast: str, outcome: str, window: str | None) -> str | None:
        """Why a contrast is withheld, or None. A check without outcome or window holds for all of them."""
        checks = [
            check
            for of_contrast, of_outcome, of_window, check in self._failed
            if of_contrast == contrast and of_outcome in (None, outcome) and of_window in (None, window)
        ]
        return f"failed: {', '.join(dict.fromkeys(checks))}" if checks else None


def withhold_failed(rows: pl.DataFrame, gate: Gate, outcome: str, window: str | None) -> pl.DataFrame:
    """The rows with those blinded whose contrast fails; `outcome` and `window` name the columns to look up."""
    reasons = [
        gate.reason(row["contrast"], row[outcome], row[window] if window else None) if row["contrast"] else None
        for row in rows.iter_rows(named=True)
    ]
    return withhold(rows, reasons)


def diagnostics(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """All checks of all contrasts, in the protocol's order."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    visits = pl.concat(
        [
            in_ladder_order(tables[name], protocol).select(
                "instrument", "tier", "visit_window", "is_observed", "is_due", "is_alive", "is_escalated_before"
            )
            for name in ("analysis.scores", "analysis.walking_tests")
        ]
    )
    rows: list[Row] = []
    for contrast in protocol.contrasts:
        rows += [_negative_control(times, contrast, protocol)]
        rows += _of_endpoints(times, contrast, protocol)
        rows += _of_visits(arms(visits, contrast), contrast, protocol)
    schema = dict.fromkeys(("contrast", "outcome", "check", "verdict", "window", "note"), pl.String)
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(("value", "threshold"), pl.Float64))


def _of_endpoints(times: pl.DataFrame, contrast: Contrast, protocol: Protocol) -> Iterator[Row]:
    limits = protocol.diagnostics
    for endpoint in protocol.endpoints:
        if contrast not in comparable_contrasts(protocol, endpoint):
            continue
        rows = arms(endpoint_rows(times, endpoint), contrast)
        events = smallest_arm(rows, contrast, pl.col("status") == 1)
        yield at_least(
            contrast,
            SUBJECTS,
            smallest_arm(rows, contrast),
            limits.subjects_per_arm_minimum,
            endpoint.name,
            None,
            "patients in the smaller arm",
        )
        yield at_least(
            contrast,
            EVENTS,
            events,
            limits.events_per_arm_minimum,
            endpoint.name,
            None,
            "events in the arm with fewer",
        )


def _of_visits(visits: pl.DataFrame, contrast: Contrast, protocol: Protocol) -> Iterator[Row]:
    limits = protocol.diagnostics
    for instrument in protocol.instruments:
        of_instrument = visits.filter(pl.col("instrument") == instrument.name)
        for window in windows(of_instrument, protocol):
            here = of_instrument.filter(pl.col("visit_window") == window.name)
            yield at_least(
                contrast,
                SUBJECTS,
                smallest_arm(here, contrast, pl.col("is_observed")),
                limits.subjects_per_arm_minimum,
                instrument.name,
                window.name,
                "patients seen in the smaller arm",
            )
            yield _crossover(here.filter(due(here)), contrast, limits.crossover_maximum, instrument.name, window.name)


def _crossover(visits: pl.DataFrame, contrast: Contrast, maximum: float, outcome: str, window: str) -> Row:
    shares = visits.group_by("tier").agg(share=pl.col("is_escalated_before").cast(pl.Float64).mean())["share"].to_list()
    largest = max((share for share in shares if share is not None), default=None)
    return {
        "contrast": contrast.name,
        "outcome": outcome,
        "window": window,
        "check": CROSSOVER,
        "value": largest,
        "threshold": maximum,
        "verdict": _verdict(largest, largest is not None and largest <= maximum),
        "note": "share of the arm with more of it that had escalated before the visit",
    }


def at_least(
    contrast: Contrast,
    check: str,
    value: float | None,
    minimum: float,
    outcome: str | None,
    window: str | None,
    note: str,
) -> Row:
    """A diagnostics row that passes where the value reaches the minimum."""
    return {
        "contrast": contrast.name,
        "outcome": outcome,
        "window": window,
        "check": check,
        "value": None if value is None else float(value),
        "threshold": float(minimum),
        "verdict": _verdict(value, value is not None and value >= minimum),
        "note": note,
    }


def _verdict(value: object, is_passed: bool) -> str:
    if value is None:
        return NOT_APPLICABLE
    return PASSED if is_passed else FAILED


def _negative_control(times: pl.DataFrame, contrast: Contrast, protocol: Protocol) -> Row:
    """Whether the tiers differ in an event that neither can affect; too few events leave it `not applicable`."""
    alpha = protocol.diagnostics.negative_control_alpha
    row: Row = {
        "contrast": contrast.name,
        "outcome": None,
        "window": None,
        "check": NEGATIVE_CONTROL,
        "value": None,
        "threshold": alpha,
        "verdict": NOT_APPLICABLE,
        "note": "p-value of the hazard ratio of the negative control event",
    }
    control = next((endpoint for endpoint in protocol.endpoints if endpoint.is_negative_control), None)
    if control is None:
        return row | {"note": "the protocol names no negative control"}
    rows = arms(endpoint_rows(times, control), contrast).with_columns(
        is_event=pl.col("status") == 1, is_tier=(pl.col("tier").cast(pl.String) == contrast.tier).cast(pl.Float64)
    )
    if (
        rows.is_empty()
        or smallest_arm(rows, contrast, pl.col("is_event")) < protocol.diagnostics.events_per_arm_minimum
    ):
        return row | {"note": "too few negative control events to tell"}
    fit = cox_regression(rows, "time_days", "is_event", ["is_tier"], cluster="patient_id")
    p_value = fit.coefficients["p_value"][0] if fit.status == "estimable" else None
    return row | {"value": p_value, "verdict": _verdict(p_value, p_value is not None and p_value >= alpha)}
