"""Hand-made patients: a few readable lines become `raw.*` tables, and what is asked of them is made.

    cohort.patient("A", "conservative 0", "laminectomy 100", "nrs_leg 0 = 7", "death 400")

Each text is one record: a treatment (`tier day`, with `planned` for a planned stage), an assessment (`instrument day =
value [unit]`, for walking tests followed by `in seconds stop_reason`) or an event (`event day`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest

from pipelines.derive import SqlTable, load_tables, materialize
from pipelines.derive.base_tables import RAW, Columns
from pipelines.protocol import Protocol, load_protocol
from pipelines.protocol_tables import protocol_tables
from pipelines.resources import default_protocol_file, sql_folder
from pipelines.warehouse import Warehouse, open_warehouse

TYPES = {"VARCHAR": pl.String, "INTEGER": pl.Int32, "BIGINT": pl.Int64, "DOUBLE": pl.Float64, "BOOLEAN": pl.Boolean}
EVENTS = {
    "death",
    "withdrawal",
    "readmission",
    "infection",
    "dural_tear",
    "haematoma",
    "nerve_injury",
    "thromboembolism",
    "other_complication",
    "opioid_start",
    "negative_control",
}
Row = dict[str, Any]


def schema(columns: Columns) -> dict[str, type[pl.DataType]]:
    """Polars types of SQL types."""
    return {name: TYPES[kind] for name, kind in columns.items()}


CODES = [("CPT", "63047", "laminectomy", "laminectomy"), ("CPT", "22867", "other", "interspinous spacer")]


class Cohort:
    """Patients under construction, then every table made from them."""

    def __init__(self, protocol: Protocol, tables: list[SqlTable], warehouse: Warehouse) -> None:
        self.protocol = protocol
        self._tables = {table.name: table for table in tables}
        self._warehouse = warehouse
        self._rows: dict[str, list[Row]] = {name.removeprefix("raw."): [] for name in RAW}
        self._rows["codes"] = [dict(zip(RAW["raw.codes"], code, strict=True)) for code in CODES]
        self._made: set[str] = set()

    def patient(
        self, patient: str, *records: str, last_contact: int = 2000, data_cut: int = 2000, **facts: Any
    ) -> None:
        """Add a patient with records; `facts` are further columns of `raw.patients`."""
        self.add(
            "patients", patient_id=patient, last_contact_day=last_contact, administrative_end_day=data_cut, **facts
        )
        for record in records:
            self._record(patient, record)

    def add(self, table: str, **columns: Any) -> None:
        """Add one row to a raw table, with the next line as its record."""
        rows = self._rows[table]
        defaults: Row = {"site_id": "S1"} if table == "patients" else {}
        rows.append({"record_id": f"{table}.csv:{len(rows) + 2}", **defaults, **columns})

    def _record(self, patient: str, text: str) -> None:
        word, day, *rest = text.split()
        if word in EVENTS:
            self.add("events", patient_id=patient, day=int(day), event=word)
        elif rest and rest[0] == "=":
            self._assessment(patient, word, int(day), rest[1:])
        else:
            self.add(
                "treatments",
                treatment_id=f"T{len(self._rows['treatments']) + 1:04d}",
                patient_id=patient,
                day=int(day),
                tier=word,
                planned_stage="planned" in rest,
            )

    def _assessment(self, patient: str, instrument: str, day: int, words: list[str]) -> None:
        value, *rest = words
        unit = self.protocol.instrument(instrument).unit
        if rest and rest[0] != "in":
            unit, *rest = rest
        duration, stop_reason = (float(rest[1]), rest[2]) if rest else (None, None)
        self.add(
            "assessments",
            patient_id=patient,
            day=day,
            instrument=instrument,
            value=float(value),
            unit=unit,
            mode="clinic",
            duration_s=duration,
            stop_reason=stop_reason,
        )

    def shuffle(self, order: Callable[[list[Row]], None]) -> None:
        """Put the rows of each raw table in another order."""
        for rows in self._rows.values():
            order(rows)

    def make(self, *names: str) -> Warehouse:
        """The warehouse with these tables made, and what they are made from."""
        if not self._made:
            self._write_sources()
        for name in names:
            self._make(name)
        return self._warehouse

    def make_all(self) -> Warehouse:
        """The warehouse with every table made."""
        return self.make(*self._tables)

    def _make(self, name: str) -> None:
        if name in self._made or name not in self._tables:
            return
        for source in self._tables[name].depends_on:
            self._make(source)
        materialize(self._warehouse, self._tables[name])
        self._made.add(name)

    def _write_sources(self) -> None:
        for name, columns in RAW.items():
            rows = self._rows[name.removeprefix("raw.")]
            frame = pl.DataFrame({column: [row.get(column) for row in rows] for column in columns}, schema(columns))
            self._warehouse.write(name, frame)
        self._made.add("raw")

    def table(self, name: str, **where: Any) -> pl.DataFrame:
        """A table, or its rows in which columns have the given values."""
        frame = self.make(name).read(name)
        for column, value in where.items():
            frame = frame.filter(pl.col(column) == value)
        return frame

    def rows(self, name: str, *columns: str, **where: Any) -> list[Any]:
        """Rows as tuples of the named columns, or as bare values where one is named."""
        found = self.table(name, **where).select(columns).rows()
        return [row[0] for row in found] if len(columns) == 1 else found

    def one(self, name: str, *columns: str, **where: Any) -> Any:
        """The single row that fits, as `rows` gives it."""
        (row,) = self.rows(name, *columns, **where)
        return row


@pytest.fixture(scope="session")
def sql_tables() -> list[SqlTable]:
    return load_tables(sql_folder())


@pytest.fixture(scope="session")
def ladder() -> Protocol:
    """The protocol that the package brings."""
    return load_protocol(default_protocol_file())


def write_protocol(protocol: Protocol, warehouse: Warehouse) -> None:
    """Lay out a protocol."""
    for name, frame in protocol_tables(protocol).items():
        warehouse.write(f"protocol.{name}", frame)


@pytest.fixture(scope="session")
def ladder_warehouse(ladder: Protocol) -> Iterator[Warehouse]:
    """A warehouse that holds the package's own protocol; each cohort overwrites what the one before left."""
    with open_warehouse() as warehouse:
        write_protocol(ladder, warehouse)
        yield warehouse


@pytest.fixture
def cohort(ladder: Protocol, sql_tables: list[SqlTable], ladder_warehouse: Warehouse) -> Cohort:
    """An empty cohort under the package's own protocol."""
    return Cohort(ladder, sql_tables, ladder_warehouse)


@pytest.fixture(scope="session")
def cohort_of(sql_tables: list[SqlTable]) -> Iterator[Callable[[Protocol], Cohort]]:
    """Makes empty cohorts under another protocol."""
    opened: list[Warehouse] = []

    def make(protocol: Protocol) -> Cohort:
        opened.append(Warehouse())
        write_protocol(protocol, opened[-1])
        return Cohort(protocol, sql_tables, opened[-1])

    yield make
    for warehouse in opened:
        warehouse.close()
