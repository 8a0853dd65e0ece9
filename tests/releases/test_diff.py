"""What changed between two releases: small hand-made releases whose changes can be counted on fingers."""

import polars as pl
import pytest

from pipelines.protocol import Protocol, load_protocol
from pipelines.releases.diff import SCHEMA, changes, no_changes
from pipelines.resources import default_protocol_file
from pipelines.warehouse import Warehouse

PATIENTS = {
    "patient_id": [f"p{number:03}" for number in range(100)],
    "sex": ["female"] * 100,
    "enrolment_year": [2024] * 100,
    "site_id": ["s1"] * 100,
    "prior_lumbar_surgery": [False] * 100,
    "spondylolisthesis": [None] * 100,
    "stenosis_grade": ["C"] * 100,
}


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol(default_protocol_file())


def _release(
    protocol: Protocol,
    patients: pl.DataFrame | None = None,
    mean: float = 4.0,
    ratio: tuple[float, float, float] | None = (2.0, 1.0, 4.0),
    quarantined: int = 0,
    version: str = "1.0.0",
    tier: str = "mild",
    moved: int = 0,
) -> Warehouse:
    """A release of the tables that are compared, with one treatment a patient, in memory.

    The first `moved` treatments are those of the patient before, the first that of the last of these.
    """
    people = pl.DataFrame(PATIENTS) if patients is None else patients
    ids = people["patient_id"]
    warehouse = Warehouse()
    warehouse.write("raw.patients", people)
    warehouse.write("protocol.study", pl.DataFrame({"version": [version], "protocol_hash": [protocol.hash]}))
    warehouse.write("outcomes.episodes", pl.DataFrame({"patient_id": ids, "tier": tier, "is_index": True}))
    owners = pl.concat([ids[moved - 1 : moved], ids[: max(moved - 1, 0)], ids[moved:]])
    given = pl.DataFrame({"treatment_id": "t" + ids, "patient_id": owners, "day": 0, "tier": tier})
    warehouse.write("staging.treatments", given)
    warehouse.write("staging.assessments", pl.DataFrame({"patient_id": ids, "instrument": "nrs_leg"}))
    warehouse.write("staging.events", pl.DataFrame({"patient_id": ids[:5], "event": ["death"] * 5}))
    counts = {"table_name": ["patients"], "rows_read": [100], "rows_quarantined": [quarantined]}
    warehouse.write("quality.ingest_counts", pl.DataFrame(counts))
    method, means = ["observed mean"], {"outcome": ["nrs_leg"], "window": ["12m"], "tier": ["mild"]}
    estimate = {"estimate": [mean], "std_error": [0.3], "status": ["estimable"]}
    warehouse.write("results.trajectories", pl.DataFrame({**means, "method": method, **estimate}))
    incidence = {"endpoint": ["treatment_failure"] * 2, "tier": ["mild"] * 2, "cause": ["event"] * 2}
    steps = {"weighting": ["unweighted"] * 2, "time_days": [100.0, 900.0], "estimate": [0.1, 0.9], "std_error": 0.02}
    warehouse.write("results.cumulative_incidence", pl.DataFrame({**incidence, **steps, "status": "estimable"}))
    value, low, high = ratio or (None, None, None)
    contrast = {
        "contrast": ["mild_vs_esi"],
        "outcome": ["spwt"],
        "window": ["12m"],
        "measure": ["distance ratio"],
        "estimate": [value],
        "ci_low": [low],
        "ci_high": [high],
        "is_primary": [True],
        "status": ["estimable" if ratio else "withheld"],
    }
    warehouse.write("results.contrasts", pl.DataFrame(contrast).with_columns(pl.col(pl.Null).cast(pl.Float64)))
    lost = pl.DataFrame(
        schema=dict.fromkeys(("contrast", "endpoint", "weighting", "variance", "measure", "cause"), pl.String)
        | {"tau_days": pl.Float64, "estimate": pl.Float64, "std_error": pl.Float64, "status": pl.String}
    )
    warehouse.write("results.restricted_times", lost)
    return warehouse


def _found(before: Warehouse, after: Warehouse, protocol: Protocol) -> dict[tuple[str, str], dict[str, object]]:
    frame = changes(before, after, protocol, ("spring", "summer"))
    assert frame.schema == SCHEMA
    rows = frame.to_dicts()
    found = {(row["quantity"], row["group"]): row for row in rows}
    assert len(found) == len(rows), "a quantity stands twice"
    return found


def _beyond(found: dict[tuple[str, str], dict[str, object]]) -> set[tuple[str, str]]:
    return {key for key, row in found.items() if row["verdict"] == "beyond"}


def test_a_release_does_not_differ_from_itself(protocol: Protocol) -> None:
    found = _found(_release(protocol), _release(protocol), protocol)
    assert {row["verdict"] for row in found.values()} == {"within"}
    assert all(row["change"] in (0.0, None) for row in found.values())


def test_patients_that_are_gone_are_counted_among_those_there_were(protocol: Protocol) -> None:
    fewer = pl.DataFrame(PATIENTS).head(80)
    found = _found(_release(protocol), _release(protocol, fewer), protocol)
    assert found["patients gone", ""]["change"] == pytest.approx(0.20)
    assert found["patients", ""]["change"] == pytest.approx(-0.20)
    expected = {("patients", ""), ("patients", "mild"), ("treatments", "mild"), ("assessments", "nrs_leg")}
    assert _beyond(found) == expected | {("patients gone", ""), ("treatments gone", "")}


def test_growth_up_to_the_tolerance_needs_no_explanation(protocol: Protocol) -> None:
    more = pl.DataFrame(PATIENTS).head(40).with_columns(pl.format("new-{}", "patient_id").alias("patient_id"))
    grown = pl.concat([pl.DataFrame(PATIENTS), more])
    found = _found(_release(protocol), _release(protocol, grown), protocol)
    assert found["patients", ""]["change"] == pytest.approx(0.40)
    assert _beyond(found) == set()


def test_a_change_of_a_few_records_needs_no_explanation(protocol: Protocol) -> None:
    found = _found(_release(protocol), _release(protocol, pl.DataFrame(PATIENTS).tail(99)), protocol)
    assert found["events", "death"]["verdict"] == "within"
    assert ("patients", "") not in _beyond(found)


def test_a_patient_of_another_sex_is_told_otherwise_and_an_empty_field_filled_too(protocol: Protocol) -> None:
    told = pl.DataFrame(PATIENTS).with_columns(
        sex=pl.Series(["male"] * 2 + ["female"] * 98), spondylolisthesis=pl.Series([None, True, True] + [None] * 97)
    )
    row = _found(_release(protocol), _release(protocol, told), protocol)["patients told otherwise", ""]
    assert (row["value_after"], row["change"], row["verdict"]) == (3.0, pytest.approx(0.03), "beyond")


def test_treatments_of_another_tier_are_told_otherwise(protocol: Protocol) -> None:
    found = _found(_release(protocol), _release(protocol, tier="esi"), protocol)
    assert found["treatments told otherwise", ""]["change"] == 1.0
    assert found["patients", "esi"]["note"] == "not in the release compared with"
    assert {("patients", "esi"), ("patients", "mild")} <= _beyond(found)


def test_treatments_of_another_patient_are_told_otherwise(protocol: Protocol) -> None:
    found = _found(_release(protocol), _release(protocol, moved=3), protocol)
    assert found["treatments told otherwise", ""]["value_after"] == 3
    assert _beyond(found) == {("treatments told otherwise", "")}


def test_releases_without_a_common_pseudonym_cannot_be_compared_patient_by_patient(protocol: Protocol) -> None:
    others = pl.DataFrame(PATIENTS).with_columns(pl.format("x-{}", "patient_id").alias("patient_id"))
    found = _found(_release(protocol), _release(protocol, others), protocol)
    assert found["patients gone", ""]["verdict"] == "not applicable"
    assert _beyond(found) == set()


@pytest.mark.parametrize(("mean", "verdict"), [(5.27, "within"), (5.28, "beyond"), (2.72, "beyond")])
def test_means_may_move_by_three_standard_errors(protocol: Protocol, mean: float, verdict: str) -> None:
    """Two means with a standard error of 0.3 each: 3 · 0.3 · √2 = 1.273."""
    found = _found(_release(protocol, mean=4.0), _release(protocol, mean=mean), protocol)
    assert found["nrs_leg at 12m: observed mean", "mild"]["verdict"] == verdict


def test_ratios_are_compared_as_logarithms(protocol: Protocol) -> None:
    """Limits 1 to 4 and 2 to 8: both errors are ln 4 / 3.92 = 0.35365, the change ln 2 / (0.35365 √2) = 1.3859."""
    found = _found(_release(protocol), _release(protocol, ratio=(4.0, 2.0, 8.0)), protocol)
    row = found["spwt at 12m: distance ratio", "mild_vs_esi"]
    assert (row["value_before"], row["value_after"]) == (2.0, 4.0)
    assert row["change"] == pytest.approx(1.3859, abs=1e-4)


def test_a_contrast_that_is_withheld_now_is_a_change(protocol: Protocol) -> None:
    row = _found(_release(protocol), _release(protocol, ratio=None), protocol)[
        "spwt at 12m: distance ratio", "mild_vs_esi"
    ]
    assert (row["verdict"], row["note"]) == ("beyond", "estimable before, withheld now")


def test_incidence_is_read_at_the_horizon_and_not_after_it(protocol: Protocol) -> None:
    row = _found(_release(protocol), _release(protocol), protocol)["incidence of treatment_failure by day 730", "mild"]
    assert row["value_after"] == 0.1


def test_more_quarantined_rows_are_a_change(protocol: Protocol) -> None:
    row = _found(_release(protocol), _release(protocol, quarantined=3), protocol)["rows quarantined", "patients"]
    assert (row["change"], row["verdict"]) == (pytest.approx(0.03), "beyond")


def test_what_the_protocol_explains_is_explained_for_its_release_and_group_only(protocol: Protocol) -> None:
    reason = {"release": "summer", "quantity": "patients", "group": "mild", "reason": "a site left"}
    explaining = protocol.with_overrides({"release_changes.explained": [reason]})
    fewer = _release(explaining, pl.DataFrame(PATIENTS).head(80))
    found = _found(_release(explaining), fewer, explaining)
    assert (found["patients", "mild"]["verdict"], found["patients", "mild"]["note"]) == ("explained", "a site left")
    assert found["patients", ""]["verdict"] == "beyond"
    elsewhere = changes(_release(explaining), fewer, explaining, ("spring", "autumn"))
    assert elsewhere.filter(verdict="explained").is_empty()


def test_another_protocol_is_said(protocol: Protocol) -> None:
    other = protocol.with_overrides({"version": "2.0.0"})
    row = _found(_release(protocol), _release(other), other)["protocol", ""]
    assert row["note"] == "the protocol is another: version 1.0.0 before, 2.0.0 now"


def test_without_an_earlier_release_nothing_is_said() -> None:
    assert no_changes().is_empty()
    assert no_changes(("spring", "summer"))["verdict"].to_list() == ["not applicable"]
