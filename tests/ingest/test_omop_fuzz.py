"""A CDM in which anything may be wrong is read or refused in a sentence, its rows add up, and nothing else happens."""

import random
from pathlib import Path

import polars as pl
import pytest
from omop_records_example import Cdm, on

from pipelines.ingest import ReleaseRefused, read_release
from pipelines.protocol import Protocol

NONSENSE = (
    "", "x", "-1", "0", "99999999999999999999", "1e400", "2020-13-45", "0001-01-01", "9999-12-31", "NaN", "1.5", "true",
    "'; DROP TABLE x;--", "\u202e", '"q"', "2020-01-01T00:00:00", "  ", None,
)  # fmt: skip
CODES = "system,code,kind,measure\nL,leg,stop_reason,claudication\nL,E,treatment,conservative\n"


def whole() -> Cdm:
    """Four persons with a record in every table that is read."""
    cdm = Cdm(4)
    cdm.lists["codes.csv"] = CODES
    cdm.add("concept", concept_id=1, vocabulary_id="RxNorm", concept_code="7804")
    cdm.add("concept_ancestor", ancestor_concept_id=1, descendant_concept_id=2)
    cdm.add("care_site", care_site_id=5, location_id=1)
    cdm.add("death", person_id=2, death_date=on(300))
    for person in range(1, 5):
        cdm.coded("procedure_occurrence", "63047", 10, person, visit_occurrence_id=person, provider_id=3)
        cdm.coded("visit_occurrence", "", 40, person, 9201, visit_end_date=on(42), care_site_id=5)
        cdm.coded("drug_exposure", "", 20, person, 2, days_supply=100, drug_exposure_end_date=on(30))
        cdm.coded("measurement", "64098-7", 0, person, value_as_number=300, unit_source_value="m")
        cdm.coded("observation", "why", 0, person, value_as_string="leg", value_as_concept_id=0)
        cdm.coded("condition_occurrence", "T81.41XA", 50, person)
        cdm.coded("episode", "E", 3, person)
        cdm.add("visit_detail", visit_detail_id=person, person_id=person, visit_occurrence_id=person, care_site_id=7)
    return cdm


def spoil(cdm: Cdm, chance: random.Random) -> None:
    """One thing goes wrong: a field, a column, a row or a table."""
    table = chance.choice(list(cdm.tables))
    rows = cdm.tables[table]
    row, column = chance.choice(rows), chance.choice(list(rows[0]))
    way = chance.choice(("field", "field", "field", "column", "no column", "twice", "no table"))
    if way in ("field", "column"):
        value = chance.choice(NONSENSE)
        for spoilt in rows if way == "column" else [row]:
            spoilt[column] = value
    elif way == "no column" and len(rows[0]) > 1:
        for spoilt in rows:
            spoilt.pop(column, None)
    elif way == "twice":
        rows.append(dict(row))
    elif way == "no table" and table != "person":
        del cdm.tables[table]


@pytest.mark.parametrize("seed", range(40))
def test_a_cdm_with_faults_is_read_or_refused(tmp_path: Path, protocol: Protocol, seed: int) -> None:
    chance, cdm = random.Random(seed), whole()
    for _ in range(chance.choice((1, 2, 3, 6))):
        spoil(cdm, chance)
    for rows in cdm.tables.values():
        rows[:] = [{name: None if value is None else str(value) for name, value in row.items()} for row in rows]
    site = chance.choice(("care_site", "location"))
    try:
        inspection = read_release(cdm.write(tmp_path / "cdm", site=site), protocol).inspection
    except ReleaseRefused:
        return
    counts, account = inspection.counts, inspection.account
    assert (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
    told = account.group_by("source_table").agg(pl.col("rows_read").first(), pl.col("row_count").sum())
    assert (told["rows_read"] == told["row_count"]).all()


def test_the_whole_cdm_is_read_and_a_person_that_cannot_be_read_is_told(tmp_path: Path, protocol: Protocol) -> None:
    """Four injuries of the wound, four stays and three lasting uses of opioids; one exposure is of nobody."""
    cdm = whole()
    cdm.tables["drug_exposure"][0]["person_id"] = "x"
    ingested = read_release(cdm.write(tmp_path / "cdm"), protocol)
    events = dict(ingested.tables["raw.events"].group_by("event").len().rows())
    assert events == {"infection": 4, "readmission": 4, "opioid_start": 3, "death": 1}
    account = ingested.inspection.account.filter(source_table="drug_exposure", outcome="no readable person_id")
    assert account["row_count"].item() == 1
