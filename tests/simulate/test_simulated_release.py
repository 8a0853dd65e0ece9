"""The folder that `simulate` writes: contract, manifest, parts, determinism, refusals."""

import hashlib
import tomllib
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.ingest import check_release
from pipelines.ingest.codelists import treatment_codes
from pipelines.protocol import Protocol, load_protocol
from pipelines.resources import default_protocol_file, sample_release
from pipelines.simulate import Settings, SettingsError, scenario_names, settings_from, simulate
from pipelines.simulate import block as block_module
from pipelines.simulate.block import draw_block
from pipelines.simulate.identifiers import patient_ids
from pipelines.simulate.settings import TIERS

TABLES = ("patients", "treatments", "assessments", "events")


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol(default_protocol_file())


def _rows(folder: Path, table: str) -> pl.DataFrame:
    files = tomllib.loads((folder / "manifest.toml").read_text())["tables"][table]["files"]
    read = pl.read_csv if files[0].endswith("csv") else pl.read_parquet
    return pl.concat([read(folder / file) for file in files])


# --------------------------------------------------------------------------------------------------------- contract


def test_clean_release_has_no_row_that_ingest_quarantines(clean_release: Path, protocol: Protocol) -> None:
    inspection = check_release(clean_release, protocol)
    assert inspection.rows_quarantined == 0
    assert inspection.counts["rows_accepted"].to_list() == inspection.counts["rows_read"].to_list()
    assert inspection.counts.filter(pl.col("table_name") == "patients")["rows_read"].item() == 3000


def test_columns_are_those_of_the_design_in_its_order(clean_release: Path) -> None:
    # design §4, tables of the input contract; enrolment_quarter is refused for synthetic releases
    expected = {
        "patients": "patient_id site_id enrolment_year age_years sex bmi smoking comorbidity_count diabetes depression "
        "opioid_use prior_lumbar_surgery spondylolisthesis stenosis_grade stenotic_levels symptom_months "
        "last_contact_day administrative_end_day back_dominant workers_comp insurance education site_sequence",
        "treatments": "treatment_id patient_id day tier code code_system site_id surgeon_id levels_treated "
        "planned_stage",
        "assessments": "patient_id day instrument value unit mode duration_s stop_reason",
        "events": "patient_id day event",
    }
    assert {table: " ".join(_rows(clean_release, table).columns) for table in TABLES} == expected


def test_manifest_counts_and_hashes_fit_the_files(clean_release: Path) -> None:
    manifest = tomllib.loads((clean_release / "manifest.toml").read_text())
    assert manifest["deidentification"] == "synthetic"
    for table in TABLES:
        entry = manifest["tables"][table]
        assert entry["rows"] == _rows(clean_release, table).height
        hashes = [hashlib.sha256((clean_release / file).read_bytes()).hexdigest() for file in entry["files"]]
        assert entry["sha256"] == hashes


def test_care_stays_within_life_and_contact(clean_release: Path) -> None:
    patients = _rows(clean_release, "patients")
    assert (patients["last_contact_day"] <= patients["administrative_end_day"]).all()
    ends = patients.select("patient_id", "last_contact_day")
    for table in ("treatments", "assessments", "events"):
        late = (
            _rows(clean_release, table).join(ends, on="patient_id").filter(pl.col("day") > pl.col("last_contact_day"))
        )
        assert late.is_empty()


def test_records_say_the_index_tier_and_the_prior_tiers_that_were_simulated(clean_release: Path) -> None:
    # index tier: the first ladder treatment from day 0 on; prior tiers: distinct ladder tiers on earlier days
    block = draw_block(0, 3000, 5, settings_from("clean"))
    truth = pl.DataFrame(
        {
            "patient_id": block.patient_id,
            "index": pl.Series(TIERS).gather(block.tier),
            "prior": block.patients.prior_tiers,
        }
    )
    codes = treatment_codes().select("code", coded="tier")
    care = (
        _rows(clean_release, "treatments")
        .join(codes, on="code", how="left")
        .with_columns(tier=pl.coalesce("tier", "coded"))
        .filter(pl.col("tier").is_in(TIERS))
        .sort("patient_id", "day", "treatment_id")
    )
    index = care.filter(pl.col("day") >= 0).group_by("patient_id", maintain_order=True).first()
    history = care.filter(pl.col("day") < 0).group_by("patient_id").agg(recorded=pl.col("tier").n_unique())
    both = truth.join(index, on="patient_id").join(history, on="patient_id", how="left")
    assert both.height == 3000
    assert (both["index"] == both["tier"]).all()
    assert (both["prior"] == both["recorded"].fill_null(0)).all()


def test_walks_at_the_limit_last_thirty_minutes(clean_release: Path) -> None:
    walks = _rows(clean_release, "assessments").filter(pl.col("instrument") == "spwt")
    at_limit = walks.filter(pl.col("stop_reason") == "time_limit")
    assert at_limit["duration_s"].unique().to_list() == [1800]
    assert walks.filter(pl.col("stop_reason") != "time_limit")["duration_s"].max() < 1800
    assert at_limit["value"].std() > 200  # the cap is in time: metres at the cap differ with speed


def test_pseudonyms_are_unique_and_look_random(clean_release: Path) -> None:
    ids = _rows(clean_release, "patients")["patient_id"]
    assert ids.n_unique() == 3000
    assert ids.str.contains(r"^SM-[0-9a-f]{16}$").all()  # domain §5.5, point 6
    assert not ids.str.contains(r"\d{6}").any()  # nothing that a guard takes for a record number


# ------------------------------------------------------------------------------------------------------ determinism


def test_same_cohort_whatever_the_number_of_parts_and_the_format(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(block_module, "BLOCK_PATIENTS", 400)
    one = simulate(tmp_path / "one", 1500, 11, "parquet", truth_patients=0)
    three = simulate(tmp_path / "three", 1500, 11, "parquet", parts=3, truth_patients=0)
    text = simulate(tmp_path / "text", 1500, 11, "csv", parts=4, truth_patients=0)
    assert len(list(three.glob("assessments-*.parquet"))) == 3
    for table in TABLES:
        assert_frame_equal(_rows(one, table), _rows(three, table))
        assert_frame_equal(_rows(one, table), _rows(text, table), check_dtypes=False)


def test_site_sequence_runs_on_over_blocks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(block_module, "BLOCK_PATIENTS", 250)
    patients = _rows(simulate(tmp_path, 1000, 3, "parquet", "clean", truth_patients=0), "patients")
    for _, rows in patients.group_by("site_id", maintain_order=True):
        assert rows["site_sequence"].to_list() == list(range(1, rows.height + 1))
    assert patients["enrolment_year"].is_sorted()


def test_same_seed_same_cohort_other_seed_another(tmp_path: Path) -> None:
    first, again, other = (
        _rows(simulate(tmp_path / name, 200, seed, truth_patients=0), "patients")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert_frame_equal(first, again)
    assert not set(first["patient_id"]) & set(other["patient_id"])


# ------------------------------------------------------------------------------------------------- flaws and sample


def test_sample_shows_the_flaws_of_a_real_extract_and_is_accepted(protocol: Protocol) -> None:
    inspection = check_release(sample_release(), protocol)
    found = set(inspection.violated["rule"])
    assert found >= {
        "patients.patient_id.duplicate_agreeing",
        "treatments.code.unknown",
        "treatments.patient_id.orphan",
        "treatments.day.after_death",
        "assessments.instrument.duplicate_disagreeing",
        "assessments.value.out_of_range",
        "assessments.value.not_whole",
        "assessments.duration_s.missing",
        "assessments.stop_reason.unknown_word",
        "assessments.day.after_data_cut",
        "events.event.duplicate_agreeing",
    }
    counts = inspection.counts
    assert counts["rows_quarantined"].sum() < 0.05 * counts["rows_read"].sum()


def test_sample_is_what_its_seed_makes(tmp_path: Path) -> None:
    made = simulate(tmp_path, 600, 94, settings="sample", truth_patients=0)
    for table in TABLES:
        assert (made / f"{table}.csv").read_bytes() == (sample_release() / f"{table}.csv").read_bytes()


def test_pseudonyms_never_repeat_and_always_hold_a_digit() -> None:
    ids = patient_ids(0, 1_000_000, 1)  # of so many about eight would be letters alone
    assert ids.n_unique() == len(ids)
    assert ids.str.contains(r"\d").all()


def test_sample_holds_walks_in_other_units() -> None:
    units = _rows(sample_release(), "assessments")["unit"].value_counts()
    assert set(units["unit"]) >= {"m", "ft", "mi", "km"}


def test_flaws_do_not_change_what_happened(tmp_path: Path) -> None:
    clean = simulate(tmp_path / "clean", 500, 4, "parquet", "clean", truth_patients=0)
    dirty = simulate(tmp_path / "dirty", 500, 4, "parquet", "dirty", truth_patients=0)
    events = [_rows(folder, "events") for folder in (clean, dirty)]
    assert events[0].join(events[1], on=["patient_id", "day", "event"], how="anti").is_empty()
    treatments = [_rows(folder, "treatments").select("treatment_id", "day", "tier") for folder in (clean, dirty)]
    lost = treatments[0].join(treatments[1], on=["treatment_id", "day", "tier"], how="anti", nulls_equal=True)
    assert lost.is_empty()


# ---------------------------------------------------------------------------------------------- scenarios, refusals


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_makes_a_release_that_ingest_accepts(name: str, tmp_path: Path, protocol: Protocol) -> None:
    folder = simulate(tmp_path, 120, 1, "parquet", name, truth_patients=0)
    assert check_release(folder, protocol).counts["rows_accepted"].min() > 0


def test_unknown_scenario_is_named_in_one_sentence() -> None:
    with pytest.raises(SettingsError, match="no scenario named so; known are default"):
        settings_from("no such thing")


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="name a new or empty folder"):
        simulate(tmp_path, 10, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_real_release_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text('source = "registry"\n')
    (tmp_path / "patients.csv").write_text("patient_id\n")
    with pytest.raises(SettingsError, match="other than a simulated release"):
        simulate(tmp_path, 10, 1)


def test_an_earlier_simulated_release_is_replaced(tmp_path: Path) -> None:
    simulate(tmp_path, 50, 1, "parquet", truth_patients=0)
    simulate(tmp_path, 60, 1, "csv", truth_patients=0)
    assert {file.name for file in tmp_path.iterdir()} == {f"{table}.csv" for table in TABLES} | {"manifest.toml"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"patients": 0, "seed": 1}, "patients must be at least 1"),
        ({"patients": 10, "seed": -1}, "seed must not be negative"),
        ({"patients": 10, "seed": 1, "format": "xlsx"}, "format must be csv or parquet"),
        ({"patients": 10, "seed": 1, "parts": 0}, "parts must be at least 1"),
    ],
)
def test_impossible_wishes_are_refused(arguments: dict, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=complaint):
        simulate(tmp_path / "new", settings=Settings(), **arguments)
    assert not (tmp_path / "new").exists()
