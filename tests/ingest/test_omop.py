"""OMOP sources against patients made by hand (`omop_example.py`), by four doors, and against a public data set."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import omop_example as example
import polars as pl
import pytest
from adbc_driver_postgresql import dbapi
from omop_records_example import Cdm
from polars.testing import assert_frame_equal

from pipelines.assets.inbox import Look
from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.manifest import load_manifest
from pipelines.ingest.sources import open_source
from pipelines.protocol import Protocol, load_protocol
from pipelines.releases import Home, Register
from pipelines.releases.settings import Settings
from pipelines.resources import default_protocol_file

SHARED = Path(__file__).resolve().parents[3] / "shared" / "omop" / "synthea27nj_cdm54_parquet.zip"
SYNTHEA_TABLES = (
    "person", "observation_period", "condition_occurrence", "procedure_occurrence", "measurement", "observation",
    "drug_exposure", "visit_occurrence", "visit_detail", "episode", "death", "care_site", "concept", "concept_ancestor",
)  # fmt: skip


def raw(folder: Path, protocol: Protocol) -> dict[str, pl.DataFrame]:
    """Accepted tables without the places of their rows, in one order."""
    tables = read_release(folder, protocol).tables
    names = ("patients", "treatments", "assessments", "events")
    return {name: tables[f"raw.{name}"].drop("record_id").sort(pl.all()) for name in names}


def entered(tables: dict[str, pl.DataFrame], age: int) -> str:
    return str(tables["patients"].filter(age_years=age)["patient_id"].item())


def test_days_and_tiers_of_a_patient_on_paper(tmp_path: Path, with_pain: Protocol) -> None:
    tables = raw(example.as_csv(tmp_path / "csv"), with_pain)
    first = entered(tables, 69)  # born in April 1950, 69 on the first of March 2020
    told = tables["treatments"].filter(patient_id=first).select("day", "tier", "code").sort("day", "code")
    assert told.rows() == [(30, "esi", "64483"), (100, "fusion", "22612"), (100, "laminectomy", "63047")]
    assert tables["assessments"].filter(patient_id=first).select("day", "value").sort("day").rows() == [
        (0, 7),
        (130, 3),
    ]
    patient = tables["patients"].filter(patient_id=first).row(0, named=True)
    assert (patient["sex"], patient["diabetes"], patient["depression"], patient["comorbidity_count"]) == (
        "female", True, False, 1,
    )  # fmt: skip
    assert (patient["enrolment_year"], patient["last_contact_day"], patient["bmi"]) == (2020, 365, None)
    assert patient["administrative_end_day"] == 670  # to 2021-12-31, the last day that the source sees


def test_the_oldest_patient_without_an_observation_period(tmp_path: Path, with_pain: Protocol) -> None:
    """91 years are pooled; the code without its dot is found; a cervical injection is none of ours, a spacer other."""
    tables = raw(example.as_csv(tmp_path / "csv"), with_pain)
    oldest = entered(tables, 90)
    assert tables["treatments"].filter(patient_id=oldest).select("day", "tier", "code").rows() == [
        (20, "other", "22869")
    ]
    assert tables["patients"].filter(patient_id=oldest)["last_contact_day"].item() == 20  # the last record


def test_death_and_an_impossible_score(tmp_path: Path, with_pain: Protocol) -> None:
    """A score of 12 goes to quarantine by the file and row it stands in."""
    folder = example.as_csv(tmp_path / "csv")
    assert raw(folder, with_pain)["events"].select("day", "event").rows() == [(60, "death")]
    found = check_release(folder, with_pain)
    assert found.quarantine.select("file", "line", "rule").rows() == [
        ("measurement_0.csv", 5, "assessments.value.out_of_range")
    ]
    assert found.counts.filter(table_name="assessments").row(0) == ("assessments", 3, 2, 1)


def test_what_became_of_the_rows_of_a_source(tmp_path: Path, with_pain: Protocol) -> None:
    """Seven procedures: one of a person outside the cohort, one that means nothing here, five that are used."""
    folder = example.as_parquet(tmp_path / "parquet")
    account = open_source(folder, load_manifest(folder), with_pain).account()
    told = account.filter((pl.col("source_table") == "procedure_occurrence") & (pl.col("row_count") > 0))
    assert told["rows_read"].unique().to_list() == [7]
    assert dict(told.select("outcome", "row_count").rows()) == {
        "used": 5, "person not in the cohort": 1, "no code of the study": 1,
    }  # fmt: skip


def test_files_and_duckdb_give_the_same_tables(tmp_path: Path, with_pain: Protocol) -> None:
    by_csv = raw(example.as_csv(tmp_path / "csv"), with_pain)
    assert by_csv["patients"].height == 3
    for door in (example.as_parquet, example.as_duckdb):
        for name, frame in raw(door(tmp_path / door.__name__), with_pain).items():
            assert_frame_equal(frame, by_csv[name])


@pytest.mark.postgres
def test_postgresql_gives_the_same_tables(
    tmp_path: Path, with_pain: Protocol, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMOP_CONNECTION", postgresql)
    folder = example.as_postgresql(tmp_path / "postgresql", postgresql)
    by_csv = raw(example.as_csv(tmp_path / "csv"), with_pain)
    for name, frame in raw(folder, with_pain).items():
        assert_frame_equal(frame, by_csv[name])
    monkeypatch.delenv("OMOP_CONNECTION")
    with pytest.raises(ReleaseRefused, match="the environment variable OMOP_CONNECTION is not set"):
        check_release(folder, with_pain)


@pytest.mark.postgres
def test_a_database_dropped_into_the_inbox_is_registered_with_what_stood_in_it(
    tmp_path: Path, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMOP_CONNECTION", postgresql)
    home = Home(tmp_path / "home")
    folder = home.path / "inbox" / "extract"
    folder.parent.mkdir(parents=True)
    example.as_postgresql(folder, postgresql)
    first = Look(home, Settings(), {}, 1e6)
    assert first.wanted() == []
    second = Look(home, Settings(), first.seen, 1e6)
    [wanted] = second.wanted()
    registered = Register(home).find(wanted.release).manifest_sha256
    bundled = load_protocol(default_protocol_file())
    assert registered == check_release(folder, bundled).content_sha256  # the run finds what was registered
    assert registered != load_manifest(folder).manifest_sha256
    with dbapi.connect(postgresql) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM measurement WHERE measurement_id = (SELECT max(measurement_id) FROM measurement)")
        connection.commit()
    assert check_release(folder, bundled).content_sha256 != registered


def test_no_id_and_no_date_of_the_source_is_left(tmp_path: Path, with_pain: Protocol) -> None:
    tables = read_release(example.as_csv(tmp_path / "csv"), with_pain).tables
    tables = dict(tables)
    tables["raw.release"] = tables["raw.release"].drop("manifest_sha256")
    text = "".join(frame.write_csv() for name, frame in tables.items() if name.startswith(("raw.", "quality.quar")))
    assert not [
        word for word in ("MRN", "2020-0", "2019-0", "1950", "1928", "901", "902") if word in text.replace("raw", "")
    ]
    assert set(tables["raw.patients"]["patient_id"].str.replace("[b-w]{6}", "x")) == {"P-x-1", "P-x-2", "P-x-3"}


def test_the_next_release_has_no_pseudonym_of_this_one(tmp_path: Path, protocol: Protocol) -> None:
    """With one record more; the same content gives the same pseudonyms, in whatever order its rows stand."""
    told = []
    for name, days in (("first", (3, 9)), ("same", (9, 3)), ("next", (3, 9, 20))):
        cdm = Cdm(2)
        for day in days:
            cdm.coded("procedure_occurrence", "64483", day)
        tables = read_release(cdm.write(tmp_path / name), protocol).tables
        told.append({*tables["raw.patients"]["patient_id"], *tables["raw.treatments"]["treatment_id"]})
    assert told[0] == told[1]
    assert not told[0] & told[2]


def test_nobody_eligible_and_an_unknown_cohort(tmp_path: Path, protocol: Protocol) -> None:
    with pytest.raises(ReleaseRefused, match="no eligible patients"):
        check_release(example.as_csv(tmp_path / "a", cohort="chronic_low_back_pain"), protocol)
    with pytest.raises(ReleaseRefused, match="the code lists have no cohort of that name"):
        check_release(example.as_csv(tmp_path / "b", cohort="headache"), protocol)


@pytest.fixture
def synthea(tmp_path: Path) -> Callable[..., Path]:
    """Releases of the shared CDM 5.4 data set, by cohort and with code lists; the tables as they were downloaded."""
    if not SHARED.is_file():
        pytest.skip("the shared reference data are not beside the checkout")

    def write(name: str, cohort: str, codes: str = "") -> Path:
        cdm = Cdm(0)
        cdm.lists = {"codes.csv": codes} if codes else {}
        folder = cdm.write(tmp_path / name, cohort=cohort)
        text = (folder / "manifest.toml").read_text().split("[tables.")[0]
        with zipfile.ZipFile(SHARED) as archive:
            for table in SYNTHEA_TABLES:
                data = archive.read(f"Synthea27NjParquet/{table}.parquet")
                (folder / f"{table}.parquet").write_bytes(data)
                rows, sha256 = pl.read_parquet(data).height, hashlib.sha256(data).hexdigest()
                text += f'[tables.{table}]\nfiles = ["{table}.parquet"]\nrows = {rows}\nsha256 = ["{sha256}"]\n'
        (folder / "manifest.toml").write_text(text, encoding="utf-8")
        return folder

    return write


def test_synthea_has_five_patients_with_chronic_back_pain(synthea, with_pain: Protocol) -> None:
    """Counts by R (dev_13): 5 persons (1, 20, 21, 25, 28) with 20, 20, 13, 28 and 15 pain scores, 96 together."""
    found = check_release(synthea("pain", "chronic_low_back_pain"), with_pain)
    read = dict(found.counts.select("table_name", "rows_read").rows())
    assert (read["patients"], read["assessments"]) == (5, 20 + 20 + 13 + 28 + 15)
    with pytest.raises(ReleaseRefused, match="no eligible patients"):
        check_release(synthea("stenosis", "lumbar_stenosis"), with_pain)


def test_synthea_pain_scores_of_everybody_with_any_diagnosis(synthea, protocol: Protocol) -> None:
    """28 persons with 471 scores, by R (dev_13); persons 15 and 27, with 10 and 4 of them, have no diagnosis at all.

    Every diagnosis of the source opens the cohort, and the site says that its pain scores are of the back. A patient
    whom the source follows for more than fifty years is kept aside, with all records.
    """
    with zipfile.ZipFile(SHARED) as archive:
        conditions = pl.read_parquet(archive.read("Synthea27NjParquet/condition_occurrence.parquet"))
    codes = [f"OMOP,{concept},cohort,anything" for concept in conditions["condition_concept_id"].unique()]
    text = "\n".join(["system,code,kind,measure", "LOINC,72514-3,instrument,nrs_back", *codes, ""])
    counts = check_release(synthea("all", "anything", text), protocol).counts
    assert dict(counts.select("table_name", "rows_read").rows()) == {
        "patients": 28 - 2, "treatments": 0, "assessments": 471 - 10 - 4, "events": 3,
    }  # fmt: skip
    assert (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
