"""Every number and sentence of a report leads somewhere: a table, figure or sentence with a source, by its trace.

The rule is held for whole documents, so that a section without a trace, or a number in plain wording, fails here.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipelines.protocol import Protocol
from pipelines.reports import Study
from pipelines.reports.content import (
    Bullets,
    Callout,
    Document,
    Figure,
    KeyFigures,
    Paragraph,
    Section,
    Sentence,
    Table,
    exhibits,
    plain,
    wordings,
)
from pipelines.reports.html import render_html
from pipelines.reports.report import numbered
from pipelines.reports.site_report import site_report
from pipelines.reports.traced import Exhibit, index_of, read_index

# Sections that say what the protocol says, from its first word to its last.
OF_THE_PROTOCOL = ("methods", "target-trials", "thresholds", "checklist")
_TABLE = re.compile(r"\b(?:raw|outcomes|analysis|results|quality)\.\w+")


def untraced(document: Document) -> list[str]:
    """What of a report leads nowhere: sentences and figures of page one, exhibits, wording with numbers, sections."""
    summary = document.summary
    lists = {name: getattr(summary, name) for name in ("found", "changed", "certainty", "review")}
    found = [f"{name}: {text}" for name, texts in lists.items() for text in texts if not _has_source(text)]
    found += [f"figures: {figure.label}" for figure in summary.figures.items if not figure.source]
    found += [exhibit.anchor for exhibit in exhibits(document.sections) if not exhibit.source]
    for section in document.sections:
        if section.anchor not in OF_THE_PROTOCOL:
            found += [f"{section.anchor}: {text}" for text in _unsourced(section)]
            if not _says_not_applicable(section) and not any(_traces(section)):
                found.append(section.anchor)
    return found


def _has_source(text: str) -> bool:
    return isinstance(text, Sentence) and bool(text.source)


def _unsourced(section: Section) -> Iterator[str]:
    """Wording that holds a number and no source."""
    for block in section.blocks:
        yield from (text for text in wordings(block) if re.search(r"\d", plain(text)) and not _has_source(text))
    for part in section.parts:
        yield from _unsourced(part)


def _traces(section: Section) -> Iterator[str]:
    for block in section.blocks:
        if isinstance(block, Table | Figure):
            yield block.anchor
        yield from (text.trace for text in wordings(block) if isinstance(text, Sentence))
    for part in section.parts:
        yield from _traces(part)


def _says_not_applicable(section: Section) -> bool:
    return any(isinstance(b, Callout) and b.kind == "not applicable" for b in section.blocks)


@pytest.fixture(scope="module", params=["large", "small", "site"])
def document(request: pytest.FixtureRequest) -> Document:
    if request.param == "site":
        return site_report(request.getfixturevalue("large_study"), "S01")
    found = request.getfixturevalue(f"{request.param}_document")
    assert isinstance(found, Document)
    return found


def test_all_of_a_report_leads_somewhere(document: Document) -> None:
    assert untraced(document) == []


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (Paragraph("Of 40 patients, 12 came back."), ["new: Of 40 patients, 12 came back.", "new"]),
        (Bullets(("One.", "12 of 40.")), ["new: 12 of 40.", "new"]),
        (Callout("note", "New", "Nothing is known."), ["new"]),
        (Table("table-new", "New", (), ()), ["table-new"]),
        (Paragraph(Sentence("Of 40 patients, 12 came back.", "results.responders")), []),
    ],
)
def test_a_new_section_without_a_trace_is_found(large_document: Document, block, said: list[str]) -> None:  # type: ignore[no-untyped-def]
    sections = numbered((Section("new", "New", (block,)),))
    assert untraced(replace(large_document, sections=sections)) == said


def test_a_sentence_of_page_one_without_a_source_is_found(large_document: Document) -> None:
    summary = replace(large_document.summary, found=("All is well.",), figures=KeyFigures(()))
    assert untraced(replace(large_document, summary=summary)) == ["found: All is well."]


# ---------------------------------------------------------------------------------------------------------------- index


def _index(document: Document) -> dict[str, Exhibit]:
    listed = read_index(index_of(document))
    assert len({one.trace for one in listed}) == len(listed)
    return {one.trace: one for one in listed}


def test_index_holds_each_sentence_under_a_name_of_its_own(document: Document) -> None:
    index = _index(document)
    for name in ("found", "changed", "certainty", "review"):
        for place, text in enumerate(getattr(document.summary, name), 1):
            assert index[f"{name}-{place}"].title == plain(text)
    for section in document.sections:
        for trace in _traces(section):
            assert index[trace].source


def test_sources_name_tables_of_the_snapshot_or_the_protocol(large_document: Document, large_cohort) -> None:  # type: ignore[no-untyped-def]
    stages = ("quality.quarantine", "quality.changes", "raw.release", "results.site_cusum", "results.funnel_limits")
    for one in _index(large_document).values():
        named = _TABLE.findall(one.source)
        assert named or one.source.startswith("protocol"), one.trace
        assert set(named) <= {*large_cohort.tables, *stages}, one.trace


def test_what_was_found_leads_to_its_contrasts(large_document: Document, protocol: Protocol, large_cohort) -> None:  # type: ignore[no-untyped-def]
    """Leg pain: the primary row of each of the four contrasts."""
    found = _index(large_document)["found-1"]
    assert found.title.startswith("Leg pain")
    primary = large_cohort.read("results.contrasts").filter(is_primary=True, outcome="nrs_leg")
    assert sorted(trace for _, trace in found.contrasts) == sorted(primary["trace"].to_list())
    assert len(found.contrasts) == len(protocol.contrasts)


def test_a_reader_sees_how_a_sentence_is_called(large_study: Study, large_document: Document) -> None:
    page = render_html(large_document)
    assert "Trace of a sentence: its list and place, as found-1, changed-1, certainty-1, review-1." in page
    assert "Source: results.diagnostics (check = negative control) · Trace: withheld-1 to withheld-4" in page
