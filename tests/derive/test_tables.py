"""SQL files become tables: headers, order from the SELECTs, and one sentence for each mistake."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from pipelines.derive import DeriveError, load_checks, load_tables, materialize, run_check
from pipelines.derive.base_tables import BASE_TABLES
from pipelines.ingest import read_release
from pipelines.protocol import load_protocol
from pipelines.resources import default_protocol_file, sample_release, sql_folder
from pipelines.warehouse import WarehouseError, open_warehouse

HEADER = "-- title: T\n-- grain: a\n-- rule: R\n--   goes on\n-- source: S\n"
CHECK = "-- title: T\n-- target: staging.one\n-- kind: range\n-- blocking: true\n-- meaning: M\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name.replace('.', '/')}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_headers_are_read(tmp_path: Path) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT x.a FROM raw.x AS x\n")
    (table,) = load_tables(tmp_path)
    assert (table.name, table.title, table.grain, table.rule, table.source) == (
        "staging.one",
        "T",
        ("a",),
        "R goes on",
        "S",
    )
    assert (table.stage, table.columns, table.depends_on) == ("staging", ("a",), ("raw.x",))
    assert table.sql == "SELECT x.a FROM raw.x AS x"


def test_each_table_stands_after_those_it_reads(tmp_path: Path) -> None:
    write(tmp_path, "analysis.a", f"{HEADER}SELECT a FROM outcomes.b")
    write(tmp_path, "outcomes.b", f"{HEADER}WITH c AS (SELECT a FROM outcomes.z) SELECT c.a FROM c")
    write(tmp_path, "outcomes.z", f"{HEADER}SELECT a FROM staging.one WHERE a IN (SELECT b FROM staging.two)")
    write(tmp_path, "staging.one", f"{HEADER}SELECT a FROM raw.x")
    write(tmp_path, "staging.two", f"{HEADER}SELECT 1 AS a, 2 AS b")
    names = [table.name for table in load_tables(tmp_path)]
    assert names == ["staging.one", "staging.two", "outcomes.z", "outcomes.b", "analysis.a"]
    assert load_tables(tmp_path)[2].depends_on == ("staging.one", "staging.two")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"staging.one": "SELECT 1 AS a"}, r"header of staging/one.sql has no line '-- title"),
        ({"staging.one": f"{HEADER}-- color: red\nSELECT 1 AS a"}, "unknown key color"),
        ({"staging.one": HEADER}, "has a header and no SELECT"),
        ({"staging.one": f"{HEADER}SELECT 1 AS a; SELECT 2 AS a"}, "exactly one SELECT"),
        ({"staging.one": f"{HEADER}CREATE MACRO f(a) AS a + 1"}, "exactly one SELECT"),
        ({"staging.one": f"{HEADER}SELECT FROM WHERE"}, "cannot be parsed"),
        ({"staging.one": f"{HEADER}SELECT 1 AS b"}, "names a, which its SELECT does not give"),
        ({"staging.one": f"{HEADER}SELECT a FROM x"}, "reads x without naming its schema"),
        ({"staging.one": f"{HEADER}SELECT a FROM staging.gone"}, r"no file makes; add sql/staging/gone\.sql"),
        ({"staging.one": f"{HEADER}SELECT a FROM results.r"}, "and no other schema"),
        (
            {"staging.one": f"{HEADER}SELECT a FROM outcomes.two", "outcomes.two": f"{HEADER}SELECT 1 AS a"},
            "of a later stage",
        ),
        (
            {
                "outcomes.one": f"{HEADER}SELECT a FROM outcomes.two",
                "outcomes.two": f"{HEADER}SELECT a FROM outcomes.one",
            },
            "in a circle: outcomes.(one|two) -> outcomes.(two|one) -> ",
        ),
    ],
)
def test_a_mistake_gives_one_sentence(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        write(tmp_path, name, text)
    with pytest.raises(DeriveError, match=said) as refusal:
        load_tables(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{CHECK}SELECT 1 AS violations", "exactly the columns violations and rows_examined"),
        (f"{CHECK.replace('range', 'colour')}SELECT 1 AS violations, 2 AS rows_examined", "kind of checks/c.sql"),
        (f"{CHECK.replace('true', 'yes')}SELECT 1 AS violations, 2 AS rows_examined", "blocking: true"),
        (f"{CHECK.replace('staging.one', 'staging.no')}SELECT 1 AS violations, 2 AS rows_examined", "is no table"),
    ],
)
def test_a_mistake_in_a_check_gives_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT 1 AS a")
    write(tmp_path, "checks.c", text)
    with pytest.raises(DeriveError, match=said):
        load_checks(tmp_path)


@pytest.mark.parametrize(
    ("select", "verdict", "counts"),
    [
        ("SELECT 0 AS violations, 5 AS rows_examined", "passed", (0, 5)),
        ("SELECT 2 AS violations, 5 AS rows_examined", "failed", (2, 5)),
        ("SELECT 0 AS violations, 0 AS rows_examined", "not applicable", (0, 0)),
        ("SELECT count(a) AS violations, 1 AS rows_examined FROM staging.gone", "error", (None, None)),
        ("SELECT count(*) AS violations, 1 AS rows_examined FROM staging.one WHERE a = 'x' + 1", "error", (None, None)),
        ("SELECT a AS violations, a AS rows_examined FROM staging.one WHERE a > 9", "error", (None, None)),
    ],
)
def test_the_four_verdicts(tmp_path: Path, select: str, verdict: str, counts: tuple[int | None, int | None]) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT 1 AS a")
    write(tmp_path, "staging.gone", f"{HEADER}SELECT 1 AS a")
    write(tmp_path, "checks.c", CHECK + select)
    with open_warehouse() as warehouse:
        materialize(warehouse, load_tables(tmp_path)[1])
        found = run_check(warehouse, load_checks(tmp_path)[-1])
    assert (found.check_name, found.target, found.kind, found.is_blocking) == ("c", "staging.one", "range", True)
    assert (found.verdict, (found.violations, found.rows_examined)) == (verdict, counts)


def test_rows_are_written_in_the_order_of_the_grain(tmp_path: Path) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT x.a, x.b FROM raw.x AS x ORDER BY x.b")
    with open_warehouse() as warehouse:
        warehouse.write("raw.x", pl.DataFrame({"a": [3, 1, 2], "b": [1, 2, 3]}))
        (table,) = load_tables(tmp_path)
        assert materialize(warehouse, table) == 3
        assert warehouse.read("staging.one")["a"].to_list() == [1, 2, 3]


def test_a_table_that_cannot_be_made_says_so_without_values(tmp_path: Path) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT CAST(x.a AS INTEGER) AS a FROM raw.x AS x")
    with open_warehouse() as warehouse:
        warehouse.write("raw.x", pl.DataFrame({"a": ["SENTINEL"]}))
        with pytest.raises(
            WarehouseError, match=r"^making staging\.one: the database refused \(ConversionException\)$"
        ):
            materialize(warehouse, load_tables(tmp_path)[0])


# ------------------------------------------------------------------------------------------------- the project's own


def test_every_table_is_made_from_given_ones_in_order() -> None:
    made: set[str] = set(BASE_TABLES)
    for table in load_tables(sql_folder()):
        assert set(table.depends_on) <= made, table.name
        made.add(table.name)


def test_a_check_reads_only_what_is_there_once_its_target_is_made() -> None:
    before: dict[str, set[str]] = {}
    for table in load_tables(sql_folder()):
        before[table.name] = {table.name, *table.depends_on}.union(*(before.get(s, set()) for s in table.depends_on))
    for check in load_checks(sql_folder()):
        derived = {source for source in check.depends_on if source not in BASE_TABLES}
        assert derived <= before.get(check.target, set()), check.name


def test_every_column_has_its_meaning_and_every_meaning_its_column() -> None:
    tables = {table.name: table for table in load_tables(sql_folder())}
    for table in tables.values():
        assert set(table.meanings) == set(table.columns), table.name
    sections = tomllib.loads((sql_folder() / "columns.toml").read_text(encoding="utf-8"))
    assert set(sections.pop("columns")) <= {column for table in tables.values() for column in table.columns}
    for name, columns in sections.items():
        assert set(columns) <= set(tables[name].columns), name


def test_a_tables_own_meaning_comes_first(tmp_path: Path) -> None:
    write(tmp_path, "staging.one", f"{HEADER}SELECT 1 AS a, 2 AS b")
    meanings = '[columns]\na = "any a"\nb = "any b"\nc = "not here"\n["staging.one"]\nb = "its own b"\n'
    (tmp_path / "columns.toml").write_text(meanings, encoding="utf-8")
    (table,) = load_tables(tmp_path)
    assert table.meanings == {"a": "any a", "b": "its own b"}


def test_base_tables_are_what_ingest_writes() -> None:
    tables = read_release(sample_release(), load_protocol(default_protocol_file())).tables
    with open_warehouse() as warehouse:
        for name, frame in tables.items():
            warehouse.write(name, frame)
            assert warehouse.columns(name) == BASE_TABLES[name], name
