"""Torture at a small size: `make torture` does the same to whole runs, two hundred kills and two thousand releases.

Runs here are `lss run` with two SQL tables and one analysis in place of all, so that each costs a second or two.
"""

import functools
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from pipelines.analyses import Analysis
from pipelines.analyses.schemas import ResultTable
from pipelines.releases.home import write_whole
from pipelines.releases.receipt import keep_receipt, tables_of
from pipelines.simulate import simulate
from pipelines.validation.torture import kills
from pipelines.validation.torture.cases import make_case
from pipelines.validation.torture.content import content, is_as_published
from pipelines.validation.torture.disk import (
    small_disk,
    torture_by_disk,
    torture_by_file_size,
    torture_by_read_only,
    torture_by_vanishing,
)
from pipelines.validation.torture.drafts import clean_tables
from pipelines.validation.torture.kills import torture_by_kills
from pipelines.validation.torture.releases import changes, surroundings, torture_command, torture_ingest
from pipelines.validation.torture.sharing import Reading, _not_spanned, faults, torture_by_readers, torture_by_two_runs
from pipelines.validation.torture.world import Child, World, _command, make_world
from pipelines.warehouse import open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SQL = {
    "staging/patients.sql": "SELECT patient_id, age_years FROM raw.patients",
    "outcomes/horizons.sql": "SELECT count(*) AS patients, max(protocol.rules.horizon_days) AS horizon_days "
    "FROM staging.patients CROSS JOIN protocol.rules",
}
GRAIN = {"staging/patients.sql": "patient_id", "outcomes/horizons.sql": "horizon_days"}
HEADER = "-- title: A table\n-- grain: {grain}\n-- rule: Counting.\n-- source: test\n"
COUNTS = ResultTable(
    name="counts",
    title="Patients",
    schema={"patients": pl.Int64, "horizon_days": pl.Int64},
    descriptions={"patients": "How many", "horizon_days": "The headline horizon"},
)
TABLE = "results.counts"


def _count(tables, protocol) -> pl.DataFrame:
    return tables["outcomes.horizons"]


def _write_report(home, release: str, protocol: str, *_: object, **__: object) -> dict[str, Path]:
    folder = home.report_folder(release, protocol)
    write_whole(folder / "report.html", b"<html></html>")
    write_whole(folder / "report.pdf", b"%PDF-1.7 %%EOF")
    return {"html": folder / "report.html", "pdf": folder / "report.pdf"}


def run_small(sql: str, arguments: list[str], file_bytes: int | None) -> None:
    """In the child: the command as it is, on a job of two tables and a report of one line."""
    from pipelines import definitions
    from pipelines.assets import published

    entry = Analysis(COUNTS, ("outcomes.horizons",), _count, "Counting.")
    definitions.build_defs = functools.partial(definitions.build_defs, sql=Path(sql), analyses={"counts": entry})
    published.write_report = _write_report
    _command(arguments, file_bytes)


@pytest.fixture
def make_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """A world whose runs are small; with `file_bytes`, no file of its may grow larger."""
    monkeypatch.setenv("LSS_THREADS", "1")
    sql = tmp_path / "sql"
    for name, text in SQL.items():
        (sql / name).parent.mkdir(parents=True, exist_ok=True)
        (sql / name).write_text(HEADER.format(grain=GRAIN[name]) + text + "\n")

    def start(world: World, variant: str, said: Path, file_bytes: int | None = None) -> Child:
        arguments = ["run", str(world.release_folder), "--protocol", str(world.protocols[variant])]
        return Child(run_small, (str(sql), [*arguments, "--home", str(world.home.path)], file_bytes), said)

    def make(home: Path | None = None) -> World:
        (tmp_path / "world").mkdir()
        return replace(make_world(tmp_path / "world", 20, 5, home), start=start)

    return make


def test_a_run_killed_anywhere_leaves_a_whole_snapshot_and_the_next_run_tidies_up(make_small) -> None:
    struck = list(torture_by_kills(make_small(), anywhere=1, publishing=2, seed=3))
    assert [kill.fault for kill in struck] == [""] * 4
    assert [kill.aim for kill in struck].count("publishing") == 2
    assert {kill.snapshot for kill in struck} <= {"before", "after"}


def test_readers_and_a_second_run_disturb_nobody(make_small) -> None:
    world = make_small()
    readings = torture_by_readers(world, readers=3, table=TABLE)
    assert faults(readings) == []
    assert {reading.kind for reading in readings} == {"notebook", "reader", "run"}
    assert all(reading.openings > 0 for reading in readings if reading.kind != "run")
    assert torture_by_two_runs(world) == []


def test_no_room_no_right_to_write_and_no_input_end_in_one_sentence(make_small, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 120) as is_mounted:
        world = make_small(tmp_path / "disk" if is_mounted else None)
        filled = list(torture_by_disk(world, (0.1, 4)) if is_mounted else torture_by_file_size(world))
        troubles = filled + list(torture_by_read_only(world, is_mounted))
        troubles += list(torture_by_vanishing(world, ("patients.csv", "")))
    assert [trouble for trouble in troubles if trouble.fault] == []
    assert any(trouble.code for trouble in filled)
    assert [trouble.code for trouble in troubles if trouble.kind.startswith("no ")] == [3, 3]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[list[str]]]:
    """The tables of a small simulated release."""
    return clean_tables(simulate(tmp_path_factory.mktemp("clean") / "release", 40, 5, truth_patients=0))


def test_mutated_releases_are_accepted_or_refused(clean, tmp_path: Path) -> None:
    verdicts = list(torture_ingest(tmp_path, clean, 7, range(1, 61)))
    assert [verdict for verdict in verdicts if verdict.outcome == "broken"] == []
    assert {verdict.outcome for verdict in verdicts} == {"accepted", "refused"}


def test_the_command_accepts_or_refuses_and_writes_nowhere_else(clean, tmp_path: Path) -> None:
    cases = [(number, "check") for number in range(1, 5)]
    verdicts = list(torture_command(tmp_path, clean, 7, cases))
    assert [verdict for verdict in verdicts if verdict.outcome == "broken"] == []


# ------------------------------------------------------------------------------------------- the harness would notice


def test_the_same_seed_makes_the_same_release_and_another_number_another(clean, tmp_path: Path) -> None:
    made = []
    for folder, number in (("a", 9), ("b", 9), ("c", 10)):
        make_case(tmp_path / folder, clean, 7, number)
        made.append({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir() if path.is_file()})
    assert made[0] == made[1] != made[2]


def test_a_changed_snapshot_has_another_content(tmp_path: Path) -> None:
    found = []
    for name, days in (("one", [1, 2]), ("other", [2, 1]), ("changed", [1, 3])):
        with open_warehouse(tmp_path / name) as warehouse:
            warehouse.write(TABLE, pl.DataFrame({"patients": [7, 7], "days": days}))
        found.append(content(tmp_path / name))
    assert found[0] == found[1]  # rows have no order
    assert found[0][f"{TABLE}.patients"] == found[2][f"{TABLE}.patients"]
    assert found[0][f"{TABLE}.days"] != found[2][f"{TABLE}.days"]


def test_a_snapshot_that_is_not_the_one_of_its_receipt_is_seen(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "one") as warehouse:
        warehouse.write(TABLE, pl.DataFrame({"patients": [7, 8], "days": [1, 2]}))
        keep_receipt(warehouse, {"tables": tables_of(warehouse)})
    assert is_as_published(tmp_path / "one")
    with open_warehouse(tmp_path / "one") as warehouse:  # the same values a column, but in other rows
        warehouse.write(TABLE, pl.DataFrame({"patients": [8, 7], "days": [1, 2]}))
    assert not is_as_published(tmp_path / "one")


@pytest.mark.parametrize(("code", "fault"), [(1, "it ended by itself with 1: lss: no"), (-signal.SIGKILL, "")])
def test_a_run_that_failed_before_its_kill_is_a_fault(monkeypatch, tmp_path: Path, code: int, fault: str) -> None:
    (tmp_path / "said.err").write_text("lss: no\n")
    run = SimpleNamespace(pid=1, wait=lambda seconds: code)
    world = SimpleNamespace(start=lambda *_: run, folder=tmp_path, home=None)
    monkeypatch.setattr(kills, "kill", lambda running: None)
    monkeypatch.setattr(kills, "_found", lambda *_: ("before", "", "730"))
    monkeypatch.setattr(kills, "last_step", lambda home: "")
    known = kills.Known({}, set(), run_seconds=0, publishing_seconds=0)
    kill, _ = kills._kill_once(world, known, 1, "anywhere", "730", random.Random(1))
    assert kill.fault == fault


@pytest.mark.parametrize(("notebook", "reader", "count"), [(1, 2, 0), (2, 2, 1), (1, 1, 1)])
def test_readers_that_did_not_see_the_change_are_a_fault(notebook: int, reader: int, count: int) -> None:
    readings = [Reading("notebook", 1, notebook, ""), Reading("reader", 9, 1, ""), Reading("reader", 9, reader, "")]
    assert len(_not_spanned(readings)) == count


def test_a_file_written_beside_the_home_is_seen(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    before = surroundings(tmp_path, besides="home")
    (tmp_path / "home" / "in").touch()
    assert changes(before, surroundings(tmp_path, besides="home")) == ""
    (tmp_path / "out").touch()
    assert "out" in changes(before, surroundings(tmp_path, besides="home"))
