"""What refuses a release as a whole, and the one sentence that says so: where, what, and how to mend it."""

import hashlib
from pathlib import Path

import pytest

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.steward import remarks
from pipelines.protocol import Protocol


def refusal(folder: Path, protocol: Protocol) -> str:
    """The sentence; the same from checking and from reading, without a library's exception behind it."""
    with pytest.raises(ReleaseRefused) as checked:
        check_release(folder, protocol)
    with pytest.raises(ReleaseRefused) as read:
        read_release(folder, protocol)
    assert str(checked.value) == str(read.value)
    assert "\n" not in str(checked.value)
    assert checked.value.__cause__ is None
    assert checked.value.__suppress_context__ or checked.value.__context__ is None
    return str(checked.value)


# ------------------------------------------------------------------------------------------------------------ manifest


def test_a_folder_that_is_not_there(tmp_path: Path, protocol: Protocol) -> None:
    assert refusal(tmp_path / "none", protocol).startswith("there is no release folder at ")


def test_a_folder_without_a_manifest(tmp_path: Path, protocol: Protocol) -> None:
    assert "holds no manifest.toml" in refusal(tmp_path, protocol)


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"release": "../evil"}, "manifest.toml: the key release must be a short name of letters, digits"),
        ({"release": "x'; DROP TABLE raw.patients; --"}, "manifest.toml: the key release must be a short name"),
        ({"deidentification": "none"}, "manifest.toml: the key deidentification"),
        ({"linkage": ""}, "manifest.toml: the key linkage must not be empty"),
        ({"deidentification": "limited_data_set"}, "a limited_data_set needs the number of its agreement"),
        ({"source": "ask jane.doe@clinic.org"}, "manifest.toml: the key source must not hold an e-mail address"),
        ({"contact": "x"}, "manifest.toml: the key contact is not known; remove it"),
        ({"sha256": "x"}, "manifest.toml: the key sha256 is not known; remove it"),
    ],
)
def test_manifest_keys(release, protocol: Protocol, about: dict[str, str], sentence: str) -> None:
    release.about |= about
    message = refusal(release.write(), protocol)
    assert sentence in message
    assert not [
        value for value in about.values() if len(value) > 10 and value in message.replace("limited_data_set", "")
    ]


def test_a_limited_data_set_with_its_agreement_is_taken(release, protocol: Protocol) -> None:
    release.about |= {"deidentification": "limited_data_set", "data_use_agreement": "DUA 2026-014"}
    assert read_release(release.write(), protocol).manifest.data_use_agreement == "DUA 2026-014"


def test_a_missing_key(release, protocol: Protocol) -> None:
    del release.about["linkage"]
    assert refusal(release.write(), protocol) == "manifest.toml: the key linkage is missing; add it"


def test_a_manifest_that_is_not_toml(release, protocol: Protocol) -> None:
    folder = release.write()
    (folder / "manifest.toml").write_text('release = "a"\nsource = secret word\n')
    assert refusal(folder, protocol) == "manifest.toml is not valid TOML (line 2); correct it and hand it over again"


@pytest.mark.parametrize(
    "file",
    [
        "../patients.csv",
        "/etc/passwd",
        "sub/patients.csv",
        "..\\patients.csv",
        "a/../../b.csv",
        ".hidden.csv",
        "a b.csv",
        "",
    ],
)
def test_paths_out_of_the_folder(release, protocol: Protocol, file: str) -> None:
    entry = f"files = ['{file}']\nrows = 2\nsha256 = ['{'0' * 64}']\n"
    message = refusal(release.write(patients=entry), protocol)
    assert "must hold plain file names inside the release folder" in message
    assert "key tables.patients.files" in message


def test_a_link_is_no_file(release, protocol: Protocol, tmp_path: Path) -> None:
    folder = release.write()
    (folder / "patients.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "patients.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert refusal(folder, protocol).startswith("patients.csv is a link or not a plain file")


def test_one_file_in_two_tables(release, protocol: Protocol) -> None:
    entry = f"files = ['patients.csv']\nrows = 2\nsha256 = ['{hashlib.sha256(release.csv('patients')).hexdigest()}']\n"
    assert "each file may stand once, in one table" in refusal(release.write(events=entry), protocol)


def test_a_file_without_its_hash(release, protocol: Protocol) -> None:
    entry = "files = ['patients.csv']\nrows = 2\nsha256 = []\n"
    assert "needs one sha256 for each of its files" in refusal(release.write(patients=entry), protocol)


# --------------------------------------------------------------------------------------------------------------- files


def test_a_missing_file(release, protocol: Protocol) -> None:
    folder = release.write()
    (folder / "events.csv").unlink()
    message = "events.csv is named in manifest.toml but is not in the release folder; add it"
    assert refusal(folder, protocol) == message


def test_a_wrong_hash(release, protocol: Protocol) -> None:
    folder = release.write()
    path = folder / "assessments.csv"
    path.write_bytes(path.read_bytes().replace(b",7,", b",8,", 1))
    assert refusal(folder, protocol).startswith(
        "assessments.csv is not the file that manifest.toml describes: its SHA-256 differs"
    )


def test_a_wrong_row_count(release, protocol: Protocol) -> None:
    data = release.csv("events")
    entry = f"files = ['events.csv']\nrows = 5\nsha256 = ['{hashlib.sha256(data).hexdigest()}']\n"
    assert refusal(release.write(events=entry), protocol).startswith(
        "events.csv holds 2 rows where manifest.toml counts 5;"
    )


def test_a_latin_1_file(release, protocol: Protocol) -> None:
    release.set("patients", 1, insurance="Krankenkasse für alle")
    release.bytes["patients"] = release.csv("patients").decode().encode("latin-1")
    assert refusal(release.write(), protocol) == (
        "patients.csv is not UTF-8 text (line 3); save it as UTF-8 and write the manifest again"
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "events.csv is empty; write at least the header row"),
        (b"\n\n", "events.csv is empty; write at least the header row"),
        (b"\npatient_id,day,event\n", "events.csv starts with an empty line; its first line must be the header row"),
        (b"PK\x03\x04\x00\x00", "events.csv is not a text file"),
        (b'patient_id,day,event\nP-01,1,"death\n', "has a quotation mark that is never closed (record from line 2)"),
        (b"patient_id,day,event,day\nP-01,1,death,2\n", "gives the column in place 4 a name that an earlier one has"),
        (b"patient_id,day,event,\nP-01,1,death,\n", "has a column without a name in place 4"),
        (b"P-01,1,death\nP-02,2,death\n", "does not start with a header row that names the columns of events"),
    ],
)
def test_files_that_are_no_table(release, protocol: Protocol, data: bytes, sentence: str) -> None:
    release.bytes["events"] = data
    message = refusal(release.write(), protocol)
    assert sentence in message
    assert "P-01" not in message


def test_an_unknown_kind_of_file(release, protocol: Protocol) -> None:
    folder = release.write(
        events=f"files = ['events.xlsx']\nrows = 2\nsha256 = ['{hashlib.sha256(b'x').hexdigest()}']\n"
    )
    (folder / "events.xlsx").write_bytes(b"x")
    assert refusal(folder, protocol) == (
        "events.xlsx is of a kind that is not read here; hand over .csv, .csv.gz, .csv.zst or .parquet files"
    )


# ------------------------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("table", "column"),
    [("patients", "bmi"), ("patients", "administrative_end_day"), ("treatments", "site_id"), ("assessments", "unit"),
     ("assessments", "duration_s"), ("events", "event")],
)  # fmt: skip
def test_a_missing_column(release, protocol: Protocol, table: str, column: str) -> None:
    release.columns[table].remove(column)
    empty = ", empty where unknown" if column in ("bmi", "site_id", "duration_s") else ""
    assert refusal(release.write(), protocol) == f"{table}.csv lacks the column {column}; add it{empty}"


def test_several_missing_columns_are_named_together(release, protocol: Protocol) -> None:
    for column in ("bmi", "smoking", "diabetes"):
        release.columns["patients"].remove(column)
    message = "patients.csv lacks the columns bmi, smoking and diabetes; add them, empty where unknown"
    assert refusal(release.write(), protocol) == message


def test_neither_tier_nor_code(release, protocol: Protocol) -> None:
    release.columns["treatments"].remove("tier")
    assert "has neither the column tier nor the columns code and code_system" in refusal(release.write(), protocol)


def test_optional_columns_are_filled_with_nulls(release, protocol: Protocol) -> None:
    tables = read_release(release.write(), protocol).tables
    assert tables["raw.patients"]["insurance"].null_count() == 2
    assert tables["raw.treatments"]["planned_stage"].null_count() == 2


def test_an_unknown_column_refuses(release, protocol: Protocol) -> None:
    release.set("patients", 0, shoe_size="43")
    message = refusal(release.write(), protocol)
    assert message.startswith("patients.csv has the column shoe_size, which is not part of the table patients")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("ssn", "social security numbers"),
        ("patient_ssn", "social security numbers"),
        ("MRN", "medical record numbers"),
        ("patient_name", "a person's name"),
        ("lastName", "a person's name"),
        ("dob", "dates of birth"),
        ("birth_year", "dates of birth"),
        ("date_of_service", "calendar dates"),
        ("surgery_date", "calendar dates"),
        ("zip", "postal codes"),
        ("zip_code", "postal codes"),
        ("home_address", "addresses"),
        ("phone_number", "telephone numbers"),
        ("email", "e-mail addresses"),
        ("fax", "fax numbers"),
        ("ip_address", "internet addresses"),
        ("member_id", "insurance numbers"),
        ("device_serial", "device numbers"),
        ("comments", "free text"),
    ],
)
def test_a_header_that_names_an_identifier(release, protocol: Protocol, column: str, kind: str) -> None:
    """The header patterns of 45 CFR 164.514(b)(2)(i), one column each, empty or not."""
    release.set("patients", 0, **{column: ""})
    message = refusal(release.write(), protocol)
    assert message.startswith(f"patients.csv has the column {column}, which by its name holds {kind};")


def test_an_identifier_is_named_before_other_faults(release, protocol: Protocol) -> None:
    release.set("patients", 0, shoe_size="43", ssn="123-45-6789")
    release.columns["patients"].remove("bmi")
    assert "the column ssn" in refusal(release.write(), protocol)


@pytest.mark.parametrize("column", ["$line", "$file", "unreadable:day", "is_repeat", "death_day"])
def test_names_that_the_program_uses_itself_are_unknown(release, protocol: Protocol, column: str) -> None:
    release.set("events", 0, **{column: "1"})
    assert refusal(release.write(), protocol).startswith("events.csv has ")


def test_a_header_that_may_be_a_patient_is_not_printed(release, protocol: Protocol) -> None:
    release.set("events", 0, **{"P-0193": "x"})
    message = refusal(release.write(), protocol)
    assert message.startswith("events.csv has an unknown column in place 4, which is not part of the table events")


@pytest.mark.parametrize("has_rows", [True, False])
def test_a_release_of_nobody_is_refused_before_it_is_published(release, protocol: Protocol, has_rows: bool) -> None:
    """A broken column keeps every patient aside: what is published stays, and the steward still gets the list."""
    for row in release.tables["patients"]:
        row["age_years"] = "seventy"
    if not has_rows:
        release.tables |= {name: [] for name in release.tables}
    inspection = check_release(release.write(), protocol)
    assert inspection.rows_quarantined == sum(len(rows) for rows in release.tables.values())
    assert remarks(inspection, protocol)[0].startswith("No patient is left to study")
    with pytest.raises(ReleaseRefused, match="no patient is left to study: .*; lss check names the rules"):
        read_release(release.folder, protocol)
