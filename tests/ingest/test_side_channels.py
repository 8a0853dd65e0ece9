"""What a file can carry beside its rows (metadata, comments, names), and hashes cut short: all of it refuses."""

import gzip
import hashlib
import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.compression import unpacked
from pipelines.ingest.steward import remarks
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


def gzipped(content: bytes, name: bytes = b"", comment: bytes = b"", extra: bytes = b"") -> bytes:
    """A gzip file with header fields, RFC 1952: flags in byte 3, then an extra field with its length, name and comment,
    each ended by a zero."""
    plain = gzip.compress(content, mtime=0)
    flags = (0x04 if extra else 0) | (0x08 if name else 0) | (0x10 if comment else 0)
    fields = len(extra).to_bytes(2, "little") + extra if extra else b""
    fields += b"".join(field + b"\0" for field in (name, comment) if field)
    return plain[:3] + bytes([flags]) + plain[4:10] + fields + plain[10:]


@pytest.mark.parametrize(("fields", "is_refused"), [
    ({}, False), ({"name": b"events.csv"}, False), ({"name": b"events_john_smith.csv"}, True),
    ({"comment": b"ward 7"}, True), ({"name": b"events.csv", "comment": b"x"}, True),
    ({"extra": b"wd\x06\0ward 7"}, True), ({"extra": b"BC\x02\0\x1b\0"}, False),
    ({"extra": b"BC\x02\0\x1b\0wd\x06\0ward 7"}, True),
    ({"extra": b"BC\x02\0\x1b\0", "name": b"events_john_smith.csv"}, True),
])  # fmt: skip
def test_notes_in_a_gzip_header(release, protocol: Protocol, fields, is_refused: bool) -> None:
    """A note refuses the release in the first part of a file and in its second; block gzip's own field (BC) may be."""
    events = release.csv("events")
    for data in (gzipped(events, **fields), gzip.compress(events[:20]) + gzipped(events[20:], **fields)):
        folder = with_events(release, "events.csv.gz", data)
        if is_refused:
            with pytest.raises(ReleaseRefused, match=NOTED):
                check_release(folder, protocol)
        else:
            assert check_release(folder, protocol).counts["rows_accepted"].to_list() == [2, 2, 3, 2]


def test_what_stands_behind_a_gzip_file(release, protocol: Protocol) -> None:
    packed = gzip.compress(release.csv("events"))
    with pytest.raises(ReleaseRefused, match=NOTED):
        check_release(with_events(release, "events.csv.gz", packed + b"ward 7"), protocol)
    assert check_release(with_events(release, "events.csv.gz", packed + bytes(512)), protocol).violated.is_empty()


@pytest.mark.parametrize("kept", [3, 9, 12, 40, -1, -9])
@pytest.mark.parametrize("codec", ["gz", "zst"])
def test_a_compressed_file_that_was_cut_short(release, protocol: Protocol, kept: int, codec: str) -> None:
    events = release.csv("events")
    packed = gzip.compress(events) if codec == "gz" else pa.compress(events, codec="zstd", asbytes=True)
    with pytest.raises(ReleaseRefused, match="cannot be unpacked"):
        check_release(with_events(release, f"events.csv.{codec}", packed[:kept]), protocol)


@pytest.mark.parametrize("where", ["before", "between", "behind"])
@pytest.mark.parametrize("mark", [0x50, 0x5A, 0x5F])
def test_a_frame_that_readers_of_zstandard_skip(release, protocol: Protocol, where: str, mark: int) -> None:
    events = release.csv("events")
    first, second = (pa.compress(part, codec="zstd", asbytes=True) for part in (events[:20], events[20:]))
    assert check_release(with_events(release, "events.csv.zst", first + second), protocol).violated.is_empty()
    skipped = bytes([mark]) + b"\x2a\x4d\x18" + (6).to_bytes(4, "little") + b"ward 7"
    data = {"before": skipped + first + second, "between": first + skipped + second, "behind": first + second + skipped}
    with pytest.raises(ReleaseRefused, match=NOTED):
        check_release(with_events(release, "events.csv.zst", data[where]), protocol)


def test_large_files_in_many_parts_are_unpacked_whole() -> None:
    """Parts larger than what is read at once, and many small ones."""
    text = b"".join(f"{number},{number * 7919 % 1000}\n".encode() for number in range(400_000))
    for cuts in (1, 2, 300):
        parts = [text[len(text) * n // cuts : len(text) * (n + 1) // cuts] for n in range(cuts)]
        assert unpacked(b"".join(map(gzip.compress, parts)), ".gz", "x.csv.gz") == text
        frames = b"".join(pa.compress(part, codec="zstd", asbytes=True) for part in parts)
        assert unpacked(frames, ".zst", "x.csv.zst") == text


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


CUT = [hashlib.sha256(text).hexdigest()[:16] for text in (b"078-05-1120", b"206-555-0142")]


@pytest.mark.parametrize("mode", ["synthetic", "safe_harbor", "expert_determination"])
def test_a_piece_of_a_hash_among_other_pseudonyms(release, protocol: Protocol, mode: str) -> None:
    """Of a security number, cut to 16 digits: nothing but its form can be known of it."""
    release.about["deidentification"] = mode
    release.set("patients", 1, patient_id=CUT[0])
    with pytest.raises(ReleaseRefused, match=r"patients\.csv, line 3, column patient_id: what looks like a hash cut"):
        check_release(release.write(), protocol)


@pytest.mark.parametrize("mode", ["safe_harbor", "expert_determination"])
def test_pseudonyms_that_all_look_like_pieces_of_hashes_need_a_word_in_the_manifest(
    release, protocol: Protocol, mode: str
) -> None:
    release.about["deidentification"] = mode
    for table, column in (("patients", "patient_id"), ("treatments", "patient_id"), ("events", "patient_id")):
        for row, piece in zip(release.tables[table], CUT, strict=True):
            row[column] = piece
    for row, piece in zip(release.tables["assessments"], (CUT[0], CUT[0], CUT[1]), strict=True):
        row["patient_id"] = piece
    with pytest.raises(ReleaseRefused, match="patient_id of patients looks like hashes cut short") as refused:
        check_release(release.write(), protocol)
    assert CUT[0] not in str(refused.value)
    release.about["pseudonyms"] = "random"
    assert check_release(release.write(), protocol).counts["rows_accepted"].to_list() == [2, 2, 3, 2]
    release.about["pseudonyms"] = "hashed"
    with pytest.raises(ReleaseRefused, match="the key pseudonyms"):
        check_release(release.write(), protocol)


def test_files_beside_those_of_the_manifest_are_told_and_not_read(release, protocol: Protocol) -> None:
    folder = release.write()
    assert check_release(folder, protocol).stray_files == ()
    (folder / "truth.json").touch()
    (folder / "notes.txt").write_text("Jane Doe, 078-05-1120")
    (folder / "john_smith.csv").touch()
    (folder / "scans").mkdir()
    found = check_release(folder, protocol)
    assert found.stray_files == ("john_smith.csv", "notes.txt", "scans")
    (said,) = [text for text in remarks(found, protocol) if "does not name" in text]
    assert said.startswith("The folder holds 3 files that manifest.toml does not name, such as notes.txt and scans:")
    tables = read_release(folder, protocol).tables
    assert not [name for name, frame in tables.items() if "078-05" in frame.write_csv()]
