"""How wide a table's columns must be on paper, measured in the font that the table is set in.

A table is as wide as its content needs, so that the eye need not travel; one that nearly fills the page fills it, and
in one that is wider than the page words wrap, figures do not.
"""

from collections.abc import Sequence
from functools import cache

from fontTools.ttLib import TTFont

from pipelines.reports import style
from pipelines.reports.content import Column, Row, Table

_POINT_MM = 25.4 / 72
_PAGE_MM = style.WIDE_MM
_NEARLY_FULL = 0.8
_UNKNOWN_EM = 0.8  # a letter that the font lacks is set in another
_WORDS_MM = 64.0  # a first column of words is no wider while it can wrap
_OTHER_WORDS_MM = 56.0


def type_size(table: Table) -> float:
    """Points of a table's type: smaller where there are many columns."""
    return 6.7 if len(table.columns) > 8 else 7.1 if len(table.columns) > 5 else 7.6


def cell_gap(table: Table) -> float:
    """Millimetres between the texts of two columns."""
    return 1.4 if len(table.columns) > 8 else 2.4


def text_width(text: str, points: float, is_bold: bool = False) -> float:
    """Width of a line in millimetres, with figures that are all equally wide."""
    ems = _letter_widths("SemiBold" if is_bold else "Regular")
    return sum(ems.get(letter, _UNKNOWN_EM) for letter in text) * points * _POINT_MM


def column_widths(table: Table) -> list[float]:
    """Width of each column in millimetres; together no wider than the page."""
    body = [row for row in table.rows if row.kind != "group"]
    wanted, least = [], []
    for place, column in enumerate(table.columns):
        narrow, wide = _limits(table, body, place, column)
        least.append(narrow)
        wanted.append(wide)
    total = sum(wanted)
    if _NEARLY_FULL * _PAGE_MM < total <= _PAGE_MM:
        return [round(width * _PAGE_MM / total, 2) for width in wanted]
    return [round(width, 2) for width in _squeezed(wanted, least)]


def _limits(table: Table, body: Sequence[Row], place: int, column: Column) -> tuple[float, float]:
    """The least and the wanted width of a column: its longest word, and its longest text."""
    points, gap = type_size(table), cell_gap(table) + 0.1
    texts = [(str(row.cells[place]), row.kind == "total") for row in body]
    indents = [2.4 * row.indent if place == 0 else 0.0 for row in body]
    lines = [i + text_width(t, points, b) for (t, b), i in zip(texts, indents, strict=True)]
    heads = [text_width(word, points, is_bold=True) for word in column.header.split()]
    head, whole = max(heads, default=0.0), max([*lines, 0.0])
    if column.align != "left":
        return (max(whole, head) + gap,) * 2
    words = [i + text_width(w, points, b) for (t, b), i in zip(texts, indents, strict=True) for w in t.split()]
    most = _WORDS_MM if place == 0 else _OTHER_WORDS_MM
    least = max([*words, head])
    title = min(text_width(column.header, points, is_bold=True), most)
    return least + gap, max(min(whole, most), title, least) + gap


def _squeezed(wanted: list[float], least: list[float]) -> list[float]:
    """Widths that fit the page: what can wrap gives way first, each column by its share of what it can spare."""
    excess = sum(wanted) - _PAGE_MM
    if excess <= 0:
        return wanted
    spare = sum(wanted) - sum(least)
    share = min(1.0, excess / spare) if spare else 0.0
    given = [w - share * (w - narrow) for w, narrow in zip(wanted, least, strict=True)]
    scale = min(1.0, _PAGE_MM / sum(given))
    return [width * scale for width in given]


@cache
def _letter_widths(cut: str) -> dict[str, float]:
    """Advance of each letter in em; of figures and points their tabular forms (OpenType feature `tnum`)."""
    font = TTFont(style.FONTS / f"Inter-{cut}.otf", lazy=True)
    unit = font["head"].unitsPerEm
    tabular = _substitutes(font, "tnum")
    return {chr(code): font["hmtx"][tabular.get(glyph, glyph)][0] / unit for code, glyph in font.getBestCmap().items()}


def _substitutes(font: TTFont, feature: str) -> dict[str, str]:
    """The glyphs that a feature puts in the place of others, one for one."""
    rules = font["GSUB"].table
    places = {i for f in rules.FeatureList.FeatureRecord if f.FeatureTag == feature for i in f.Feature.LookupListIndex}
    found: dict[str, str] = {}
    for place in sorted(places):
        for table in rules.LookupList.Lookup[place].SubTable:
            found |= getattr(table, "ExtSubTable", table).mapping
    return found
