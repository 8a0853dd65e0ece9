"""Which exhibits and sentences a report has and which contrasts stand in each: kept beside it, for `lss trace`.

Belongs here: the index and its file. Does not belong here: what a trace leads to (`results.traces`).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from pipelines.reports.content import Document, Figure, Table, exhibits, plain, sentences, traced

TRACES_FILE = "traces.json"


@dataclass(frozen=True)
class Exhibit:
    """A table, figure or sentence: its trace, what it is called, its source, and its contrasts as (what, trace)."""

    trace: str
    name: str
    title: str
    source: str
    contrasts: tuple[tuple[str, str], ...]


def index_of(document: Document) -> bytes:
    """The exhibits of a report as JSON."""
    return json.dumps([asdict(exhibit) for exhibit in _exhibits(document)], ensure_ascii=False, indent=1).encode()


def read_index(content: bytes) -> list[Exhibit]:
    """The exhibits that `index_of` wrote down."""
    return [
        Exhibit(one["trace"], one["name"], one["title"], one["source"], tuple(map(tuple, one["contrasts"])))
        for one in json.loads(content)
    ]


def _exhibits(document: Document) -> Iterator[Exhibit]:
    if document.summary.figure is not None:
        yield _exhibit(document.summary.figure)
    for exhibit in exhibits(document.sections):
        yield _exhibit(exhibit)
    for number, figure in enumerate(document.summary.figures.items, 1):
        if figure.source:
            yield Exhibit(f"figures-{number}", "Key figure", f"{figure.value} {figure.label}", figure.source, ())
    for trace, place, text in sentences(document):
        yield Exhibit(trace, place, plain(text), text.source, text.told)


def _exhibit(exhibit: Table | Figure) -> Exhibit:
    name = f"{type(exhibit).__name__} {exhibit.number}" if exhibit.number else "Figure of the first page"
    return Exhibit(exhibit.anchor, name, exhibit.title, exhibit.source, tuple(traced(exhibit)))
