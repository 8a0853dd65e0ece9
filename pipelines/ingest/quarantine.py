"""Running the rule table over a table: which rows carry on, which are kept aside and why, how often each rule spoke.

The rules themselves are in `rules.py`.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.ingest.contract import Table
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.rules import Rule
from pipelines.ingest.tables import FIELD, FILE, LINE, ROW, FileTable

QUARANTINE_SCHEMA = {
    "file": pl.String,
    "line": pl.Int64,
    "column": pl.String,
    "rule": pl.String,
    "reason": pl.String,
}
_PROBLEMS = {ROW: pl.UInt32} | QUARANTINE_SCHEMA
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
        accepted: the contract's columns and the places (`$file`, `$line`) of rows no error was found in.
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
    frame: pl.DataFrame,
    context: pl.LazyFrame,
    table: Table,
    rules: tuple[Rule, ...],
    refused: pl.DataFrame,
    readers_rules: tuple[Rule, ...] = (),
) -> Judged:
    """Run the rules over a typed table with its context.

    Args:
        frame: one row a record, typed and numbered (`$row`).
        context: the same rows in the same order, with the columns that rules look at.
        table: its contract.
        rules: what to hold it against.
        refused: rows that a reader could make no record of: `$file`, `$line`, `column` and `rule`.
        readers_rules: the rules by which a reader refused them.

    Raises:
        ReleaseRefused: read, accepted and quarantined rows do not add up (a fault of ours, never passed on).
    """
    verdicts = context.select(rule.expression.fill_null(False).alias(rule.id) for rule in rules).collect()
    violations = verdicts.sum().row(0) if frame.height else (0,) * len(rules)
    spoke = [rule for rule, count in zip(rules, violations, strict=True) if count]
    errors = [rule.id for rule in spoke if rule.severity == "error"]
    places = [FILE, LINE, *([FIELD] if FIELD in frame.columns else [])]
    kept = frame.select(*(pl.col(name).cast(dtype) for name, dtype in table.schema.items()), *places)
    accepted = kept.filter(~verdicts.select(pl.any_horizontal(errors)).to_series()) if errors else kept
    before = (broken_rule(table.name), *readers_rules)
    found = [_refused(refused, before), *(_places(frame.filter(verdicts[rule.id]), rule) for rule in spoke)]
    problems = pl.concat(found).sort("file", "line", "column", "rule")
    is_error = problems[ROW].is_null() | problems["rule"].is_in(errors)
    quarantined = refused.height + problems.filter(is_error)[ROW].drop_nulls().n_unique()
    counts = (table.name, frame.height + refused.height, accepted.height, quarantined)
    if counts[1] != counts[2] + counts[3]:
        raise ReleaseRefused(f"rows of {table.name} do not add up; this is a fault of the program, please report it")
    refusals = tuple(refused.filter(rule=rule.id).height for rule in before)
    return Judged(
        accepted,
        problems.filter(is_error).drop(ROW),
        problems.filter(~is_error).drop(ROW),
        _counted((*before, *rules), (*refusals, *violations)),
        pl.DataFrame([counts], schema=COUNTS_SCHEMA, orient="row"),
    )


def refused_places(file: FileTable, table: str) -> pl.DataFrame:
    """Rows of a file in no frame: `$file`, `$line`, `column`, `rule`.

    They have more or fewer fields than the file's header, or a reader refused them.
    """
    lines = pl.Series(LINE, file.broken_lines, dtype=pl.Int64)
    broken = pl.DataFrame([lines]).select(LINE, column=pl.lit(None, pl.String), rule=pl.lit(broken_rule(table).id))
    both = pl.concat([broken, file.refused])
    return both.select(pl.lit(file.file).alias(FILE), LINE, "column", "rule")


def _refused(refused: pl.DataFrame, rules: tuple[Rule, ...]) -> pl.DataFrame:
    """The reader's refusals as problems."""
    reasons = pl.DataFrame({"rule": [r.id for r in rules], "reason": [r.reason for r in rules]})
    told = refused.join(reasons, on="rule", how="left").select(
        pl.lit(None).alias(ROW), FILE, LINE, "column", "rule", "reason"
    )
    if told["reason"].null_count():
        raise ReleaseRefused("a reader refused rows by a rule it does not name; this is a fault, please report it")
    return told.rename({FILE: "file", LINE: "line"}).cast(_PROBLEMS)  # type: ignore[arg-type]


def _places(rows: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    column = pl.lit(rule.column, dtype=pl.String)
    column = pl.coalesce(FIELD, column) if FIELD in rows.columns else column
    said = rows.select(
        pl.col(ROW),
        file=pl.col(FILE).cast(pl.String),
        line=LINE,
        column=column,
        rule=pl.lit(rule.id),
        reason=pl.lit(rule.reason),
    )
    return said.cast(_PROBLEMS)  # type: ignore[arg-type]


def broken_rule(table: str) -> Rule:
    """Not found by an expression: nothing in such a row can be given a place."""
    reason = "the row has more or fewer fields than the header; quote a field that holds the delimiter"
    return Rule(f"{table}.wrong_number_of_fields", table, None, pl.lit(False), reason)


def _counted(rules: tuple[Rule, ...], violations: tuple[int, ...]) -> pl.DataFrame:
    rows = [(r.id, r.table, r.severity, r.reason, n) for r, n in zip(rules, violations, strict=True)]
    return pl.DataFrame(rows, schema=RULES_SCHEMA, orient="row")
