"""Rendered notebooks in a real browser, at desktop and phone width: accessible, no overlaps, nothing fetched."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from chromium import chromium, overlaps, violations
from nbconvert import HTMLExporter
from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOLDER = Path(__file__).parents[2] / "notebooks"
CHARTS = {"1": 1, "2": 2, "3": 1, "4": 2, "5": 1}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_page_is_accessible_fits_a_phone_and_draws_its_charts_offline(
    path: Path, executed: Callable[[Path], nbformat.NotebookNode], browser: Browser, tmp_path: Path
) -> None:
    exporter = HTMLExporter(extra_template_basedirs=[str(FOLDER)], template_name="page")  # as `make notebooks` does
    html, _ = exporter.from_notebook_node(executed(path))
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    for width in (1280, 390):
        page = browser.new_page(viewport={"width": width, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        assert page.locator(".js-plotly-plot").count() == CHARTS[path.stem[0]]
        assert violations(page) == []
        assert overlaps(page, ".js-plotly-plot, figure.drawing svg") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        page.close()
