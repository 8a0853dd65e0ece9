"""The PDF renderer: the content model handed to a Typst template as JSON, with our own fonts and no clock.

What pages look like is in `templates/report.typ`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from pipelines.reports import content, style
from pipelines.reports.content import Document, Shown
from pipelines.reports.html import header_rows

_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
# A PDF says when it was made; a fixed time makes two runs of one release give the same bytes.
_TIMESTAMP = datetime(2020, 1, 1, tzinfo=UTC)


class ReportError(RuntimeError):
    """The PDF could not be made; the message says which step failed."""


def render_pdf(document: Document) -> bytes:
    """The report as an A4 PDF with tags and alternative texts.

    Raises:
        ReportError: Typst refused the document.
    """
    data = json.dumps(_plain(document), ensure_ascii=False, sort_keys=True)
    try:
        made = typst.compile(
            str(_TEMPLATE),
            font_paths=[str(style.FONTS)],
            ignore_system_fonts=True,
            sys_inputs={"document": data},
            timestamp=_TIMESTAMP,
            format="pdf",
        )
    except (typst.TypstError, RuntimeError) as error:
        first = str(error).splitlines()[0][:120]
        raise ReportError(f"the PDF could not be set ({first}); the HTML report is complete") from None
    assert isinstance(made, bytes)
    return made


def _plain(value: Any) -> Any:
    """Dataclasses as dictionaries with their kind; rich text as runs; numbers as texts with whether withheld."""
    if isinstance(value, Shown):
        return {"text": value.text, "is_withheld": value.is_withheld}
    if is_dataclass(value) and not isinstance(value, type):
        fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
        plain: dict[str, Any] = {name: _plain(_rich(value, name, field)) for name, field in fields.items()}
        plain["kind"] = type(value).__name__
        if isinstance(value, content.Callout):
            plain["tone"] = value.kind
        if isinstance(value, content.Row):
            plain["role"] = value.kind
        if isinstance(value, content.Table):
            spans, has_groups = header_rows(value.columns)
            plain["spans"] = spans if has_groups else []
            plain["points"] = _type_size(value)
            plain["widths"] = column_widths(value)
        return plain
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


_RICH = {
    (content.Paragraph, "text"),
    (content.Callout, "text"),
    (content.Bullets, "items"),
    (content.Table, "reading"),
    (content.Table, "notes"),
    (content.Figure, "reading"),
    (content.Figure, "notes"),
    (content.Summary, "found"),
    (content.Summary, "certainty"),
    (content.Summary, "review"),
    (content.Summary, "changed"),
}


def _rich(owner: Any, name: str, field: Any) -> Any:
    """Wording with marks as runs of one style."""
    if (type(owner), name) not in _RICH:
        return field
    return (
        [asdict(span) for span in content.spans(field)]
        if isinstance(field, str)
        else [[asdict(span) for span in content.spans(text)] for text in field]
    )


_PAGE_MM = 176.0


def _type_size(table: content.Table) -> float:
    """Points of a table's type: smaller where there are many columns."""
    return 6.7 if len(table.columns) > 8 else 7.1 if len(table.columns) > 5 else 7.6


def column_widths(table: content.Table) -> list[float]:
    """Width of each column in millimetres, from its longest text; words wrap where the page is too narrow.

    A table is as wide as its content needs, so that the eye need not travel; one that nearly fills the page fills it.
    """
    size = _type_size(table)
    gap = 1.5 if len(table.columns) > 8 else 2.6
    body = [row for row in table.rows if row.kind != "group"]
    wanted = []
    for place, column in enumerate(table.columns):
        texts = [len(str(row.cells[place])) + 2 * row.indent * (place == 0) for row in body]
        header = max((len(word) for word in column.header.split()), default=0)
        if column.align == "left":
            texts = [min(length, 46 if place == 0 else 40) for length in texts]
            header = min(len(column.header), 30)
        letter = size * (0.185 if column.align == "left" else 0.2)  # figures are set wider than words
        wanted.append(max(letter * max([*texts, 4]), size * 0.215 * header) + gap)
    total = sum(wanted)
    if 0.8 * _PAGE_MM < total <= _PAGE_MM:
        return [round(width * _PAGE_MM / total, 2) for width in wanted]
    if total > _PAGE_MM:
        wraps = [c.align == "left" and _can_wrap(body, place) for place, c in enumerate(table.columns)]
        words = sum(w for w, can in zip(wanted, wraps, strict=True) if can)
        left = max(0.35, (words - (total - _PAGE_MM)) / words) if words else 1.0
        wanted = [w * left if can else w for w, can in zip(wanted, wraps, strict=True)]
        scale = min(1.0, _PAGE_MM / sum(wanted))
        wanted = [w * scale for w in wanted]
    return [round(width, 2) for width in wanted]


def _can_wrap(rows: Sequence[content.Row], place: int) -> bool:
    """Whether a column's texts have a space to wrap at; names and traces have none."""
    return any(" " in str(row.cells[place]) for row in rows)
