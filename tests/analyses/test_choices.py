"""What each method is, and the one specification of the sensitivity analysis."""

from collections.abc import Mapping
from importlib import import_module

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.analyses.choices import CHOICES, choice_of, with_choices
from pipelines.analyses.contrasts import contrasts
from pipelines.protocol import Protocol


@pytest.fixture(scope="module")
def rows(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    gate = pl.DataFrame(schema=dict.fromkeys(("contrast", "outcome", "window", "check", "verdict"), pl.String))
    found = contrasts(dict(tables) | {"results.diagnostics": gate}, protocol)
    return ANALYSES["contrasts"].table.conform(found)


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
