"""The SQL tables of a folder in the order in which they can be made.

Order and dependencies come from the parsed SELECTs alone; no list of tables is kept by hand. Making a table belongs in
`materialize`, the columns' origin in `lineage`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from sqlglot import exp

from pipelines.derive.errors import DeriveError
from pipelines.derive.files import read_file, tables_read

STAGES = ("staging", "outcomes", "analysis")
GIVEN = ("raw", "protocol", "quality")
_KEYS = ("title", "grain", "rule", "source")


@dataclass(frozen=True)
class SqlTable:
    """One SQL file that makes one table.

    Attributes:
        name: `schema.table`.
        title: what it is, in a few words.
        grain: the columns of which each combination stands once.
        rule: how it is derived, in plain words.
        source: where the rule comes from.
        sql: the SELECT.
        depends_on: the tables it reads, sorted.
        query: the SELECT as a SQLGlot tree, shared by all readers and not to be changed.
        meanings: its columns with what they mean, as `columns.toml` beside the stages says.
    """

    name: str
    title: str
    grain: tuple[str, ...]
    rule: str
    source: str
    sql: str
    depends_on: tuple[str, ...]
    query: exp.Query = field(repr=False, compare=False)
    meanings: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def stage(self) -> str:
        """The schema, which is the stage of the pipeline."""
        return self.name.split(".")[0]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The output columns in order."""
        return tuple(self.query.named_selects)


def load_tables(sql_folder: Path) -> list[SqlTable]:
    """Every table under `staging/`, `outcomes/` and `analysis/`, each after the tables it reads.

    Raises:
        DeriveError: a file is not usable, a table is read that no file makes, a stage reads a later one, or tables
            depend on each other in a circle.
    """
    meanings = _meanings(sql_folder / "columns.toml")
    tables = {table.name: table for table in (_read(path, meanings) for path in _paths(sql_folder))}
    for table in tables.values():
        _require_sources(table, tables)
    return [tables[name] for name in _ordered(tables)]


def _paths(sql_folder: Path) -> Iterable[Path]:
    return (path for stage in STAGES for path in sorted((sql_folder / stage).glob("*.sql")))


def _meanings(path: Path) -> dict[str, dict[str, str]]:
    """Meanings by section: `columns` for all tables, and a table's own by its name."""
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise DeriveError(f"{path.name} beside the SQL stages is not valid TOML; mend it") from None


def _read(path: Path, meanings: Mapping[str, Mapping[str, str]]) -> SqlTable:
    file = read_file(path, _KEYS)
    name = f"{path.parent.name}.{path.stem}"
    known = {**meanings.get("columns", {}), **meanings.get(name, {})}
    grain = tuple(column.strip() for column in file.header["grain"].split(","))
    if absent := [column for column in grain if column not in file.query.named_selects]:
        raise DeriveError(f"the grain of {file.label} names {absent[0]}, which its SELECT does not give; mend either")
    return SqlTable(
        name=name,
        title=file.header["title"],
        grain=grain,
        rule=file.header["rule"],
        source=file.header["source"],
        sql=file.sql,
        depends_on=tables_read(file.query, file.label),
        query=file.query,
        meanings={column: known[column] for column in file.query.named_selects if column in known},
    )


def _require_sources(table: SqlTable, tables: dict[str, SqlTable]) -> None:
    for source in table.depends_on:
        stage = source.split(".")[0]
        if stage in STAGES and source not in tables:
            raise DeriveError(
                f"{table.name} reads {source}, which no file makes; add sql/{source.replace('.', '/')}.sql"
            )
        if stage not in STAGES + GIVEN:
            raise DeriveError(f"{table.name} reads {source}; SQL reads {', '.join(GIVEN + STAGES)} and no other schema")
        if stage in STAGES and STAGES.index(stage) > STAGES.index(table.stage):
            raise DeriveError(f"{table.name} reads {source} of a later stage; move one of them to the other's stage")


def _ordered(tables: dict[str, SqlTable]) -> list[str]:
    """Names so that each stands after its sources; among free ones, in the order of the files."""
    graph = {name: [source for source in table.depends_on if source in tables] for name, table in tables.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise DeriveError(f"SQL tables depend on each other in a circle: {circle}; break it") from None
