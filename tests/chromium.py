"""Chromium for tests that look at pages as a reader does, and axe-core, which finds what keeps some readers out."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the block; the test skips where Chromium is not installed."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def violations(page: Page) -> list[tuple[str, int, str]]:
    """What axe-core finds on the page: the rule, how many elements break it, and the beginning of the first."""
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [(rule["id"], len(rule["nodes"]), rule["nodes"][0]["html"][:120]) for rule in found]


def overlaps(page: Page, drawings: str) -> list[list[str]]:
    """Pairs of texts in one drawing that overlap by more than a hair, and texts that leave their drawing.

    `drawings` is the CSS selector of the drawings.
    """
    found: list[list[str]] = page.evaluate(_OVERLAPS, drawings)
    return found


_OVERLAPS = """drawings => {
  const found = [];
  for (const drawing of document.querySelectorAll(drawings)) {
    const name = (drawing.getAttribute('aria-label') || drawing.id).slice(0, 40);
    const frame = drawing.getBoundingClientRect();
    const texts = [...drawing.querySelectorAll('text')].filter(t => t.textContent.trim())
      .map(t => [t.textContent.trim(), t.getBoundingClientRect()]);
    for (const [text, box] of texts)
      if (box.left < frame.left - 3 || box.right > frame.right + 3 ||
          box.top < frame.top - 3 || box.bottom > frame.bottom + 3)
        found.push([name, text, 'leaves the drawing']);
    for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
      const [a, b] = [texts[i][1], texts[j][1]];
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 1.5 && y > 0.45 * Math.min(a.height, b.height)) found.push([name, texts[i][0], texts[j][0]]);
    }
  }
  return found;
}"""
