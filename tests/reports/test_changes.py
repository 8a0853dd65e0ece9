"""What page one says of changes, rule by rule, from rows made by hand; and the reporting checklist."""

import re
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines.protocol import Protocol
from pipelines.releases.diff import SCHEMA
from pipelines.reports import keys
from pipelines.reports.content import Bullets, Callout, Paragraph, Section
from pipelines.reports.ledger import EARLIER, Ledger, State
from pipelines.reports.sections.changes import FIRST, change_sentences
from pipelines.reports.sections.checklist import checklist, items

UNTOLD = "how many is not told (a small count, or rounded)."
JUDGING = re.compile(r"\b(worst|best|caused?|causes|because of|proves?|proven|due to)\b", re.IGNORECASE)


def told(protocol: Protocol, *rows: dict[str, Any], patients: int = 400, was: State = "exact") -> list[str]:
    """The sentences of a release whose changes are these, with so many patients printed now and before."""
    ledger = Ledger(11)
    accepted = keys.records("patients", "accepted")
    ledger.add(accepted, patients)
    ledger.published[(EARLIER, *accepted)] = was
    decisions = SimpleNamespace(ledger=ledger)
    gate = SimpleNamespace(minimum=11, decisions=decisions, is_exact=lambda key: True)
    base = dict.fromkeys(SCHEMA) | {"before": "spring", "after": "autumn", "group": "", "verdict": "within"}
    frame = pl.DataFrame([base | row for row in rows], schema=SCHEMA)
    study: Any = SimpleNamespace(
        snapshot={"quality.changes": frame}, protocol=protocol, gate=gate,
        versus=lambda contrast: contrast.name.replace("_", " "), short=lambda tier: protocol.tier(tier).short_label,
    )  # fmt: skip
    said = change_sentences(study)
    assert not [text for text in said if JUDGING.search(text)]
    return said


def patients(before: int, after: int) -> dict[str, Any]:
    return {"quantity": "patients", "value_before": float(before), "value_after": float(after), "scale": "fraction"}


def moved(verdict: str, **more: Any) -> dict[str, Any]:
    row = {"quantity": "nrs_leg at 12m: difference", "group": "mild_vs_esi", "change": 3.2, "scale": "standard errors"}
    return row | {"verdict": verdict} | more


def test_the_first_release_has_nothing_to_compare_with(protocol: Protocol) -> None:
    assert told(protocol) == [FIRST]


def test_a_release_of_another_version_cannot_be_compared(protocol: Protocol) -> None:
    row = {"quantity": "all", "verdict": "not applicable", "note": "the earlier snapshot is of another version"}
    assert told(protocol, row) == [
        "Compared with release spring: not applicable, the earlier snapshot is of another version."
    ]


@pytest.mark.parametrize(
    ("before", "after", "was", "sentence"),
    [
        (380, 400, "exact", "20 patients more than in release spring."),
        (420, 400, "exact", "20 patients fewer than in release spring."),
        (400, 400, "exact", "As many patients as in release spring."),
        (395, 400, "exact", "More patients than in release spring; how many is not told (a small count, or rounded)."),
        (410, 400, "exact", "Fewer patients than in release spring; how many is not told (a small count, or rounded)."),
        (
            380,
            400,
            "rounded",
            "More patients than in release spring; how many is not told (a small count, or rounded).",
        ),
    ],
)
def test_patients_are_counted_only_where_both_reports_tell_them(
    protocol: Protocol, before: int, after: int, was: State, sentence: str
) -> None:
    assert told(protocol, patients(before, after), patients=after, was=was) == [sentence]


def test_another_protocol_is_named_as_a_reason_for_any_change(protocol: Protocol) -> None:
    row = {
        "quantity": "protocol",
        "verdict": "not applicable",
        "note": "the protocol is another: version 1 before, 2 now",
    }
    assert told(protocol, row) == [
        "The protocol is another: version 1 before, 2 now: any figure may differ for that reason alone."
    ]
    assert told(protocol, {"quantity": "protocol", "verdict": "within"}) == []


def test_estimates_beyond_their_tolerance_are_signals_without_values(protocol: Protocol) -> None:
    limit = f"{protocol.release_changes.standard_errors:g}"
    assert told(protocol, moved("within"), moved("within")) == [
        f"None of 2 headline figures moved by more than {limit} standard errors."
    ]
    assert told(protocol, moved("beyond"), moved("within"), moved("beyond", group="esi", change=-4.0)) == [
        f"Signal for review: 2 of 3 headline figures moved by more than {limit} standard errors, or came or went: "
        "nrs leg at 12m (mild vs esi, up) and nrs leg at 12m (ESI, down)."
    ]
    gone = moved("beyond", note="estimable before, withheld now", change=None)
    assert "(mild vs esi, estimable before, withheld now)" in told(protocol, gone)[0]
    many = [moved("beyond") for _ in range(7)]
    assert told(protocol, *many)[0].endswith("and 3 more.")


def test_records_beyond_their_tolerance_are_named_without_numbers(protocol: Protocol) -> None:
    rows = [
        {"quantity": "patients gone", "scale": "share", "verdict": "beyond", "value_after": 7.0, "change": 0.2},
        {"quantity": "assessments", "group": "nrs_leg", "scale": "fraction", "verdict": "beyond", "value_after": 3.0},
    ]
    (sentence,) = told(protocol, *rows)
    assert sentence == (
        "Signal for review: changed beyond what the protocol lets pass: patients gone and assessments (nrs leg)."
    )
    assert told(protocol, {"quantity": "events", "scale": "fraction", "verdict": "explained"}) == [
        "Explained in the protocol: events."
    ]


# ------------------------------------------------------------------------------------------------------------ checklist


def test_the_checklist_has_every_item_of_strobe_and_record() -> None:
    """STROBE has 22 items, RECORD adds 13 (von Elm 2007; Benchimol 2015)."""
    found = [(item["guideline"], item["item"]) for item in items()]
    assert [item for guideline, item in found if guideline == "STROBE"] == [str(k) for k in range(1, 23)]
    record = ["1.1", "1.2", "1.3", "6.1", "6.2", "6.3", "7.1", "12.1", "12.2", "12.3", "13.1", "19.1", "22.1"]
    assert [item for guideline, item in found if guideline == "RECORD"] == record
    assert all(bool(item["where"]) != bool(item["note"]) for item in items())


def test_items_link_to_sections_or_say_why_not() -> None:
    flow = Section("flow", "Flow of patients", (Paragraph("A flow."),))
    quiet = Section("literature", "Published figures", (Callout("not applicable", "Not applicable", "None fit."),))
    lines = [text for b in checklist((flow, quiet)).blocks if isinstance(b, Bullets) for text in b.items]
    by_item = {line.partition(",")[0]: line for line in lines}
    assert len(by_item) == 35
    assert by_item["STROBE 13"].endswith("[Flow of patients](#flow).")
    assert by_item["STROBE 21"].endswith("not applicable. None fit.")
    assert by_item["STROBE 17"].endswith("not applicable. This report has no such section.")
    assert "not applicable. Releases carry days" in by_item["RECORD 1.2"]
