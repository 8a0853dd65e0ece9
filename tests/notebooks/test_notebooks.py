"""The notebooks run from top to bottom on the sample release, show no patient, and are committed without outputs."""

import ast
import csv
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pipelines.resources import sample_release

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_is_a_notebook_for_each_of_the_five_questions() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_tells_a_story_with_short_cells_and_ends_in_exercises(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    told = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert re.search(r"^## Exercises$", told, re.MULTILINE)
    assert "association" in told
    longest = max(len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code")
    assert longest <= 20


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_notebook_takes_from_the_pipeline_is_there(path: Path) -> None:
    """Run without the data, so that who renames a function learns at once that a notebook uses it."""
    cells = nbformat.read(path, as_version=4).cells
    tree = ast.parse("\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    taken: dict[str, Any] = {}
    for node in imports:
        module = importlib.import_module(str(node.module))
        for alias in node.names:
            if not hasattr(module, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")
            taken[alias.asname or alias.name] = getattr(module, alias.name)
    used = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in taken
    ]
    assert taken
    assert [f"{name}.{attribute}" for name, attribute in used if not hasattr(taken[name], attribute)] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_the_sample_release_and_shows_no_patient(
    path: Path, executed: Callable[[Path], nbformat.NotebookNode]
) -> None:
    notebook = executed(path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output for output in outputs if output.output_type in ("execute_result", "display_data")]
    assert shown
    said = json.dumps(outputs, ensure_ascii=False)
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    words = set(re.findall(r"[\w-]+", said))
    assert words.isdisjoint(_patients())


def _patients() -> set[str]:
    with (sample_release() / "patients.csv").open(encoding="utf-8", newline="") as file:
        names = {row["patient_id"] for row in csv.DictReader(file)}
    assert len(names) > 100
    return names
