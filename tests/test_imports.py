"""The import rules of the design: down the list only, rooms apart, Dagster in three places."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pipelines"
ROOMS = {"ingest", "derive", "models", "analyses", "reports", "releases", "simulate", "validation"}
FOUNDATION = {
    "protocol",
    "protocol_lines",
    "protocol_parts",
    "protocol_rules",
    "protocol_tables",
    "warehouse",
    "resources",
}
FRIENDS = {"analyses": {"models"}, "validation": {"analyses", "models", "simulate", "ingest", "releases"}}
KNOW_DAGSTER = {"cli", "definitions", "assets"}

# what each part of the package may import of the package, itself aside
ALLOWED: dict[str, set[str]] = {
    "cli": {"definitions", "assets", "console"} | ROOMS | FOUNDATION,
    "definitions": {"assets"} | ROOMS | FOUNDATION,
    "assets": ROOMS | FOUNDATION,
    "console": set(),
    **{room: FOUNDATION | FRIENDS.get(room, set()) for room in ROOMS},
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    "models": set(),
}


def _imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively; name the module whole"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def _part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_run_down_the_list_only(path: Path) -> None:
    part = _part(path)
    ours = {name.split(".")[1] for name in _imports(path) if name.startswith("pipelines.")} - {part}
    assert ours <= ALLOWED[part]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_dagster_is_known_in_three_places_only(path: Path) -> None:
    knows = any(name.split(".")[0].startswith("dagster") for name in _imports(path))
    assert not knows or _part(path) in KNOW_DAGSTER


def test_checking_a_release_loads_neither_dagster_nor_the_models() -> None:
    sample = PACKAGE.parent / "data" / "sample"
    program = (
        "import sys; from pipelines.cli import app\n"
        f"app(['check', {str(sample)!r}], standalone_mode=False)\n"
        "heavy = {'dagster', 'pandas', 'scipy', 'statsmodels', 'lifelines', 'matplotlib', 'sqlglot', 'typst'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)), 'pipelines.models' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED [] False"


def test_importing_the_definitions_starts_no_work_of_polars() -> None:
    # a process forked after polars' threads have started waits for them for ever; torture forks from these modules
    code = (
        "import pathlib, pipelines.definitions, pipelines.reports\n"
        "names = [task.joinpath('comm').read_text() for task in pathlib.Path('/proc/self/task').glob('*')]\n"
        "print(sum(name.startswith('polars-') and name[7:].strip().isdigit() for name in names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
