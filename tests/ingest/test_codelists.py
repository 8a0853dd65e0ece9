"""The treatment code list, against what the payers' coverage pages name as lumbar and what they leave out."""

from pipelines.ingest.codelists import active_treatment_codes, treatment_codes


def codes(tier: str) -> set[str]:
    return set(active_treatment_codes().filter(tier=tier)["code"])


def test_a_code_stands_once_and_has_every_field() -> None:
    frame = treatment_codes()
    assert frame.columns == [
        "code_system", "code", "tier", "label", "valid_from", "valid_to", "source", "is_active",
    ]  # fmt: skip
    assert not frame.select("code_system", "code").is_duplicated().any()
    assert set(frame["source"]) == {"seen", "unverified"}
    assert frame.select("code_system", "code", "tier", "label", "is_active").null_count().sum_horizontal().item() == 0


def test_only_lumbar_epidural_injections_are_esi() -> None:
    """62322/62323 are lumbar or sacral, 62320/62321 cervical or thoracic; 64483/64484 transforaminal lumbar."""
    assert codes("esi") == {"62322", "62323", "64483", "64484"}
    assert not {"62320", "62321"} & set(treatment_codes()["code"])


def test_mild_has_its_two_codes_and_the_announced_ones_are_off() -> None:
    assert codes("mild") == {"0275T", "G0276"}
    announced = treatment_codes().filter(treatment_codes()["code"].is_in(["62330", "62331"]))
    assert announced["is_active"].to_list() == [False, False]


def test_spacers_and_neuromodulation_stay_outside_the_ladder() -> None:
    assert {"22867", "22868", "22869", "22870", "63650", "63685", "64635"} <= codes("other")


def test_decompression_and_fusion_codes_are_kept_apart() -> None:
    assert "63047" in codes("laminectomy")
    assert {"22612", "22630", "22633"} <= codes("fusion")
    assert not codes("laminectomy") & codes("fusion")


def test_labels_are_our_own_short_words() -> None:
    assert treatment_codes()["label"].str.len_chars().max() <= 70  # type: ignore[operator]
