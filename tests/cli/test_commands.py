"""The command as a user meets it: help, wrong usage, refusals, exit codes. Whole runs are in test_sample.py."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.releases import Home, Register, Release
from pipelines.resources import default_protocol_file, sample_release

COMMANDS = (
    "demo",
    "run",
    "check",
    "recall",
    "simulate",
    "validate",
    "report",
    "diff",
    "verify",
    "deliver",
    "export",
    "ui",
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A copy of the sample release that a test may spoil."""
    folder = tmp_path / "release"
    shutil.copytree(sample_release(), folder)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder in use."""
    folder = tmp_path / "home"
    (folder / "snapshots" / "spring").mkdir(parents=True)
    (folder / "snapshots" / "spring" / "lss.duckdb").write_bytes(b"published")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _rewrite(folder: Path, table: str, change: Callable[[bytes], bytes]) -> None:
    """Change a table and write its new hash into the manifest."""
    path, manifest = folder / f"{table}.csv", folder / "manifest.toml"
    before = path.read_bytes()
    after = change(before)
    assert after != before
    path.write_bytes(after)
    old, new = (hashlib.sha256(content).hexdigest() for content in (before, after))
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def _set_first(column: str, value: bytes) -> Callable[[bytes], bytes]:
    """Put a value into a column of the first row."""

    def change(content: bytes) -> bytes:
        header, first, *rest = content.split(b"\n")
        cells = first.split(b",")
        cells[header.decode().rstrip("\r").split(",").index(column)] = value
        return b"\n".join([header, b",".join(cells), *rest])

    return change


def _missing_column(folder: Path) -> None:
    def change(content: bytes) -> bytes:
        rows = [row.split(b",") for row in content.split(b"\n")]
        place = rows[0].index(b"bmi")
        return b"\n".join(b",".join(row[:place] + row[place + 1 :]) for row in rows)

    _rewrite(folder, "patients", change)


def _wrong_hash(folder: Path) -> None:
    path = folder / "events.csv"
    path.write_bytes(path.read_bytes() + b"\n")


def _ssn_column(folder: Path) -> None:
    def change(content: bytes) -> bytes:
        header, *rows = content.split(b"\n")
        return b"\n".join([header + b",ssn", *(row + b"," for row in rows if row)]) + b"\n"

    _rewrite(folder, "patients", change)


def _age_of_93(folder: Path) -> None:
    _rewrite(folder, "patients", _set_first("age_years", b"93"))


def _latin_1(folder: Path) -> None:
    _rewrite(folder, "patients", _set_first("site_id", "Zürich".encode("latin-1")))


SPOILED = {
    "a missing column": (_missing_column, r"patients\.csv.*bmi"),
    "a wrong hash": (_wrong_hash, r"events\.csv.*SHA-256"),
    "an ssn column": (_ssn_column, r"patients\.csv.*ssn"),
    "an age of 93": (_age_of_93, r"patients\.csv.*(90|age)"),
    "a Latin-1 file": (_latin_1, r"patients\.csv.*UTF-8"),
}


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_release_is_refused_in_a_sentence_and_nothing_is_written(
    lss, release: Path, home: Path, command: str, how: str
) -> None:
    spoil, said = SPOILED[how]
    spoil(release)
    before = _files(home)
    refused = lss(command, release, home=home)
    assert refused.code == 3
    assert refused.out == ""
    assert re.fullmatch(rf"lss: [^\n]*{said}[^\n]*\n", refused.err), refused.err
    assert _files(home) == before


def test_a_name_that_stands_for_other_content_is_refused(lss, release: Path, home: Path) -> None:
    Register(Home(home)).add(Release("sample", "/data/sample", "0" * 64, "lss-ladder"))
    before = _files(home)
    refused = lss("run", release, home=home)
    assert refused.code == 3
    assert "a release named sample with other content is registered here" in refused.err
    assert _files(home) == before


def test_an_accepted_release_is_summed_up_and_nothing_is_written(lss, release: Path, tmp_path: Path) -> None:
    done = lss("check", release, home=tmp_path / "none")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^patients +\d+ +\d+ +\d+ *$", done.out, re.MULTILINE)
    assert not (tmp_path / "none").exists()


def test_findings_are_written_where_asked_and_never_into_the_release(lss, release: Path, tmp_path: Path) -> None:
    before = _files(release)
    done = lss("check", release, "--findings", tmp_path / "findings.xlsx")
    assert done.code == 0
    assert re.search(
        rf"^findings: {re.escape(str(tmp_path))}/findings\.xlsx \([\d,]+ findings\)$", done.out, re.MULTILINE
    )
    assert (tmp_path / "findings.xlsx").read_bytes().startswith(b"PK")
    refused = lss("check", release, "--findings", release / "findings.csv")
    assert (refused.code, refused.out) == (2, "")
    assert "do not go into the release folder" in refused.err
    assert _files(release) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(lss, command: str) -> None:
    done = lss(command, "--help")
    assert done.code == 0
    assert f"{command} [OPTIONS]" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu", "x"], "No such command 'rnu'"),
        (["run"], "Missing argument 'RELEASE_DIR'"),
        (["run", "x", "--engine", "abacus"], "Invalid value for '--engine'"),
        (["run", "x", "--protocol", "absent.toml"], "'absent.toml' does not exist"),
        (["simulate", "x", "--patients", "0"], "Invalid value for '--patients'"),
    ],
)
def test_wrong_usage_ends_with_2_and_two_lines(lss, arguments: list[str], said: str) -> None:
    wrong = lss(*arguments)
    assert wrong.code == 2
    assert said in wrong.err
    assert wrong.err.count("\n") == 2


def test_a_mistake_in_the_protocol_is_one_sentence_that_names_the_key(lss, release: Path, tmp_path: Path) -> None:
    protocol = tmp_path / "mine.toml"
    protocol.write_text(default_protocol_file().read_text().replace("minimum_count = 11", "minimum_count = 1"))
    wrong = lss("run", release, "--protocol", protocol, home=tmp_path / "home")
    assert wrong.code == 1
    assert wrong.err.startswith("lss: mine.toml: key disclosure.minimum_count does not fit")
    assert wrong.err.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_what_was_never_run_can_be_neither_reported_nor_exported(lss, tmp_path: Path) -> None:
    for arguments in (["report", "spring"], ["export", "spring", str(tmp_path / "out")]):
        wrong = lss(*arguments, home=tmp_path / "home")
        assert wrong.code == 1
        assert wrong.err.startswith("lss: this home has no release of that name")
    assert not (tmp_path / "home").exists()


def test_a_traceback_is_shown_on_request_only(lss, tmp_path: Path) -> None:
    assert "Traceback" not in lss("check", tmp_path).err
    assert "Traceback" in lss("--debug", "check", tmp_path).err


def test_simulate_writes_a_release_that_is_accepted(lss, tmp_path: Path) -> None:
    done = lss("simulate", tmp_path / "mine", "--patients", "80", "--seed", "4", "--format", "parquet")
    assert done.code == 0
    assert done.path("release") == tmp_path / "mine"
    assert (tmp_path / "mine" / "truth.json").exists()
    assert lss("check", tmp_path / "mine").code == 0


def test_the_shell_completes_commands_and_options() -> None:
    """What bash asks of the installed command when Tab is pressed."""
    command = Path(sys.executable).with_name("lss")
    for words, number, expected in (("lss si", "1", "simulate"), ("lss run --an", "2", "--analysis-set")):
        asked = {"_LSS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": number}
        done = subprocess.run([command], env=os.environ | asked, capture_output=True, text=True, check=False)
        assert done.stdout.split() == [expected], done.stderr
