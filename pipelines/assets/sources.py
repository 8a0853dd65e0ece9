"""The assets at the head of the flow: the release taken in (`raw.*`, `quality.*`) and the protocol (`protocol.*`)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg

from pipelines.assets.parts import Made, TableAsset, tables_step
from pipelines.assets.protocol import write_protocol
from pipelines.assets.records import begin_anew
from pipelines.assets.study import Study
from pipelines.derive import SqlCheck
from pipelines.derive.base_tables import PROTOCOL, QUALITY, RAW
from pipelines.ingest import ReleaseRefused, read_release
from pipelines.releases import Register, ReleaseError
from pipelines.releases.snapshot import DOCUMENT

ABOUT = {
    "raw.release": "What the release says about itself: its manifest, one row.",
    "raw.patients": "One row for each accepted patient, as the release gave it.",
    "raw.treatments": "One row for each accepted treatment record, as the release gave it.",
    "raw.assessments": "One row for each accepted questionnaire score or walking test, in the release's own units.",
    "raw.events": "One row for each accepted event: death, withdrawal, complication, readmission and others.",
    "raw.codes": "Treatment codes in use, each with its tier: the bundled list with what the release's own change.",
    "quality.quarantine": "One row for each problem of a refused record: file, line, column, rule and a plain reason; "
    "the value itself is not kept.",
    "quality.ingest_counts": "Rows read, accepted and quarantined for each table; they reconcile.",
    "quality.row_rules": "Every row rule with the number of its violations.",
    "quality.anonymity": "How many patients stand in groups smaller than the protocol wants, by all quasi-identifiers "
    "together and with each one left out (k-anonymity).",
    "quality.source_counts": "What became of the source's own rows, by table: used, quarantined by the reader, or set "
    "aside and why; they add up to the rows read.",
    "quality.anonymity_groups": "Every group of patients alike in all quasi-identifiers, with its size; protected.",
    "quality.input_files": "Every file that the release was read from, with its SHA-256.",
    "protocol.study": "Name, version and hash of the effective protocol, one row.",
    "protocol.rules": "Baseline span, planned stages, headline horizon and smallest count that may be shown.",
    "protocol.tiers": "The treatment ladder, lowest rung first.",
    "protocol.instruments": "Questionnaires and walking tests: range, direction, unit, time limit.",
    "protocol.units": "Units that a release may use, with the factor to the standard unit.",
    "protocol.thresholds": "What counts as a response, with its citation.",
    "protocol.windows": "Follow-up visits: nominal day and the days that belong to it.",
    "protocol.endpoints": "Time-to-event endpoints.",
    "protocol.endpoint_treatments": "Which later tier is an event for which endpoint and tier of the episode.",
    "protocol.endpoint_relapses": "Which relapses count for which endpoint.",
    "protocol.relapses": "What counts as the return of a symptom after a response.",
    "protocol.endpoint_events": "Which recorded events count for which endpoint.",
    "protocol.competing_events": "Events that compete with every endpoint.",
    "protocol.contrasts": "Neighbouring tiers that are compared, and the endpoint of each comparison.",
    "protocol.literature": "Published figures that were read in their source, each with its citation.",
    DOCUMENT: "The effective protocol whole, as JSON, with its hash.",
}


def source_assets(checks: Mapping[str, Sequence[SqlCheck]]) -> list[dg.AssetsDefinition]:
    """The two steps that everything else starts from, with the checks of their tables by table name."""
    taken_in = [_asset(name, types, checks, "csv") for name, types in {**RAW, **QUALITY}.items()]
    laid_out = [_asset(name, types, checks, "toml") for name, types in {**PROTOCOL, DOCUMENT: {}}.items()]
    return [tables_step("ingest", taken_in, _take_in), tables_step("protocol", laid_out, _lay_out)]


def _asset(name: str, types: Mapping[str, str], checks: Mapping[str, Sequence[SqlCheck]], kind: str) -> TableAsset:
    return TableAsset(name, ABOUT[name], types=types, checks=tuple(checks.get(name, ())), kinds=(kind, "duckdb"))


def _take_in(study: Study) -> Iterator[Made]:
    """Read the whole release before the first write, so that a refused one changes nothing."""
    try:
        ingested = read_release(Path(study.release.folder), study.protocol)
    except ReleaseRefused:
        if not study.home.snapshot_file(study.release.name, study.protocol.name).exists():
            Register(study.home).forget(study.release.name)  # a mended one may carry the name
        raise
    if ingested.inspection.content_sha256 != study.release.manifest_sha256:
        raise ReleaseError("the files of the release changed since it was registered; run: lss run RELEASE_DIR")
    begin_anew(study.warehouse)
    for name, frame in ingested.tables.items():
        start = time.monotonic()
        yield Made(name, study.warehouse.write(name, frame), time.monotonic() - start)


def _lay_out(study: Study) -> Iterator[Made]:
    for name, rows, seconds in write_protocol(study.warehouse, study.protocol):
        yield Made(name, rows, seconds)
