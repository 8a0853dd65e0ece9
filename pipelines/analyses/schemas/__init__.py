"""Every result table: its columns, their types and what each means; a module a kind of table.

Belongs here: the layout of `results.*`, once. Does not belong here: how a number is made (the module of each table),
or the columns `release` and `protocol_hash`, which are put in front when a table is written.
"""

from pipelines.analyses.schemas import comparability, comparative, sites, time_to_event
from pipelines.analyses.schemas.layout import ESTIMABLE, NOT_ESTIMABLE, WITHHELD, ResultTable

__all__ = ["ESTIMABLE", "NOT_ESTIMABLE", "TABLES", "WITHHELD", "ResultTable"]

TABLES: dict[str, ResultTable] = {
    table.name: table for table in (*comparability.TABLES, *time_to_event.TABLES, *comparative.TABLES, *sites.TABLES)
}
