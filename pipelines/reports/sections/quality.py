"""Data quality: what was read and refused, which checks passed."""

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Callout, Cell, Column, Row, Section, Sentence, Shown, Table
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study


def quality(study: Study) -> Section:
    """Rows read, accepted and quarantined, rules that were broken, and verdicts of the checks."""
    title = "Data quality"
    blocks = [*_ingest(study), *_rules(study), *_checks(study)]
    if not blocks:
        return not_applicable("quality", title, "The snapshot holds no record of ingest or checks.")
    return Section("quality", title, tuple(blocks))


def _ingest(study: Study) -> list[Table]:
    frame = study.snapshot["quality.ingest_counts"]
    if frame.is_empty():
        return []
    rows = []
    for name in frame["table_name"].to_list():
        cells: list[Cell] = [study.gate.count(keys.records(name, what)) for what in ("read", "accepted", "quarantined")]
        rows.append(Row((name.capitalize(), *cells)))
    return [
        Table(
            "table-ingest",
            "Rows read, accepted and quarantined",
            (Column("Table", "left"), Column("Read"), Column("Accepted"), Column("Quarantined")),
            tuple(rows),
            reading="Read = accepted + quarantined. A quarantined row breaks a rule and takes no part in any result.",
            notes=(LEGEND,),
            source="quality.ingest_counts",
        )
    ]


def _rules(study: Study) -> list[Table | Callout]:
    frame = study.snapshot["quality.row_rules"]
    if frame.is_empty():
        return []
    broken = frame.filter(pl.col("violations") > 0).sort("table_name", "rule")
    if broken.is_empty():
        return [
            Callout(
                "note",
                "No row was quarantined",
                Sentence(f"All {frame.height} row rules were kept by every row.", "quality.row_rules"),
            )
        ]
    often = broken.filter(pl.col("violations") >= study.gate.minimum)
    rows = [
        Row((_reason(row["reason"]), _table(row), study.gate.count(keys.rule(row["table_name"], row["rule"]))))
        for row in often.iter_rows(named=True)
    ]
    for (name,), part in broken.filter(pl.col("violations") < study.gate.minimum).group_by(
        "table_name", maintain_order=True
    ):
        label = f"{part.height} further {'rule' if part.height == 1 else 'rules'}, each broken by few rows"
        rows.append(Row((label, str(name).capitalize(), Shown(f"<{study.gate.minimum} each", is_withheld=True))))
    return [
        Table(
            "table-rules",
            "Rules that rows broke",
            (Column("Rule", "left"), Column("Table", "left"), Column("Violations")),
            tuple(rows),
            reading="One row may break several rules. "
            f"The other {frame.height - broken.height} of {frame.height} rules "
            "were kept by every row.",
            notes=(LEGEND,),
            source="quality.row_rules; the rows themselves are in quality.quarantine, by file and line",
        )
    ]


def _reason(text: str) -> str:
    """What was wrong; how to mend it is for the data steward."""
    return wording.capital(text.split(";")[0])


def _table(row: dict[str, object]) -> str:
    return str(row["table_name"]).capitalize()


_VERDICTS = ("passed", "failed", "not applicable", "error")


def _checks(study: Study) -> list[Table]:
    frame = study.snapshot["quality.checks"]
    if frame.is_empty():
        return []
    rows = []
    for (stage,), part in frame.with_columns(_stage=pl.col("target").str.split(".").list.first()).group_by(
        "_stage", maintain_order=True
    ):
        cells: list[Cell] = [Shown(numbers.count(part.filter(pl.col("verdict") == v).height)) for v in _VERDICTS]
        rows.append(Row((str(stage), *cells)))
    tables = [
        Table(
            "table-checks",
            "Checks of the derived tables, by stage",
            (Column("Stage", "left"), *[Column(v.capitalize()) for v in _VERDICTS]),
            tuple(rows),
            reading="A check is not applicable where the table it examines is empty; that does not count as passed.",
            source="quality.checks",
        )
    ]
    open_checks = frame.filter(pl.col("verdict").is_in(["failed", "error"]))
    if open_checks.height:
        tables.append(_open_checks(study, open_checks))
    return tables


def _open_checks(study: Study, frame: pl.DataFrame) -> Table:
    rows = [
        Row((row["meaning"], row["target"], "yes" if row["is_blocking"] else "no", row["verdict"],
             study.gate.count(keys.check(row["check_name"]))))
        for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    return Table(
        "table-open-checks",
        "Checks that did not pass",
        (
            Column("Check", "left"),
            Column("Table", "left"),
            Column("Blocks", "left"),
            Column("Verdict", "left"),
            Column("Rows"),
        ),
        tuple(rows),
        reading="A check that blocks keeps a release from being published.",
        source="quality.checks",
    )
