"""The register: layout, order, independence of row order, and behaviour with nothing to analyse."""

from collections.abc import Mapping

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.analyses import ANALYSES, TABLES, analyse, in_order
from pipelines.protocol import Protocol

# Columns that scripts outside the project rely on (design, "Result tables").
PUBLIC = {
    "survival_curves": "endpoint tier weighting time_days at_risk events estimate std_error ci_low ci_high",
    "cumulative_incidence": "endpoint tier weighting cause time_days at_risk estimate std_error ci_low ci_high",
    "restricted_times": "endpoint tier reference weighting tau_days measure cause estimate std_error ci_low ci_high "
    "p_value p_adjusted",
    "hazard_ratios": "endpoint view model weighting variance term tier reference estimate log_std_error ci_low ci_high "
    "p_value subjects events status reason",
    "contrasts": "outcome window method population strategy variance tier reference estimate std_error ci_low ci_high "
    "p_value p_adjusted subjects is_primary status reason",
    "trajectories": "outcome tier window method subjects estimate std_error ci_low ci_high",
    "responders": "outcome threshold window tier method responders subjects estimate ci_low ci_high",
    "balance": "contrast weighting covariate smd",
    "diagnostics": "contrast outcome check value threshold verdict",
    "sensitivity": "outcome contrast analysis estimate ci_low ci_high note",
    "site_indicators": "indicator site_id subjects observed expected estimate ci_low ci_high reliability signal",
}


@pytest.fixture(scope="module")
def results(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> dict[str, pl.DataFrame]:
    return analyse(tables, protocol)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_table_opens_with_its_public_columns(name: str) -> None:
    expected = PUBLIC[name].split()
    assert list(TABLES[name].schema)[: len(expected)] == expected


def test_every_column_says_what_it_means() -> None:
    assert all(text for entry in ANALYSES.values() for text in entry.columns.values())


def test_an_analysis_stands_after_those_it_reads() -> None:
    order = in_order(ANALYSES)
    assert sorted(order) == sorted(ANALYSES)
    for name, entry in ANALYSES.items():
        for needed in entry.inputs:
            if needed.startswith("results."):
                assert order.index(needed.removeprefix("results.")) < order.index(name)


def test_tables_have_the_types_of_their_layout(results: dict[str, pl.DataFrame]) -> None:
    for name, frame in results.items():
        assert dict(frame.schema) == dict(TABLES[name].schema)


def test_a_row_without_a_number_says_why(results: dict[str, pl.DataFrame]) -> None:
    for frame in results.values():
        if {"status", "reason", "estimate"} <= set(frame.columns):
            silent = frame.filter((pl.col("status") != "estimable") != pl.col("reason").is_not_null())
            numbered = frame.filter((pl.col("status") != "estimable") & pl.col("estimate").is_not_null())
            assert silent.is_empty()
            assert numbered.is_empty()


def test_the_order_of_rows_does_not_matter(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol, results: dict[str, pl.DataFrame]
) -> None:
    shuffled = {name: frame.sample(fraction=1.0, shuffle=True, seed=5) for name, frame in tables.items()}
    again = analyse(shuffled, protocol)
    for name, frame in results.items():
        assert_frame_equal(frame, again[name], rel_tol=1e-12, abs_tol=1e-12)


def test_a_study_without_patients_gives_empty_tables(tables: Mapping[str, pl.DataFrame], protocol: Protocol) -> None:
    results = analyse({name: frame.clear() for name, frame in tables.items()}, protocol)
    filled = {name for name, frame in results.items() if frame.height}
    assert filled <= {"diagnostics", "contrasts", "traces"}  # rows that say why there is no number


def test_names_of_tiers_and_endpoints_come_from_the_protocol(
    results: dict[str, pl.DataFrame], protocol: Protocol
) -> None:
    assert set(results["cumulative_incidence"]["tier"]) == set(protocol.tier_names)
    assert set(results["cumulative_incidence"]["endpoint"]) == {endpoint.name for endpoint in protocol.endpoints}


def test_each_primary_question_has_one_row_a_contrast(results: dict[str, pl.DataFrame], protocol: Protocol) -> None:
    primary = results["contrasts"].filter("is_primary")
    for asked in protocol.primary.outcomes:
        rows = primary.filter((pl.col("outcome") == asked.outcome) & (pl.col("window") == asked.window))
        assert rows["contrast"].to_list() == [contrast.name for contrast in protocol.contrasts]
    assert results["contrasts"].filter(~pl.col("is_primary"))["p_adjusted"].null_count() == (
        results["contrasts"].height - primary.height
    )
