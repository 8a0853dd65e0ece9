"""The validation page and what stands behind it: agreement with R, recovery, the benchmark's table."""

import json
from pathlib import Path

import polars as pl
import pytest

from pipelines.protocol import load_protocol
from pipelines.reports import render_html
from pipelines.reports.validation_page import validation_document
from pipelines.resources import default_protocol_file
from pipelines.validation.agreement import agreement
from pipelines.validation.recovery import adjusted_estimates, judge_recovery, true_values, unadjusted_estimates
from pipelines.validation.run import failures


def test_every_number_is_rs_number() -> None:
    found = agreement()
    assert found.filter(verdict="failed").is_empty()
    assert found.drop_nulls(["ours", "reference"]).height == found.height > 900
    comparative = {"weighted effects", "ANCOVA", "AIPW", "MMRM, unstructured", "walking, overlap-weighted", "E-value"}
    assert {"Kaplan-Meier (km)", "Fine-Gray", *comparative} <= set(found["estimator"])


def test_a_study_of_the_comparative_models_has_its_section_and_its_power() -> None:
    rows = [
        ("control_unmeasured", "Nobody measured it", "incidence difference", "overlap-weighted", "biased", 0.8, 0.9),
        ("null", "No effect", "mean difference", "ANCOVA (HC3)", "valid", None, 0.05),
    ]
    names = ["scenario", "title", "quantity", "method", "expectation", "power", "rejection"]
    frame = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        replications=100, not_estimable=0.0, truth=0.0, mean=0.0, bias=0.0, bias_mc_error=0.1, spread=1.0,
        coverage=0.95, verdict=pl.lit("passed"), reason=pl.lit(""),
    )  # fmt: skip
    page = render_html(validation_document({"outcomes": frame}, [("Studies", "outcomes")]))
    assert "Comparative models: simulation study" in page
    # sqrt(0.9 × 0.1 / 100) is 3 points
    assert "speaks up in 90.0% of studies (Monte Carlo error 3.0 points); at least 80% was asked for" in page
    assert failures({"outcomes": frame.with_columns(verdict=pl.lit("failed"))}) == ["outcomes: 2 of 2 criteria failed"]


def test_the_page_says_what_failed() -> None:
    broken = agreement().with_columns(
        verdict=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("failed")).otherwise(pl.col("verdict"))
    )
    assert failures({"agreement": broken}) == [f"agreement: 1 of {broken.height} criteria failed"]
    page = render_html(validation_document({"agreement": broken}, [("Studies", "agreement")]))
    assert "1 criteria of agreement failed" in page
    assert "Table 1" in page


def test_recovery_is_judged_in_monte_carlo_errors() -> None:
    """Four cohorts with errors 1, 1, 1, 2: mean 1.25, variance 0.25, error of the mean 0.25: five errors off."""
    rows = [(seed, "c", "q", "adjusted", 10.0 + e, 10.0, 0.0) for seed, e in enumerate((1.0, 1.0, 1.0, 2.0))]
    schema = ["seed", "contrast", "quantity", "method", "estimate", "truth", "truth_mc_error"]
    judged = judge_recovery(pl.DataFrame(rows, schema=schema, orient="row"))
    assert judged["mean_error"].to_list() == [1.25]
    assert judged["errors_off"].to_list() == pytest.approx([5.0])
    assert judged["is_within"].to_list() == [False]


def test_ratios_are_compared_as_logarithms(tmp_path: Path) -> None:
    row = {"contrast": "c", "outcome": "spwt", "window": "12m", "population": "overlap", "measure": "distance ratio"}
    other = row | {"population": "ate"}
    values = {"value": 2.0, "monte_carlo_se": 0.01}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"truth": [row | values, other | values]}), encoding="utf-8")
    truth = true_values(path)
    assert truth.height == 1
    assert truth["truth"][0] == pytest.approx(0.6931471805599453)


def test_each_question_takes_the_weighted_estimate_and_the_tiers_own_figures() -> None:
    protocol = load_protocol(default_protocol_file())
    contrast = protocol.contrasts[0]
    rows = [
        ("nrs_leg", "12m", "propensity-weighted", "overlap", "mean difference", -0.5),
        ("nrs_leg", "12m", "ANCOVA (HC3), baseline only", "ate", "mean difference", 9.0),
        ("decompression_or_fusion", "730 days", "Aalen-Johansen, propensity-weighted", "overlap",
         "incidence difference", 0.1),
        ("decompression_or_fusion", "730 days", "Aalen-Johansen, unadjusted", None, "incidence difference", 0.3),
        ("negative_control", "730 days", "Aalen-Johansen, unadjusted", None, "incidence difference", 7.0),
    ]  # fmt: skip
    schema = ["outcome", "window", "method", "population", "measure", "estimate"]
    contrasts = pl.DataFrame(rows, schema=schema, orient="row").with_columns(contrast=pl.lit(contrast.name))
    means = [("nrs_leg", "12m", "observed mean", tier, value) for tier, value in (("esi", 4.0), ("conservative", 5.0))]
    trajectories = pl.DataFrame(means, schema=["outcome", "window", "method", "tier", "estimate"], orient="row")
    results = {"contrasts": contrasts, "trajectories": trajectories}
    adjusted = dict(adjusted_estimates(results).select("quantity", "estimate").rows())
    assert adjusted == {"leg pain at 12 months": -0.5, "incidence at 730 days": 0.1}
    crude = unadjusted_estimates(results, protocol).filter(contrast=contrast.name).drop_nulls()
    assert dict(crude.select("quantity", "estimate").rows()) == {
        "leg pain at 12 months": -1.0,
        "incidence at 730 days": 0.3,
    }
