"""The outside view on the report: what stands beside a published figure, and what is held back."""

import polars as pl

from pipelines.reports import build_report
from pipelines.reports.content import Callout, Document, Figure, Section, Table


def _section(document: Document) -> Section:
    return next(section for section in document.sections if section.anchor == "literature")


def _table(document: Document, anchor: str) -> Table:
    return next(b for b in _section(document).blocks if isinstance(b, Table) and b.anchor == anchor)


def test_every_matched_figure_has_a_row_and_its_citation(large_document: Document) -> None:
    table = _table(large_document, "table-literature")
    rows = [row for row in table.rows if row.kind == "body"]
    assert len(rows) == 5 * 5  # five kinds of figures after treatment, five tiers
    assert "Nobody's Journal 2020" in table.notes[-1]
    assert "a a stand-in." in table.notes


def test_unmatched_figures_are_counted_and_not_shown(large_document: Document) -> None:
    section = _section(large_document)
    assert "Of 31 published figures" in section.blocks[0].text  # type: ignore[union-attr]
    assert "30 are of a tier" in section.blocks[0].text  # type: ignore[union-attr]
    assert "spacer" not in str(section)


def test_funding_and_population_are_said_before_any_figure(large_document: Document) -> None:
    callout = next(b for b in _section(large_document).blocks if isinstance(b, Callout))
    assert "another country" in callout.text
    assert "Made-up registry (marked §)" in callout.text
    rows = [row for row in _table(large_document, "table-literature").rows if row.kind == "body"]
    marked = [str(row.cells[0]) for row in rows if "MILD" in str(row.cells[2])]
    assert marked
    assert all("§" in name for name in marked)


def test_figures_on_few_patients_are_held_back(small_document: Document, small_cohort) -> None:  # type: ignore[no-untyped-def]
    """An incidence with 1 to 10 events behind it is printed nowhere in the section, as a number or drawn."""
    times = small_cohort.tables["analysis.time_to_event"].filter(
        (pl.col("endpoint") == "decompression_or_fusion") & (pl.col("status") == 1) & (pl.col("time_days") <= 730)
    )
    few = times.group_by("tier").len().filter(pl.col("len").is_between(1, 10))["tier"].to_list()
    assert few
    rows = list(_table(small_document, "table-literature").rows)
    start = next(n for n, row in enumerate(rows) if str(row.cells[0]).startswith("Share with the event"))
    for tier in few:
        label = small_cohort.protocol.tier(tier).short_label
        shown = [str(row.cells[5]) for row in rows[start + 1 :] if str(row.cells[2]) == f"{label}, 12 months"]
        assert shown == ["withheld"]


def test_panels_say_in_words_what_they_show(large_document: Document) -> None:
    figure = next(b for b in _section(large_document).blocks if isinstance(b, Figure))
    assert all("Made-up registry 2020" in panel.alt and "here" in panel.alt for panel in figure.panels)


def test_protocol_without_published_figures_says_so(large_cohort) -> None:  # type: ignore[no-untyped-def]
    tables = dict(large_cohort.tables) | {"results.literature": pl.DataFrame()}
    document = build_report(lambda name: tables[name], large_cohort.protocol)
    assert _section(document).blocks[0].kind == "not applicable"  # type: ignore[union-attr]
