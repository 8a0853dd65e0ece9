"""An OMOP source through the command: refused in one line where nobody is eligible, else run to its report."""

from pathlib import Path

import duckdb
import pytest
from omop_records_example import Cdm

BACK_PAIN = "system,code,kind,measure\nLOINC,72514-3,instrument,nrs_back\nICD10CM,M54.5*,cohort,chronic_low_back_pain\n"


def hospital() -> Cdm:
    """Sixty persons with back pain and no stenosis, some of them injected or operated, with pain scores."""
    cdm = Cdm(60)
    cdm.tables["condition_occurrence"].clear()
    for person in range(1, 61):
        cdm.coded("condition_occurrence", "M54.50", 0, person)
        cdm.coded("procedure_occurrence", ("97110", "64483", "63047")[person % 3], 5 + person, person)
        for day in (0, 100, 370):
            cdm.coded("measurement", "72514-3", day, person, value_as_number=(person + day) % 9)
    return cdm


def test_nobody_with_stenosis_ends_in_one_line_and_leaves_nothing(lss, tmp_path: Path) -> None:
    done = lss("run", hospital().write(tmp_path / "cdm"), home=tmp_path / "home")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("lss: no eligible patients: nobody in the source has a dated diagnosis of the cohort")
    assert done.err.count("\n") == 1
    assert not list((tmp_path / "home").rglob("*.duckdb"))


@pytest.mark.slow
def test_a_cohort_of_the_site_runs_to_its_report(lss, tmp_path: Path) -> None:
    cdm = hospital()
    cdm.lists["codes.csv"] = BACK_PAIN
    done = lss("run", cdm.write(tmp_path / "cdm", cohort="chronic_low_back_pain"), home=tmp_path / "home")
    assert done.code == 0, done.err
    snapshot = Path(done.out.splitlines()[0].removeprefix("snapshot: "))
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        tiers = connection.sql("SELECT tier, count(*) FROM outcomes.episodes GROUP BY tier ORDER BY tier").fetchall()
        scores = connection.sql("SELECT count(*) FROM staging.assessments WHERE instrument = 'nrs_back'").fetchall()
    assert tiers == [("conservative", 20), ("esi", 20), ("laminectomy", 20)]
    assert scores == [(180,)]
