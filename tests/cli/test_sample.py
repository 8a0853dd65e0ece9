"""Whole runs of the sample release: what the command leaves behind, privacy, repeats, kills, readers and the UI."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pypdf import PdfReader

from pipelines.releases import Home, open_snapshot
from pipelines.releases.home import HOME_VARIABLE, PARTIAL
from pipelines.resources import sample_release
from pipelines.warehouse import Warehouse, open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RELEASE, PROTOCOL = "sample", "lss-ladder"
# the bundled protocol warns of small groups and lets the release through; a run says nothing else
WARNING = r"lss: [\d,]+ of 594 patients are in groups of fewer than 5 who share [^\n]*goes on\)\n"

# columns of the result tables that scripts outside the repository rely on (design, section 10)
COLUMNS = {
    "survival_curves": "endpoint tier weighting time_days at_risk events estimate std_error ci_low ci_high",
    "cumulative_incidence": "endpoint tier weighting cause time_days at_risk estimate std_error ci_low ci_high",
    "restricted_times": "endpoint tier reference weighting tau_days measure cause estimate std_error ci_low ci_high "
    "p_value p_adjusted",
    "hazard_ratios": "endpoint view model weighting variance term tier reference estimate log_std_error ci_low ci_high "
    "p_value subjects events status reason",
    "contrasts": "outcome window method population strategy variance tier reference estimate std_error ci_low ci_high "
    "p_value p_adjusted subjects is_primary status reason",
    "trajectories": "outcome tier window method subjects estimate std_error ci_low ci_high",
    "responders": "outcome threshold window tier method responders subjects estimate ci_low ci_high",
    "balance": "contrast weighting covariate smd",
    "diagnostics": "contrast outcome check value threshold verdict",
}


@pytest.fixture
def home(sample_run, tmp_path: Path) -> Home:
    """A copy of the sample run's home that a test may change."""
    shutil.copytree(sample_run.home.path, tmp_path / "home")
    return Home(tmp_path / "home")


def _results(snapshot: Warehouse) -> dict[str, pl.DataFrame]:
    names = snapshot.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'results'")
    return {name: snapshot.read(f"results.{name}") for name in names["table_name"]}


def _assert_same(ours: pl.DataFrame, theirs: pl.DataFrame, name: str) -> None:
    """Counts and words exactly, floats to 1e-12 relative, after sorting by everything else."""
    floats = [column for column, kind in ours.schema.items() if kind.is_float()]
    words = [column for column in ours.columns if column not in floats]
    rounded = [pl.col(column).round_sig_figs(8).alias(f"_{column}") for column in floats]
    order = words + [f"_{column}" for column in floats]
    ours, theirs = (frame.with_columns(rounded).sort(order) for frame in (ours, theirs))
    assert ours.select(words).equals(theirs.select(words)), name
    for column in floats:
        a, b = ours[column], theirs[column]
        assert a.is_null().equals(b.is_null()), f"{name}.{column}"
        assert np.allclose(a.drop_nulls(), b.drop_nulls(), rtol=1e-12, atol=0, equal_nan=True), f"{name}.{column}"


def _sha256(path: Path, named: bool = False) -> str:
    """SHA-256 of a file, or of its name, length and content, as the code's and the lock's hashes are taken."""
    content = path.read_bytes()
    prefix = f"{path.name} {len(content)} ".encode() if named else b""
    return hashlib.sha256(prefix + content).hexdigest()


# ---------------------------------------------------------------------------------------------------- what a run leaves


def test_the_run_leaves_a_receipt_and_its_report_is_verified(sample_run, lss, tmp_path: Path) -> None:
    page = sample_run.command.path("report")
    run = json.loads((page.parent / "receipt.json").read_text(encoding="utf-8"))["run"]
    expected = {path.name: _sha256(path) for path in sample_release().iterdir() if path.name != "truth.json"}
    assert {entry["file"]: entry["sha256"] for entry in run["inputs"]} == expected
    assert run["code"]["lock_sha256"] == _sha256(Path(__file__).parents[2] / "requirements.lock", named=True)
    verified = lss("verify", page, home=sample_run.home.path)
    assert verified.code == 0, verified.err
    assert [line.split(":")[0] for line in verified.out.splitlines()] == ["report", "receipt", "snapshot", "signature"]
    copy = tmp_path / "report.html"
    copy.write_bytes(page.read_bytes().replace(b"ESI", b"EST", 1))
    refused = lss("verify", copy, home=sample_run.home.path)
    assert refused.code == 4
    assert "report: no receipt" in refused.out


def test_a_run_ends_by_saying_where_its_files_are(sample_run) -> None:
    command = sample_run.command
    assert [line.split(": ")[0] for line in command.out.splitlines()] == ["snapshot", "report", "pdf"]
    assert re.fullmatch(WARNING, command.err)
    assert command.path("snapshot") == sample_run.home.snapshot_file(RELEASE, PROTOCOL)
    assert command.path("report").read_bytes().lower().startswith(b"<!doctype html>")
    assert command.path("pdf").read_bytes().startswith(b"%PDF-")
    assert all(command.path(what).is_absolute() for what in ("snapshot", "report", "pdf"))


def test_the_snapshot_holds_the_result_tables_that_others_rely_on(sample_run) -> None:
    with open_warehouse(sample_run.command.path("snapshot"), read_only=True) as snapshot:
        results = _results(snapshot)
        checks = snapshot.read("quality.checks")
        study = snapshot.read("protocol.study")
    for name, columns in COLUMNS.items():
        assert results[name].columns[:2] == ["release", "protocol_hash"], name
        assert set(columns.split()) <= set(results[name].columns), name
    stamps = {row for frame in results.values() for row in frame.select("release", "protocol_hash").unique().rows()}
    assert stamps == {(RELEASE, study["protocol_hash"].item())}
    assert checks.filter(pl.col("is_blocking"))["verdict"].is_in(["passed", "not applicable"]).all()


def test_counts_reconcile_from_file_to_analysis(sample_run) -> None:
    with open_warehouse(sample_run.command.path("snapshot"), read_only=True) as snapshot:
        counts = snapshot.read("quality.ingest_counts")
        attrition = snapshot.read("outcomes.attrition")
        subjects = snapshot.count("analysis.subjects")
        accepted = {name: snapshot.count(f"raw.{name}") for name in counts["table_name"]}
    assert (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
    assert dict(counts.select("table_name", "rows_accepted").rows()) == accepted
    assert subjects <= accepted["patients"]
    assert (attrition["remaining"] >= 0).all()


def test_results_are_exported_whole_for_the_protected_side(lss, sample_run, tmp_path: Path) -> None:
    done = lss("export", RELEASE, tmp_path / "out", "--protected", home=sample_run.home.path)
    assert done.code == 0, done.err
    with open_warehouse(sample_run.command.path("snapshot"), read_only=True) as snapshot:
        results = _results(snapshot)
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"index.csv", *(f"{name}.{ending}" for name in results for ending in ("parquet", "csv"))}
    index = pl.read_csv(tmp_path / "out" / "index.csv")
    assert dict(index.select("table", "rows").iter_rows()) == {name: frame.height for name, frame in results.items()}
    for name, frame in results.items():
        assert pl.read_parquet(tmp_path / "out" / f"{name}.parquet").equals(frame)
        with (tmp_path / "out" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0] == frame.columns
        assert len(rows) == frame.height + 1


def test_results_that_leave_have_passed_the_gate(lss, sample_run, tmp_path: Path) -> None:
    done = lss("export", RELEASE, tmp_path / "out", home=sample_run.home.path)
    assert done.code == 0, done.err
    with open_warehouse(sample_run.command.path("snapshot"), read_only=True) as snapshot:
        results = _results(snapshot)
    index = pl.read_csv(tmp_path / "out" / "index.csv").filter(pl.col("rows") == 0)
    assert index["note"].null_count() == 0
    assert {"site_indicators", "walking_curves"} <= set(index["table"].to_list())
    shown = 0
    for name, frame in results.items():
        left = pl.read_parquet(tmp_path / "out" / f"{name}.parquet")
        assert left.columns == frame.columns
        for column in {"count", "subjects", "events", "responders", "walks", "at_risk"} & set(left.columns):
            counts = left[column].drop_nulls()
            assert not counts.is_between(1, 10).any(), f"{name}.{column}"
            shown += counts.len()
    assert shown > 100
    primary = pl.read_parquet(tmp_path / "out" / "contrasts.parquet").filter("is_primary")
    whole = results["contrasts"].filter("is_primary")
    assert primary["estimate"].is_null().equals(whole["estimate"].is_null())
    shown_estimates, made = (frame["estimate"].drop_nulls().to_list() for frame in (primary, whole))
    assert shown_estimates == pytest.approx(made, rel=5e-3)


def test_the_report_is_rendered_again_from_the_snapshot_alone(lss, home: Home) -> None:
    shutil.rmtree(home.path / "reports")
    shutil.rmtree(home.path / "releases")
    done = lss("report", RELEASE, home=home.path)
    assert done.code == 0, done.err
    assert done.path("report").stat().st_size > 10_000
    assert len(PdfReader(done.path("pdf")).pages) > 1


# ------------------------------------------------------------------------------------------------------------- privacy


def test_no_patient_id_is_outside_the_warehouse_and_the_snapshots(sample_run) -> None:
    ids = set()
    for table in ("patients", "treatments", "assessments", "events"):
        with (sample_release() / f"{table}.csv").open(encoding="utf-8-sig", newline="") as file:
            ids |= {row["patient_id"] for row in csv.DictReader(file)}
    sentinels = [name.encode() for name in ids if len(name) >= 12]
    assert len(sentinels) > 500
    for path in sample_run.home.path.rglob("*"):
        if path.is_file() and path.relative_to(sample_run.home.path).parts[0] not in ("releases", "snapshots"):
            texts = path.read_bytes() + _unpacked(path)
            assert not any(sentinel in texts for sentinel in sentinels), path


def _unpacked(path: Path) -> bytes:
    """What a PDF's pages say and what its streams hold."""
    if path.suffix != ".pdf":
        return b""
    reader = PdfReader(path)
    pages = "".join(page.extract_text() for page in reader.pages).encode()
    streams = b""
    for part in path.read_bytes().split(b"stream\n")[1:]:
        try:
            streams += zlib.decompressobj().decompress(part)
        except zlib.error:
            continue
    return pages + streams


# ------------------------------------------------------------------------------------------- repeats, kills and readers


def test_two_first_runs_at_once_both_succeed_with_the_results_of_any_other_run(
    lss_command, sample_run, tmp_path: Path
) -> None:
    environment = os.environ | {HOME_VARIABLE: str(tmp_path / "home")}
    both = [
        subprocess.Popen(
            lss_command("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=800) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    waits = [err for _, err in said if "waits until it ends" in err]
    assert len(waits) == 1
    with (
        open_warehouse(sample_run.command.path("snapshot"), read_only=True) as one,
        open_warehouse(Home(tmp_path / "home").snapshot_file(RELEASE, PROTOCOL), read_only=True) as other,
    ):
        ours, theirs = _results(one), _results(other)
    assert ours.keys() == theirs.keys()
    for name, frame in ours.items():
        _assert_same(frame, theirs[name], name)


def test_a_run_killed_half_way_leaves_the_snapshot_whole_and_the_next_completes_beside_a_reader(
    lss, lss_command, home: Home
) -> None:
    before = home.snapshot_file(RELEASE, PROTOCOL).read_bytes()
    known = {path.name for path in (home.dagster / "history" / "runs").glob("*.db")}
    process = subprocess.Popen(
        lss_command("demo"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {HOME_VARIABLE: str(home.path)},
    )
    run_id = _wait_for_results(home, known, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert home.snapshot_file(RELEASE, PROTOCOL).read_bytes() == before
    reader = open_snapshot(home, RELEASE)
    rows = reader.count("analysis.subjects")
    done = lss("demo", home=home.path)
    assert done.code == 0, done.err
    assert re.fullmatch(WARNING, done.err)
    assert reader.count("analysis.subjects") == rows
    reader.close()
    with open_warehouse(done.path("snapshot"), read_only=True) as snapshot:
        assert snapshot.count("analysis.subjects") == rows
    assert _run_status(home, run_id) == "FAILURE"
    assert list(home.path.rglob(f"*{PARTIAL}*")) == []
    assert list(home.lock_file("x").parent.glob("run-*")) == []


def _wait_for_results(home: Home, known: set[str], process: subprocess.Popen[bytes]) -> str:
    """Wait until the new run has begun with the models; returns its id."""
    for _ in range(3000):
        assert process.poll() is None, "the run ended before it could be killed"
        for path in (home.dagster / "history" / "runs").glob("*.db"):
            if path.name not in known and _has_begun_results(path):
                return path.stem
        time.sleep(0.1)
    raise AssertionError("the run never came to its results")


def _has_begun_results(path: Path) -> bool:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT 1 FROM event_logs WHERE step_key LIKE 'results%' AND dagster_event_type = ?",
                                   ("STEP_START",)).fetchone()  # fmt: skip
    except sqlite3.OperationalError:  # not made yet, or being written
        return False
    finally:
        connection.close()
    return found is not None


def _run_status(home: Home, run_id: str) -> str:
    connection = sqlite3.connect(home.dagster / "history" / "runs.db")
    try:
        return str(connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()[0])
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------------------------- the UI


def test_the_ui_lists_the_run_on_the_job_s_page(lss_command, home: Home, tmp_path: Path) -> None:
    trouble = (tmp_path / "stderr.txt").open("w+")  # a library may tell of its leaks there when it is ended
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        lss_command("ui", "--port", str(port)),
        stdout=subprocess.PIPE,
        stderr=trouble,
        text=True,
        env=os.environ | {HOME_VARIABLE: str(home.path)},
    )
    try:
        job = {"pipelineName": "release_to_report", "repositoryName": "__repository__", "repositoryLocationName": "lss"}
        answer = _ask(port, "query($j: PipelineSelector!) {pipelineOrError(params: $j)"
                            "{__typename ... on Pipeline {runs(limit: 5) {status}}}}", j=job)  # fmt: skip
        assert answer["pipelineOrError"] == {"__typename": "Pipeline", "runs": [{"status": "SUCCESS"}]}
        tagged = {"tags": [{"key": ".dagster/repository", "value": "__repository__@lss"}]}
        answer = _ask(
            port, "query($f: RunsFilter!) {runsOrError(filter: $f) {... on Runs {results {jobName}}}}", f=tagged
        )
        assert answer["runsOrError"]["results"] == [{"jobName": "release_to_report"}]
        answer = _ask(port, "{instance {daemonHealth {allDaemonStatuses {daemonType}}}}")
        kinds = {daemon["daemonType"] for daemon in answer["instance"]["daemonHealth"]["allDaemonStatuses"]}
        assert "SCHEDULER" in kinds
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (
        said.splitlines()[-1] + "\n"
        == f"http://127.0.0.1:{port}/locations/lss/jobs/release_to_report  (Ctrl-C ends it)\n"
    )
    with trouble:
        trouble.seek(0)
        assert "Traceback" not in trouble.read()


def _ask(port: int, query: str, **variables: Any) -> dict[str, Any]:
    """Ask the UI's GraphQL, waiting for it to come up."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    for _ in range(600):
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/graphql", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                return dict(json.load(response)["data"])
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("the UI never came up")
