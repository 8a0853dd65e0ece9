"""Figures and tables of the report in a Jupyter notebook: the same content, gate and looks, one at a time.

What is shown comes from `sections/` or is made here from a frame of estimates. Counts of patients belong into a
notebook only by way of `study.gate`, as in the report. Nothing here needs Jupyter to be installed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Literal

import polars as pl
from markupsafe import escape

from pipelines.reports import content, html, numbers
from pipelines.reports.content import Block, Column, Figure, Row, Section, Table
from pipelines.reports.report import NOTICE
from pipelines.reports.study import Study

_SCOPE = "lss"
_outputs = count(1)


@dataclass(frozen=True)
class Output:
    """What a cell shows: a page's fragment for the notebook, and its words for a terminal."""

    fragment: str
    words: str

    def _repr_html_(self) -> str:
        return f'<div class="{_SCOPE}">{self.fragment}</div>'

    def __repr__(self) -> str:
        return self.words


def opening(study: Study | None = None) -> Output:
    """Which release and protocol the notebook reads; brings the fonts and styles that all later outputs use."""
    # Jupyter styles tables and paragraphs itself; repeating the class makes our rules weigh more than its own
    page = html.stylesheet().replace(":root {", "& {").replace("body {", "& {")
    scoped = f"tbody tr {{ background: none }} p {{ max-width: var(--measure) }}\n{page}"
    style = f"<style>{html.font_faces()}\n.{_SCOPE}.{_SCOPE}.{_SCOPE} {{\n{scoped}\n}}</style>"
    said = _said(study) if study else ""
    card = f'<p class="kicker">{escape(said)}</p>' if said else ""
    return Output(f'{style}{card}<p class="notice">{escape(NOTICE)}</p>', f"{said} {NOTICE}".strip())


def _said(study: Study) -> str:
    release = study.release_fact("release") or "unnamed release"
    return f"Release {release}, protocol {study.protocol.name} {study.protocol.version}."


def show(*parts: Section | Block, only: Literal["figures", "tables"] | None = None) -> Output:
    """Sections or blocks of the report as the output of a cell, all of them or `only` their figures or tables."""
    kinds = {"figures": Figure, "tables": Table, None: object}[only]
    blocks = [block for block in _blocks(parts) if isinstance(block, kinds)]
    words = [block.title if isinstance(block, Figure | Table) else type(block).__name__ for block in blocks]
    return Output(html.render_blocks(blocks, f"n{next(_outputs)}-"), "; ".join(words))


def table(frame: pl.DataFrame, title: str, reading: str = "", decimals: int = 2, source: str = "") -> Table:
    """A small frame of estimates as a table: its columns' names are the headers, the first column leads each row.

    Args:
        frame: texts, or numbers that may be shown; counts of patients enter as texts from `study.gate.count`.
        title: what the table shows.
        reading: how to read it.
        decimals: of the numbers.
        source: the tables it was made from.
    """
    is_number = [dtype.is_numeric() for dtype in frame.dtypes]
    columns = [
        Column(name, "right" if number else "left") for name, number in zip(frame.columns, is_number, strict=True)
    ]
    rows = [Row(tuple(_cell(value, decimals) for value in row)) for row in frame.iter_rows()]
    return Table("", title, tuple(columns), tuple(rows), reading, source=source)


def _cell(value: object, decimals: int) -> content.Cell:
    if isinstance(value, float):
        return numbers.fixed(value, decimals)
    return numbers.ABSENT if value is None else str(value)


def _blocks(parts: Iterable[Section | Block]) -> Iterable[Block]:
    for part in parts:
        if isinstance(part, Section):
            yield from part.blocks
            yield from _blocks(part.parts)
        else:
            yield part
