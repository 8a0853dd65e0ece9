"""The benchmark: every estimator against its peers in one run, as ratios of medians, with memory.

Belongs here: which pairs are timed, at which sizes, which speed is promised, and the frame that comes of it. Does not
belong here: the timed work (`benchmark_tasks`, `benchmark.R`), or how results are written and drawn (`benchmark_page`).

Each engine runs in a process of its own, ours and the peers in turn, so that a machine that slows down slows all.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Timer

import polars as pl

from pipelines.validation.benchmark_tables import columns_of

SIZES = (10_000, 100_000, 1_000_000)
ROUNDS = 3
# An engine that has used this much at a size is not asked again: its median is then over fewer rounds.
PATIENCE_S = 8.0
TIMEOUT_S = 300
STOPPED = f"stopped after {TIMEOUT_S} s"
R = "R"
OURS = "ours"


@dataclass(frozen=True)
class Duel:
    """A task, a peer, the largest size at which the peer is asked (it may need hours beyond), and what is promised.

    `promised` is the least ratio of the peer's time to ours at that size; None where no promise was made.
    """

    task: str
    peer: str
    largest: int
    package: str = ""
    promised: float | None = None

    @property
    def name(self) -> str:
        return f"R {self.package}" if self.peer == R else self.peer


@dataclass(frozen=True)
class Growth:
    """What is promised of ours alone: time at most `times` as long from one size to another."""

    task: str
    low: int
    high: int
    times: float


DUELS = (
    Duel("kaplan_meier", R, 1_000_000, "survival", 1.0),
    Duel("kaplan_meier", "lifelines", 1_000_000),
    Duel("log_rank", R, 1_000_000, "survival", 1.0),
    Duel("log_rank", "lifelines", 1_000_000),
    Duel("restricted_mean", R, 1_000_000, "survival"),
    Duel("cox", R, 1_000_000, "survival", 1.0),
    Duel("cox", "lifelines", 1_000_000, "", 1.0),
    Duel("cox_weighted", R, 1_000_000, "survival", 7.0),
    Duel("cox_weighted", "lifelines", 10_000),
    Duel("proportional_hazards_test", R, 1_000_000, "survival", 1.0),
    Duel("proportional_hazards_test", "lifelines", 10_000),
    Duel("aalen_johansen", R, 1_000_000, "survival", 15.0),
    Duel("aalen_johansen", "lifelines", 10_000),
    Duel("restricted_time_lost", R, 100_000, "survival"),
    Duel("fine_gray", R, 100_000, "survival", 100.0),
    Duel("gray_test", R, 100_000, "cmprsk"),
    Duel("state_occupation", R, 100_000, "survival"),
    Duel("time_in_state", R, 10_000, "survival"),
    Duel("parametric", R, 1_000_000, "survival"),
    Duel("parametric", "lifelines", 100_000),
    Duel("turnbull", R, 1_000, "survival"),
    Duel("mmrm", R, 20_000, "mmrm", 30.0),
    Duel("mmrm", R, 20_000, "glmmTMB", 30.0),
    # gls needs minutes at 20,000; its time grows with the number of patients, so 10,000 asks less of ours
    Duel("mmrm", R, 10_000, "nlme", 30.0),
    Duel("mmrm", "statsmodels", 20_000, "", 30.0),
    Duel("propensity", "scikit-learn", 1_000_000, "", 1.0),
    Duel("propensity", "statsmodels", 1_000_000, "", 5.0),
    Duel("propensity", R, 1_000_000, "nnet", 5.0),
    Duel("balance", "", 0),
)
TASKS = tuple(dict.fromkeys(duel.task for duel in DUELS))
COMPARATIVE = ("mmrm", "propensity", "balance")
GROWTHS = (
    *(Growth(task, 100_000, 1_000_000, 10**1.1) for task in TASKS if task not in COMPARATIVE),
    Growth("mmrm", 20_000, 1_000_000, 60.0),
)
MEMORY_MB = {task: 6144.0 if task in COMPARATIVE else 3072.0 for task in TASKS}

SCHEMA = {
    "task": pl.String,
    "rows": pl.Int64,
    "peer": pl.String,
    "ours_s": pl.Float64,
    "peer_s": pl.Float64,
    "ratio": pl.Float64,
    "is_at_least": pl.Boolean,
    "promised": pl.Float64,
    "ours_rounds": pl.Int64,
    "peer_rounds": pl.Int64,
    "ours_peak_mb": pl.Float64,
    "peer_peak_mb": pl.Float64,
    "ours_gradient": pl.Float64,
    "peer_gradient": pl.Float64,
    "note": pl.String,
}


class UnknownTask(ValueError):
    """A task was asked for that the benchmark does not know."""


def run_benchmark(
    sizes: Sequence[int] = SIZES,
    rounds: int = ROUNDS,
    tasks: Sequence[str] = TASKS,
    progress: Callable[[str], None] = lambda text: None,
    duels: Sequence[Duel] = DUELS,
) -> pl.DataFrame:
    """Time the tasks against their peers; a row per task, size and peer.

    Columns: task, rows, peer, ours_s, peer_s (medians), ratio (peer over ours), is_at_least (the peer was stopped, the
    ratio is with the time it had), promised (least ratio at this size), ours_rounds, peer_rounds, ours_peak_mb,
    peer_peak_mb (of the whole process, its table included), ours_gradient, peer_gradient (where a search's stopping
    rule decides the time), note. A peer that is not installed, is not asked at this size or did not finish has nulls
    and says so in `note`. Raises UnknownTask.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise UnknownTask(f"There is no task {', '.join(unknown)}; choose among {', '.join(TASKS)}.")
    rows: list[dict[str, object]] = []
    for task in tasks:
        for size in _sizes_of(task, sizes):
            rows += _meeting([duel for duel in duels if duel.task == task], size, rounds, progress)
    return pl.DataFrame(rows, schema=SCHEMA)


def _sizes_of(task: str, sizes: Sequence[int]) -> list[int]:
    """Repeated measures are asked at 20,000 patients too, where the peers can still answer."""
    return sorted({*sizes, 20_000} if task == "mmrm" and max(sizes) > 20_000 else set(sizes))


@dataclass
class _Entrant:
    """One engine's rounds at one task and size; `note` says why it is out."""

    duel: Duel | None
    note: str
    seconds: list[float]
    peak_mb: float = 0.0
    gradient: float | None = None

    @property
    def may_go_on(self) -> bool:
        return not self.note and sum(self.seconds) < PATIENCE_S

    @property
    def median(self) -> float | None:
        ordered = sorted(self.seconds)
        middle = len(ordered) // 2
        return (ordered[middle] + ordered[-1 - middle]) / 2 if ordered else None


def _meeting(
    duels: Sequence[Duel], rows: int, rounds: int, progress: Callable[[str], None]
) -> Iterator[dict[str, object]]:
    """Run ours and every peer in turn, round after round, at one size."""
    task = duels[0].task
    ours = _Entrant(None, "", [])
    peers = [_Entrant(duel, _why_absent(duel, rows), []) for duel in duels]
    with _table_for_r(task, rows, any(peer.duel.peer == R and not peer.note for peer in peers if peer.duel)) as table:
        for turn in range(rounds):
            for entrant in (ours, *peers):
                if entrant.may_go_on:
                    name = entrant.duel.name if entrant.duel else OURS
                    progress(f"{task}, {rows:,} rows, {name}, round {turn + 1}")
                    _one_round(entrant, task, rows, table)
    for peer in peers:
        yield _row(ours, peer, task, rows)


def _one_round(entrant: _Entrant, task: str, rows: int, table: list[str]) -> None:
    if entrant.duel and entrant.duel.peer == R:
        script = Path(__file__).with_name("benchmark.R")
        command = ["Rscript", str(script), task, entrant.duel.package, *table]
    else:
        engine = entrant.duel.peer if entrant.duel else OURS
        command = [sys.executable, "-m", "pipelines.validation.benchmark_tasks", task, engine, str(rows)]
    answer, peak_mb, note = _timed(command)
    entrant.note = note
    entrant.peak_mb = max(entrant.peak_mb, peak_mb)
    if answer is not None:
        entrant.seconds.append(float(answer["seconds"]))
        entrant.gradient = answer.get("gradient")


def _row(ours: _Entrant, peer: _Entrant, task: str, rows: int) -> dict[str, object]:
    assert peer.duel
    mine, theirs = ours.median, peer.median
    is_promised = rows == peer.duel.largest and peer.duel.promised is not None
    note = f"ours {ours.note}" if ours.note else peer.note
    was_stopped = peer.note == STOPPED and theirs is None
    lasted = TIMEOUT_S if was_stopped else theirs
    return {
        "task": task,
        "rows": rows,
        "peer": peer.duel.name,
        "ours_s": mine,
        "peer_s": theirs,
        "ratio": lasted / mine if mine and lasted else None,
        "is_at_least": was_stopped,
        "promised": peer.duel.promised if is_promised else None,
        "ours_rounds": len(ours.seconds),
        "peer_rounds": len(peer.seconds),
        "ours_peak_mb": ours.peak_mb or None,
        "peer_peak_mb": peer.peak_mb or None,
        "ours_gradient": ours.gradient,
        "peer_gradient": peer.gradient,
        "note": note,
    }


def _why_absent(duel: Duel, rows: int) -> str:
    """Why a peer cannot be asked; empty where it can."""
    if not duel.peer:
        return "no peer"
    if rows > duel.largest:
        return f"not asked beyond {duel.largest:,}"
    if duel.peer == R:
        return "" if _r_has(duel.package) else f"{duel.name} is not installed"
    module = {"scikit-learn": "sklearn"}.get(duel.peer, duel.peer)
    return "" if find_spec(module) else f"{duel.peer} is not installed"


def _r_has(package: str) -> bool:
    if not shutil.which("Rscript"):
        return False
    question = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
    return subprocess.run(["Rscript", "-e", question], capture_output=True, check=False).returncode == 0


@contextmanager
def _table_for_r(task: str, rows: int, is_asked: bool) -> Iterator[list[str]]:
    """The table as a file of doubles, one column after another; yields its path, its height and its columns' names."""
    if not is_asked:
        yield []
        return
    columns = columns_of(task, rows)
    height = len(next(iter(columns.values())))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "columns.bin"
        with path.open("wb") as file:
            for values in columns.values():
                file.write(values.astype("<f8").tobytes())
        yield [str(path), str(height), ",".join(columns)]


def _timed(command: list[str]) -> tuple[dict[str, float] | None, float, str]:
    """Run a process to its end; its answer, its peak memory in MB, and why there is no answer."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        alarm = Timer(TIMEOUT_S, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        was_late = not alarm.is_alive()
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = [line for line in output if line.startswith('{"seconds"')]
    peak_mb = usage.ru_maxrss / (1024.0**2 if sys.platform == "darwin" else 1024.0)
    if process.returncode != 0 or not lines:
        return None, peak_mb, STOPPED if was_late else "failed"
    return json.loads(lines[-1]), peak_mb, ""
