"""The de-identification guard: planted identifiers refuse the release, named by place and kind and never by value."""

import base64
import datetime
import hashlib

import polars as pl
import pytest

from pipelines.ingest import ReleaseRefused, check_release
from pipelines.protocol import Protocol


def refusal(release, protocol: Protocol) -> str:
    with pytest.raises(ReleaseRefused) as refused:
        check_release(release.write(), protocol)
    return str(refused.value)


PLANTED = [
    ("patients", 0, "insurance", "jane.doe@example.org", "an e-mail address"),
    ("patients", 1, "insurance", "123-45-6789", "a social security number"),
    ("patients", 0, "education", "(206) 555-0142", "a telephone number"),
    ("patients", 0, "education", "+49 30 901820", "a telephone number"),
    ("patients", 0, "education", "https://chart.example.org/7", "a web address"),
    ("patients", 0, "education", "www.example.org", "a web address"),
    ("patients", 0, "education", "10.1.20.113", "an internet address"),
    ("patients", 0, "insurance", "2024-03-12", "a date"),
    ("patients", 0, "insurance", "3/12/2024", "a date"),
    ("patients", 0, "insurance", "12.03.24", "a date"),
    ("patients", 0, "insurance", "12 March 2024", "a date"),
    ("patients", 0, "insurance", "Mar 12, 2024", "a date"),
    ("patients", 0, "insurance", "20240312", "a date"),
    ("patients", 0, "insurance", "98104", "a postal code"),
    ("patients", 0, "insurance", "98104-2499", "a postal code"),
    ("patients", 0, "insurance", "MRN 0048213", "a record number"),
    ("patients", 0, "insurance", "7741233", "a long number"),
    ("patients", 0, "insurance", "14 Elm Street", "a street address"),
    ("patients", 0, "insurance", "Dr. Miller", "a name"),
    ("patients", 0, "insurance", "93 years old", "an age above 89"),
    ("patients", 0, "site_id", "clinic@example.org", "an e-mail address"),
    ("assessments", 1, "stop_reason", "fell on 2024-03-12", "a date"),
    ("assessments", 1, "duration_s", "call 206-555-0142", "a telephone number"),
    ("assessments", 0, "mode", "１２３-４５-６７８９", "a social security number"),  # full-width digits
    ("treatments", 0, "surgeon_id", "1093812345", "a long number"),  # a national provider number
    ("treatments", 0, "code", "2024-03-12", "a date"),
    ("events", 1, "event", "death 03/12/2024", "a date"),
    ("events", 1, "event", "dea\u200bth", "invisible characters"),
    ("patients", 0, "patient_id", "123-45-6789", "a social security number"),
    ("patients", 0, "patient_id", "0048213397", "a long number"),
    ("patients", 0, "patient_id", "MRN0048213", "a record number"),
    (
        "patients",
        0,
        "patient_id",
        hashlib.md5(b"0048213").hexdigest(),
        "what looks like the plain hash of an identifier",
    ),
    ("patients", 0, "patient_id", hashlib.sha256(b"0048213").hexdigest(), "what looks like the plain hash"),
]


@pytest.mark.parametrize(("table", "row", "column", "value", "kind"), PLANTED, ids=lambda v: str(v)[:30])
def test_a_planted_identifier_is_found(release, protocol: Protocol, table, row, column, value, kind) -> None:
    release.set(table, row, **{column: value})
    message = refusal(release, protocol)
    assert message.startswith(f"{table}.csv, line {row + 2}, column {column}: {kind}")
    assert value not in message


@pytest.mark.parametrize(("table", "column", "value"), [
    ("patients", "insurance", "Medicare Advantage"), ("patients", "education", "high school"),
    ("patients", "education", "college (4 years)"), ("patients", "patient_id", "SM-480e421f8bef373b"),
    ("patients", "patient_id", "3f2c8e9a-5b1d-4c7e-9a2b-1d4f6e8c0b7a"), ("patients", "patient_id", "17"),
    ("patients", "site_id", "site-12"), ("treatments", "treatment_id", "SM-480e421f8bef373b-t1"),
    ("treatments", "surgeon_id", "site-12-b"), ("treatments", "code", "62323"),
])  # fmt: skip
def test_harmless_words_raise_no_alarm(release, protocol: Protocol, table: str, column: str, value: str) -> None:
    release.set(table, 0, **{column: value})
    check_release(release.write(), protocol)


def test_an_age_above_89_must_be_pooled(release, protocol: Protocol) -> None:
    release.set("patients", 0, age_years="90")
    assert check_release(release.write(), protocol).violated.is_empty()
    release.set("patients", 1, age_years="93")
    assert refusal(release, protocol) == (
        "patients.csv, line 3, column age_years: an age above 89 that is not pooled; "
        "write 90 for everyone of 90 or older"
    )


@pytest.mark.parametrize("age", ["９３", "٩٣", "93.0", "93 years", "93y", "approx. 101", "91+", "1２0", "1e2"])
def test_an_age_above_89_is_found_however_it_is_written(release, protocol: Protocol, age: str) -> None:
    release.set("patients", 1, age_years=age)
    assert refusal(release, protocol).startswith("patients.csv, line 3, column age_years: an age above 89")


@pytest.mark.parametrize("age", ["90", "90.0", "90+", "89.6", "seventy", "71 years", "7"])
def test_an_age_that_is_pooled_or_below_is_none(release, protocol: Protocol, age: str) -> None:
    release.set("patients", 1, age_years=age)
    check_release(release.write(), protocol)


@pytest.mark.parametrize("mode", ["safe_harbor", "synthetic"])
def test_a_quarter_of_enrolment_is_too_exact(release, protocol: Protocol, mode: str) -> None:
    release.about["deidentification"] = mode
    release.set("patients", 0, enrolment_quarter="2")
    assert "enrolment_quarter" in refusal(release, protocol)


@pytest.mark.parametrize(("mode", "agreement"), [("limited_data_set", "DUA 14"), ("expert_determination", "")])
def test_a_quarter_of_enrolment_may_stay_under_other_modes(release, protocol, mode: str, agreement: str) -> None:
    release.about |= {"deidentification": mode, "data_use_agreement": agreement}
    release.set("patients", 0, enrolment_quarter="2")
    assert check_release(release.write(), protocol).violated.is_empty()


def test_a_date_written_as_a_number_is_a_date(release, protocol: Protocol) -> None:
    release.set("treatments", 1, day="20240312")
    assert refusal(release, protocol).startswith("treatments.csv, line 3, column day: a date written as a number")


def test_running_numbers_may_be_long(release, protocol: Protocol, templates) -> None:
    """A column that numbers its rows is dense; record numbers of patients who happen to be chosen are sparse."""
    numbers = {
        "running": range(7_700_001, 7_700_041),
        "padded": range(41),
        "record": range(7_700_000, 7_740_000, 1_000),
    }
    for kind, chosen in numbers.items():
        patients = [templates["patients"] | {"patient_id": f"{number:07}"} for number in chosen]
        release.tables |= {"patients": patients, "treatments": [], "assessments": [], "events": []}
        if kind == "record":
            assert refusal(release, protocol).startswith("patients.csv, line 2, column patient_id: a long number")
        else:
            assert check_release(release.write(), protocol).violated.is_empty()


def test_free_text_is_told_by_its_variety(release, protocol: Protocol, templates) -> None:
    release.tables["patients"] += [
        templates["patients"] | {"patient_id": f"Q-{i}", "insurance": f"plan {chr(65 + i // 26)}{chr(65 + i % 26)}"}
        for i in range(51)
    ]
    release.columns["patients"].append("insurance")
    assert "the table patients has more than 50 different texts in the column insurance" in refusal(release, protocol)


def test_a_date_column_in_parquet_refuses(release, protocol: Protocol) -> None:
    folder = release.write()
    frame = pl.DataFrame({"patient_id": ["P-01"], "day": [datetime.date(2024, 3, 12)], "event": ["death"]})
    frame.write_parquet(folder / "events.parquet")
    digest = hashlib.sha256((folder / "events.parquet").read_bytes()).hexdigest()
    release.write(events=f"files = ['events.parquet']\nrows = 1\nsha256 = ['{digest}']\n")
    with pytest.raises(ReleaseRefused, match=r"events\.parquet has dates in the column day; give days counted from"):
        check_release(folder, protocol)


@pytest.mark.parametrize("value", [row[3] for row in PLANTED[:3]])
def test_nothing_is_printed_of_a_quarantined_row(release, protocol: Protocol, value: str) -> None:
    """What only a row rule refuses keeps its value to itself, too."""
    release.set("patients", 0, bmi="SECRETVALUE")
    inspection = check_release(release.write(), protocol)
    assert "SECRETVALUE" not in str(inspection.quarantine.to_dicts())


# ------------------------------------------------------------------------ whole columns, and columns that seem harmless


def of_many(release, templates, make, mode: str = "safe_harbor", **more: str):
    """The release with forty patients whose pseudonyms are made from their numbers, and no other record."""
    patients = [templates["patients"] | {"patient_id": make(number)} for number in range(40)]
    release.tables |= {"patients": patients, "treatments": [], "assessments": [], "events": []}
    release.about |= {"deidentification": mode, **more}
    return release


def digest(number: int) -> bytes:
    return hashlib.sha256(f"{4_000_000 + 7919 * number}".encode()).digest()


INITIALS = "ABCDEFGHJKLMNPRSTUVWZ"
NAMES = ("kowalczyk", "nowakowa", "wisniewski", "lewandowska", "zielinska", "szymanska", "wozniak", "pawlowska")


@pytest.mark.parametrize(("make", "kind"), [
    (lambda i: INITIALS[i % 21] + INITIALS[i * 5 % 19] + str(1931 + i), "a name or initials with a number"),
    (lambda i: NAMES[i % 8] + "abcde"[i // 8] + str(i % 10), "a name or initials with a number"),
    (lambda i: f"M{4_000_000 + 7919 * i}", "a long number behind letters"),
    (lambda i: base64.b32encode(digest(i)).decode().rstrip("="), "looks like hashes"),
    (lambda i: base64.urlsafe_b64encode(digest(i)).decode().rstrip("="), "looks like hashes"),
    (lambda i: "PT-" + hashlib.md5(str(i + 48_000).encode()).hexdigest(), "what looks like the plain hash"),
], ids=["initials and year", "names", "record numbers", "base 32", "base 64", "hashes behind letters"])  # fmt: skip
def test_pseudonyms_that_show_their_making_together(release, protocol: Protocol, templates, make, kind) -> None:
    message = refusal(of_many(release, templates, make), protocol)
    assert kind in message
    assert make(0) not in message


@pytest.mark.parametrize("make", [
    lambda i: f"M{700_001 + i}", lambda i: f"AB{1901 + i}", lambda i: f"{'ABC'[i % 3]}{1901 + i}",
    lambda i: f"subject_{i}", lambda i: f"operator{i}", lambda i: f"LSS-2020-{i:04}", lambda i: f"0{i}-0017",
    lambda i: f"P{i:06}", lambda i: f"Registry-2020-S04-{i:04}", lambda i: f"SM-{digest(i).hex()[:16]}",
    lambda i: f"SM-{7 * 10**15 + i * 10**9}" if i % 5 == 0 else f"SM-{digest(i).hex()[:15]}a",
])  # fmt: skip
def test_pseudonyms_that_only_run_on_raise_no_alarm(release, protocol: Protocol, templates, make) -> None:
    assert check_release(of_many(release, templates, make).write(), protocol).violated.is_empty()


@pytest.mark.parametrize("more", [{"pseudonyms": "random"}, {"mode": "synthetic"}])
def test_numbers_behind_letters_may_stand_where_they_are_random(release, protocol, templates, more) -> None:
    made = of_many(release, templates, lambda i: f"M{4_000_000 + 7919 * i}", **more)
    assert check_release(made.write(), protocol).violated.is_empty()


@pytest.mark.parametrize("number", ["2065550142", "123456789", "8234567"])
def test_an_order_of_enrolment_is_no_place_for_a_record_number(release, protocol: Protocol, number: str) -> None:
    release.set("patients", 0, site_sequence="1")
    release.set("patients", 1, site_sequence=number)
    assert refusal(release, protocol).startswith("patients.csv, line 3, column site_sequence: a long number")


def test_numbers_of_a_parquet_file_are_looked_at_as_text(release, protocol: Protocol, tmp_path) -> None:
    """A day of birth as a number, so many of them that they lie close together."""
    days = pl.date_range(datetime.date(1931, 1, 1), datetime.date(1950, 1, 1), eager=True).dt.strftime("%Y%m%d")
    frame = pl.DataFrame({"treatment_id": days.cast(pl.Int64), "patient_id": "P-01", "day": 0, "tier": "esi"})
    frame = frame.with_columns(site_id=pl.lit("S1"))
    frame.write_parquet(release.write() / "treatments.parquet")
    digest = hashlib.sha256((release.folder / "treatments.parquet").read_bytes()).hexdigest()
    release.write(treatments=f"files = ['treatments.parquet']\nrows = {frame.height}\nsha256 = ['{digest}']\n")
    with pytest.raises(ReleaseRefused, match=r"treatments\.parquet, line 2, column treatment_id: a date"):
        check_release(release.folder, protocol)


@pytest.mark.parametrize(("code", "system"), [
    ("62323", "CPT"), ("5-839.6", "OPS"), ("0QSGXZZ", "ICD10PCS"), ("W37.1", "OPCS-4.9"), ("LFFA002", "CCAM"),
    ("62323-RT", "CPT4"), ("FUSION-1", "local"), ("esi", "local"),
])  # fmt: skip
def test_codes_raise_no_alarm(release, protocol: Protocol, code: str, system: str) -> None:
    release.set("treatments", 0, code=code, code_system=system)
    check_release(release.write(), protocol)


@pytest.mark.parametrize(
    "site", ["north", "North-West", "A", "site_b", "siteC", "hospB", "trial", "012", "unit-4", "group.red"]
)
def test_sites_that_are_only_numbered_raise_no_alarm(release, protocol: Protocol, site: str) -> None:
    release.set("patients", 0, site_id=site)
    assert check_release(release.write(), protocol).violated.is_empty()


def test_a_code_that_a_list_of_the_release_names_is_known(release, protocol: Protocol) -> None:
    """A number of SNOMED CT is as long as a record number, and a code of the house may be a word."""
    for code in ("18347007", "Gutmann"):
        release.set("treatments", 0, code=code, code_system="house")
        assert "column code: a" in refusal(release, protocol)
        data = f"system,code,measure\nhouse,{code},esi\n".encode()
        (release.folder / "house.csv").write_bytes(data)
        manifest = release.folder / "manifest.toml"
        listed = f'[[code_lists]]\nfile = "house.csv"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        manifest.write_text(manifest.read_text() + listed)
        assert check_release(release.folder, protocol).violated.is_empty()
