"""What the working file knows about itself: when each table was made, under which protocol, and what checks found.

`quality.materializations` lets publishing tell a whole and consistent file from one that a partial run has changed;
`quality.checks` is what the report and the gate before publishing read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple

from pipelines.derive import Verdict
from pipelines.warehouse import Warehouse, WarehouseError

MATERIALIZATIONS = "quality.materializations"
CHECKS = "quality.checks"

_MATERIALIZATIONS_DDL = (
    f"CREATE TABLE IF NOT EXISTS {MATERIALIZATIONS} "
    "(position BIGINT, table_name VARCHAR, protocol_hash VARCHAR, row_count BIGINT, seconds DOUBLE)"
)
_CHECKS_DDL = (
    f"CREATE TABLE IF NOT EXISTS {CHECKS} (check_name VARCHAR, target VARCHAR, kind VARCHAR, is_blocking BOOLEAN, "
    "verdict VARCHAR, violations BIGINT, rows_examined BIGINT, meaning VARCHAR)"
)


def prepare_records(warehouse: Warehouse) -> None:
    """Make the tables of records where they are missing."""
    warehouse.run(_MATERIALIZATIONS_DDL, f"making {MATERIALIZATIONS}")
    warehouse.run(_CHECKS_DDL, f"making {CHECKS}")


@contextmanager
def all_or_nothing(warehouse: Warehouse) -> Iterator[None]:
    """What the block writes becomes part of the file when it ends well, and not at all when it fails."""
    warehouse.run("BEGIN", "beginning a step")
    try:
        yield
    except BaseException:
        with suppress(WarehouseError):  # after some errors DuckDB has rolled back already
            warehouse.run("ROLLBACK", "taking back a step")
        raise
    warehouse.run("COMMIT", "keeping a step")


def begin_anew(warehouse: Warehouse) -> None:
    """Drop every table but the protocol's: with other raw rows nothing that was derived holds any more."""
    for name in warehouse.tables():
        if name != MATERIALIZATIONS and not name.startswith("protocol."):
            warehouse.run(f"DROP TABLE {name}", f"removing {name}")
    prepare_records(warehouse)
    warehouse.run(f"DELETE FROM {MATERIALIZATIONS} WHERE table_name NOT LIKE 'protocol.%'", "forgetting derived tables")


def record_table(warehouse: Warehouse, table: str, protocol_hash: str, rows: int, seconds: float) -> None:
    """Note that a table was made just now."""
    warehouse.run(f"DELETE FROM {MATERIALIZATIONS} WHERE table_name = ?", f"noting {table}", [table])
    warehouse.run(
        f"INSERT INTO {MATERIALIZATIONS} SELECT coalesce(max(position), 0) + 1, ?, ?, ?, ? FROM {MATERIALIZATIONS}",
        f"noting {table}",
        [table, protocol_hash, rows, seconds],
    )


def record_verdict(warehouse: Warehouse, verdict: Verdict) -> None:
    """Note what a check found, in place of what it found before."""
    warehouse.run(f"DELETE FROM {CHECKS} WHERE check_name = ?", "noting a check", [verdict.check_name])
    warehouse.run(f"INSERT INTO {CHECKS} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "noting a check", list(astuple(verdict)))


def outdated(warehouse: Warehouse, inputs: Mapping[str, tuple[str, ...]], protocol_hash: str) -> list[str]:
    """Tables that are missing, were made under another protocol, or before one of their inputs was made again."""
    rows = warehouse.read(MATERIALIZATIONS) if warehouse.has(MATERIALIZATIONS) else None
    made = {r["table_name"]: r for r in rows.to_dicts()} if rows is not None else {}

    def holds(table: str) -> bool:
        if table not in made or made[table]["protocol_hash"] != protocol_hash:
            return False
        return all(made[i]["position"] < made[table]["position"] for i in inputs[table] if i in made)

    return [table for table in inputs if not holds(table)]
