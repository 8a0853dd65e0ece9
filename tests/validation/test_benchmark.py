"""The benchmark: what it asks, what it says where a peer is missing, and how promises are judged."""

import polars as pl
import pytest

from pipelines.validation import benchmark
from pipelines.validation.__main__ import main
from pipelines.validation.benchmark import Duel, UnknownTask, run_benchmark
from pipelines.validation.benchmark_page import growth, missed, written
from pipelines.validation.benchmark_tables import columns_of


@pytest.fixture(scope="module")
def small() -> pl.DataFrame:
    duels = (
        Duel("log_rank", "lifelines", 500, "", 1e-9),
        Duel("log_rank", benchmark.R, 500, "no.such.package"),
        Duel("log_rank", "lifelines", 100),
    )
    return run_benchmark([500], 1, ["log_rank"], duels=duels)


def test_a_peer_is_timed_beside_ours(small: pl.DataFrame) -> None:
    row = small.row(0, named=True)
    assert row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"])
    assert (row["ours_rounds"], row["peer_rounds"], row["note"]) == (1, 1, "")
    assert row["ours_peak_mb"] > 30


def test_a_peer_that_is_missing_or_too_slow_says_so(small: pl.DataFrame) -> None:
    assert small["note"].to_list() == ["", "R no.such.package is not installed", "not asked beyond 100"]
    assert small["peer_s"].null_count() == 2
    assert missed(small) == []
    assert any("not asked beyond 100" in line for line in written(small))


def test_unknown_tasks_are_named() -> None:
    with pytest.raises(UnknownTask, match="no task coks; choose among kaplan_meier"):
        run_benchmark([500], 1, ["coks"])


def found(**changes: object) -> dict[str, object]:
    """A row of the benchmark's frame on paper."""
    row = dict.fromkeys(benchmark.SCHEMA) | {"task": "cox", "rows": 100_000, "peer": "R survival", "ours_s": 1.0}
    return row | {"ours_peak_mb": 100.0, "note": ""} | changes


def test_promises_are_judged_on_paper() -> None:
    rows = [
        found(),
        found(rows=1_000_000, ours_s=12.0, peer_s=9.0, ratio=0.75, promised=1.0, ours_peak_mb=4000.0),
        found(task="mmrm", rows=20_000, ours_s=0.5),
        found(task="mmrm", rows=1_000_000, ours_s=31.0),
        found(task="gray_test", ours_s=None),
    ]
    result = pl.DataFrame(rows, schema=benchmark.SCHEMA)
    # 12 times as long for ten times the rows is below 10^1.1 = 12.6; 62 times is above 60
    assert growth(result)["times"].to_list() == [12.0, 62.0]
    assert missed(result) == [
        "cox, 1,000,000 rows: 0.75 times the speed of R survival, promised 1",
        "mmrm: 62.0 times as long from 20,000 to 1,000,000 rows, promised 60.0",
        "cox: 4,000 MB, promised 3,072",
        "gray_test: our own work did not finish",
    ]


def test_a_stopped_peer_gives_a_least_ratio_and_a_failed_one_no_verdict(monkeypatch) -> None:
    answers = {"ours": ({"seconds": 2.0}, 100.0, ""), "R": (None, 100.0, benchmark.STOPPED)}
    monkeypatch.setattr(benchmark, "_timed", lambda command: answers["R" if command[0] == "Rscript" else "ours"])
    monkeypatch.setattr(benchmark, "_r_has", lambda package: True)
    asked = [Duel("cox", benchmark.R, 500, "survival", 7.0)]
    # 300 seconds without an answer beside 2 seconds: at least 150 times the speed
    assert "> 150.0" in " ".join(written(run_benchmark([500], 1, ["cox"], duels=asked)))
    answers["R"] = (None, 100.0, "failed")
    lines = list(written(run_benchmark([500], 1, ["cox"], duels=asked)))
    assert lines[-1] == "- not judged: cox, 500 rows, R survival: failed"


def test_stays_of_a_subject_follow_each_other() -> None:
    stays = pl.DataFrame(columns_of("state_occupation", 2000))
    follows = pl.col("subject") == pl.col("subject").shift(1)
    assert stays.filter(follows, pl.col("start") != pl.col("stop").shift(1)).is_empty()
    assert stays.filter(follows, pl.col("state") != pl.col("to").shift(1)).is_empty()
    assert stays.height == pytest.approx(2000, rel=0.15)


def test_the_command_writes_table_and_figure(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(benchmark, "run_benchmark", lambda *chosen: pl.DataFrame([found()], schema=benchmark.SCHEMA))
    main([str(tmp_path / "bench"), "--task", "cox", "--rows", "100000"])
    assert sorted(file.name for file in (tmp_path / "bench").iterdir()) == [
        "benchmark.csv",
        "benchmark.md",
        "growth.svg",
    ]
    assert "| cox | 100,000 | 1.000 |" in capsys.readouterr().out
