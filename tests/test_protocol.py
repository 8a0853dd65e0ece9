"""The protocol file: what a mistake in it says, and how SQL sees it."""

from pathlib import Path

import pytest

from pipelines.protocol import Protocol, ProtocolError, load_protocol
from pipelines.protocol_tables import PROTOCOL_SCHEMA, protocol_tables
from pipelines.resources import default_protocol_file


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_protocol(default_protocol_file())


def test_the_ladder_has_five_tiers_in_order(protocol: Protocol) -> None:
    assert protocol.tier_names == ("conservative", "esi", "mild", "laminectomy", "fusion")


def test_contrasts_are_the_four_neighbours(protocol: Protocol) -> None:
    pairs = [(contrast.reference, contrast.tier) for contrast in protocol.contrasts]
    assert pairs == list(zip(protocol.tier_names, protocol.tier_names[1:], strict=False))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('better = "lower"', 'better = "low"', "instruments.nrs_leg.better"),
        ("first_day = 28", "first_day = 50", "windows.6w"),
        ('reference = "esi"', 'reference = "esii"', "contrasts.mild_vs_esi.reference"),
        ("planned_stage_days = 90", "planned_stage_day = 90", "episodes.planned_stage_days"),
        ("first_day = 64", "first_day = 60", "windows 6w and 3m overlap"),
        ('name = "fusion"', 'name = "laminectomy"', "tiers names laminectomy twice"),
        ("smd_maximum = 0.1", "smd_maximum = -0.1", "diagnostics.smd_maximum"),
        ("time_limit_s = 1800\n", "", "instruments.spwt"),
        ('levels = ["never", "former", "current"]', "", "covariates.smoking"),
        ("minimum_count = 11", "minimum_count = 11\nminimum_cont = 5", "disclosure.minimum_cont"),
        ("[episodes]", "[episodes", "not valid TOML"),
    ],
)
def test_a_mistake_gives_one_sentence_naming_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = default_protocol_file().read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "protocol.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProtocolError) as refusal:
        load_protocol(broken)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match=r"no protocol file at .*absent\.toml"):
        load_protocol(tmp_path / "absent.toml")


def test_the_hash_follows_the_content_not_the_file(protocol: Protocol, tmp_path: Path) -> None:
    text = default_protocol_file().read_text(encoding="utf-8")
    reordered = tmp_path / "same.toml"
    reordered.write_text("# a remark\n" + text, encoding="utf-8")
    assert load_protocol(reordered).hash == protocol.hash
    assert protocol.with_overrides({"primary.endpoint_horizon_days": 365}).hash != protocol.hash


def test_an_override_of_an_unknown_key_is_refused(protocol: Protocol) -> None:
    with pytest.raises(ProtocolError, match=r"no key primary\.horizon"):
        protocol.with_overrides({"primary.horizon": 365})


def test_every_table_has_rows_and_its_columns(protocol: Protocol) -> None:
    tables = protocol_tables(protocol)
    assert set(tables) == set(PROTOCOL_SCHEMA)
    for name, frame in tables.items():
        assert frame.height > 0, name
        assert dict(frame.schema) == {c: t() for c, t in PROTOCOL_SCHEMA[name].items()}, name


def test_treatment_failure_is_escalation_or_a_repeat_that_counts(protocol: Protocol) -> None:
    """From the design: repeat injections are not failure, a repeat operation is, and fusion cannot escalate."""
    pairs = protocol_tables(protocol)["endpoint_treatments"].filter(endpoint="treatment_failure").rows()
    by_tier = {tier: {event for _, t, event, _ in pairs if t == tier} for tier in protocol.tier_names}
    assert by_tier == {
        "conservative": {"esi", "mild", "laminectomy", "fusion"},
        "esi": {"mild", "laminectomy", "fusion"},
        "mild": {"mild", "laminectomy", "fusion"},
        "laminectomy": {"laminectomy", "fusion"},
        "fusion": {"fusion"},
    }


def test_a_repeat_injection_counts_on_the_side_only_and_after_twelve_weeks(protocol: Protocol) -> None:
    pairs = protocol_tables(protocol)["endpoint_treatments"].filter(event_tier="esi", index_tier="esi")
    assert pairs.select("endpoint", "after_days").rows() == [("failure_or_repeat_injection", 84)]
    listed = protocol_tables(protocol)["endpoints"].filter(endpoint="failure_or_repeat_injection")
    assert listed["is_supplementary"].to_list() == [True]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('repeat_tiers = ["esi"]', 'repeat_tiers = ["epidural"]', "repeat_tiers names epidural"),
        ('relapses = ["leg_pain_relapse"]', 'relapses = ["back"]', "relapses names back"),
        ('threshold = "mcid"\nmargin', 'threshold = "best"\nmargin', "leg_pain_relapse.threshold names best"),
        ('name = "repeat_procedure"', 'name = "opioid_start"', "endpoints names opioid_start twice"),
    ],
)
def test_endpoints_on_the_side_are_held_to_the_same_names(old: str, new: str, said: str, tmp_path: Path) -> None:
    text = default_protocol_file().read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / "changed.toml"
    changed.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ProtocolError, match=said):
        load_protocol(changed)


def test_a_contrast_has_one_event_set_for_both_arms(protocol: Protocol) -> None:
    pairs = protocol_tables(protocol)["endpoint_treatments"]
    for contrast in protocol.contrasts:
        arms = [
            set(pairs.filter(endpoint=contrast.endpoint, index_tier=tier)["event_tier"])
            for tier in (contrast.tier, contrast.reference)
        ]
        assert arms[0] == arms[1] != set(), contrast.name


# ----------------------------------------------------------------------------------------------------------- amendments

AMENDED = """
[[amendments]]
date = 2027-03-01
version = "1.1.0"
change = "A visit at five years"
reason = "Returns of symptoms are late"
data_seen = false

[[amendments]]
date = {date}
version = "{version}"
change = "ESI is compared at six months too"
reason = "Asked for by the committee"
data_seen = true
"""


def amended(tmp_path: Path, date: str = "2027-09-15", version: str = "1.2.0") -> Protocol:
    text = default_protocol_file().read_text(encoding="utf-8").replace('version = "1.0.0"', 'version = "1.2.0"', 1)
    changed = tmp_path / "amended.toml"
    changed.write_text(text + AMENDED.format(date=date, version=version), encoding="utf-8")
    return load_protocol(changed)


def test_the_protocol_that_travels_with_the_pipeline_has_no_amendments(protocol: Protocol) -> None:
    assert protocol.amendments == ()


def test_amendments_say_when_and_whether_results_were_known(tmp_path: Path, protocol: Protocol) -> None:
    found = amended(tmp_path)
    assert [(str(a.date), a.version, a.data_seen) for a in found.amendments] == [
        ("2027-03-01", "1.1.0", False), ("2027-09-15", "1.2.0", True),
    ]  # fmt: skip
    assert Protocol.model_validate_json(found.model_dump_json()).hash == found.hash != protocol.hash


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"date": "2027-02-01"}, "amendments 1.1.0 and 1.2.0 are not in order of their dates"),
        ({"date": '"in spring"'}, "amendments.1.date"),
        ({"version": "1.1.0"}, "amendments names 1.1.0 twice"),
        ({"version": "1.3.0"}, "led to version 1.3.0, but key version says 1.2.0"),
    ],
)
def test_a_log_of_amendments_that_contradicts_itself_is_refused(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        amended(tmp_path, **changed)


def test_only_a_walking_test_is_of_a_fixed_time(protocol: Protocol) -> None:
    parts = [part.model_dump(mode="json") for part in protocol.instruments]
    fixed = {part["name"] for part in parts if part["is_fixed_time"]}
    assert fixed == {"six_minute_walk"}
    score = next(part for part in parts if part["kind"] == "score")
    score["is_fixed_time"] = True
    with pytest.raises(ProtocolError, match="is_fixed_time is for a walking test"):
        protocol.with_overrides({"instruments": parts})
