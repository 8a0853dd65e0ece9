"""What a report reads: the snapshot's tables, each present with rows or absent with a reason.

No number is judged or drawn here.
"""

from collections.abc import Callable

import polars as pl

from pipelines.warehouse import WarehouseError

Read = Callable[[str], pl.DataFrame]


class Snapshot:
    """The tables of a snapshot by `schema.table`; a missing one is as good as an empty one."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._known: dict[str, pl.DataFrame] = {}

    def __getitem__(self, table: str) -> pl.DataFrame:
        """The table, or a frame without columns where it is missing."""
        if table not in self._known:
            try:
                self._known[table] = self._read(table)
            except (WarehouseError, LookupError):
                self._known[table] = pl.DataFrame()
        return self._known[table]

    def has(self, table: str) -> bool:
        """Whether the table exists and has rows."""
        return not self[table].is_empty()

    def rows(self, table: str, **equal: object) -> pl.DataFrame:
        """The rows whose columns equal these values; without columns where the table is missing or empty."""
        frame = self[table]
        if frame.is_empty():
            return pl.DataFrame()
        return frame.filter(*(pl.col(name) == value for name, value in equal.items())) if equal else frame
