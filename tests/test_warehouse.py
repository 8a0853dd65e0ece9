"""DuckDB behind sentences: values never reach a message."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.warehouse import SCHEMAS, WarehouseError, open_warehouse


def test_a_frame_comes_back_as_it_was_written() -> None:
    frame = pl.DataFrame({"a": [1, None, 3], "b": ["x", "y", None], "c": [0.5, None, 2.0], "d": [True, False, None]})
    with open_warehouse() as warehouse:
        assert warehouse.write("raw.some", frame) == 3
        assert warehouse.read("raw.some").equals(frame)
        assert warehouse.columns("raw.some") == {"a": "BIGINT", "b": "VARCHAR", "c": "DOUBLE", "d": "BOOLEAN"}
        assert warehouse.has("raw.some")
        assert not warehouse.has("raw.other")


def test_an_error_never_shows_a_value() -> None:
    with open_warehouse() as warehouse:
        warehouse.write("raw.some", pl.DataFrame({"a": ["SENTINEL-42"]}))
        for ask in (warehouse.run, warehouse.query):
            with pytest.raises(WarehouseError) as refusal:
                ask("SELECT CAST(a AS INTEGER) FROM raw.some", "reading ages")
            assert str(refusal.value) == "reading ages: the database refused (ConversionException)"
            assert refusal.value.__cause__ is None
            assert refusal.value.__suppress_context__


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"no database at all, " * 1000)
    with pytest.raises(WarehouseError, match=r"the warehouse broken\.duckdb cannot be opened"), open_warehouse(broken):
        pass


def test_the_schemas_of_the_pipeline_exist_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    with open_warehouse(path) as warehouse:
        warehouse.write("results.r", pl.DataFrame({"a": [1]}))
    with open_warehouse(path, read_only=True) as warehouse:
        found = set(warehouse.query("SELECT schema_name FROM information_schema.schemata")["schema_name"])
        assert set(SCHEMAS) <= found
        with pytest.raises(WarehouseError):
            warehouse.write("results.r", pl.DataFrame({"a": [2]}))


def test_a_count_leaves_the_connection_free_for_the_next_query() -> None:
    """DuckDB 2.0 refuses a query while the rows of an earlier one have not been fetched to the end."""
    with open_warehouse() as warehouse:
        warehouse.write("raw.some", pl.DataFrame({"a": [1, 2]}))
        assert warehouse.count("raw.some") == 2
        assert warehouse.query("SELECT sum(a) AS total FROM raw.some")["total"].to_list() == [3]
        assert warehouse.has("raw.some")
        assert warehouse.read("raw.some").height == 2
