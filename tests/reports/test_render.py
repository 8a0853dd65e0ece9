"""Both renderings read back: structure and accessibility of the page, text and fonts of the PDF."""

import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from matplotlib.font_manager import get_font
from pypdf import PdfReader

from pipelines.protocol import Protocol
from pipelines.reports import build_report, render_html, render_pdf, style
from pipelines.reports.content import Document, Figure, Table, exhibits
from pipelines.reports.widths import column_widths, text_width


@pytest.fixture(scope="module")
def document(large_document: Document) -> Document:
    return large_document


@pytest.fixture(scope="module")
def page(document: Document) -> str:
    return render_html(document)


@pytest.fixture(scope="module")
def pdf(document: Document) -> bytes:
    return render_pdf(document)


class Page(HTMLParser):
    """Tags with their attributes, in order, and the text outside drawings and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._silent = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("style", "svg")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "svg")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text.append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def read_back(page: str) -> Page:
    return Page(page)


def test_the_page_needs_nothing_beside_it(page: str, read_back: Page) -> None:
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)
    assert not read_back.all("script", "link", "img", "iframe")
    assert page.count("@font-face") == 3


def test_landmarks_headings_and_language(read_back: Page) -> None:
    assert [len(read_back.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1, 1, 1, 1, 1]
    assert read_back.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in read_back.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_identifiers_are_unique_and_links_arrive(read_back: Page) -> None:
    names = [attributes["id"] for _, attributes in read_back.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for attributes in read_back.all("a"):
        assert str(attributes["href"]).removeprefix("#") in names


def test_every_table_has_caption_and_scopes(read_back: Page, document: Document) -> None:
    tables = sum(isinstance(e, Table) for e in exhibits(document.sections))
    assert len(read_back.all("table")) == len(read_back.all("caption")) == tables
    assert all(attributes.get("scope") in ("col", "colgroup", "row", "rowgroup") for attributes in read_back.all("th"))


def test_every_drawing_is_an_image_with_an_alternative_text(read_back: Page) -> None:
    drawings = read_back.all("svg")
    assert len(drawings) > 12
    assert all(a["role"] == "img" and len(str(a["aria-label"])) > 30 for a in drawings)


def test_the_page_says_what_the_document_says(read_back: Page, document: Document) -> None:
    text = re.sub(r"\s+", " ", "".join(read_back.text))
    for exhibit in exhibits(document.sections):
        assert re.sub(r"\s+", " ", exhibit.title) in text
        if isinstance(exhibit, Table):
            for row in exhibit.rows:
                for cell in row.cells:
                    assert re.sub(r"\s+", " ", str(cell)) in text


def test_wording_cannot_break_the_page(protocol: Protocol, large_cohort) -> None:  # type: ignore[no-untyped-def]
    sly = protocol.model_copy(update={"title": "<script>alert(1)</script> & more"})
    page = render_html(build_report(large_cohort.read, sly))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_the_pdf_has_our_fonts_tags_title_and_a4_pages(pdf: bytes, document: Document) -> None:
    reader = PdfReader(io.BytesIO(pdf))
    assert 8 <= len(reader.pages) <= 40
    assert [round(float(x)) for x in reader.pages[0].mediabox[2:]] == [595, 842]
    assert reader.metadata is not None
    assert reader.metadata.title == f"{document.subtitle}: {document.title}"
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    fonts = {
        str(font.get_object()["/BaseFont"]).split("+")[-1]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()
    }
    assert any(name.startswith("Inter") for name in fonts)
    assert all(name.startswith(("Inter", "NewCMMath")) for name in fonts)


def test_the_pdf_says_what_the_document_says(pdf: bytes, document: Document) -> None:
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    squeezed = re.sub(r"\s+", "", text)
    for exhibit in exhibits(document.sections):
        assert re.sub(r"\s+", "", exhibit.title) in squeezed, exhibit.anchor
    for sentence in ("What was found", "How sure", "What needs review"):
        assert re.sub(r"\s+", "", sentence) in squeezed


def test_numbers_in_drawings_are_text_in_the_pdf(pdf: bytes, document: Document) -> None:
    figure = next(e for e in exhibits(document.sections) if isinstance(e, Figure) and e.anchor == "figure-pain")
    numbers = re.findall(r">([\d,]{3,})</text>", figure.panels[0].svg)
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    assert numbers
    assert all(number in text for number in numbers)


def test_two_renderings_are_the_same_bytes(document: Document, page: str, pdf: bytes) -> None:
    assert render_html(document) == page
    assert render_pdf(document) == pdf


def test_no_heading_stands_alone_at_the_foot_of_a_page(pdf: bytes, document: Document) -> None:
    titles = {re.sub(r"\s+", "", section.title) for section in document.sections}
    for page in PdfReader(io.BytesIO(pdf)).pages:
        lines = [re.sub(r"\s+", "", line) for line in page.extract_text().splitlines() if line.strip()]
        body = [line for line in lines if not line.startswith("Association,notcausation") and "of" not in line[-8:]]
        assert body[-1] not in titles


@pytest.mark.parametrize("anchor", ["table-1", "table-sites", "table-contrasts", "table-thresholds"])
def test_tables_fit_the_page(document: Document, anchor: str) -> None:
    table = next(e for e in exhibits(document.sections) if isinstance(e, Table) and e.anchor == anchor)
    widths = column_widths(table)
    assert sum(widths) <= 176.5
    assert min(widths) > 4


def test_figures_and_traces_have_room_on_one_line(document: Document, pdf: bytes) -> None:
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    table = next(e for e in exhibits(document.sections) if isinstance(e, Table) and e.anchor == "table-contrasts")
    traces = [str(row.cells[-1]) for row in table.rows if row.kind == "body"]
    assert len(traces) > 3
    assert all(trace in text for trace in traces)


def test_a_text_is_as_wide_as_another_engine_finds_it() -> None:
    """FreeType, through matplotlib, measures what has no figures; kerning takes a little off there."""
    words = "Cumulative incidence with death competing"
    for cut, is_bold in (("Regular", False), ("SemiBold", True)):
        font = get_font(str(style.FONTS / f"Inter-{cut}.otf"))
        font.set_size(10, 7200)
        font.set_text(words, 0.0)
        expected = font.get_width_height()[0] / 64 / 7200 * 25.4
        assert text_width(words, 10, is_bold) == pytest.approx(expected, rel=0.02)
    assert text_width("0123456789", 10) == pytest.approx(10 * text_width("8", 10))
