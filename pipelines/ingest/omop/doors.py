"""The doors of an OMOP source: CSV or Parquet files, a DuckDB file, a PostgreSQL database; the same frames from each.

Only the columns named here are read; names, notes and addresses stay where they are. What rows mean is in `tables.py`.
"""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from pipelines.ingest.codelists import bare
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import Manifest, Part, read_file
from pipelines.ingest.readers import hold_row_count, read_files
from pipelines.ingest.tables import FILE, LINE

Kind = Literal["id", "date", "number", "text"]


@dataclass(frozen=True)
class Coded:
    """Where a table of coded records holds its concept, source concept, source value and date."""

    concept: str
    source_concept: str
    source_value: str
    date: str


def _coded(stem: str, date: str) -> Coded:
    return Coded(f"{stem}_concept_id", f"{stem}_source_concept_id", f"{stem}_source_value", date)


CODED = {
    "condition_occurrence": _coded("condition", "condition_start_date"),
    "procedure_occurrence": _coded("procedure", "procedure_date"),
    "measurement": _coded("measurement", "measurement_date"),
    "observation": _coded("observation", "observation_date"),
    "drug_exposure": _coded("drug", "drug_exposure_start_date"),
    "visit_occurrence": _coded("visit", "visit_start_date"),
    "episode": Coded(
        "episode_object_concept_id", "episode_source_concept_id", "episode_source_value", "episode_start_date"
    ),
}  # of an episode the object says which treatment it is


def _records(name: str, **more: Kind) -> dict[str, Kind]:
    """Columns of a table of coded records."""
    coded = CODED[name]
    columns: dict[str, Kind] = {f"{name}_id": "id", "person_id": "id", coded.concept: "id", coded.source_concept: "id"}
    return columns | {coded.source_value: "text", coded.date: "date"} | more


CDM: dict[str, dict[str, Kind]] = {
    "person": {
        "person_id": "id",
        "gender_concept_id": "id",
        "year_of_birth": "id",
        "month_of_birth": "id",
        "day_of_birth": "id",
        "care_site_id": "id",
        "gender_source_value": "text",
    },
    "observation_period": {
        "observation_period_id": "id",
        "person_id": "id",
        "observation_period_start_date": "date",
        "observation_period_end_date": "date",
    },
    "condition_occurrence": _records("condition_occurrence", visit_occurrence_id="id"),
    "procedure_occurrence": _records(
        "procedure_occurrence", provider_id="id", visit_occurrence_id="id", visit_detail_id="id"
    ),
    "measurement": _records(
        "measurement", value_as_number="number", unit_source_value="text", value_as_concept_id="id",
        value_source_value="text",
    ),
    "observation": _records(
        "observation", value_as_number="number", unit_source_value="text", value_as_concept_id="id",
        value_source_value="text", value_as_string="text",
    ),
    "drug_exposure": _records("drug_exposure", drug_exposure_end_date="date", days_supply="number"),
    "visit_occurrence": _records("visit_occurrence", visit_end_date="date", care_site_id="id"),
    "visit_detail": {"visit_detail_id": "id", "person_id": "id", "visit_occurrence_id": "id", "care_site_id": "id"},
    "episode": _records("episode"),
    "death": {"person_id": "id", "death_date": "date"},
    "care_site": {"care_site_id": "id", "location_id": "id"},
    "concept": {"concept_id": "id", "vocabulary_id": "text", "concept_code": "text"},
    "concept_ancestor": {"ancestor_concept_id": "id", "descendant_concept_id": "id"},
}  # fmt: skip
NEEDED = ("person", "condition_occurrence")
SAME_SYSTEM = {"CPT4": "CPT", "ICD10": "ICD10CM", "RxNorm Extension": "RxNorm"}  # a vocabulary's name: the code lists'
_WITHOUT_HIERARCHY = ("ICD10CM", "ICD9CM")  # their concepts stand above none


class OmopSettings(Part):
    """The section `[omop]` of a manifest: version, cohort, what a site is, and the database where there are no files.

    A site is a care site of the source or, where its care sites are departments, all those of one location.
    """

    version: Literal["5.3", "5.4"]
    cohort: str = Field(default="lumbar_stenosis", pattern=r"^[a-z][a-z0-9_]{0,59}$")
    site: Literal["care_site", "location"] = "care_site"
    database: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")
    sha256: str = Field(default="", pattern=r"^([0-9a-fA-F]{64})?$")
    connection_env: str = Field(default="", pattern=r"^([A-Z][A-Z0-9_]{0,59})?$")
    schema_name: str = Field(default="", alias="schema", pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,62})?$")

    @model_validator(mode="after")
    def _has_one_door(self) -> Self:
        if self.database and self.connection_env:
            raise ValueError("names a database and a connection_env; keep one")
        if bool(self.database) != bool(self.sha256):
            raise ValueError("needs database and its sha256 together")
        return self


@dataclass(frozen=True)
class CdmTable:
    """One table of the source: its columns typed, `$file` and `$line` of each row, and broken lines by file."""

    frame: pl.DataFrame
    rows: int
    broken: tuple[tuple[str, tuple[int, ...]], ...] = ()


def read_cdm(
    folder: Path, manifest: Manifest, settings: OmopSettings, codes: pl.DataFrame
) -> tuple[dict[str, CdmTable], str]:
    """Every table of `CDM`, empty where the source lacks it, and the hash of a database's content (else empty).

    Of a database's vocabulary only what the code lists speak of is read: whole it has a hundred million rows.

    Raises:
        ReleaseRefused: the source cannot be read, or lacks a table that is needed.
    """
    is_database = bool(settings.database or settings.connection_env)
    if is_database and manifest.tables:
        raise ReleaseRefused("manifest.toml names a database and files; keep one of the two")
    try:
        manifest.hold_tables(CDM)
    except ValueError as error:
        raise ReleaseRefused(f"manifest.toml: {error} (an OMOP release is read from {', '.join(CDM)})") from None
    if settings.database:
        tables = _from_duckdb(folder, settings, codes)
    elif settings.connection_env:
        tables = _from_postgresql(settings, codes)
    else:
        tables = {name: _from_files(folder, manifest, name) for name in CDM if name in manifest.tables}
    missing = next((name for name in NEEDED if name not in tables), None)
    if missing:
        raise ReleaseRefused(f"the OMOP source lacks the table {missing}; hand it over with the others")
    everything = {name: tables.get(name) or _none(name) for name in CDM}
    return everything, _content_hash(everything) if settings.connection_env else ""


def _none(name: str) -> CdmTable:
    return CdmTable(_typed(pl.DataFrame(schema={LINE: pl.Int64}), name).with_columns(pl.lit(name).alias(FILE)), 0)


def _from_files(folder: Path, manifest: Manifest, name: str) -> CdmTable:
    entry, rows, parts, broken = manifest.table(name), 0, [], []
    for file in read_files(folder, entry, are_dates_allowed=True):
        rows += file.rows
        parts.append(_typed(file.frame, name, file.file).with_columns(pl.lit(file.file).alias(FILE)))
        if file.broken_lines:
            broken.append((file.file, file.broken_lines))
    hold_row_count(rows, entry)
    return CdmTable(pl.concat(parts), rows, tuple(broken))


def _from_duckdb(folder: Path, settings: OmopSettings, codes: pl.DataFrame) -> dict[str, CdmTable]:
    import duckdb

    read_file(folder, settings.database, settings.sha256)
    try:
        # nothing of the file may reach beyond it: no other files, no network, no extensions
        limits: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(str(folder / settings.database), read_only=True, config=limits) as connection:
            return _from_database(
                lambda sql: pl.DataFrame(connection.sql(sql).to_arrow_table()), settings.schema_name or "main", codes
            )
    except duckdb.Error:
        raise ReleaseRefused(f"{settings.database} cannot be read as a DuckDB file; write it again") from None


def _from_postgresql(settings: OmopSettings, codes: pl.DataFrame) -> dict[str, CdmTable]:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    address = os.environ.get(settings.connection_env)
    if not address:
        raise ReleaseRefused(
            f"the environment variable {settings.connection_env} is not set; put the database's connection there"
        )
    try:
        with dbapi.connect(address) as connection, connection.cursor() as cursor:

            def ask(sql: str) -> pl.DataFrame:
                cursor.execute(sql)
                return pl.DataFrame(cursor.fetch_arrow_table())

            return _from_database(ask, settings.schema_name or "public", codes)
    except Error:
        raise ReleaseRefused(
            f"the database named by {settings.connection_env} cannot be reached or read; check address and rights"
        ) from None


def _from_database(ask: Callable[[str], pl.DataFrame], schema: str, codes: pl.DataFrame) -> dict[str, CdmTable]:
    """The tables that the schema has, in the order of their keys, so that a row has a number."""
    listed = ask(
        "SELECT CAST(table_name AS VARCHAR) AS t, CAST(column_name AS VARCHAR) AS c FROM information_schema.columns "
        f"WHERE lower(table_schema) = '{schema.lower()}'"
    )
    found: dict[str, dict[str, str]] = {}
    for table, column in listed.rows():
        if table.lower() in CDM and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column):
            found.setdefault(table, {})[column.lower()] = column
    tables = {}
    for table, columns in found.items():
        name = table.lower()
        wanted = [columns[column] for column in CDM[name] if column in columns]
        if not wanted:
            continue
        fields = ", ".join(f'"{column}"' for column in wanted)
        only = _only_listed(name, {of.lower(): (of, columns) for of, columns in found.items()}, schema, codes)
        frame = ask(f'SELECT {fields} FROM "{schema}"."{table}"{only} ORDER BY {fields}').with_row_index(LINE, offset=1)
        typed = _typed(frame.with_columns(pl.col(LINE).cast(pl.Int64)), name, name).with_columns(
            pl.lit(name).alias(FILE)
        )
        tables[name] = CdmTable(typed, typed.height)
    return tables


def _only_listed(name: str, found: dict[str, tuple[str, dict[str, str]]], schema: str, codes: pl.DataFrame) -> str:
    """The condition by which a vocabulary's table is read in part; empty for any other table."""
    if name not in ("concept", "concept_ancestor"):
        return ""
    table, columns = found.get("concept", ("", {}))
    if not set(CDM["concept"]) <= set(columns):
        return " WHERE FALSE" if name == "concept_ancestor" else ""
    vocabulary, code = columns["vocabulary_id"], columns["concept_code"]
    if name == "concept":
        return f' WHERE "{vocabulary}" IN ({_quoted(_vocabularies(codes["system"]))})'
    is_above = ~pl.col("system").is_in([*_WITHOUT_HIERARCHY, "OMOP"])
    listed = codes.filter(is_above).with_columns(bare=bare("code"))
    starts = listed.filter(pl.col("bare").str.ends_with("*"))["bare"].unique().sort()
    whole = listed.filter(~pl.col("bare").str.ends_with("*"))["bare"].unique().sort()
    plain = f"""upper(replace("{code}", '.', ''))"""
    ways = [f"{plain} IN ({_quoted(whole)})", *(f"{plain} LIKE '{start.replace('*', '%')}'" for start in starts)]
    own = (
        f'SELECT "{columns["concept_id"]}" FROM "{schema}"."{table}" '
        f'WHERE "{vocabulary}" IN ({_quoted(_vocabularies(listed["system"]))}) AND ({" OR ".join(ways)})'
    )
    return f' WHERE "{found[name][1]["ancestor_concept_id"]}" IN ({own})'


def _vocabularies(systems: pl.Series) -> pl.Series:
    """The vocabularies of a source that hold codes of these systems."""
    same = [vocabulary for vocabulary, system in SAME_SYSTEM.items() if system in set(systems)]
    return pl.Series(sorted({*systems, *same}), dtype=pl.String)


def _quoted(words: pl.Series) -> str:
    """Words as SQL; what stands in code lists holds no quotation mark, and one would be doubled."""
    return ", ".join("'" + word.replace("'", "''") + "'" for word in words) or "''"


def _typed(frame: pl.DataFrame, name: str, file: str = "") -> pl.DataFrame:
    """The columns of a CDM table under their lower-case names, typed; others are left, missing ones are empty."""
    lower = {column.lower(): column for column in frame.columns}
    keys = [column for column in CDM[name] if column in ("person_id", "concept_id")]
    lacking = next((column for column in keys if column not in lower and file), None)
    if lacking:
        raise ReleaseRefused(
            f"{file} lacks the column {lacking}, which the CDM table {name} has; hand the table over whole"
        )
    made = [
        _value(lower[column], frame.schema[lower[column]], kind).alias(column)
        if column in lower
        else pl.lit(None, _DTYPES[kind]).alias(column)
        for column, kind in CDM[name].items()
    ]
    return frame.with_columns(*made).select(*CDM[name], LINE)


_DTYPES: dict[str, Any] = {"id": pl.Int64, "date": pl.Date, "number": pl.Float64, "text": pl.String}


def _value(column: str, given: pl.DataType, kind: Kind) -> pl.Expr:
    field = pl.col(column)
    if kind == "date":
        if given.is_temporal():
            return field.cast(pl.Date)
        text = field.cast(pl.String).str.slice(0, 10)
        return pl.coalesce(text.str.to_date("%Y-%m-%d", strict=False), text.str.to_date("%Y%m%d", strict=False))
    if kind == "text":
        text = field.cast(pl.String).str.strip_chars()
        return pl.when(text != "").then(text)
    if kind == "number":
        return field.cast(pl.Float64, strict=False)
    if given == pl.String:
        return field.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    return field.cast(pl.Int64, strict=False)


def _content_hash(tables: dict[str, CdmTable]) -> str:
    """Hash of all that was read, whatever its order: what stands in for the hash of a file."""
    digest = hashlib.sha256()
    for name, table in tables.items():
        columns = list(CDM[name])
        digest.update(f"{name}\n".encode())
        digest.update(table.frame.select(columns).sort(columns).write_csv().encode())
    return digest.hexdigest()
