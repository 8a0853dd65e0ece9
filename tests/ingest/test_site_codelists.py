"""Code lists that a release brings: they extend and override those that travel with the pipeline, or refuse it."""

import hashlib
from pathlib import Path

import pytest
from omop_records_example import Cdm

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.codelists import COLUMNS, bundled_codes
from pipelines.protocol import Protocol


def with_list(release, *contents: str) -> Path:
    """The release with code lists beside its tables."""
    folder = release.write()
    text = ""
    for number, content in enumerate(contents):
        (folder / f"codes{number}.csv").write_text(content, encoding="utf-8")
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        text += f'[[code_lists]]\nfile = "codes{number}.csv"\nsha256 = "{sha256}"\n'
    with (folder / "manifest.toml").open("a", encoding="utf-8") as manifest:
        manifest.write(text)
    return folder


def coded(release, code: str, system: str) -> None:
    """The first treatment by its code alone."""
    release.set("treatments", 0, tier="", code=code, code_system=system)


def test_a_local_code_extends_the_list(release, protocol: Protocol) -> None:
    coded(release, "K-17", "Local")
    found = check_release(with_list(release), protocol)
    assert found.quarantine["rule"].to_list() == ["treatments.code.unknown"]
    folder = with_list(release, "system,code,measure,label,source\nLocal,K-17,esi,injection at the clinic,site list\n")
    tables = read_release(folder, protocol).tables
    assert tables["raw.treatments"].height == 2
    assert tables["raw.codes"].filter(code="K-17").row(0) == ("Local", "K-17", "esi", "injection at the clinic")
    assert tables["quality.input_files"].filter(table_name="codes")["file"].to_list() == ["codes0.csv"]


def test_a_listed_code_overrides_the_bundled_one_or_takes_it_off(release, protocol: Protocol) -> None:
    """63030 is a laminectomy in the bundled list; a site that uses it for discs alone calls it other, or nothing."""
    coded(release, "63030", "CPT")
    assert read_release(with_list(release), protocol).tables["raw.codes"].filter(code="63030")["tier"].item() == (
        "laminectomy"
    )
    tables = read_release(with_list(release, "system,code,measure\nCPT,63030,other\n"), protocol).tables
    assert tables["raw.codes"].filter(code="63030")["tier"].to_list() == ["other"]
    found = check_release(with_list(release, "system,code,kind,measure\nCPT,63030,treatment,none\n"), protocol)
    assert found.quarantine["rule"].to_list() == ["treatments.code.unknown"]


def test_a_list_of_an_omop_source_overrides_by_code_without_dots(tmp_path: Path, protocol: Protocol) -> None:
    """The site finds T81.4* too broad and lists the codes of deep infections, one of them still another's kind."""
    cdm = Cdm()
    cdm.coded("condition_occurrence", "T81.41XA", 20)
    cdm.coded("condition_occurrence", "T81.42XA", 200)
    cdm.lists["codes.csv"] = (
        "system,code,kind,measure,valid_from\nICD10CM,T814*,event,none,\nICD10CM,T81.42*,event,infection,2018-10-01\n"
    )
    events = read_release(cdm.write(tmp_path / "cdm"), protocol).tables["raw.events"]
    assert events.select("day", "event").rows() == [(200, "infection")]


def test_a_cohort_of_the_site(tmp_path: Path, protocol: Protocol) -> None:
    cdm = Cdm()
    cdm.coded("condition_occurrence", "M51.16", 30)
    cdm.lists["codes.csv"] = "system,code,kind,measure\nICD10CM,M51.1*,cohort,disc_prolapse\n"
    patients = read_release(cdm.write(tmp_path / "cdm", cohort="disc_prolapse"), protocol).tables["raw.patients"]
    assert patients["administrative_end_day"].to_list() == [900 - 30]  # entry is day 30


@pytest.mark.parametrize(("content", "said"), [
    ("system,code\nCPT,1\n", "lacks the column measure"),
    ("system,code,measure,tier_name\nCPT,1,esi,x\n", "has a column that no code list has"),
    ("system,code,measure\nCPT,,esi\n", r"codes0\.csv, line 2: code is empty"),
    ("system,code,measure\n,1,esi\n", r"line 2: system is empty"),
    ("system,code,measure\nCPT,1,esi\nCPT,2,\n", r"line 3: measure is empty"),
    ("system,code,measure\nCPT,<1>,esi\n", "code is none that a code system has"),
    ("system,code,measure\nCPT;DROP,1,esi\n", "system is none that a code may be of"),
    ("system,code,measure\nCPT,1,epidural\n", "it cannot be told what measure is; name its kind"),
    ("system,code,kind,measure\nCPT,1,tier,esi\n", "kind is none that is known here"),
    ("system,code,kind,measure\nCPT,1,treatment,epidural\n", "measure of a treatment must be one of conservative, esi"),
    ("system,code,measure\nCPT,6448*,esi\n", "the code of a treatment must be whole"),
    ("system,code,measure\nICD10CM,T81.4*,infection\n", "holds codes of treatments only"),
    ("system,code,measure,valid_from\nCPT,1,esi,01/02/2020\n", "valid_from is no date; write it as year-month-day"),
    ("system,code,measure,valid_from,valid_to\nCPT,1,esi,2021-01-01,2020-01-01\n", "valid_from lies after valid_to"),
    ("system,code,measure\nCPT,1,esi\nCPT,1,fusion\n", r"line 3: an earlier row gives the same code another tier"),
    ("system,code,measure,label\nCPT,1,esi,call 206-555-0142\n", "column label: a telephone number"),
    ("system,code,measure\nCPT,123-45-6789,esi\n", "column code: a social security number"),
    ("system,code,measure\nCPT,1,esi,extra\n", "line 2: more or fewer fields than the header"),
    ("", "is empty"),
])  # fmt: skip
def test_a_list_that_does_not_fit_refuses_the_release(release, protocol: Protocol, content: str, said: str) -> None:
    with pytest.raises(ReleaseRefused, match=said) as refused:
        check_release(with_list(release, content), protocol)
    assert "206-555" not in str(refused.value)
    assert "6789" not in str(refused.value)


def test_two_lists_that_contradict_each_other_and_one_that_was_changed(release, protocol: Protocol) -> None:
    with pytest.raises(ReleaseRefused, match=r"codes1\.csv, line 2: an earlier row gives the same code another tier"):
        check_release(with_list(release, "system,code,measure\nL,1,esi\n", "system,code,measure\nL,1,mild\n"), protocol)
    folder = with_list(release, "system,code,measure\nL,1,esi\n")
    (folder / "codes0.csv").write_text("system,code,measure\nL,1,mild\n", encoding="utf-8")
    with pytest.raises(ReleaseRefused, match=r"codes0\.csv is not the file that manifest\.toml describes"):
        check_release(folder, protocol)


def test_every_bundled_row_would_pass_as_a_list_of_a_release(tmp_path: Path, protocol: Protocol) -> None:
    """Each bundled list holds to the rules that a site's has to hold to, in an OMOP release."""
    pain = protocol.instrument("nrs_leg").model_copy(update={"name": "nrs_pain", "thresholds": ()})
    wide = protocol.model_copy(update={"instruments": (*protocol.instruments, pain)})
    cdm = Cdm()
    cdm.lists["codes.csv"] = bundled_codes().select(COLUMNS).write_csv()
    assert check_release(cdm.write(tmp_path / "cdm"), wide).counts["rows_accepted"].to_list() == [1, 0, 0, 0]
