"""Where something is missing altogether every question keeps its row, with a status and without a number."""

from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.analyses import imputed
from pipelines.analyses.contrasts import unanswered
from pipelines.analyses.imputed import imputed_contrasts
from pipelines.analyses.rows import stacked
from pipelines.analyses.weighted_effects import WEIGHTED, WEIGHTED_WALK, score_differences, walking_ratios
from pipelines.protocol import Protocol

Frames = Mapping[str, pl.DataFrame]
SCORES, WALKS = "analysis.scores", "analysis.walking_tests"
WALK = ("distance_m", "duration_s", "speed_m_s", "is_at_cap")


@pytest.fixture(scope="module")
def narrow(protocol: Protocol) -> Protocol:
    """One contrast, three covariates, and two questions at 12 months."""
    contrasts = [c.model_dump() for c in protocol.contrasts if c.name == "mild_vs_esi"]
    covariates = [c.model_dump() for c in protocol.covariates if c.name in ("age_years", "sex", "smoking")]
    asked = [{"outcome": "nrs_leg", "window": "12m"}, {"outcome": "spwt", "window": "12m"}]
    return protocol.with_overrides(
        {
            "contrasts": contrasts,
            "covariates": covariates,
            "primary.outcomes": asked,
            "primary.secondary_outcomes": [],
            "literature.matches": [],
        }
    )


def unseen(tables: Frames, where: pl.Expr) -> Frames:
    """The tables with nothing seen in some rows."""

    def emptied(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
        gaps = [pl.when(~where).then(pl.col(name)).alias(name) for name in columns]
        return frame.with_columns(*gaps, is_observed=pl.col("is_observed") & ~where)

    return dict(tables) | {
        SCORES: emptied(tables[SCORES], ("value",)),
        WALKS: emptied(tables[WALKS], WALK),
    }


def asked_rows(tables: Frames, protocol: Protocol) -> pl.DataFrame:
    scores, walks = score_differences(tables, protocol), walking_ratios(tables, protocol)
    rows = stacked([scores, walks.rename({"log_std_error": "std_error"}) if walks.height else walks])
    return stacked([rows, unanswered(rows, tables, protocol)]).filter(window="12m")


def without_tier(tables: Frames) -> Frames:
    is_there = pl.col("tier").cast(pl.String) != "mild"
    return {name: frame.filter(is_there) if "tier" in frame.columns else frame for name, frame in tables.items()}


AT_12M = pl.col("visit_window") == "12m"
CASES = {
    "nobody seen at the window": (lambda t: unseen(t, AT_12M), "nobody was seen in this window"),
    "a tier unseen at the window": (
        lambda t: unseen(t, AT_12M & (pl.col("tier").cast(pl.String) == "mild")),
        "mild has fewer than 2 rows|enough observed stops",
    ),
    "nobody seen ever": (lambda t: unseen(t, pl.lit(True)), "nobody was seen in this window"),
    "a tier without patients": (without_tier, "no patients in mild"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_question_keeps_its_row(tables: Frames, narrow: Protocol, case: str) -> None:
    change, words = CASES[case]
    rows = asked_rows(change(tables), narrow)
    assert {("nrs_leg", WEIGHTED), ("spwt", WEIGHTED_WALK)} <= set(rows.select("outcome", "method").iter_rows())
    assert set(rows["status"]) == {"not estimable"}
    assert rows["reason"].str.contains(words).all(), rows["reason"].unique().to_list()
    for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value"):
        assert rows[name].null_count() == rows.height


def test_where_everything_is_there_nothing_is_added(tables: Frames, narrow: Protocol) -> None:
    found = pl.DataFrame(
        [("mild_vs_esi", "nrs_leg", "12m", WEIGHTED), ("mild_vs_esi", "spwt", "12m", WEIGHTED_WALK)],
        schema=["contrast", "outcome", "window", "method"],
        orient="row",
    )
    assert unanswered(found, tables, narrow).is_empty()
    assert unanswered(found.head(1), tables, narrow)["outcome"].to_list() == ["spwt"]


@pytest.mark.parametrize(
    "case", ["nobody seen at the window", "a tier unseen at the window", "a tier without patients"]
)
def test_nothing_is_imputed_for_an_arm_that_nobody_saw(
    tables: Frames, narrow: Protocol, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imputed, "IMPUTATIONS", 2)
    monkeypatch.setattr(imputed, "ITERATIONS", 1)
    change, _ = CASES[case]
    rows = imputed_contrasts(change(tables), narrow)
    assert rows["status"].to_list() == ["not estimable"]
    assert rows["estimate"].to_list() == [None]
    assert rows["reason"].str.contains("were seen in this window|no patients").all()
