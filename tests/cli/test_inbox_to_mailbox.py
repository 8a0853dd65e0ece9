"""From an empty home: `lss ui`, a release dropped into the inbox, and its report arrives with nobody touching anything.

A real webserver, daemon and mail server on this machine. What the sensor says of each folder is in `tests/assets/`.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from mailbox_server import Mailbox, mail_server
from ui_server import lss_ui

from pipelines.ingest.manifest import load_manifest
from pipelines.releases import Home
from pipelines.resources import sample_release
from pipelines.simulate import simulate

pytestmark = pytest.mark.slow
PATIENCE_S = 420


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as made:
        yield made


def _drop(release: Path, inbox: Path, name: str) -> None:
    """Copy as a file server does: file by file, the manifest first: it is long there before it is whole."""
    folder = inbox / name
    folder.mkdir()
    for path in sorted(release.iterdir(), key=lambda path: path.name != "manifest.toml"):
        if path.name != "truth.json":
            shutil.copy(path, folder)


def _without_a_column(release: Path, folder: Path) -> Path:
    """The release under another name, its patients without a column and its manifest right about that."""
    shutil.copytree(release, folder)
    patients = folder / "patients.csv"
    pl.read_csv(patients, infer_schema=False).drop("sex").write_csv(patients)
    manifest = folder / "manifest.toml"
    old = hashlib.sha256((release / "patients.csv").read_bytes()).hexdigest()
    new = hashlib.sha256(patients.read_bytes()).hexdigest()
    name = load_manifest(release).release
    text = manifest.read_text(encoding="utf-8").replace(old, new).replace(f'release = "{name}"', 'release = "winter"')
    manifest.write_text(text, encoding="utf-8")
    return folder


def test_a_release_dropped_into_the_inbox_is_reported_delivered_and_mailed(
    tmp_path: Path, box: Mailbox, lss_command: Any
) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.settings_file.write_text(f"[inbox]\nlook_every_s = 1\n{box.settings}")
    other = simulate(tmp_path / "sample", 20, 6, truth_patients=0)
    with lss_ui(lss_command, home) as ui:
        inbox = home.path / "inbox"
        ui.wait(inbox.is_dir, PATIENCE_S)
        _drop(sample_release(), inbox, "autumn")
        ui.wait(lambda: box.messages, PATIENCE_S)
        _drop(other, inbox, "late")  # another cohort under the same name
        ui.wait(lambda: len(box.messages) > 1, PATIENCE_S)
        _drop(_without_a_column(other, tmp_path / "spoilt"), inbox, "winter")  # whole, and refused by its run
        ui.wait(lambda: len(box.messages) > 2, PATIENCE_S)
        ui.end()
        out, err = ui.out, ui.err
    assert [line for line in err.splitlines() if line not in ("", "Aborted!")] == [
        "lss: late is refused: a release named sample with other content is registered here; "
        "give the new extract another name in its manifest, or use another home folder."
    ]
    assert f"inbox: {inbox}" in out
    report, notice, failure = box.messages
    assert failure["Subject"] == "Release winter needs attention: reading the release"
    assert "Run lss check on its folder to see why" in failure.get_content()
    delivered = home.path / "delivered" / "sample" / "lss-ladder"
    assert (report["To"], report["Subject"]) == ("committee@example.org", "Committee report, release sample")
    [attached] = list(report.iter_attachments())
    assert attached.get_filename() == "committee-report-sample.pdf"
    assert attached.get_content() == (delivered / "report.pdf").read_bytes()
    assert "release sample" in (delivered / "report.html").read_text(encoding="utf-8")
    assert (notice["To"], notice["Subject"]) == ("steward@example.org", "Release late needs attention: the inbox")
    assert "give the new extract another name in its manifest" in notice.get_content()
    assert len(json.loads(home.deliveries_file.read_text())) == 6  # folder and mail, of the report and of two notices
