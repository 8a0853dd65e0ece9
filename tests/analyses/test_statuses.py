"""Where something is missing altogether every question keeps its row, with a status and without a number."""

from collections.abc import Callable, Mapping

import polars as pl
import pytest

from pipelines.analyses import ANALYSES, imputed
from pipelines.analyses.contrasts import unanswered
from pipelines.analyses.imputed import imputed_contrasts
from pipelines.analyses.registry import run_analyses
from pipelines.analyses.repeated import MMRM
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


# ---------------------------------------------------------------------------------------- through all analyses at once

SMOKES = pl.col("tier").cast(pl.String) == "mild"
NUMBERS = ("estimate", "std_error", "log_std_error", "ci_low", "ci_high", "p_value")


def _subjects(tables: Frames, *changes: pl.Expr) -> Frames:
    return dict(tables) | {"analysis.subjects": tables["analysis.subjects"].with_columns(*changes)}


def _at_one_visit(tables: Frames) -> Frames:
    return {name: frame.filter(AT_12M) if "visit_window" in frame.columns else frame for name, frame in tables.items()}


def _all_alike(tables: Frames) -> Frames:
    return _subjects(tables, pl.lit(70).alias("age_years"), pl.lit("female").alias("sex"),
                     pl.lit("never").alias("smoking"))  # fmt: skip


def _told_apart(tables: Frames) -> Frames:
    return _subjects(tables, pl.when(SMOKES).then(pl.lit("current")).otherwise(pl.lit("never")).alias("smoking"))


# What compares tiers; sites and the ladder have tests of their own.
COMPARATIVE = {
    name: entry for name, entry in ANALYSES.items() if not name.startswith(("site_", "funnel", "relapse", "ladder"))
}
CONDITIONS = {
    "separation": _told_apart,
    "constant covariates": _all_alike,
    "an empty tier": without_tier,
    "one visit only": _at_one_visit,
    "nobody seen at the window": lambda t: unseen(t, AT_12M),
}


@pytest.fixture(scope="module")
def analysed(narrow: Protocol, simulated: Callable[[int, int], Frames]) -> Callable[[str], dict[str, pl.DataFrame]]:
    """The comparative result tables of the full analysis set under a condition, made once."""
    made: dict[str, dict[str, pl.DataFrame]] = {}
    study = simulated(220, 5)
    full = narrow.with_overrides(
        {
            "analysis_set": "full",
            "diagnostics.effective_sample_size_minimum": 1,
            "diagnostics.effective_sample_size_fraction": 0,
            "diagnostics.subjects_per_arm_minimum": 5,
            "diagnostics.negative_control_alpha": 1e-9,
        }
    )

    def of(condition: str) -> dict[str, pl.DataFrame]:
        if condition not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(imputed, "IMPUTATIONS", 2)
                patch.setattr(imputed, "ITERATIONS", 1)
                made[condition] = run_analyses(COMPARATIVE, CONDITIONS[condition](study), full)
        return made[condition]

    return of


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_condition_crashes_and_each_gap_says_why(
    analysed: Callable[[str], dict[str, pl.DataFrame]], condition: str
) -> None:
    """Every table of results: a row is estimable with finite numbers, or has no number and a reason."""
    tables = analysed(condition)
    assert tables["contrasts"].height > 0
    for name, rows in tables.items():
        if not {"status", "reason"} <= set(rows.columns):
            continue
        assert set(rows["status"].drop_nulls()) <= {"estimable", "not estimable", "withheld", "no counterpart"}, name
        gaps = rows.filter(pl.col("status").is_in(["not estimable", "withheld"]))
        assert gaps["reason"].str.len_chars().fill_null(0).min() != 0, name
        for column in (c for c in NUMBERS if c in rows.columns):
            assert gaps[column].null_count() == gaps.height, (name, column)
            numbers = rows.filter(pl.col("status") == "estimable")[column].drop_nulls()
            assert numbers.is_finite().all(), (name, column)


def _asked(tables: Mapping[str, pl.DataFrame], outcome: str = "nrs_leg") -> pl.DataFrame:
    return tables["contrasts"].filter(outcome=outcome, window="12m", contrast="mild_vs_esi")


def _reasons(rows: pl.DataFrame) -> str:
    return " | ".join(sorted(set(rows["reason"].drop_nulls())))


def test_separation_gives_no_number_of_the_contrast(analysed: Callable[[str], dict[str, pl.DataFrame]]) -> None:
    tables = analysed("separation")
    for outcome in ("nrs_leg", "spwt"):
        rows = _asked(tables, outcome)
        assert rows.height > 3
        assert "estimable" not in set(rows["status"])
    assert "separation" in _reasons(_asked(tables).filter(method=WEIGHTED))
    checks = tables["diagnostics"].filter(contrast="mild_vs_esi", check="effective sample size")
    assert checks.select("verdict").item() == "failed"
    assert "separation" in checks["note"].item()
    # over all tiers smoking is told by MILD as well
    assert set(tables["choice_weights"]["status"]) == {"not estimable"}


def test_constant_covariates_are_left_out_by_name(analysed: Callable[[str], dict[str, pl.DataFrame]]) -> None:
    tables = analysed("constant covariates")
    named = tables["diagnostics"].filter(check="covariates left out").row(0, named=True)
    assert (named["verdict"], named["value"]) == ("not applicable", None)
    assert named["note"] == "no variation to adjust for, or not recorded: age_years, sex, smoking"
    rows = _asked(tables).filter(population="overlap", strategy="treatment policy", method=WEIGHTED)
    assert set(rows["status"]) == {"estimable"}


def test_an_empty_tier_is_named(analysed: Callable[[str], dict[str, pl.DataFrame]]) -> None:
    rows = _asked(analysed("an empty tier"))
    assert set(rows["status"]) == {"not estimable"}
    assert "no patients in mild" in _reasons(rows)


def test_one_visit_leaves_the_repeated_measures_without_a_number(
    analysed: Callable[[str], dict[str, pl.DataFrame]],
) -> None:
    rows = _asked(analysed("one visit only"))
    assert rows.filter(method=MMRM).select("status", "reason").rows() == [("not estimable", "seen at one window only")]
    assert "estimable" in set(rows.filter(method=WEIGHTED)["status"])


def test_a_window_in_which_nobody_was_seen_is_named(analysed: Callable[[str], dict[str, pl.DataFrame]]) -> None:
    for outcome, method in (("nrs_leg", WEIGHTED), ("spwt", WEIGHTED_WALK)):
        rows = _asked(analysed("nobody seen at the window"), outcome).filter(method=method)
        assert set(rows["status"]) == {"not estimable"}
        assert _reasons(rows) == "nobody was seen in this window"
