"""The README's pictures, from the bundled synthetic release: `make images`.

Takes a home in which `lss demo` and `make notebooks` have run, photographs its pages in Chromium and keeps the pictures
small. Needs Chromium; patients of the sample are simulated.
"""

import io
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
MOST_BYTES = 300_000
PATIENCE_S = 300
ASSET = "outcomes/walking_outcomes"


def main(home: Path) -> None:
    """Make all pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed; the pictures are taken in it")
    reports = home / "reports" / "sample" / "lss-ladder"
    with served(home) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 900, "height": 1180})
        page.set_default_timeout(1000 * PATIENCE_S)
        open_file(page, reports / "report.html")
        keep(page, "report")
        site = next(iter(sorted((reports / "sites").glob("*.html"))), None)
        if site is not None:
            open_file(page, site)
            keep(page, "site")
        open_file(page, home / "notebooks" / "2_pain_and_walking.html")
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        page.locator(".js-plotly-plot").first.evaluate("chart => chart.scrollIntoView({block: 'center'})")
        keep(page, "notebook")
        page.set_viewport_size({"width": 1320, "height": 820})
        page.goto(f"{address}/assets/{ASSET}")
        page.get_by_text("Walking tests with change and ceiling flags").first.wait_for()
        keep(page, "asset")
        page.goto(f"{address}/asset-groups")
        page.get_by_text("outcomes", exact=True).first.wait_for()
        keep(page, "lineage")
        browser.close()


def open_file(page: Page, path: Path) -> None:
    """Open a page that lies on the disk."""
    page.goto(path.as_uri())
    page.evaluate("document.fonts.ready.then(() => null)")


def keep(page: Page, name: str) -> None:
    """Photograph what stands in the window; fewer colours make it small."""
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = HERE / f"{name}.png"
    for colours in (128, 64, 32):
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            break
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


@contextmanager
def served(home: Path) -> Iterator[str]:
    """`lss ui` on the home, for the block; gives its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    lss = [sys.executable, "-c", "from pipelines.cli import main; main()", "--home", str(home)]
    process = subprocess.Popen([*lss, "ui", "--port", str(port)], stdout=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/server_info", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit("the UI did not come up")
                time.sleep(0.5)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
