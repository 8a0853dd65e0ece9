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


@dataclass(frozen=True)
class Judged:
    """One table after its rules.

    Attributes:
        accepted: the contract's columns, `$file` and `$line` of rows no error was found in.
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


def judge(
    frame: pl.DataFrame, context: pl.LazyFrame, table: Table, rules: tuple[Rule, ...], broken: pl.DataFrame
) -> Judged:
    """Run the rules over a typed table with its context.

    Args:
        frame: one row a record, typed.
        context: the same rows in the same order, with the columns that rules look at.
        table: its contract.
        rules: what to hold it against.
        broken: `$file` and `$line` of rows that could not be divided into fields.

    Raises:
        ReleaseRefused: read, accepted and quarantined rows do not add up (a fault of ours, never passed on).
    """
    verdicts = context.select(rule.expression.fill_null(False).alias(rule.id) for rule in rules).collect()
    violations = verdicts.sum().row(0) if frame.height else (0,) * len(rules)
    spoke = [rule for rule, count in zip(rules, violations, strict=True) if count]
    errors = [rule.id for rule in spoke if rule.severity == "error"]
    kept = frame.select(*(pl.col(name).cast(dtype) for name, dtype in table.schema.items()), FILE, LINE)
    accepted = kept.filter(~verdicts.select(pl.any_horizontal(errors)).to_series()) if errors else kept
    broken_rule = _broken_rule(table.name)
    places = [_places(broken, broken_rule), *(_places(frame.filter(verdicts[rule.id]), rule) for rule in spoke)]
    problems = pl.concat(places).sort("file", "line", "column", "rule")
    is_error = problems["rule"].is_in([broken_rule.id, *errors])
    quarantine = problems.filter(is_error)
    counts = (table.name, frame.height + broken.height, accepted.height, quarantine.select("file", "line").n_unique())
    if counts[1] != counts[2] + counts[3]:
        raise ReleaseRefused(f"rows of {table.name} do not add up; this is a fault of the program, please report it")
    return Judged(
        accepted,
        quarantine,
        problems.filter(~is_error),
        _counted((broken_rule, *rules), (broken.height, *violations)),
        pl.DataFrame([counts], schema=COUNTS_SCHEMA, orient="row"),
    )


def broken_places(file: FileTable) -> pl.DataFrame:
    """`$file` and `$line` of the rows that have more or fewer fields than the file's header."""
    lines = pl.Series(LINE, file.broken_lines, dtype=pl.Int64)
    return pl.DataFrame({FILE: [file.file] * len(lines), LINE: lines}, schema={FILE: pl.String, LINE: pl.Int64})


def _places(rows: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    column = pl.lit(rule.column, dtype=pl.String)
    said = rows.select(
        file=pl.col(FILE).cast(pl.String), line=LINE, column=column, rule=pl.lit(rule.id), reason=pl.lit(rule.reason)
    )
    return said.cast(QUARANTINE_SCHEMA)  # type: ignore[arg-type]


def _broken_rule(table: str) -> Rule:
    """Not found by an expression: nothing in such a row can be given a place."""
    reason = "the row has more or fewer fields than the header; quote a field that holds the delimiter"
    return Rule(f"{table}.wrong_number_of_fields", table, None, pl.lit(False), reason)


def _counted(rules: tuple[Rule, ...], violations: tuple[int, ...]) -> pl.DataFrame:
    rows = [(r.id, r.table, r.severity, r.reason, n) for r, n in zip(rules, violations, strict=True)]
    return pl.DataFrame(rows, schema=RULES_SCHEMA, orient="row")
