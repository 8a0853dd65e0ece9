"""The world that is tortured: a small release, two protocols of one name, a home, and runs in processes of their own.

The two protocols differ in their horizon and so in every stamped table: a snapshot that is whole is of one or of the
other, and a mixture would show.
"""

import os
import re
import resource
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from pipelines.ingest.manifest import load_manifest
from pipelines.releases import Home
from pipelines.resources import default_protocol_file
from pipelines.simulate import simulate

PROTOCOL = "torture"
VARIANTS = ("730", "540")  # days of the headline horizon: what tells the two protocols apart
ONE_THREAD = ("LSS_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
_PRELOADED = [
    "pipelines.cli",
    "pipelines.definitions",
    "pipelines.assets.runner",
    "pipelines.ingest.shape",
    "pipelines.reports",
    "dagster._core.storage.runs",
    "dagster._core.storage.event_log",
    "dagster._core.storage.schedules",
]
_KEPT = {"covariates": {"age_years", "sex", "bmi", "nrs_leg_baseline"}, "windows": {"3m", "12m", "24m"}}
_LEFT_OUT = {"supplementary_endpoints", "relapses", "effect_modifiers", "literature"}


class Running(Protocol):
    """A run that was started."""

    pid: int

    def ended(self) -> bool:
        """Whether it has ended."""

    def wait(self, seconds: float) -> int:
        """Its exit code; raises TimeoutError when it has none in time."""


@dataclass(frozen=True)
class World:
    """A home, a release, its two protocol files by variant, and how a run of the job is started on them."""

    folder: Path
    release: str
    release_folder: Path
    protocols: dict[str, Path]
    start: Callable[["World", str, Path], Running]
    protocol: str = PROTOCOL
    home_folder: Path | None = None

    @property
    def home(self) -> Home:
        """The home that runs write to."""
        return Home(self.home_folder or self.folder / "home")

    @property
    def snapshot(self) -> Path:
        """The published snapshot."""
        return self.home.snapshot_file(self.release, self.protocol)

    def run(self, variant: str, seconds: float = 900) -> "Ended":
        """Run the job to its end."""
        said = self.folder / "said"
        begun = time.monotonic()
        code = self.start(self, variant, said).wait(seconds)
        return Ended(
            code, said.with_suffix(".out").read_text(), said.with_suffix(".err").read_text(), time.monotonic() - begun
        )


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, what it said, and the seconds it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def is_plain(self) -> bool:
        """Whether a failure is a plain line on standard error, perhaps after a warning or two, and no traceback."""
        lines = self.err.splitlines()
        return 1 <= len(lines) <= 3 and all(line.startswith("lss: ") for line in lines) and "Traceback" not in self.err


@dataclass
class Child:
    """A process forked from a server that has the libraries loaded already, in a process group of its own."""

    target: Callable[..., None]
    arguments: tuple[object, ...]
    said: Path
    pid: int = field(init=False)
    _process: Any = field(init=False)

    def __post_init__(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._process = context.Process(target=_apart, args=(self.target, self.arguments, str(self.said)))
        self._process.start()
        self.pid = int(self._process.pid)

    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.exitcode is not None

    def wait(self, seconds: float) -> int:
        """Its exit code; raises TimeoutError when it has none in time."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError("a run did not end")
        return int(self._process.exitcode)


def kill(running: Running) -> None:
    """SIGKILL to the whole process group of a run."""
    for target in (os.killpg, os.kill):
        try:
            target(running.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    running.wait(60)


def make_world(folder: Path, patients: int = 40, seed: int = 5, home: Path | None = None) -> World:
    """A new world in an empty folder, whose runs are `lss run`."""
    release = simulate(folder / "release", patients, seed, truth_patients=0)
    text = default_protocol_file().read_text(encoding="utf-8")
    protocols = {}
    for variant in VARIANTS:
        protocols[variant] = folder / f"protocol-{variant}.toml"
        protocols[variant].write_text(small_protocol(text, variant), encoding="utf-8")
    return World(folder, load_manifest(release).release, release, protocols, start_command, home_folder=home)


def start_command(world: World, variant: str, said: Path, file_bytes: int | None = None) -> Running:
    """Start `lss run` on the world's release; with `file_bytes`, no file of its may grow larger."""
    arguments = ["run", str(world.release_folder), "--protocol", str(world.protocols[variant])]
    return Child(_command, ([*arguments, "--home", str(world.home.path)], file_bytes), said)


def small_protocol(text: str, horizon: str) -> str:
    """The bundled protocol with one contrast, a few covariates and windows, and another horizon.

    Every stage, table and check of a run is made with it, only fewer times.
    """
    kept, contrasts = [], 0
    for block in re.split(r"(?m)^(?=\[\[?[a-z_]+\]\]?$)", text):
        heading, name = re.match(r"\[\[?(\w+)", block), re.search(r'(?m)^name = "(.*?)"', block)
        kind = heading[1] if heading else ""
        contrasts += kind == "contrasts"
        is_beyond = kind in _LEFT_OUT or (kind == "contrasts" and contrasts > 1)
        is_one_of_many = kind in _KEPT and name is not None and name[1] not in _KEPT[kind]
        if not is_beyond and not is_one_of_many:
            kept.append(block)
    small = re.sub(r"(?m)^secondary_outcomes = \[[^\]]*\]", "secondary_outcomes = []", "".join(kept))
    small = re.sub(r"(?m)^cusum_run_length = \d+", "cusum_run_length = 1000", small)
    small = re.sub(r"(?m)^endpoint_horizon_days = \d+", f"endpoint_horizon_days = {horizon}", small)
    return re.sub(r'(?m)^name = ".*?"', f'name = "{PROTOCOL}"', small, count=1)


def one_thread() -> None:
    """Let runs that are started from here use one thread: sums then have one order, and figures one meaning."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))


def empty(folder: Path) -> Path:
    """The folder, new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _apart(target: Callable[..., None], arguments: Sequence[object], said: str) -> None:
    """In the child: leave the parent's process group and terminal, then do what is asked."""
    os.setsid()
    for descriptor, ending in ((1, "out"), (2, "err")):
        file = os.open(f"{said}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, descriptor)
        os.close(file)
    target(*arguments)


def _command(arguments: list[str], file_bytes: int | None) -> None:
    """Call the command as it is installed."""
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    (command,) = entry_points(group="console_scripts", name="lss")
    command.load()(arguments)
