"""From a number on the report to its rows, protocol keys, formula, function and source."""

from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.analyses import ANALYSES, imputed
from pipelines.analyses.choices import CHOICES
from pipelines.analyses.second_opinions import LIBRARY
from pipelines.analyses.trace_names import KEYS, LETTERS, SENSITIVITY, with_trace
from pipelines.analyses.traces import citation
from pipelines.protocol import Protocol

Results = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def results(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> Results:
    """The tables with traced rows, none withheld, as the full analysis set makes them, with few imputations."""
    gate = pl.DataFrame(schema=dict.fromkeys(("contrast", "outcome", "window", "check", "verdict"), pl.String))
    known = dict(tables) | {"results.diagnostics": gate}
    full = protocol.with_overrides({"analysis_set": "full"})
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imputed, "IMPUTATIONS", 3)
        patch.setattr(imputed, "STEPS", (-4.0, 0.0, 4.0))
        for name in ("trajectories", "cumulative_incidence", *KEYS):
            known[f"results.{name}"] = made[name] = ANALYSES[name].run(known, full)
    return {name: made[name] for name in KEYS}


@pytest.fixture(scope="module")
def rows(results: Results) -> pl.DataFrame:
    return results["contrasts"]


@pytest.fixture(scope="module")
def traces(results: Results, tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    known = {f"results.{name}": frame for name, frame in results.items()}
    return ANALYSES["traces"].run(dict(tables) | known, protocol)


@pytest.mark.parametrize("table", KEYS)
def test_every_contrast_has_one_trace_and_every_trace_one_contrast(
    table: str, results: Results, traces: pl.DataFrame
) -> None:
    named = results[table].filter(pl.col("contrast").is_not_null() & ~repeats(table))
    assert named.height >= 8
    assert named["trace"].n_unique() == named.height
    assert named["trace"].str.contains(f"^{LETTERS[table]}-[0-9a-f]{{8}}$").all()
    mine = traces.filter(pl.col("result_table") == f"results.{table}")
    assert sorted(mine["trace"].to_list()) == sorted(named["trace"].to_list())


def repeats(table: str) -> pl.Expr:
    """Rows that stand in another table too: the specification curve gathers contrasts."""
    return pl.col("analysis").str.starts_with("specification") if table == SENSITIVITY else pl.lit(False)


def test_a_specification_keeps_the_name_of_the_contrast_that_it_is(results: Results, rows: pl.DataFrame) -> None:
    curve = results["sensitivity"].filter(repeats(SENSITIVITY))
    assert curve.height > 20
    assert set(curve["trace"]) <= set(rows["trace"])


@pytest.mark.parametrize(
    ("analysis", "least"), [("E-value", 8), ("tipping point", 4), (f"second opinion; {LIBRARY[0].name}", 8)]
)
def test_what_is_asked_of_a_primary_answer_is_traced_to_the_answer_or_its_rows(
    analysis: str, least: int, results: Results, rows: pl.DataFrame, traces: pl.DataFrame
) -> None:
    mine = traces.filter((pl.col("result_table") == "results.sensitivity") & (pl.col("method") == analysis))
    assert mine.height >= least
    assert mine["input_table"].is_in(["analysis.scores", "analysis.walking_tests", "analysis.time_to_event"]).all()
    if analysis.startswith("second opinion"):
        assert mine["made_of"].null_count() == mine.height
        assert mine["formula"].str.contains("visit * tier", literal=True).all()
        return
    answers = rows.select("trace", "contrast", "outcome", "estimate")
    hazards = results["hazard_ratios"].select("trace", "contrast", pl.col("endpoint").alias("outcome"), "estimate")
    known = pl.concat([answers, hazards])
    asked = mine.join(known, left_on="made_of", right_on="trace", how="left")
    assert asked["contrast_right"].to_list() == asked["contrast"].to_list()
    assert asked["outcome_right"].to_list() == asked["outcome"].to_list()


def test_an_e_value_follows_from_the_row_that_its_trace_names(results: Results, traces: pl.DataFrame) -> None:
    """VanderWeele & Ding 2017: RR + sqrt(RR (RR - 1)), RR of a common event (1 - 0.5^sqrt HR) / (1 - 0.5^sqrt 1/HR)."""
    told = results["sensitivity"].filter((pl.col("analysis") == "E-value") & pl.col("window").is_null())
    assert told.height >= 3
    for row in told.iter_rows(named=True):
        trace = traces.row(by_predicate=pl.col("trace") == row["trace"], named=True)
        hazard = results["hazard_ratios"].row(by_predicate=pl.col("trace") == trace["made_of"], named=True)["estimate"]
        common = (1 - 0.5**hazard**0.5) / (1 - 0.5 ** (1 / hazard) ** 0.5)
        ratios = [max(ratio, 1 / ratio) for ratio in (hazard, common)]
        values = [ratio + (ratio * (ratio - 1)) ** 0.5 for ratio in ratios]
        assert any(row["estimate"] == pytest.approx(value) for value in values)


@pytest.mark.parametrize("estimator", LIBRARY, ids=lambda estimator: estimator.name)
def test_a_second_opinion_names_its_function_and_source(estimator) -> None:  # type: ignore[no-untyped-def]
    assert len(citation(estimator.function)) > 20


def test_a_tier_by_itself_is_no_contrast_and_has_no_trace(results: Results) -> None:
    alone = results["restricted_times"].filter(pl.col("contrast").is_null())
    assert alone.height > 0
    assert alone["trace"].null_count() == alone.height


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.method)
def test_function_that_a_choice_names_has_a_source(choice) -> None:  # type: ignore[no-untyped-def]
    assert len(citation(choice.function)) > 20


def test_every_trace_names_function_formula_and_source(traces: pl.DataFrame) -> None:
    for name in ("function", "formula", "citation", "protocol_key", "rows_sql", "window", "method"):
        assert (traces[name].str.len_chars() > 1).all(), name


@pytest.mark.parametrize("table", KEYS)
def test_key_names_columns_of_the_table(table: str) -> None:
    assert set(KEYS[table]) <= set(ANALYSES[table].columns)


def test_trace_of_a_row_does_not_depend_on_its_numbers(rows: pl.DataFrame) -> None:
    other = with_trace(rows.drop("trace").with_columns(estimate=pl.lit(0.0)).reverse())
    assert sorted(other["trace"].to_list()) == sorted(rows["trace"].to_list())


def test_statement_of_a_trace_gives_the_rows_that_it_counts(
    traces: pl.DataFrame, tables: Mapping[str, pl.DataFrame]
) -> None:
    """The SQL, run on the frames, gives as many rows as the trace says, with an arm or more and one outcome."""
    shown = traces.unique("rows_sql", maintain_order=True)
    assert shown.height > 10
    for row in shown.iter_rows(named=True):
        context = pl.SQLContext({"rows": tables[row["input_table"]]})
        found = context.execute(row["rows_sql"].replace(row["input_table"], "rows"), eager=True)
        assert found.height == row["input_rows"] > 0
        assert row["subjects"] is None or row["subjects"] <= row["input_rows"]


def test_primary_row_leads_to_its_protocol_key_formula_and_function(rows: pl.DataFrame, traces: pl.DataFrame) -> None:
    primary = rows.filter(pl.col("is_primary") & (pl.col("outcome") == "nrs_leg")).row(0, named=True)
    trace = traces.filter(pl.col("trace") == primary["trace"]).row(0, named=True)
    assert trace["protocol_key"].startswith(f"contrasts.{primary['contrast']}; primary.outcomes.nrs_leg")
    assert trace["function"] == "pipelines.models.propensity.effects"
    assert "P(tier | X)" in trace["formula"]
    assert trace["covariates"].startswith("age_years, sex")
    assert trace["input_table"] == "analysis.scores"


def test_event_free_time_is_traced_to_the_restricted_mean(results: Results, traces: pl.DataFrame) -> None:
    own = results["restricted_times"].filter(cause="any", adjustment="unadjusted").drop_nulls("trace")
    found = traces.filter(pl.col("trace").is_in(own["trace"].implode()))
    assert found.height == own.height > 0
    assert set(found["function"]) == {"pipelines.models.survival.restricted_mean"}
