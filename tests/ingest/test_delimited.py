"""Files as stewards' programs write them: delimiters, quotes, encodings, packing, and exact line numbers."""

import gzip
import hashlib

import polars as pl
import pyarrow as pa
import pytest

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.delimited import read_delimited
from pipelines.ingest.tables import LINE
from pipelines.protocol import Protocol

EVENTS = "patient_id,day,event\nP-01,300,readmission\nP-02,650,death\n"


def rows(data: bytes) -> list[tuple[object, ...]]:
    return read_delimited(data, "events.csv").frame.rows()


EXPECTED = [("P-01", "300", "readmission", 2), ("P-02", "650", "death", 3)]


@pytest.mark.parametrize(
    "data",
    [
        EVENTS.encode(),
        EVENTS.rstrip("\n").encode(),
        EVENTS.encode("utf-8-sig"),
        EVENTS.encode("utf-16"),
        EVENTS.encode("utf-16-le"),
        EVENTS.encode("utf-16-be"),
        EVENTS.replace("\n", "\r\n").encode(),
        EVENTS.replace("\n", "\r").encode(),
        EVENTS.replace(",", ";").encode(),
        EVENTS.replace(",", "\t").encode(),
        EVENTS.replace(",", "|").encode(),
        EVENTS.replace("P-01", '"P-01"').encode(),
        EVENTS.replace("patient_id", '"patient_id"').replace("death", '"death"').encode(),
        EVENTS.replace("patient_id", "'patient_id'").replace("P-01", "'P-01'").encode(),
    ],
    ids=["plain", "no last line end", "BOM", "UTF-16", "UTF-16LE", "UTF-16BE", "CRLF", "CR", "semicolon", "tab", "bar",
         "quotes", "quoted header", "single quotes"],
)  # fmt: skip
def test_the_same_rows_in_every_dialect(data: bytes) -> None:
    assert rows(data) == EXPECTED


def test_a_header_alone_is_an_empty_table() -> None:
    assert rows(b"patient_id,day,event\n") == []


def test_lines_are_those_of_an_editor() -> None:
    """A blank line and a field over two lines: the record below them stands on line 6."""
    data = b'patient_id,day,event\n"P,\n01",300,"read ""mission"""\n\n   \nP-02,650,death\n'
    assert rows(data) == [("P,\n01", "300", 'read "mission"', 2), ("P-02", "650", "death", 6)]


@pytest.mark.parametrize(
    "line", ["P-03,1", "P-03,1,death,extra", 'P-03,1,de"at"h', '"P-03" ,1,death', 'P-03,"1"0,death']
)
def test_a_row_with_other_fields_than_the_header_is_broken(line: str) -> None:
    file = read_delimited(f"{EVENTS}{line}\nP-04,2,death\n".encode(), "events.csv")
    assert file.broken_lines == (4,)
    assert file.frame[LINE].to_list() == [2, 3, 5]
    assert file.rows == 4


def test_a_broken_row_is_quarantined_with_its_line(release, protocol: Protocol) -> None:
    release.add("events", {"patient_id": "P-01,,", "day": "1", "event": "death"})
    release.bytes["events"] = release.csv("events").replace(b'"P-01,,"', b"P-01,,")
    inspection = check_release(release.write(), protocol)
    assert inspection.quarantine.select("file", "line", "column", "rule").rows() == [
        ("events.csv", 4, None, "events.wrong_number_of_fields")
    ]
    assert inspection.counts.filter(table_name="events").row(0) == ("events", 3, 2, 1)


def test_a_stray_quotation_mark_that_swallows_rows_refuses() -> None:
    data = b'patient_id,day,event\nP-01,5"10,death\nP-02,1,death\nP-03,5"11,death\n'
    with pytest.raises(ReleaseRefused, match=r"misplaced quotation mark in the record from line 2"):
        read_delimited(data, "events.csv")


@pytest.mark.parametrize(
    "data", [b"\xff\xfea", b"\xff\xfe" + "é,".encode("utf-16-le") + b"\x00\xd8", b"a,b\n\x1f,\x1e\n", b"a" * 200_000]
)
def test_what_is_no_table_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(ReleaseRefused) as refused:
        read_delimited(data, "events.csv")
    assert str(refused.value).startswith("events.csv ")


def test_surrounding_blanks_and_empty_quotes_are_no_values(release, protocol: Protocol) -> None:
    release.bytes["events"] = b'patient_id, day ,event\n P-01 , 300 ,readmission\nP-02,"650"," death "\n'
    events = read_release(release.write(), protocol).tables["raw.events"]
    assert events.rows() == [("P-01", 300, "readmission", "events.csv:2"), ("P-02", 650, "death", "events.csv:3")]
    release.bytes["events"] = b'patient_id,day,event\nP-01,"",readmission\nP-02,  ,death\n'
    found = check_release(release.write(), protocol).quarantine["rule"].to_list()
    assert found == ["events.day.missing", "events.day.missing"]


# ---------------------------------------------------------------------------------------------- compressed and in parts


def hand_over(release, table: str, files: dict[str, bytes], rows: int) -> None:
    """Replace a table's file by others."""
    names = ", ".join(f"'{name}'" for name in files)
    hashes = ", ".join(f"'{hashlib.sha256(data).hexdigest()}'" for data in files.values())
    release.write(**{table: f"files = [{names}]\nrows = {rows}\nsha256 = [{hashes}]\n"})
    for name, data in files.items():
        (release.folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("events.csv.gz", gzip.compress), ("events.csv.zst", lambda d: pa.compress(d, "zstd", asbytes=True))],
)
def test_compressed_files_are_read(release, protocol: Protocol, name: str, pack) -> None:
    hand_over(release, "events", {name: pack(EVENTS.encode())}, rows=2)
    assert read_release(release.folder, protocol).tables["raw.events"]["record_id"].to_list() == [
        f"{name}:2",
        f"{name}:3",
    ]


@pytest.mark.parametrize(
    "data", [b"", b"not packed", gzip.compress(EVENTS.encode())[:-12]], ids=["empty", "other", "cut"]
)
def test_a_damaged_archive_is_refused(release, protocol: Protocol, data: bytes) -> None:
    hand_over(release, "events", {"events.csv.gz": data}, rows=2)
    with pytest.raises(ReleaseRefused, match=r"^events\.csv\.gz "):
        check_release(release.folder, protocol)


def test_a_decompression_bomb_is_refused(release, protocol: Protocol) -> None:
    hand_over(release, "events", {"events.csv.gz": gzip.compress(bytes(300_000_000))}, rows=2)
    with pytest.raises(ReleaseRefused, match=r"^events\.csv\.gz unpacks to more than 60 times its size"):
        check_release(release.folder, protocol)


def test_a_table_in_several_files(release, protocol: Protocol) -> None:
    """Rows keep the file and line they came from, also where a later file has an optional column more."""
    header, first, second = EVENTS.splitlines()
    hand_over(
        release, "events", {"e1.csv": f"{header}\n{first}\n".encode(), "e2.csv": f"{header}\n{second}\n".encode()}, 2
    )
    events = read_release(release.folder, protocol).tables["raw.events"]
    assert events["record_id"].to_list() == ["e1.csv:2", "e2.csv:2"]
    patients = release.csv("patients").decode().splitlines()
    more = patients[0] + ",insurance\n" + patients[2] + ",public\n"
    release_files = {"p1.csv": f"{patients[0]}\n{patients[1]}\n".encode(), "p2.csv": more.encode()}
    hand_over(release, "patients", release_files, 2)
    assert read_release(release.folder, protocol).tables["raw.patients"]["insurance"].to_list() == [None, "public"]


def test_a_row_that_stands_in_two_files_is_a_duplicate(release, protocol: Protocol) -> None:
    hand_over(release, "events", {"e1.csv": EVENTS.encode(), "e2.csv": EVENTS.encode()}, 4)
    inspection = check_release(release.folder, protocol)
    assert inspection.quarantine.select("file", "line").rows() == [("e2.csv", 2), ("e2.csv", 3)]


# ------------------------------------------------------------------------------------------------------------- Parquet


def as_parquet(release, protocol: Protocol, numbered: bool) -> dict[str, str]:
    """Write the clean release as typed Parquet, patients by name or by number; returns the manifest's entries."""
    tables = read_release(release.write(), protocol).tables
    entries: dict[str, str] = {}
    for name in release.tables:
        frame = tables[f"raw.{name}"].drop("record_id")
        if name == "patients":
            frame = frame.drop("enrolment_quarter")
        if numbered:
            frame = frame.with_columns(pl.col("patient_id").str.slice(2).cast(pl.Int64))
        path = release.folder / f"{name}.parquet"
        frame.write_parquet(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries[name] = f"files = ['{path.name}']\nrows = {frame.height}\nsha256 = ['{digest}']\n"
    release.write(**entries)
    return entries


def test_parquet_gives_the_same_tables(release, protocol: Protocol) -> None:
    from_csv = read_release(release.write(), protocol).tables
    as_parquet(release, protocol, numbered=False)
    from_parquet = read_release(release.folder, protocol).tables
    for name in ("raw.patients", "raw.treatments", "raw.assessments", "raw.events"):
        assert from_parquet[name].drop("record_id").equals(from_csv[name].drop("record_id"))
    assert from_parquet["raw.events"]["record_id"].to_list() == ["events.parquet:2", "events.parquet:3"]


def test_parquet_may_number_its_patients(release, protocol: Protocol) -> None:
    as_parquet(release, protocol, numbered=True)
    assert read_release(release.folder, protocol).tables["raw.patients"]["patient_id"].to_list() == ["1", "2"]


def test_a_fraction_where_a_whole_number_belongs_is_kept_aside(release, protocol: Protocol) -> None:
    entries = as_parquet(release, protocol, numbered=False)
    path = release.folder / "events.parquet"
    frame = pl.read_parquet(path).with_columns(pl.Series("day", [300.5, 650.0]))
    frame.write_parquet(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    release.write(**entries | {"events": f"files = ['{path.name}']\nrows = 2\nsha256 = ['{digest}']\n"})
    inspection = check_release(release.folder, protocol)
    assert inspection.quarantine.select("line", "rule").rows() == [(2, "events.day.not_a_whole_number")]


def test_a_file_that_is_not_parquet(release, protocol: Protocol) -> None:
    hand_over(release, "events", {"events.parquet": b"PAR1" + bytes(50) + b"PAR1"}, 2)
    with pytest.raises(ReleaseRefused, match=r"^events\.parquet cannot be read as Parquet; write it again$"):
        check_release(release.folder, protocol)
