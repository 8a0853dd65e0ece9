"""One SQL file: its header comment and its single SELECT.

How files become tables or checks belongs in `tables` and `checks`; what SQL may not say belongs in `lint`.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlglot
from sqlglot import exp

from pipelines.derive.errors import DeriveError

DIALECT = "duckdb"

_KEY = re.compile(r"^-- (?P<key>[a-z]+): (?P<text>.+)$")
_CONTINUED = re.compile(r"^--\s+(?P<text>\S.*)$")


@dataclass(frozen=True)
class SqlFile:
    """A parsed file.

    Attributes:
        label: how messages call it, `outcomes/episodes.sql`.
        header: the header's keys with their text.
        sql: the SELECT, without the header.
        query: the SELECT as a SQLGlot tree; not to be changed, since several readers share it.
    """

    label: str
    header: dict[str, str]
    sql: str
    query: exp.Query


def read_file(path: Path, keys: tuple[str, ...]) -> SqlFile:
    """Read a file whose header must hold `keys`.

    Raises:
        DeriveError: the header lacks a key or has one too many, or the file is not one SELECT.
    """
    label = f"{path.parent.name}/{path.name}"
    header, sql = _split(path.read_text(encoding="utf-8"), label)
    if missing := [key for key in keys if key not in header]:
        raise DeriveError(f"the header of {label} has no line '-- {missing[0]}: ...'; add it")
    if unknown := [key for key in header if key not in keys]:
        raise DeriveError(f"the header of {label} has the unknown key {unknown[0]}; use {', '.join(keys)}")
    return SqlFile(label, header, sql, parse(sql, label))


def tables_read(query: exp.Query, label: str) -> tuple[str, ...]:
    """The tables that a query reads, as sorted `schema.table`.

    Raises:
        DeriveError: a table is named without its schema.
    """
    steps = {step.alias for step in query.find_all(exp.CTE)}
    found = set()
    for table in query.find_all(exp.Table):
        if table.db:
            found.add(f"{table.db}.{table.name}")
        elif table.name and table.name not in steps:  # a function in FROM has no name; lint judges it
            raise DeriveError(f"{label} reads {table.name} without naming its schema; write schema.{table.name}")
    return tuple(sorted(found))


def _split(text: str, label: str) -> tuple[dict[str, str], str]:
    header: dict[str, str] = {}
    lines = text.splitlines()
    key = ""
    for number, line in enumerate(lines):
        if found := _KEY.match(line):
            key = found["key"]
            header[key] = found["text"].strip()
        elif key and (continued := _CONTINUED.match(line)):
            header[key] += " " + continued["text"].strip()
        else:
            return header, "\n".join(lines[number:]).strip()
    raise DeriveError(f"{label} has a header and no SELECT; add the SELECT")


@cache
def parse(sql: str, label: str) -> exp.Query:
    """The tree of one SELECT; remembered, since tables and checks are read several times in one process.

    Raises:
        DeriveError: it is not one SELECT.
    """
    try:
        statements = sqlglot.parse(sql, dialect=DIALECT)
    except sqlglot.errors.SqlglotError:
        raise DeriveError(f"{label} cannot be parsed as SQL; try its SELECT in DuckDB and mend what it names") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise DeriveError(f"{label} must hold exactly one SELECT; split it or remove what is not a SELECT")
    return statements[0]
