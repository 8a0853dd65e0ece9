"""Which columns each column of a SQL table is made from, read from the SELECTs."""

from collections.abc import Sequence
from functools import cache

from sqlglot import exp
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.scope import build_scope
from sqlglot.schema import MappingSchema

from pipelines.derive.files import DIALECT
from pipelines.derive.resolve import resolve
from pipelines.derive.tables import SqlTable

ColumnSources = dict[str, tuple[str, ...]]


def column_lineage(tables: Sequence[SqlTable]) -> dict[str, ColumnSources]:
    """For each table, each output column with the `schema.table.column` it is made from (one step back, sorted).

    `tables` stand sources first, as `load_tables` gives them. A column made from constants or row counts alone has no
    source. Filters and joins decide which rows there are and are not sources of a column.

    Raises:
        DeriveError: a column is named that no table read has, or that several have.
    """
    return dict(_lineage(tuple(tables)))


@cache
def _lineage(tables: tuple[SqlTable, ...]) -> dict[str, ColumnSources]:
    resolved = resolve(tables)
    return {name: _sources(query, resolved.schema) for name, query in resolved.queries.items()}


def _sources(query: exp.Query, schema: MappingSchema) -> ColumnSources:
    """One scope serves all columns, which is several times faster than a scope for each."""
    nodes = lineage(None, query, schema, dialect=DIALECT, scope=build_scope(query), trim_selects=False, copy=False)
    return {column: tuple(sorted(set(_leaves(node)))) for column, node in nodes.items()}


def _leaves(node: Node) -> list[str]:
    return [
        f"{found.expression.db}.{found.expression.name}.{found.name.split('.')[-1]}"
        for found in node.walk()
        if isinstance(found.expression, exp.Table)
    ]
