"""From a contrast to its rows, protocol key and formula; and the one specification of the sensitivity analysis."""

from collections.abc import Mapping
from importlib import import_module

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.analyses.choices import CHOICES, KEY, choice_of, with_choices, with_trace
from pipelines.analyses.contrasts import contrasts
from pipelines.protocol import Protocol


@pytest.fixture(scope="module")
def rows(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    gate = pl.DataFrame(schema=dict.fromkeys(("contrast", "outcome", "window", "check", "verdict"), pl.String))
    found = contrasts(dict(tables) | {"results.diagnostics": gate}, protocol)
    return ANALYSES["contrasts"].table.conform(found)


@pytest.fixture(scope="module")
def traces(rows: pl.DataFrame, tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    return ANALYSES["traces"].run(dict(tables) | {"results.contrasts": rows}, protocol)


def test_every_contrast_has_one_trace_and_every_trace_one_contrast(rows: pl.DataFrame, traces: pl.DataFrame) -> None:
    assert rows.height > 100
    assert rows["trace"].n_unique() == rows.height
    assert sorted(traces["trace"].to_list()) == sorted(rows["trace"].to_list())


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


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.method)
def test_function_that_a_choice_names_exists(choice) -> None:  # type: ignore[no-untyped-def]
    module, function = choice.function.rsplit(".", 1)
    assert callable(getattr(import_module(module), function))


def test_rung_of_the_fallback_ladder_is_the_same_method() -> None:
    assert choice_of("MMRM (heterogeneous compound symmetry)").estimator == "MMRM"


def test_every_row_says_its_strategy_population_and_variance(rows: pl.DataFrame) -> None:
    assert rows.select("population", "strategy", "variance").null_count().row(0) == (0, 0, 0)


def test_trimming_changes_whom_the_effect_concerns(rows: pl.DataFrame) -> None:
    trimmed = rows.head(1).with_columns(
        method=pl.lit("propensity-weighted, trimmed to scores of at least 0.05, complete cases")
    )
    assert with_choices(trimmed)["population"].to_list() == ["trimmed"]


def test_key_names_columns_of_the_table() -> None:
    assert set(KEY) <= set(ANALYSES["contrasts"].columns)
