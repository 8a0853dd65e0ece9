"""What goes back to the steward names rows and rules, and no value of the release."""

import csv
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from omop_records_example import Cdm

from pipelines.ingest import check_release
from pipelines.ingest.steward import FindingsError, remarks, unfit_path, write_findings
from pipelines.protocol import Protocol


def test_findings_name_line_rule_and_consequence(release, protocol: Protocol, tmp_path: Path) -> None:
    release.set("assessments", 0, value="4711", mode="SECRET")
    release.set("assessments", 1, mode="phone")
    path = tmp_path / "findings.csv"
    assert write_findings(check_release(release.write(), protocol), path, protocol) == 3
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    assert [row[:5] for row in rows] == [
        ["file", "line", "column", "consequence", "rule"],
        ["assessments.csv", "2", "mode", "kept aside", "assessments.mode.unknown_word"],
        ["assessments.csv", "2", "value", "kept aside", "assessments.value.out_of_range"],
        ["assessments.csv", "3", "mode", "used, please check", "assessments.mode.impossible"],
    ]
    assert "4711" not in path.read_text(encoding="utf-8")
    assert "SECRET" not in path.read_text(encoding="utf-8")


def test_a_clean_release_gives_a_header_alone(release, protocol: Protocol, tmp_path: Path) -> None:
    path = tmp_path / "findings.csv"
    assert write_findings(check_release(release.write(), protocol), path, protocol) == 0
    assert path.read_text(encoding="utf-8-sig").strip() == "file,line,column,consequence,rule,reason"


def sheet_rows(workbook: Path, number: int) -> list[list[str]]:
    """The texts of one worksheet, row by row, read from the file's own XML (ECMA-376, part 1, section 18)."""
    name = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(workbook) as parts:
        sheet = ElementTree.fromstring(parts.read(f"xl/worksheets/sheet{number}.xml"))
    rows = sheet.findall("m:sheetData/m:row", name)
    return [[cell.findtext("m:v", cell.findtext("m:is/m:t", "", name), name) for cell in row] for row in rows]


def test_the_workbook_says_what_the_csv_says(release, protocol: Protocol, tmp_path: Path) -> None:
    release.set("assessments", 0, value="4711", mode="SECRET")
    release.set("assessments", 1, mode="phone")
    inspection = check_release(release.write(), protocol)
    book, text = tmp_path / "findings.xlsx", tmp_path / "findings.csv"
    assert write_findings(inspection, book, protocol) == write_findings(inspection, text, protocol) == 3
    written = list(csv.reader(text.read_text(encoding="utf-8-sig").splitlines()))
    assert sheet_rows(book, 2) == written
    summary = sheet_rows(book, 1)
    assert ["assessments", "3", "2", "1"] in summary
    assert ["assessments.mode.impossible", "assessments", "1", "used, please check"] in [row[:4] for row in summary]
    with zipfile.ZipFile(book) as parts:
        everything = b"".join(parts.read(name) for name in parts.namelist())
    assert not [secret for secret in (b"4711", b"SECRET", b"P-01", b"P-02") if secret in everything]


def test_findings_that_cannot_be_written_leave_the_old_file(release, protocol: Protocol, tmp_path: Path) -> None:
    path = tmp_path / "findings.xlsx"
    path.write_bytes(b"of last week")
    inspection = check_release(release.write(), protocol)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.ingest.steward.MOST_ROWS", -1)
        with pytest.raises(FindingsError, match=r"write them to a \.csv file"):
            write_findings(inspection, path, protocol)
    assert path.read_bytes() == b"of last week"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["findings.xlsx"]


@pytest.mark.parametrize(("name", "said"), [
    ("release/findings.xlsx", "do not go into the release folder"),
    ("findings.pdf", "ends in .xlsx or .csv"),
    ("nowhere/findings.csv", "there is no folder"),
])  # fmt: skip
def test_where_findings_may_not_go(release, tmp_path: Path, name: str, said: str) -> None:
    assert said in str(unfit_path(tmp_path / name, release.write()))


def test_the_summary_tells_the_rows_of_the_source_and_the_columns_that_stay_empty(protocol, tmp_path: Path) -> None:
    """Two persons and their diagnoses are used, a third and a diagnosis of hers are of nobody in the cohort."""
    cdm = Cdm(2)
    cdm.add("person", person_id=9, gender_concept_id=8507, year_of_birth=1960)
    cdm.coded("condition_occurrence", "J06.9", 3, person=9)
    inspection = check_release(cdm.write(tmp_path / "cdm"), protocol)
    write_findings(inspection, tmp_path / "findings.xlsx", protocol)
    summary = sheet_rows(tmp_path / "findings.xlsx", 1)
    assert ["person", "3", "2", "used"] in summary
    assert ["condition_occurrence", "3", "1", "person not in the cohort"] in summary
    assert ["No row rule is violated."] in summary
    assert ["all", "2", "2", "0"] in summary
    (empty,) = [row[0] for row in summary if row and "empty in this source" in row[0]]
    assert empty.startswith("These columns of patients are empty")
    assert "stenosis_grade" in empty
    assert "age_years" not in empty


def test_a_native_release_has_no_account_of_its_own_and_no_empty_columns(release, protocol: Protocol) -> None:
    inspection = check_release(release.write(), protocol)
    assert not inspection.has_strange_rows
    assert remarks(inspection, protocol) == [
        "Some of 2 patients are in groups of fewer than 5 who share age band, sex, site, first tier and year of "
        "enrolment (the protocol warns of it and goes on)."
    ]
