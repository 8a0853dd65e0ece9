"""`results.diagnostics`: what a contrast must pass to be shown.

Belongs here: all checks in order, and those of one outcome (size, events, crossover). Does not belong here: whether two
arms are comparable (`comparability`), or what a failed check does (`gate`).
"""

from collections.abc import Iterator

import polars as pl

from pipelines.analyses.checks import CROSSOVER, Row, at_least, at_most
from pipelines.analyses.comparability import comparability
from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    arms,
    comparable_contrasts,
    due,
    endpoint_rows,
    in_ladder_order,
    smallest_arm,
    windows,
)
from pipelines.analyses.weighting import weighted_contrasts
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast

SUBJECTS = "patients per arm"
EVENTS = "events per arm"


def diagnostics(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """All checks of all contrasts: arms as a whole first, then each endpoint, then each instrument and window."""
    times = in_ladder_order(tables["analysis.time_to_event"], protocol)
    visits = _visits(tables, protocol)
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    rows: list[Row] = []
    for weighted in weighted_contrasts(subjects, protocol):
        rows += comparability(weighted, tables["results.balance"], times, protocol)
    for contrast in protocol.contrasts:
        rows += _of_endpoints(times, contrast, protocol)
        rows += of_visits(arms(visits, contrast), contrast, protocol)
    schema = dict.fromkeys(("contrast", "outcome", "check", "verdict", "window", "note"), pl.String)
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(("value", "threshold"), pl.Float64))


def _visits(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Questionnaires and walking tests on top of each other, as far as they are alike."""
    shared = ("instrument", "tier", "visit_window", "is_observed", "is_due", "is_alive", "is_escalated_before")
    names = ("analysis.scores", "analysis.walking_tests")
    return pl.concat([in_ladder_order(tables[name], protocol).select(shared) for name in names])


def _of_endpoints(times: pl.DataFrame, contrast: Contrast, protocol: Protocol) -> Iterator[Row]:
    limits, horizon = protocol.diagnostics, protocol.primary.endpoint_horizon_days
    for endpoint in protocol.endpoints:
        if contrast not in comparable_contrasts(protocol, endpoint):
            continue
        rows = arms(endpoint_rows(times, endpoint), contrast)
        subjects = smallest_arm(rows, contrast)
        note = "patients in the smaller arm"
        yield at_least(contrast.name, SUBJECTS, subjects, limits.subjects_per_arm_minimum, note, endpoint.name)
        events = smallest_arm(rows, contrast, (pl.col("status") == 1) & (pl.col("time_days") <= horizon))
        note = f"events in the arm with fewer, within {horizon} days"
        yield at_least(contrast.name, EVENTS, events, limits.events_per_arm_minimum, note, endpoint.name)


def of_visits(visits: pl.DataFrame, contrast: Contrast, protocol: Protocol) -> Iterator[Row]:
    """Size and crossover of each instrument and window; `visits` are those of the contrast's two arms."""
    limits = protocol.diagnostics
    for instrument in protocol.instruments:
        rows = visits.filter(pl.col("instrument") == instrument.name)
        for window in windows(rows, protocol):
            here = rows.filter(pl.col("visit_window") == window.name)
            place = (instrument.name, window.name)
            seen = smallest_arm(here, contrast, pl.col("is_observed"))
            note = "patients seen in the smaller arm"
            yield at_least(contrast.name, SUBJECTS, seen, limits.subjects_per_arm_minimum, note, *place)
            note = (
                "share that had escalated before the visit, in the larger such arm; concerns the hypothetical strategy"
            )
            share = _largest_share_escalated(here)
            yield at_most(contrast.name, CROSSOVER, share, limits.crossover_maximum, note, *place)


def _largest_share_escalated(visits: pl.DataFrame) -> float | None:
    expected = visits.filter(due(visits))
    shares = expected.group_by("tier").agg(share=pl.col("is_escalated_before").cast(pl.Float64).mean())["share"]
    return max((share for share in shares.to_list() if share is not None), default=None)
