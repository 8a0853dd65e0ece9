"""A small version of the study of site monitoring: what `lss validate --study sites` runs at full size."""

import numpy as np
import polars as pl
import pytest

from pipelines.reports import render_html
from pipelines.reports.validation_page import validation_document
from pipelines.validation import site_study

SMALL = {"name": "small", "title": "Small", "sites": 16, "patients_per_site": 80, "log_odds": -0.5, "spread": 0.1}


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    grid = {
        "seed": 5,
        "replications": 12,
        "cusum": [{"log_odds": -1.0, "odds_ratio": 2.0, "run_length": 300, "chains": 300}],
        "scenarios": [SMALL | {"odds_ratio": 1.0}, SMALL | {"odds_ratio": 8.0}],
    }
    return site_study.site_study(grid, workers=1)


def test_ordinary_sites_hardly_signal_and_a_gross_one_does(found: pl.DataFrame) -> None:
    ordinary = found.filter(criterion="ordinary site").row(0, named=True)
    assert (ordinary["networks"], ordinary["sites"]) == (12, 12 * 15)
    assert ordinary["verdict"] == "passed"
    assert found.filter(criterion="poor site")["rate"][0] == 1.0


def test_run_length_is_that_asked_for(found: pl.DataFrame) -> None:
    row = found.filter(criterion="run length").row(0, named=True)
    assert row["verdict"] == "passed"
    assert row["mc_error"] < 0.1 * row["rate"]


def test_too_many_signals_fail() -> None:
    part = pl.DataFrame({"estimate": [0.5] * 4, "ci_low": [8.0] * 4})
    assert site_study._judged(SMALL, "ordinary site", part)["verdict"] == "failed"
    assert site_study._judged(SMALL, "poor site", part)["verdict"] == "failed"


def test_the_site_with_hard_cases_has_them() -> None:
    network = site_study.draw_network(SMALL | {"odds_ratio": 1.0}, np.random.default_rng(1))
    means = dict(network.group_by("site").agg(pl.col("x1").mean()).rows())
    assert means[site_study.HARD_SITE] > 1.0
    assert max(abs(m) for s, m in means.items() if s != site_study.HARD_SITE) < 0.6


def test_the_page_has_a_section_for_it(found: pl.DataFrame) -> None:
    page = render_html(validation_document({"sites": found}, [("Studies", "sites")]))
    assert "Site monitoring: false signals and power" in page
    assert page.count("<tr") > found.height
