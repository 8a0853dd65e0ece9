"""Rows and R's numbers shared by the tests of the estimators."""

import json
from pathlib import Path

import polars as pl
import pytest

TIME_TO_EVENT = Path(__file__).resolve().parents[1] / "reference" / "time_to_event"


@pytest.fixture(scope="session")
def subjects() -> pl.DataFrame:
    """260 invented subjects (tests/reference/time_to_event/simulate_subjects.py), events of cause 1."""
    return pl.read_csv(TIME_TO_EVENT / "subjects.csv").with_columns(event=pl.col("cause") == 1)


@pytest.fixture(scope="session")
def r_estimates() -> dict:
    """What R printed for these files (estimates.R: survival 3.5-3, cmprsk 2.2-11)."""
    return json.loads((TIME_TO_EVENT / "estimates.json").read_text())


@pytest.fixture(scope="session")
def stays() -> pl.DataFrame:
    """120 invented subjects moving between four states."""
    return pl.read_csv(TIME_TO_EVENT / "stays.csv")


@pytest.fixture(scope="session")
def visits() -> pl.DataFrame:
    """150 invented subjects whose time is known to lie between two visits."""
    return pl.read_csv(TIME_TO_EVENT / "visits.csv")
