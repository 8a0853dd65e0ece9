"""statsmodels' answers to a contrast of repeated measures, against nlme and geepack (second_opinion_contrasts.R)."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.analyses import second_opinions
from pipelines.analyses.schemas import TABLES
from pipelines.analyses.second_opinions import EQUATIONS, MIXED_MODEL
from pipelines.analyses.sensitivity import sensitivity
from pipelines.protocol import Protocol

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
ARMS = {"a": "esi", "b": "mild", "c": "laminectomy"}
WINDOWS = {"m03": "3m", "m06": "6m", "m12": "12m", "m24": "24m"}


@pytest.fixture(scope="module")
def narrow(protocol: Protocol) -> Protocol:
    """ODI at 12 months, two contrasts, sex the only covariate."""
    kept = ("mild_vs_esi", "laminectomy_vs_mild")
    return protocol.with_overrides(
        {
            "analysis_set": "full",
            "literature": None,
            "covariates": [c.model_dump() for c in protocol.covariates if c.name == "sex"],
            "contrasts": [c.model_dump() for c in protocol.contrasts if c.name in kept],
            "primary.outcomes": [{"outcome": "odi", "window": "12m"}],
            "primary.secondary_outcomes": [],
        }
    )


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    """visits.csv as the analyses see it: a row a visit kept, its baseline and its subject's sex."""
    visits = pl.read_csv(REFERENCE / "visits.csv").select(
        pl.col("subject").alias("episode_id"),
        pl.col("arm").replace_strict(ARMS).alias("tier"),
        pl.col("visit").replace_strict(WINDOWS).alias("visit_window"),
        pl.col("base").alias("baseline_value"),
        pl.col("odi").alias("value"),
        "sex",
    )
    return {
        "analysis.subjects": visits.select(
            "episode_id", "tier", "sex", patient_id="episode_id", site_id=pl.lit("s")
        ).unique("episode_id", maintain_order=True),
        "analysis.scores": visits.drop("sex").with_columns(
            patient_id=pl.col("episode_id"), site_id=pl.lit("s"), instrument=pl.lit("odi"), is_observed=pl.lit(True)
        ),
        "results.diagnostics": TABLES["diagnostics"].empty,
        "results.contrasts": TABLES["contrasts"].empty,
    }


@pytest.fixture(scope="module")
def from_r() -> dict[str, Any]:
    return dict(json.loads((REFERENCE / "second_opinion_contrasts.json").read_text()))


@pytest.mark.parametrize(("estimator", "key", "tolerance"), [(MIXED_MODEL, "lme", 1e-4), (EQUATIONS, "gee", 5e-3)])
def test_contrasts_match_r(
    frames: Mapping[str, pl.DataFrame],
    narrow: Protocol,
    from_r: dict[str, Any],
    estimator: str,
    key: str,
    tolerance: float,
) -> None:
    """geepack's working correlation has another denominator, which moves the third digit."""
    rows = second_opinions.second_opinions(frames, narrow).filter(estimator=estimator)
    assert rows["status"].to_list() == ["estimable", "estimable"]
    for contrast, name in (("mild_vs_esi", "b_vs_a"), ("laminectomy_vs_mild", "c_vs_b")):
        row = rows.filter(contrast=contrast).row(0, named=True)
        expected = from_r[key][name]
        assert row["estimate"] == pytest.approx(expected["estimate"], rel=tolerance)
        error = (row["ci_high"] - row["ci_low"]) / (2 * 1.959964)
        assert error == pytest.approx(expected["std_error"], rel=tolerance)


def test_what_cannot_be_estimated_is_named(frames: Mapping[str, pl.DataFrame], narrow: Protocol) -> None:
    is_gone = (pl.col("tier") == "laminectomy") & (pl.col("visit_window") == "12m")
    unseen = dict(frames) | {"analysis.scores": frames["analysis.scores"].filter(~is_gone)}
    rows = second_opinions.second_opinions(unseen, narrow)
    of = {c: rows.filter(contrast=c) for c in ("mild_vs_esi", "laminectomy_vs_mild")}
    assert set(of["mild_vs_esi"]["status"]) == {"estimable"}
    assert set(of["laminectomy_vs_mild"]["status"]) == {"not estimable"}
    assert set(of["laminectomy_vs_mild"]["note"]) == {"nobody of laminectomy was seen in this window"}
    assert of["laminectomy_vs_mild"]["estimate"].null_count() == 2
    flat = frames["analysis.scores"].with_columns(value=pl.lit(20.0))
    found = second_opinions.second_opinions(dict(frames) | {"analysis.scores": flat}, narrow)
    assert set(found["status"]) == {"not estimable"}
    assert found["note"].str.len_chars().min() > 10


def test_many_patients_are_not_asked_about(
    frames: Mapping[str, pl.DataFrame], narrow: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_opinions, "MOST_PATIENTS", 10)
    rows = second_opinions.second_opinions(frames, narrow)
    assert rows.height == 4
    assert set(rows["note"]) == {"not asked above 10 patients: the library would take minutes"}


def test_a_failed_check_withholds_the_second_opinion_too(frames: Mapping[str, pl.DataFrame], narrow: Protocol) -> None:
    failed = pl.DataFrame([{"contrast": "mild_vs_esi", "check": "effective sample size", "verdict": "failed"}])
    gated = dict(frames) | {"results.diagnostics": TABLES["diagnostics"].conform(failed)}
    rows = second_opinions.second_opinions(gated, narrow).filter(contrast="mild_vs_esi")
    assert set(rows["status"]) == {"withheld"}
    assert rows["estimate"].null_count() == rows.height == 2
    assert set(rows["note"]) == {"failed: effective sample size"}


def test_they_stand_in_results_sensitivity_of_the_full_set_only(
    frames: Mapping[str, pl.DataFrame], narrow: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("pipelines.analyses.sensitivity")  # the package's own name for it is the function
    monkeypatch.setattr(module, "tipping_points", lambda *_: pl.DataFrame())
    others = ("trajectories", "hazard_ratios", "cumulative_incidence")
    known = dict(frames) | {f"results.{name}": TABLES[name].empty for name in others}
    table = TABLES["sensitivity"]
    rows = table.conform(sensitivity(known, narrow)).filter(pl.col("analysis").str.starts_with("second opinion"))
    assert rows.select("estimator", "contrast").rows() == [
        (estimator, contrast)
        for estimator in (MIXED_MODEL, EQUATIONS)
        for contrast in ("mild_vs_esi", "laminectomy_vs_mild")
    ]
    core = narrow.with_overrides({"analysis_set": "core"})
    assert table.conform(sensitivity(known, core)).is_empty()
