"""The outside view: published figures beside the cohort's own, with what differs between the two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import (
    Callout,
    Cell,
    Column,
    Figure,
    Panel,
    Paragraph,
    Row,
    Section,
    Sentence,
    Shown,
    Table,
)
from pipelines.reports.figures.pairs import OwnMark, PairRow, PublishedMark, pairs_panel
from pipelines.reports.ledger import Key
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import BASELINE, Study

FRACTIONS = ("share", "responders", "incidence")
NO_COUNTERPART = "no counterpart"
DRAWN_FROM = 2  # a panel for a single figure says no more than the table
_KINDS = {
    "mean": "Mean at the visit",
    "mean change": "Mean change since baseline",
    "difference": "Difference between tiers",
    "responders": "Share of patients who responded",
    "incidence": "Share with the event",
    "share": "Share of patients",
}

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """Rows of one kind of figure on one scale, which share a panel and a part of the table."""

    title: str
    unit: str
    rows: tuple[Found, ...]


def literature(study: Study) -> Section:
    """Published figures of the same tier, instrument, kind and time, drawn and as a table."""
    title = "How this compares with published figures"
    frame = study.snapshot["results.literature"]
    if frame.is_empty():
        return not_applicable("literature", title, "The protocol names no published figures.")
    matched = frame.filter(pl.col("status") != NO_COUNTERPART)
    if matched.is_empty():
        return not_applicable("literature", title, "No published figure has a counterpart in this release.")
    outcomes = _groups(study, matched.filter(pl.col("window") != BASELINE))
    before = _groups(study, matched.filter(pl.col("window") == BASELINE))
    blocks: list[Paragraph | Callout | Figure | Table] = [_opening(frame, matched), _caution(matched)]
    panels = [panel for group in outcomes if (panel := _panel(study, group)) is not None]
    if panels:
        blocks.append(_figure(panels))
    if outcomes:
        blocks.append(_table(study, "table-literature", "Published figures and this cohort's", outcomes))
    if before:
        blocks.append(_table(study, "table-literature-before", "Who the patients were before treatment", before))
    return Section("literature", title, tuple(blocks))


def _opening(frame: pl.DataFrame, matched: pl.DataFrame) -> Paragraph:
    text = (
        f"Of {frame.height} published figures that were read in their source, {matched.height} are of a tier, "
        "instrument, kind and time that this study also has; they stand here with this cohort's own figure. The others "
        "have no counterpart, each with its reason in the result table. Figures that were recalled, not read, are not "
        "used. A difference between the two may come from who was treated, how, or how it was measured: it is no "
        "verdict on either."
    )
    return Paragraph(Sentence(text, "results.literature (status)"))


def _caution(matched: pl.DataFrame) -> Callout:
    designs = matched.select("design", "population").drop_nulls().unique(maintain_order=True).sort("design")
    said = "; ".join(f"{design}: {population}" for design, population in designs.iter_rows())
    paid = sorted(set(matched.filter(pl.col("funding") == "industry")["study"].to_list()))
    text = f"Whom the published figures describe: {said or 'not stated'}."
    if paid:
        text += f" Paid for by the makers of a device, or open-label without a sham: {numbers.listed(paid)} (marked §)."
    return Callout("note", "Other populations, other care", Sentence(text, "results.literature"))


def _figure(panels: Sequence[Panel]) -> Figure:
    return Figure(
        "figure-literature",
        "Published figures and this cohort's",
        tuple(panels),
        "Hollow diamonds are published, filled dots in the tier's colour are this cohort's own; lines are 95 % "
        "intervals where there are any. Not adjusted for case mix, save for differences between tiers. Overlap is no "
        "proof and distance no fault: see whom each figure describes.",
        source="results.literature",
        notes=("§ paid for by industry, or open-label without a sham; * the two differ in what is measured.",),
    )


# -------------------------------------------------------------------------------------------------------------- groups


def _groups(study: Study, frame: pl.DataFrame) -> list[Group]:
    """The rows by kind and scale, in the protocol's order of outcomes, tiers in ladder order, earliest first."""
    known = [i.name for i in study.protocol.instruments]
    order = {name: place for place, name in enumerate(known)}
    groups: dict[tuple[str, str], list[Found]] = {}
    for row in frame.iter_rows(named=True):
        on_scale = "" if row["kind"] == "responders" else str(row["outcome"])
        groups.setdefault((row["kind"], on_scale), []).append(row)
    kinds = list(_KINDS)
    made = []
    for (kind, outcome), rows in sorted(
        groups.items(), key=lambda item: (kinds.index(item[0][0]), order.get(item[0][1], -1), item[0][1])
    ):
        rows.sort(key=lambda r: (order.get(r["outcome"], -1), study.rank(r["tier"]), r["months"], r["year"]))
        unit = "" if kind in FRACTIONS else str(rows[0]["unit"] or "")
        made.append(Group(_group_title(study, kind, outcome), unit, tuple(rows)))
    return made


def _group_title(study: Study, kind: str, outcome: str) -> str:
    if kind == "incidence" or not outcome:
        return f"{_KINDS[kind]}{': ' if outcome else ''}{_label(study, outcome)}"
    return f"{_label(study, outcome)}: {wording.inside(_KINDS[kind])}"


def _label(study: Study, outcome: str) -> str:
    protocol = study.protocol
    return (
        {i.name: i.short_label for i in protocol.instruments}
        | {e.name: e.label for e in protocol.endpoints}
        | {c.name: c.label for c in protocol.covariates}
    ).get(outcome, outcome)


# ---------------------------------------------------------------------------------------------------------- own figures


def _rests_on(row: Found) -> tuple[Key, ...]:
    """The counts of patients that the cohort's own figure rests on, as `counts.py` enters them."""
    outcome, window, tier = row["outcome"], row["window"], row["tier"]
    if row["kind"] == "difference":
        return keys.seen(outcome, window, tier), keys.seen(outcome, window, row["reference"])
    if row["kind"] == "responders":
        return (keys.judged(outcome, row["threshold"], window, tier, "observed"),)
    if row["kind"] == "incidence":
        return (keys.events(outcome, tier, float(window.removesuffix(" days"))),)
    if row["kind"] == "mean change":
        return (keys.changed(outcome, window, tier),)
    is_characteristic = window == BASELINE and row["threshold"] is not None
    if is_characteristic:
        return (keys.characteristic(outcome, row["threshold"], tier),)
    return (keys.seen(outcome, window, tier),) if row["kind"] == "mean" and row["ci_low"] else (keys.patients(tier),)


def _behind(study: Study, row: Found) -> Cell:
    """How many patients the cohort's own figure has behind it."""
    if row["status"] != "estimable":
        return numbers.ABSENT
    if row["kind"] in ("incidence", "share") or row["ci_low"] is None:
        return study.gate.count(keys.patients(row["tier"]))
    counted = [study.gate.count(key) for key in _rests_on(row)]
    return counted[0] if len(counted) == 1 else Shown(" + ".join(str(one) for one in counted))


def _may_show(study: Study, row: Found) -> bool:
    """Whether the own figure may be printed: enough patients, and a share only of counts that may be printed."""
    if row["status"] != "estimable" or row["estimate"] is None:
        return False
    rests_on = _rests_on(row)
    if row["kind"] == "incidence":
        return study.gate.rests_on_enough(*rests_on) and all(study.gate.is_exact(key) for key in rests_on)
    if row["kind"] == "responders":
        hits = keys.responders(row["outcome"], row["threshold"], row["window"], row["tier"])
        return study.gate.is_exact(hits) and all(study.gate.is_exact(key) for key in rests_on)
    if row["kind"] == "share":
        return all(study.gate.is_exact(key) for key in rests_on)
    return study.gate.rests_on_enough(*rests_on)


def _own_cell(study: Study, row: Found) -> Cell:
    if row["status"] != "estimable":
        return Shown(row["status"], is_withheld=True)
    if _may_show(study, row):
        return study.gate.text(_with_limits(row, "estimate", "ci_low", "ci_high"), *_rests_on(row))
    counted = _counted(row)
    return study.gate.share(*counted) if counted else Shown("withheld", is_withheld=True)


def _counted(row: Found) -> tuple[Key, Key] | None:
    """The counts whose share may be printed rounded where the exact one may not."""
    outcome, window, tier = row["outcome"], row["window"], row["tier"]
    if row["kind"] == "responders":
        return keys.responders(outcome, row["threshold"], window, tier), _rests_on(row)[0]
    return (
        (keys.characteristic(outcome, row["threshold"], tier), keys.patients(tier)) if row["kind"] == "share" else None
    )


def _with_limits(row: Found, estimate: str, low: str, high: str) -> str:
    if row["kind"] in FRACTIONS:
        limits = numbers.interval(row[low], row[high], 0, 100)
        value = numbers.percent(row[estimate])
    else:
        limits = numbers.interval(row[low], row[high], _digits(row))
        value = numbers.fixed(row[estimate], _digits(row))
    return value if limits == numbers.ABSENT else f"{value} ({limits})"


def _digits(row: Found) -> int:
    return {"index": 2, "m": 0, "%": 0}.get(str(row["unit"]), 1)


def _drawn(study: Study, row: Found) -> OwnMark:
    if not _may_show(study, row):
        return OwnMark(None)
    values = (row["estimate"], row["ci_low"], row["ci_high"])
    if row["kind"] in FRACTIONS:
        shares = (None if v is None else 100 * v for v in values)
        return OwnMark(*(study.gate.drawn(v, 0, *_rests_on(row)) for v in shares))
    return OwnMark(*(study.gate.drawn(v, _digits(row) + 1, *_rests_on(row)) for v in values))


# ----------------------------------------------------------------------------------------------------- figure and table


def _panel(study: Study, group: Group) -> Panel | None:
    scale = 100.0 if group.rows[0]["kind"] in FRACTIONS else 1.0
    rows = [
        PairRow(
            f"{_study(row)}{_marks(row)}",
            _detail(study, row),
            study.rank(row["tier"]),
            _published(row, scale),
            _drawn(study, row),
        )
        for row in group.rows
        if row["published_estimate"] is not None
    ]
    if len(rows) < DRAWN_FROM or not any(row.own.y is not None for row in rows):
        return None
    said = "; ".join(_in_words(study, row) for row in group.rows)
    axis = "Per cent of patients" if scale != 1 else group.unit
    alt = f"Published figures and this cohort's, {group.title}. {said}."
    return pairs_panel(rows, axis, group.title, alt, zero=group.rows[0]["kind"] in ("difference", "mean change"))


def _in_words(study: Study, row: Found) -> str:
    published = _with_limits(row, "published_estimate", "published_low", "published_high")
    return f"{_study(row)}, {_detail(study, row)}: {published}, here {_own_cell(study, row)}"


def _published(row: Found, scale: float) -> PublishedMark:
    low, high = (None if row[name] is None else scale * row[name] for name in ("published_low", "published_high"))
    return PublishedMark(scale * row["published_estimate"], low, high)


def _study(row: Found) -> str:
    return f"{row['study']} {row['year']}"


def _marks(row: Found) -> str:
    return ("§" if row["funding"] == "industry" else "") + ("*" if row["stand_in"] else "")


def _detail(study: Study, row: Found) -> str:
    """Tier, what was counted where a panel mixes outcomes, and the time."""
    tier = study.short(row["tier"])
    if row["kind"] == "difference":
        tier = f"{tier} vs {study.in_words(row['reference'])}"
    what = _label(study, row["outcome"]) if row["kind"] == "responders" else ""
    return ", ".join(part for part in (tier, what, _time(row["months"])) if part)


def _time(months: float) -> str:
    if not months:
        return "before"
    return f"{numbers.fixed(months * 52 / 12, 0)} weeks" if months < 2 else f"{months:g} months"


def _table(study: Study, anchor: str, title: str, groups: Sequence[Group]) -> Table:
    rows: list[Row] = []
    remarks: dict[str, str] = {}
    for group in groups:
        unit = f", {group.unit}" if group.unit else ""
        rows.append(Row((f"{group.title}{unit}",), "group"))
        rows += [_row(study, row, remarks) for row in group.rows]
    reach = study.protocol.literature.months_apart if study.protocol.literature else 0.0
    notes = tuple(f"{mark} {text}." for text, mark in remarks.items())
    return Table(
        anchor,
        title,
        (
            Column("Study", "left"),
            Column("Design", "left"),
            Column("Tier, time", "left"),
            Column("Figure (95 % CI)", group="Published"),
            Column("n", group="Published"),
            Column("Figure (95 % CI)", group="This cohort"),
            Column("n", group="This cohort"),
        ),
        tuple(rows),
        reading="§ paid for by industry, or open-label without a sham. n of a published difference counts both arms. "
        f"Where no visit falls on the published month, the nearest within {reach:g} months stands beside it.",
        notes=(*notes, _sources(groups)),
        source="results.literature (status other than no counterpart)",
    )


def _row(study: Study, row: Found, remarks: dict[str, str]) -> Row:
    """One published figure; what differs is a letter that the notes explain."""
    published = _with_limits(row, "published_estimate", "published_low", "published_high")
    if row["published_sd"] is not None:
        published += f"; SD {numbers.fixed(row['published_sd'], _digits(row))}"
    size = numbers.count(row["published_subjects"]) if row["published_subjects"] is not None else numbers.ABSENT
    mark = "§" if row["funding"] == "industry" else ""
    letters = " ".join(remarks.setdefault(text, _letter(len(remarks))) for text in _differences(row))
    named = f"{_study(row)}{mark}" + (f" ({letters})" if letters else "")
    cells = (named, row["design"], _detail(study, row), published, size, _own_cell(study, row), _behind(study, row))
    return Row(cells, indent=1)


def _letter(place: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    return (_letter(place // 26 - 1) if place >= 26 else "") + chr(ord("a") + place % 26)


def _differences(row: Found) -> list[str]:
    apart = f"{numbers.fixed(row['months_apart'], 1)} months apart" if (row["months_apart"] or 0) >= 0.5 else ""
    return [text for text in (row["stand_in"], apart, row["caveat"]) if text]


def _sources(groups: Sequence[Group]) -> str:
    """The citations, once each, in the order of the table."""
    cited = dict.fromkeys(row["citation"] for group in groups for row in group.rows)
    return "Sources: " + "; ".join(cited) + "."
