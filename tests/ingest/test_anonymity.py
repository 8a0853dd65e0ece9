"""k-anonymity on hand-made patients: every count can be read off the list of groups in each test."""

from typing import Any

import polars as pl
import pytest

from pipelines.ingest import check_release
from pipelines.ingest.anonymity import sentence
from pipelines.protocol import Protocol, ProtocolError

THREE = {"anonymity.quasi_identifiers": ["age_band", "sex", "tier"], "anonymity.minimum_group": 3}

Group = tuple[int, str, str, int]  # age, sex, tier ("" for none), patients


def inspect(release, protocol: Protocol, templates, groups: list[Group], **about: Any):
    """A release of so many patients a group, checked."""
    patients, treatments = [], []
    for age, sex, tier, count in groups:
        for _ in range(count):
            patient = {"patient_id": f"Q-{len(patients):03}"}
            patients.append(templates["patients"] | patient | {"age_years": str(age), "sex": sex} | about)
            if tier:
                treatments.append(
                    templates["treatments"] | patient | {"treatment_id": f"T-{len(patients)}", "tier": tier}
                )
    release.tables |= {"patients": patients, "treatments": treatments, "assessments": [], "events": []}
    return check_release(release.write(), protocol)


def test_groups_by_age_band_sex_and_tier(release, protocol: Protocol, templates) -> None:
    """Three groups: 4 women of 70–74 with ESI, 2 men of 70–74 with ESI, 1 woman of 75–79 without a tier."""
    groups = [(70, "female", "esi", 2), (74, "female", "esi", 2), (72, "male", "esi", 2), (75, "female", "", 1)]
    found = inspect(release, protocol.with_overrides(THREE), templates, groups)
    assert found.anonymity_groups.rows() == [
        ("75–79 · female · unknown", 1, True),
        ("70–74 · male · esi", 2, True),
        ("70–74 · female · esi", 4, False),
    ]
    counts = ["patients", "patient_groups", "smallest_group", "groups_below", "patients_below", "patients_alone"]
    by_left_out = {row[0]: row[1:] for row in found.anonymity.select("left_out", *counts).iter_rows()}
    assert by_left_out == {
        "nothing": (7, 3, 1, 2, 3, 1),
        "age band": (7, 3, 1, 2, 3, 1),  # the sexes of ESI stay apart, and so does the woman without a tier
        "sex": (7, 2, 1, 1, 1, 1),  # the men join the women
        "first tier": (7, 3, 1, 2, 3, 1),
    }


def test_the_bands_end_before_90_and_90_is_its_own(release, protocol: Protocol, templates) -> None:
    wide = protocol.with_overrides({"anonymity.quasi_identifiers": ["age_band"], "anonymity.age_band_years": 20})
    found = inspect(release, wide, templates, [(59, "male", "esi", 1), (89, "male", "esi", 1), (90, "male", "esi", 1)])
    assert sorted(found.anonymity_groups["patient_group"]) == ["40–59", "80–89", "90 or older"]
    assert found.anonymity["left_out"].to_list() == ["nothing"]


def test_the_first_tier_is_the_highest_of_the_first_day_since_enrolment(release, protocol: Protocol, templates) -> None:
    tiers = protocol.with_overrides({"anonymity.quasi_identifiers": ["tier"]})
    given = [("-20", "fusion", ""), ("5", "esi", ""), ("5", "", "63047"), ("9", "fusion", ""), ("5", "other", "")]
    release.tables["treatments"] = [
        templates["treatments"]
        | {"treatment_id": f"T-{place}", "day": day, "tier": tier, "code": code, "code_system": "CPT" if code else ""}
        for place, (day, tier, code) in enumerate(given)
    ]
    release.columns["treatments"] += ["code", "code_system"]
    found = check_release(release.write(), tiers)
    assert found.violated.is_empty()
    assert found.anonymity_groups["patient_group"].to_list() == ["laminectomy", "unknown"]


def test_rows_kept_aside_are_not_counted(release, protocol: Protocol, templates) -> None:
    found = inspect(release, protocol.with_overrides(THREE), templates, [(70, "female", "esi", 3)], bmi="900")
    assert found.anonymity.row(0, named=True)["patients"] == 0
    assert found.anonymity_groups.is_empty()
    assert sentence(found.anonymity, protocol) is None


def test_the_sentence_has_counts_no_small_one_and_no_value(release, protocol: Protocol, templates) -> None:
    study = protocol.with_overrides(THREE)
    groups = [(60 + 5 * band, sex, "esi", 2) for band in range(4) for sex in ("female", "male")]
    found = inspect(release, study, templates, [*groups, (40, "male", "esi", 2)])
    assert sentence(found.anonymity, study) == (
        "18 of 18 patients are in groups of fewer than 3 who share age band, sex and first tier; "
        "without the age band it would be 0 (the protocol warns of it and goes on)"
    )
    few = inspect(release, study, templates, [(60, "male", "esi", 9), (40, "male", "esi", 1)])
    said = sentence(few.anonymity, study)
    assert said is not None
    assert said.startswith("some of 10 patients are in groups of fewer than 3")


def test_nothing_is_said_where_every_group_is_large_enough(release, protocol: Protocol, templates) -> None:
    study = protocol.with_overrides(THREE)
    assert sentence(inspect(release, study, templates, [(60, "male", "esi", 3)]).anonymity, study) is None


@pytest.mark.parametrize(("key", "value"), [
    ("quasi_identifiers", ["age_band", "shoe_size"]), ("quasi_identifiers", ["sex", "sex"]), ("quasi_identifiers", []),
    ("minimum_group", 1), ("action", "ignore"),
])  # fmt: skip
def test_the_protocol_refuses_what_it_does_not_know(protocol: Protocol, key: str, value: Any) -> None:
    with pytest.raises(ProtocolError, match="anonymity"):
        protocol.with_overrides({f"anonymity.{key}": value})


def test_first_tiers_of_the_sample_are_those_of_its_index_episodes(protocol: Protocol) -> None:
    """The way through SQL (outcomes.episodes) and the short way here must agree, patient group by patient group."""
    from pipelines.assets.in_memory import derived_frames
    from pipelines.resources import sample_release

    tiers = protocol.with_overrides({"anonymity.quasi_identifiers": ["tier"]})
    episodes = derived_frames(sample_release(), protocol)["outcomes.episodes"].filter("is_index")
    found = check_release(sample_release(), tiers).anonymity_groups.filter(pl.col("patient_group") != "unknown")
    expected = episodes.group_by("tier").agg(pl.len().cast(pl.Int64)).rows()
    assert sorted(found.select("patient_group", "patients").rows()) == sorted(expected)
