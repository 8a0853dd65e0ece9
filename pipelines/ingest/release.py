"""From a release folder to accepted tables, quarantine and counts: the order in which ingest does its work.

Nothing is written. First everything that can refuse the release (manifest, hashes, columns, identifiers, counts), then
rows: patients, events (deaths must be known), treatments, assessments.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.ingest import context, guard
from pipelines.ingest.anonymity import anonymity, anonymity_groups, known_of_patients
from pipelines.ingest.codelists import effective_codes, tiers_of_codes
from pipelines.ingest.contract import Table, contract, require_columns
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import Manifest, load_manifest, stray_files
from pipelines.ingest.parsing import in_seconds, typed
from pipelines.ingest.quarantine import Judged, judge, refused_places
from pipelines.ingest.rules import row_rules
from pipelines.ingest.sources import USED, Source, open_source
from pipelines.ingest.tables import FIELD, FILE, LINE, RECORD_ID, ROW
from pipelines.protocol import Protocol

NO_PATIENT = "no patient is left to study: the release has none, or the row of each is kept aside"


@dataclass(frozen=True)
class Inspection:
    """What ingest found in a release that it does not refuse.

    Attributes:
        release: the release's name.
        counts: table_name, rows_read, rows_accepted, rows_quarantined; one row a table.
        rules: rule, table_name, severity, reason, violations; one row a rule, also those never violated.
        quarantine: file, line, column, rule, reason; one row a problem.
        warnings: as `quarantine`, for rows that carry on.
        anonymity: how many accepted patients share the protocol's quasi-identifiers (`anonymity.anonymity`).
        anonymity_groups: the groups of patients alike in all of them, the smallest first.
        account: source_table, rows_read, outcome, row_count: what became of the source's own rows.
        empty_columns: table_name and column of what every release should tell and this one never does.
        stray_files: names of files in the folder that the manifest does not name; nothing of them is read.
        content_sha256: what tells this content from another under the same name.
    """

    release: str
    counts: pl.DataFrame
    rules: pl.DataFrame
    quarantine: pl.DataFrame
    warnings: pl.DataFrame
    anonymity: pl.DataFrame
    anonymity_groups: pl.DataFrame
    account: pl.DataFrame
    empty_columns: pl.DataFrame
    stray_files: tuple[str, ...]
    content_sha256: str

    @property
    def rows_quarantined(self) -> int:
        """Rows kept aside, over all tables."""
        return int(self.counts["rows_quarantined"].sum())

    @property
    def has_patients(self) -> bool:
        """Whether a patient was accepted, without whom there is nothing to study or to publish."""
        return bool(self.counts.filter(table_name="patients")["rows_accepted"].sum())

    @property
    def has_strange_rows(self) -> bool:
        """Whether the source holds rows that are no records of the study, so that its own account is worth telling."""
        return not self.account.filter(pl.col("outcome") != USED).is_empty()

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
    return _inspection(Path(folder), *_judged(Path(folder), protocol), protocol)


def read_release(folder: Path, protocol: Protocol) -> Ingested:
    """Read a release into `raw.*` and `quality.*` frames; writes nothing.

    Returns:
        The frames `raw.release`, `raw.patients`, `raw.treatments`, `raw.assessments`, `raw.events`, `raw.codes`,
        `quality.quarantine`, `quality.ingest_counts`, `quality.row_rules`, `quality.anonymity`,
        `quality.anonymity_groups`, `quality.input_files` and `quality.source_counts`.

    Raises:
        ReleaseRefused: something is wrong with the release as a whole, or no patient is left; one plain sentence.
    """
    from pipelines.ingest.shape import hold_shape  # pandera's import would slow `lss check`

    manifest, source, codes, judged = _judged(Path(folder), protocol)
    inspection = _inspection(Path(folder), manifest, source, codes, judged, protocol)
    if not inspection.has_patients:
        raise ReleaseRefused(f"{NO_PATIENT}; lss check names the rules and lines to mend")
    raw = {
        f"raw.{name}": hold_shape(
            accepted.select(*table.column_names, _record_id(accepted.columns).alias(RECORD_ID)), table
        )
        for name, table in contract(protocol).items()
        for accepted in [judged[name].accepted]
    }
    quality = {
        "quality.quarantine": inspection.quarantine,
        "quality.ingest_counts": inspection.counts,
        "quality.row_rules": inspection.rules,
        "quality.anonymity": inspection.anonymity,
        "quality.anonymity_groups": inspection.anonymity_groups,
        "quality.input_files": _input_files(manifest, source),
        "quality.source_counts": inspection.account,
    }
    return Ingested(manifest, inspection, {"raw.release": _about(manifest), "raw.codes": codes} | raw | quality)


def _record_id(columns: Sequence[str]) -> pl.Expr:
    """Where an accepted row stands: file and line, and the field where a line gave several records."""
    line = pl.format("{}:{}", FILE, LINE)
    return pl.coalesce(pl.format("{}:{}", line, FIELD), line) if FIELD in columns else line


@dataclass(frozen=True)
class _Read:
    """One table as read: typed rows over all files, and the places of rows that no record could be made of."""

    frame: pl.DataFrame
    refused: pl.DataFrame


def _read(source: Source, manifest: Manifest, table: Table, known: dict[str, pl.Series]) -> _Read:
    """Read one table file by file, past everything that can refuse the release.

    `known` are values that the guard need not look at again: pseudonyms of patients, codes of the code lists.
    """
    files, parts, refused = [], [], []
    for given in source.tables(table.name):
        file = in_seconds(given) if table.name == "assessments" else given
        guard.refuse_columns(file.columns, file.file, manifest.deidentification)
        require_columns(table, file.columns, file.file)
        guard.refuse_identifiers(file, table, known)
        files.append(file.file)
        parts.append(typed(file, table))
        refused.append(refused_places(file, table.name))
    named = pl.Enum(list(dict.fromkeys(files)))
    placed = [part.with_columns(pl.lit(file, dtype=named).alias(FILE)) for part, file in zip(parts, files, strict=True)]
    frame = pl.concat(placed, how="diagonal").with_row_index(ROW)
    guard.refuse_numbers_and_texts(frame, table, known["patient_id"])
    if table.name == "patients":
        guard.refuse_unattested(frame, manifest.deidentification, manifest.pseudonyms == "random")
    return _Read(frame, pl.concat(refused))


def _judged(folder: Path, protocol: Protocol) -> tuple[Manifest, Source, pl.DataFrame, dict[str, Judged]]:
    """All four tables judged, with the tiers of the release's codes.

    Patients come first, then events, since deaths must be known for the rest.
    """
    try:
        return _judged_in_order(folder, protocol)
    except MemoryError:
        raise ReleaseRefused(
            "the release does not fit into the memory of this machine; "
            "read it on a larger one, or hand over less at once"
        ) from None


def _judged_in_order(folder: Path, protocol: Protocol) -> tuple[Manifest, Source, pl.DataFrame, dict[str, Judged]]:
    manifest = load_manifest(folder)
    tables = contract(protocol)
    codes = tiers_of_codes(effective_codes(folder, manifest, protocol))
    listed_codes = {name: codes[name].unique() for name in ("code", "code_system")}
    source = open_source(folder, manifest, protocol)

    def read(name: str, patients: pl.Series) -> _Read:
        return _read(source, manifest, tables[name], {"patient_id": patients, **listed_codes})

    def judged(name: str, read: _Read, seen: pl.LazyFrame) -> Judged:
        rules = row_rules(tables[name], protocol)
        return judge(read.frame, seen, tables[name], rules, read.refused, source.rules(name))

    listed = read("patients", pl.Series([], dtype=pl.String))
    patients = judged("patients", listed, context.with_twins(listed.frame, tables["patients"]))
    known = context.patients_known(listed.frame, patients.accepted)

    def in_context(name: str, read: _Read) -> pl.LazyFrame:
        return context.with_patient(context.with_twins(read.frame, tables[name]), known)

    happened = read("events", known["patient_id"])
    deaths = context.deaths(in_context("events", happened))
    events = judged("events", happened, context.with_death(in_context("events", happened), deaths))

    given = read("treatments", known["patient_id"])
    seen = context.with_death(in_context("treatments", given), deaths)
    seen = context.with_code_tier(seen, codes, tables["treatments"])
    treatments = judged("treatments", given, seen)

    asked = read("assessments", known["patient_id"])
    seen = context.with_death(in_context("assessments", asked), deaths)
    assessments = judged("assessments", asked, context.with_instrument(seen, protocol, tables["assessments"]))
    by_name = {"patients": patients, "treatments": treatments, "assessments": assessments, "events": events}
    return manifest, source, codes, by_name


def _inspection(
    folder: Path, manifest: Manifest, source: Source, codes: pl.DataFrame, judged: dict[str, Judged], protocol: Protocol
) -> Inspection:
    accepted = (judged["patients"].accepted, judged["treatments"].accepted)
    tables = contract(protocol)
    known = known_of_patients(*accepted, codes, tables["treatments"], protocol)
    return Inspection(
        manifest.release,
        counts=pl.concat(part.counts for part in judged.values()),
        rules=pl.concat(part.rules for part in judged.values()),
        quarantine=pl.concat(part.quarantine for part in judged.values()),
        warnings=pl.concat(part.warnings for part in judged.values()),
        anonymity=anonymity(known, protocol),
        anonymity_groups=anonymity_groups(known, protocol),
        account=source.account(),
        empty_columns=_empty_columns(judged, tables),
        stray_files=stray_files(folder, manifest),
        content_sha256=_content_sha256(manifest, source),
    )


def _empty_columns(judged: dict[str, Judged], tables: dict[str, Table]) -> pl.DataFrame:
    """Columns that a release cannot leave out and that hold nothing in any accepted row, where there are rows."""
    rows = [
        (name, column.name)
        for name, table in tables.items()
        for column in table.columns
        if column.is_required and judged[name].accepted.height
        if judged[name].accepted[column.name].null_count() == judged[name].accepted.height
    ]
    return pl.DataFrame(rows, schema={"table_name": pl.String, "column": pl.String}, orient="row")


def _content_sha256(manifest: Manifest, source: Source) -> str:
    """The manifest's hash, since it names the hashes of all files; a database's content is hashed with it."""
    if not source.content_sha256:
        return manifest.manifest_sha256
    return hashlib.sha256(f"{manifest.manifest_sha256} {source.content_sha256}".encode()).hexdigest()


def _about(manifest: Manifest) -> pl.DataFrame:
    """`raw.release`: what the release says about itself, one row."""
    said = manifest.model_dump(include={"release", "source", "deidentification", "linkage", "data_use_agreement"})
    return pl.DataFrame(
        [said | {"manifest_sha256": manifest.manifest_sha256}], schema_overrides={"data_use_agreement": pl.String}
    )


def _input_files(manifest: Manifest, source: Source) -> pl.DataFrame:
    """`quality.input_files`: one row for each file that was read, and one for the content of a database."""
    database = [(manifest.format, "database", source.content_sha256)] if source.content_sha256 else []
    return pl.DataFrame([*manifest.input_files, *database], schema=["table_name", "file", "sha256"], orient="row")
