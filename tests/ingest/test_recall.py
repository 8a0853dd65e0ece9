"""The guard's recall on the planted identifiers, and its silence on what a clean release holds.

The corpus was written by those who wrote the patterns, so its recall is an upper bound; its use is to notice when a
pattern is lost. Identifiers that faker makes are the sterner measure.
"""

import polars as pl
import pytest

from pipelines.ingest import ReleaseRefused, check_release
from pipelines.ingest.independent import independent_identifiers
from pipelines.ingest.recall import planted_identifiers, recall_table
from pipelines.ingest.scanners import first_find, scanners_for
from pipelines.protocol import Protocol


def test_the_corpus_is_large_and_broad() -> None:
    corpus = planted_identifiers()
    assert corpus.height >= 150
    assert corpus["kind"].n_unique() >= 12
    assert set(corpus["table"]) == {"patients", "treatments", "assessments", "events"}


@pytest.mark.slow
def test_recall_by_kind(protocol: Protocol) -> None:
    table = recall_table(planted_identifiers(), protocol)
    assert table.filter(pl.col("recall") < 1).is_empty()
    assert table.filter(kind="all")["planted"].item() >= 150
    assert (table["planted"] == table["refused"] + table["kept_out"] + table["let_in"]).all()


CLEAN = {
    "text": [
        "public", "private", "medicare", "medicaid", "commercial", "self pay", "workers compensation", "uninsured",
        "Blue plan", "PPO", "HMO (gold)", "high school", "college", "university", "some college", "graduate degree",
        "primary school", "9-12 years", "less than 12 years", "none", "other", "unknown", "Level 3", "ISCED 5-6",
        "claudication", "back_pain", "time_limit", "points", "six_minute_walk", "death", "other_complication",
    ],
    "pseudonym": [
        "P-01", "P000123", "p1", "1", "12345", "SM-480e421f8bef373b", "SM-480e421f8bef373b-t12", "T-000001",
        "3f2c8e9a-5b1d-4c7e-9a2b-1d4f6e8c0b7a", "3f2c8e9a5b1d4c7e9a2b1d4f6e8c0b7a", "site-12-b", "surgeonA",
        "AB-0123456789abcdef", "01HV5Z6Q8X9Y7W3K2M4N5P6R7S", "subject_17", "LSS.0042", "001-0017",
    ],
    "site": ["S1", "site-12", "A", "north", "site_03", "7", "012"],
    "code": ["62323", "0275T", "G0276", "CPT", "HCPCS", "ICD10PCS", "0SG00A0", "01NB0ZZ"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in CLEAN.items() for value in values])
def test_clean_words_raise_no_alarm(kind: str, value: str) -> None:
    assert first_find(pl.Series([value]), scanners_for(kind)) is None


def test_identifiers_made_elsewhere_are_found_too(protocol: Protocol) -> None:
    """Names, places and numbers of 26 countries, five of each kind; `lss recall --made` measures more of them."""
    corpus = independent_identifiers(5, seed=7)
    assert corpus["kind"].n_unique() >= 15
    table = recall_table(corpus, protocol)
    everything = table.filter(kind="all")
    assert everything["let_in"].item() <= 0.05 * corpus.height
    assert everything["recall"].item() >= 0.85  # the rest is kept out with its row: no word of the contract


@pytest.mark.parametrize(("column", "value"), [
    ("insurance", "Kalevi Koskinen"), ("insurance", "Zbigniew Wójcik"), ("education", "横浜市泉区"),
    ("education", "397 86"), ("surgeon_id", "Bergström"), ("surgeon_id", "CarvalhoG"), ("patient_id", "Wiktor"),
    ("patient_id", "NL91ABNA0417164300"), ("patient_id", "560317-9960"), ("surgeon_id", "(0439)-150008"),
])  # fmt: skip
def test_what_patterns_alone_would_miss(release, protocol: Protocol, column: str, value: str) -> None:
    table = "treatments" if column == "surgeon_id" else "patients"
    release.set(table, 0, **{column: value})
    with pytest.raises(ReleaseRefused, match=f"{table}.csv, line 2, column {column}: ") as refused:
        check_release(release.write(), protocol)
    assert value not in str(refused.value)


def test_a_study_may_add_words_to_its_classes(release, protocol: Protocol) -> None:
    release.set("patients", 0, insurance="Techniker gold")
    with pytest.raises(ReleaseRefused, match="anonymity.class_words"):
        check_release(release.write(), protocol)
    check_release(release.write(), protocol.with_overrides({"anonymity.class_words": ["Techniker"]}))


@pytest.mark.parametrize("value", CLEAN["text"][:24])
def test_clean_classes_raise_no_alarm(release, protocol: Protocol, value: str) -> None:
    release.set("patients", 0, insurance=value)
    assert check_release(release.write(), protocol).violated.is_empty()


@pytest.mark.parametrize("value", CLEAN["pseudonym"])
def test_clean_pseudonyms_raise_no_alarm(release, protocol: Protocol, value: str) -> None:
    release.set("treatments", 0, surgeon_id=value, treatment_id=value)
    assert check_release(release.write(), protocol).violated.is_empty()
