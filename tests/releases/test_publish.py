"""Publishing replaces a whole snapshot by a whole one, and readers see what is published now."""

import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from pipelines.releases import Home, Register, Release, ReleaseError, open_snapshot
from pipelines.releases.home import PARTIAL, write_whole
from pipelines.releases.publish import clean_up, publish
from pipelines.releases.snapshot import protocol_of
from pipelines.warehouse import Warehouse, WarehouseError, open_warehouse


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    Register(home).add(Release("spring", "/data/spring", "a" * 64, "lss-1"))
    return home


def _publish(home: Home, value: int) -> Path:
    working = home.working_file("spring", "lss-1")
    working.parent.mkdir(parents=True, exist_ok=True)
    with open_warehouse(working) as warehouse:
        warehouse.write("results.answer", pl.DataFrame({"value": [value], "text": ["it's"], "none": [None]}))
        return publish(warehouse, home, "spring", "lss-1")


def _answer(snapshot: Warehouse) -> int:
    return int(snapshot.read("results.answer")["value"].item())


def test_a_snapshot_holds_what_the_working_file_held(home: Home) -> None:
    path = _publish(home, 42)
    assert path == home.path / "snapshots" / "spring" / "lss-1.duckdb"
    snapshot = open_snapshot(home, "spring")
    assert snapshot.read("results.answer").to_dicts() == [{"value": 42, "text": "it's", "none": None}]
    with pytest.raises(WarehouseError):
        snapshot.run("CREATE TABLE results.mine (a INTEGER)", "writing into a snapshot")
    snapshot.close()


def test_a_snapshot_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "old.duckdb") as snapshot:
        snapshot.write("protocol.document", pl.DataFrame({"content": ['{"name": "lss-1", "a_key_of_old": 1}']}))
        with pytest.raises(ReleaseError, match=r"old\.duckdb was made by another version .* run the release again"):
            protocol_of(snapshot)


def test_the_snapshot_before_is_kept_in_the_archive(home: Home) -> None:
    _publish(home, 1)
    _publish(home, 2)
    _publish(home, 3)
    archived = sorted((home.path / "snapshots" / "spring" / "archive").glob("lss-1-*.duckdb"))
    values = []
    for path in archived:
        with open_warehouse(path, read_only=True) as warehouse:
            values.append(_answer(warehouse))
    assert values == [1, 2]


def test_a_reader_keeps_its_snapshot_and_the_next_opening_sees_the_new_one(home: Home) -> None:
    _publish(home, 1)
    before = open_snapshot(home, "spring")
    _publish(home, 2)
    assert _answer(before) == 1
    after = open_snapshot(home, "spring", "lss-1")
    assert _answer(after) == 2
    after.close()


def test_a_copy_that_fails_leaves_the_old_snapshot_as_it_was(home: Home) -> None:
    path = _publish(home, 1)
    before = path.read_bytes()
    with open_warehouse(home.working_file("spring", "lss-1")) as warehouse:
        warehouse.run("ATTACH ':memory:' AS being_published", "taking the name that publishing needs")
        with pytest.raises(WarehouseError, match="making the new snapshot"):
            publish(warehouse, home, "spring", "lss-1")
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["lss-1.duckdb"]


def test_what_killed_runs_left_is_removed_and_nothing_else(home: Home) -> None:
    snapshot = _publish(home, 1)
    report = home.report_folder("spring", "lss-1") / "report.html"
    write_whole(report, b"<p>done</p>")
    left = [
        snapshot.with_name(f"lss-1.duckdb.77{PARTIAL}"),
        snapshot.with_name(f"lss-1.duckdb.77{PARTIAL}.wal"),
        report.with_name(f"report.pdf.77{PARTIAL}"),
    ]
    for path in left:
        path.write_bytes(b"half")
    spill = home.working_file("spring", "lss-1").with_name("lss-1.duckdb.tmp")
    spill.mkdir()
    (spill / "block").write_bytes(b"x")
    clean_up(home, "spring")
    assert not any(path.exists() for path in [*left, spill])
    assert snapshot.exists()
    assert report.read_bytes() == b"<p>done</p>"


def test_an_unpublished_release_is_refused_with_the_command_that_mends_it(home: Home) -> None:
    with pytest.raises(ReleaseError, match="nothing is published for release spring and protocol lss-1; run it"):
        open_snapshot(home, "spring")
    with pytest.raises(ReleaseError, match="no release of that name"):
        open_snapshot(home, "winter")


PUBLISHER = """
import sys
import random
import subprocess
import sys
import time
from pathlib import Path
import polars as pl
from pipelines.releases import Home
from pipelines.releases.publish import publish
from pipelines.warehouse import open_warehouse
home = Home(Path(sys.argv[1]))
with open_warehouse(home.working_file("spring", "lss-1")) as warehouse:
    for value in range(1, 100_000):
        warehouse.write("results.answer", pl.DataFrame({"value": [value] * 20_000}))
        publish(warehouse, home, "spring", "lss-1")
        print(value, flush=True)
"""


def test_killed_at_any_moment_of_publishing_the_snapshot_is_whole(home: Home) -> None:
    path = _publish(home, 0)
    moments = random.Random(11)
    for _ in range(8):
        command = [sys.executable, "-c", PUBLISHER, str(home.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it publishes again and again from here on
            time.sleep(moments.uniform(0, 0.15))
            process.kill()
        with open_warehouse(path, read_only=True) as snapshot:
            found = snapshot.read("results.answer")
            assert found.height == 20_000
            assert found["value"].n_unique() == 1
        clean_up(home, "spring")
        assert list(path.parent.glob(f"*{PARTIAL}*")) == []
