"""Names of traced rows: what stands in the column `trace` of the result tables, and in `results.traces`.

Belongs here: which tables have traced rows, what tells their rows apart, and the name made of it. Does not belong here:
what a trace leads to (`traces`).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import polars as pl

CONTRASTS, TIMES, HAZARDS, SUBGROUPS = "contrasts", "restricted_times", "hazard_ratios", "subgroups"
SENSITIVITY, PARAMETRIC = "sensitivity", "parametric_fits"

# What tells the rows of a table apart, and the letter that their names start with.
KEYS: dict[str, tuple[str, ...]] = {
    CONTRASTS: ("contrast", "outcome", "window", "threshold", "method", "population", "strategy", "variance",
                "measure"),
    TIMES: ("contrast", "endpoint", "tau_days", "measure", "cause", "tier", "weighting", "adjustment", "variance"),
    HAZARDS: ("contrast", "endpoint", "view", "model", "term", "weighting", "adjustment", "variance"),
    SUBGROUPS: ("contrast", "outcome", "window", "modifier", "group", "method", "measure"),
    SENSITIVITY: ("contrast", "outcome", "window", "analysis", "measure"),
    PARAMETRIC: ("contrast", "endpoint", "distribution"),
}  # fmt: skip
LETTERS = {CONTRASTS: "C", TIMES: "T", HAZARDS: "H", SUBGROUPS: "S", SENSITIVITY: "R", PARAMETRIC: "P"}


def with_trace(rows: pl.DataFrame, table: str = CONTRASTS) -> pl.DataFrame:
    """The rows with `trace`, a name that follows from what the row is and so stays the same in every run.

    Rows without a contrast (a tier by itself) have none.
    """
    if rows.is_empty():
        return rows
    names = [
        _name(row, table) for row in rows.select(n for n in KEYS[table] if n in rows.columns).iter_rows(named=True)
    ]
    return rows.with_columns(trace=pl.Series(names, dtype=pl.String))


def is_own(table: str) -> pl.Expr:
    """Which rows are named in this table; one that repeats a row of another table keeps the name it has there."""
    return pl.col("trace").str.starts_with(f"{LETTERS[table]}-").fill_null(False)


def _name(row: Mapping[str, Any], table: str) -> str | None:
    if not row.get("contrast"):
        return None
    text = "|".join(str(row.get(name) or "") for name in KEYS[table])
    return f"{LETTERS[table]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
