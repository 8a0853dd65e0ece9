"""What was withheld and why: failed diagnostics, how alike the groups were made, and all verdicts."""

import polars as pl

from pipelines.reports import numbers
from pipelines.reports.content import Bullets, Callout, Cell, Column, Paragraph, Row, Section, Shown, Table
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study


def withheld(study: Study) -> Section:
    """Contrasts that failed a diagnostic, and all diagnostics counted."""
    title = "What was withheld, and why"
    frame = study.snapshot["results.diagnostics"]
    if frame.is_empty():
        return not_applicable("withheld", title, "No diagnostics were run: the protocol names no contrast.")
    blocks: list[Paragraph | Bullets | Table | Callout] = [
        Paragraph(
            "A contrast is shown only if the data can carry it: enough patients and events in each arm, groups that "
            "can "
            "be made alike, little crossover, and no difference in an event that no tier can affect. What fails stays "
            "blinded, so that nobody is tempted by a figure that should not be read."
        )
    ]
    failed = frame.filter(pl.col("verdict") == "failed")
    asked = _asked(study, failed)
    if asked.is_empty():
        blocks.append(
            Callout("note", "Nothing withheld", "Every primary and secondary comparison passed its diagnostics.")
        )
    else:
        blocks.append(_failed_table(study, asked))
    blocks += [*_balance_table(study, frame), _verdict_table(study, frame)]
    return Section("withheld", title, tuple(blocks))


def _asked(study: Study, failed: pl.DataFrame) -> pl.DataFrame:
    """Failed checks that bear on a primary or secondary question, or on all of a contrast."""
    windows = {(q.outcome, q.window) for q in study.asked}
    endpoints = {c.name: c.endpoint for c in study.protocol.contrasts}
    keep = []
    for row in failed.iter_rows(named=True):
        place = (row["outcome"], row.get("window"))
        keep.append(row["outcome"] is None or place in windows or row["outcome"] == endpoints.get(row["contrast"]))
    return failed.filter(pl.Series(keep, dtype=pl.Boolean))


def _failed_table(study: Study, failed: pl.DataFrame) -> Table:
    names = {c.name: study.versus(c) for c in study.protocol.contrasts}
    rows = []
    for row in failed.iter_rows(named=True):
        rows.append(
            Row(
                (
                    names.get(row["contrast"], row["contrast"]),
                    _outcome_label(study, row["outcome"], row.get("window")),
                    row["check"],
                    _diagnostic(study, row),
                    _limit(row["threshold"]),
                )
            )
        )
    return Table(
        "table-withheld",
        "Comparisons that are not shown",
        (
            Column("Contrast", "left"),
            Column("Outcome", "left"),
            Column("Failed check", "left"),
            Column("Found"),
            Column("Limit"),
        ),
        tuple(rows),
        reading="A comparison stands here once for each check it failed; it is shown nowhere in this report.",
        source="results.diagnostics (verdict = failed)",
    )


def _outcome_label(study: Study, outcome: str | None, window: str | None) -> str:
    if outcome is None:
        return "all outcomes"
    known = {i.name: i.short_label for i in study.protocol.instruments} | {
        e.name: e.label for e in study.protocol.endpoints
    }
    label = known.get(outcome, outcome)
    return f"{label}, {study.window_label(window)}" if window else label


def _diagnostic(study: Study, row: dict[str, object]) -> Cell:
    """The value of a check; one that counts patients or events is shown only as below the limit."""
    value = row["value"]
    if not isinstance(value, int | float):
        return numbers.ABSENT
    if "per arm" in str(row["check"]) and value < study.gate.minimum:
        return Shown(f"<{study.gate.minimum}", is_withheld=True) if value else Shown("0")
    if "per arm" in str(row["check"]):
        return Shown("below the limit", is_withheld=True)
    return Shown(_limit(float(value)))


def _limit(value: float | None) -> str:
    if value is None:
        return numbers.ABSENT
    return numbers.fixed(value, 0 if float(value).is_integer() and abs(value) >= 2 else 2)


def _balance_table(study: Study, diagnostics: pl.DataFrame) -> list[Table]:
    """Largest differences of modelled covariates before and after weighting, with what weighting costs."""
    frame = study.snapshot["results.balance"]
    if frame.is_empty():
        return []
    if "is_modelled" in frame.columns:
        frame = frame.filter("is_modelled")
    rows = []
    for contrast in study.protocol.contrasts:
        mine = frame.filter(pl.col("contrast") == contrast.name)
        cells = [_largest(mine.filter(pl.col("weighting") == w)) for w in ("unweighted", "overlap")]
        size = diagnostics.filter(
            (pl.col("contrast") == contrast.name) & pl.col("check").str.starts_with("effective sample size")
        )["value"].drop_nulls()
        rows.append(Row((study.versus(contrast), *cells, _whole(study, float(size[0]) if len(size) else None))))
    limit = numbers.fixed(study.protocol.diagnostics.smd_maximum, 2)
    return [
        Table(
            "table-balance",
            "How alike the groups were made",
            (
                Column("Contrast", "left"),
                Column("Before weighting", group="Largest standardised difference"),
                Column("After weighting", group="Largest standardised difference"),
                Column("Effective sample size"),
            ),
            tuple(rows),
            reading=f"Groups count as alike up to {limit}. Weighting makes modelled covariates alike by design and "
            "costs "
            "information: the effective sample size is how many unweighted patients the smaller arm is worth.",
            source="results.balance (is_modelled); results.diagnostics (check = effective sample size)",
        )
    ]


def _largest(rows: pl.DataFrame) -> Cell:
    largest = rows["smd"].abs().max() if rows.height else None
    return Shown(numbers.fixed(float(largest), 2)) if isinstance(largest, float) else numbers.ABSENT


def _whole(study: Study, value: float | None) -> Cell:
    if value is None:
        return numbers.ABSENT
    return Shown(f"<{study.gate.minimum}", True) if value < study.gate.minimum else Shown(numbers.fixed(value, 0))


def _verdict_table(study: Study, frame: pl.DataFrame) -> Table:
    verdicts = [v for v in ("passed", "failed", "not applicable", "error") if (frame["verdict"] == v).any()]
    rows = []
    for contrast in study.protocol.contrasts:
        mine = frame.filter(pl.col("contrast") == contrast.name)
        cells: list[Cell] = [Shown(numbers.count(mine.filter(pl.col("verdict") == v).height)) for v in verdicts]
        rows.append(Row((study.versus(contrast), *cells)))
    return Table(
        "table-verdicts",
        "Diagnostics by contrast, over all outcomes and visits",
        (Column("Contrast", "left"), *[Column(v.capitalize()) for v in verdicts]),
        tuple(rows),
        reading="How many checks came out how; `not applicable` where there was nothing to check.".replace("`", ""),
        source="results.diagnostics",
    )
