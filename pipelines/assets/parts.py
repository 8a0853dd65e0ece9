"""What all assets share: their key and partition, how a table becomes an asset, and what its materialization says.

Metadata are names, types, counts and durations; a row or a value never is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import AssetExecutionContext

from pipelines.assets.errors import plain_errors
from pipelines.assets.records import all_or_nothing, record_table, record_verdict
from pipelines.assets.study import STUDY, Study
from pipelines.derive import SqlCheck, Verdict, run_check

STAGE_TAG = "lss/stage"  # tells of a step which stage of the flow it belongs to
PICTURES = "figures and tables"  # the key under which a page shows what the report shows of its table
RELEASES = dg.DynamicPartitionsDefinition(name="releases")

Columns = Mapping[str, str]


@dataclass(frozen=True)
class TableAsset:
    """One table of the warehouse as an asset: what a reader of the UI learns about it.

    Attributes:
        name: `schema.table`; the schema is the asset's group.
        description: what it is and how it is made, as Markdown.
        inputs: the tables it is made from.
        meanings: columns with their meaning, as far as said.
        types: columns with their type, as far as known before it is made.
        lineage: columns with the `schema.table.column` they are made from.
        checks: what is checked once it is made.
        kinds: marks in the asset graph.
    """

    name: str
    description: str
    inputs: tuple[str, ...] = ()
    meanings: Columns = field(default_factory=dict)
    types: Columns = field(default_factory=dict)
    lineage: Mapping[str, Sequence[str]] = field(default_factory=dict)
    checks: tuple[SqlCheck, ...] = ()
    kinds: tuple[str, ...] = ("duckdb",)

    @property
    def stage(self) -> str:
        """The schema, which is the stage of the flow and the asset's group."""
        return self.name.split(".")[0]

    @property
    def spec(self) -> dg.AssetSpec:
        """The asset as Dagster knows it."""
        metadata: dict[str, Any] = {"table": self.name}
        if self.types:
            metadata["dagster/column_schema"] = column_schema(self.types, self.meanings)
        if self.lineage:
            metadata["dagster/column_lineage"] = column_lineage(self.lineage)
        return dg.AssetSpec(
            asset_key(self.name),
            deps=[asset_key(name) for name in self.inputs],
            description=self.description,
            group_name=self.stage,
            kinds=set(self.kinds),
            metadata=metadata,
        )

    @property
    def check_specs(self) -> list[dg.AssetCheckSpec]:
        """Its checks as Dagster knows them."""
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=asset_key(self.name),
                blocking=check.is_blocking,
                description=check_description(check),
                metadata={"kind": check.kind},
            )
            for check in self.checks
        ]


@dataclass(frozen=True)
class Made:
    """A table that was just made, with its rows, the seconds it took, and what else its page shall show.

    `lineage` is said here where it depends on the protocol.
    """

    name: str
    rows: int
    seconds: float
    shown: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, Sequence[str]] = field(default_factory=dict)


Maker = Callable[[Study], Iterable[Made]]


def tables_step(name: str, tables: Sequence[TableAsset], make: Maker) -> dg.AssetsDefinition:
    """One step of the job that makes one table or several; each is recorded, checked and reported."""
    described = {table.name: table for table in tables}

    @dg.multi_asset(
        name=name,
        specs=[table.spec for table in tables],
        check_specs=[check for table in tables for check in table.check_specs],
        partitions_def=RELEASES,
        required_resource_keys={STUDY},
        op_tags={STAGE_TAG: tables[0].stage},
    )
    def step(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        study: Study = getattr(context.resources, STUDY)
        with plain_errors(f"making {name.replace('__', '.')}"):
            with all_or_nothing(study.warehouse):
                made = list(make(study))
                for table in made:
                    record_table(study.warehouse, table.name, study.protocol.hash, table.rows, table.seconds)
            results = [_result(study, described[table.name], table) for table in made]
        yield from results

    return step


def asset_key(table: str) -> dg.AssetKey:
    """`outcomes.visits` is the asset outcomes/visits."""
    return dg.AssetKey(table.split("."))


def step_name(table: str) -> str:
    """`outcomes.visits` is made by the step outcomes__visits."""
    return table.replace(".", "__")


def column_schema(
    types: Columns, meanings: Columns, lineage: Mapping[str, Sequence[str]] | None = None
) -> dg.TableSchema:
    """Columns with type and meaning, and with what they are made from in words, as the UI shows them."""

    def words(name: str) -> str | None:
        made = _made_from((lineage or {}).get(name, ()))
        return ". ".join(part for part in (meanings.get(name, ""), made) if part) or None

    return dg.TableSchema(columns=[dg.TableColumn(name, kind, description=words(name)) for name, kind in types.items()])


def _made_from(sources: Sequence[str]) -> str:
    """`Made from outcomes.visits: day, value`; many columns of one table are counted."""
    tables: dict[str, list[str]] = {}
    for source in sources:
        table, column = source.rsplit(".", 1)
        tables.setdefault(table, []).append(column)
    said = [f"{table}: {', '.join(names) if len(names) < 8 else f'{len(names)} columns'}" for table, names in
            tables.items()]  # fmt: skip
    return f"Made from {'; '.join(said)}" if said else ""


def column_lineage(lineage: Mapping[str, Sequence[str]]) -> dg.TableColumnLineage:
    """Columns with the `schema.table.column` they are made from, as the UI shows them."""

    def source(path: str) -> dg.TableColumnDep:
        schema, table, column = path.split(".")
        return dg.TableColumnDep(asset_key=dg.AssetKey([schema, table]), column_name=column)

    return dg.TableColumnLineage({column: [source(path) for path in paths] for column, paths in lineage.items()})


def checked(study: Study, checks: Sequence[SqlCheck]) -> list[dg.AssetCheckResult]:
    """Run checks, note their verdicts and report them; `not applicable` does not stop a run, an `error` does."""
    verdicts = [run_check(study.warehouse, check) for check in checks]
    with all_or_nothing(study.warehouse):
        for verdict in verdicts:
            record_verdict(study.warehouse, verdict)
    return [_check_result(check, verdict) for check, verdict in zip(checks, verdicts, strict=True)]


def check_description(check: SqlCheck) -> str:
    """What a check holds and what its failure means."""
    return f"{check.title}. When it fails: {check.meaning}"


def _result(study: Study, table: TableAsset, made: Made) -> dg.MaterializeResult[Any]:
    lineage = made.lineage or table.lineage
    return dg.MaterializeResult(
        asset_key=asset_key(table.name),
        metadata={
            "dagster/row_count": made.rows,
            "seconds": round(made.seconds, 3),
            "protocol_hash": study.protocol.hash,
            **({"published": "no: keys of the protocol were changed for this run"} if study.is_overridden else {}),
            "dagster/column_schema": column_schema(study.warehouse.columns(table.name), table.meanings, lineage),
            **({"dagster/column_lineage": column_lineage(lineage)} if lineage else {}),
            **made.shown,
        },
        check_results=checked(study, table.checks) if table.checks else [],
    )


def _check_result(check: SqlCheck, verdict: Verdict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=asset_key(check.target),
        passed=verdict.verdict in ("passed", "not applicable"),
        severity=dg.AssetCheckSeverity.ERROR if check.is_blocking else dg.AssetCheckSeverity.WARN,
        metadata=_facts(verdict),
        description=check.meaning if verdict.verdict in ("failed", "error") else check.title,
    )


def _facts(verdict: Verdict) -> dict[str, Any]:
    counts = {"violations": verdict.violations, "rows_examined": verdict.rows_examined}
    return {"verdict": verdict.verdict} | {name: count for name, count in counts.items() if count is not None}
