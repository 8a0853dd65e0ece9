"""What a notebook's cell shows is the report's own content, in a form that may stand many times in one page."""

import re

import polars as pl

from pipelines.reports.content import Figure, Panel, Paragraph, Section
from pipelines.reports.notebook import opening, show, table

SVG = '<svg viewBox="0 0 10 10"><defs><path id="a" d="M0 0"/></defs><use xlink:href="#a"/></svg>'
FIGURE = Figure("figure-x", "A line", (Panel(SVG, "Drawing of a line.", 80.0),), "Read it.")


def test_drawings_shown_twice_do_not_share_identifiers() -> None:
    first, second = (set(re.findall(r'\bid="([^"]*a)"', show(FIGURE)._repr_html_())) for _ in range(2))
    assert len(first) == len(second) == 1
    assert first.isdisjoint(second)


def test_a_section_shows_its_figures_alone_where_only_these_are_asked_for() -> None:
    tail = Section("tail", "Tail", (table(pl.DataFrame({"Tier": ["ESI"]}), "Tiers"),))
    section = Section("s", "S", (Paragraph("Some words."), FIGURE), (tail,))
    assert repr(show(section)) == "Paragraph; A line; Tiers"
    assert repr(show(section, only="figures")) == "A line"
    assert repr(show(section, only="tables")) == "Tiers"


def test_a_frame_becomes_a_table_with_numbers_as_the_report_prints_them() -> None:
    frame = pl.DataFrame({"Contrast": ["MILD vs ESI"], "Ratio": [-0.956], "to": [None]}, schema_overrides={"to": float})
    made = table(frame, "Ratios")
    assert made.rows[0].cells == ("MILD vs ESI", "−0.96", "–")
    assert [column.align for column in made.columns] == ["left", "right", "right"]


def test_the_styles_come_once_with_the_opening_and_hold_for_outputs_only() -> None:
    page = opening()._repr_html_()
    assert "Association, not causation" in page
    assert ":root" not in page
    assert "<style" not in show(FIGURE)._repr_html_()
