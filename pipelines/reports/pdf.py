"""The PDF renderer: the content model handed to a Typst template as JSON, with our own fonts and no clock.

What pages look like is in `templates/report.typ`.
"""

import json
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from pipelines.reports import content, style
from pipelines.reports.content import Document, Shown
from pipelines.reports.html import header_rows
from pipelines.reports.widths import cell_gap, column_widths, type_size

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
        if isinstance(value, content.Paragraph | content.Bullets | content.Callout):
            plain["origin"] = content.origin(value)
        if isinstance(value, content.Document):
            plain["traces"] = content.page_one_traces(value)
        if isinstance(value, content.Row):
            plain["role"] = value.kind
        if isinstance(value, content.Table):
            spans, has_groups = header_rows(value.columns)
            plain["spans"] = spans if has_groups else []
            plain["points"] = type_size(value)
            plain["gap"] = cell_gap(value)
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
