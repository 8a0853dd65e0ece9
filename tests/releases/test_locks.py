"""The kernel's locks, seen from another process."""

import subprocess
import sys
from pathlib import Path

from pipelines.releases.locks import hold, is_held

HOLDER = """
import sys
from pathlib import Path
from pipelines.releases.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_free_held_and_free_again(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "release.lock"
    assert not is_held(path)
    with hold(path):
        assert is_held(path)
    assert not is_held(path)


def test_the_second_says_that_it_waits_and_then_gets_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "release.lock"
    other = _holder(path)
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        assert is_held(path)
        other.communicate("")  # the other one ends only now

    with hold(path, waiting):
        assert said == ["waiting"]
    assert other.returncode == 0


def test_a_killed_holder_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "release.lock"
    other = _holder(path)
    other.kill()
    other.wait()
    said: list[str] = []
    with hold(path, lambda: said.append("waiting")):
        assert said == []
