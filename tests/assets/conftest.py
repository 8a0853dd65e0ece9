"""A study small enough to run in seconds: a handful of simulated patients, two SQL tables, one check, one analysis."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pipelines.analyses import Analysis
from pipelines.analyses.reads import Reads
from pipelines.analyses.registry import Tables
from pipelines.analyses.schemas import ResultTable
from pipelines.assets import published
from pipelines.assets.instance import open_instance
from pipelines.assets.jobs import JOB
from pipelines.assets.runner import Finished, Watcher, run_release
from pipelines.definitions import build_defs
from pipelines.ingest.manifest import load_manifest
from pipelines.protocol import Protocol
from pipelines.releases import Home, Register
from pipelines.releases.register import registered
from pipelines.simulate import simulate
from pipelines.warehouse import open_warehouse

RELEASE = "tiny"
PATIENTS = """\
-- title: Patients
-- grain: patient_id
-- rule: Every accepted patient.
-- source: test
SELECT patient_id, age_years FROM raw.patients
"""
AGES = """\
-- title: Patients by age group
-- grain: is_old
-- rule: Old from the horizon's thousandth upwards, so that the table reads the protocol.
-- source: test
SELECT
    staging.patients.age_years > protocol.rules.horizon_days / 10 AS is_old,
    count(*) AS patients
FROM staging.patients
CROSS JOIN protocol.rules
GROUP BY staging.patients.age_years > protocol.rules.horizon_days / 10
"""
CHECK = """\
-- title: Every patient is counted
-- target: outcomes.ages
-- kind: reconciliation
-- blocking: true
-- meaning: Patients were lost while they were counted.
SELECT {violations} AS violations, count(*) AS rows_examined FROM outcomes.ages
"""
COUNTS = ResultTable(
    name="counts",
    title="Patients by age group",
    schema={"is_old": pl.Boolean, "patients": pl.Int64},
    descriptions={"is_old": "Old or not", "patients": "How many"},
)


def _count(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    return tables["outcomes.ages"]


@dataclass
class Tiny:
    """The small study; tests change its SQL or its analysis and run it."""

    home: Home
    sql: Path
    compute: Callable[[Tables, Protocol], pl.DataFrame] = _count
    steps: list[str] = field(default_factory=list)

    def definitions(self) -> dg.Definitions:
        """All that Dagster shows of the small study."""
        reads = {"outcomes.ages": Reads({"is_old": "is_old"}, ("patients",))}
        entry = Analysis(COUNTS, ("outcomes.ages", "staging.patients"), self.compute, "Counting.", reads=reads)
        return build_defs(self.home, self.sql, {"counts": entry})

    def job(self) -> dg.JobDefinition:
        """The whole job over the small study."""
        return self.definitions().resolve_job_def(JOB)

    def run(self, **config: Any) -> Finished:
        """Run the whole job."""
        self.steps.clear()
        watcher = Watcher(ended=self.steps.append)
        return run_release(self.home, RELEASE, self.job(), config, watcher)

    def write_sql(self, files: Mapping[str, str]) -> None:
        """Write SQL files, by their path under the folder."""
        for name, text in files.items():
            path = self.sql / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def patient_ids(self) -> set[str]:
        """All patients of the release."""
        with open_warehouse(self.home.working_file(RELEASE, "lss-ladder")) as warehouse:
            return set(warehouse.read("raw.patients")["patient_id"])

    @property
    def snapshot(self) -> Path:
        """Where the published snapshot stands."""
        return self.home.snapshot_file(RELEASE, "lss-ladder")


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of forty simulated patients."""
    folder = simulate(tmp_path_factory.mktemp("tiny") / "release", 40, 5, truth_patients=0)
    manifest = folder / "manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    name = load_manifest(folder).release
    manifest.write_text(text.replace(f'release = "{name}"', f'release = "{RELEASE}"'), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Dagster folder of a home before its first run, to be copied, since making it takes longer than a run."""
    home = Home(tmp_path_factory.mktemp("empty"))
    open_instance(home).dispose()
    return home.dagster


@pytest.fixture
def tiny(tmp_path: Path, tiny_release: Path, empty_history: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """The small study in a new home, with a report of one line."""
    home = Home(tmp_path / "home")
    shutil.copytree(empty_history, home.dagster)
    study = Tiny(home, tmp_path / "sql")
    study.write_sql(
        {
            "staging/patients.sql": PATIENTS,
            "outcomes/ages.sql": AGES,
            "checks/all_counted.sql": CHECK.format(violations=0),
        }
    )

    def write_report(home: Home, release: str, protocol: str) -> dict[str, Path]:
        path = home.report_folder(release, protocol) / "report.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<p>report</p>")
        return {"html": path}

    monkeypatch.setattr(published, "write_report", write_report)
    sha256 = load_manifest(tiny_release).manifest_sha256
    Register(home).add(registered(RELEASE, tiny_release, sha256, "lss-ladder", None))
    return study
