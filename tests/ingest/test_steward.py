"""What goes back to the steward names rows and rules, and no value of the release."""

import csv
from pathlib import Path

from pipelines.ingest import check_release
from pipelines.ingest.steward import write_findings
from pipelines.protocol import Protocol


def test_findings_name_line_rule_and_consequence(release, protocol: Protocol, tmp_path: Path) -> None:
    release.set("assessments", 0, value="4711", mode="SECRET")
    release.set("assessments", 1, mode="phone")
    path = tmp_path / "findings.csv"
    assert write_findings(check_release(release.write(), protocol), path) == 3
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
    assert write_findings(check_release(release.write(), protocol), path) == 0
    assert path.read_text(encoding="utf-8-sig").strip() == "file,line,column,consequence,rule,reason"
