"""The benchmark: every estimator against its peers in one run, as ratios of medians, with memory and growth.

Belongs here: which pairs are timed, at which sizes, and the frames that come of it. Does not belong here: the timed
work (`benchmark_tasks`, `benchmark.R`) or drawing.

Each engine runs in a process of its own, ours and the peer's in turn, so that a machine that slows down slows both.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Timer

import numpy as np
import polars as pl

from pipelines.validation.benchmark_tasks import columns_of

SIZES = (10_000, 100_000, 1_000_000)
ROUNDS = 3
TIMEOUT_S = 900
R = "R"


@dataclass(frozen=True)
class Duel:
    """A task, a peer and the largest size at which the peer is asked (it may need hours beyond)."""

    task: str
    peer: str
    largest: int
    package: str = ""


DUELS = (
    Duel("kaplan_meier", R, 1_000_000, "survival"),
    Duel("kaplan_meier", "lifelines", 1_000_000),
    Duel("log_rank", R, 1_000_000, "survival"),
    Duel("log_rank", "lifelines", 1_000_000),
    Duel("restricted_mean", R, 1_000_000, "survival"),
    Duel("cox", R, 1_000_000, "survival"),
    Duel("cox", "lifelines", 1_000_000),
    Duel("cox_weighted", R, 1_000_000, "survival"),
    Duel("cox_weighted", "lifelines", 10_000),
    Duel("proportional_hazards_test", R, 1_000_000, "survival"),
    Duel("proportional_hazards_test", "lifelines", 100_000),
    Duel("aalen_johansen", R, 1_000_000, "survival"),
    Duel("aalen_johansen", "lifelines", 10_000),
    Duel("fine_gray", R, 100_000, "survival"),
    Duel("gray_test", R, 100_000, "cmprsk"),
    Duel("mmrm", R, 20_000, "mmrm"),
    Duel("mmrm", "statsmodels", 20_000),
    Duel("propensity", R, 1_000_000, "nnet"),
    Duel("propensity", "statsmodels", 1_000_000),
    Duel("propensity", "scikit-learn", 1_000_000),
)
ALONE = ("balance",)


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, and the process's peak memory."""

    seconds: list[float]
    peak_mb: float


def run_benchmark(
    sizes: Sequence[int] = SIZES, rounds: int = ROUNDS, progress: Callable[[str], None] = lambda text: None
) -> pl.DataFrame:
    """Time every task against its peers; a row per task, peer and size.

    Columns: task, rows, peer, ours_s, peer_s (medians), ratio (peer over ours), ours_peak_mb, peer_peak_mb, note. A
    peer that is not installed or did not finish has nulls and says so in `note`.
    """
    rows = []
    for task in dict.fromkeys([duel.task for duel in DUELS] + list(ALONE)):
        duels = [duel for duel in DUELS if duel.task == task] or [Duel(task, "", 0)]
        for size in _sizes_of(task, sizes):
            for duel in duels:
                progress(f"{task}, {size:,} rows, {duel.peer or 'alone'}")
                rows.append(_duel(duel, size, rounds))
    return pl.DataFrame(rows, schema=_SCHEMA)


def growth(result: pl.DataFrame) -> pl.DataFrame:
    """Exponent of our time between the two largest sizes of each task: task, rows, exponent (1 is linear)."""
    ours = result.group_by("task", "rows", maintain_order=True).agg(pl.col("ours_s").median()).sort("task", "rows")
    steps = ours.with_columns(
        exponent=(pl.col("ours_s") / pl.col("ours_s").shift(1).over("task")).log()
        / (pl.col("rows") / pl.col("rows").shift(1).over("task")).log()
    )
    return steps.filter(pl.col("exponent").is_not_null()).group_by("task", maintain_order=True).last()


_SCHEMA = {
    "task": pl.String,
    "rows": pl.Int64,
    "peer": pl.String,
    "ours_s": pl.Float64,
    "peer_s": pl.Float64,
    "ratio": pl.Float64,
    "ours_peak_mb": pl.Float64,
    "peer_peak_mb": pl.Float64,
    "note": pl.String,
}


def _sizes_of(task: str, sizes: Sequence[int]) -> list[int]:
    """Repeated measures are asked at 20,000 patients too, where the peers can still answer."""
    return sorted({*sizes, 20_000} if task == "mmrm" and max(sizes) >= 20_000 else set(sizes))


def _duel(duel: Duel, rows: int, rounds: int) -> dict[str, object]:
    absent = _why_absent(duel, rows)
    ours: list[Timing] = []
    theirs: list[Timing] = []
    for _ in range(rounds):
        ours += _python(duel.task, "ours", rows)
        if duel.peer and not absent:
            theirs += _r(duel.task, rows) if duel.peer == R else _python(duel.task, duel.peer, rows)
            absent = absent or (None if theirs else "did not finish")
    ours_s, ours_mb = _summary(ours)
    peer_s, peer_mb = _summary(theirs)
    ratio = peer_s / ours_s if ours_s and peer_s else None
    name = f"R {duel.package}" if duel.peer == R else duel.peer
    values = (duel.task, rows, name, ours_s, peer_s, ratio, ours_mb, peer_mb, absent or "")
    return dict(zip(_SCHEMA, values, strict=True))


def _why_absent(duel: Duel, rows: int) -> str | None:
    if not duel.peer:
        return "no peer asked"
    if rows > duel.largest:
        return f"peer not asked beyond {duel.largest:,} rows"
    if duel.peer == R:
        known = shutil.which("Rscript") and _r_has(duel.package)
        return None if known else f"R package {duel.package} not installed"
    module = {"scikit-learn": "sklearn"}.get(duel.peer, duel.peer)
    return None if find_spec(module) else f"{duel.peer} not installed"


def _r_has(package: str) -> bool:
    asked = subprocess.run(["Rscript", "-e", f"quit(status = !requireNamespace('{package}', quietly = TRUE))"])
    return asked.returncode == 0


def _python(task: str, engine: str, rows: int) -> list[Timing]:
    return _timed([sys.executable, "-m", "pipelines.validation.benchmark_tasks", task, engine, str(rows), "1"])


def _r(task: str, rows: int) -> list[Timing]:
    columns = columns_of(task, rows)
    height = len(next(iter(columns.values())))
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "columns.bin"
        with table.open("wb") as file:
            for values in columns.values():
                file.write(np.ascontiguousarray(values, dtype="<f8").tobytes())
        script = Path(__file__).with_name("benchmark.R")
        return _timed(["Rscript", str(script), task, str(table), str(height), "1", ",".join(columns)])


def _timed(command: list[str]) -> list[Timing]:
    """Run a process to its end; an empty list where it failed or took too long."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        alarm = Timer(TIMEOUT_S, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = [line for line in output if line.startswith('{"seconds"')]
    if process.returncode != 0 or not lines:
        return []
    return [Timing(json.loads(lines[-1])["seconds"], usage.ru_maxrss / 1024)]


def _summary(timings: list[Timing]) -> tuple[float | None, float | None]:
    if not timings:
        return None, None
    seconds = [second for timing in timings for second in timing.seconds]
    return float(np.median(seconds)), max(timing.peak_mb for timing in timings)


def written(result: pl.DataFrame) -> Iterator[str]:
    """The result as the lines of a Markdown table."""
    yield "| task | rows | ours (s) | peer | peer (s) | ratio | memory (MB) |"
    yield "|---|---:|---:|---|---:|---:|---:|"
    for row in result.iter_rows(named=True):
        theirs = "–" if row["peer_s"] is None else f"{row['peer_s']:.2f}"
        ratio = row["note"] or "–" if row["ratio"] is None else f"{row['ratio']:.1f}"
        ours = "failed" if row["ours_s"] is None else f"{row['ours_s']:.2f}"
        memory = "–" if row["ours_peak_mb"] is None else f"{row['ours_peak_mb']:.0f}"
        yield f"| {row['task']} | {row['rows']:,} | {ours} | {row['peer']} | {theirs} | {ratio} | {memory} |"
