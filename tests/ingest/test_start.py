"""`lss check` starts at once: checking a release loads neither Dagster nor the models nor the libraries they need."""

import subprocess
import sys
from pathlib import Path

from pipelines.simulate import simulate

SCRIPT = """
import sys
from pathlib import Path
from pipelines.ingest import check_release
from pipelines.protocol import load_protocol
from pipelines.resources import default_protocol_file
check_release(Path(sys.argv[1]), load_protocol(default_protocol_file()))
heavy = {"dagster", "pandas", "pandera", "duckdb", "matplotlib", "scipy", "lifelines", "statsmodels", "pyarrow"}
loaded = heavy & set(sys.modules) | {name for name in sys.modules if name.startswith("pipelines.models")}
print(",".join(sorted(loaded)))
"""


def loaded(folder: Path) -> str:
    """What of it a check of the release in the folder loads."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_checking_loads_nothing_heavy(release) -> None:
    assert loaded(release.write()) == ""


def test_checking_parquet_loads_its_reader_alone(tmp_path: Path) -> None:
    assert loaded(simulate(tmp_path / "release", 20, 1, "parquet", truth_patients=0)) == "pyarrow"
