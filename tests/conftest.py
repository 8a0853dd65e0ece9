"""What all tests share: the `lss` command as a user calls it, one run of the sample release, and no silent skips."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.releases import Home
from pipelines.releases.home import HOME_VARIABLE
from pipelines.releases.locks import hold

# with LSS_FORBID_SKIPS set, a test may skip only because the folder shared beside the checkout is not there
FORBID_SKIPS = bool(os.environ.get("LSS_FORBID_SKIPS"))
ALLOWED_SKIP = "the shared reference"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip into a failure where skips are forbidden."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """As above, for a module that skips as a whole."""
    report = yield
    _forbid_skip(report)
    return report


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not FORBID_SKIPS or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if ALLOWED_SKIP not in reason:
        report.outcome = "failed"
        report.longrepr = f"skips are forbidden here, and this test skips: {reason}"


@dataclass(frozen=True)
class Command:
    """How an `lss` command ended."""

    code: int
    out: str
    err: str

    def path(self, what: str) -> Path:
        """The path on the line `what: PATH` of the output."""
        found = [line.removeprefix(f"{what}: ") for line in self.out.splitlines() if line.startswith(f"{what}: ")]
        assert len(found) == 1, f"no single line '{what}: PATH' in: {self.out}"
        return Path(found[0])


@dataclass(frozen=True)
class SampleRun:
    """The one run of the bundled sample release that tests share; nobody may change its home."""

    home: Home
    command: Command


def lss(*arguments: str | Path, home: Path | None = None, **environment: str) -> Command:
    """Call the command as a user does, in a process of its own."""
    chosen = {HOME_VARIABLE: str(home)} if home else {}
    done = subprocess.run(
        lss_command(*arguments),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | chosen | environment,
        timeout=600,
        check=False,
    )
    return Command(done.returncode, done.stdout, done.stderr)


def lss_command(*arguments: str | Path) -> list[str]:
    """The command's words for `subprocess`."""
    return [sys.executable, "-c", "from pipelines.cli import main; main()", *map(str, arguments)]


@pytest.fixture(name="lss", scope="session")
def lss_fixture() -> object:
    """The function `lss(*arguments, home=None, **environment)`."""
    return lss


@pytest.fixture(name="lss_command", scope="session")
def lss_command_fixture() -> object:
    """The function `lss_command(*arguments)`."""
    return lss_command


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """`lss demo`, once for all tests of all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, out, err, code = (shared / "sample" / name for name in ("home", "out", "err", "code"))
    with hold(shared / "sample" / "lock"):
        if not code.exists():
            done = lss("demo", home=folder)
            out.write_text(done.out)
            err.write_text(done.err)
            code.write_text(str(done.code))
    command = Command(int(code.read_text()), out.read_text(), err.read_text())
    assert command.code == 0, command.err
    return SampleRun(Home(folder), command)
