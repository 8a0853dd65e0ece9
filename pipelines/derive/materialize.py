"""Make a SQL table in the warehouse.

Which tables there are and in which order belongs in `tables`.
"""

from pipelines.derive.tables import SqlTable
from pipelines.warehouse import Warehouse


def materialize(warehouse: Warehouse, table: SqlTable) -> int:
    """Create or replace a table, its rows in the order of its grain; returns the row count.

    The order makes what reads the table in sequence independent of the order of the rows in the release.

    Raises:
        WarehouseError: the database refused, for instance because a table it reads has not been made.
    """
    grain = ", ".join(table.grain)
    warehouse.run(
        f"CREATE OR REPLACE TABLE {table.name} AS SELECT * FROM (\n{table.sql}\n) AS made ORDER BY {grain}",
        f"making {table.name}",
    )
    return warehouse.count(table.name)
