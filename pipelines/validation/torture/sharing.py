"""Many at once: readers of a snapshot through the whole of a run that replaces it, and two runs of one release."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pipelines.releases import Home, open_snapshot
from pipelines.releases.locks import is_held
from pipelines.validation.torture.content import remains
from pipelines.validation.torture.world import VARIANTS, Running, World, kill

TABLE = "results.contrasts"


@dataclass(frozen=True)
class Reading:
    """What one reader did: how often it opened the snapshot, how many versions it saw, and what failed."""

    kind: str
    openings: int
    versions: int
    fault: str


def torture_by_readers(world: World, readers: int = 10, table: str = TABLE) -> list[Reading]:
    """Run the job while a notebook holds the snapshot open and `readers` others open and close it all the time.

    Returns:
        One reading a reader, the notebook's first; a run that fails, or that the readers outlive, is a fault too.
    """
    before = world.run(VARIANTS[0])
    context = get_context("spawn")
    stop, answers, ready = context.Event(), context.Queue(), context.Semaphore(0)
    what = (world.home.path, world.release, world.protocol, table)
    processes = [
        context.Process(target=_read, args=(kind, *what, ready, stop, answers), daemon=True)
        for kind in ["notebook", *["reader"] * readers]
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire(timeout=120)
    during = world.run(VARIANTS[1])
    stop.set()
    readings = sorted((answers.get(timeout=120) for _ in processes), key=lambda reading: reading.kind)
    for process in processes:
        process.join(60)
    faults = [f"exit {ended.code}: {ended.err.strip()}" for ended in (before, during) if ended.code]
    faults += _not_spanned(readings)
    return [*readings, Reading("run", 0, 0, "; ".join(faults))]


def _not_spanned(readings: Sequence[Reading]) -> list[str]:
    """What shows that nobody read through the moment of publishing, a line each: nothing would be proved then."""
    seen = {kind: max(r.versions for r in readings if r.kind == kind) for kind in ("notebook", "reader")}
    faults = [] if seen["notebook"] == 1 else [f"the notebook saw {seen['notebook']} versions through one connection"]
    return faults + ([] if seen["reader"] == 2 else [f"no reader saw both versions, but {seen['reader']}"])


def _read(kind: str, home: Path, release: str, protocol: str, table: str, ready: Any, stop: Any, answers: Any) -> None:
    """Read until told to stop; a notebook through one connection, a reader through a new one each time."""
    openings, versions = 0, set()
    try:
        snapshot = open_snapshot(Home(home), release, protocol)
        ready.release()
        is_last = False
        while not is_last:
            is_last = stop.is_set()  # so that the last look begins when the run has ended
            if kind == "reader":
                snapshot.close()
                snapshot = open_snapshot(Home(home), release, protocol)
            openings += kind == "reader" or not openings
            stamps = set(snapshot.read(table)["protocol_hash"]) | set(snapshot.read("protocol.study")["protocol_hash"])
            if len(stamps) != 1:
                raise ValueError("two versions in one snapshot")
            versions |= stamps
            if kind == "notebook":
                time.sleep(0.01)
        snapshot.close()
        answers.put(Reading(kind, openings, len(versions), ""))
    except Exception as error:
        ready.release()
        answers.put(Reading(kind, openings, len(versions), f"{type(error).__name__}: {error}"))


def torture_by_two_runs(world: World) -> list[str]:
    """Two runs of one release at once, the first left alone, then killed; returns the faults."""
    faults = []
    first, second = (world.start(world, variant, world.folder / f"said-{variant}") for variant in VARIANTS)
    codes = [run.wait(900) for run in (first, second)]
    said = [(world.folder / f"said-{variant}.err").read_text() for variant in VARIANTS]
    if codes != [0, 0]:
        faults.append(f"two at once ended with {codes}: {' '.join(said)}")
    if sum("waits until it ends" in text for text in said) != 1:
        faults.append(f"not exactly one said that it waits: {said}")
    first = world.start(world, VARIANTS[0], world.folder / "said-first")
    _wait_for_the_lock(world, first)
    second = world.start(world, VARIANTS[1], world.folder / "said-second")
    _wait_for_the_word(world.folder / "said-second.err", second)
    kill(first)
    code = second.wait(900)
    if code:
        faults.append(f"behind a killed run it ended with {code}: {(world.folder / 'said-second.err').read_text()}")
    return faults + remains(world.home, world.release)


def _wait_for_the_lock(world: World, running: Running) -> None:
    while not running.ended() and not is_held(world.home.lock_file(f"release-{world.release}")):
        time.sleep(0.02)


def _wait_for_the_word(said: Path, running: Running) -> None:
    while not running.ended() and not (said.exists() and "waits" in said.read_text()):
        time.sleep(0.02)


def faults(readings: Sequence[Reading]) -> list[str]:
    """What failed, a line each."""
    return [f"{reading.kind}: {reading.fault}" for reading in readings if reading.fault]
