"""The figures of a real trial (Ashar et al. 2022) must come out of the whole job.

Expected numbers: means, standard deviations and responders as published; ANCOVA as computed by R 4.2.2 (lm with
sandwich 3.0.2, HC3; pain ~ baseline + arm and ODI ~ baseline + arm, reference usual care). Needs the trial's table
from the folder shared beside the checkout, and skips without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import real_trial as trial

from pipelines.analyses import ANALYSES
from pipelines.warehouse import open_warehouse

TESTS = Path(__file__).resolve().parent

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not trial.is_present(), reason=trial.ABSENT)]


@dataclass(frozen=True)
class TrialRun:
    """The trial through `lss run`, the same job as every release."""

    snapshot: Path
    report: Path
    pdf: Path


@pytest.fixture(scope="module")
def run(lss: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> TrialRun:
    folder = tmp_path_factory.mktemp("trial")
    done = lss("run", trial.write_release(folder / "release"), "--protocol", trial.PROTOCOL, home=folder / "home")
    assert done.code == 0, done.err
    return TrialRun(done.path("snapshot"), done.path("report"), done.path("pdf"))


@pytest.fixture(scope="module")
def results(run: TrialRun) -> dict[str, pl.DataFrame]:
    """The result tables of the published snapshot."""
    with open_warehouse(run.snapshot, read_only=True) as snapshot:
        return {name: snapshot.read(f"results.{name}") for name in ANALYSES}


def test_the_report_suppresses_what_is_small_and_says_what_does_not_apply(run: TrialRun) -> None:
    """Five patients of usual care were nearly free of pain: a count that may not be shown."""
    text = run.report.read_text(encoding="utf-8")
    assert "&lt;11" in text
    assert ">5 (10" not in text
    assert "ot applicable" in text
    assert run.pdf.read_bytes().startswith(b"%PDF")


def test_no_check_failed_and_those_without_rows_did_not_pass(run: TrialRun) -> None:
    with open_warehouse(run.snapshot, read_only=True) as snapshot:
        checks = snapshot.read("quality.checks")
    assert set(checks.filter(pl.col("kind") != "disclosure")["verdict"]) == {"passed", "not applicable"}
    warned = checks.filter(check_name="few_alike_warned_of")  # a small trial has few patients alike, and says so
    assert warned.select("verdict", "is_blocking").rows() == [("failed", False)]
    assert checks.filter(verdict="passed")["rows_examined"].min() > 0


def test_pain_after_treatment_is_as_published(results: dict[str, pl.DataFrame]) -> None:
    after = results["trajectories"].filter(
        (pl.col("outcome") == "pain_average") & (pl.col("window") == "post") & (pl.col("method") == "observed mean")
    )
    means = {row["tier"]: (round(row["estimate"], 2), row["subjects"]) for row in after.iter_rows(named=True)}
    assert means == {"prt": (1.18, 44), "placebo": (2.84, 44), "usual_care": (3.13, 47)}


def test_patients_nearly_free_of_pain_are_as_published(results: dict[str, pl.DataFrame]) -> None:
    counted = results["responders"].filter(
        (pl.col("threshold") == "nearly_pain_free") & (pl.col("method") == "missing as non-response")
    )
    shares = {row["tier"]: (row["responders"], row["subjects"]) for row in counted.iter_rows(named=True)}
    assert shares == {"prt": (33, 50), "placebo": (10, 51), "usual_care": (5, 50)}


# estimate, standard error (HC3), by R
ANCOVA = {
    ("pain_average", "prt_vs_usual_care"): (-2.22014603740869, 0.249932835112216),
    ("pain_average", "placebo_vs_usual_care"): (-0.488010831979751, 0.258282638330697),
    ("odi", "prt_vs_usual_care"): (-12.3727122798441, 1.41713839782952),
    ("odi", "placebo_vs_usual_care"): (-1.67626329757539, 1.27321275009468),
}


@pytest.mark.parametrize(("outcome", "contrast"), ANCOVA)
def test_ancova_matches_r(results: dict[str, pl.DataFrame], outcome: str, contrast: str) -> None:
    row = results["contrasts"].filter(
        (pl.col("outcome") == outcome)
        & (pl.col("contrast") == contrast)
        & (pl.col("method") == "ANCOVA (HC3), baseline only")
    )
    estimate, std_error = ANCOVA[outcome, contrast]
    assert row.height == 1
    assert row["estimate"][0] == pytest.approx(estimate, rel=1e-8)
    assert row["std_error"][0] == pytest.approx(std_error, rel=1e-8)
    assert row["status"][0] == "estimable"


@pytest.mark.parametrize(
    "table",
    ["cumulative_incidence", "survival_curves", "restricted_times", "hazard_ratios", "log_rank", "walking_curves"],
)
def test_what_the_trial_cannot_feed_is_empty(results: dict[str, pl.DataFrame], table: str) -> None:
    assert results[table].is_empty()


def test_checks_without_data_say_not_applicable(results: dict[str, pl.DataFrame]) -> None:
    control = results["diagnostics"].filter(pl.col("check") == "negative control")
    assert control["verdict"].to_list() == ["not applicable"] * 3


# responders of those randomised, missing counted as non-response, by R
RESPONDERS = {
    "percent_30": {"usual_care": 13, "prt": 37, "placebo": 22},
    "percent_50": {"usual_care": 8, "prt": 35, "placebo": 15},
    "mcid": {"usual_care": 8, "prt": 34, "placebo": 13},
}


@pytest.mark.parametrize("threshold", RESPONDERS)
def test_responders_at_each_threshold_match_r(results: dict[str, pl.DataFrame], threshold: str) -> None:
    counted = results["responders"].filter(
        (pl.col("outcome") == "pain_average")
        & (pl.col("threshold") == threshold)
        & (pl.col("method") == "missing as non-response")
    )
    assert dict(counted.select("tier", "responders").iter_rows()) == RESPONDERS[threshold]


# estimate, standard error (Satterthwaite) and limits after treatment, by R (lmer, score ~ arm × visit + (1 | id))
MIXED_MODEL = {
    ("pain_average", "prt_vs_usual_care"): (-2.04106902687733, 0.307689958487178, -2.64731707586011, -1.43482097789454),
    ("pain_average", "placebo_vs_usual_care"): (
        -0.381820295958534,
        0.307257793810607,
        -0.987198637289786,
        0.223558045372718,
    ),
    ("odi", "prt_vs_usual_care"): (-11.638186824285, 2.15768645987778, -15.8941834877906, -7.38219016077935),
    ("odi", "placebo_vs_usual_care"): (-2.48211307949882, 2.15139234865058, -6.72554210631609, 1.76131594731844),
}


@pytest.mark.parametrize(("outcome", "contrast"), MIXED_MODEL)
def test_mixed_model_matches_r(results: dict[str, pl.DataFrame], outcome: str, contrast: str) -> None:
    row = results["contrasts"].filter(
        (pl.col("outcome") == outcome)
        & (pl.col("contrast") == contrast)
        & pl.col("method").str.starts_with("mixed model with random intercept")
    )
    found = row.select("estimate", "std_error", "ci_low", "ci_high").row(0)
    assert found == pytest.approx(MIXED_MODEL[outcome, contrast], rel=1e-4)
