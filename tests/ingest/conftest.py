"""A small clean release made by hand, and a helper that writes it, so that a test changes one thing and no more."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.protocol import Protocol, load_protocol
from pipelines.resources import default_protocol_file

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

PATIENT = {
    "patient_id": "P-01",
    "site_id": "S1",
    "enrolment_year": "2020",
    "age_years": "71",
    "sex": "female",
    "bmi": "28.4",
    "smoking": "never",
    "comorbidity_count": "2",
    "diabetes": "false",
    "depression": "false",
    "opioid_use": "true",
    "prior_lumbar_surgery": "false",
    "spondylolisthesis": "true",
    "stenosis_grade": "C",
    "stenotic_levels": "2",
    "symptom_months": "14.5",
    "last_contact_day": "700",
    "administrative_end_day": "800",
}
TREATMENT = {"treatment_id": "T-01", "patient_id": "P-01", "day": "0", "tier": "esi", "site_id": "S1"}
SCORE = {
    "patient_id": "P-01",
    "day": "0",
    "instrument": "nrs_leg",
    "value": "7",
    "unit": "points",
    "mode": "clinic",
    "duration_s": "",
    "stop_reason": "",
}
WALK = SCORE | {"instrument": "spwt", "value": "320", "unit": "m", "duration_s": "400", "stop_reason": "claudication"}
EVENT = {"patient_id": "P-01", "day": "300", "event": "readmission"}

Rows = list[dict[str, str]]


class Release:
    """Rows of the four tables, to be changed and then written as CSV with a manifest that fits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        second = {"patient_id": "P-02"}
        self.tables: dict[str, Rows] = {
            "patients": [dict(PATIENT), PATIENT | second | {"age_years": "66", "sex": "male"}],
            "treatments": [dict(TREATMENT), TREATMENT | second | {"treatment_id": "T-02", "tier": "laminectomy"}],
            "assessments": [dict(SCORE), dict(WALK), SCORE | second],
            "events": [dict(EVENT), EVENT | second | {"day": "650", "event": "death"}],
        }
        self.columns = {name: list(rows[0]) for name, rows in self.tables.items()}
        self.about: dict[str, Any] = {
            "release": "hand-made",
            "source": "written by hand",
            "deidentification": "synthetic",
            "linkage": "all payers",
        }
        self.bytes: dict[str, bytes] = {}

    def csv(self, name: str) -> bytes:
        """The table as CSV bytes, quoted where a field needs it."""
        lines = [",".join(self.columns[name])]
        lines += [",".join(_field(row.get(column, "")) for column in self.columns[name]) for row in self.tables[name]]
        return ("\n".join(lines) + "\n").encode()

    def write(self, **manifest_changes: str) -> Path:
        """Write files and manifest; `manifest_changes` replaces the manifest's text for a table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f'{key} = "{value}"\n' for key, value in self.about.items())
        for name in self.tables:
            data = self.bytes.get(name, self.csv(name))
            (self.folder / f"{name}.csv").write_bytes(data)
            entry = _entry(f"{name}.csv", len(self.tables[name]), data)
            text += f"[tables.{name}]\n{manifest_changes.get(name, entry)}"
        (self.folder / "manifest.toml").write_text(text, encoding="utf-8")
        return self.folder

    def add(self, table: str, like: dict[str, str], **changes: str) -> None:
        """Append a row."""
        self.tables[table].append(like | changes)

    def set(self, table: str, row: int, **changes: str) -> None:
        """Change fields of a row; a column not there yet is added."""
        self.columns[table] += [name for name in changes if name not in self.columns[table]]
        self.tables[table][row] |= changes


def _entry(file: str, rows: int, data: bytes) -> str:
    return f'files = ["{file}"]\nrows = {rows}\nsha256 = ["{hashlib.sha256(data).hexdigest()}"]\n'


def _field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    """The protocol that travels with the package."""
    return load_protocol(default_protocol_file())


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A clean release of two patients."""
    return Release(tmp_path / "release")


@pytest.fixture
def make_release(tmp_path: Path) -> Callable[[str], Release]:
    """Several clean releases side by side."""
    return lambda name: Release(tmp_path / name)


@pytest.fixture(scope="session")
def templates() -> dict[str, dict[str, str]]:
    """One good row a table, and one good walking test, to build others from."""
    return {"patients": PATIENT, "treatments": TREATMENT, "assessments": SCORE, "walking": WALK, "events": EVENT}


@pytest.fixture(scope="session")
def with_pain(protocol: Protocol) -> Protocol:
    """The protocol with a pain score whose body site is not said, as LOINC 72514-3 gives it."""
    leg = protocol.instrument("nrs_leg")
    pain = leg.model_copy(update={"name": "nrs_pain", "thresholds": ()})
    return protocol.model_copy(update={"instruments": (*protocol.instruments, pain)})


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that lives as long as the tests; it has a socket and no port."""
    if not SERVERS:
        pytest.skip("PostgreSQL is not installed")
    is_root = os.geteuid() == 0
    if is_root and not shutil.which("runuser"):
        pytest.skip("PostgreSQL refuses to run as root, and runuser is missing")
    home = Path(subprocess.check_output(["mktemp", "-d", "/tmp/lss-pg-XXXXXX"], text=True).strip())
    as_user = ["runuser", "-u", "postgres", "--"] if is_root else []
    if is_root:
        shutil.chown(home, "postgres")
    data, programs = home / "data", SERVERS[-1].parent
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_user, programs / "initdb", "-D", data, "-U", "reader", "-A", "trust", "-N"], **quiet)  # type: ignore[call-overload]
    options = f"-k {home} -c listen_addresses='' -F"
    subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-w", "-o", options, "start"], **quiet)  # type: ignore[call-overload]
    try:
        yield f"postgresql:///postgres?host={home}&user=reader"
    finally:
        subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
        shutil.rmtree(home, ignore_errors=True)
