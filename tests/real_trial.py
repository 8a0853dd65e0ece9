"""A real trial of back pain as a release folder, for the tests that run the whole job on data nobody simulated.

The table (Ashar et al. 2022, CC0) is not part of the project: it is read from the folder shared beside the checkout,
and tests that need it skip where it is absent. Groups are coded 1 pain reprocessing therapy, 2 placebo, 3 usual care;
one patient without an arm and the healthy controls are left out.
"""

import csv
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT.parent / "shared" / "reference" / "data" / "Ashar2022_outcomes_demographics.csv"
PROTOCOL = ROOT / "tests" / "protocols" / "back_pain.toml"
ABSENT = f"the shared reference table {TABLE.name} is not in the folder beside the checkout"

ARMS = {"1": "prt", "2": "placebo", "3": "usual_care"}
DAY = {"1": 0, "2": 28}
INSTRUMENTS = {"pain_average": "pain_avg", "odi": "odi"}
LAST_DAY = 60

PATIENT_COLUMNS = (
    "patient_id",
    "site_id",
    "enrolment_year",
    "age_years",
    "sex",
    "bmi",
    "smoking",
    "comorbidity_count",
    "diabetes",
    "depression",
    "opioid_use",
    "prior_lumbar_surgery",
    "spondylolisthesis",
    "stenosis_grade",
    "stenotic_levels",
    "symptom_months",
    "last_contact_day",
    "administrative_end_day",
)
TREATMENT_COLUMNS = ["treatment_id", "patient_id", "day", "tier", "site_id"]
ASSESSMENT_COLUMNS = ["patient_id", "day", "instrument", "value", "unit", "mode", "duration_s", "stop_reason"]
EVENT_COLUMNS = ["patient_id", "day", "event"]


def is_present() -> bool:
    """Whether the trial's table can be read here."""
    return TABLE.is_file()


def write_release(folder: Path, release: str = "back-pain-trial") -> Path:
    """Write the trial as a release folder (manifest and four CSV tables) and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    visits = _visits()
    first = {row["id"]: row for row in reversed(visits)}
    tables = {
        "patients": (PATIENT_COLUMNS, [_patient(row) for row in first.values()]),
        "treatments": (TREATMENT_COLUMNS, [_treatment(row) for row in first.values()]),
        "assessments": (ASSESSMENT_COLUMNS, [a for row in visits for a in _assessments(row)]),
        "events": (EVENT_COLUMNS, []),
    }
    sections = [
        f'release = "{release}"\nsource = "trial"\ndeidentification = "safe_harbor"\nlinkage = "none"\n'
        'data_use_agreement = ""\n'
    ]
    for name, (columns, rows) in tables.items():
        path = folder / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sections.append(f'[tables.{name}]\nfiles = ["{path.name}"]\nrows = {len(rows)}\nsha256 = ["{digest}"]\n')
    (folder / "manifest.toml").write_text("\n".join(sections), encoding="utf-8")
    return folder


def _visits() -> list[dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["is_patient"] == "1" and row["group"] in ARMS]
    return sorted(rows, key=lambda row: (int(row["id"]), int(row["time"])))


def _patient_id(row: dict[str, str]) -> str:
    return f"trial-{int(row['id']):04d}"


def _patient(row: dict[str, str]) -> dict[str, object]:
    return {
        "patient_id": _patient_id(row),
        "site_id": "trial",
        "enrolment_year": 2017,
        "age_years": _number(row["age"]),
        "last_contact_day": LAST_DAY,
        "administrative_end_day": LAST_DAY,
    }


def _treatment(row: dict[str, str]) -> dict[str, object]:
    return {
        "treatment_id": f"arm-{int(row['id']):04d}",
        "patient_id": _patient_id(row),
        "day": 0,
        "tier": ARMS[row["group"]],
        "site_id": "trial",
    }


def _assessments(row: dict[str, str]) -> list[dict[str, object]]:
    return [
        {
            "patient_id": _patient_id(row),
            "day": DAY[row["time"]],
            "instrument": instrument,
            "value": row[column],
            "unit": "points",
            "mode": "web",
        }
        for instrument, column in INSTRUMENTS.items()
        if _number(row[column])
    ]


def _number(text: str) -> str:
    return "" if text in ("", "NaN", "<undefined>") else text
