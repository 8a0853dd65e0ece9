"""Every row rule has a hand-made row that breaks it; which line must be kept aside can be read off the case.

The clean release of `conftest.py` has lines 2 and 3 in patients (P-01, P-02), treatments and events, and lines 2 to 4
in assessments: pain of P-01, a self-paced walk of P-01, pain of P-02. P-02 dies on day 650; both patients were last
seen on day 700, and the data were cut on day 800.
"""

from dataclasses import dataclass

import polars as pl
import pytest

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.ingest.contract import contract
from pipelines.ingest.rules import row_rules
from pipelines.protocol import Protocol


@dataclass(frozen=True)
class Case:
    """A change to one row (or an added row) and the line on which the rule must speak."""

    rule: str
    line: int
    changes: dict[str, str]
    row: int | None = None  # which row is changed; None: a row like the template is added
    template: str = ""

    @property
    def table(self) -> str:
        return self.rule.split(".")[0]


def changed(rule: str, row: int, **changes: str) -> Case:
    return Case(rule, row + 2, changes, row)


def added(rule: str, line: int, template: str = "", **changes: str) -> Case:
    return Case(rule, line, changes, None, template or rule.split(".")[0])


CASES = [
    # ---- patients: fields that cannot be read, ranges, words
    *(changed(f"patients.{c}.not_a_whole_number", 0, **{c: "3.7"}) for c in ("age_years", "enrolment_year")),
    *(changed(f"patients.{c}.not_a_whole_number", 0, **{c: "2;5"}) for c in ("comorbidity_count", "stenotic_levels")),
    *(changed(f"patients.{c}.not_a_whole_number", 0, **{c: "unknown"}) for c in ("site_sequence",)),
    *(
        changed(f"patients.{c}.not_a_whole_number", 0, **{c: "2.5"})
        for c in ("last_contact_day", "administrative_end_day")
    ),
    changed("patients.bmi.not_a_number", 0, bmi="27,3"),
    changed("patients.symptom_months.not_a_number", 0, symptom_months="inf"),
    *(
        changed(f"patients.{c}.not_true_or_false", 0, **{c: word})
        for c, word in [
            ("diabetes", "yes"),
            ("depression", "1"),
            ("opioid_use", "TRUE"),
            ("prior_lumbar_surgery", "f"),
            ("spondylolisthesis", "no"),
            ("back_dominant", "x"),
            ("workers_comp", "0"),
        ]
    ),
    changed("patients.sex.unknown_word", 0, sex="F"),
    changed("patients.smoking.unknown_word", 0, smoking="ex"),
    changed("patients.stenosis_grade.unknown_word", 0, stenosis_grade="E"),
    changed("patients.insurance.malformed", 0, insurance="a|b"),
    changed("patients.education.malformed", 0, education="some " * 8 + "college"),
    changed("patients.enrolment_year.out_of_range", 0, enrolment_year="1949"),
    changed("patients.age_years.out_of_range", 0, age_years="-1"),
    changed("patients.bmi.out_of_range", 0, bmi="2.84"),
    changed("patients.comorbidity_count.out_of_range", 0, comorbidity_count="-2"),
    changed("patients.stenotic_levels.out_of_range", 0, stenotic_levels="7"),
    changed("patients.symptom_months.out_of_range", 0, symptom_months="-1"),
    changed("patients.last_contact_day.out_of_range", 0, last_contact_day="-5"),
    changed("patients.administrative_end_day.out_of_range", 0, administrative_end_day="45000"),
    changed("patients.site_sequence.out_of_range", 0, site_sequence="0"),
    changed("patients.last_contact_day.after_data_cut", 0, last_contact_day="801"),
    # ---- patients: empty and shared keys
    changed("patients.patient_id.missing", 0, patient_id=""),
    changed("patients.site_id.missing", 0, site_id=" "),
    changed("patients.last_contact_day.missing", 0, last_contact_day=""),
    changed("patients.administrative_end_day.missing", 0, administrative_end_day=""),
    changed("patients.patient_id.malformed", 0, patient_id="P 01"),
    changed("patients.site_id.malformed", 0, site_id="S1" * 33),
    added("patients.patient_id.duplicate_agreeing", 4),
    added("patients.patient_id.duplicate_disagreeing", 4, age_years="72"),
    # ---- treatments
    changed("treatments.treatment_id.missing", 0, treatment_id=""),
    changed("treatments.treatment_id.malformed", 0, treatment_id="T 01"),
    changed("treatments.patient_id.missing", 0, patient_id=""),
    changed("treatments.day.not_a_whole_number", 0, day="day 3"),
    changed("treatments.day.missing", 0, day=""),
    changed("treatments.day.out_of_range", 0, day="-99999"),
    changed("treatments.tier.unknown_word", 0, tier="ESI"),
    changed("treatments.tier.missing", 0, tier=""),
    changed("treatments.code.malformed", 0, tier="", code="6232|", code_system="CPT"),
    changed("treatments.code_system.malformed", 0, tier="", code="62323", code_system="C|T"),
    changed("treatments.code_system.missing", 0, tier="", code="62323"),
    changed("treatments.code.unknown", 0, tier="", code="62321", code_system="CPT"),  # a cervical injection
    changed("treatments.tier.disagrees_with_code", 0, tier="esi", code="22612", code_system="CPT"),
    changed("treatments.site_id.malformed", 0, site_id="S 1"),
    changed("treatments.surgeon_id.malformed", 0, surgeon_id="A B"),
    changed("treatments.levels_treated.not_a_whole_number", 0, levels_treated="L4"),
    changed("treatments.levels_treated.out_of_range", 0, levels_treated="11"),
    changed("treatments.planned_stage.not_true_or_false", 0, planned_stage="ja"),
    added("treatments.treatment_id.duplicate_agreeing", 4),
    added("treatments.treatment_id.duplicate_disagreeing", 4, tier="mild"),
    changed("treatments.patient_id.orphan", 0, patient_id="P-09"),
    changed("treatments.day.after_data_cut", 0, day="801"),
    changed("treatments.day.after_last_contact", 0, day="701"),
    changed("treatments.day.after_death", 1, day="651"),
    # ---- assessments
    changed("assessments.patient_id.missing", 0, patient_id=""),
    changed("assessments.day.not_a_whole_number", 0, day="1.5"),
    changed("assessments.day.missing", 0, day=""),
    changed("assessments.day.out_of_range", 0, day="99999"),
    changed("assessments.instrument.unknown_word", 0, instrument="nrs"),
    changed("assessments.instrument.missing", 0, instrument=""),
    changed("assessments.value.not_a_number", 0, value="seven"),
    changed("assessments.value.missing", 0, value=""),
    changed("assessments.value.out_of_range", 0, value="11"),
    changed("assessments.value.out_of_range", 0, instrument="zcq_symptom", value="0.9"),  # a mean of items 1 to 5
    changed("assessments.value.out_of_range", 0, instrument="zcq_function", value="4.2"),
    changed("assessments.value.out_of_range", 1, value="6", unit="km"),
    changed("assessments.value.not_whole", 0, value="7.5"),
    changed("assessments.value.faster_than_walking", 1, value="1300", duration_s="400"),  # 3.25 m/s
    changed("assessments.unit.missing", 0, unit=""),
    changed("assessments.unit.unknown_word", 1, unit="yards"),
    changed("assessments.unit.wrong_for_instrument", 0, unit="mm"),
    changed("assessments.mode.unknown_word", 0, mode="fax"),
    changed("assessments.mode.impossible", 1, mode="phone"),
    changed("assessments.duration_s.not_a_number", 1, duration_s="6:40"),
    changed("assessments.duration_s.missing", 1, duration_s=""),
    changed("assessments.duration_s.out_of_range", 1, duration_s="-1"),
    changed("assessments.duration_s.over_limit", 1, duration_s="1981"),  # limit 1,800 s and a tenth
    changed("assessments.stop_reason.unknown_word", 1, stop_reason="nc_leg_symptoms"),
    changed("assessments.stop_reason.missing", 1, stop_reason=""),
    changed("assessments.stop_reason.before_limit", 1, stop_reason="time_limit"),
    added("assessments.instrument.duplicate_agreeing", 5),
    added("assessments.instrument.duplicate_disagreeing", 5, value="6"),
    changed("assessments.patient_id.orphan", 0, patient_id="P-09"),
    changed("assessments.day.after_data_cut", 0, day="801"),
    changed("assessments.day.after_last_contact", 0, day="701"),
    changed("assessments.day.after_death", 2, day="651"),
    # ---- events
    changed("events.patient_id.missing", 0, patient_id=""),
    changed("events.day.not_a_whole_number", 0, day="?"),
    changed("events.day.missing", 0, day=""),
    changed("events.day.out_of_range", 0, day="-99999"),
    changed("events.event.unknown_word", 0, event="hematoma"),
    changed("events.event.missing", 0, event=""),
    added("events.event.duplicate_agreeing", 4),
    changed("events.patient_id.orphan", 0, patient_id="P-09"),
    changed("events.day.after_data_cut", 0, day="801"),
    changed("events.day.after_last_contact", 0, day="701"),
    added("events.day.after_death", 4, patient_id="P-02", day="651"),
    changed("events.day.before_enrolment", 1, day="-1"),
    added("events.event.deaths_disagree", 4, patient_id="P-02", day="640", event="death"),
]


def apply(release, case: Case, templates) -> None:
    if case.row is None:
        release.add(case.table, templates[case.template], **case.changes)
    else:
        release.set(case.table, case.row, **case.changes)


def test_the_clean_release_breaks_no_rule(release, protocol: Protocol) -> None:
    inspection = check_release(release.write(), protocol)
    assert inspection.violated.is_empty()
    assert inspection.counts["rows_accepted"].to_list() == [2, 2, 3, 2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}={'/'.join(case.changes.values()) or 'again'}")
def test_a_broken_row_is_kept_aside_by_its_rule(release, protocol: Protocol, templates, case: Case) -> None:
    apply(release, case, templates)
    inspection = check_release(release.write(), protocol)
    severity = inspection.rules.filter(rule=case.rule)["severity"].item()
    found = inspection.quarantine if severity == "error" else inspection.warnings
    assert case.line in found.filter(rule=case.rule, file=f"{case.table}.csv")["line"].to_list()
    counts = inspection.counts.filter(table_name=case.table)
    assert counts["rows_quarantined"].item() >= (severity == "error")
    assert (
        inspection.counts["rows_read"] == inspection.counts["rows_accepted"] + inspection.counts["rows_quarantined"]
    ).all()


def test_every_rule_has_a_case(protocol: Protocol) -> None:
    tables = contract(protocol)
    rules = {rule.id for table in tables.values() for rule in row_rules(table, protocol)}
    tested_below = {
        "treatments.code.not_in_protocol",
        *(f"{table}.day.after_withdrawal" for table in ("treatments", "assessments", "events")),
        "treatments.patient_id.patient_quarantined",
        "assessments.patient_id.patient_quarantined",
        "events.patient_id.patient_quarantined",
        "patients.enrolment_quarter.not_a_whole_number",
        "patients.enrolment_quarter.out_of_range",
    }
    assert rules - {case.rule for case in CASES} == tested_below


def test_rule_ids_are_unique_and_reasons_are_one_sentence(protocol: Protocol) -> None:
    rules = [rule for table in contract(protocol).values() for rule in row_rules(table, protocol)]
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.id.startswith(rule.table) for rule in rules)
    assert not [rule.id for rule in rules if rule.reason.endswith(".") or "\n" in rule.reason]


def test_a_quarter_is_held_to_its_range_where_it_may_stay(release, protocol: Protocol) -> None:
    release.about |= {"deidentification": "expert_determination"}
    release.set("patients", 0, enrolment_quarter="5")
    release.set("patients", 1, enrolment_quarter="Q1")
    found = check_release(release.write(), protocol).violated["rule"].to_list()
    assert {"patients.enrolment_quarter.out_of_range", "patients.enrolment_quarter.not_a_whole_number"} <= set(found)


def test_a_quarantined_patient_takes_everything_along(release, protocol: Protocol) -> None:
    release.set("patients", 1, bmi="900")
    inspection = check_release(release.write(), protocol)
    followed = inspection.quarantine.filter(pl.col("rule").str.ends_with("patient_quarantined"))
    assert followed.select("file", "line").rows() == [("treatments.csv", 3), ("assessments.csv", 4), ("events.csv", 3)]
    assert inspection.counts["rows_accepted"].to_list() == [1, 1, 2, 1]


def test_disagreeing_rows_are_both_kept_aside_and_agreeing_ones_leave_one(
    release, protocol: Protocol, templates
) -> None:
    release.add("assessments", templates["assessments"], value="6")  # line 5 contradicts line 2
    release.add("assessments", templates["walking"])  # line 6 repeats line 3
    inspection = check_release(release.write(), protocol)
    lines = {
        kind: inspection.quarantine.filter(rule=f"assessments.instrument.duplicate_{kind}")["line"].to_list()
        for kind in ("disagreeing", "agreeing")
    }
    assert lines == {"disagreeing": [2, 5], "agreeing": [6]}


def test_numbers_that_are_written_otherwise_still_agree(release, protocol: Protocol, templates) -> None:
    release.add("assessments", templates["assessments"], value="7.0")
    inspection = check_release(release.write(), protocol)
    assert inspection.violated["rule"].to_list() == ["assessments.instrument.duplicate_agreeing"]


def test_a_twin_with_an_unreadable_field_is_not_taken_for_the_same(release, protocol: Protocol, templates) -> None:
    release.add("assessments", templates["assessments"], value="seven")
    inspection = check_release(release.write(), protocol)
    assert inspection.quarantine.filter(rule="assessments.instrument.duplicate_disagreeing")["line"].to_list() == [2, 5]


def test_no_patient_dies_twice(release, protocol: Protocol, templates) -> None:
    """Deaths that disagree are both kept aside; care after the earlier of them is then not refused for it."""
    release.add("events", templates["events"], patient_id="P-02", day="100", event="death")
    release.set("treatments", 1, day="400")
    inspection = check_release(release.write(), protocol)
    assert inspection.quarantine["rule"].to_list() == ["events.event.deaths_disagree"] * 2


def test_a_death_after_the_last_contact_is_believed(release, protocol: Protocol) -> None:
    release.set("events", 1, day="750")
    assert check_release(release.write(), protocol).violated.is_empty()


def test_walking_units_are_brought_to_metres_before_the_range_is_held(release, protocol: Protocol) -> None:
    """1,050 ft are 320 m and 0.2 mi are 322 m: both within the test's 5,000 m, as 6,000 ft (1,829 m) are."""
    for value, unit in [("1050", "ft"), ("0.2", "mi"), ("0.32", "km")]:
        release.set("assessments", 1, value=value, unit=unit)
        assert check_release(release.write(), protocol).violated.is_empty()
    release.set("assessments", 1, value="6000", unit="ft", duration_s="1800", stop_reason="time_limit")
    assert check_release(release.write(), protocol).violated.is_empty()


@pytest.mark.parametrize("table", ["treatments", "assessments", "events"])
def test_what_comes_after_a_withdrawal_is_pointed_out_and_kept(release, protocol: Protocol, templates, table) -> None:
    """P-01 withdraws on day 100: a later record of any table is a warning, a later death is none."""
    release.add("events", templates["events"], day="100", event="withdrawal")
    release.tables["events"][0]["day"] = "90"
    late = {"treatments": {"treatment_id": "T-03"}, "assessments": {}, "events": {"event": "infection"}}
    release.add(table, templates[table], day="101", **late[table])
    release.add("events", templates["events"], day="650", event="death")
    inspection = check_release(release.write(), protocol)
    assert inspection.rows_quarantined == 0
    assert inspection.warnings["rule"].to_list() == [f"{table}.day.after_withdrawal"]


@pytest.mark.parametrize(("minutes", "said"), [
    ("6.5", None), ("34", "assessments.duration_s.over_limit"), ("6:30", "assessments.duration_s.not_a_number"),
    ("", "assessments.duration_s.missing"), ("1", "assessments.value.faster_than_walking"),
])  # fmt: skip
def test_minutes_become_seconds_before_the_rules(release, protocol: Protocol, minutes: str, said: str | None) -> None:
    """320 m in 6.5 minutes are 390 s; the test's limit is 30 minutes."""
    release.set("assessments", 1, duration_s="", duration_min=minutes)
    ingested = read_release(release.write(), protocol)
    assert ingested.inspection.violated["rule"].to_list() == ([said] if said else [])
    if not said:
        walks = ingested.tables["raw.assessments"].filter(instrument="spwt")
        assert walks["duration_s"].to_list() == [390.0]


def test_minutes_alone_and_minutes_beside_seconds(release, protocol: Protocol) -> None:
    release.set("assessments", 1, duration_min="6")
    with pytest.raises(ReleaseRefused, match=r"assessments\.csv, line 3: both duration_s and duration_min are given"):
        check_release(release.write(), protocol)
    release.columns["assessments"].remove("duration_s")
    assert check_release(release.write(), protocol).violated.is_empty()


@pytest.mark.parametrize(("instrument", "value", "unit", "rule"), [
    ("nrs_leg", "54", "points", "assessments.value.out_of_range"),  # a 0–100 scale handed over as the 0–10 one
    ("nrs_leg", "54", "mm", "assessments.unit.wrong_for_instrument"),
    ("vas_leg", "54", "points", "assessments.unit.wrong_for_instrument"),
    ("vas_leg", "101", "mm", "assessments.value.out_of_range"),
    ("zcq_symptom", "0.99", "points", "assessments.value.out_of_range"),  # below the floor of a mean of items 1 to 5
    ("zcq_function", "58", "points", "assessments.value.out_of_range"),  # the percent form
    ("odi", "-2", "points", "assessments.value.out_of_range"),
    ("eq5d_3l", "1.01", "index", "assessments.value.out_of_range"),
])  # fmt: skip
def test_a_scale_is_never_taken_for_another(release, protocol: Protocol, instrument, value, unit, rule) -> None:
    release.set("assessments", 0, instrument=instrument, value=value, unit=unit)
    assert rule in check_release(release.write(), protocol).quarantine.filter(line=2)["rule"].to_list()


def test_a_visual_scale_is_its_own_instrument(release, protocol: Protocol) -> None:
    release.set("assessments", 0, instrument="vas_leg", value="54", unit="mm")
    taken = read_release(release.write(), protocol).tables["raw.assessments"].filter(patient_id="P-01", day=0)
    assert ("vas_leg", 54.0) in taken.select("instrument", "value").rows()
    assert "nrs_leg" not in taken["instrument"].to_list()


def test_codes_stand_in_for_tiers(release, protocol: Protocol, templates) -> None:
    release.set("treatments", 0, tier="", code="62323", code_system="CPT")
    release.set("treatments", 1, tier="laminectomy", code="63047", code_system="CPT")
    release.add(
        "treatments", templates["treatments"], treatment_id="T-03", tier="other", code="22867", code_system="CPT"
    )
    assert check_release(release.write(), protocol).violated.is_empty()


@pytest.mark.parametrize("code", ["62320", "62321", "62330", "62331", "99213"])
def test_cervical_inactive_and_foreign_codes_map_to_nothing(release, protocol: Protocol, code: str) -> None:
    release.set("treatments", 0, tier="", code=code, code_system="CPT")
    assert check_release(release.write(), protocol).violated["rule"].to_list() == ["treatments.code.unknown"]
