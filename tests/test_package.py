"""A wheel built from the repository works elsewhere: its SQL, protocol, sample and reference numbers travel with it."""

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel in it, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(target)
    return target


def run_installed(installed: Path, code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code with the wheel before our dependencies and without the checkout on the path."""
    packages = sysconfig.get_paths()["purelib"]
    start = f"import sys; sys.path[:0] = [{str(installed)!r}]; sys.path.append({packages!r}); {code}"
    return subprocess.run(
        [sys.executable, "-S", "-c", start], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def test_sql_protocol_sample_and_reference_travel_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        "import pipelines; from pipelines import resources as r; "
        "print(pipelines.__file__); print(r.sql_folder()); print(r.data_folder()); print(r.reference_folder()); "
        "print(len(list(r.sql_folder().rglob('*.sql'))), r.default_protocol_file().exists(), "
        "(r.sample_release() / 'manifest.toml').exists(), (r.reference_folder() / 'time_to_event').exists())"
    )
    done = run_installed(installed, code, tmp_path)
    assert done.returncode == 0, done.stderr
    *places, counted = done.stdout.split("\n")[:-1]
    assert all(str(installed) in place for place in places)
    assert counted == f"{len(list((ROOT / 'sql').rglob('*.sql')))} True True True"


def test_the_installed_command_runs_the_sample(installed: Path, tmp_path: Path) -> None:
    code = f"from pipelines.cli import main; main(['demo', '--home', {str(tmp_path / 'home')!r}])"
    done = run_installed(installed, code, tmp_path)
    assert done.returncode == 0, done.stderr
    report = next(line for line in done.stdout.splitlines() if line.startswith("report: "))
    assert Path(report.removeprefix("report: ")).stat().st_size > 10_000
