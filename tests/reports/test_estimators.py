"""Other estimators, both standard errors, the repeated-measures model and the checks of each contrast on the report.

Expected texts follow from the made snapshot (`conftest.py`), whose numbers are round ones.
"""

from copy import copy

import polars as pl
import pytest

from pipelines.reports import Study
from pipelines.reports.content import Document, Paragraph, Section, Table, exhibits
from pipelines.reports.sections.estimators import estimators
from pipelines.reports.tables import Snapshot


def _tables(document: Document) -> dict[str, Table]:
    return {e.anchor: e for e in exhibits(document.sections) if isinstance(e, Table)}


@pytest.fixture(scope="module")
def tables(large_document: Document) -> dict[str, Table]:
    return _tables(large_document)


def _cells(table: Table, group: str, row: str) -> list[str]:
    """The cells behind a row's header, below the group that starts so."""
    names = [str(r.cells[0]) if r.kind == "group" else "" for r in table.rows]
    start = next(place for place, name in enumerate(names) if name.startswith(group))
    found = next(r for r in table.rows[start + 1 :] if str(r.cells[0]) == row)
    return [str(cell) for cell in found.cells[1:]]


def test_each_question_stands_once_by_each_estimator(tables: dict[str, Table]) -> None:
    table = tables["table-estimators"]
    assert [c.header for c in table.columns[1:]] == [
        "ESI vs conservative", "MILD vs ESI", "Laminectomy vs MILD", "Fusion vs laminectomy",
    ]  # fmt: skip
    for estimator in ("Weighted (primary)", "Regression", "Doubly robust", "Repeated measures", "Unadjusted"):
        shown = "−1.0 (−1.5 to −0.5)"
        assert _cells(table, "Leg pain", estimator) == [shown, shown, "withheld", shown], estimator
    assert table.notes == (
        "Withheld: Laminectomy vs MILD (effective sample size 38 of the 50 required). [What was withheld](#withheld) "
        "says what was found.",
    )


def test_both_standard_errors_stand_below_each_other(tables: dict[str, Table]) -> None:
    table = tables["table-standard-errors"]
    assert _cells(table, "Leg pain", "Weights fixed") == ["0.34", "0.34", "withheld", "0.34"]
    assert _cells(table, "Leg pain", "Weights estimated") == ["0.25", "0.25", "withheld", "0.25"]


def test_repeated_measures_give_degrees_of_freedom_and_the_covariance_used(tables: dict[str, Table]) -> None:
    """Degrees of freedom are nearly a count of patients, so the fewest of the visits are told, to the nearest 5."""
    table = tables["table-repeated"]
    for visit in ("6 months", "12 months"):
        shown = "−1.0 (−1.5 to −0.5)"
        assert _cells(table, "Leg pain", visit) == [shown, shown, "withheld", shown]
    assert _cells(table, "Leg pain", "Degrees of freedom, fewest") == ["≈95", "≈95", "–", "≈95"]
    assert table.notes[0].startswith(
        "Covariance of a patient's visits: Leg pain: unstructured, with the model's variance."
    )


def test_many_degrees_of_freedom_are_only_said_to_be_many(large_study: Study) -> None:
    many = large_study.snapshot["results.contrasts"].with_columns(df=pl.col("df") + 200)
    assert _cells(_repeated(large_study, many), "Leg pain", "Degrees of freedom, fewest")[0] == ">200"


def _repeated(large_study: Study, rows: pl.DataFrame) -> Table:
    """The table of the repeated-measures model of other rows, behind the same gate."""
    study = copy(large_study)
    study.snapshot = Snapshot({"results.contrasts": rows}.__getitem__)
    return next(b for b in estimators(study).blocks if isinstance(b, Table) and b.anchor == "table-repeated")


def test_a_rung_below_the_first_is_named(large_study: Study) -> None:
    rows = large_study.snapshot["results.contrasts"]
    other = rows.with_columns(method=pl.col("method").replace("MMRM", "MMRM (heterogeneous compound symmetry)"))
    said = _repeated(large_study, other).notes[0]
    assert "Leg pain: heterogeneous compound symmetry, with sandwich variance." in said


def test_adjusted_means_stand_by_visit_and_tier(tables: dict[str, Table]) -> None:
    assert _cells(tables["table-adjusted-means"], "Leg pain", "12 months") == ["4.5 (4.2 to 4.8)"] * 5


def test_each_contrast_is_told_what_it_was_held_to(tables: dict[str, Table]) -> None:
    table = tables["table-checks-of-contrasts"]
    found = {str(row.cells[0]).partition(",")[0]: [str(cell) for cell in row.cells[1:]] for row in table.rows}
    assert found["Means of what the model holds"] == ["0.04 (0.10)"] * 4
    assert found["Effective sample size of the arm with least to spare"][2] == "38 (50) ✗"
    assert found["Negative control"] == ["0.41 (0.05)"] * 4


def test_balance_tells_variances_and_distributions_of_numbers_only(tables: dict[str, Table], large_cohort) -> None:  # type: ignore[no-untyped-def]
    """In the made snapshot the ratio is 1 + smd/4 and the distance |smd|/2; indicators are functions of counts."""
    rows = large_cohort.read("results.balance").filter(
        (pl.col("contrast") == "mild_vs_esi") & pl.col("is_modelled") & (pl.col("weighting") == "unweighted")
    )
    kinds = {c.name: c.kind for c in large_cohort.protocol.covariates}
    numeric = rows.filter(pl.Series([kinds.get(name) == "numeric" for name in rows["covariate"]]))
    assert 0 < numeric.height < rows.height
    ratio = max(max(r, 1 / r) for r in numeric["variance_ratio"].to_list())
    cells = _cells(tables["table-balance"], "MILD vs ESI", "In the model")
    assert cells[2] == f"{ratio:.2f}"
    assert cells[4] == f"{numeric['ks'].max():.2f}"
    assert _cells(tables["table-balance"], "Laminectomy vs MILD", "In the model")[-1] == "38"


def test_distributions_of_the_time_stand_by_their_aic(tables: dict[str, Table]) -> None:
    table = tables["table-parametric"]
    assert [column.header for column in table.columns[1:]] == ["Weibull", "Log-normal", "Log-logistic"]
    assert _cells(table, "MILD vs ESI", "AIC") == ["1,234", "1,229", "1,230"]
    assert _cells(table, "MILD vs ESI", "Time ratio") == ["1.40 (1.10 to 1.80)"] * 3
    assert _cells(table, "Fusion vs laminectomy", "AIC") == ["–"] * 3
    assert table.notes == ("No figure: Fusion vs laminectomy: an arm has fewer than 10 events.",)


def test_tests_over_all_tiers_leave_out_what_too_few_had(tables: dict[str, Table]) -> None:
    (row,) = tables["table-tests"].rows
    assert [str(cell) for cell in row.cells[1:3]] == ["<0.001", "<0.001"]


def test_covariates_that_were_not_known_are_named_with_the_rule_that_fills_them(large_document: Document) -> None:
    section: Section = next(s for s in large_document.sections if s.anchor == "missing")
    said = next(b.text for b in section.blocks if isinstance(b, Paragraph) and b.text.startswith("**Before treatment"))
    assert "body mass index (kg/m²) were not known of some patients. They are filled by: median of a number." in said
