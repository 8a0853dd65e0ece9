"""The checks of `sql/checks/` and of each table's grain: they count the rows that break a rule.

Blocking a run on a verdict is the caller's business.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from sqlglot import exp

from pipelines.derive.base_tables import BASE_TABLES
from pipelines.derive.errors import DeriveError
from pipelines.derive.files import SqlFile, parse, read_file, tables_read
from pipelines.derive.tables import SqlTable, load_tables
from pipelines.warehouse import Warehouse, WarehouseError

VerdictWord = Literal["error", "not applicable", "failed", "passed"]
Kind = Literal["grain", "coverage", "range", "reconciliation", "disclosure"]

_KEYS = ("title", "target", "kind", "blocking", "meaning")
_COLUMNS = ["violations", "rows_examined"]


@dataclass(frozen=True)
class SqlCheck:
    """One check.

    Attributes:
        name: the file's name.
        title: what must hold, in a few words.
        target: the `schema.table` that it judges.
        kind: `grain`, `coverage`, `range`, `reconciliation` or `disclosure` (what could give a patient away).
        is_blocking: whether a failure stops the run.
        meaning: what a failure means, in plain words.
        sql: a SELECT of one row: `violations`, `rows_examined`.
        depends_on: the tables it reads, sorted.
        query: the SELECT as a SQLGlot tree, shared by all readers and not to be changed.
    """

    name: str
    title: str
    target: str
    kind: Kind
    is_blocking: bool
    meaning: str
    sql: str
    depends_on: tuple[str, ...]
    query: exp.Query = field(repr=False, compare=False)


@dataclass(frozen=True)
class Verdict:
    """What a check found, a row of `quality.checks`; counts are None after an error."""

    check_name: str
    target: str
    kind: str
    is_blocking: bool
    verdict: VerdictWord
    violations: int | None
    rows_examined: int | None
    meaning: str


def load_checks(sql_folder: Path) -> list[SqlCheck]:
    """Every check: those of `checks/`, and for each table one that its grain holds, which its header states.

    Raises:
        DeriveError: a header is not usable, or a SELECT does not give `violations` and `rows_examined`.
    """
    tables = load_tables(sql_folder)
    known = {table.name for table in tables} | set(BASE_TABLES)
    written = [_read(path, known) for path in sorted((sql_folder / "checks").glob("*.sql"))]
    return [_grain_check(table) for table in tables] + written


def _grain_check(table: SqlTable) -> SqlCheck:
    name = f"{table.name.replace('.', '_')}_grain"
    columns = ", ".join(table.grain)
    gaps = " OR ".join(f"{column} IS NULL" for column in table.grain)
    sql = (
        f"WITH keys AS (SELECT {columns}, count(*) AS copies FROM {table.name} GROUP BY {columns})\n"
        f"SELECT coalesce(sum(copies) FILTER (WHERE copies > 1 OR {gaps}), 0) AS violations,\n"
        "    coalesce(sum(copies), 0) AS rows_examined\n"
        "FROM keys"
    )
    return SqlCheck(
        name=name,
        title=f"One row for each {columns}",
        target=table.name,
        kind="grain",
        is_blocking=True,
        meaning="A row stands twice or lacks a part of its key.",
        sql=sql,
        depends_on=(table.name,),
        query=parse(sql, name),
    )


def run_check(warehouse: Warehouse, check: SqlCheck) -> Verdict:
    """Run a check: `error` when it cannot run, `not applicable` when there was nothing to examine."""
    try:
        ((violations, rows_examined),) = warehouse.run(check.sql, f"checking {check.name}").fetchall()
    except (WarehouseError, ValueError):
        return _verdict(check, "error", None, None)
    if violations:
        return _verdict(check, "failed", violations, rows_examined)
    return _verdict(check, "passed" if rows_examined else "not applicable", violations, rows_examined)


def _verdict(check: SqlCheck, word: VerdictWord, violations: int | None, rows_examined: int | None) -> Verdict:
    return Verdict(
        check.name, check.target, check.kind, check.is_blocking, word, violations, rows_examined, check.meaning
    )


def _read(path: Path, known: set[str]) -> SqlCheck:
    file = read_file(path, _KEYS)
    if file.query.named_selects != _COLUMNS:
        raise DeriveError(
            f"{file.label} must give exactly the columns {' and '.join(_COLUMNS)}; rename or remove others"
        )
    if file.header["target"] not in known:
        raise DeriveError(f"{file.label} judges {file.header['target']}, which is no table; name a table in its header")
    return SqlCheck(
        name=path.stem,
        title=file.header["title"],
        target=file.header["target"],
        kind=_kind(file),
        is_blocking=_is_blocking(file),
        meaning=file.header["meaning"],
        sql=file.sql,
        depends_on=tables_read(file.query, file.label),
        query=file.query,
    )


def _kind(file: SqlFile) -> Kind:
    for kind in get_args(Kind):
        if file.header["kind"] == kind:
            return kind  # type: ignore[no-any-return]
    raise DeriveError(f"the kind of {file.label} must be one of {', '.join(get_args(Kind))}; mend its header")


def _is_blocking(file: SqlFile) -> bool:
    if file.header["blocking"] not in ("true", "false"):
        raise DeriveError(f"the header of {file.label} must say '-- blocking: true' or '-- blocking: false'")
    return file.header["blocking"] == "true"
