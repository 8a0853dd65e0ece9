"""`lss ui` as a user starts it: webserver and daemon in processes of their own, ended when the block ends."""

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from mailbox_server import free_port

from pipelines.releases import Home


@dataclass(frozen=True)
class Ui:
    """A running `lss ui`."""

    address: str
    process: "subprocess.Popen[str]"
    printed: IO[str]
    complained: IO[str]

    def wait(self, until: Callable[[], object], seconds: float) -> None:
        """Wait until something holds, as long as the command lives."""
        end = time.monotonic() + seconds
        while not until():
            assert self.process.poll() is None, self.err
            assert time.monotonic() < end, "what was waited for did not come in time"
            time.sleep(0.5)

    def is_served(self) -> bool:
        """Whether the webserver answers."""
        try:
            urllib.request.urlopen(f"{self.address}/server_info", timeout=5).close()
        except OSError:
            return False
        return True

    def end(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)

    @property
    def out(self) -> str:
        """What it printed so far."""
        return _whole(self.printed)

    @property
    def err(self) -> str:
        """What it said of trouble so far."""
        return _whole(self.complained)


@contextmanager
def lss_ui(lss_command: Callable[..., list[str]], home: Home) -> Iterator[Ui]:
    """`lss ui` on a home, for the block; `lss_command` is the fixture of that name."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:  # a pipe that nobody reads fills up
        process = subprocess.Popen(
            lss_command("--home", home.path, "ui", "--port", str(port)),
            stdout=out,
            stderr=err,
            text=True,
            env=os.environ | {"LSS_THREADS": "1"},
            start_new_session=True,
        )
        ui = Ui(f"http://127.0.0.1:{port}", process, out, err)
        try:
            yield ui
        finally:
            ui.end()


def _whole(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
