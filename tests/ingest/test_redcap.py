"""A REDCap export of some of the bundled patients gives what the four native tables give, and loses nothing."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
import redcap_example as example
from polars.testing import assert_frame_equal

from pipelines.assets.in_memory import derived_frames
from pipelines.ingest import Ingested, ReleaseRefused, check_release, read_release
from pipelines.ingest.manifest import load_manifest
from pipelines.ingest.sources import open_source
from pipelines.protocol import Protocol

MAPPING, export, native_tables, write = example.MAPPING, example.export, example.native_tables, example.write
TABLES = ("patients", "treatments", "assessments", "events")


@pytest.fixture(scope="module")
def flat() -> pl.DataFrame:
    return export(native_tables(40))


@pytest.fixture(scope="module")
def few() -> pl.DataFrame:
    """The rows of three patients."""
    return export(native_tables(3))


def native_release(folder: Path, tables: dict[str, pl.DataFrame], protocol: Protocol) -> Ingested:
    folder.mkdir()
    text = 'release = "native"\nsource = "sample"\nlinkage = "all payers"\ndeidentification = "synthetic"\n'
    for name, frame in tables.items():
        data = frame.write_csv().encode()
        (folder / f"{name}.csv").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        text += f'[tables.{name}]\nfiles = ["{name}.csv"]\nrows = {frame.height}\nsha256 = ["{digest}"]\n'
    (folder / "manifest.toml").write_text(text)
    return read_release(folder, protocol)


def set_field(frame: pl.DataFrame, where: pl.Expr, **fields: str | None) -> tuple[pl.DataFrame, int]:
    """The export with fields of the first fitting row changed, and that row's line."""
    row = frame.with_row_index("$n").filter(where)["$n"][0]
    is_it = pl.int_range(pl.len()) == row
    changes = [pl.when(is_it).then(pl.lit(v, pl.String)).otherwise(pl.col(k)).alias(k) for k, v in fields.items()]
    return frame.with_columns(changes), row + 2


VISIT = pl.col("redcap_repeat_instrument") == "visit"
HAS_ODI = VISIT & pl.col("odi_1").is_not_null()


def test_the_same_content_gives_the_same_accepted_tables(
    tmp_path: Path, flat: pl.DataFrame, protocol: Protocol
) -> None:
    tables = native_tables(40)
    native = native_release(tmp_path / "native", tables, protocol)
    redcap = read_release(write(tmp_path / "redcap", flat), protocol)
    for name in TABLES:
        ours, theirs = (taken.tables[f"raw.{name}"].drop("record_id").sort(pl.all()) for taken in (redcap, native))
        assert theirs.height > 30
        assert_frame_equal(ours, theirs, abs_tol=1e-12)
    assert_frame_equal(redcap.inspection.counts, native.inspection.counts)
    assert redcap.inspection.rows_quarantined > 0
    spoken = [
        {(rule, n) for rule, n in taken.inspection.violated.select("rule", "violations").rows()}
        for taken in (redcap, native)
    ]
    assert spoken[0] == spoken[1]


def test_records_of_one_row_are_told_apart_by_their_field(
    tmp_path: Path, few: pl.DataFrame, protocol: Protocol
) -> None:
    record_ids = read_release(write(tmp_path, few), protocol).tables["raw.assessments"]["record_id"]
    assert record_ids.is_unique().all()
    assert record_ids.str.contains(r"^export\.csv:\d+:(nrs_leg|nrs_back|odi_1|walk_distance)$").all()


def test_a_day_outside_and_an_unknown_code_are_quarantined_with_line_and_field(tmp_path, few, protocol) -> None:
    clean = check_release(write(tmp_path / "clean", few), protocol)
    spoilt, line = set_field(few, HAS_ODI & pl.col("nrs_leg").is_not_null(), nrs_leg="11")
    found = check_release(write(tmp_path / "spoilt", spoilt), protocol)
    new = set(found.quarantine.rows()) - set(clean.quarantine.rows())
    assert [row[:4] for row in new] == [("export.csv", line, "nrs_leg", "assessments.value.out_of_range")]
    assert found.counts["rows_read"].to_list() == clean.counts["rows_read"].to_list()


@pytest.mark.parametrize(("fields", "rule"), [
    ({"odi_1": None, "odi_2": None}, None),  # eight of ten are answered
    ({"odi_1": None, "odi_2": None, "odi_3": None}, "assessments.odi.too_few_items"),
    ({"odi_4": "6"}, "assessments.odi.impossible_item"),
    ({"odi_4": "often"}, "assessments.odi.impossible_item"),
])  # fmt: skip
def test_items_without_a_score_are_kept_aside_and_counted(tmp_path, few, protocol, fields, rule) -> None:
    clean = read_release(write(tmp_path / "clean", few), protocol)
    spoilt, line = set_field(few, HAS_ODI, **fields)
    found = read_release(write(tmp_path / "spoilt", spoilt), protocol)
    new = set(found.inspection.quarantine.rows()) - set(clean.inspection.quarantine.rows())
    assert [row[:4] for row in new] == ([("export.csv", line, "odi_1", rule)] if rule else [])
    counts = found.inspection.counts
    assert (counts["rows_read"] == counts["rows_accepted"] + counts["rows_quarantined"]).all()
    assert counts["rows_read"].to_list() == clean.inspection.counts["rows_read"].to_list()


def test_what_was_not_asked_is_no_record(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    spoilt, _ = set_field(few, HAS_ODI, **{f"odi_{item}": None for item in range(1, 11)})
    before, after = (
        check_release(write(tmp_path / name, frame), protocol)
        .counts.filter(table_name="assessments")["rows_read"]
        .item()
        for name, frame in (("before", few), ("after", spoilt))
    )
    assert after == before - 1


# ------------------------------------------------------------------------------------------------------- calendar dates

DATED = MAPPING.replace('record = "record_id"', 'record = "record_id"\nenrolment_date = "enrolled"').replace(
    'day = "visit_day"', 'day = { field = "visit_day", is_date = true }'
).replace('enrolment_year = "year"', 'enrolment_year = { field = "enrolled", is_year = true }')  # fmt: skip


def with_dates(few: pl.DataFrame) -> pl.DataFrame:
    """The export with the day of enrolment (1 March 2020, a leap year) and visits as dates; no year column."""
    is_patient = pl.col("redcap_event_name") == "enrolment_arm_1"
    start = pl.lit("2020-03-01").str.to_date()
    day = (start + pl.duration(days=pl.col("visit_day").cast(pl.Int64))).dt.to_string("%Y-%m-%d")
    return few.with_columns(
        enrolled=pl.when(is_patient).then(pl.lit("2020-03-01")), visit_day=pl.concat_str(day, pl.lit(" 08:30"))
    ).drop("year")


def test_dates_become_days_from_enrolment_and_are_gone(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    relative = read_release(write(tmp_path / "days", few), protocol).tables["raw.assessments"]
    folder = write(tmp_path / "dates", with_dates(few), DATED, "limited_data_set", data_use_agreement="DUA-7")
    taken = read_release(folder, protocol)
    assert_frame_equal(taken.tables["raw.assessments"].drop("record_id"), relative.drop("record_id"))
    assert taken.tables["raw.patients"]["enrolment_year"].unique().to_list() == [2020]
    kept = [name for name, frame in taken.tables.items() if "2020-" in str(frame.to_dicts())]
    assert kept == []


@pytest.mark.parametrize("mode", ["safe_harbor", "synthetic"])
def test_dates_may_not_stand_where_only_the_year_may(tmp_path, few, protocol, mode: str) -> None:
    with pytest.raises(ReleaseRefused, match=f"names calendar dates, which may not stand under {mode}"):
        check_release(write(tmp_path, with_dates(few), DATED, mode), protocol)


@pytest.mark.parametrize(("value", "rule"), [
    ("2020-13-01", "assessments.date.unreadable"), ("yesterday", "assessments.date.unreadable"),
])  # fmt: skip
def test_a_date_that_cannot_be_read_gives_no_record(tmp_path, few, protocol, value: str, rule: str) -> None:
    spoilt, line = set_field(with_dates(few), HAS_ODI, visit_day=value)
    found = check_release(write(tmp_path, spoilt, DATED, "expert_determination"), protocol)
    told = found.quarantine.filter(rule=rule)
    assert set(told.select("file", "line", "column").rows()) == {("export.csv", line, "visit_day")}


def test_a_record_without_a_day_of_enrolment_gives_no_days(tmp_path, few, protocol) -> None:
    spoilt, _ = set_field(with_dates(few), pl.col("enrolled").is_not_null(), enrolled=None)
    found = check_release(write(tmp_path, spoilt, DATED, "expert_determination"), protocol)
    assert found.quarantine.filter(rule="assessments.date.no_enrolment").height > 5


# ------------------------------------------------------------------------------------------------ what refuses it whole


def refusal(folder: Path, protocol: Protocol, flat: pl.DataFrame, mapping: str = MAPPING) -> str:
    with pytest.raises(ReleaseRefused) as refused:
        check_release(write(folder, flat, mapping), protocol)
    return str(refused.value)


def test_every_field_is_mapped_or_ignored(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    more = few.with_columns(shoe_size=pl.lit("43"))
    said = refusal(tmp_path, protocol, more)
    assert said.startswith("export.csv has the column shoe_size, which the mapping neither maps nor ignores")
    check_release(write(tmp_path, more, MAPPING.replace('["*_complete"]', '["*_complete", "shoe_size"]')), protocol)


@pytest.mark.parametrize(("name", "value", "said"), [
    ("remarks", "ok", "by its name holds free text"),
    ("colour", "call 206-555-0142", "a telephone number"),
    ("colour", "2065550142", "a long number"),
    ("colour", "123456789", "a long number"),
    ("colour", "20240312", "a date"),
    ("odi_3", "ask Dr. Miller", "a name"),
    ("tier", "esi 2024-03-12", "a date"),
    ("site", "clinic@example.org", "an e-mail address"),
])  # fmt: skip
def test_identifiers_refuse_it_wherever_they_stand(tmp_path, few, protocol, name: str, value: str, said: str) -> None:
    where = {"tier": "treatment", "odi_3": "visit"}.get(name)
    row = pl.col("redcap_repeat_instrument") == where if where else pl.col("redcap_event_name") == "enrolment_arm_1"
    start = few if name in few.columns else few.with_columns(pl.lit(None, pl.String).alias(name))
    spoilt, _ = set_field(start, row, **{name: value})
    told = refusal(tmp_path, protocol, spoilt, MAPPING.replace('["*_complete"]', '["*_complete", "remarks", "colour"]'))
    assert said in told
    assert value not in told


def test_events_that_the_mapping_does_not_name(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    more = pl.concat([few, few.head(1).with_columns(redcap_event_name=pl.lit("screening_arm_1"))])
    assert f"export.csv, line {more.height + 1}: an event or repeating" in refusal(tmp_path, protocol, more)
    left_out = MAPPING.replace("ignore = [", 'ignore_events = ["screening_arm_1"]\nignore = [')
    check_release(write(tmp_path, more, left_out), protocol)


@pytest.mark.parametrize(("old", "new", "said"), [
    ('bmi = "bmi"', "", 'the mapping of patients gives no bmi; map each to a field'),
    ('bmi = "bmi"', 'bmi = "weight"', "export.csv lacks weight, which the mapping names"),
    ('bmi = "bmi"', 'bmi = "bmi"\nshoe = "bmi"', "names the column shoe, which is not part of that table"),
    ('bmi = "bmi"', "bmi = { choices = { 1 = \"a\" } }", "redcap.toml: the key patients.columns.bmi needs one of"),
    ('instrument = "odi"', 'instrument = "eq5d_3l"', "only odi, zcq_symptom, zcq_function, zcq_"),
    ('"odi_9", "odi_10"', '"odi_9"', "needs 10 items, in the questionnaire's order"),
    ("[patients]", "[patience]", "redcap.toml: the key patience is not known; remove it"),
    ("[patients]", "[patients", "redcap.toml is not valid TOML"),
    ('day = "visit_day"', 'day = { field = "visit_day", is_date = true }', "has dates, so it needs enrolment_date"),
])  # fmt: skip
def test_a_mapping_that_does_not_fit_is_named_by_its_key(
    tmp_path, few, protocol, old: str, new: str, said: str
) -> None:
    assert said in refusal(tmp_path, protocol, few, MAPPING.replace(old, new))


def test_a_changed_mapping_or_a_second_table_is_refused(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    folder = write(tmp_path, few)
    (folder / "redcap.toml").write_text(MAPPING + "\n")
    with pytest.raises(ReleaseRefused, match=r"redcap\.toml is not the file that manifest\.toml describes"):
        check_release(folder, protocol)
    write(tmp_path, few)
    manifest = (folder / "manifest.toml").read_text().replace("tables.redcap", "tables.patients")
    (folder / "manifest.toml").write_text(manifest)
    with pytest.raises(ReleaseRefused, match="format redcap has one table of the name redcap"):
        check_release(folder, protocol)


def test_boxes_that_nobody_saw_are_missing_not_false(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    boxes = {f"history___{box}": None for box in range(1, 6)} | {f"comorb___{box}": None for box in range(1, 10)}
    spoilt, _ = set_field(few, pl.col("redcap_event_name") == "enrolment_arm_1", **boxes)
    patients = read_release(write(tmp_path, spoilt), protocol).tables["raw.patients"]
    unseen = patients.filter(pl.col("diabetes").is_null() & pl.col("comorbidity_count").is_null())
    assert unseen.height == 1


def test_every_row_of_the_export_is_accounted_for(tmp_path: Path, few: pl.DataFrame, protocol: Protocol) -> None:
    screened = few.head(2).with_columns(redcap_event_name=pl.lit("screening_arm_1"))
    left_out = MAPPING.replace("ignore = [", 'ignore_events = ["screening_arm_1"]\nignore = [')
    folder = write(tmp_path, pl.concat([few, screened]), left_out)
    account = open_source(folder, load_manifest(folder), protocol).account()
    assert account.select("outcome", "row_count").rows() == [("used", few.height), ("left out by the mapping", 2)]
    assert account["rows_read"].unique().to_list() == [few.height + 2]


def test_an_export_makes_every_derived_table(tmp_path: Path, flat: pl.DataFrame, protocol: Protocol) -> None:
    derived = derived_frames(write(tmp_path, flat), protocol)
    assert derived["outcomes.episodes"].height > 30
    assert set(derived["outcomes.pain_outcomes"]["instrument"]) >= {"nrs_leg", "odi"}
