"""The page in a real browser: no accessibility violation, and nothing wider than a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import chromium, overlaps, violations
from playwright.sync_api import Browser

from pipelines.reports import Study, render_html, site_report
from pipelines.reports.content import Document

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, large_document: Document) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(large_document), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def site_address(tmp_path_factory: pytest.TempPathFactory, large_study: Study) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "site.html"
    path.write_text(render_html(site_report(large_study, "S05")), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(address)
    found = violations(page)
    page.close()
    assert found == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_sites_page_is_as_accessible_and_fits(browser: Browser, site_address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(site_address)
    found = violations(page)
    reach = page.evaluate("document.documentElement.scrollWidth")
    touching = overlaps(page, "figure.drawing svg")
    page.close()
    assert (found, reach <= width, touching) == ([], True, [])


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1600])
def test_the_page_never_scrolls_sideways(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(address)
    reach = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert reach <= width


def test_labels_in_drawings_do_not_overlap_or_leave_the_drawing(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(address)
    found = overlaps(page, "figure.drawing svg")
    page.close()
    assert found == []
