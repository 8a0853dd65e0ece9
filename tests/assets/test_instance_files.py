"""Homes of earlier versions are brought up to date, and what somebody wrote into the files is not lost."""

import logging
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from pipelines.assets.instance_files import SETTINGS_FILE, WORKSPACE_FILE, write_files

# what the first version wrote, letter by letter
FIRST_WORKSPACE = """\
load_from:
  - python_module:
      module_name: pipelines.definitions
      location_name: lss
"""
FIRST_SETTINGS = """\
# Written by lss; read at every start.
telemetry:
  enabled: false
python_logs:
  python_log_level: CRITICAL
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
concurrency:
  runs:
    max_concurrent_runs: 1
"""


def _settings(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / SETTINGS_FILE).read_text())


def test_files_of_an_earlier_version_are_written_anew(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(FIRST_SETTINGS)
    (tmp_path / WORKSPACE_FILE).write_text(FIRST_WORKSPACE)
    write_files(tmp_path)
    assert _settings(tmp_path)["run_retries"]["enabled"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == [SETTINGS_FILE, WORKSPACE_FILE]


def test_a_file_of_a_later_version_is_written_anew_too(tmp_path: Path) -> None:
    write_files(tmp_path)
    path = tmp_path / SETTINGS_FILE
    body = "telemetry:\n  enabled: true\n"
    head = path.read_text().splitlines()[0].split(" [")[0]
    path.write_text(f"{head} [{sha256(body.encode()).hexdigest()}]\n{body}")
    write_files(tmp_path)
    assert _settings(tmp_path)["telemetry"] == {"enabled": False}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_an_edited_file_is_kept_beside_the_new_one(
    tmp_path: Path, is_first: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("lss"), "propagate", True)
    path = tmp_path / SETTINGS_FILE
    if is_first:
        path.write_text(FIRST_SETTINGS)
    else:
        write_files(tmp_path)
    edited = path.read_text().replace("max_concurrent_runs: 1", "max_concurrent_runs: 4")
    path.write_text(edited)
    write_files(tmp_path)
    assert _settings(tmp_path)["concurrency"] == {"runs": {"max_concurrent_runs": 1}}
    [kept] = tmp_path.glob(f"{SETTINGS_FILE}.edited-*")
    assert kept.read_text() == edited
    [said] = [record.getMessage() for record in caplog.records]
    assert said.endswith("to keep changes of your own in force, remove its first line")
    write_files(tmp_path)
    assert len(caplog.records) == 1


def test_a_file_without_our_first_line_stays(tmp_path: Path) -> None:
    path = tmp_path / SETTINGS_FILE
    path.write_text("telemetry:\n  enabled: false\n")
    write_files(tmp_path)
    assert path.read_text() == "telemetry:\n  enabled: false\n"
