"""Cohorts that several tests of the simulator look at."""

from pathlib import Path

import pytest

from pipelines.simulate import simulate


@pytest.fixture(scope="session")
def clean_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 3,000 patients without a flawed record and without truth."""
    return simulate(tmp_path_factory.mktemp("clean"), 3000, 5, "parquet", "clean", truth_patients=0)
