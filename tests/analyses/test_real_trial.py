"""The figures of a real trial (Ashar et al. 2022) must come out of the analyses.

Expected numbers: means, standard deviations and responders as published; ANCOVA as computed by R 4.2.2 (lm with
sandwich 3.0.2, HC3; pain ~ baseline + arm and ODI ~ baseline + arm, reference usual care). Needs the trial's table
from the folder shared beside the checkout, and skips without it.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from pipelines.analyses import analyse
from pipelines.protocol import Protocol, load_protocol


def _helper() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "real_trial.py"
    spec = importlib.util.spec_from_file_location("real_trial", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WALKING_NUMBERS = (
    "baseline_distance_m",
    "baseline_duration_s",
    "baseline_speed_m_s",
    "distance_m",
    "duration_s",
    "speed_m_s",
)
trial = _helper()
pytestmark = pytest.mark.skipif(not trial.is_present(), reason=trial.ABSENT)


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol(trial.PROTOCOL)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, protocol: Protocol) -> dict[str, pl.DataFrame]:
    folder = trial.write_release(tmp_path_factory.mktemp("trial"))
    return analyse(_frames(folder), protocol)


def _frames(folder: Path) -> dict[str, pl.DataFrame]:
    """The `analysis.*` frames of the release, put together by hand so that the analyses stand alone in this test."""
    arms = pl.read_csv(folder / "treatments.csv").select(
        "patient_id", "site_id", "tier", episode_id=pl.format("{}-1", "patient_id")
    )
    values = pl.read_csv(folder / "assessments.csv").with_columns(pl.col("value").cast(pl.Float64))
    before = values.filter(pl.col("day") == 0).select("patient_id", "instrument", baseline_value="value")
    after = values.filter(pl.col("day") > 0).select("patient_id", "instrument", "value")
    instruments = pl.DataFrame({"instrument": ["pain_average", "odi"]})
    scores = (
        arms.join(instruments, how="cross")
        .join(before, on=["patient_id", "instrument"], how="left")
        .join(after, on=["patient_id", "instrument"], how="left")
        .with_columns(
            visit_window=pl.lit("post"), window_rank=pl.lit(1), is_observed=pl.col("value").is_not_null(),
            is_escalated_before=pl.lit(False), is_due=pl.lit(True), is_alive=pl.lit(True),
        )
    )  # fmt: skip
    pain = scores.filter(pl.col("instrument") == "pain_average")
    responders = pain.with_columns(
        threshold=pl.lit("nearly_pain_free"),
        response=pl.when(pl.col("value").is_null()).then(pl.lit("missing"))
        .when(pl.col("value") <= 1).then(pl.lit("responder")).otherwise(pl.lit("non-responder")),
    )  # fmt: skip
    walking: dict[str, type[pl.DataType]] = dict.fromkeys(WALKING_NUMBERS, pl.Float64)
    walking |= {"is_at_cap": pl.Boolean, "is_baseline_at_cap": pl.Boolean, "stop_reason": pl.String}
    return {
        "analysis.subjects": arms.with_columns(tier_rank=pl.lit(1)),
        "analysis.scores": scores,
        "analysis.walking_tests": scores.clear().with_columns(
            pl.lit(None, dtype=t).alias(n) for n, t in walking.items()
        ),
        "analysis.responders": responders,
        "analysis.time_to_event": arms.clear().with_columns(
            endpoint=pl.lit(None, pl.String), time_days=pl.lit(None, pl.Int32), status=pl.lit(None, pl.Int32)
        ),
    }


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
