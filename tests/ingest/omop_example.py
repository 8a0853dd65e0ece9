"""A small OMOP source made by hand: three patients whose days and tiers can be checked on paper, by four doors.

Person 11 enters on 2020-03-01 (M48.062), is injected on day 30 (64483), operated on day 100 (63047 and, the same day,
22612), answers a pain score on day 0 and day 130, and is diabetic since 2019. Person 12 enters on 2019-06-10 by an
ICD-9-like code without its dot at concept 0 (M48061 as source value), has a cervical injection (62321: no treatment of
this study) and a spacer (22869) on day 20; 91 years old, without an observation period. Person 13 has no stenosis.
Person 14 enters on 2020-01-01 and dies on day 60.
"""

import hashlib
from pathlib import Path

import polars as pl

Rows = list[dict[str, object]]

PERSONS: Rows = [
    {"person_id": p, "gender_concept_id": g, "year_of_birth": y, "month_of_birth": m, "day_of_birth": 1,
     "care_site_id": s, "gender_source_value": "", "person_source_value": f"MRN{p}00", "birth_datetime": f"{y}-01-01"}
    for p, g, y, m, s in [
        (11, 8532, 1950, 4, 7), (12, 8507, 1928, 1, 8), (13, 8507, 1960, 1, 7), (14, 0, 1945, 1, None),
    ]
]  # fmt: skip


def _conditions() -> Rows:
    told = [
        (11, "2019-05-05", "E11.9", 0), (11, "2020-03-01", "M48.062", 0), (11, "2020-09-01", "M48.062", 0),
        (12, "2019-06-10", "M48061", 0), (13, "2020-02-02", "M54.5", 0), (14, "2020-01-01", "local", 901),
    ]  # fmt: skip
    return [
        {"condition_occurrence_id": n, "person_id": p, "condition_concept_id": 0, "condition_start_date": d,
         "condition_source_value": v, "condition_source_concept_id": c}
        for n, (p, d, v, c) in enumerate(told, 1)
    ]  # fmt: skip


def _procedures() -> Rows:
    told = [
        (11, "2020-03-31", "64483-50", 5), (11, "2020-06-09", "63047", 5), (11, "2020-06-09", "22612", 6),
        (12, "2019-06-30", "62321", 5), (12, "2019-06-30", "22869", 5), (13, "2020-02-05", "62323", 5),
        (14, "2020-01-11", "97110", None),
    ]  # fmt: skip
    return [
        {"procedure_occurrence_id": n, "person_id": p, "procedure_concept_id": 0, "procedure_date": d,
         "procedure_source_value": v, "procedure_source_concept_id": 0, "provider_id": s}
        for n, (p, d, v, s) in enumerate(told, 1)
    ]  # fmt: skip


def _measurements() -> Rows:
    told = [(11, "2020-03-01", 7.0), (11, "2020-07-09", 3.0), (13, "2020-02-02", 5.0), (14, "2020-01-05", 12.0)]
    return [
        {"measurement_id": n, "person_id": p, "measurement_concept_id": 902, "measurement_date": d,
         "measurement_source_value": "pain", "measurement_source_concept_id": 0, "value_as_number": v,
         "unit_source_value": "{score}"}
        for n, (p, d, v) in enumerate(told, 1)
    ]  # fmt: skip


TABLES: dict[str, Rows] = {
    "person": PERSONS,
    "observation_period": [
        {"observation_period_id": n, "person_id": p, "observation_period_start_date": "2015-01-01",
         "observation_period_end_date": d}
        for n, (p, d) in enumerate([(11, "2021-03-01"), (13, "2021-12-31"), (14, "2020-03-01")], 1)
    ],
    "condition_occurrence": _conditions(),
    "procedure_occurrence": _procedures(),
    "measurement": _measurements(),
    "death": [{"person_id": 14, "death_date": "2020-03-01"}],
    "concept": [
        {"concept_id": 901, "vocabulary_id": "SNOMED", "concept_code": "18347007"},
        {"concept_id": 902, "vocabulary_id": "LOINC", "concept_code": "72514-3"},
    ],
}  # fmt: skip


def frames() -> dict[str, pl.DataFrame]:
    """The tables with real dates, as a database holds them."""
    made = {}
    for name, rows in TABLES.items():
        frame = pl.DataFrame(rows, infer_schema_length=None)
        made[name] = frame.with_columns(
            pl.col(column).str.to_date() for column in frame.columns if column.endswith("_date")
        )
    return made


def manifest(folder: Path, version: str, tables: dict[str, list[Path]], **settings: str) -> Path:
    """Write the manifest of files that stand in the folder, and return the folder."""
    text = 'release = "omop-example"\nsource = "made by hand"\ndeidentification = "synthetic"\nlinkage = "all payers"\n'
    text += f'format = "omop"\n[omop]\nversion = "{version}"\n'
    text += "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    for name, files in tables.items():
        rows = len(TABLES[name])
        hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        text += f"[tables.{name}]\nfiles = {[file.name for file in files]}\nrows = {rows}\nsha256 = {hashes}\n"
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return folder


def as_csv(folder: Path, **settings: str) -> Path:
    """CDM 5.3 as CSV with upper-case column names; procedures in two files."""
    folder.mkdir()
    files = {}
    for name, frame in frames().items():
        frame.columns = [column.upper() for column in frame.columns]
        parts = [frame.head(4), frame.slice(4)] if name == "procedure_occurrence" else [frame]
        files[name] = [folder / f"{name}_{n}.csv" for n in range(len(parts))]
        for part, file in zip(parts, files[name], strict=True):
            part.write_csv(file)
    return manifest(folder, "5.3", files, **settings)


def as_parquet(folder: Path, **settings: str) -> Path:
    """CDM 5.4 as Parquet."""
    import pyarrow.parquet as pq

    folder.mkdir()
    files = {name: [folder / f"{name}.parquet"] for name in TABLES}
    for name, frame in frames().items():
        pq.write_table(frame.to_arrow(), files[name][0])
    return manifest(folder, "5.4", files, **settings)


def as_duckdb(folder: Path, **settings: str) -> Path:
    """CDM 5.4 as a DuckDB file."""
    import duckdb

    folder.mkdir()
    file = folder / "cdm.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name, frame in frames().items():
            connection.register("made", frame)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM made")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return manifest(folder, "5.4", {}, database=file.name, sha256=sha256, **settings)


def as_postgresql(folder: Path, address: str, **settings: str) -> Path:
    """CDM 5.4 in a PostgreSQL database that the address names."""
    from adbc_driver_postgresql import dbapi

    folder.mkdir()
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        for name, frame in frames().items():
            cursor.adbc_ingest(name, frame.to_arrow(), mode="replace")
        connection.commit()
    return manifest(folder, "5.4", {}, connection_env="OMOP_CONNECTION", schema="public", **settings)
