"""Rows add up, whatever a release is read from: read = accepted + kept aside, and each row of a source is somewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import omop_example
import polars as pl
import pytest
import redcap_example

from pipelines.ingest import read_release
from pipelines.ingest.sources import USED
from pipelines.protocol import Protocol
from pipelines.simulate import simulate

Write = Callable[[Path, pytest.FixtureRequest], Path]


def native(form: Literal["csv", "parquet"]) -> Write:
    """A simulated release, which has its share of wrong rows."""

    def write(folder: Path, _: pytest.FixtureRequest) -> Path:
        return simulate(folder, 60, 3, form, truth_patients=0)

    return write


def omop(door: Callable[[Path], Path]) -> Write:
    return lambda folder, _: door(folder)


def postgresql(folder: Path, request: pytest.FixtureRequest) -> Path:
    address = request.getfixturevalue("postgresql")
    request.getfixturevalue("monkeypatch").setenv("OMOP_CONNECTION", address)
    return omop_example.as_postgresql(folder, address)


def redcap(folder: Path, _: pytest.FixtureRequest) -> Path:
    """Ten patients, and the first pain score of the export beyond its scale."""
    flat = redcap_example.export(redcap_example.native_tables(10))
    first = flat.with_row_index("$n").drop_nulls("nrs_leg")["$n"][0]
    score = pl.when(pl.int_range(pl.len()) == first).then(pl.lit("11")).otherwise("nrs_leg").alias("nrs_leg")
    return redcap_example.write(folder, flat.with_columns(score))


READERS = {
    "delimited": native("csv"),
    "parquet": native("parquet"),
    "omop csv": omop(omop_example.as_csv),
    "omop parquet": omop(omop_example.as_parquet),
    "omop duckdb": omop(omop_example.as_duckdb),
    "omop postgresql": postgresql,
    "redcap": redcap,
}


@pytest.mark.parametrize("reader", [
    pytest.param(name, marks=pytest.mark.postgres if name == "omop postgresql" else ()) for name in READERS
])  # fmt: skip
def test_rows_add_up(tmp_path: Path, request: pytest.FixtureRequest, with_pain: Protocol, reader: str) -> None:
    ingested = read_release(READERS[reader](tmp_path / "release", request), with_pain)
    counts = ingested.inspection.counts
    assert (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
    assert counts["rows_accepted"].min() > 0  # type: ignore[operator]
    assert counts["rows_quarantined"].sum() > 0
    for table, _, accepted, _ in counts.iter_rows():
        assert ingested.tables[f"raw.{table}"].height == accepted
    quarantine = ingested.inspection.quarantine.with_columns(table=pl.col("rule").str.split(".").list.first())
    places = quarantine.unique(["table", "file", "line", *(["column"] if reader == "redcap" else [])])
    assert dict(places.group_by("table").len().rows()) == {
        table: kept_aside for table, _, _, kept_aside in counts.iter_rows() if kept_aside
    }
    account = ingested.inspection.account
    told = account.group_by("source_table").agg(pl.col("rows_read").unique(), pl.col("row_count").sum())
    assert (told["rows_read"].list.len() == 1).all()
    assert (told["rows_read"].list.first() == told["row_count"]).all()
    if reader in ("delimited", "parquet"):  # each row of such a release is a record
        assert account["outcome"].unique().to_list() == [USED]
        assert sorted(told["row_count"]) == sorted(counts["rows_read"])


@pytest.mark.postgres
def test_a_database_that_changes_under_its_name_is_told_from_what_it_was(
    tmp_path: Path, postgresql: str, with_pain: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One score of 7 becomes 6: the content is another. The same rows in another order are the same content."""
    from adbc_driver_postgresql import dbapi

    monkeypatch.setenv("OMOP_CONNECTION", postgresql)
    folder = omop_example.as_postgresql(tmp_path / "postgresql", postgresql)

    def change(*statements: str) -> str:
        with dbapi.connect(postgresql) as connection, connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            connection.commit()
        return read_release(folder, with_pain).inspection.content_sha256

    before = read_release(folder, with_pain).inspection.content_sha256
    again = "CREATE TABLE other AS SELECT * FROM measurement ORDER BY person_id DESC, measurement_date DESC"
    assert change(again, "DROP TABLE measurement", "ALTER TABLE other RENAME TO measurement") == before
    assert change("UPDATE measurement SET value_as_number = 6 WHERE value_as_number = 7") != before
