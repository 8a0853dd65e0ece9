"""What is said of the columns behind a result is what the analysis gets, needs and gives."""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.analyses import ANALYSES
from pipelines.analyses.registry import run_analyses
from pipelines.derive import load_tables
from pipelines.protocol import Protocol
from pipelines.resources import sql_folder

STATED = [name for name, entry in ANALYSES.items() if entry.reads]
# those that take no covariate, and so can be asked column by column in little time
QUICK = ["survival_curves", "gray_test", "ladder_occupation", "relapse_curves", "missing_patterns", "stop_reasons",
         "responders"]  # fmt: skip


def test_columns_are_stated_for_the_figures_that_lead() -> None:
    assert {"cumulative_incidence", "trajectories", "walking_curves", "responders", "balance"} <= set(STATED)


@pytest.mark.parametrize("name", STATED)
def test_lineage_leads_from_columns_of_the_result_to_columns_that_exist(name: str, protocol: Protocol) -> None:
    entry = ANALYSES[name]
    existing = {f"{table.name}.{column}" for table in load_tables(sql_folder()) for column in table.columns}
    lineage = entry.lineage(protocol)
    assert set(lineage) <= set(entry.columns)
    assert "estimate" in lineage or "estimate" not in entry.columns
    assert {source for sources in lineage.values() for source in sources} <= existing
    assert set(entry.reads) == {table for table in entry.inputs if table.startswith("analysis.")}
    for one in entry.reads.values():
        assert set(one.keys.values()) <= set(entry.columns)
        assert {*one.keys, *one.rows, *one.values}.isdisjoint(c.name for c in protocol.covariates)


def test_an_analysis_needs_no_column_that_is_not_stated(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> None:
    """Given its inputs whole it comes to the same."""
    needed = {i.removeprefix("results.") for name in STATED for i in ANALYSES[name].inputs if i.startswith("results.")}
    gates = {name: ANALYSES[name] for name in (*needed, "balance")}
    known = dict(tables) | {f"results.{name}": frame for name, frame in run_analyses(gates, tables, protocol).items()}
    for name in STATED:
        given = {table: known[table] for table in ANALYSES[name].inputs}
        whole = replace(ANALYSES[name], reads={})
        assert_frame_equal(ANALYSES[name].run(given, protocol), whole.run(given, protocol))


@pytest.mark.parametrize("name", QUICK)
def test_every_stated_column_is_needed(name: str, tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> None:
    """Without one, the analysis fails or comes to something else."""
    entry = ANALYSES[name]
    given = {table: tables[table] for table in entry.inputs}
    made = entry.run(given, protocol)
    assert made.height
    for table, one in entry.reads.items():
        for column in {*one.keys, *one.values, *one.rows}:
            try:
                less = entry.run(given | {table: given[table].drop(column)}, protocol)
            except (pl.exceptions.PolarsError, ValueError):
                continue
            assert not less.equals(made), f"{table}.{column}"
