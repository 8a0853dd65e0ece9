"""The report's figures and tables one source at a time, as Markdown that holds its drawings: for pages about one table.

They are the report's own, behind its own gate; nothing is drawn or counted here.
"""

import base64
import re
from collections.abc import Iterable

from pipelines.reports.content import Document, Figure, Row, Table, exhibits, plain
from pipelines.reports.report import sections_of
from pipelines.reports.study import Study

FIRST_PAGE = "first page"
_SOURCE = re.compile(r"\b(?:results|outcomes)\.[a-z_0-9]+")
_SIZE = re.compile(r'width="([\d.]+)pt" height="([\d.]+)pt" viewBox="[^"]*"')
_ROOM, _SCALE = 28.0, 1.9  # points to the right for wider letters than Inter's, and pixels for a point
_MOST_ROWS = 40  # a longer table is named and not repeated
_MOST_BYTES = 400_000  # of one source, since every run keeps them


def pictures_of(document: Document) -> dict[str, str]:
    """For each table of `results` and `outcomes` that the report shows, its figures and tables as Markdown.

    The figure of the first page stands under `FIRST_PAGE`.
    """
    front = document.summary.figure
    return _by_source(exhibits(document.sections)) | ({FIRST_PAGE: _drawn(front)} if front else {})


def pictures_of_table(study: Study, table: str) -> str:
    """The same for one table, of a study that has no report yet; empty where the report would show nothing of it."""
    return _by_source(exhibits(sections_of(study, table))).get(table, "")


def _by_source(shown: Iterable[Table | Figure]) -> dict[str, str]:
    found: dict[str, str] = {}
    for exhibit in sorted(shown, key=lambda one: isinstance(one, Table)):  # figures first
        words = _drawn(exhibit) if isinstance(exhibit, Figure) else _set(exhibit)
        for source in dict.fromkeys(_SOURCE.findall(exhibit.source)):
            before = found.get(source, "")
            fits = len(before) + len(words) <= _MOST_BYTES
            said = words if fits else f"**{exhibit.title}**\n\nToo large for this page, to be read in the report."
            found[source] = f"{before}\n\n{said}".strip()
    return found


def _drawn(figure: Figure) -> str:
    panels = (f"![{_bare(panel.alt)}](data:image/svg+xml;base64,{_encoded(panel.svg)})" for panel in figure.panels)
    return "\n\n".join((f"**{figure.title}**", *panels, plain(figure.reading)))


def _encoded(svg: str) -> str:
    """A drawing that stands alone: larger, and set in what the reader's machine has where the report brings Inter."""

    def enlarged(size: re.Match[str]) -> str:
        width, height = float(size[1]) + _ROOM, float(size[2])
        return f'width="{_SCALE * width:.0f}" height="{_SCALE * height:.0f}" viewBox="0 0 {width:g} {height:g}"'

    alone = _SIZE.sub(enlarged, svg, count=1).replace("'Inter'", "Inter, system-ui, Arial, sans-serif")
    return base64.b64encode(alone.encode()).decode()


def _set(table: Table) -> str:
    if len(table.rows) > _MOST_ROWS:
        return f"**{table.title}**\n\n{len(table.rows)} rows, to be read in the report."
    heads = [f"{column.group} {column.header}".strip() for column in table.columns]
    rules = ["---" if column.align == "left" else "--:" for column in table.columns]
    lines = [heads, rules, *(_cells(row, len(heads)) for row in table.rows)]
    grid = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return f"**{table.title}**\n\n{grid}\n\n{plain(table.reading)}".strip()


def _cells(row: Row, width: int) -> list[str]:
    cells = [str(cell) for cell in row.cells]
    return [*cells, *[""] * (width - len(cells))]


def _cell(text: str) -> str:
    return plain(text).replace("|", "\\|").replace("\n", " ")


def _bare(text: str) -> str:
    """Words that may stand between Markdown's brackets."""
    return re.sub(r"[\[\]\n]", " ", text)
