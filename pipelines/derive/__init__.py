"""Reads `sql/`: which tables and checks there are, in which order, from which columns, and in SQL that travels.

The rules of derivation themselves stand in the SQL files and nowhere here.
"""

from pipelines.derive.checks import SqlCheck, Verdict, load_checks, run_check
from pipelines.derive.errors import DeriveError
from pipelines.derive.lineage import column_lineage
from pipelines.derive.lint import lint
from pipelines.derive.materialize import materialize
from pipelines.derive.tables import SqlTable, load_tables
from pipelines.derive.transpile import transpile

__all__ = [
    "DeriveError",
    "SqlCheck",
    "SqlTable",
    "Verdict",
    "column_lineage",
    "lint",
    "load_checks",
    "load_tables",
    "materialize",
    "run_check",
    "transpile",
]
