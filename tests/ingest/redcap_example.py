"""Some patients of the bundled release written as a longitudinal REDCap export, and the mapping that reads it back.

A visit holds the questionnaires of its day; visits, treatments, walks and other events are repeating instruments. ODI
stands there as items, the smoking habit and sex as codes, comorbidities as ticked boxes.
"""

import hashlib
from pathlib import Path

import polars as pl

from pipelines.resources import sample_release

SEX = {"female": "1", "male": "2", "other": "3"}
SMOKING = {"never": "0", "former": "1", "current": "2"}
YES_NO = {"true": "1", "false": "0"}
BOOLEANS = ("diabetes", "depression", "opioid_use", "prior_lumbar_surgery", "spondylolisthesis")
SCORES = ("nrs_leg", "nrs_back")
WALKING = ("spwt", "six_minute_walk")

MAPPING = """
record = "record_id"
ignore = ["*_complete"]

[patients]
events = ["enrolment_arm_1"]
[patients.columns]
site_id = "site"
enrolment_year = "year"
age_years = "age"
sex = { field = "sex", choices = { 1 = "female", 2 = "male", 3 = "other" } }
bmi = "bmi"
smoking = { field = "smoking", choices = { 0 = "never", 1 = "former", 2 = "current" } }
comorbidity_count = { count = ["comorb___1", "comorb___2", "comorb___3", "comorb___4", "comorb___5", "comorb___6", \
"comorb___7", "comorb___8", "comorb___9"] }
diabetes = { checked = "history___1" }
depression = { checked = "history___2" }
opioid_use = { checked = "history___3" }
prior_lumbar_surgery = { checked = "history___4" }
spondylolisthesis = { checked = "history___5" }
stenosis_grade = "grade"
stenotic_levels = "levels"
symptom_months = "months"
last_contact_day = { field = "last_contact", event = "end_of_study_arm_1" }
administrative_end_day = { field = "data_cut", event = "end_of_study_arm_1" }

[[treatments]]
repeat_instrument = "treatment"
[treatments.columns]
treatment_id = "treatment_no"
day = "treatment_day"
tier = "tier"
code = "code"
code_system = "code_system"
site_id = "treatment_site"

[[assessments]]
instrument = "nrs_leg"
events = ["visit_arm_1"]
repeat_instrument = "visit"
columns = { day = "visit_day", value = "nrs_leg", mode = "visit_mode" }

[[assessments]]
instrument = "nrs_back"
events = ["visit_arm_1"]
repeat_instrument = "visit"
columns = { day = "visit_day", value = "nrs_back", mode = "visit_mode" }

[[assessments]]
instrument = "odi"
events = ["visit_arm_1"]
repeat_instrument = "visit"
items = ["odi_1", "odi_2", "odi_3", "odi_4", "odi_5", "odi_6", "odi_7", "odi_8", "odi_9", "odi_10"]
columns = { day = "visit_day", mode = "visit_mode" }

[[assessments]]
instrument = "spwt"
repeat_instrument = "walk"
[assessments.columns]
day = "walk_day"
value = "walk_distance"
unit = "walk_unit"
mode = "walk_mode"
duration_s = "walk_seconds"
stop_reason = "walk_stop"

[[events]]
repeat_instrument = "adverse_event"
columns = { day = "event_day", event = "event" }
"""

ABOUT = 'source = "a REDCap project"\nlinkage = "all payers"\nformat = "redcap"\n'


def native_tables(patients: int) -> dict[str, pl.DataFrame]:
    """The first patients of the bundled release, clean rows with pain, walks and a made ODI of 0 to 50 items' sum."""
    tables = {
        name: pl.read_csv(sample_release() / f"{name}.csv", infer_schema=False)
        for name in ("patients", "treatments", "assessments", "events")
    }
    known = tables["patients"].unique("patient_id", keep="none", maintain_order=True)
    known = (
        known.drop_nulls(BOOLEANS).filter(pl.col("comorbidity_count").cast(pl.Int64).is_between(0, 9)).head(patients)
    )
    tables = {
        name: frame.join(known, on="patient_id", how="semi", maintain_order="left") for name, frame in tables.items()
    }
    asked = pl.col("instrument").is_in([*SCORES, "spwt"])
    scores = tables["assessments"].filter(asked)
    made = scores.filter(instrument="nrs_leg").with_columns(
        instrument=pl.lit("odi"),
        value=((pl.col("value").cast(pl.Float64) * 5).clip(0, 50).round() * 2).cast(pl.String),
    )
    tables["assessments"] = pl.concat([scores, made]).unique(["patient_id", "day", "instrument"], maintain_order=True)
    optional = ("back_dominant", "workers_comp", "insurance", "education", "site_sequence")
    tables["patients"] = known.drop(optional, strict=False)
    kept = ("treatment_id", "patient_id", "day", "tier", "code", "code_system", "site_id")
    tables["treatments"] = tables["treatments"].select(kept)
    return tables


def export(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The flat export of those tables: every row of one record, event and instance."""
    rows: list[dict[str, str | None]] = []
    for patient in tables["patients"].iter_rows(named=True):
        rows += [_enrolled(patient), _ended(patient)]
    rows += [_treated(row, place) for place, row in enumerate(tables["treatments"].iter_rows(named=True), 1)]
    rows += _visits(tables["assessments"])
    rows += [_event(row, place) for place, row in enumerate(tables["events"].iter_rows(named=True), 1)]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(visit_complete=pl.lit("2"))


def write(folder: Path, flat: pl.DataFrame, mapping: str = MAPPING, mode: str = "synthetic", **about: str) -> Path:
    """The export, its mapping and a manifest as a release folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data, toml = flat.write_csv().encode(), mapping.encode()
    (folder / "export.csv").write_bytes(data)
    (folder / "redcap.toml").write_bytes(toml)
    more = "".join(f'{key} = "{value}"\n' for key, value in about.items())
    hashes = [hashlib.sha256(content).hexdigest() for content in (data, toml)]
    (folder / "manifest.toml").write_text(
        f'release = "from-redcap"\ndeidentification = "{mode}"\n{ABOUT}{more}'
        f'[tables.redcap]\nfiles = ["export.csv"]\nrows = {flat.height}\nsha256 = ["{hashes[0]}"]\n'
        f'[redcap]\nmapping = "redcap.toml"\nsha256 = "{hashes[1]}"\n'
    )
    return folder


def write_some(folder: Path) -> Path:
    """Twenty patients as a release folder."""
    return write(folder, export(native_tables(20)))


def _row(record: str, event: str, instrument: str | None = None, instance: int | None = None) -> dict[str, str | None]:
    number = None if instance is None else str(instance)
    return {
        "record_id": record, "redcap_event_name": event,
        "redcap_repeat_instrument": instrument, "redcap_repeat_instance": number,
    }  # fmt: skip


def _enrolled(p: dict[str, str]) -> dict[str, str | None]:
    count = int(p["comorbidity_count"])
    boxes = {f"comorb___{box}": "1" if box <= count else "0" for box in range(1, 10)}
    history = {f"history___{box}": YES_NO[p[name]] for box, name in enumerate(BOOLEANS, 1)}
    plain = {
        "site": "site_id", "year": "enrolment_year", "age": "age_years", "bmi": "bmi", "grade": "stenosis_grade",
        "levels": "stenotic_levels", "months": "symptom_months",
    }  # fmt: skip
    coded = {"sex": SEX.get(p["sex"]), "smoking": SMOKING.get(p["smoking"], p["smoking"])}
    return _row(p["patient_id"], "enrolment_arm_1") | boxes | history | coded | {k: p[v] for k, v in plain.items()}


def _ended(p: dict[str, str]) -> dict[str, str | None]:
    return _row(p["patient_id"], "end_of_study_arm_1") | {
        "last_contact": p["last_contact_day"], "data_cut": p["administrative_end_day"]
    }  # fmt: skip


def _treated(t: dict[str, str], place: int) -> dict[str, str | None]:
    return _row(t["patient_id"], "care_arm_1", "treatment", place) | {
        "treatment_no": t["treatment_id"], "treatment_day": t["day"], "tier": t["tier"], "code": t["code"],
        "code_system": t["code_system"], "treatment_site": t["site_id"],
    }  # fmt: skip


def _event(e: dict[str, str], place: int) -> dict[str, str | None]:
    return _row(e["patient_id"], "care_arm_1", "adverse_event", place) | {"event_day": e["day"], "event": e["event"]}


def _visits(assessments: pl.DataFrame) -> list[dict[str, str | None]]:
    rows = []
    asked = assessments.filter(pl.col("instrument") != "spwt")
    for place, ((patient, day, mode), visit) in enumerate(
        asked.group_by("patient_id", "day", "mode", maintain_order=True)
    ):
        values = dict(visit.select("instrument", "value").iter_rows())
        fields = {name: values.get(name) for name in SCORES} | _odi_items(values.get("odi"))
        rows.append(
            _row(str(patient), "visit_arm_1", "visit", place + 1) | {"visit_day": day, "visit_mode": mode} | fields
        )
    for place, w in enumerate(assessments.filter(instrument="spwt").iter_rows(named=True), 1):
        fields = {
            "walk_day": w["day"], "walk_distance": w["value"], "walk_unit": w["unit"], "walk_mode": w["mode"],
            "walk_seconds": w["duration_s"], "walk_stop": w["stop_reason"],
        }  # fmt: skip
        rows.append(_row(w["patient_id"], "care_arm_1", "walk", place) | fields)
    return rows


def _odi_items(score: str | None) -> dict[str, str | None]:
    """Ten items of 0 to 5 whose sum is half the score."""
    if score is None:
        return {f"odi_{item}": None for item in range(1, 11)}
    total = round(float(score) / 2)
    return {f"odi_{item}": str(total // 10 + (item <= total % 10)) for item in range(1, 11)}
