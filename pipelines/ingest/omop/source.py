"""An OMOP source behind the seam of `sources.py`."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from pipelines.ingest.codelists import effective_codes
from pipelines.ingest.manifest import Manifest
from pipelines.ingest.omop.doors import CdmTable, OmopSettings, read_cdm
from pipelines.ingest.omop.tables import Made, contract_tables
from pipelines.ingest.rules import Rule
from pipelines.ingest.sources import ACCOUNT_SCHEMA, REFUSED
from pipelines.ingest.tables import FILE, FileTable
from pipelines.protocol import Protocol

_GIVEN_BY = {
    "patients": ("person", "observation_period"),
    "treatments": ("procedure_occurrence", "episode"),
    "assessments": ("measurement", "observation"),
    "events": ("death", "condition_occurrence", "visit_occurrence", "drug_exposure"),
}  # where a row that cannot be divided into fields is counted


class OmopSource:
    """The four tables of a cohort, made at once from a CDM."""

    def __init__(self, cdm: dict[str, CdmTable], content_sha256: str, made: Made) -> None:
        self.content_sha256 = content_sha256
        self._cdm, self._made = cdm, made

    def tables(self, name: str) -> Iterator[FileTable]:
        """One table of the contract, a part for each file of the source that gives rows of it."""
        frame = self._made.tables[name]
        broken = {file: lines for given in _GIVEN_BY[name] for file, lines in self._cdm[given].broken}
        files = list(dict.fromkeys([*frame[FILE].unique(maintain_order=True), *broken])) or [_GIVEN_BY[name][0]]
        for file in files:
            yield FileTable(file, frame.filter(pl.col(FILE) == file).drop(FILE), broken.get(file, ()))

    def rules(self, name: str) -> tuple[Rule, ...]:
        """None: a record without a day or a value is refused by the contract's own rules."""
        return ()

    def account(self) -> pl.DataFrame:
        """What became of the source's rows: source_table, rows_read, outcome, row_count."""
        rows = [(table, self._cdm[table].rows, outcome, count) for table, outcome, count in self._made.outcomes]
        for table in dict.fromkeys(table for table, _, _ in self._made.outcomes):
            broken = sum(len(lines) for _, lines in self._cdm[table].broken)
            rows.append((table, self._cdm[table].rows, REFUSED, broken))
        return pl.DataFrame(rows, schema=ACCOUNT_SCHEMA, orient="row")


def open_source(folder: Path, manifest: Manifest, protocol: Protocol) -> OmopSource:
    """The source of a release of this format.

    Raises:
        ReleaseRefused: the manifest does not fit, the source cannot be read, or nobody in it is eligible.
    """
    settings = manifest.settings(OmopSettings)
    codes = effective_codes(folder, manifest, protocol)
    cdm, content_sha256 = read_cdm(folder, manifest, settings, codes)
    return OmopSource(cdm, content_sha256, contract_tables(cdm, settings, codes, protocol))
