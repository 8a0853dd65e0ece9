"""The outside view: which published figure stands beside which of the cohort's, on tables made by hand."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.ingest.literature import published_figures
from pipelines.protocol import Protocol, ProtocolError
from pipelines.protocol_tables import LITERATURE_SCHEMA

HEADER = ",".join(("study,year,design,funding,tier,comparator,outcome,instrument,kind,months,subjects,estimate",
                   "std_dev,ci_low,ci_high,unit,confidence,citation,caveat"))  # fmt: skip


def _published(**given: object) -> pl.DataFrame:
    row = dict.fromkeys(LITERATURE_SCHEMA) | {
        "study": "Registry", "year": 2020, "design": "registry", "funding": None, "tier": "fusion", "comparator": None,
        "outcome": "disability", "instrument": "ODI", "kind": "mean", "months": 12.0, "subjects": 100, "estimate": 25.0,
        "unit": "points", "citation": "Journal 2020", "caveat": None,
    }  # fmt: skip
    return pl.DataFrame([row | given], schema=LITERATURE_SCHEMA)


def _scores() -> pl.DataFrame:
    """Four fusion patients at 12 months: changes -10, -20, -30, -40, mean -25; one of them without a baseline more."""
    values = [(40.0, 30.0), (50.0, 30.0), (60.0, 30.0), (70.0, 30.0), (None, 99.0)]
    return pl.DataFrame(
        {
            "episode_id": [f"e{i}" for i in range(5)],
            "tier": ["fusion"] * 5,
            "instrument": ["odi"] * 5,
            "visit_window": ["12m"] * 5,
            "is_observed": [True] * 5,
            "baseline_value": [b for b, _ in values],
            "value": [v for _, v in values],
        }
    )


def _tables(published: pl.DataFrame) -> dict[str, pl.DataFrame]:
    arms = {"tier": "fusion", "reference": "laminectomy", "outcome": "odi", "window": "12m", "population": "overlap"}
    contrast = arms | {"method": "propensity-weighted", "strategy": "treatment policy", "variance": "weights estimated"}
    return {
        "protocol.literature": published,
        "analysis.subjects": pl.DataFrame({"tier": ["fusion"] * 5}),
        "analysis.scores": _scores(),
        "analysis.walking_tests": pl.DataFrame(schema={"instrument": pl.String}),
        "results.table_one": pl.DataFrame(
            {"variable": ["sex"], "level": ["female"], "tier": ["fusion"], "statistic": ["share"], "value": [0.6],
             "subjects": [5]}
        ),
        "results.trajectories": pl.DataFrame(
            [arms | {"method": "observed mean", "estimate": 43.8, "ci_low": 30.0, "ci_high": 60.0, "subjects": 5,
                     "status": "estimable", "reason": None}],
            schema_overrides={"reason": pl.String},
        ),
        "results.responders": pl.DataFrame(
            [arms | {"threshold": "percent_30", "method": "observed", "estimate": 0.7, "ci_low": 0.6, "ci_high": 0.8,
                     "subjects": 4, "status": "estimable", "reason": None}],
            schema_overrides={"reason": pl.String},
        ),
        "results.cumulative_incidence": pl.DataFrame(
            {
                "endpoint": ["decompression_or_fusion"] * 3, "tier": ["fusion"] * 3, "weighting": ["unweighted"] * 3,
                "cause": ["event"] * 3, "time_days": [100.0, 300.0, 800.0], "estimate": [0.02, 0.05, 0.09],
                "ci_low": [0.01, 0.02, 0.05], "ci_high": [0.05, 0.1, 0.15],
            }
        ),
        "results.contrasts": pl.DataFrame(
            [contrast | {"estimate": None, "ci_low": None, "ci_high": None, "subjects": 9, "status": "withheld",
                         "reason": "failed: effective sample size"}],
            schema_overrides=dict.fromkeys(("estimate", "ci_low", "ci_high"), pl.Float64),
        ),
    }  # fmt: skip


def _beside(protocol: Protocol, **given: object) -> dict[str, object]:
    result = ANALYSES["literature"].run(_tables(_published(**given)), protocol)
    assert result.height == 1
    return result.row(0, named=True)


def test_only_rows_read_in_their_source_leave_the_file(protocol: Protocol, tmp_path: Path) -> None:
    """An unverified row in the file appears nowhere; a verified one does, with its citation."""
    row = "{study},2020,registry,,fusion,,disability,ODI,mean,12,100,25,,,,points,{confidence},Journal 2020,"
    lines = [HEADER, row.format(study="Read", confidence="seen_in_source"), row.format(study="Recalled",
             confidence="unverified")]  # fmt: skip
    (tmp_path / "literature.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    read = published_figures(protocol, tmp_path)
    assert read["study"].to_list() == ["Read"]
    assert read["citation"].to_list() == ["Journal 2020"]


def test_bundled_file_holds_verified_rows_with_citations_and_no_recalled_number(protocol: Protocol) -> None:
    read = published_figures(protocol)
    assert read.height > 200
    assert read.drop_nulls("citation").height == read.height
    assert read.filter(pl.col("caveat").fill_null("").str.contains("memory")).is_empty()
    # Malmivaara 2007: the estimate was seen, its limits were not; SPORT 2008: the size of the arms was not
    assert read.filter(pl.col("study") == "Malmivaara").select("estimate", "ci_low").row(0) == (-11.3, None)
    assert read.filter(pl.col("outcome").str.starts_with("had_surgery"))["subjects"].null_count() == 4


def test_mean_change_is_of_those_with_both_values(protocol: Protocol) -> None:
    """Changes -10, -20, -30, -40: mean -25, sd 12.91, t limits with 3 degrees of freedom 3.182: -25 -/+ 20.54."""
    row = _beside(protocol, kind="mean change")
    assert (row["estimate"], row["subjects"], row["window"], row["months_apart"]) == (-25.0, 4, "12m", 0.0)
    assert row["ci_low"] == pytest.approx(-45.54, abs=0.01)


def test_nearest_visit_within_reach_and_none_beyond(protocol: Protocol) -> None:
    assert _beside(protocol, kind="mean change", months=14.0)["months_apart"] == pytest.approx(2.0, abs=0.05)
    far = _beside(protocol, kind="mean change", months=60.0)
    assert (far["status"], far["reason"]) == ("no counterpart", "no visit or horizon within 3 months")
    assert far["estimate"] is None


def test_responders_and_incidence_as_fractions(protocol: Protocol) -> None:
    responders = _beside(protocol, kind="responders", outcome="responder_ge30pct", estimate=72.0, unit="%")
    assert (responders["published_estimate"], responders["estimate"]) == (0.72, 0.7)
    later = _beside(protocol, kind="incidence", instrument="procedure", outcome="reoperation", estimate=9.8, unit="%",
                    months=24.0)  # fmt: skip
    # at 730 days the last step is that of day 300; the tier was seen beyond, to day 800
    assert (later["estimate"], later["window"], later["subjects"]) == (0.05, "730 days", 5)


def test_tier_not_followed_long_enough_has_no_incidence(protocol: Protocol) -> None:
    published = _published(kind="incidence", instrument="procedure", outcome="reoperation", months=24.0)
    tables = _tables(published)
    tables["results.cumulative_incidence"] = tables["results.cumulative_incidence"].filter(pl.col("time_days") < 700)
    row = ANALYSES["literature"].run(tables, protocol).row(0, named=True)
    assert (row["status"], row["estimate"]) == ("not estimable", None)


def test_withheld_difference_stays_withheld(protocol: Protocol) -> None:
    row = _beside(protocol, kind="difference", comparator="laminectomy", outcome="disability_adjusted")
    assert (row["status"], row["reason"], row["estimate"]) == ("withheld", "failed: effective sample size", None)
    other = _beside(protocol, kind="difference", comparator="conservative", outcome="disability", tier="laminectomy")
    assert other["reason"] == "the study does not compare these two tiers"


def test_other_arms_and_measures_have_no_counterpart_but_a_reason(protocol: Protocol) -> None:
    assert _beside(protocol, tier="spacer")["reason"] == "the published arm is none of the study's tiers"
    unlike = _beside(protocol, outcome="abs_preop_change_74d", months=0.0)
    assert unlike["reason"] == "the study measures nothing of this kind"


def test_share_of_a_level_before_treatment(protocol: Protocol) -> None:
    row = _beside(
        protocol, kind="share", instrument="demographics", outcome="baseline_female", estimate=60.0, months=0.0
    )
    assert (row["published_estimate"], row["estimate"], row["window"]) == (0.6, 0.6, "baseline")


def test_industry_funding_and_population_are_said(protocol: Protocol) -> None:
    read = published_figures(protocol)
    assert set(read.filter(pl.col("tier") == "mild")["funding"].to_list()) == {"industry"}
    assert "case mix not adjusted" in str(_beside(protocol)["population"])


def test_match_must_name_one_figure_of_the_protocol(protocol: Protocol) -> None:
    matches = [{"instrument": "ODI", "measures": ["disability"], "kind": "mean", "outcome": "odi", "endpoint": "harm"}]
    with pytest.raises(ProtocolError, match="name one of outcome, endpoint and covariate"):
        protocol.with_overrides({"literature.matches": matches})
    matches = [{"instrument": "ODI", "measures": ["disability"], "kind": "mean", "outcome": "oswestry"}]
    with pytest.raises(ProtocolError, match="names oswestry"):
        protocol.with_overrides({"literature.matches": matches})


def test_protocol_without_published_figures_gives_an_empty_table(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    alone = protocol.with_overrides({"literature": None})
    assert published_figures(alone).is_empty()
    given = _tables(published_figures(alone))
    assert ANALYSES["literature"].run(given, alone).is_empty()
