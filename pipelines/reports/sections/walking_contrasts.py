"""Walking tests compared between neighbouring tiers, each test on its own."""

import polars as pl

from pipelines.protocol_parts import Contrast, Instrument
from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Cell, Column, Row, Table
from pipelines.reports.estimates import estimate_cell
from pipelines.reports.findings import is_unadjusted
from pipelines.reports.study import Study

_JOINT = ("distance ratio", "time ratio", "speed ratio")
_METRES = "mean difference"


def walking_contrasts(study: Study, window: str) -> list[Table]:
    """A table a test at one visit: distance with time and speed where a limit stops walks, metres in a fixed time."""
    frame = study.snapshot.rows("results.contrasts", window=window)
    tables = []
    for instrument in (i for i in study.protocol.instruments if i.kind == "walking"):
        mine = frame.filter(pl.col("outcome") == instrument.name) if frame.height else frame
        measures = {*mine["measure"].to_list()} if mine.height else set()
        if _JOINT[0] in measures:
            tables.append(_joint_table(study, mine, instrument, window))
        elif _METRES in measures:
            tables.append(_metres_table(study, mine, instrument, window))
    return tables


def _joint_table(study: Study, frame: pl.DataFrame, instrument: Instrument, window: str) -> Table:
    rows = [_row(study, frame, instrument, window, contrast, _JOINT) for contrast in study.protocol.contrasts]
    minutes = numbers.fixed((instrument.time_limit_s or 0) / 60, 0)
    return Table(
        wording.anchor("table-walk", instrument.name),
        f"{instrument.label} compared at {study.window_label(window)}",
        (
            Column("Contrast", "left"),
            *[Column(name, group="Adjusted ratio (95 % CI)") for name in ("Distance", "Time", "Speed")],
            Column("Distance", group="Unadjusted"),
            Column("Why withheld", "left"),
        ),
        tuple(rows),
        reading=f"Tier over reference; above 1 patients of the tier walk farther, longer or faster. The test stops at "
        f"{minutes} minutes, so time and speed are modelled together, the time censored at the limit; the ratio of "
        "distances is the product of both. Compared within this test only.",
        source=f"results.contrasts (outcome = {instrument.name}, window = {window}; measure = distance ratio, time "
        "ratio, speed ratio)",
    )


def _metres_table(study: Study, frame: pl.DataFrame, instrument: Instrument, window: str) -> Table:
    rows = [_row(study, frame, instrument, window, contrast, (_METRES,)) for contrast in study.protocol.contrasts]
    return Table(
        wording.anchor("table-walk", instrument.name),
        f"{instrument.label} compared at {study.window_label(window)}",
        (
            Column("Contrast", "left"),
            Column("Adjusted", group="Difference in metres (95 % CI)"),
            Column("Unadjusted", group="Difference in metres (95 % CI)"),
            Column("Why withheld", "left"),
        ),
        tuple(rows),
        reading="Tier minus reference. Most walks of this test last its whole time, so that its metres are an ordinary "
        "measurement. Compared within this test only.",
        source=f"results.contrasts (outcome = {instrument.name}, window = {window}; measure = {_METRES})",
    )


def _row(
    study: Study,
    frame: pl.DataFrame,
    instrument: Instrument,
    window: str,
    contrast: Contrast,
    measures: tuple[str, ...],
) -> Row:
    mine = frame.filter(
        (pl.col("contrast") == contrast.name)
        & ~pl.col("variance").is_in(["weights fixed", "weights estimated, clustered by site"])
        & (pl.col("strategy").fill_null("treatment policy") == "treatment policy")
    )
    adjusted = [_cell(study, mine, instrument, window, contrast, measure, False) for measure in measures]
    unadjusted = _cell(study, mine, instrument, window, contrast, measures[0], True)
    reasons = mine.filter(pl.col("status") != "estimable")["reason"].drop_nulls().unique(maintain_order=True)
    return Row((study.versus(contrast), *adjusted, unadjusted, reasons[0] if len(reasons) else ""))


def _cell(
    study: Study,
    rows: pl.DataFrame,
    instrument: Instrument,
    window: str,
    contrast: Contrast,
    measure: str,
    unadjusted: bool,
) -> Cell:
    """The leading adjusted estimate (weighted before modelled), or the unadjusted one."""
    found = [
        row for row in rows.filter(pl.col("measure") == measure).iter_rows(named=True)
        if is_unadjusted(row["method"]) == unadjusted
    ]  # fmt: skip
    if not found:
        return numbers.ABSENT
    row = min(found, key=lambda one: "propensity" not in one["method"])
    arms = [keys.seen(instrument.name, window, tier) for tier in (contrast.tier, contrast.reference)]
    return estimate_cell(study, row, 0 if measure == _METRES else 2, *arms)
