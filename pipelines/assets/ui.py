"""The webserver and the daemon behind `lss ui`, as one child process that ends when we do.

What they show is gathered in `definitions.py`.
"""

import os
import signal
import socket
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from pipelines.assets.alive import fail_all_dead_runs
from pipelines.assets.errors import StageError
from pipelines.assets.instance import open_instance, workspace_file
from pipelines.assets.instance_files import LOCATION
from pipelines.assets.jobs import JOB
from pipelines.releases import Home
from pipelines.releases.home import HOME_VARIABLE

_LOOK_S = "600"  # how long a look into the inbox may take; hashing a large release needs its time
_PATIENCE_S = 10  # how long the children may take to end on their own


def job_page(host: str, port: int) -> str:
    """The address of the job's page."""
    return f"http://{host}:{port}/locations/{LOCATION}/jobs/{JOB}"


def serve(home: Home, host: str, port: int) -> int:
    """Run Dagster's UI and daemon on a home folder until they end or are stopped; returns the exit code.

    The home may be empty: the instance is made first, so that the processes do not race on making it.

    Raises:
        StageError: the port is taken or the address is not one of this machine.
    """
    _require_free(host, port)
    instance = open_instance(home)
    fail_all_dead_runs(instance, home)
    instance.dispose()
    environment = os.environ | {
        HOME_VARIABLE: str(home.path),
        "DAGSTER_HOME": str(home.dagster),
        "PYTHONWARNINGS": "ignore",  # Dagster warns of its own commands
        "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": _LOOK_S,
    }
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(workspace_file(home))]
    command += ["--host", host, "--port", str(port), "--log-level", "error"]
    # a group of its own: a Ctrl-C reaches us alone, and we end the whole group
    child = subprocess.Popen(command, env=environment, cwd=home.dagster, start_new_session=True)
    try:
        for kind in (signal.SIGINT, signal.SIGTERM):  # polars' own handler of a Ctrl-C would leave us waiting
            signal.signal(kind, _interrupt)
        return child.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(child)


def _require_free(host: str, port: int) -> None:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        raise StageError(f"cannot listen on {host}, port {port}; name a free one with --port") from None


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole group, politely first."""
    for kind in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(child.pid, kind)
            child.wait(_PATIENCE_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
