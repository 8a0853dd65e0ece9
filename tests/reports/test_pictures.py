"""What the page of a table shows is what the report shows of it: the same drawings and cells, behind the same gate."""

import base64
import re

import pytest

from pipelines.protocol import Protocol
from pipelines.reports import Study
from pipelines.reports.content import Document, Figure, Table, exhibits
from pipelines.reports.pictures import FIRST_PAGE, pictures_of, pictures_of_table


@pytest.fixture(scope="module")
def pictures(large_document: Document) -> dict[str, str]:
    return pictures_of(large_document)


def test_every_figure_of_the_report_stands_at_the_table_it_is_from(
    pictures: dict[str, str], large_document: Document
) -> None:
    figures = [one for one in exhibits(large_document.sections) if isinstance(one, Figure)]
    assert len(figures) > 5
    named = [(figure, re.findall(r"(?:results|outcomes)\.\w+", figure.source)) for figure in figures]
    assert [figure.title for figure, tables in named if not tables] == []
    for figure, tables in named:
        assert all(f"**{figure.title}**" in pictures[table] for table in tables), figure.title
    assert "data:image/svg+xml;base64," in pictures[FIRST_PAGE]


def test_a_table_alone_shows_what_it_shows_in_the_report(
    pictures: dict[str, str], large_cohort, protocol: Protocol
) -> None:
    study = Study(large_cohort.read, protocol)
    for table in ("results.cumulative_incidence", "results.responders", "results.table_one"):
        assert pictures_of_table(study, table) == pictures[table]
    assert pictures_of_table(study, "results.unknown") == ""


def test_small_counts_stay_withheld(pictures: dict[str, str], large_document: Document) -> None:
    withheld = [
        str(cell)
        for one in exhibits(large_document.sections)
        if isinstance(one, Table) and "results.table_one" in one.source
        for row in one.rows
        for cell in row.cells
        if str(cell).startswith("<11")
    ]
    assert withheld
    assert pictures["results.table_one"].count("<11") >= len(withheld)


def test_a_drawing_stands_alone_and_a_run_keeps_little(pictures: dict[str, str]) -> None:
    assert max(map(len, pictures.values())) <= 405_000
    first = re.search(r"base64,([^)]+)\)", pictures["results.cumulative_incidence"])
    assert first is not None
    drawing = base64.b64decode(first[1]).decode()
    assert drawing.startswith("<svg")
    assert "'Inter'" not in drawing
    assert re.search(r'<svg[^>]* width="\d+" height="\d+" viewBox="0 0 [\d.]+ [\d.]+"', drawing)
