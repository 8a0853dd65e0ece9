"""Columns and types of the tables that SQL starts from: what ingest writes to `raw` and the protocol's own tables.

Types let the lint tell a cast of a whole number from a cast of a fraction, and lineage tell whose column a name is.
Columns of tables that SQL makes are worked out from their SELECTs and stand nowhere.
"""

import polars as pl

from pipelines.protocol_tables import LITERATURE_SCHEMA, PROTOCOL_SCHEMA

Columns = dict[str, str]

_SQL_TYPES: dict[type[pl.DataType], str] = {
    pl.String: "VARCHAR",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
}

RAW: dict[str, Columns] = {
    "raw.release": dict.fromkeys(
        ("release", "source", "deidentification", "linkage", "data_use_agreement", "manifest_sha256"), "VARCHAR"
    ),
    "raw.patients": {
        "patient_id": "VARCHAR",
        "site_id": "VARCHAR",
        "enrolment_year": "INTEGER",
        "age_years": "INTEGER",
        "sex": "VARCHAR",
        "bmi": "DOUBLE",
        "smoking": "VARCHAR",
        "comorbidity_count": "INTEGER",
        "diabetes": "BOOLEAN",
        "depression": "BOOLEAN",
        "opioid_use": "BOOLEAN",
        "prior_lumbar_surgery": "BOOLEAN",
        "spondylolisthesis": "BOOLEAN",
        "stenosis_grade": "VARCHAR",
        "stenotic_levels": "INTEGER",
        "symptom_months": "DOUBLE",
        "last_contact_day": "INTEGER",
        "administrative_end_day": "INTEGER",
        "back_dominant": "BOOLEAN",
        "workers_comp": "BOOLEAN",
        "insurance": "VARCHAR",
        "education": "VARCHAR",
        "enrolment_quarter": "INTEGER",
        "site_sequence": "INTEGER",
        "record_id": "VARCHAR",
    },
    "raw.treatments": {
        "treatment_id": "VARCHAR",
        "patient_id": "VARCHAR",
        "day": "INTEGER",
        "tier": "VARCHAR",
        "code": "VARCHAR",
        "code_system": "VARCHAR",
        "site_id": "VARCHAR",
        "surgeon_id": "VARCHAR",
        "levels_treated": "INTEGER",
        "planned_stage": "BOOLEAN",
        "record_id": "VARCHAR",
    },
    "raw.assessments": {
        "patient_id": "VARCHAR",
        "day": "INTEGER",
        "instrument": "VARCHAR",
        "value": "DOUBLE",
        "unit": "VARCHAR",
        "mode": "VARCHAR",
        "duration_s": "DOUBLE",
        "stop_reason": "VARCHAR",
        "record_id": "VARCHAR",
    },
    "raw.events": {"patient_id": "VARCHAR", "day": "INTEGER", "event": "VARCHAR", "record_id": "VARCHAR"},
    "raw.codes": dict.fromkeys(("code_system", "code", "tier", "label"), "VARCHAR"),
}

PROTOCOL: dict[str, Columns] = {
    f"protocol.{table}": {column: _SQL_TYPES[kind] for column, kind in columns.items()}
    for table, columns in PROTOCOL_SCHEMA.items()
} | {
    "protocol.literature": {column: _SQL_TYPES[kind] for column, kind in LITERATURE_SCHEMA.items()},
}

QUALITY: dict[str, Columns] = {
    "quality.quarantine": {
        "file": "VARCHAR",
        "line": "BIGINT",
        "column": "VARCHAR",
        "rule": "VARCHAR",
        "reason": "VARCHAR",
    },
    "quality.ingest_counts": {
        "table_name": "VARCHAR",
        "rows_read": "BIGINT",
        "rows_accepted": "BIGINT",
        "rows_quarantined": "BIGINT",
    },
    "quality.row_rules": {
        "rule": "VARCHAR",
        "table_name": "VARCHAR",
        "severity": "VARCHAR",
        "reason": "VARCHAR",
        "violations": "BIGINT",
    },
    "quality.source_counts": {
        "source_table": "VARCHAR",
        "rows_read": "BIGINT",
        "outcome": "VARCHAR",
        "row_count": "BIGINT",
    },
    "quality.input_files": dict.fromkeys(("table_name", "file", "sha256"), "VARCHAR"),
    "quality.anonymity": {
        "left_out": "VARCHAR",
        "quasi_identifiers": "VARCHAR",
        "minimum_group": "INTEGER",
        "action": "VARCHAR",
        "patients": "BIGINT",
        "patient_groups": "BIGINT",
        "smallest_group": "BIGINT",
        "groups_below": "BIGINT",
        "patients_below": "BIGINT",
        "patients_alone": "BIGINT",
    },
    "quality.anonymity_groups": {"patient_group": "VARCHAR", "patients": "BIGINT", "is_below": "BOOLEAN"},
}

# made at the end of a run, from its results and the release before
COMPARED: dict[str, Columns] = {
    "quality.changes": dict.fromkeys(("before", "after", "quantity", "group"), "VARCHAR")
    | dict.fromkeys(("value_before", "value_after", "change", "tolerance"), "DOUBLE")
    | dict.fromkeys(("scale", "verdict", "note"), "VARCHAR"),
}

BASE_TABLES: dict[str, Columns] = RAW | PROTOCOL | QUALITY | COMPARED
