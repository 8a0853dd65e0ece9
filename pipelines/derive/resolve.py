"""Names and types in the SELECTs: which table a column comes from, and what type it has.

Lint and lineage build on this. Columns of the tables that SQL starts from are in `base_tables`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from pipelines.derive.base_tables import BASE_TABLES
from pipelines.derive.errors import DeriveError
from pipelines.derive.files import DIALECT
from pipelines.derive.tables import SqlTable


@dataclass(frozen=True)
class Resolved:
    """Tables whose every column has its table and its type.

    Attributes:
        queries: the resolved SELECT of each table by name.
        schema: columns and types of these tables and of those that SQL starts from.
    """

    queries: dict[str, exp.Query]
    schema: MappingSchema


def resolve(tables: Sequence[SqlTable]) -> Resolved:
    """Resolve tables, sources first (the order of `load_tables`); remembered for the same tables.

    Raises:
        DeriveError: a column is named that no table read has, or that several have.
    """
    return _resolve(tuple(tables))


def resolve_query(query: exp.Query, label: str, schema: MappingSchema) -> exp.Query:
    """A copy of one SELECT with names and types resolved.

    Raises:
        DeriveError: as `resolve`.
    """
    try:
        qualified = qualify(query.copy(), dialect=DIALECT, schema=schema, quote_identifiers=False)
        return annotate_types(qualified, schema=schema, dialect=DIALECT)
    except SqlglotError:
        raise DeriveError(
            f"{label} names a column that the tables it reads do not have, or that several have; "
            "mend the name or write table.column"
        ) from None


@cache
def _resolve(tables: tuple[SqlTable, ...]) -> Resolved:
    schema = MappingSchema(dialect=DIALECT)
    for name, columns in BASE_TABLES.items():
        schema.add_table(name, columns)
    queries = {}
    for table in tables:
        query = resolve_query(table.query, table.name, schema)
        schema.add_table(table.name, {select.alias_or_name: _type_name(select) for select in query.selects})
        queries[table.name] = query
    return Resolved(queries, schema)


def _type_name(select: exp.Expr) -> str:
    return select.type.sql(DIALECT) if select.type else "UNKNOWN"
