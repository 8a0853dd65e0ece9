"""Which rows and contrasts go together, on examples small enough to check by eye."""

import polars as pl
import pytest

from pipelines.analyses.multiplicity import holm
from pipelines.analyses.rows import arms, comparable_contrasts, due, in_ladder_order, withhold
from pipelines.protocol import Protocol


def test_an_endpoint_of_treatments_serves_only_the_contrasts_that_name_it(protocol: Protocol) -> None:
    served = [c.name for c in comparable_contrasts(protocol, protocol.endpoint("laminectomy_or_fusion"))]
    assert served == ["mild_vs_esi"]


def test_harm_serves_every_contrast_and_a_descriptive_endpoint_none(protocol: Protocol) -> None:
    assert len(comparable_contrasts(protocol, protocol.endpoint("harm_90_days"))) == 4
    assert comparable_contrasts(protocol, protocol.endpoint("treatment_failure")) == []


def test_an_endpoint_with_its_own_window_is_summed_up_at_its_end(protocol: Protocol) -> None:
    assert protocol.horizons(protocol.endpoint("harm_90_days")) == (90,)
    assert protocol.horizons(protocol.endpoint("opioid_start")) == (365, 730)


def test_the_arms_of_a_contrast_put_the_reference_first(protocol: Protocol) -> None:
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    frame = pl.DataFrame({"episode_id": ["a", "b", "c"], "tier": ["mild", "fusion", "esi"]})
    pair = arms(in_ladder_order(frame, protocol), contrast)
    assert pair["episode_id"].to_list() == ["a", "c"]
    assert pair["tier"].dtype.categories.to_list() == ["esi", "mild"]  # type: ignore[attr-defined]


def test_a_visit_is_due_when_its_window_closed_and_the_patient_lived_or_when_it_was_seen() -> None:
    visits = pl.DataFrame(
        {
            "is_due": [True, True, False, False],
            "is_alive": [True, False, True, True],
            "is_observed": [False, False, True, False],
        }
    )
    assert visits.select(due(visits))["is_due"].to_list() == [True, False, True, False]


def test_withholding_blinds_the_numbers_and_keeps_the_row() -> None:
    rows = pl.DataFrame(
        {
            "contrast": ["a", "b"],
            "estimate": [1.0, 2.0],
            "p_value": [0.1, 0.2],
            "subjects": [40, 50],
            "status": ["estimable", "estimable"],
            "reason": pl.Series([None, None], dtype=pl.String),
        }
    )
    hidden = withhold(rows, [None, "failed: crossover"])
    assert hidden.row(0) == ("a", 1.0, 0.1, 40, "estimable", None)
    assert hidden.row(1) == ("b", None, None, 50, "withheld", "failed: crossover")


def test_holm_counts_a_withheld_question() -> None:
    # By hand: four questions, one withheld. 0.01 × 4 = 0.04; 0.02 × 3 = 0.06; 0.5 × 2 = 1.
    assert holm([0.02, None, 0.01, 0.5]) == [pytest.approx(0.06), None, pytest.approx(0.04), 1.0]


def test_holm_never_decreases_with_the_p_value() -> None:
    # R: p.adjust(c(0.03, 0.04, 0.01), "holm") gives 0.06 0.06 0.03.
    assert holm([0.03, 0.04, 0.01]) == [pytest.approx(0.06), pytest.approx(0.06), pytest.approx(0.03)]
