"""What a look into the inbox does with each kind of folder: it takes whole ones once and says why others wait."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import omop_example
import pytest
import redcap_example

from pipelines.assets import inbox
from pipelines.assets.inbox import PATIENCE_S, Look, Seen, Wanted
from pipelines.definitions import build_defs
from pipelines.ingest import check_release
from pipelines.ingest.manifest import load_manifest
from pipelines.protocol import load_protocol
from pipelines.releases import Home, Register
from pipelines.releases.settings import Settings
from pipelines.resources import default_protocol_file

PROTOCOL = load_protocol(default_protocol_file())
NOW = 1_000_000.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    (made.path / "inbox").mkdir(parents=True)
    return made


@pytest.fixture
def dropped(home: Home, tiny_release: Path) -> Path:
    """A whole release in the inbox."""
    return Path(shutil.copytree(tiny_release, home.path / "inbox" / "autumn"))


def _look(home: Home, remembered: dict[str, Seen] | None = None, now: float = NOW) -> tuple[list[Wanted], Look]:
    look = Look(home, Settings(), remembered or {}, now)
    return look.wanted(), look


def _looks(home: Home, times: int = 2, now: float = NOW) -> tuple[list[list[Wanted]], Look]:
    """Several looks, each remembering the one before."""
    found, remembered = [], {}
    for _ in range(times):
        wanted, look = _look(home, remembered, now)
        found.append(wanted)
        remembered = look.seen
    return found, look


def test_an_empty_inbox_says_where_to_drop_a_release(home: Home) -> None:
    _, look = _look(home)
    assert look.words == f"Nothing lies in {home.path / 'inbox'}; drop a release folder there."


def test_a_whole_folder_is_taken_at_the_second_look_and_once(home: Home, dropped: Path) -> None:
    found, look = _looks(home, 3)
    sha256 = load_manifest(dropped).manifest_sha256
    assert found == [[], [Wanted("tiny", sha256)], []]
    assert look.words == "autumn was taken; see the run of release tiny."
    entry = Register(home).find("tiny")
    assert (entry.folder, entry.manifest_sha256) == (str(dropped), sha256)


def test_a_folder_that_grows_between_two_looks_is_not_looked_into(home: Home, dropped: Path) -> None:
    _, look = _look(home)
    (dropped / "notes.txt").write_text("more to come")
    wanted, look = _look(home, look.seen)
    assert wanted == []
    assert look.words == "autumn waits: it is looked into once it stays as it is."


def _without_a_table(folder: Path) -> str:
    next(folder.glob("events*")).unlink()
    return "autumn waits: events.csv is named in manifest.toml and is not there yet."


def _cut_short(folder: Path) -> str:
    path = next(folder.glob("assessments*"))
    path.write_bytes(path.read_bytes()[:-100])
    return "autumn waits: assessments.csv is not whole yet, or is not the file that manifest.toml describes."


def _without_a_manifest(folder: Path) -> str:
    (folder / "manifest.toml").unlink()
    return "autumn waits: it holds no manifest.toml yet."


@pytest.mark.parametrize("spoil", [_without_a_table, _cut_short, _without_a_manifest])
def test_a_half_copied_folder_waits_and_is_taken_when_it_is_whole(
    home: Home, dropped: Path, tiny_release: Path, spoil: object
) -> None:
    sentence = spoil(dropped)  # type: ignore[operator]
    found, look = _looks(home, 3)
    assert found == [[], [], []]
    assert look.words == sentence
    assert Register(home).releases() == {}
    assert not (home.path / "delivered").exists()  # nobody is told before it has waited long
    shutil.copytree(tiny_release, dropped, dirs_exist_ok=True)
    _, look = _look(home, look.seen)
    wanted, _ = _look(home, look.seen)
    assert [one.release for one in wanted] == ["tiny"]


def test_a_folder_that_waits_for_an_hour_is_told_of_once(
    home: Home, dropped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lss")
    _without_a_table(dropped)
    _, look = _looks(home)
    for later in (1, 60):
        _, look = _look(home, look.seen, NOW + PATIENCE_S + later)
    [notice] = list((home.path / "delivered" / "notices").iterdir())
    assert "What to do: The copy was not finished" in notice.read_text()


def test_the_same_name_with_other_content_is_refused_and_told(
    home: Home, dropped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lss")
    logging.getLogger("lss").propagate = True
    _, look = _looks(home)
    other = Path(shutil.copytree(dropped, home.path / "inbox" / "later"))
    manifest = other / "manifest.toml"
    manifest.write_text(manifest.read_text() + "\n# written again\n")
    for _ in range(3):
        wanted, look = _look(home, look.seen)
        assert wanted == []
    sentence = (
        "later is refused: a release named tiny with other content is registered here; "
        "give the new extract another name in its manifest, or use another home folder."
    )
    assert look.words.endswith(sentence)
    assert [record.getMessage() for record in caplog.records] == [sentence]
    [notice] = list((home.path / "delivered" / "notices").iterdir())
    assert "Release: later\nStage: the inbox\n" in notice.read_text()


def test_the_same_content_in_two_folders_is_taken_once(home: Home, dropped: Path) -> None:
    shutil.copytree(dropped, home.path / "inbox" / "copy")
    found, _ = _looks(home, 3)
    assert [len(wanted) for wanted in found] == [0, 1, 0]


def test_what_is_published_already_is_left_alone(home: Home, dropped: Path) -> None:
    _looks(home)
    snapshot = home.snapshot_file("tiny", Register(home).find("tiny").protocol)
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(b"published")
    found, look = _looks(home, 3)  # as after the cursor was lost
    assert found == [[], [], []]
    assert look.words == "autumn is published; nothing is to be done."


def test_a_manifest_that_cannot_be_used_is_refused(home: Home, dropped: Path) -> None:
    (dropped / "manifest.toml").write_text("release = ")
    _, look = _looks(home)
    assert look.words.startswith("autumn is refused: manifest.toml is not valid TOML")


@pytest.mark.parametrize("write", [omop_example.as_csv, omop_example.as_duckdb, redcap_example.write_some])
def test_releases_of_other_systems_are_taken_too(home: Home, write: Callable[[Path], Path]) -> None:
    folder = write(home.path / "inbox" / "extract")
    found, look = _looks(home, 3)
    manifest = load_manifest(folder)
    assert found == [[], [Wanted(manifest.release, manifest.manifest_sha256)], []]
    assert Register(home).find(manifest.release).manifest_sha256 == check_release(folder, PROTOCOL).content_sha256
    data = next(path for path in folder.iterdir() if path.suffix in (".csv", ".duckdb"))
    data.write_bytes(data.read_bytes()[:-1])
    _, look = _looks(home)
    assert f"extract waits: {data.name} is not whole yet" in look.words


def test_a_database_that_cannot_be_reached_is_told_and_asked_again_after_an_hour(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMOP_CONNECTION", raising=False)
    folder = home.path / "inbox" / "extract"
    folder.mkdir()
    omop_example.manifest(folder, "5.4", {}, connection_env="OMOP_CONNECTION", schema="public")
    found, look = _looks(home, 3)
    assert found == [[], [], []]
    sentence = (
        "extract is refused: the environment variable OMOP_CONNECTION is not set; put the database's connection there."
    )
    assert look.words == sentence
    assert look.seen["extract"].read_at == NOW
    monkeypatch.setattr(inbox, "check_release", lambda *_: SimpleNamespace(content_sha256="c" * 64))
    assert _look(home, look.seen, NOW + 60)[0] == []  # not read at every look
    wanted, look = _look(home, look.seen, NOW + PATIENCE_S)
    assert [one.release for one in wanted] == ["omop-example"]
    assert Register(home).find("omop-example").manifest_sha256 == "c" * 64
    wanted, look = _look(home, look.seen, NOW + 2 * PATIENCE_S)
    assert (wanted, look.words) == ([], "extract was taken; see the run of release omop-example.")


def test_a_name_that_is_not_plain_is_not_repeated(home: Home, dropped: Path) -> None:
    dropped.rename(dropped.with_name("Doe, Jane\n1950"))
    _, look = _looks(home)
    assert "Jane" not in look.words


def test_the_sensor_asks_for_a_run_with_its_partition_and_a_key_of_its_content(
    home: Home, dropped: Path, empty_history: Path
) -> None:
    shutil.copytree(empty_history, home.dagster)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        repository = build_defs(home).get_repository_def()
        sensor = repository.get_sensor_def("inbox")
        first = sensor(dg.build_sensor_context(instance, repository_def=repository))
        assert isinstance(first, dg.SensorResult)
        assert first.skip_reason == dg.SkipReason("autumn waits: it is looked into once it stays as it is.")
        second = sensor(dg.build_sensor_context(instance, cursor=first.cursor, repository_def=repository))
    assert isinstance(second, dg.SensorResult)
    assert sensor.job_name == "release_to_delivery"
    [request] = second.run_requests or []
    assert request.run_key == f"tiny {load_manifest(dropped).manifest_sha256}"
    assert request.partition_key == "tiny"
    assert request.tags["dagster/max_retries"] == "2"
    [added] = second.dynamic_partitions_requests or []
    assert (added.partitions_def_name, list(added.partition_keys)) == ("releases", ["tiny"])
