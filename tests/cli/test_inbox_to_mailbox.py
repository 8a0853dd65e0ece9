"""From an empty home: `lss ui`, a release dropped into the inbox, and its report arrives with nobody touching anything.

A real webserver, daemon and mail server on this machine. What the sensor says of each folder is in `tests/assets/`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from pipelines.releases import Home
from pipelines.resources import sample_release
from pipelines.simulate import simulate

pytestmark = pytest.mark.slow
PATIENCE_S = 420


@dataclass
class Mailbox:
    """What a mail server received."""

    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 kept"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=_free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _until(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < end, "nothing came in time"
        time.sleep(0.5)


def _drop(release: Path, inbox: Path, name: str) -> None:
    """Copy as a file server does: file by file, the manifest first: it is long there before it is whole."""
    folder = inbox / name
    folder.mkdir()
    for path in sorted(release.iterdir(), key=lambda path: path.name != "manifest.toml"):
        if path.name != "truth.json":
            shutil.copy(path, folder)


def test_a_release_dropped_into_the_inbox_is_reported_delivered_and_mailed(
    tmp_path: Path, mailbox: tuple[Mailbox, int], lss_command: Any
) -> None:
    box, mail_port = mailbox
    home = Home(tmp_path / "home")
    home.path.mkdir()
    home.settings_file.write_text(
        "[inbox]\nlook_every_s = 1\n"
        f'[mail]\nhost = "127.0.0.1"\nport = {mail_port}\nsecurity = "none"\nsender = "lss@example.org"\n'
        'committee = ["committee@example.org"]\nstewards = ["steward@example.org"]\n'
    )
    other = simulate(tmp_path / "sample", 20, 6, truth_patients=0)
    process = subprocess.Popen(
        lss_command("--home", home.path, "ui", "--port", str(_free_port())),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LSS_THREADS": "1"},
        start_new_session=True,
    )
    try:
        inbox = home.path / "inbox"
        _until(inbox.is_dir, process)
        _drop(sample_release(), inbox, "autumn")
        _until(lambda: box.messages, process)
        _drop(other, inbox, "late")  # another cohort under the same name
        _until(lambda: len(box.messages) > 1, process)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert [line for line in err.splitlines() if line not in ("", "Aborted!")] == [
        "lss: late is refused: a release named sample with other content is registered here; "
        "give the new extract another name in its manifest, or use another home folder."
    ]
    assert f"inbox: {inbox}" in out
    report, notice = box.messages
    delivered = home.path / "delivered" / "sample" / "lss-ladder"
    assert (report["To"], report["Subject"]) == ("committee@example.org", "Committee report, release sample")
    [attached] = list(report.iter_attachments())
    assert attached.get_filename() == "committee-report-sample.pdf"
    assert attached.get_content() == (delivered / "report.pdf").read_bytes()
    assert "release sample" in (delivered / "report.html").read_text(encoding="utf-8")
    assert (notice["To"], notice["Subject"]) == ("steward@example.org", "Release late needs attention: the inbox")
    assert "give the new extract another name in its manifest" in notice.get_content()
    assert len(json.loads(home.deliveries_file.read_text())) == 4  # folder and mail, of the report and of the notice
