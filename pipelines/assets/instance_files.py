"""The two files that tell Dagster how a home runs, kept up to date without losing what somebody wrote into them.

The head of each holds the SHA-256 of what follows, so that a file that another version of lss wrote is told from one
that was edited since.
"""

import hashlib
import logging
import re
from pathlib import Path

from pipelines.releases.home import write_whole

LOCATION = "lss"
MODULE = "pipelines.definitions"

_HEAD = "# Written by lss at every start; remove this line to keep changes of your own."
_STAMP = re.compile(rf"{re.escape(_HEAD)} \[([0-9a-f]{{64}})\]\n")
# what earlier versions wrote without a stamp, whole, by SHA-256
_EARLIER = {
    "7828f5e3db157b62851a4cf5fb4e5f5119a15e9cb9f0d48d3d650448f4252bf2",
    "f5b9e7c884a0ed2657e5e36ca80c865dec478428c2f0125e7b5f81693384e134",
    "938b4c4ee19d4b7451ab6f5697ca59d96be3640a453a3b650b7b260ba1cce659",
    "dcd40aa32eabe7a3c80f146a8495f59b72a694407ac750fb895dcc0d6ef6057a",
    "9ec7236b9b7fcab7a9f209670041d3b0893e91490b377996c1059ee9945306b9",
}
_EARLIER_HEADS = (_HEAD, "# Written by lss; read at every start.")

_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  python_log_level: CRITICAL
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
concurrency:
  runs:
    max_concurrent_runs: 1
run_retries:
  enabled: true
  max_retries: 0  # runs that nobody watches carry a tag that allows some
  retry_on_asset_or_op_failure: false
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
"""
_WORKSPACE = f"""\
load_from:
  - python_module:
      module_name: {MODULE}
      location_name: {LOCATION}
"""
SETTINGS_FILE, WORKSPACE_FILE = "dagster.yaml", "workspace.yaml"


def write_files(folder: Path) -> None:
    """Bring both files up to date.

    One whose first line is not ours is somebody's own and stays. One of ours that was edited is kept beside the new
    one, and a warning says so.
    """
    for name, body in ((SETTINGS_FILE, _SETTINGS), (WORKSPACE_FILE, _WORKSPACE)):
        path, text = folder / name, f"{_HEAD} [{_sha256(body)}]\n{body}"
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == text or (found and not _is_ours(found)):
            continue
        if found and not _is_as_written(found):
            _keep(path, found)
        write_whole(path, text.encode())


def _is_ours(text: str) -> bool:
    return text.startswith(_EARLIER_HEADS) or _is_as_written(text)


def _is_as_written(text: str) -> bool:
    stamp = _STAMP.match(text)
    if stamp:
        return _sha256(text[stamp.end() :]) == stamp[1]
    return _sha256(text) in _EARLIER


def _keep(path: Path, text: str) -> None:
    kept = path.with_name(f"{path.name}.edited-{_sha256(text)[:8]}")
    write_whole(kept, text.encode())
    logging.getLogger("lss").warning(
        f"{path} was edited and is written anew, the edited one is kept as {kept.name}; "
        "to keep changes of your own in force, remove its first line"
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
