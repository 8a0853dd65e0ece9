"""Dagster's UI as a researcher meets it, in a real browser: `lss ui` on a home with one finished release.

The webserver and the daemon are real, and so is the run that the launchpad starts.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as TookTooLong
from ui_server import lss_ui

from pipelines.assets.report_files import PICTURES_FILE
from pipelines.protocol import load_protocol
from pipelines.releases import Home
from pipelines.resources import default_protocol_file

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ATTEMPTS, STEP_S = 4, 45
PATIENCE_S = 240  # a machine that runs other tests beside this one is slow
ASSET = "results/cumulative_incidence"
OVERRIDES = {"primary.endpoint_horizon_days": 548, "primary.horizons_days": [365, 548]}
CONFIG = """\
resources:
  study:
    config:
      overrides: {primary: {endpoint_horizon_days: 548, horizons_days: [365, 548]}}
"""


@pytest.fixture(scope="module")
def home(sample_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The sample's home, ours to change."""
    return Home(Path(shutil.copytree(sample_run.home.path, tmp_path_factory.mktemp("ui") / "home")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(browser: Browser, home: Home, lss_command: Any) -> Iterator[str]:
    """Where `lss ui` listens; it is not started where there is no browser to look at it."""
    with lss_ui(lss_command, home) as ui:
        ui.wait(ui.is_served, PATIENCE_S)
        yield ui.address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 1400, "height": 900})
    made.set_default_timeout(1000 * PATIENCE_S)
    yield made
    made.close()


def test_the_definition_of_the_walking_outcome_is_two_clicks_away(page: Page, address: str) -> None:
    page.goto(f"{address}/locations/lss/jobs/release_to_report")  # what `lss ui` prints
    clicks = [
        lambda: page.get_by_text("Search", exact=True).click(),
        lambda: page.get_by_text("outcomes / walking_outcomes").click(),
    ]
    clicks[0]()
    page.keyboard.type("walking")
    clicks[1]()
    page.get_by_text("Walking tests with change and ceiling flags").first.wait_for()
    assert len(clicks) <= 3
    shown = expect(page.locator("body"))  # waits: parts of the page come one after the other
    for said in (
        'A test at its cap only says "at least this far"',  # the rule
        "baseline_value AS baseline_distance_m",  # its SQL
        "Patient and number of the episode",  # its columns
        "Row count",
    ):
        shown.to_contain_text(said, use_inner_text=True, timeout=60_000)


def test_one_asset_with_another_horizon_from_the_launchpad_is_stamped_and_not_published(
    page: Page, address: str, home: Home
) -> None:
    bundled = load_protocol(default_protocol_file())
    published = home.snapshot_file("sample", bundled.name)
    before = published.read_bytes()
    report = home.report_folder("sample", bundled.name)
    reported = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    assert "By 24 months" in json.loads((report / PICTURES_FILE).read_bytes())["results.cumulative_incidence"]
    _launch_again_if_lost(page, address)
    page.get_by_text(re.compile(r"^(Success|Failure)$")).first.wait_for()
    assert page.get_by_text("Success", exact=True).count(), page.inner_text("body")
    page.goto(f"{address}/assets/{ASSET}")
    page.get_by_text("no: keys of the protocol were changed for this run").wait_for()
    assert bundled.with_overrides(OVERRIDES).hash in page.inner_text("body")
    shown = _pictures(page)
    assert "By 18 months" in shown
    assert "By 24 months" not in shown
    assert published.read_bytes() == before
    assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == reported


def _launch_again_if_lost(page: Page, address: str) -> None:
    """Launch, from the start again where a click or a key came before the page was ready for it."""
    page.set_default_timeout(1000 * STEP_S)
    for attempt in range(ATTEMPTS):
        try:
            _launch(page, address)
            break
        except TookTooLong:
            if attempt == ATTEMPTS - 1:
                raise
    page.set_default_timeout(1000 * PATIENCE_S)


def _launch(page: Page, address: str) -> None:
    page.goto(f"{address}/assets/{ASSET}")
    page.locator('button[role=button]:right-of(button:has-text("Materialize"))').first.click()
    page.get_by_text("Open launchpad").click()
    page.get_by_placeholder("Partition").first.click()
    page.keyboard.type("sample")
    page.keyboard.press("Enter")
    page.get_by_text("partition: sample").wait_for()
    page.locator(".CodeMirror").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(CONFIG)
    page.locator('button:has-text("Materialize"):not(:has-text("…"))').last.click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))


def _pictures(page: Page) -> str:
    """What the asset's page shows in figures and tables, once the drawing stands there."""
    page.get_by_text("[Show Markdown]").first.click()
    drawing = page.locator('img[src^="data:image/svg+xml"]').first
    drawing.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth > 300", arg=drawing.element_handle())
    words: str = page.locator(".dagster-portal").last.inner_text()
    page.keyboard.press("Escape")
    drawing.wait_for(state="detached")
    return words
