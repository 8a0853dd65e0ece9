"""Another staged-treatment cohort passes with its own protocol: words, ranges and walking columns are the study's."""

import pytest

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.protocol import Protocol

SHARED = {"version", "title", "condition", "episodes", "baseline", "windows", "competing", "diagnostics", "disclosure"}


@pytest.fixture
def knee(protocol: Protocol) -> Protocol:
    """Three tiers and one score of another joint; nobody walks for it."""
    return Protocol.model_validate(
        protocol.model_dump(mode="json", include=SHARED)
        | {
            "name": "knee",
            "tiers": [
                {"name": name, "label": name, "short_label": name} for name in ("exercise", "injection", "replacement")
            ],
            "instruments": [
                {
                    "name": "koos_pain", "label": "KOOS pain", "short_label": "KOOS", "kind": "score", "unit": "points",
                    "minimum": 0, "maximum": 100, "better": "higher", "citation": "made up for this test",
                }
            ],
            "primary": {
                "endpoint_horizon_days": 365, "horizons_days": [365], "outcomes": [], "multiplicity": "none",
                "citation": "made up for this test",
            },
        }
    )  # fmt: skip


def in_the_knee(release) -> None:
    for name in ("duration_s", "stop_reason"):
        release.columns["assessments"].remove(name)
    release.tables["assessments"] = [
        {"patient_id": "P-01", "day": "0", "instrument": "koos_pain", "value": "55", "unit": "points", "mode": "web"}
    ]
    release.set("treatments", 0, tier="injection")
    release.set("treatments", 1, tier="replacement")


def test_its_tiers_and_instruments_are_taken_without_walking_columns(release, knee: Protocol) -> None:
    in_the_knee(release)
    ingested = read_release(release.write(), knee)
    assert ingested.inspection.violated.is_empty()
    assert ingested.tables["raw.assessments"]["duration_s"].null_count() == 1
    assert not ingested.inspection.rules["rule"].str.contains("over_limit").any()


def test_each_protocol_refuses_the_words_of_the_other(release, protocol: Protocol, knee: Protocol) -> None:
    found = check_release(release.write(), knee).violated["rule"].to_list()
    assert "assessments.instrument.unknown_word" in found
    assert "treatments.tier.unknown_word" in found
    assert "treatments.tier.missing" not in found
    in_the_knee(release)
    with pytest.raises(ReleaseRefused, match="lacks the columns duration_s and stop_reason"):
        check_release(release.write(), protocol)


def test_a_code_of_the_lumbar_ladder_means_nothing_there(release, knee: Protocol) -> None:
    in_the_knee(release)
    release.set("treatments", 0, tier="", code="62323", code_system="CPT")
    assert check_release(release.write(), knee).violated["rule"].to_list() == ["treatments.code.not_in_protocol"]
