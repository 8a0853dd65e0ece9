"""One asset for each SQL file: `staging`, `outcomes` and `analysis`, wired as the files read each other."""

import time
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from pipelines.assets.parts import Made, TableAsset, step_name, tables_step
from pipelines.assets.study import Study
from pipelines.derive import SqlCheck, SqlTable, column_lineage, materialize


def sql_assets(tables: Sequence[SqlTable], checks: Mapping[str, Sequence[SqlCheck]]) -> list[dg.AssetsDefinition]:
    """The assets of SQL tables, with their checks by table name."""
    lineage = column_lineage(tables)
    return [_sql_asset(table, lineage[table.name], checks.get(table.name, ())) for table in tables]


def _sql_asset(
    table: SqlTable, lineage: Mapping[str, Sequence[str]], checks: Sequence[SqlCheck]
) -> dg.AssetsDefinition:
    described = TableAsset(
        table.name,
        _description(table),
        inputs=table.depends_on,
        meanings=table.meanings,
        lineage=lineage,
        checks=tuple(checks),
        kinds=("sql", "duckdb"),
    )

    def make(study: Study) -> Iterator[Made]:
        start = time.monotonic()
        rows = materialize(study.warehouse, table)
        yield Made(table.name, rows, time.monotonic() - start)

    return tables_step(step_name(table.name), [described], make)


def _description(table: SqlTable) -> str:
    return "\n\n".join(
        (
            f"{table.title}.",
            f"One row for each: {', '.join(f'`{column}`' for column in table.grain)}",
            table.rule,
            f"Source: {table.source}",
            f"```sql\n{table.sql}\n```",
        )
    )
