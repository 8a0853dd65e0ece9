"""From a release folder to accepted tables, quarantine and counts: the order in which ingest does its work.

Nothing is written. First everything that can refuse the release (manifest, hashes, columns, identifiers), then types,
then rows: patients, events (deaths must be known), treatments, assessments.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.ingest import context, guard
from pipelines.ingest.codelists import active_treatment_codes
from pipelines.ingest.contract import TABLE_NAMES, Table, contract, require_columns
from pipelines.ingest.manifest import Manifest, load_manifest
from pipelines.ingest.parsing import typed
from pipelines.ingest.quarantine import Judged, broken_places, judge
from pipelines.ingest.readers import hold_row_count, read_files
from pipelines.ingest.rules import row_rules
from pipelines.ingest.tables import FILE, LINE, FileTable
from pipelines.protocol import Protocol


@dataclass(frozen=True)
class Inspection:
    """What ingest found in a release that it does not refuse.

    Attributes:
        release: the release's name.
        counts: table_name, rows_read, rows_accepted, rows_quarantined; one row a table.
        rules: rule, table_name, severity, reason, violations; one row a rule, also those never violated.
        quarantine: file, line, column, rule, reason; one row a problem.
        warnings: as `quarantine`, for rows that carry on.
    """

    release: str
    counts: pl.DataFrame
    rules: pl.DataFrame
    quarantine: pl.DataFrame
    warnings: pl.DataFrame

    @property
    def rows_quarantined(self) -> int:
        """Rows kept aside, over all tables."""
        return int(self.counts["rows_quarantined"].sum())

    @property
    def violated(self) -> pl.DataFrame:
        """The rules that were violated, the most frequent first."""
        return self.rules.filter(pl.col("violations") > 0).sort("violations", "rule", descending=[True, False])


@dataclass(frozen=True)
class Ingested:
    """A release taken in: frames for the schemas `raw` and `quality`, by full table name."""

    manifest: Manifest
    inspection: Inspection
    tables: dict[str, pl.DataFrame]


def check_release(folder: Path, protocol: Protocol) -> Inspection:
    """Hold a release against contract, guard and row rules; writes nothing.

    Raises:
        ReleaseRefused: something is wrong with the release as a whole; one plain sentence.
    """
    manifest, judged = _judged(Path(folder), protocol)
    return _inspection(manifest, judged)


def read_release(folder: Path, protocol: Protocol) -> Ingested:
    """Read a release into `raw.*` and `quality.*` frames; writes nothing.

    Returns:
        The frames `raw.release`, `raw.patients`, `raw.treatments`, `raw.assessments`, `raw.events`,
        `quality.quarantine`, `quality.ingest_counts` and `quality.row_rules`.

    Raises:
        ReleaseRefused: something is wrong with the release as a whole; one plain sentence.
    """
    from pipelines.ingest.shape import RECORD_ID, hold_shape  # pandera's import would slow `lss check`

    manifest, judged = _judged(Path(folder), protocol)
    inspection = _inspection(manifest, judged)
    record_id = pl.format("{}:{}", FILE, LINE).alias(RECORD_ID)
    raw = {
        f"raw.{name}": hold_shape(judged[name].accepted.select(*table.column_names, record_id), table)
        for name, table in contract(protocol).items()
    }
    quality = {
        "quality.quarantine": inspection.quarantine,
        "quality.ingest_counts": inspection.counts,
        "quality.row_rules": inspection.rules,
    }
    return Ingested(manifest, inspection, {"raw.release": _about(manifest)} | raw | quality)


def _judged(folder: Path, protocol: Protocol) -> tuple[Manifest, dict[str, Judged]]:
    manifest = load_manifest(folder)
    tables = contract(protocol)
    files = {name: read_files(folder, manifest.table(name)) for name in TABLE_NAMES}
    _refuse_whole(manifest, tables, files)
    broken = {name: broken_places(parts) for name, parts in files.items()}

    def read(name: str) -> pl.DataFrame:
        return context.with_twins(typed(files.pop(name), tables[name]), tables[name])

    def judged(name: str, frame: pl.DataFrame) -> Judged:
        return judge(frame, tables[name], row_rules(tables[name], protocol), broken[name])

    listed = read("patients")
    patients = judged("patients", listed)
    known = context.patients_known(listed, patients.accepted)
    events = context.with_patient(read("events"), known)
    deaths = context.deaths(events)

    def of_patient(name: str) -> pl.DataFrame:
        return context.with_death(context.with_patient(read(name), known), deaths)

    return manifest, {
        "patients": patients,
        "treatments": judged(
            "treatments", context.with_code_tier(of_patient("treatments"), active_treatment_codes(), protocol)
        ),
        "assessments": judged("assessments", context.with_instrument(of_patient("assessments"), protocol)),
        "events": judged("events", context.with_death(events, deaths)),
    }


def _refuse_whole(manifest: Manifest, tables: dict[str, Table], files: dict[str, list[FileTable]]) -> None:
    """Everything that refuses a release as a whole, once its files are read; columns, then counts, then values."""
    for name, table in tables.items():
        for file in files[name]:
            guard.refuse_columns(file.columns, file.file, manifest.deidentification)
            require_columns(table, file.columns, file.file)
    for name in tables:
        hold_row_count(files[name], manifest.table(name))
    for name, table in tables.items():
        for file in files[name]:
            guard.refuse_identifiers(file, table)


def _inspection(manifest: Manifest, judged: dict[str, Judged]) -> Inspection:
    return Inspection(
        manifest.release,
        counts=pl.concat(part.counts for part in judged.values()),
        rules=pl.concat(part.rules for part in judged.values()),
        quarantine=pl.concat(part.quarantine for part in judged.values()),
        warnings=pl.concat(part.warnings for part in judged.values()),
    )


def _about(manifest: Manifest) -> pl.DataFrame:
    """`raw.release`: what the release says about itself, one row."""
    said = manifest.model_dump(include={"release", "source", "deidentification", "linkage", "data_use_agreement"})
    return pl.DataFrame(
        [said | {"manifest_sha256": manifest.manifest_sha256}], schema_overrides={"data_use_agreement": pl.String}
    )
