"""What single records of an OMOP source become: drugs, visits, complications, comorbidities, walking tests, sites.

Days are counted on paper from 2020-01-01, the entry of every person (`omop_records_example.py`).
"""

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from omop_records_example import Cdm, on
from polars.testing import assert_frame_equal

from pipelines.ingest import check_release, read_release
from pipelines.ingest.codelists import bundled_codes
from pipelines.ingest.manifest import load_manifest
from pipelines.ingest.omop.doors import OmopSettings, read_cdm
from pipelines.protocol import Protocol


def raw(cdm: Cdm, folder: Path, protocol: Protocol, name: str, **settings: str) -> pl.DataFrame:
    return read_release(cdm.write(folder / "cdm", **settings), protocol).tables[f"raw.{name}"]


def happened(cdm: Cdm, folder: Path, protocol: Protocol) -> list[tuple[Any, ...]]:
    return raw(cdm, folder, protocol, "events").select("day", "event").sort("day", "event").rows()


def patient(cdm: Cdm, folder: Path, protocol: Protocol) -> dict[str, Any]:
    return raw(cdm, folder, protocol, "patients").row(0, named=True)


# ------------------------------------------------------------------------------------------------------------- drugs

OXYCODONE, TABLET, PLAIN = 1124957, 40000001, 1125315


def with_drugs(cdm: Cdm) -> Cdm:
    """A vocabulary in which a tablet (no code of the list) stands under oxycodone (7804), another does not."""
    for concept, code in ((OXYCODONE, "7804"), (TABLET, "1049221"), (PLAIN, "161")):
        cdm.add("concept", concept_id=concept, vocabulary_id="RxNorm", concept_code=code)
    cdm.add("concept_ancestor", ancestor_concept_id=OXYCODONE, descendant_concept_id=TABLET)
    return cdm


def drug(cdm: Cdm, day: int, supply: object = "", end: int | None = None, concept: int = TABLET) -> None:
    cdm.coded("drug_exposure", "", day, concept=concept, days_supply=supply,
              drug_exposure_end_date=on(end) if end is not None else "")  # fmt: skip


def test_a_drug_under_a_listed_ingredient_before_entry_is_opioid_use(tmp_path, protocol) -> None:
    cdm = with_drugs(Cdm())
    drug(cdm, -20, 10)
    assert patient(cdm, tmp_path, protocol)["opioid_use"] is True


@pytest.mark.parametrize(("day", "supply", "uses"), [
    (-181, 1, False),  # its last day is day -181, a day too early
    (-200, 30, True),  # supplies until day -171
    (-300, "", False), (1, 5, False), (0, 5, True),
])  # fmt: skip
def test_opioids_count_as_in_use_for_half_a_year(tmp_path, protocol, day, supply, uses) -> None:
    cdm = with_drugs(Cdm())
    drug(cdm, day, supply)
    assert patient(cdm, tmp_path, protocol)["opioid_use"] is uses


def test_a_source_whose_drugs_the_list_does_not_know_says_nothing_of_opioids(tmp_path, protocol) -> None:
    cdm = with_drugs(Cdm())
    drug(cdm, -20, 10, concept=PLAIN)
    assert patient(cdm, tmp_path, protocol)["opioid_use"] is None


def test_lasting_use_starts_on_the_first_day_from_which_ninety_days_are_supplied(tmp_path, protocol) -> None:
    """10 days after an operation are no start: from day 5 on, days 5–184 supply 10 + 60 = 70 days, from day 100 on
    60 + 30 = 90."""
    cdm = with_drugs(Cdm())
    drug(cdm, 5, 10)
    drug(cdm, 100, 60)
    drug(cdm, 190, 30)
    assert happened(cdm, tmp_path, protocol) == [(100, "opioid_start")]


def test_the_days_of_a_record_stand_in_for_a_supply_that_is_not_told(tmp_path, protocol) -> None:
    cdm = with_drugs(Cdm())
    drug(cdm, 10, end=98)  # 89 days
    assert happened(cdm, tmp_path, protocol) == []
    (tmp_path / "more").mkdir()
    drug(cdm, 99)  # a day without an end is one day
    assert happened(cdm, tmp_path / "more", protocol) == [(10, "opioid_start")]


def test_who_used_opioids_at_entry_does_not_start_them(tmp_path, protocol) -> None:
    cdm = with_drugs(Cdm())
    drug(cdm, 10, 120)
    cdm.coded("condition_occurrence", "Z79.891", -5)
    assert happened(cdm, tmp_path, protocol) == []


# ------------------------------------------------------------------------------------------------------------ visits


def stay(cdm: Cdm, first: int, last: int | None, concept: int = 9201, **more: object) -> None:
    cdm.coded(
        "visit_occurrence", "", first, concept=concept, visit_end_date=on(last) if last is not None else "", **more
    )


def test_a_stay_after_the_first_treatment_is_a_readmission(tmp_path, protocol) -> None:
    """The operation's own stay (days 9–12) and the next hospital from the day it ends (12–15) are none; an outpatient
    visit on day 20 is none; the stay of days 30–33 is one, that of day 60, in which a fusion is done, is that fusion.
    """
    cdm = Cdm()
    cdm.coded("procedure_occurrence", "63047", 10)
    cdm.coded("procedure_occurrence", "22612", 61)
    stay(cdm, -40, -35)
    stay(cdm, 9, 12)
    stay(cdm, 12, 15)
    stay(cdm, 20, 20, concept=9202)
    stay(cdm, 30, 33, concept=262)
    stay(cdm, 60, 64)
    stay(cdm, 200, None)
    assert happened(cdm, tmp_path, protocol) == [(30, "readmission"), (200, "readmission")]


def test_a_stay_of_somebody_never_treated_is_no_readmission(tmp_path, protocol) -> None:
    cdm = Cdm()
    stay(cdm, 30, 33)
    assert happened(cdm, tmp_path, protocol) == []


# ----------------------------------------------------------------------------------------------------- complications


@pytest.mark.parametrize(("code", "event"), [
    ("G97.41", "dural_tear"), ("T81.41XA", "infection"), ("T8141XA", "infection"), ("G97.52", "haematoma"),
    ("S34.21XA", "nerve_injury"), ("I26.99", "thromboembolism"), ("T81.31XA", "other_complication"),
    ("H61.23", "negative_control"),
])  # fmt: skip
def test_codes_of_complications(tmp_path, protocol, code, event) -> None:
    cdm = Cdm()
    cdm.coded("condition_occurrence", code, 40)
    assert happened(cdm, tmp_path, protocol) == [(40, event)]


def test_a_complication_coded_again_is_the_same_until_ninety_days_passed(tmp_path, protocol) -> None:
    """Days 5, 50, 140 are 45 and 90 days apart, one event; day 231 is 91 days after the last and another."""
    cdm = Cdm()
    for day in (50, 5, 140, 231):
        cdm.coded("condition_occurrence", "I82.402", day)
    cdm.coded("condition_occurrence", "I82.402", 5)  # twice on one day
    assert happened(cdm, tmp_path, protocol) == [(5, "thromboembolism"), (231, "thromboembolism")]


# ----------------------------------------------------------------------------------------------------- comorbidities


def test_comorbidities_are_those_of_charlson_each_counted_once(tmp_path, protocol) -> None:
    """Diabetes without and with complications is one; cancer and its spread one; hypertension (I10) and depression
    are none; what is coded after entry does not count. With old heart attack and lung disease: 4."""
    cdm = Cdm()
    for code in ("E11.9", "E11.22", "C61", "C79.51", "I25.2", "J44.9", "I10", "F32.1"):
        cdm.coded("condition_occurrence", code, -100)
    cdm.coded("condition_occurrence", "N18.3", 10)
    found = patient(cdm, tmp_path, protocol)
    assert (found["comorbidity_count"], found["diabetes"], found["depression"]) == (4, True, True)


def test_icd9_without_dots_speaks_until_it_ended(tmp_path, protocol) -> None:
    """25000 is diabetes and 72402 stenosis; in 2016 the same digits are no ICD-9 any more. Entry is the stenosis of
    2015-01-02; the heart attack of that day counts, too."""
    cdm = Cdm()
    for table in ("condition_occurrence",):
        cdm.tables[table].clear()
    for code, day in (("72402", -1825), ("25000", -1900), ("4109", -1825), ("49390", -1300)):
        cdm.coded("condition_occurrence", code, day)
    found = patient(cdm, tmp_path, protocol)
    assert (found["enrolment_year"], found["comorbidity_count"], found["diabetes"]) == (2015, 2, True)


def test_what_a_source_cannot_tell_stays_empty_and_is_named(tmp_path, protocol) -> None:
    """A source coded in SNOMED alone, in which no list names an illness: nobody is called healthy."""
    cdm = Cdm()
    cdm.tables["condition_occurrence"].clear()
    cdm.add("concept", concept_id=901, vocabulary_id="SNOMED", concept_code="18347007")
    cdm.coded("condition_occurrence", "", 0, concept=901)
    folder = cdm.write(tmp_path / "cdm")
    found = read_release(folder, protocol).tables["raw.patients"].row(0, named=True)
    assert [found[name] for name in ("comorbidity_count", "diabetes", "depression", "spondylolisthesis")] == [None] * 4
    empty = check_release(folder, protocol).empty_columns
    assert {"stenosis_grade", "comorbidity_count", "diabetes"} <= set(empty.filter(table_name="patients")["column"])
    assert "age_years" not in set(empty["column"])


# ---------------------------------------------------------------------------------------------------- walking tests

LISTED = """system,code,kind,measure,label,source
Local,WALK,instrument,spwt,self-paced walk,site
Local,WALK_S,duration,spwt,its seconds,site
Local,LEG,stop_reason,claudication,pain in the leg,site
"""


def walking(cdm: Cdm) -> Cdm:
    cdm.lists["codes.csv"] = LISTED
    return cdm


def measured(cdm: Cdm, code: str, day: int, value: object, unit: str = "", answer: str = "") -> None:
    cdm.coded("measurement", code, day, value_as_number=value, unit_source_value=unit, value_source_value=answer)


def test_a_walking_test_is_paired_with_its_duration_and_reason(tmp_path, protocol) -> None:
    cdm = walking(Cdm())
    measured(cdm, "WALK", 0, 320.5, "m")
    measured(cdm, "WALK_S", 0, 6.5, "min")
    measured(cdm, "why", 0, "", answer="leg")
    found = raw(cdm, tmp_path, protocol, "assessments")
    assert found.select("day", "instrument", "value", "unit", "duration_s", "stop_reason").rows() == [
        (0, "spwt", 320.5, "m", 390.0, "claudication")
    ]


def test_a_walking_test_alone_is_kept_aside_with_its_reason(tmp_path, protocol) -> None:
    cdm = walking(Cdm())
    measured(cdm, "WALK", 0, 320, "m")
    measured(cdm, "WALK_S", 1, 300)
    found = check_release(cdm.write(tmp_path / "cdm"), protocol)
    assert found.counts.filter(table_name="assessments").row(0) == ("assessments", 1, 0, 1)
    assert set(found.quarantine["rule"]) == {"assessments.duration_s.missing", "assessments.stop_reason.missing"}
    assert found.quarantine["file"].unique().to_list() == ["measurement.csv"]


def test_two_durations_of_one_day_or_an_unknown_unit_are_no_duration(tmp_path, protocol) -> None:
    for number, second in enumerate((("WALK_S", 0, 310.0, ""), ("WALK_S", 0, 5.0, "fortnights"))):
        cdm = walking(Cdm())
        measured(cdm, "WALK", 0, 320, "m")
        if number == 0:
            measured(cdm, "WALK_S", 0, 300)
        measured(cdm, *second)
        measured(cdm, "why", 0, "", answer="LEG")
        found = check_release(cdm.write(tmp_path / f"cdm{number}"), protocol)
        assert set(found.quarantine["rule"]) == {"assessments.duration_s.missing"}


# ------------------------------------------------------------------------------------------------------------- sites


def test_a_treatment_is_of_the_site_of_its_visit_and_a_patient_of_that_of_the_diagnosis(tmp_path, protocol) -> None:
    cdm = Cdm()
    cdm.tables["condition_occurrence"][0]["visit_occurrence_id"] = 1
    stay(cdm, 0, 0, concept=9202, care_site_id=70)
    stay(cdm, 10, 12, care_site_id=80)
    cdm.coded("procedure_occurrence", "63047", 10, visit_occurrence_id=2)
    cdm.coded("procedure_occurrence", "64483", 5, visit_occurrence_id="")
    tables = read_release(cdm.write(tmp_path / "cdm"), protocol).tables
    own = tables["raw.patients"]["site_id"].item()
    given = dict(tables["raw.treatments"].select("day", "site_id").rows())
    assert given[5] == own != given[10]
    for place in (70, 80):
        cdm.add("care_site", care_site_id=place, location_id=3, care_site_name="ward of Dr Smith")
    tables = read_release(cdm.write(tmp_path / "located", site="location"), protocol).tables
    assert set(tables["raw.treatments"]["site_id"]) == {tables["raw.patients"]["site_id"].item()}


def test_an_episode_names_a_treatment_where_the_site_lists_its_code(tmp_path, protocol) -> None:
    cdm = Cdm()
    cdm.lists["codes.csv"] = "system,code,measure\nLocal,PATHWAY-PT,conservative\n"
    cdm.coded("episode", "PATHWAY-PT", 3)
    assert raw(cdm, tmp_path, protocol, "treatments").select("day", "tier").rows() == [(3, "conservative")]


# ----------------------------------------------------------------------------------------------------------- account


def test_every_row_of_every_table_is_accounted_for(tmp_path, protocol) -> None:
    cdm = with_drugs(walking(Cdm(2)))
    cdm.add("person", person_id=9, gender_concept_id=8507, year_of_birth=1960)  # not in the cohort
    drug(cdm, 10, 120)
    drug(cdm, 10, 120, concept=PLAIN)
    stay(cdm, 5, 6)
    measured(cdm, "WALK", 0, 320, "m")
    measured(cdm, "why", 0, "", answer="LEG")
    measured(cdm, "other", 0, 1)
    measured(cdm, "72514-3", 0, 4)  # pain whose place is not said: an instrument that the bundled protocol lacks
    cdm.coded("condition_occurrence", "J06.9", 3, person=9)
    account = check_release(cdm.write(tmp_path / "cdm"), protocol).account
    sums = account.group_by("source_table").agg(pl.col("rows_read").first(), pl.col("row_count").sum())
    assert (sums["rows_read"] == sums["row_count"]).all()
    strange = account.filter(outcome="instrument or tier not in the protocol", row_count=1)
    assert strange["source_table"].to_list() == ["measurement"]
    used = {table: count for table, _, outcome, count in account.rows() if outcome == "used"}
    assert used == {
        "condition_occurrence": 2, "procedure_occurrence": 0, "measurement": 2, "observation": 0, "drug_exposure": 1,
        "visit_occurrence": 1, "episode": 0, "person": 2, "death": 0, "observation_period": 1,
    }  # fmt: skip


def test_tables_handed_over_without_rows_are_tables_without_rows(tmp_path, protocol) -> None:
    cdm = Cdm()
    folder = cdm.write(tmp_path / "cdm")
    for name, header in (
        ("death", "person_id,death_date"),
        ("episode", "episode_id,person_id"),
        ("concept", "CONCEPT_ID"),
    ):
        (folder / f"{name}.csv").write_text(header + "\n")
        sha256 = hashlib.sha256((folder / f"{name}.csv").read_bytes()).hexdigest()
        with (folder / "manifest.toml").open("a") as manifest:
            manifest.write(f'[tables.{name}]\nfiles = ["{name}.csv"]\nrows = 0\nsha256 = ["{sha256}"]\n')
    assert check_release(folder, protocol).counts["rows_accepted"].to_list() == [1, 0, 0, 0]


def test_columns_of_an_older_version_are_left_and_a_concept_of_zero_lets_the_source_value_speak(
    tmp_path, protocol
) -> None:
    """Version 5.2 had columns of times in text, and others that went; one source value has blanks around it."""
    cdm = Cdm()
    cdm.coded("procedure_occurrence", " 63047 ", 10, qualifier_source_value="left", procedure_type_concept_id=38000275)
    cdm.coded("condition_occurrence", "G97.41", 11, concept=0, condition_status_source_value="of Dr Smith")
    cdm.coded("condition_occurrence", "T81.41XA", 12, concept=4000, source_concept=0)  # unknown to the vocabulary
    tables = read_release(cdm.write(tmp_path / "cdm", version="5.3"), protocol).tables
    assert tables["raw.treatments"].select("day", "tier").rows() == [(10, "laminectomy")]
    assert tables["raw.events"].select("day", "event").sort("day").rows() == [(11, "dural_tear"), (12, "infection")]
    assert "Smith" not in "".join(frame.write_csv() for frame in tables.values())


@pytest.mark.parametrize(("value", "concept", "is_heard"), [
    ("G97.41", 40481380, True),  # a standard concept of no listed meaning, but the source's own code is written out
    ("349", 40481380, False),  # digits beside a known concept may be a local number
    ("G9741", 0, True),
])  # fmt: skip
def test_when_the_source_value_is_heard(tmp_path, protocol, value, concept, is_heard) -> None:
    cdm = Cdm()
    cdm.add("concept", concept_id=40481380, vocabulary_id="SNOMED", concept_code="111")
    cdm.coded("condition_occurrence", value, 11, concept=concept)
    assert happened(cdm, tmp_path, protocol) == ([(11, "dural_tear")] if is_heard else [])


def test_without_observation_periods_the_last_record_is_the_last_contact(tmp_path, protocol) -> None:
    """Person 1 was last seen on day 33, person 2 on day 90, which is the end of the data for both."""
    cdm = Cdm(2)
    del cdm.tables["observation_period"]
    drug(cdm, 33)
    stay(cdm, 20, 21)
    cdm.coded("visit_occurrence", "", 90, 2, 9202, visit_end_date="")
    found = raw(cdm, tmp_path, protocol, "patients").sort("last_contact_day")
    assert found.select("last_contact_day", "administrative_end_day").rows() == [(33, 90), (90, 90)]


def test_of_a_database_only_the_vocabulary_that_the_lists_speak_of_is_read(tmp_path, protocol) -> None:
    """A tablet under oxycodone is found as in files; another vocabulary's concept and what stands under acetaminophen
    (161, in no list) stay where they are."""
    cdm = with_drugs(Cdm())
    drug(cdm, -20, 10)
    cdm.add("concept", concept_id=40000009, vocabulary_id="NDC", concept_code="7804")
    cdm.add("concept_ancestor", ancestor_concept_id=PLAIN, descendant_concept_id=40000009)
    by_files = read_release(cdm.write(tmp_path / "files"), protocol).tables
    folder = tmp_path / "database"
    folder.mkdir()
    with duckdb.connect(str(folder / "cdm.duckdb")) as connection:
        for name, rows in cdm.tables.items():
            frame = pl.DataFrame(rows, infer_schema_length=None)
            dates = [pl.col(column).str.to_date(strict=False) for column in frame.columns if column.endswith("_date")]
            connection.register("made", frame.with_columns(dates).to_arrow())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM made")
    sha256 = hashlib.sha256((folder / "cdm.duckdb").read_bytes()).hexdigest()
    (folder / "manifest.toml").write_text(
        'release = "cdm"\nsource = "made by hand"\ndeidentification = "synthetic"\nlinkage = "all payers"\n'
        f'format = "omop"\n[omop]\nversion = "5.4"\ndatabase = "cdm.duckdb"\nsha256 = "{sha256}"\n'
    )
    manifest = load_manifest(folder)
    cdm_read, _ = read_cdm(folder, manifest, manifest.settings(OmopSettings), bundled_codes())
    assert sorted(cdm_read["concept"].frame["concept_id"]) == sorted([OXYCODONE, TABLET, PLAIN])
    assert cdm_read["concept_ancestor"].frame["descendant_concept_id"].to_list() == [TABLET]
    by_database = read_release(folder, protocol).tables
    assert by_database["raw.patients"]["opioid_use"].to_list() == [True]
    for name in ("raw.patients", "raw.treatments", "raw.events"):
        assert_frame_equal(by_database[name].drop("record_id"), by_files[name].drop("record_id"))
