"""Result tables that leave agree with the report and tell no more than it does."""

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.protocol import Protocol
from pipelines.reports import Study, keys
from pipelines.reports.export import RULES, WITHOUT_ROWS, released, why_without_rows

COUNTS = (
    "count",
    "subjects",
    "events",
    "responders",
    "at_risk",
    "subjects_at_risk",
    "walks",
    "expected",
    "observed",
    "missing",
)


@pytest.fixture(scope="module")
def study(small_cohort, protocol: Protocol) -> Study:  # type: ignore[no-untyped-def]
    return Study(small_cohort.read, protocol)


@pytest.fixture(scope="module")
def left(study: Study, small_cohort) -> dict[str, pl.DataFrame]:  # type: ignore[no-untyped-def]
    tables = {name.removeprefix("results."): frame for name, frame in small_cohort.tables.items() if "results." in name}
    return {name: released(study, name, frame) for name, frame in tables.items()}


def test_every_table_keeps_its_columns(left: dict[str, pl.DataFrame], small_cohort) -> None:  # type: ignore[no-untyped-def]
    assert {"table_one", "responders", "trajectories", "cumulative_incidence", "contrasts"} <= set(left)
    for name, frame in left.items():
        assert frame.columns == small_cohort.tables[f"results.{name}"].columns, name


def test_no_count_from_one_to_ten_leaves(left: dict[str, pl.DataFrame]) -> None:
    shown = 0
    for name, frame in left.items():
        for column in set(COUNTS) & set(frame.columns):
            counts = frame[column].drop_nulls()
            assert not counts.is_between(1, 10).any(), f"{name}.{column}"
            shown += counts.len()
    assert shown > 50


def test_a_count_leaves_as_the_report_prints_it(left: dict[str, pl.DataFrame], study: Study) -> None:
    """Withheld, rounded or exact: the export must not undo what the report does."""
    states = set()
    for row in left["table_one"].filter(pl.col("statistic") == "share").iter_rows(named=True):
        key = keys.characteristic(row["variable"], row["level"], row["tier"])
        state = study.gate.decisions.state(key)
        states.add(state)
        expected = study.gate.decisions.value(key) if state in ("exact", "rounded") else None
        assert row["count"] == expected
    assert {"exact", "small"} <= states


def test_shares_are_those_of_the_counts_as_printed(left: dict[str, pl.DataFrame], protocol: Protocol) -> None:
    rows = left["responders"].drop_nulls(["responders", "subjects"])
    assert rows.height > 20
    shares = (rows["responders"] / rows["subjects"]).round(2 + protocol.disclosure.percent_decimals)
    assert rows["estimate"].to_list() == pytest.approx(shares.to_list(), abs=0.0101)  # halves may round either way
    assert left["responders"].filter(pl.col("responders").is_null())["estimate"].null_count() > 0
    assert rows["ci_low"].null_count() == rows.height


def test_means_of_few_patients_are_withheld(small_cohort, protocol: Protocol) -> None:  # type: ignore[no-untyped-def]
    strict = Study(small_cohort.read, protocol.with_overrides({"disclosure.minimum_count": 40}))
    whole = small_cohort.tables["results.trajectories"].filter(pl.col("method") != "share at the time limit")
    few = whole["subjects"] < 40
    numbers = released(strict, "trajectories", whole)["estimate"]
    assert 0 < few.sum() < whole.height
    assert numbers.filter(few).null_count() == few.sum()
    assert numbers.filter(~few).null_count() == whole.filter(~few)["estimate"].null_count()


def test_curves_leave_at_horizons_only(left: dict[str, pl.DataFrame], protocol: Protocol) -> None:
    days = set(left["cumulative_incidence"]["time_days"].to_list())
    allowed = {*protocol.primary.horizons_days} | {e.within_days for e in protocol.endpoints if e.within_days}
    assert days
    assert days <= allowed


def test_numbers_have_three_digits(left: dict[str, pl.DataFrame]) -> None:
    for name, frame in left.items():
        for column in [c for c, kind in frame.schema.items() if kind == pl.Float64]:
            assert frame[column].round_sig_figs(3).equals(frame[column]), f"{name}.{column}"


def test_a_table_that_no_rule_speaks_of_leaves_without_rows(study: Study) -> None:
    stranger = pl.DataFrame({"patient_id": ["p1"], "estimate": [1.0]})
    assert released(study, "brand_new", stranger).height == 0


def test_differences_of_indicators_leave_as_their_counts_allow(
    left: dict[str, pl.DataFrame],
    small_cohort,  # type: ignore[no-untyped-def]
    protocol: Protocol,
) -> None:
    """Of two counts of patients: from those printed or not at all; distances and ratios of variances never."""
    indicators = {c.name for c in protocol.covariates if c.kind == "boolean"}
    own = small_cohort.tables["results.balance"]
    rows = left["balance"].with_columns(
        is_indicator=pl.col("covariate").is_in(list(indicators))
        | pl.col("covariate").str.contains("[T.", literal=True),
        before=own["smd"],
    )
    counted = rows.filter("is_indicator")
    assert counted.height > 40
    assert counted["ks"].null_count() == counted["variance_ratio"].null_count() == counted.height
    assert not (counted.filter(weighting="unweighted")["smd"] == counted.filter(weighting="unweighted")["before"]).any()
    kept = rows.filter(~pl.col("is_indicator"))
    assert (kept["smd"] - kept["before"]).abs().max() <= 0.0051


def test_odds_of_what_few_have_stay_as_on_the_report(small_cohort, protocol: Protocol) -> None:  # type: ignore[no-untyped-def]
    strict = Study(small_cohort.read, protocol.with_overrides({"disclosure.minimum_count": 40}))
    patients = small_cohort.tables["analysis.subjects"].group_by("tier")
    ill = dict(patients.agg(pl.col("diabetes").sum()).iter_rows())
    odds = released(strict, "treatment_choice", small_cohort.tables["results.treatment_choice"])
    rows = odds.filter(term="diabetes")
    few = [min(ill[row["tier"]], ill[row["reference"]]) < 40 for row in rows.iter_rows(named=True)]
    assert any(few)
    assert [value is None for value in rows["estimate"]] == few
    assert odds.filter(term="age_years")["estimate"].null_count() < odds.filter(term="age_years").height


def test_models_of_time_stay_where_an_arm_has_few_events(small_cohort, protocol: Protocol) -> None:  # type: ignore[no-untyped-def]
    fits = small_cohort.tables["results.parametric_fits"]
    assert released(Study(small_cohort.read, protocol), "parametric_fits", fits)["aic"].count() > 0
    strict = Study(small_cohort.read, protocol.with_overrides({"disclosure.minimum_count": 10_000}))
    assert released(strict, "parametric_fits", fits)["aic"].count() == 0
    opinions = small_cohort.tables["results.sensitivity"]
    assert released(strict, "sensitivity", opinions)["estimate"].count() == 0


def test_bars_of_the_preference_score_leave_merged_and_without_counts(
    left: dict[str, pl.DataFrame],
    small_cohort,  # type: ignore[no-untyped-def]
) -> None:
    bars = left["propensity_overlap"]
    assert 0 < bars.height < small_cohort.tables["results.propensity_overlap"].height
    assert bars["subjects"].null_count() == bars.height
    ends = bars.group_by("contrast", "arm").agg(pl.col("low").min(), pl.col("high").max())
    assert ends["low"].to_list() == [0.0] * ends.height
    assert ends["high"].to_list() == pytest.approx([1.0] * ends.height)
    sizes = dict(small_cohort.tables["analysis.subjects"].group_by("tier").len().iter_rows())
    drawn = [row for row in bars.drop_nulls("share").iter_rows(named=True) if row["share"] > 0]
    assert all(row["share"] * sizes[row["arm"]] > 10.4 for row in drawn)


def test_every_table_of_results_leaves_with_rows_or_says_why_not() -> None:
    """A new table without a rule or a reason fails here."""
    assert set(ANALYSES) == RULES.keys() | WITHOUT_ROWS.keys()
    assert not RULES.keys() & WITHOUT_ROWS.keys()
    assert all(len(why_without_rows(name)) > 30 for name in WITHOUT_ROWS)
    assert not any(why_without_rows(name) for name in RULES)
    assert why_without_rows("brand_new") == "no rule says what of it may leave"


def test_every_rule_lets_rows_leave_and_every_table_with_a_reason_has_none(left: dict[str, pl.DataFrame]) -> None:
    too_few_here = {"hazard_ratios_over_time", "subgroups"}  # no day that two tiers share; no number of patients stated
    assert not [name for name in (RULES.keys() & left.keys()) - too_few_here if left[name].is_empty()]
    assert not [name for name in WITHOUT_ROWS.keys() & left.keys() if left[name].height]
    assert len(RULES.keys() & left.keys()) > 15


def test_years_of_enrolment_leave_as_the_report_prints_them(left: dict[str, pl.DataFrame], study: Study) -> None:
    rows = left["completeness_trend"]
    for row in rows.filter(pl.col("site_id").is_null()).iter_rows(named=True):
        place = (row["outcome"], row["window"], row["period"])
        for column, key in (("expected", keys.expected_in(*place)), ("observed", keys.observed_in(*place))):
            may_leave = study.gate.is_printed(key)
            assert row[column] == (study.gate.decisions.value(key) if may_leave else None)
    assert rows["expected"].null_count() < rows.height
    assert rows.filter(pl.col("site_id").is_not_null())["expected"].null_count() > 0  # too small to be told by site


def test_where_patients_are_leaves_at_the_days_and_in_the_bands_that_are_drawn(
    left: dict[str, pl.DataFrame], study: Study
) -> None:
    rows = left["ladder_occupation"]
    moves, times = study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"]
    for (tier,), part in rows.group_by("tier"):
        bands = study.gate.bands(moves, times, str(tier))
        alone = {states[0] for states in bands.states if len(states) == 1}
        assert set(part["state"].to_list()) <= alone
        assert sorted(set(part["time_days"].to_list())) == list(bands.cuts.times)
    assert rows["at_risk"].null_count() == rows["std_error"].null_count() == rows.height > 0


def test_own_shares_beside_published_ones_leave_in_their_own_tables_only(left: dict[str, pl.DataFrame]) -> None:
    rows = left["literature"]
    shares = rows.filter(pl.col("kind").is_in(["responders", "share", "incidence"]))
    assert shares["estimate"].null_count() == shares.height > 0
    assert rows.filter(kind="mean")["estimate"].null_count() < rows.filter(kind="mean").height
    assert rows["published_estimate"].null_count() < rows.height
