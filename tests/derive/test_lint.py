"""SQL that does not travel is refused, construct by construct of the design's table, and what is fine is not."""

from pathlib import Path

import pytest
import sqlglot

from pipelines.derive import column_lineage, lint, load_checks, load_tables, transpile
from pipelines.derive.resolve import resolve
from pipelines.derive.tables import SqlTable
from pipelines.resources import sql_folder

HEADER = "-- title: T\n-- grain: a\n-- rule: R\n-- source: S\n"


def table_of(folder: Path, select: str) -> list[SqlTable]:
    (folder / "staging").mkdir()
    (folder / "staging" / "t.sql").write_text(HEADER + select, encoding="utf-8")
    return load_tables(folder)


# design, "SQL that travels": left column (differs silently on Spark), then right column (fails on Spark)
REFUSED = [
    ("SELECT CAST(p.bmi AS INTEGER) AS a FROM raw.patients AS p", "cast to a whole number"),
    ("SELECT p.bmi::BIGINT AS a FROM raw.patients AS p", "cast to a whole number"),
    ("SELECT CAST(p.age_years / 2 AS INTEGER) AS a FROM raw.patients AS p", "cast to a whole number"),
    ("SELECT log(p.bmi) AS a FROM raw.patients AS p", "base 10"),
    ("SELECT p.bmi / 10.0 AS a FROM raw.patients AS p", "write 1e0"),
    ("SELECT CAST(p.bmi AS DECIMAL(9, 2)) AS a FROM raw.patients AS p", "write 1e0"),
    ("SELECT list(p.bmi ORDER BY p.age_years) AS a FROM raw.patients AS p", "loses its order"),
    ("SELECT array_agg(p.bmi ORDER BY p.age_years) AS a FROM raw.patients AS p", "loses its order"),
    ("SELECT string_agg(p.sex, ',' ORDER BY p.age_years) AS a FROM raw.patients AS p", "loses its order"),
    ("SELECT arg_min(p.bmi, p.age_years) AS a FROM raw.patients AS p", "arg_min"),
    ("SELECT arg_max(p.bmi, p.age_years) AS a FROM raw.patients AS p", "arg_min"),
    ("SELECT date_diff('month', DATE '2020-01-01', DATE '2021-01-01') AS a", "date_diff of months"),
    ("SELECT try_cast('3.7' AS INTEGER) AS a", "cast to a whole number"),
    ("SELECT try_cast(p.site_id AS INTEGER) AS a FROM raw.patients AS p", "cast to a whole number"),
    ("SELECT skewness(p.bmi) AS a FROM raw.patients AS p", "skewness"),
    ("SELECT quantile_cont(p.bmi, 5e-1) AS a FROM raw.patients AS p", "WITHIN GROUP"),
    ("SELECT first(p.bmi ORDER BY p.age_years) AS a FROM raw.patients AS p", "depend on the order of rows"),
    ("SELECT last(p.bmi ORDER BY p.age_years) AS a FROM raw.patients AS p", "depend on the order of rows"),
    ("SELECT any_value(p.bmi) AS a FROM raw.patients AS p", "depend on the order of rows"),
    ("SELECT len(array_agg(p.bmi)) AS a FROM raw.patients AS p", "len of a list"),
    ("SELECT strlen(p.sex) AS a FROM raw.patients AS p", "does not know this function"),
    ("SELECT list_sum(array_agg(p.bmi)) AS a FROM raw.patients AS p", "does not know this function"),
    ("SELECT my_macro(p.bmi) AS a FROM raw.patients AS p", "does not know this function"),
    (
        "WITH w AS (SELECT * FROM raw.patients PIVOT (sum(bmi) FOR sex IN ('female'))) SELECT 1 AS a FROM w",
        "PIVOT fails",
    ),
    ("SELECT 1 AS a UNION BY NAME SELECT 2 AS a", "UNION BY NAME"),
    ("SELECT 1 AS a FROM (SELECT * REPLACE (1 AS sex) FROM raw.patients) AS p", "list the columns"),
    ("SELECT 1 AS a FROM (SELECT * EXCLUDE (sex) FROM raw.patients) AS p", "list the columns"),
    ("SELECT 1 AS a FROM (SELECT COLUMNS('s.*') FROM raw.patients) AS p", "list the columns"),
    ("SELECT g.i AS a FROM generate_series(1, 3) AS g(i)", "generate_series"),
    ("SELECT CAST(p.age_years AS HUGEINT) AS a FROM raw.patients AS p", "HUGEINT"),
    ("SELECT p.bmi / 0 AS a FROM raw.patients AS p", "divide by nullif"),
    ("SELECT p.bmi / p.age_years AS a FROM raw.patients AS p", "divide by nullif"),
    ("SELECT p.age_years % p.stenotic_levels AS a FROM raw.patients AS p", "divide by nullif"),
    (
        "SELECT p.day AS a FROM raw.events AS p ASOF JOIN raw.events AS q ON p.event = q.event AND p.day >= q.day",
        "ASOF joins",
    ),
    ("SELECT random() AS a", "another answer in each run"),
    ("SELECT current_date AS a", "another answer in each run"),
    ("SELECT p.bmi AS a FROM raw.patients AS p TABLESAMPLE 10 PERCENT", "another answer in each run"),
]

# design, "Fine on both"
FINE = [
    "SELECT p.age_years AS a FROM raw.patients AS p QUALIFY row_number() OVER (PARTITION BY p.sex ORDER BY p.bmi) = 1",
    "SELECT count(*) FILTER (WHERE p.diabetes) AS a FROM raw.patients AS p",
    "SELECT sum(p.bmi) OVER (ORDER BY p.age_years RANGE BETWEEN 5 PRECEDING AND 1 FOLLOWING) AS a FROM raw.patients p",
    "SELECT first_value(p.bmi IGNORE NULLS) OVER (ORDER BY p.age_years) AS a FROM raw.patients AS p",
    "SELECT p.sex AS a, count(*) AS n FROM raw.patients AS p GROUP BY ALL",
    "SELECT DISTINCT ON (p.sex) p.sex AS a, p.bmi FROM raw.patients AS p ORDER BY p.sex, p.bmi",
    "SELECT p.day AS a FROM raw.events AS p SEMI JOIN raw.patients AS q ON p.patient_id = q.patient_id",
    "SELECT p.day AS a FROM raw.events AS p ANTI JOIN raw.patients AS q ON p.patient_id = q.patient_id",
    "SELECT v.a FROM (VALUES (1), (2)) AS v(a)",
    "SELECT p.age_years // 10 AS a FROM raw.patients AS p",
    "SELECT percentile_cont(5e-1) WITHIN GROUP (ORDER BY p.bmi) AS a FROM raw.patients AS p",
    "SELECT round(p.bmi, 1) AS a, floor(p.bmi) AS b FROM raw.patients AS p",
    "SELECT p.bmi / nullif(p.age_years, 0) AS a, p.bmi / 2e0 AS b, ln(p.bmi) AS c FROM raw.patients AS p",
    "SELECT CAST(count(*) AS INTEGER) AS a, CAST(p.diabetes AS INTEGER) AS b FROM raw.patients AS p GROUP BY ALL",
    "SELECT CAST(NULL AS INTEGER) AS a",
    "SELECT length(p.sex) AS a FROM raw.patients AS p",
]


@pytest.mark.parametrize(("select", "said"), REFUSED)
def test_what_does_not_travel_is_refused_in_a_sentence(tmp_path: Path, select: str, said: str) -> None:
    found = lint(table_of(tmp_path, select))
    assert [sentence for sentence in found if said in sentence], found
    assert all(sentence.startswith("staging.t: ") and "\n" not in sentence for sentence in found)


@pytest.mark.parametrize("select", FINE)
def test_what_is_fine_on_both_is_not_refused(tmp_path: Path, select: str) -> None:
    assert lint(table_of(tmp_path, select)) == []


def test_our_own_files_travel() -> None:
    assert lint(load_tables(sql_folder()), load_checks(sql_folder())) == []


@pytest.mark.parametrize("table", load_tables(sql_folder()), ids=lambda table: table.name)
def test_our_own_files_can_be_said_in_spark(table: SqlTable) -> None:
    said = transpile(table)
    parsed = sqlglot.parse_one(said, dialect="spark")
    assert tuple(parsed.named_selects) == table.columns


def test_no_type_of_ours_is_left_open_or_has_no_like_on_spark() -> None:
    resolved = resolve(load_tables(sql_folder()))
    types = {
        f"{name}.{select.alias_or_name}": select.type.sql("duckdb") if select.type else "UNKNOWN"
        for name, query in resolved.queries.items()
        for select in query.selects
    }
    assert set(types.values()) <= {"TEXT", "INT", "BIGINT", "DOUBLE", "BOOLEAN"}, types


def test_column_lineage_of_a_small_table(tmp_path: Path) -> None:
    select = (
        "WITH old AS (SELECT p.patient_id, p.bmi * 2 AS twice FROM raw.patients AS p WHERE p.age_years > 80) "
        "SELECT old.patient_id AS a, old.twice + e.day AS mixed, count(*) AS n, 1 AS one "
        "FROM old INNER JOIN raw.events AS e ON old.patient_id = e.patient_id GROUP BY ALL"
    )
    assert column_lineage(table_of(tmp_path, select)) == {
        "staging.t": {
            "a": ("raw.patients.patient_id",),
            "mixed": ("raw.events.day", "raw.patients.bmi"),
            "n": (),
            "one": (),
        }
    }


def test_column_lineage_knows_every_column_of_ours() -> None:
    tables = load_tables(sql_folder())
    lineage = column_lineage(tables)
    columns = {table.name: set(table.columns) for table in tables}
    for table in tables:
        assert set(lineage[table.name]) == columns[table.name]
        for sources in lineage[table.name].values():
            assert {source.rsplit(".", 1)[0] for source in sources} <= set(table.depends_on)
    assert lineage["outcomes.visits"]["value"] == ("staging.assessments.value",)
    assert lineage["staging.assessments"]["value"] == ("protocol.units.factor", "raw.assessments.value")
    assert lineage["outcomes.episodes"]["waiting_days"] == ("staging.treatment_days.day",)
