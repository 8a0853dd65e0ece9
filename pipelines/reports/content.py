"""The content model of a report: what is said and shown, without how it looks.

Both renderers (`html.py`, `pdf.py`) draw from these types alone. Numbers that come from patients are `Shown`, made
from what the gate let pass; plain strings are wording, protocol text or names. No data is read here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class Shown:
    """A number from patients that has passed the disclosure gate, ready to print.

    `is_withheld` marks a text that stands in for a number (`<11`, `–`); `trace` names the result row behind it, for
    `lss trace`.
    """

    text: str
    is_withheld: bool = False
    trace: str = ""

    def __str__(self) -> str:
        return self.text


Cell = str | Shown


@dataclass(frozen=True)
class Span:
    """A run of text in one style; `target` is the anchor of a section or exhibit that it links to."""

    text: str
    is_strong: bool = False
    target: str | None = None


_MARK = re.compile(r"\*\*(?P<strong>.+?)\*\*|\[(?P<label>[^\]]+)\]\(#(?P<target>[a-z0-9-]+)\)")


def spans(text: str) -> tuple[Span, ...]:
    """Split wording with the two marks in use, `**strong**` and `[label](#anchor)`, into runs of one style."""
    text = text.replace(" %", "\u202f%")  # a number and its sign stay on one line
    runs: list[Span] = []
    last = 0
    for mark in _MARK.finditer(text):
        if mark.start() > last:
            runs.append(Span(text[last : mark.start()]))
        if mark["strong"] is not None:
            runs.append(Span(mark["strong"], is_strong=True))
        else:
            runs.append(Span(mark["label"], target=mark["target"]))
        last = mark.end()
    if last < len(text):
        runs.append(Span(text[last:]))
    return tuple(runs)


def plain(text: str) -> str:
    """The wording without its marks."""
    return "".join(span.text for span in spans(text))


class Sentence(str):
    """Wording made from results: `source` names the tables that it is from, `told` the contrasts in it (what, trace).

    It may stand wherever wording may. `trace` is its own name; the report gives it one in a section, on the first page
    its place in its list is its name (`found-1`).
    """

    source: str
    told: tuple[tuple[str, str], ...]
    trace: str

    def __new__(cls, text: str, source: str, told: Iterable[tuple[str, str]] = (), trace: str = "") -> "Sentence":
        made = super().__new__(cls, text)
        made.source, made.told, made.trace = source, tuple(told), trace
        return made


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `text` may hold `**strong**` and `[label](#anchor)`."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Terms with what they are, as in a colophon."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Formula:
    """A formula drawn as SVG, with its spoken form."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Callout:
    """A boxed remark: a reading aid, a signal for review, a withheld result or a part that does not apply."""

    kind: Literal["note", "review", "withheld", "not applicable"]
    title: str
    text: str


@dataclass(frozen=True)
class KeyFigure:
    """One number of the first page with what it counts."""

    value: Shown
    label: str
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class KeyFigures:
    """A row of key figures."""

    items: tuple[KeyFigure, ...]


@dataclass(frozen=True)
class Column:
    """A table column; columns next to each other with the same `group` share a spanning header."""

    header: str
    align: Literal["left", "right", "center"] = "right"
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A table row; the first cell is its header. A `group` row has one cell and names the rows below it."""

    cells: tuple[Cell, ...]
    kind: Literal["body", "group", "total"] = "body"
    indent: int = 0


@dataclass(frozen=True)
class Table:
    """A table; `reading` says how to read it, `source` names the result rows it shows."""

    anchor: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reading: str = ""
    notes: tuple[str, ...] = ()
    source: str = ""
    number: int = 0

    def __post_init__(self) -> None:
        for row in self.rows:
            expected = 1 if row.kind == "group" else len(self.columns)
            if len(row.cells) != expected:
                raise ValueError(f"table {self.anchor}: a row has {len(row.cells)} cells where {expected} are due")


@dataclass(frozen=True)
class Panel:
    """One drawing of a figure. `width_mm` is the size it was drawn for; text in it is then 7 pt."""

    svg: str
    alt: str
    width_mm: float
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """One or more panels under one caption; `reading` says how to read them, `traces` name the contrasts drawn."""

    anchor: str
    title: str
    panels: tuple[Panel, ...]
    reading: str
    source: str = ""
    notes: tuple[str, ...] = ()
    number: int = 0
    traces: tuple[tuple[str, str], ...] = ()


Block = Paragraph | Bullets | Facts | Formula | Callout | KeyFigures | Table | Figure


@dataclass(frozen=True)
class Section:
    """A part of the report with its heading; `parts` are one level deeper."""

    anchor: str
    title: str
    blocks: tuple[Block, ...] = ()
    parts: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Summary:
    """Page one: what a busy reader can stop after."""

    figures: KeyFigures
    found: tuple[str, ...]
    certainty: tuple[str, ...]
    review: tuple[str, ...]
    figure: Figure | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    subtitle: str
    release: str
    protocol: str
    summary: Summary
    sections: tuple[Section, ...]
    stamp: Facts
    notice: str
    language: str = "en"
    keywords: tuple[str, ...] = field(default_factory=tuple)


def wordings(block: Block) -> tuple[str, ...]:
    """The wording of a block of text; none of an exhibit."""
    match block:
        case Paragraph(text=text) | Callout(text=text):
            return (text,)
        case Bullets(items=items):
            return items
    return ()


def with_wordings(block: Block, texts: Sequence[str]) -> Block:
    """The block of text with other wording in the place of its own."""
    match block:
        case Paragraph() | Callout():
            return replace(block, text=texts[0])
        case Bullets():
            return replace(block, items=tuple(texts))
    return block


def origin(block: Block) -> str:
    """`Source: … · Trace: …` of a block of text that is made from results; empty for others."""
    made = [text for text in wordings(block) if isinstance(text, Sentence) and text.trace]
    if not made:
        return ""
    names = made[0].trace if len(made) == 1 else f"{made[0].trace} to {made[-1].trace}"
    return f"Source: {'; '.join(dict.fromkeys(one.source for one in made))} · Trace: {names}"


def sentences(document: Document) -> Iterable[tuple[str, str, Sentence]]:
    """Every sentence made from results with its trace and where it stands, the first page first."""
    for name in ("found", "changed", "certainty", "review"):
        for number, text in enumerate(getattr(document.summary, name), 1):
            if isinstance(text, Sentence):
                yield f"{name}-{number}", "Sentence of the first page", text
    yield from _sentences(document.sections)


def page_one_traces(document: Document) -> str:
    """How the sentences of the first page are called, for its foot; empty where none is made from results."""
    first: dict[str, str] = {}
    for trace, place, _ in sentences(document):
        if place.endswith("first page"):
            first.setdefault(trace.rpartition("-")[0], trace)
    return f"Trace of a sentence: its list and place, as {', '.join(first.values())}." if first else ""


def _sentences(sections: Iterable[Section]) -> Iterable[tuple[str, str, Sentence]]:
    for section in sections:
        for block in section.blocks:
            for text in wordings(block):
                if isinstance(text, Sentence) and text.trace:
                    yield text.trace, f"Sentence in {section.title}", text
        yield from _sentences(section.parts)


def exhibits(sections: Iterable[Section]) -> Iterable[Table | Figure]:
    """Every table and figure, in reading order."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table | Figure):
                yield block
        yield from exhibits(section.parts)


def traced(exhibit: Table | Figure) -> list[tuple[str, str]]:
    """What each traced number of an exhibit is, in words, with its trace; each trace once."""
    found = {trace: label for label, trace in (exhibit.traces if isinstance(exhibit, Figure) else _cells(exhibit))}
    return [(label, trace) for trace, label in found.items()]


def _cells(table: Table) -> Iterable[tuple[str, str]]:
    group = ""
    for row in table.rows:
        if row.kind == "group":
            group = str(row.cells[0])
            continue
        for cell, column in zip(row.cells, table.columns, strict=True):
            if isinstance(cell, Shown) and cell.trace:
                words = (group, str(row.cells[0]), column.group, column.header)
                yield ", ".join(word for word in words if word), cell.trace
