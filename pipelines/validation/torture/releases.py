"""Mutated releases through ingest, each with a limit of time and memory, and some of them through the command.

A release may be accepted or refused, never more: no other exception, no dead or hanging process, no line on the
terminal, no cell value in what is said, no file changed outside the home.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.ingest import ReleaseRefused, check_release
from pipelines.protocol import load_protocol
from pipelines.resources import default_protocol_file
from pipelines.validation.torture.cases import make_case
from pipelines.validation.torture.drafts import ESCAPE, SENTINEL, SENTINEL_NUMBER, Rows

SECONDS = 30  # of processor time for a case, which is tens of kilobytes unless it is a bomb
PATIENCE = 600.0  # seconds on the clock after which a case that uses no processor time hangs
MEGABYTES = 3_000  # of address space beyond what the libraries take when they are loaded
REFUSED = 3
Tables = dict[str, Rows]


@dataclass(frozen=True)
class Verdict:
    """What became of a case: `accepted`, `refused` or `broken` with the fault; processor seconds, peak memory in MB."""

    number: int
    form: str
    mutations: str
    outcome: str
    seconds: float
    megabytes: float = 0.0
    rows_accepted: int = 0
    said: str = ""
    fault: str = ""


# --------------------------------------------------------------------------------------------------------- in process


def torture_ingest(folder: Path, tables: Tables, seed: int, numbers: Sequence[int]) -> Iterator[Verdict]:
    """Check mutated releases in a process of its own that is killed and replaced when a case takes too long.

    Yields:
        A verdict a case, in order.
    """
    worker = _Worker(folder, tables, seed)
    for number in numbers:
        yield worker.ask(number)
    worker.close()


@dataclass
class _Worker:
    """The process that checks cases one after another, and its replacement when one of them ends it."""

    folder: Path
    tables: Tables
    seed: int
    _process: Any = field(init=False, default=None)
    _pipe: Connection = field(init=False)

    def ask(self, number: int) -> Verdict:
        """The verdict on a case."""
        if self._process is None:
            context = get_context("spawn")
            self._pipe, end = context.Pipe()
            arguments = (end, self.folder, self.tables, self.seed)
            self._process = context.Process(target=_check_cases, args=arguments, daemon=True)
            self._process.start()
            end.close()
            self._pipe.recv()
        begun = time.monotonic()
        self._pipe.send(number)
        try:
            if self._pipe.poll(PATIENCE):
                return self._pipe.recv()
            fault = f"no end within {PATIENCE:.0f} s"
        except EOFError:
            self._process.join(10)
            fault = f"the process died with {self._process.exitcode}"
        self.close()
        return Verdict(number, "", "", "broken", time.monotonic() - begun, fault=fault)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _check_cases(pipe: Connection, folder: Path, tables: Tables, seed: int) -> None:
    """In the worker: check each case that is asked for, with standard output and error in a file."""
    spoken = folder / "spoken"
    descriptor = os.open(spoken, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    protocol = load_protocol(default_protocol_file())
    remove(folder / "clean")
    make_case(folder / "clean", tables, seed, 0)
    _checked(folder / "clean", protocol)  # loads what is loaded late
    shutil.rmtree(folder / "clean", ignore_errors=True)
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEGABYTES * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    pipe.send("ready")
    while True:
        number = pipe.recv()
        release = folder / "release"
        remove(release)
        case = make_case(release, tables, seed, number)
        os.ftruncate(descriptor, 0)
        before = surroundings(folder)
        Path("/proc/self/clear_refs").write_text("5")
        begun = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(begun) + SECONDS, resource.RLIM_INFINITY))
        outcome, rows, said, fault = _checked(release, protocol)
        seconds = time.process_time() - begun
        spoken_text = spoken.read_text(errors="replace")
        fault = fault or _leak(said) or _leak(spoken_text) or (f"printed {spoken_text[:200]}" if spoken_text else "")
        fault = fault or _escape() or ("" if surroundings(folder) == before else "files were changed")
        outcome = "broken" if fault else outcome
        remove(release)
        line = said if outcome == "refused" else ""
        pipe.send(Verdict(number, case.form, " ".join(case.mutations), outcome, seconds, _peak(), rows, line, fault))


def _checked(release: Path, protocol: Any) -> tuple[str, int, str, str]:
    """Outcome, rows accepted, everything said, and the fault."""
    try:
        found = check_release(release, protocol)
    except ReleaseRefused as refusal:
        sentence = str(refusal)
        is_plain = sentence and "\n" not in sentence and len(sentence) < 500
        return "refused", 0, sentence, "" if is_plain else "the refusal is not one plain sentence"
    except BaseException as error:  # a panic of a Rust library is no Exception
        return "broken", 0, "", f"{type(error).__module__}.{type(error).__name__} in {_innermost(error)}"
    said = "".join(frame.write_csv() for frame in (found.counts, found.rules, found.quarantine, found.warnings))
    counts = found.counts
    is_even = (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
    return "accepted", int(counts["rows_accepted"].sum()), said, "" if is_even else "counts do not reconcile"


def _innermost(error: BaseException) -> str:
    place, step = "", error.__traceback__
    while step:
        code = step.tb_frame.f_code
        if "pipelines" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _leak(text: str) -> str:
    lowered = text.lower()
    return "a planted value came out" if SENTINEL in lowered or SENTINEL_NUMBER in lowered else ""


def _escape() -> str:
    return "a planted command wrote a file" if Path(ESCAPE).exists() else ""


def _peak() -> float:
    """The most memory that this process held since the mark was set back, in MB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


# ------------------------------------------------------------------------------------------------ through the command


def torture_command(
    folder: Path, tables: Tables, seed: int, cases: Sequence[tuple[int, str]], options: Sequence[str] = ()
) -> Iterator[Verdict]:
    """Give mutated releases to the `lss` command, in surroundings that are compared before and after.

    Args:
        folder: new; the home is made in it, and the surroundings are all else in it.
        tables: the clean release.
        seed: of the series.
        cases: number of the case and the command for it, `check` or `run`.
        options: more options of `run`.

    Yields:
        A verdict a case.
    """
    for name in ("cwd", "user", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    places = {"HOME": folder / "user", "TMPDIR": folder / "tmp", "LSS_HOME": folder / "home"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | {
        k: str(v) for k, v in places.items()
    }
    for number, command in cases:
        remove(folder / "home")
        release = folder / "release"
        case = make_case(release, tables, seed, number)
        before = surroundings(folder, besides="home")
        begun = time.monotonic()
        words = [
            "-c",
            "from pipelines.cli import main; main()",
            command,
            str(release),
            *(options if command == "run" else ()),
        ]
        try:
            done = subprocess.run(
                [sys.executable, *words], cwd=folder / "cwd", env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, timeout=900, check=False,
            )  # fmt: skip
            said = (done.stdout + done.stderr).decode(errors="replace")
            fault = _fault(done.returncode, said) or _escape() or changes(before, surroundings(folder, besides="home"))
        except subprocess.TimeoutExpired:
            done, said, fault = None, "", "no end within 900 s"
        outcome = "broken" if fault or done is None else "refused" if done.returncode == REFUSED else "accepted"
        remove(release)
        words_said = said.strip() if outcome != "accepted" else ""
        yield Verdict(
            number,
            case.form,
            f"{command}: {' '.join(case.mutations)}",
            outcome,
            time.monotonic() - begun,
            said=words_said,
            fault=fault,
        )


def _fault(code: int, said: str) -> str:
    if code not in (0, REFUSED):
        return f"exit {code}: {said.strip()[:300]}"
    if "Traceback" in said or "panicked" in said:
        return "a traceback"
    return _leak(said)


# ------------------------------------------------------------------------------------------------------- surroundings


def surroundings(folder: Path, besides: str = "") -> dict[str, tuple[int, int, int]]:
    """Every entry below a folder with its kind, size and time of change, one part of it aside."""
    found = {}
    for parent, folders, files in os.walk(folder):
        if Path(parent) == folder and besides in folders:
            folders.remove(besides)
        for name in (*folders, *files):
            seen = os.lstat(os.path.join(parent, name))
            is_folder = name in folders  # a folder's time says only what its listing says too
            found[os.path.join(parent, name)] = (
                seen.st_mode,
                0 if is_folder else seen.st_size,
                0 if is_folder else seen.st_mtime_ns,
            )
    return found


def changes(before: dict[str, tuple[int, int, int]], after: dict[str, tuple[int, int, int]]) -> str:
    """What differs, by the first path; empty when nothing does."""
    touched = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return f"{len(touched)} files outside the home were changed, such as {touched[0]}" if touched else ""


def remove(path: Path) -> None:
    """Remove a folder, whatever stands in it."""
    shutil.rmtree(path, ignore_errors=True)
