"""Running the rule table over a table: which rows carry on, which are kept aside and why, how often each rule spoke.

The rules themselves are in `rules.py`.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.ingest.contract import Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.rules import Rule
from pipelines.ingest.tables import FILE, LINE, FileTable

QUARANTINE_SCHEMA = {
    "file": pl.String,
    "line": pl.Int64,
    "column": pl.String,
    "rule": pl.String,
    "reason": pl.String,
}
RULES_SCHEMA = {
    "rule": pl.String,
    "table_name": pl.String,
    "severity": pl.String,
    "reason": pl.String,
    "violations": pl.Int64,
}
COUNTS_SCHEMA = {
    "table_name": pl.String,
    "rows_read": pl.Int64,
    "rows_accepted": pl.Int64,
    "rows_quarantined": pl.Int64,
}
WRONG_NUMBER_OF_FIELDS = "wrong_number_of_fields"


@dataclass(frozen=True)
class Judged:
    """One table after its rules.

    Attributes:
        accepted: rows no error was found in, with their context columns.
        quarantine: one row per problem of a quarantined row.
        warnings: one row per warning on a row that carries on.
        rules: every rule with its violations.
        counts: one row that reconciles: read = accepted + quarantined.
    """

    accepted: pl.DataFrame
    quarantine: pl.DataFrame
    warnings: pl.DataFrame
    rules: pl.DataFrame
    counts: pl.DataFrame


def judge(frame: pl.DataFrame, table: Table, rules: tuple[Rule, ...], files: list[FileTable]) -> Judged:
    """Run the rules over a typed table with its context.

    Raises:
        ReleaseRefused: read, accepted and quarantined rows do not add up (a fault of ours, never passed on).
    """
    verdicts = frame.select(rule.expression.fill_null(False).alias(rule.id) for rule in rules)
    violations = verdicts.sum().row(0) if frame.height else (0,) * len(rules)
    spoke = [(rule, count) for rule, count in zip(rules, violations, strict=True) if count]
    errors = [rule for rule, _ in spoke if rule.severity == "error"]
    is_bad = verdicts.select(pl.any_horizontal(rule.id for rule in errors)).to_series() if errors else None
    accepted = frame.filter(~is_bad) if is_bad is not None else frame
    broken = _broken(files, table.name)
    quarantine = pl.concat([broken, *(_places(frame, verdicts, rule) for rule in errors)])
    warnings = [_places(frame, verdicts, rule) for rule, _ in spoke if rule.severity == "warning"]
    read = sum(file.rows for file in files)
    counts = (table.name, read, accepted.height, quarantine.select("file", "line").n_unique())
    if counts[1] != counts[2] + counts[3]:
        raise ReleaseRefused(
            f"the rows of {table.name} do not reconcile; this is a fault of the program, please report it"
        )
    return Judged(
        accepted,
        quarantine.sort("file", "line", "column", "rule"),
        pl.concat([pl.DataFrame(schema=QUARANTINE_SCHEMA), *warnings]).sort("file", "line", "column", "rule"),
        _counted(rules, violations, broken),
        pl.DataFrame([counts], schema=COUNTS_SCHEMA, orient="row"),
    )


def _places(frame: pl.DataFrame, verdicts: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    return (
        frame.select(FILE, LINE)
        .filter(verdicts[rule.id])
        .select(file=FILE, line=LINE, column=pl.lit(rule.column), rule=pl.lit(rule.id), reason=pl.lit(rule.reason))
    )


def _broken(files: list[FileTable], table: str) -> pl.DataFrame:
    """Rows that do not have as many fields as the header: nothing in them can be placed."""
    rule = _broken_rule(table)
    parts = [
        pl.DataFrame({"line": file.broken}).select(
            file=pl.lit(file.file),
            line="line",
            column=pl.lit(None, dtype=pl.String),
            rule=pl.lit(rule[0]),
            reason=pl.lit(rule[3]),
        )
        for file in files
    ]
    return pl.concat([pl.DataFrame(schema=QUARANTINE_SCHEMA), *parts])


def _broken_rule(table: str) -> tuple[str, str, str, str]:
    reason = "the row has more or fewer fields than the header; quote a field that holds the delimiter"
    return f"{table}.{WRONG_NUMBER_OF_FIELDS}", table, "error", reason


def _counted(rules: tuple[Rule, ...], violations: tuple[int, ...], broken: pl.DataFrame) -> pl.DataFrame:
    rows = [(*_broken_rule(rules[0].table), broken.height)]
    rows += [(r.id, r.table, r.severity, r.reason, n) for r, n in zip(rules, violations, strict=True)]
    return pl.DataFrame(rows, schema=RULES_SCHEMA, orient="row")
