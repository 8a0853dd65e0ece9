"""Hazards, subgroups, sensitivity, sites and imputation against other libraries or arithmetic."""

import math
from collections.abc import Mapping

import polars as pl
import pytest
from lifelines import CoxPHFitter

from pipelines.analyses import ANALYSES, analyse
from pipelines.analyses.imputed import imputed_contrasts
from pipelines.analyses.sensitivity import sensitivity
from pipelines.analyses.sites import site_indicators
from pipelines.analyses.specifications import COMPLETE, further_contrasts
from pipelines.protocol import Protocol


@pytest.fixture(scope="module")
def ratios(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    known = dict(tables)
    for name in ("balance", "diagnostics"):
        known[f"results.{name}"] = ANALYSES[name].run(known, protocol)
    return ANALYSES["hazard_ratios"].run(known, protocol)


def test_the_unadjusted_hazard_ratio_is_that_of_lifelines(
    tables: Mapping[str, pl.DataFrame], ratios: pl.DataFrame
) -> None:
    rows = tables["analysis.time_to_event"].filter(
        (pl.col("endpoint") == "opioid_start") & pl.col("tier").is_in(["esi", "conservative"])
    )
    frame = rows.select(
        "time_days", event=pl.col("status") == 1, tier=(pl.col("tier") == "esi").cast(pl.Float64)
    ).to_pandas()
    fit = CoxPHFitter().fit(frame, "time_days", "event", robust=True)
    ours = ratios.filter(
        (pl.col("endpoint") == "opioid_start")
        & (pl.col("contrast") == "esi_vs_conservative")
        & (pl.col("adjustment") == "unadjusted")
        & (pl.col("model") == "cause-specific")
        & (pl.col("term") == "tier")
    ).row(0, named=True)
    assert ours["estimate"] == pytest.approx(fit.hazard_ratios_["tier"], rel=1e-4)
    assert ours["log_std_error"] == pytest.approx(fit.standard_errors_["tier"], rel=1e-3)


def test_the_contrast_has_its_ratios_by_period_and_as_treated(ratios: pl.DataFrame) -> None:
    own = ratios.filter((pl.col("endpoint") == "laminectomy_or_fusion") & (pl.col("contrast") == "mild_vs_esi"))
    assert {"tier", "tier, 0 to 365 days", "tier, after 365 days"} == set(own["term"])
    assert {"index", "as treated"} == set(own["view"])
    assert {"cause-specific", "subdistribution"} == set(own["model"])


def test_periods_split_the_events(ratios: pl.DataFrame) -> None:
    own = ratios.filter(
        (pl.col("contrast") == "esi_vs_conservative")
        & (pl.col("endpoint") == "decompression_or_fusion")
        & (pl.col("view") == "index")
        & (pl.col("adjustment") == "unadjusted")
        & (pl.col("model") == "cause-specific")
    )
    events = dict(own.select("term", "events").iter_rows())
    assert events["tier, 0 to 365 days"] + events["tier, after 365 days"] == events["tier"]


def test_expected_events_of_all_sites_add_up_to_the_observed(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    found = site_indicators(tables, protocol)
    of_failure = found.filter(pl.col("indicator").str.starts_with("treatment_failure"))
    assert of_failure["observed"].sum() == pytest.approx(of_failure["expected"].sum(), rel=1e-6)


def test_a_small_site_shows_no_estimate(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> None:
    tiny = pl.when(pl.col("episode_id") < "e000010").then(pl.lit("tiny")).otherwise("site_id").alias("site_id")
    moved = {name: frame.with_columns(tiny) if "site_id" in frame.columns else frame for name, frame in tables.items()
             if "episode_id" in frame.columns}  # fmt: skip
    found = site_indicators(moved, protocol).filter(pl.col("site_id") == "tiny")
    assert set(found["status"]) == {"not estimable"}
    assert found["estimate"].null_count() == found.height


def test_an_e_value_of_a_rare_hazard_ratio_follows_its_formula(protocol: Protocol) -> None:
    ratio = pl.DataFrame(
        {
            "contrast": ["mild_vs_esi"],
            "endpoint": ["laminectomy_or_fusion"],
            "weighting": ["overlap"],
            "variance": ["weights estimated"],
            "status": ["estimable"],
            "estimate": [0.5],
            "ci_low": [0.3],
            "ci_high": [0.8],
        }
    )
    curves = pl.DataFrame(
        {
            "endpoint": ["laminectomy_or_fusion"] * 2,
            "weighting": ["unweighted"] * 2,
            "tier": ["mild", "esi"],
            "cause": ["event"] * 2,
            "time_days": [100.0] * 2,
            "estimate": [0.05, 0.1],
            "std_error": [0.01] * 2,
        }
    )
    tables = {
        "results.contrasts": pl.DataFrame(schema={"is_primary": pl.Boolean, "status": pl.String}),
        "results.trajectories": pl.DataFrame(),
        "results.hazard_ratios": ratio,
        "results.cumulative_incidence": curves,
    }
    found = sensitivity(tables, protocol).row(0, named=True)
    # VanderWeele & Ding 2017: RR + sqrt(RR (RR - 1)) with RR = 1 / 0.5 and 1 / 0.8
    assert found["estimate"] == pytest.approx(2 + math.sqrt(2))
    assert found["ci_low"] == pytest.approx(1.25 + math.sqrt(1.25 * 0.25))


@pytest.mark.slow
def test_the_full_analysis_set_answers_everything_with_a_status(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    results = analyse(tables, protocol.with_overrides({"analysis_set": "full"}))
    assert {"tipping point", "E-value"} <= set(results["sensitivity"]["analysis"])
    methods = set(results["contrasts"]["method"])
    assert {"MMRM", "MMRM, propensity-weighted", "propensity-weighted, multiple imputation"} <= methods
    assert {"yes", "no"} == set(results["subgroups"]["group"])
    for frame in results.values():
        if {"status", "estimate"} <= set(frame.columns):
            assert frame.filter((pl.col("status") != "estimable") & pl.col("estimate").is_not_null()).height <= (
                frame.filter(pl.col("analysis") == "tipping point").height if "analysis" in frame.columns else 0
            )


@pytest.mark.slow
def test_imputation_changes_nothing_where_nothing_is_missing(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    full = protocol.with_overrides({"analysis_set": "full"})
    subjects = tables["analysis.subjects"].drop_nulls([covariate.name for covariate in full.covariates])
    complete = tables["analysis.scores"].join(subjects, on="episode_id", how="semi").with_columns(
        is_observed=pl.lit(True), is_due=pl.lit(True), value=pl.col("value").fill_null(5.0)
    )  # fmt: skip
    known = dict(tables) | {"analysis.subjects": subjects, "analysis.scores": complete}
    pooled = imputed_contrasts(known, full).filter(pl.col("outcome") == "nrs_leg")
    plain = further_contrasts(known, full).filter((pl.col("method") == COMPLETE) & (pl.col("outcome") == "nrs_leg"))
    for contrast in ("esi_vs_conservative", "mild_vs_esi"):
        ours = pooled.filter(pl.col("contrast") == contrast)["estimate"][0]
        theirs = plain.filter(pl.col("contrast") == contrast)["estimate"][0]
        assert ours == pytest.approx(theirs, rel=1e-8)
