"""The treatment code list, against what the payers' coverage pages name as lumbar and what they leave out."""

from pipelines.ingest.codelists import active_treatment_codes, bundled_codes, treatment_codes


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


def test_charlson_codes_are_those_of_quan() -> None:
    """Ends of the ranges in Quan 2005 (Med Care 43:1130), table 1, as MIMIC's charlson.sql carries them; 14 conditions:
    diabetes, liver disease and cancer stand in the paper twice, by severity."""
    rows = bundled_codes().filter(kind="comorbidity")
    assert rows["measure"].n_unique() == 14

    def listed(measure: str, system: str = "ICD10CM") -> set[str]:
        return set(rows.filter(measure=measure, system=system)["code"].str.strip_chars_end("*"))

    assert listed("myocardial_infarction") == {"I21", "I22", "I25.2"}
    assert {"I42.0", "I42.5", "I42.9", "I43", "I50", "P29.0"} <= listed("heart_failure")
    assert not {"I42.1", "I42.4"} & listed("heart_failure")
    assert listed("dementia") == {"F00", "F01", "F02", "F03", "F05.1", "G30", "G31.1"}
    assert {"C26", "C30", "C34", "C37", "C41", "C58", "C76", "C80", "C85", "C97"} <= listed("cancer")
    assert not {"C27", "C35", "C42", "C44", "C59", "C86", "C87", "C89"} & listed("cancer")  # C44: skin, left out
    assert {"K74", "I85.0", "K76.7"} <= listed("liver_disease")
    assert listed("hiv") == {"B20", "B21", "B22", "B24"}
    assert {"425.4", "428"} <= listed("heart_failure", "ICD9CM")
    assert listed("hiv", "ICD9CM") == {"042", "043", "044"}
    assert "173" not in listed("cancer", "ICD9CM")  # skin other than melanoma
    assert set(rows.filter(system="ICD9CM")["valid_to"]) == {"2015-09-30"}


def test_every_list_has_the_same_columns_and_no_long_label() -> None:
    codes = bundled_codes()
    assert not codes.select("system", "code", "kind", "measure").is_duplicated().any()
    assert codes["label"].str.len_chars().max() <= 70  # type: ignore[operator]
    assert set(codes["source"]) == {"seen", "unverified", "Quan 2005; seen"}
