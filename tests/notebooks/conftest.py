"""Notebooks as they are after a run from top to bottom on the sample release, each run once for all tests."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from traitlets.config import Config

from pipelines.releases.home import HOME_VARIABLE
from pipelines.releases.locks import hold


@pytest.fixture
def executed(
    sample_run: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], nbformat.NotebookNode]:
    """The function that gives a notebook with its outputs; it raises where a cell does."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "notebooks"
    shared.mkdir(exist_ok=True)
    monkeypatch.setenv(HOME_VARIABLE, str(sample_run.home.path))
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(variable, str(shared / variable.lower()))

    def run(path: Path) -> nbformat.NotebookNode:
        made = shared / path.name
        with hold(shared / f"{path.stem}.lock"):
            if not made.exists():
                notebook = nbformat.read(path, as_version=4)
                config = Config({"KernelManager": {"transport_encryption": "auto"}})  # as `make notebooks` does
                place = {"metadata": {"path": str(path.parent)}}
                nbclient.NotebookClient(notebook, timeout=300, resources=place, config=config).execute()
                nbformat.write(notebook, made)
        return nbformat.read(made, as_version=4)

    return run
