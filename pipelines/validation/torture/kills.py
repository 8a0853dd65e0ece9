"""SIGKILL to whole runs: half of the moments anywhere in a run, half while the new snapshot is being put in place.

Publishing is seen from outside: it lasts from the appearance of the temporary file beside the snapshot to its end. A
kill counts as inside when the temporary file of that run stood there after the death; one that came too late is not
counted and is tried again, unless that run failed or left something that is not whole. Between the kills nothing is
repaired; after every tenth a run must complete and tidy up.
"""

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipelines.releases.home import PARTIAL
from pipelines.validation.torture.content import (
    Content,
    content,
    is_as_published,
    is_whole_report,
    last_step,
    lasting,
    remains,
)
from pipelines.validation.torture.world import VARIANTS, Running, World, kill

EVERY = 10
_POLL = 0.001


@dataclass(frozen=True)
class Kill:
    """One kill: where it was aimed and struck, and how the snapshot was found (`before`, `after` or what is wrong)."""

    number: int
    aim: str
    seconds: float
    step: str
    snapshot: str
    fault: str = ""


@dataclass(frozen=True)
class Known:
    """What runs without a kill make: the content by variant, the columns that last, and how long a run takes."""

    versions: dict[str, Content]
    columns: set[str]
    run_seconds: float
    publishing_seconds: float

    def name_of(self, found: Content) -> str:
        """The variant that a snapshot is, in every column that lasts; empty when it is neither."""
        for variant, version in self.versions.items():
            if found.keys() == version.keys() and all(found[name] == version[name] for name in self.columns):
                return variant
        return ""


def torture_by_kills(
    world: World, anywhere: int, publishing: int, seed: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Kill]:
    """Kill runs at `anywhere` moments of the whole run and `publishing` moments inside publishing.

    Yields:
        A row a kill and a row a completed run after every tenth: number, aim (`anywhere`, `publishing`, `complete`),
        seconds (into the run), step, snapshot, fault (empty: all is well).
    """
    random_moments = random.Random(seed)
    known = _learn(world)
    progress(f"a run takes {known.run_seconds:.1f} s, publishing in it {known.publishing_seconds:.2f} s")
    aims = ["anywhere"] * anywhere + ["publishing"] * publishing
    random_moments.shuffle(aims)
    published = known.name_of(content(world.snapshot))
    for number, aim in enumerate(aims, 1):
        row, published = _kill_once(world, known, number, aim, published, random_moments)
        yield row
        if number % EVERY == 0 or number == len(aims):
            row, published = _complete(world, known, number)
            yield row


def _learn(world: World) -> Known:
    """Run each variant twice, undisturbed."""
    found: dict[str, list[Content]] = {variant: [] for variant in VARIANTS}
    lasted, published = [], []
    for variant in VARIANTS * 2:
        begun = time.monotonic()
        running = world.start(world, variant, world.folder / "said")
        published.append(_watch_publishing(world, running))
        code = running.wait(900)
        if code:
            raise RuntimeError(f"an undisturbed run ended with {code}: {(world.folder / 'said.err').read_text()}")
        lasted.append(time.monotonic() - begun)
        found[variant].append(content(world.snapshot))
    columns = set.intersection(*(lasting(versions) for versions in found.values()))
    known = Known(
        {variant: versions[0] for variant, versions in found.items()}, columns, median(lasted), median(published)
    )
    if known.versions[VARIANTS[0]] == known.versions[VARIANTS[1]] or len(columns) < len(found[VARIANTS[0]][0]) / 2:
        raise RuntimeError("the two protocols cannot be told apart")
    return known


def _kill_once(
    world: World, known: Known, number: int, aim: str, before: str, moments: random.Random
) -> tuple[Kill, str]:
    """Kill one run where it was aimed, and look at what is published then; `before` is what was published before."""
    variant = VARIANTS[number % 2]
    for attempt in range(50):
        begun = time.monotonic()
        running = world.start(world, variant, world.folder / "said")
        if aim == "publishing":
            _wait_for_publishing(world, running)
            time.sleep(moments.uniform(0, known.publishing_seconds * 0.8**attempt))  # a machine grows quicker, too
        else:
            time.sleep(moments.uniform(0, known.run_seconds))
        seconds = time.monotonic() - begun
        kill(running)
        code = running.wait(0)
        has_struck = code == -signal.SIGKILL and (aim == "anywhere" or _partial_of(world, running).exists())
        kind, fault, now = _found(world, known, before, variant)
        if code not in (0, -signal.SIGKILL):
            fault = f"it ended by itself with {code}: {(world.folder / 'said.err').read_text().strip()}"
        if has_struck or fault:
            return Kill(number, aim, seconds, last_step(world.home), kind, fault), now
        before = now
    raise RuntimeError(f"kill {number} never struck where it was aimed")


def _found(world: World, known: Known, before: str, variant: str) -> tuple[str, str, str]:
    """How the snapshot is after a kill, what is wrong with it or the report, and which variant it is."""
    try:
        now = known.name_of(content(world.snapshot))
    except Exception as error:
        return "broken", f"it does not open: {type(error).__name__}", ""
    if now not in (before, variant) or not now:
        return "broken", "its content is neither that before nor that after", now
    if not is_as_published(world.snapshot):
        return "broken", "a table is not the one that its receipt names", now
    is_whole = is_whole_report(world.home.report_folder(world.release, world.protocol))
    kind = "before" if now == before else "after"
    return kind, "" if is_whole else "the report is not whole", now


def _complete(world: World, known: Known, number: int) -> tuple[Kill, str]:
    """Run to the end: it must succeed, publish its own version and remove what the killed ones left."""
    variant = VARIANTS[(number + 1) % 2]
    ended = world.run(variant)
    faults = [f"exit {ended.code}: {ended.err.strip()}"] if ended.code else []
    published = known.name_of(content(world.snapshot))
    if published != variant:
        faults.append("the run published something else")
    faults += remains(world.home, world.release)
    for kept in (world.snapshot.parent / "archive").glob("*"):  # a version a run would fill the disk
        kept.unlink()
    return Kill(number, "complete", ended.seconds, "", "after", "; ".join(faults)), published


# -------------------------------------------------------------------------------------------- publishing from outside


def _partial_of(world: World, running: Running) -> Path:
    """The temporary file of this very run; those of killed ones are gone before a run writes anything."""
    return world.snapshot.with_name(f"{world.snapshot.name}.{running.pid}{PARTIAL}")


def _wait_for_publishing(world: World, running: Running) -> None:
    path = _partial_of(world, running)
    while not running.ended() and not path.exists():
        time.sleep(_POLL)


def _watch_publishing(world: World, running: Running) -> float:
    """Seconds from the appearance of the temporary file to its end."""
    _wait_for_publishing(world, running)
    begun = time.monotonic()
    path = _partial_of(world, running)
    while path.exists() and not running.ended():
        time.sleep(_POLL)
    return time.monotonic() - begun
