"""The reporting checklist at a report's end: where it answers each item of STROBE and RECORD, or why it does not.

The items stand in `data/reporting_checklist.csv` in our own short words; `where` names sections by their anchors.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from pipelines.reports.content import Bullets, Callout, Paragraph, Section
from pipelines.resources import data_folder

ANCHOR = "checklist"
CITATION = (
    "STROBE: von Elm et al. 2007, Lancet 370:1453–1457 (cohort studies). RECORD, its extension to routinely collected "
    "data: Benchimol et al. 2015, PLoS Medicine 12:e1001885. Items are told in our own words."
)
_PAGES = {"summary": "the summary", "stamp": "how this report was made"}  # in every report, but no sections

Item = Mapping[str, str]


@cache
def items() -> tuple[Item, ...]:
    """The checklist: guideline, item, topic, asks_for, where (anchors, `;` between), note (why not applicable)."""
    with (data_folder() / "reporting_checklist.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def checklist(sections: Iterable[Section]) -> Section:
    """Where each item is answered among these sections; what a release cannot answer says why."""
    known = _PAGES | {section.anchor: section.title for section in _all(sections)}
    silent = {section.anchor: reason for section in _all(sections) if (reason := _not_applicable(section))}
    blocks: list[Paragraph | Bullets] = [Paragraph(CITATION)]
    for topic in dict.fromkeys(item["topic"] for item in items()):
        asked = [item for item in items() if item["topic"] == topic]
        blocks += [Paragraph(f"**{topic}**"), Bullets(tuple(_answer(item, known, silent) for item in asked))]
    return Section(ANCHOR, "Reporting checklist (STROBE and RECORD)", tuple(blocks))


def _answer(item: Item, known: Mapping[str, str], silent: Mapping[str, str]) -> str:
    head = f"{item['guideline']} {item['item']}, {item['asks_for'][:1].lower()}{item['asks_for'][1:]}"
    anchors = [anchor for anchor in item["where"].split(";") if anchor in known]
    told = [anchor for anchor in anchors if anchor not in silent]
    if told:
        return f"{head}: {', '.join(_link(anchor, known) for anchor in told)}."
    why = item["note"] or next((silent[anchor] for anchor in anchors), "This report has no such section")
    return f"{head}: not applicable. {why.rstrip('.')}."


def _link(anchor: str, known: Mapping[str, str]) -> str:
    return known[anchor] if anchor in _PAGES else f"[{known[anchor]}](#{anchor})"


def _all(sections: Iterable[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _all(section.parts)


def _not_applicable(section: Section) -> str:
    """Why a section has nothing in it; empty where it has something."""
    only = section.blocks[0] if len(section.blocks) == 1 and not section.parts else None
    return only.text if isinstance(only, Callout) and only.kind == "not applicable" else ""
