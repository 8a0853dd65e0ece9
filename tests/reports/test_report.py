"""The committee report as a document: its parts, its wording, and what it says where nothing can be said."""

import ast
import re
from pathlib import Path

import polars as pl
import pytest

from pipelines.protocol import Protocol
from pipelines.reports import build_report
from pipelines.reports.content import (
    Bullets,
    Callout,
    Column,
    Document,
    Facts,
    Figure,
    Paragraph,
    Row,
    Section,
    Table,
    exhibits,
    plain,
    spans,
)
from pipelines.reports.tables import Snapshot
from pipelines.warehouse import WarehouseError

ROOM = Path(__file__).resolve().parents[2] / "pipelines" / "reports"
CAUSAL = re.compile(
    r"\b(caus(?:ed|al|ing)|effect of|due to treatment|leads to|improves|prevents|because of treatment)\b", re.I
)


@pytest.fixture(scope="module")
def document(large_document: Document) -> Document:
    return large_document


def words(section: Section) -> list[str]:
    """All wording of a section."""
    said = [section.title]
    for block in section.blocks:
        match block:
            case Paragraph(text=text):
                said.append(text)
            case Bullets(items=items):
                said += items
            case Callout(title=title, text=text):
                said += [title, text]
            case Facts(items=items):
                said += [text for pair in items for text in pair]
            case Table(title=title, reading=reading) | Figure(title=title, reading=reading):
                said += [title, reading]
    return said + [text for part in section.parts for text in words(part)]


def not_applicable(document: Document) -> dict[str, str]:
    """Reason by section of those that do not apply."""
    return {
        section.anchor: block.text
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Callout) and block.kind == "not applicable"
    }


def test_every_part_of_a_full_release_applies(document: Document) -> None:
    assert not_applicable(document) == {}
    assert [section.anchor for section in document.sections] == [
        "flow", "table-one", "choice", "completeness", "pain", "responders", "walking", "failure", "comparisons",
        "estimators", "balance", "missing", "sensitivity", "subgroups", "definitions", "harm", "occupation",
        "crossover", "proportional", "sites", "withheld", "literature", "quality", "methods", "target-trials",
        "thresholds", "checklist",
    ]  # fmt: skip


def test_exhibits_are_numbered_in_reading_order_and_say_how_to_read_them(document: Document) -> None:
    found = list(exhibits(document.sections))
    for kind in (Table, Figure):
        assert [e.number for e in found if isinstance(e, kind)] == list(
            range(1, 1 + sum(isinstance(e, kind) for e in found))
        )
    assert len({e.anchor for e in found}) == len(found)
    for exhibit in found:
        assert exhibit.source, exhibit.anchor
        assert exhibit.reading or exhibit.anchor == "table-flow"


def test_every_panel_has_an_alternative_text_with_its_numbers(document: Document) -> None:
    panels = [p for e in exhibits(document.sections) if isinstance(e, Figure) for p in e.panels]
    assert len(panels) > 12
    for panel in panels:
        assert len(panel.alt) > 40
        assert re.search(r"\d", panel.alt)


def test_sources_name_tables_of_the_snapshot(document: Document, large_cohort) -> None:  # type: ignore[no-untyped-def]
    for exhibit in exhibits(document.sections):
        for name in re.findall(r"\b(?:results|analysis|outcomes|quality)\.\w+", exhibit.source):
            assert name in large_cohort.tables or name in ("quality.quarantine", "results.hazard_ratios"), (
                exhibit.anchor
            )


def test_page_one_speaks_of_association_and_never_of_cause_or_rank(document: Document) -> None:
    page = [*document.summary.found, *document.summary.certainty, *document.summary.review]
    assert any("associations" in text for text in page)
    assert not [text for text in page[:-1] if CAUSAL.search(text)]
    everything = page + [text for section in document.sections for text in words(section)]
    assert not [text for text in everything if re.search(r"\bworst\b|\bbest\b|\brank(ed|ing)\b(?<!not ranked)", text)]


def test_findings_agree_with_the_rows_they_come_from(document: Document, large_cohort) -> None:  # type: ignore[no-untyped-def]
    rows = large_cohort.tables["results.contrasts"]
    lead = rows.filter(
        (pl.col("outcome") == "nrs_leg") & pl.col("is_primary") & (pl.col("contrast") == "esi_vs_conservative")
    ).row(0, named=True)
    sentence = next(text for text in document.summary.found if text.startswith("**Leg pain"))
    told = f"{lead['estimate']:.1f} points, 95\u202f% CI {lead['ci_low']:.1f} to {lead['ci_high']:.1f}".replace(
        "-", "−"
    )
    assert told in plain(sentence)


def test_time_lost_leads_for_later_operations_with_its_own_holm_test(document: Document) -> None:
    sentence = next(text for text in document.summary.found if text.startswith("**Time lost"))
    assert plain(sentence) == (
        "Time lost to a later operation within 24 months, as each contrast counts it: "
        "shorter with ESI than with conservative (−30 days, 95\u202f% CI −50 to −10), "
        "shorter with MILD than with ESI (−30 days, 95\u202f% CI −50 to −10), "
        "shorter with laminectomy than with MILD (−30 days, 95\u202f% CI −50 to −10; within chance once the number of "
        "comparisons is allowed for) and "
        "shorter with fusion than with laminectomy (−30 days, 95\u202f% CI −50 to −10; within chance once the number "
        "of "
        "comparisons is allowed for)."
    )


def test_what_needs_review_is_called_a_signal(document: Document) -> None:
    review = document.summary.review
    assert any(text.startswith("Signal for review: fewer than 80") for text in review)
    assert any("did not pass" in text for text in review)
    assert any("(Laminectomy vs MILD)" in text for text in review)


def test_a_withheld_contrast_shows_no_adjusted_figure_anywhere(document: Document) -> None:
    found = {e.anchor: e for e in exhibits(document.sections)}
    contrasts = found["table-contrasts"]
    assert isinstance(contrasts, Table)
    rows = [r for r in contrasts.rows if r.kind == "body" and str(r.cells[0]) == "Laminectomy vs MILD"]
    assert [str(r.cells[1]) for r in rows].count("withheld") == 3  # back pain was let pass in this fixture
    assert "38 of the 50" in str(rows[0].cells[-2])


# ------------------------------------------------------------------------------------------------ where little is known


def test_a_trial_without_failure_walking_or_contrasts_gives_a_report(three_arm_protocol: Protocol) -> None:
    document = build_report(_three_arms, three_arm_protocol)
    reasons = not_applicable(document)
    assert set(reasons) == {
        "flow", "table-one", "choice", "completeness", "responders", "walking", "failure", "comparisons", "estimators",
        "balance",
        "missing", "sensitivity", "subgroups", "definitions", "harm", "occupation", "crossover", "proportional",
        "sites", "withheld", "literature", "quality",
        "target-trials",
    }  # fmt: skip
    assert reasons["failure"] == "The protocol names no failure event."
    assert reasons["walking"] == "No walking test was recorded in this release."
    assert document.summary.found == (
        "**Back pain, after treatment:** on average 2.8 with usual care, 3.1 with placebo and 1.2 with therapy. "
        "The protocol asks for no comparison between tiers.",
    )


def _three_arms(table: str) -> pl.DataFrame:
    """50 patients an arm; only scores were measured."""
    arms = {"usual": 2.84, "placebo": 3.13, "therapy": 1.18}
    if table == "analysis.subjects":
        return pl.DataFrame({"tier": [arm for arm in arms for _ in range(50)]})
    if table == "results.trajectories":
        return pl.DataFrame(
            [
                {"outcome": "nrs_back", "tier": arm, "window": "post", "method": "observed mean", "subjects": 50,
                 "estimate": mean, "std_error": 0.2, "ci_low": mean - 0.4, "ci_high": mean + 0.4,
                 "status": "estimable", "reason": None, "expected": 50}
                for arm, mean in arms.items()
            ]
        )  # fmt: skip
    raise LookupError(table)


def test_a_snapshot_without_any_table_still_gives_a_report(protocol: Protocol) -> None:
    def nothing(table: str) -> pl.DataFrame:
        raise WarehouseError(f"reading {table}: the database refused (CatalogException)")

    document = build_report(nothing, protocol)
    assert str(document.summary.figures.items[0].value) == "0"
    assert {"flow", "pain", "walking", "failure", "comparisons"} <= set(not_applicable(document))


def test_empty_tables_are_as_good_as_missing_ones(large_cohort, protocol: Protocol) -> None:  # type: ignore[no-untyped-def]
    empty = build_report(lambda name: large_cohort.read(name).clear(), protocol)
    assert {"flow", "pain", "walking", "failure", "comparisons", "crossover"} <= set(not_applicable(empty))


# ---------------------------------------------------------------------------------------------------------- house rules


def calls(path: Path) -> set[str]:
    """Names that a module calls directly."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def test_only_the_gate_lets_numbers_into_drawings() -> None:
    found = {path.name for path in ROOM.rglob("*.py") if "Drawn" in calls(path)}
    assert found == {"gate.py"}


def test_sections_make_no_estimate() -> None:
    for path in (ROOM / "sections").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) (pipelines\.models|statsmodels)", text, re.MULTILINE)


# -------------------------------------------------------------------------------------------------------- content model


def test_marks_become_runs_of_one_style() -> None:
    runs = spans("a **b** c [d](#e-f)")
    assert [(r.text, r.is_strong, r.target) for r in runs] == [
        ("a ", False, None), ("b", True, None), (" c ", False, None), ("d", False, "e-f"),
    ]  # fmt: skip
    assert plain("a **b** [c](#d)") == "a b c"


def test_a_table_with_a_ragged_row_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells where 1 are due"):
        Table("t", "t", (Column("a"),), (Row(("x", "y")),))


def test_the_snapshot_reads_each_table_once() -> None:
    asked: list[str] = []

    def read(table: str) -> pl.DataFrame:
        asked.append(table)
        return pl.DataFrame({"a": [1]})

    snapshot = Snapshot(read)
    assert snapshot.has("x.y")
    assert snapshot.rows("x.y", a=1).height == 1
    assert asked == ["x.y"]


# ----------------------------------------------------------------------------------------------------------- amendments


def _amendments(protocol: Protocol) -> Section:
    methods = next(s for s in build_report(lambda _: pl.DataFrame(), protocol).sections if s.anchor == "methods")
    return next(part for part in methods.parts if part.anchor == "methods-amendments")


def test_methods_print_the_amendments_of_the_protocol(protocol: Protocol) -> None:
    change = {"date": "2027-09-15", "version": protocol.version, "change": "ESI at six months", "reason": "Asked for"}
    (table,) = _amendments(protocol.with_overrides({"amendments": [{**change, "data_seen": True}]})).blocks
    assert isinstance(table, Table)
    assert table.rows[0].cells == ("2027-09-15", protocol.version, "ESI at six months", "Asked for", "after")


def test_methods_say_where_there_are_no_amendments(protocol: Protocol) -> None:
    (said,) = _amendments(protocol).blocks
    assert isinstance(said, Paragraph)
    assert said.text == f"No amendments: protocol lss-ladder, version {protocol.version}, records no change."
