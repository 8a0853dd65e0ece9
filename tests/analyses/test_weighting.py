"""Propensity weights and the effects under them, where both can be worked out by strata."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from pipelines.analyses.contrasts import with_primary
from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.dropout import with_dropout_weights
from pipelines.analyses.weighted_effects import BY_SITE, score_differences, walking_ratios
from pipelines.analyses.weighting import weighted_contrasts
from pipelines.protocol import Protocol


@pytest.fixture
def one_covariate(protocol: Protocol) -> Protocol:
    """The study protocol with smoking as the only covariate and leg pain at 12 months as the only question."""
    kept = [c.model_dump() for c in protocol.covariates if c.name == "smoking"]
    contrasts = [c.model_dump() for c in protocol.contrasts if c.name == "mild_vs_esi"]
    asked = [{"outcome": "zcq_satisfaction", "window": "12m"}]
    return protocol.with_overrides(
        {"literature": None}
        | {"covariates": kept, "contrasts": contrasts, "primary.outcomes": asked, "primary.secondary_outcomes": []}
    )


# tier, smoking, number of patients, mean of the outcome
CELLS = [
    ("esi", "never", 30, 5.0),
    ("mild", "never", 10, 3.0),
    ("esi", "current", 20, 7.0),
    ("mild", "current", 40, 6.0),
]


@pytest.fixture
def subjects() -> pl.DataFrame:
    rows = [(tier, smoking) for tier, smoking, n, _ in CELLS for _ in range(n)]
    frame = pl.DataFrame(rows, schema=["tier", "smoking"], orient="row")
    return frame.with_row_index("number").select(
        pl.format("e{}", "number").alias("episode_id"),
        pl.format("p{}", "number").alias("patient_id"),
        pl.lit("s").alias("site_id"),
        "tier",
        "smoking",
    )


NO_WALKS = {
    "episode_id": pl.String,
    "tier": pl.String,
    "instrument": pl.String,
    "visit_window": pl.String,
    "is_observed": pl.Boolean,
    "is_escalated_before": pl.Boolean,
    "distance_m": pl.Float64,
    "baseline_distance_m": pl.Float64,
}


@pytest.fixture
def frames(subjects: pl.DataFrame, scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    walks = pl.DataFrame(schema=NO_WALKS)
    return {"analysis.subjects": subjects, "analysis.scores": scores, "analysis.walking_tests": walks}


@pytest.fixture
def scores(subjects: pl.DataFrame) -> pl.DataFrame:
    noise = np.tile([-1.0, 1.0], subjects.height // 2)
    means = np.concatenate([np.full(n, mean) for _, _, n, mean in CELLS])
    return subjects.select("episode_id", "patient_id", "site_id", "tier").with_columns(
        instrument=pl.lit("zcq_satisfaction"),
        visit_window=pl.lit("12m"),
        window_rank=pl.lit(4),
        baseline_value=pl.lit(None, pl.Float64),
        value=pl.Series(means + noise),
        is_observed=pl.lit(True),
        is_escalated_before=pl.lit(False),
        is_due=pl.lit(True),
        is_alive=pl.lit(True),
    )


def test_overlap_weights_average_strata_by_how_evenly_they_are_split(
    frames: dict[str, pl.DataFrame], one_covariate: Protocol
) -> None:
    found = score_differences(frames, one_covariate)
    overlap = found.filter((pl.col("population") == "overlap") & (pl.col("strategy") == "treatment policy"))
    # Li, Morgan & Zaslavsky 2018: with one categorical covariate the overlap estimate weighs each stratum's difference
    # by n1 n0 / n. Never smokers: 30 × 10 / 40 = 7.5, difference −2; current: 20 × 40 / 60 = 13.33, difference −1.
    expected = (7.5 * -2 + 40 / 3 * -1) / (7.5 + 40 / 3)
    assert overlap["estimate"].to_list() == pytest.approx([expected, expected], rel=1e-6)
    ate = found.filter((pl.col("population") == "ate") & (pl.col("strategy") == "treatment policy"))
    assert ate["estimate"][0] == pytest.approx((40 * -2 + 60 * -1) / 100, rel=1e-6)
    att = found.filter((pl.col("population") == "att") & (pl.col("strategy") == "treatment policy"))
    assert att["estimate"][0] == pytest.approx((10 * -2 + 40 * -1) / 50, rel=1e-6)


def test_both_variances_stand_side_by_side(frames: dict[str, pl.DataFrame], one_covariate: Protocol) -> None:
    found = score_differences(frames, one_covariate)
    overlap = found.filter((pl.col("population") == "overlap") & (pl.col("strategy") == "treatment policy"))
    fixed, estimated = (
        overlap.filter(pl.col("variance") == v)["std_error"][0] for v in ("weights fixed", "weights estimated")
    )
    assert estimated < fixed


@pytest.mark.parametrize("sites", [9, 10])
def test_limits_clustered_by_site_stand_beside_the_answer_where_sites_are_enough(
    frames: dict[str, pl.DataFrame], one_covariate: Protocol, sites: int
) -> None:
    """Ten sites of ten patients; the study asks for ten, so nine have no such row."""
    number = pl.int_range(pl.len()) % sites
    placed = {name: f.with_columns(site_id=pl.format("s{}", number)) if f.height else f for name, f in frames.items()}
    found = score_differences(placed, one_covariate).filter(population="overlap", strategy="treatment policy")
    by_site = found.filter(variance=BY_SITE)
    assert by_site.height == (1 if sites == 10 else 0)
    if sites == 10:
        plain = found.filter(variance="weights estimated").row(0, named=True)
        row = by_site.row(0, named=True)
        assert row["estimate"] == plain["estimate"]
        # t limits with nine degrees of freedom: 2.262157 standard errors (tables of Student's t)
        assert (row["ci_high"] - row["estimate"]) / row["std_error"] == pytest.approx(2.262157, rel=1e-6)
        assert row["std_error"] != plain["std_error"]


def test_walking_is_primary_with_its_weights_estimated(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> None:
    contrasts = [c.model_dump() for c in protocol.contrasts if c.name == "mild_vs_esi"]
    asked = [{"outcome": "spwt", "window": "12m"}]
    one = protocol.with_overrides({"contrasts": contrasts, "primary.outcomes": asked, "primary.secondary_outcomes": []})
    found = walking_ratios(tables, one).filter(window="12m", strategy="treatment policy")
    assert found["variance"].to_list() == ["weights fixed"] * 3 + ["weights estimated"] * 3 + [BY_SITE] * 3
    assert set(found["status"]) == {"estimable"}
    errors = [tuple(found.filter(variance=v)["log_std_error"]) for v in found["variance"].unique()]
    assert len(set(errors)) == 3
    named = found.with_columns(measure=pl.format("{} ratio", "measure"), population=pl.lit("overlap"))
    primary = with_primary(named, one).filter("is_primary")
    assert primary.select("measure", "variance").rows() == [("distance ratio", "weights estimated")]


def test_dropout_weights_are_one_over_the_share_seen(subjects: pl.DataFrame, one_covariate: Protocol) -> None:
    complete = complete_subjects(subjects, one_covariate)
    is_seen = [i % 3 != 0 for i in range(subjects.height)]
    visits = subjects.select("episode_id", "tier").with_columns(
        is_expected=pl.lit(True), is_observed=pl.Series(is_seen)
    )
    weighted = with_dropout_weights(visits, complete, one_covariate)
    # The model holds tier and smoking without interaction: its scores add up, so the weights restore each tier's size.
    by_tier = weighted.filter("is_observed").group_by("tier").agg(pl.col("dropout_weight").sum())
    sizes = dict(by_tier.iter_rows())
    assert sizes["esi"] == pytest.approx(50, rel=0.05)
    assert weighted.filter(~pl.col("is_observed"))["dropout_weight"].to_list() == [1.0] * is_seen.count(False)


def test_strata_are_balanced_within_where_they_are_large_enough(subjects: pl.DataFrame, protocol: Protocol) -> None:
    rng = np.random.default_rng(4)
    n = 800
    frame = pl.DataFrame(
        {
            "episode_id": [f"e{i:04d}" for i in range(n)],
            "patient_id": [f"p{i:04d}" for i in range(n)],
            "site_id": ["s"] * n,
            "tier": rng.choice(["laminectomy", "fusion"], n).tolist(),
            "spondylolisthesis": (rng.random(n) < 0.5).tolist(),
            "age_years": rng.normal(70, 9, n).tolist(),
        }
    )
    large = next(iter(weighted_contrasts(complete_subjects(frame, protocol), protocol)))
    assert large.rung == "balanced within strata of spondylolisthesis"
    assert "`spondylolisthesis`:`age_years`" in large.terms
    small = next(iter(weighted_contrasts(complete_subjects(frame.head(30), protocol), protocol)))
    assert small.rung.startswith("main effects")
