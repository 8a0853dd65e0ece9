"""The SELECTs in the SQL of another engine.

What SQLGlot cannot translate faithfully is refused by `lint` beforehand.
"""

import sqlglot
from sqlglot.errors import SqlglotError

from pipelines.derive.errors import DeriveError
from pipelines.derive.tables import SqlTable


def transpile(table: SqlTable, dialect: str = "spark") -> str:
    """The SELECT of a table in another dialect.

    Raises:
        DeriveError: SQLGlot knows that the dialect cannot say it.
    """
    try:
        return table.query.sql(dialect=dialect, pretty=True, unsupported_level=sqlglot.ErrorLevel.RAISE)
    except SqlglotError:
        raise DeriveError(
            f"{table.name} cannot be said in the SQL of {dialect}; write it with constructs that both engines have"
        ) from None
