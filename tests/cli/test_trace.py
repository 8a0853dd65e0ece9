"""`lss trace` on the sample's report: every contrast, table and figure of it can be followed back."""

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.assets.traced import UnknownTrace, follow
from pipelines.releases import open_snapshot
from pipelines.resources import default_protocol_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROTOCOL = "lss-ladder"
ID = re.compile(r"\b[CTHSRP]-[0-9a-f]{8}\b")


@pytest.fixture(scope="module")
def traces(sample_run: Any) -> pl.DataFrame:
    with closing(open_snapshot(sample_run.home, "sample")) as snapshot:
        return snapshot.read("results.traces")


@pytest.fixture(scope="module")
def page(sample_run: Any) -> str:
    return sample_run.command.path("report").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def index(sample_run: Any) -> list[dict[str, str]]:
    folder = sample_run.home.report_folder("sample", PROTOCOL)
    return json.loads((folder / "traces.json").read_text(encoding="utf-8"))


def test_every_contrast_on_the_page_stands_in_the_traces(page: str, traces: pl.DataFrame) -> None:
    found = set(ID.findall(page))
    assert len(found) > 200
    assert found <= set(traces["trace"].to_list())
    assert {name[0] for name in found} == {"C", "T", "H", "R"}  # subgroups and distributions: full analysis set only


def test_every_number_of_the_tables_of_contrasts_has_its_trace(index: list[dict[str, str]]) -> None:
    known = {exhibit["trace"]: exhibit["contrasts"] for exhibit in index}
    for name in ("table-contrasts", "table-failure-contrasts", "table-populations", "table-responder-contrasts",
                 "table-walk-spwt", "table-walk-treadmill", "table-walk-six-minute-walk"):  # fmt: skip
        assert len(known[name]) >= 8, name
    assert len(known["figure-contrasts"]) >= 32
    assert len(known["figure-primary"]) >= 16


def test_every_table_and_figure_of_the_page_names_its_trace_and_is_followed(
    sample_run: Any, page: str, index: list[dict[str, str]]
) -> None:
    under = set(re.findall(r"· Trace: ([a-z0-9-]+)</p>", page))
    exhibits = {one["trace"] for one in index if one["name"].startswith(("Table", "Figure"))}
    assert exhibits <= under <= {one["trace"] for one in index}
    assert len(under) > 40
    for name in ("table-contrasts", "figure-balance", "table-missing-patterns", "figure-flow"):
        lines = follow(sample_run.home, "sample", name)
        assert lines[0].startswith(name)
        assert any(line.startswith("table     ") and "rows in all" in line for line in lines)
        assert any("made by " in line for line in lines)


def test_a_sentence_of_page_one_is_followed_to_its_contrasts(
    sample_run: Any, page: str, index: list[dict[str, Any]], traces: pl.DataFrame
) -> None:
    assert "Trace of a sentence: its list and place, as found-1, changed-1, certainty-1, review-1." in page
    told = next(one["contrasts"] for one in index if one["trace"] == "found-1")
    lines = follow(sample_run.home, "sample", "found-1")
    assert lines[0].startswith("found-1  Sentence of the first page: Leg pain at 12 months: ")
    assert len(told) == 4
    for _, trace in told:
        assert any(line.strip().startswith(trace) for line in lines)
        assert trace in traces["trace"].to_list()


def test_an_e_value_is_followed_to_the_answer_that_it_speaks_of(sample_run: Any, traces: pl.DataFrame) -> None:
    row = traces.filter((pl.col("method") == "E-value") & (pl.col("outcome") == "nrs_leg")).row(0, named=True)
    lines = follow(sample_run.home, "sample", row["trace"])
    assert f"made of   {row['made_of']}, which has a trace of its own" in lines
    assert any("VanderWeele & Ding 2017" in line for line in lines)
    assert follow(sample_run.home, "sample", row["made_of"])[0].startswith(row["made_of"])


def test_a_primary_contrast_leads_to_row_rows_protocol_line_function_and_source(
    sample_run: Any, traces: pl.DataFrame, lss: Any
) -> None:
    with closing(open_snapshot(sample_run.home, "sample")) as snapshot:
        primary = snapshot.read("results.contrasts").filter(
            pl.col("is_primary") & (pl.col("outcome") == "nrs_leg") & (pl.col("contrast") == "mild_vs_esi")
        )
    trace = primary["trace"].item()
    done = lss("trace", "sample", trace, home=sample_run.home.path)
    assert done.code == 0, done.err
    said = done.out
    assert said.startswith(f"{trace}  mild_vs_esi, nrs_leg, 12m")
    assert f"results.contrasts WHERE trace = '{trace}'" in said
    assert f"estimate {float(format(primary['estimate'].item(), '.3g'))}," in said
    rows = traces.filter(pl.col("trace") == trace)["input_rows"].item()
    assert f"{rows} of analysis.scores" in said
    assert "made by sql/analysis/scores.sql" in said
    assert "pipelines.models.propensity.effects (pipelines/models/propensity.py:" in said
    assert "Lunceford & Davidian 2004" in said
    for key in ("contrasts.mild_vs_esi", "primary.outcomes.nrs_leg", "instruments.nrs_leg"):
        line = re.search(rf"{re.escape(str(default_protocol_file()))}:(\d+)  {re.escape(key)}$", said, re.MULTILINE)
        assert line is not None, key
        text = default_protocol_file().read_text(encoding="utf-8").splitlines()
        near = " ".join(text[int(line[1]) - 1 : int(line[1]) + 1])
        assert key.rsplit(".", 1)[-1] in near


@pytest.mark.parametrize("table", ["restricted_times", "hazard_ratios"])
def test_contrasts_of_failure_are_followed_too(table: str, sample_run: Any, traces: pl.DataFrame) -> None:
    trace = traces.filter(pl.col("result_table") == f"results.{table}")["trace"][0]
    lines = follow(sample_run.home, "sample", trace)
    assert any(line.startswith("source    ") and len(line) > 30 for line in lines)
    assert any("analysis.time_to_event" in line for line in lines)


def test_a_report_s_file_stands_for_its_release(sample_run: Any) -> None:
    page = sample_run.command.path("report")
    assert follow(sample_run.home, str(page), "table-flow") == follow(sample_run.home, "sample", "table-flow")


def test_no_patient_is_named(sample_run: Any, traces: pl.DataFrame) -> None:
    said = "\n".join(follow(sample_run.home, "sample", traces["trace"][0]))
    with closing(open_snapshot(sample_run.home, "sample")) as snapshot:
        subjects = snapshot.read("analysis.subjects")
    assert not any(name in said for column in ("patient_id", "episode_id") for name in subjects[column].to_list())


def test_an_unknown_trace_is_one_sentence_and_wrong_usage(sample_run: Any, tmp_path: Path, lss: Any) -> None:
    done = lss("trace", "sample", "C-00000000", home=sample_run.home.path)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "no trace C-00000000" in done.err
    with pytest.raises(UnknownTrace, match="has no trace nothing"):
        follow(sample_run.home, "sample", "nothing")
    copy = tmp_path / "other.html"
    copy.write_text("<p>another page</p>")
    done = lss("trace", copy, "table-flow", home=sample_run.home.path)
    assert done.code == 1
    assert "no receipt" in done.err
