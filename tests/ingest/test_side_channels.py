"""What a file can carry beside its rows (metadata, comments, names), and hashes cut short: all of it refuses."""

import gzip
import hashlib
import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from pipelines.ingest import ReleaseRefused, check_release
from pipelines.protocol import Protocol

NOTED = "carries (notes of its own|a note) beside its"


def with_events(release, file: str, data: bytes, rows: int = 2) -> Path:
    """The clean release with another file for its events."""
    folder = release.write(
        events=f'files = ["{file}"]\nrows = {rows}\nsha256 = ["{hashlib.sha256(data).hexdigest()}"]\n'
    )
    (folder / file).write_bytes(data)
    return folder


def events_parquet(release, change=lambda table: table) -> bytes:
    frame = pl.read_csv(io.BytesIO(release.csv("events")), schema_overrides={"day": pl.Int32})
    target = io.BytesIO()
    pq.write_table(change(frame.to_arrow()), target)
    return target.getvalue()


def noted_column(table: pa.Table) -> pa.Table:
    field = table.schema.field("event").with_metadata({"comment": "as told by the ward"})
    return table.cast(pa.schema([*(f for f in table.schema if f.name != "event"), field]))


@pytest.mark.parametrize("change", [
    lambda table: table.replace_schema_metadata({"exported_by": "ward 7"}),
    lambda table: table.replace_schema_metadata({"pandas": '{"creator": "jane.doe@example.org"}'}),
    lambda table: table.replace_schema_metadata({"r": "call 206-555-0142"}),
    noted_column,
])  # fmt: skip
def test_metadata_of_a_parquet_file(release, protocol: Protocol, change) -> None:
    with pytest.raises(ReleaseRefused, match=NOTED) as refused:
        check_release(with_events(release, "events.parquet", events_parquet(release, change)), protocol)
    assert "jane" not in str(refused.value)


def test_metadata_that_writers_leave_raise_no_alarm(release, protocol: Protocol) -> None:
    for change in (lambda table: table, lambda table: pa.Table.from_pandas(table.to_pandas())):
        found = check_release(with_events(release, "events.parquet", events_parquet(release, change)), protocol)
        assert found.violated.is_empty()
    target = io.BytesIO()
    pl.read_csv(io.BytesIO(release.csv("events"))).write_parquet(target)
    assert check_release(with_events(release, "events.parquet", target.getvalue()), protocol).violated.is_empty()


def gzipped(content: bytes, name: bytes = b"", comment: bytes = b"") -> bytes:
    """A gzip file with header fields, RFC 1952: flags in byte 3, then name and comment, each ended by a zero."""
    plain = gzip.compress(content, mtime=0)
    flags = (0x08 if name else 0) | (0x10 if comment else 0)
    fields = b"".join(field + b"\0" for field in (name, comment) if field)
    return plain[:3] + bytes([flags]) + plain[4:10] + fields + plain[10:]


@pytest.mark.parametrize(("fields", "is_refused"), [
    ({}, False), ({"name": b"events.csv"}, False), ({"name": b"events_john_smith.csv"}, True),
    ({"comment": b"ward 7"}, True), ({"name": b"events.csv", "comment": b"x"}, True),
])  # fmt: skip
def test_notes_in_a_gzip_header(release, protocol: Protocol, fields, is_refused: bool) -> None:
    folder = with_events(release, "events.csv.gz", gzipped(release.csv("events"), **fields))
    if is_refused:
        with pytest.raises(ReleaseRefused, match=NOTED):
            check_release(folder, protocol)
    else:
        assert check_release(folder, protocol).violated.is_empty()


def test_a_frame_that_readers_of_zstandard_skip(release, protocol: Protocol) -> None:
    packed = pa.compress(release.csv("events"), codec="zstd", asbytes=True)
    assert check_release(with_events(release, "events.csv.zst", packed), protocol).violated.is_empty()
    skipped = b"\x5a\x2a\x4d\x18" + (6).to_bytes(4, "little") + b"ward 7"
    with pytest.raises(ReleaseRefused, match=NOTED):
        check_release(with_events(release, "events.csv.zst", skipped + packed), protocol)


def test_a_comment_line_of_a_csv_file_is_kept_aside_or_refuses_it(release, protocol: Protocol) -> None:
    events = release.csv("events")
    last = check_release(with_events(release, "events.csv", events + b"# exported on the ward\n", 3), protocol)
    assert last.quarantine.select("line", "rule").rows() == [(4, "events.wrong_number_of_fields")]
    with pytest.raises(ReleaseRefused, match="does not start with a header row"):
        check_release(with_events(release, "events.csv", b"# exported on the ward\n" + events), protocol)


@pytest.mark.parametrize("name", ["events_john_smith.csv", "events-206-555-0142.csv", "events.Garcia.csv"])
def test_the_name_of_a_file(release, protocol: Protocol, name: str) -> None:
    with pytest.raises(ReleaseRefused, match="file names are shown in reports; rename the file") as refused:
        check_release(with_events(release, name, release.csv("events")), protocol)
    assert name not in str(refused.value)


@pytest.mark.parametrize("name", ["events_2024-03-12.csv", "events_v2.csv", "Events.2026q3.csv", "events-000017.csv"])
def test_names_of_files_with_a_version_raise_no_alarm(release, protocol: Protocol, name: str) -> None:
    assert check_release(with_events(release, name, release.csv("events")), protocol).violated.is_empty()


@pytest.mark.parametrize(("key", "value", "said"), [
    ("release", "john-smith", "the key release must not hold a name"),
    ("source", "registry, ask jane.doe@example.org", "the key source must not hold an e-mail address"),
    ("linkage", "call 206-555-0142", "the key linkage must not hold a telephone number"),
])  # fmt: skip
def test_fields_of_the_manifest(release, protocol: Protocol, key: str, value: str, said: str) -> None:
    release.about[key] = value
    with pytest.raises(ReleaseRefused, match=said):
        check_release(release.write(), protocol)


@pytest.mark.parametrize(("algorithm", "text", "length"), [
    ("md5", "17", 16), ("sha1", "000451", 12), ("sha256", "00000451", 20), ("sha256", "9999", 64),
])  # fmt: skip
@pytest.mark.parametrize("prefix", ["", "P-", "SM-"])
def test_hashes_of_small_numbers_that_were_cut_short(release, protocol, algorithm, text, length, prefix) -> None:
    release.set("patients", 1, patient_id=prefix + hashlib.new(algorithm, text.encode()).hexdigest()[:length].upper())
    with pytest.raises(ReleaseRefused, match=r"patients\.csv, line 3, column patient_id: .*plain hash"):
        check_release(release.write(), protocol)
