"""A receipt says what a run made and from what; verifying finds every change made since."""

import hashlib
import json
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipelines.releases import Home, Register, Release, ReleaseError
from pipelines.releases.home import write_whole
from pipelines.releases.publish import publish
from pipelines.releases.receipt import SIGNING_KEY, keep_receipt, run_receipt, write_receipt
from pipelines.releases.verify import verify
from pipelines.warehouse import Warehouse, open_warehouse

PROTOCOL = {"name": "ladder", "version": "1", "hash": "b" * 64}
INPUTS = [{"table_name": "patients", "file": "patients.csv", "sha256": "c" * 64}]
MADE_FROM = {"results.answer": ("quality.checks", "quality.ingest_counts", "results.other")}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    Register(home).add(Release("spring", "/data/spring", "a" * 64, "ladder"))
    return home


@pytest.fixture
def report(home: Home) -> Path:
    return _run(home, value=42)


def _run(home: Home, value: int) -> Path:
    """What a run does at its end, in small: the receipt is kept, the snapshot published, the report rendered."""
    working = home.working_file("spring", "ladder")
    working.parent.mkdir(parents=True, exist_ok=True)
    with open_warehouse(working) as warehouse:
        warehouse.write("results.answer", pl.DataFrame({"value": [value, 7]}))
        warehouse.write("quality.ingest_counts", pl.DataFrame({"table_name": ["patients"], "rows_read": [20]}))
        warehouse.write("quality.checks", pl.DataFrame({"check_name": ["grain"], "verdict": ["passed"]}))
        made = pl.DataFrame({"position": [1], "table_name": ["results.answer"], "seconds": [0.5]})
        warehouse.write("quality.materializations", made)
        keep_receipt(warehouse, run_receipt(warehouse, "spring", PROTOCOL, INPUTS, {"version": "1"}, MADE_FROM))
        publish(warehouse, home, "spring", "ladder")
    page = home.report_folder("spring", "ladder") / "report.html"
    write_whole(page, f"<p>{value}</p>".encode())
    write_receipt(home, "spring", "ladder")
    return page


def _sound(home: Home, report: Path, public_key: Path | None = None) -> dict[str, bool | None]:
    return {found.subject: found.is_sound for found in verify(home, report, public_key)}


def test_a_receipt_names_inputs_protocol_tables_checks_and_durations(home: Home, report: Path) -> None:
    run = json.loads((report.parent / "receipt.json").read_text())["run"]
    assert run["inputs"] == INPUTS
    assert run["protocol"] == PROTOCOL
    assert run["checks"] == {"grain": "passed"}
    assert run["seconds"] == {"results.answer": 0.5}
    assert run["ingest"] == [{"table_name": "patients", "rows_read": 20}]
    assert run["tables"]["results.answer"]["rows"] == 2
    assert run["stages"]["results"] == {"tables": 1, "rows_in": 1 + 1, "rows_out": 2}


def test_the_content_hash_is_that_of_columns_and_sorted_row_hashes() -> None:
    warehouse = Warehouse()
    warehouse.write("results.answer", pl.DataFrame({"a": [1, None]}))
    rows = sorted(hashlib.sha256(text.encode()).hexdigest() for text in ('{"a":1}', '{"a":null}'))
    expected = hashlib.sha256("".join(["{'a': 'BIGINT'}", *rows]).encode()).hexdigest()
    assert warehouse.content_hash("results.answer") == expected


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (pl.DataFrame({"a": [2, 1], "b": ["NULL", None]}), True),
        (pl.DataFrame({"a": [2, 1], "b": [None, "NULL"]}), False),
        (pl.DataFrame({"a": [2, 1, 1], "b": ["NULL", None, None]}), False),
        (pl.DataFrame({"a": [2, 1], "c": ["NULL", None]}), False),
        (pl.DataFrame({"a": [2.0, 1.0], "b": ["NULL", None]}), False),
    ],
    ids=["rows in another order", "a value moved", "a row twice", "a column renamed", "another type"],
)
def test_the_content_hash_sees_what_a_table_says_and_not_its_order(other: pl.DataFrame, is_same: bool) -> None:
    warehouse = Warehouse()
    warehouse.write("results.one", pl.DataFrame({"a": [1, 2], "b": [None, "NULL"]}))
    warehouse.write("results.other", other)
    assert (warehouse.content_hash("results.one") == warehouse.content_hash("results.other")) is is_same


def test_an_untouched_report_is_verified_also_as_a_copy(home: Home, report: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mailed.html"
    shutil.copy(report, copy)
    for path in (report, copy):
        assert _sound(home, path) == {"report": True, "receipt": True, "snapshot": True, "signature": None}


def test_a_changed_report_is_found(home: Home, report: Path) -> None:
    report.write_text("<p>43</p>")
    assert _sound(home, report)["report"] is False


def test_a_file_that_no_receipt_knows_is_not_verified(home: Home, report: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "other.html"
    stranger.write_text("<p>43</p>")
    assert _sound(home, stranger) == {"report": False}


def test_a_changed_snapshot_is_found_and_its_table_named(home: Home, report: Path) -> None:
    with duckdb.connect(str(home.snapshot_file("spring", "ladder"))) as connection:
        connection.execute("UPDATE results.answer SET value = 43 WHERE value = 42").fetchall()
    finding = next(found for found in verify(home, report) if found.subject == "snapshot")
    assert finding.is_sound is False
    assert "results.answer" in finding.sentence
    assert "quality" not in finding.sentence


def test_a_table_added_to_the_snapshot_is_found(home: Home, report: Path) -> None:
    with duckdb.connect(str(home.snapshot_file("spring", "ladder"))) as connection:
        connection.execute("CREATE TABLE results.slipped_in AS SELECT 1 AS one").fetchall()
    assert _sound(home, report)["snapshot"] is False


@pytest.mark.parametrize("sql", [
    "CREATE TABLE main.slipped_in AS SELECT 1 AS one", "CREATE VIEW main.seen AS SELECT * FROM results.answer",
    "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.slipped_in AS SELECT 1 AS one",
    "UPDATE quality.receipt SET content = '{}'", "DELETE FROM quality.receipt", "DROP TABLE quality.receipt",
    "INSERT INTO quality.receipt SELECT * FROM quality.receipt", "ALTER TABLE quality.receipt DROP COLUMN digest",
])  # fmt: skip
def test_what_is_slipped_in_beside_the_tables_of_a_run_is_found(home: Home, report: Path, sql: str) -> None:
    with duckdb.connect(str(home.snapshot_file("spring", "ladder"))) as connection:
        connection.execute(sql).fetchall()
    assert _sound(home, report)["snapshot"] is False


def test_every_file_of_a_report_is_verified_and_those_beside_it_are_named(home: Home, report: Path) -> None:
    for name in ("report.pdf", "printed.json", "sites/one.html"):
        write_whole(report.parent / name, b"as it was")
    write_receipt(home, "spring", "ladder")
    assert "files beside it" not in _sound(home, report)
    for name in ("report.pdf", "printed.json", "sites/one.html"):
        file = report.parent / name
        file.write_bytes(b"changed")
        assert _sound(home, file)["report"] is False
        finding = next(found for found in verify(home, report) if found.subject == "files beside it")
        assert finding.is_sound is False
        assert finding.sentence.endswith(f": {name}")
        file.write_bytes(b"as it was")
    (report.parent / "printed.json").unlink()
    assert _sound(home, report)["files beside it"] is False


def test_a_changed_receipt_is_found(home: Home, report: Path) -> None:
    path = report.parent / "receipt.json"
    path.write_text(path.read_text().replace('"rows_read": 20', '"rows_read": 21'))
    assert _sound(home, report)["receipt"] is False


@pytest.mark.parametrize("spoil", [
    lambda document: {},
    lambda document: document | {"files": ["report.html"]},
    lambda document: document | {"run": document["run"] | {"release": "../../elsewhere"}},
    lambda document: document | {"run": {key: document["run"][key] for key in document["run"] if key != "tables"}},
])  # fmt: skip
def test_a_receipt_that_is_none_is_told_in_one_sentence_and_blocks_no_other(home: Home, report: Path, spoil) -> None:
    other = home.path / "reports" / "older" / "ladder"
    other.mkdir(parents=True)
    path = report.parent / "receipt.json"
    spoilt = json.dumps(spoil(json.loads(path.read_text())))
    (other / "receipt.json").write_text(spoilt)
    assert _sound(home, report)["report"] is True
    path.write_text(spoilt)
    with pytest.raises(ReleaseError, match="cannot be read; render the report again"):
        verify(home, report)


def test_a_report_of_an_earlier_run_is_verified_against_the_archive(home: Home, report: Path, tmp_path: Path) -> None:
    mailed = tmp_path / "mailed.html"
    shutil.copy(report, mailed)
    _run(home, value=44)
    findings = {found.subject: found for found in verify(home, mailed)}
    assert findings["report"].is_sound
    assert findings["snapshot"].is_sound
    assert "earlier run" in findings["snapshot"].sentence


def test_a_removed_snapshot_is_said(home: Home, report: Path) -> None:
    home.snapshot_file("spring", "ladder").unlink()
    assert _sound(home, report)["snapshot"] is False


def _keys(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_a_signature_rules_out_who_lacks_the_key(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = _keys(tmp_path, "ours")
    _, other = _keys(tmp_path, "theirs")
    monkeypatch.setenv(SIGNING_KEY, str(private))
    report = _run(home, value=42)
    monkeypatch.delenv(SIGNING_KEY)
    assert _sound(home, report)["signature"] is None  # signed, but without a key nothing can be said
    assert _sound(home, report, public)["signature"] is True
    assert _sound(home, report, other)["signature"] is False
    receipt = report.parent / "receipt.json"
    receipt.write_text(receipt.read_text().replace("spring", "summer"))
    assert _sound(home, report, public)["signature"] is False


def test_an_unsigned_receipt_fails_where_a_key_is_given(home: Home, report: Path, tmp_path: Path) -> None:
    _, public = _keys(tmp_path, "ours")
    assert _sound(home, report, public)["signature"] is False


def test_a_key_that_is_none_is_refused_in_one_sentence(
    home: Home, report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense = tmp_path / "key.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ReleaseError, match="no Ed25519 public key"):
        verify(home, report, nonsense)
    monkeypatch.setenv(SIGNING_KEY, str(nonsense))
    with pytest.raises(ReleaseError, match="openssl genpkey"):
        write_receipt(home, "spring", "ladder")
