"""The HTML renderer: one self-contained page with its fonts, styles and drawings inside.

What is said comes from `content.py`, how it looks from the template and stylesheet in `templates/`; here is only what
the template cannot do: drawings put inline with identifiers of their own, header cells that span, fonts.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.reports import content, style
from pipelines.reports.content import Block, Column, Document, Formula, Panel, Shown, Table, origin, page_one_traces

_TEMPLATES = Path(__file__).parent / "templates"
_SCREEN = 1.22  # drawings are made for print at 7 pt and shown this much larger on screen


def render_html(document: Document) -> str:
    """The report as one HTML page that needs nothing beside it."""
    environment = _environment(_Drawings("d"))
    environment.globals |= {"stylesheet": Markup(stylesheet()), "font_faces": Markup(font_faces())}
    return environment.get_template("report.html.jinja").render(document=document)


def render_blocks(blocks: Iterable[Block], name: str) -> str:
    """Blocks alone, to stand in another page; `name` tells their drawings from those of other calls in that page."""
    template = "{% from 'blocks.html.jinja' import block %}{% for one in blocks %}{{ block(one) }}{% endfor %}"
    return _environment(_Drawings(name)).from_string(template).render(blocks=blocks)


def _environment(drawings: "_Drawings") -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"rich": _rich, "cell": _cell}
    environment.tests |= {"shown": lambda value: isinstance(value, Shown)}
    environment.globals |= {
        "draw": drawings.panel,
        "draw_formula": drawings.formula,
        "origin": origin,
        "page_one_traces": page_one_traces,
        "kind": lambda block: type(block).__name__,
        "header_rows": header_rows,
        "row_groups": row_groups,
    }
    return environment


def stylesheet() -> str:
    """How a page looks, as CSS."""
    return (_TEMPLATES / "report.css").read_text(encoding="utf-8")


def _rich(text: str) -> Markup:
    """Wording with its marks as HTML."""
    parts = []
    for span in content.spans(text):
        inner = escape(span.text)
        if span.target:
            inner = Markup('<a href="#{}">{}</a>').format(span.target, inner)
        parts.append(Markup("<strong>{}</strong>").format(inner) if span.is_strong else inner)
    return Markup("").join(parts)


def _cell(value: content.Cell) -> Markup:
    if not isinstance(value, Shown):
        return escape(value)
    look = Markup(' class="withheld"') if value.is_withheld else ""
    trace = Markup(' title="Trace {}"').format(value.trace) if value.trace else ""
    return Markup("<span{}{}>{}</span>").format(look, trace, value.text) if look or trace else escape(value.text)


class _Drawings:
    """Puts SVG elements into the page; identifiers get a prefix, since those of two drawings may be the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0

    def panel(self, panel: Panel) -> Markup:
        """A panel that shrinks with the page and is read out by its alternative text."""
        return self._inline(panel.svg, panel.alt, f"max-width:{panel.width_mm * _SCREEN:.0f}mm")

    def formula(self, formula: Formula) -> Markup:
        """A formula at its natural size."""
        width = float(re.search(r'width="([\d.]+)pt"', formula.svg)[1])  # type: ignore[index]
        return self._inline(formula.svg, formula.alt, f"max-width:{width * 1.25:.0f}pt")

    def _inline(self, svg: str, alt: str, css: str) -> Markup:
        self.number += 1
        prefix = f"{self.name}{self.number}-"
        text = re.sub(r'\bid="', f'id="{prefix}', svg)
        text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
        text = re.sub(r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>", _opening(alt, css), text, count=1, flags=re.DOTALL)
        return Markup(text)


def _opening(alt: str, css: str) -> str:
    label = str(escape(alt)).replace("\\", "")
    return (
        rf'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" role="img" '
        rf'aria-label="{label}" style="{css}">'
    )


def header_rows(columns: Sequence[Column]) -> tuple[list[tuple[str, int]], bool]:
    """Spanning headers as (text, columns under it) and whether there are any."""
    spans = [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]
    return spans, any(group for group, _ in spans)


def row_groups(table: Table) -> list[list[content.Row]]:
    """Rows in runs that each start with a group row, if the table has any."""
    runs: list[list[content.Row]] = [[]]
    for row in table.rows:
        if row.kind == "group" and runs[-1]:
            runs.append([])
        runs[-1].append(row)
    return runs


@cache
def font_faces() -> str:
    """The bundled Inter as CSS that holds the font files themselves."""
    faces = []
    for name, weight, slant in (("Regular", 400, "normal"), ("SemiBold", 600, "normal"), ("Italic", 400, "italic")):
        data = base64.b64encode((style.FONTS / f"Inter-{name}.otf").read_bytes()).decode()
        faces.append(
            f"@font-face{{font-family:Inter;font-weight:{weight};font-style:{slant};font-display:block;"
            f"src:url(data:font/otf;base64,{data}) format('opentype')}}"
        )
    return "\n".join(faces)
