"""Who benefits: differences within the groups that the protocol names beforehand, with tests of interaction."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipelines.protocol_parts import Contrast, PrimaryOutcome
from pipelines.reports import keys, numbers
from pipelines.reports.content import Figure, Panel, Paragraph, Section, Sentence, Shown
from pipelines.reports.figures.forest import ForestAxis, ForestRow, Mark, forest_panel
from pipelines.reports.sections import not_applicable
from pipelines.reports.sentences import digits_of
from pipelines.reports.study import Study

Found = Mapping[str, Any]


def subgroups(study: Study) -> Section:
    """Effects within the groups named beforehand, with tests of interaction."""
    title = "Who benefits"
    frame = study.snapshot["results.subgroups"]
    if frame.is_empty():
        return not_applicable("subgroups", title, "Subgroups are compared in the full analysis set only.")
    panels = [panel for q in study.protocol.primary.outcomes if (panel := _subgroup_panel(study, frame, q)) is not None]
    if not panels:
        return not_applicable("subgroups", title, "No group is large enough in both arms, or its contrast is withheld.")
    cited = [f"**{modifier.label}:** {modifier.citation}" for modifier in study.protocol.effect_modifiers]
    text = (
        "The groups were named before any result was seen. The test of interaction asks whether the difference is the "
        "same in both groups; it is not adjusted for the number of groups, so about one in twenty falls below 0.05 by "
        "chance. Published figures that led to the choice: " + "; ".join(cited) + "."
    )
    lead = Paragraph(Sentence(text, "protocol (effect_modifiers)"))
    figure = Figure(
        "figure-subgroups",
        "Differences within groups named beforehand",
        tuple(panels),
        "Squares are patients in the group, open circles the others, each balanced anew; lines are 95 % intervals. The "
        "words give the difference in the group and the p-value of the interaction.",
        source="results.subgroups",
        traces=_group_traces(study, frame),
    )
    return Section("subgroups", title, (lead, figure))


def _group_traces(study: Study, frame: pl.DataFrame) -> tuple[tuple[str, str], ...]:
    names = {contrast.name: study.versus(contrast) for contrast in study.protocol.contrasts}
    labels = {modifier.name: modifier.label for modifier in study.protocol.effect_modifiers}
    return tuple(
        (f"{row['outcome']}, {names[row['contrast']]}, {labels.get(row['modifier'], row['modifier'])}: {row['group']}",
         row["trace"])
        for row in frame.iter_rows(named=True)
        if row.get("trace") and row["contrast"] in names and row["status"] == "estimable"
    )  # fmt: skip


def _subgroup_panel(study: Study, frame: pl.DataFrame, question: PrimaryOutcome) -> Panel | None:
    mine = frame.filter(outcome=question.outcome, window=question.window)
    is_ratio = study.protocol.instrument(question.outcome).kind == "walking"
    rows = []
    for modifier in study.protocol.effect_modifiers:
        for contrast in study.protocol.contrasts:
            pair = mine.filter((pl.col("modifier") == modifier.name) & (pl.col("contrast") == contrast.name))
            if (pair["status"] == "estimable").any():
                rows.append(_subgroup_row(study, pair, question, contrast, modifier.label, is_ratio))
    if not rows:
        return None
    instrument = study.protocol.instrument(question.outcome)
    sides = ("tier better", "tier worse") if instrument.better == "lower" else ("tier worse", "tier better")
    axis = ForestAxis(f"Difference in {instrument.unit}", 0.0, sides, band=instrument.between_group_threshold)
    if is_ratio:
        axis = ForestAxis("Ratio of distances (log scale)", 1.0, ("tier walks less far", "tier walks farther"), True,
                          (0.25, 0.5, 0.7, 1, 1.4, 2, 3, 4), instrument.between_group_threshold)  # fmt: skip
    title = f"{instrument.short_label}, {study.window_label(question.window)}"
    said = "; ".join(
        f"{row.label}: {mark.text}" for row in rows if (mark := row.adjusted or row.unadjusted) is not None
    )
    return forest_panel(rows, axis, title, f"Forest plot of groups, {title}. {said}.")


def _subgroup_row(
    study: Study, pair: pl.DataFrame, question: PrimaryOutcome, contrast: Contrast, label: str, is_ratio: bool
) -> ForestRow:
    found = {row["group"]: row for row in pair.iter_rows(named=True)}
    digits = 2 if is_ratio else digits_of(study, question.outcome)
    marks = [_group_mark(study, found.get(group), question, contrast, digits) for group in ("yes", "no")]
    return ForestRow(f"{label}: {study.versus(contrast)}", *marks)


def _group_mark(
    study: Study, row: Found | None, question: PrimaryOutcome, contrast: Contrast, digits: int
) -> Mark | None:
    """A group's estimate; its arms have at least the protocol's smallest number of patients, so it may be drawn."""
    if row is None or row["status"] != "estimable":
        return Mark(Shown("too few", is_withheld=True)) if row is not None and row["group"] == "yes" else None
    least = study.protocol.diagnostics.subjects_per_arm_minimum
    if least < study.gate.minimum:
        return Mark(Shown("withheld", is_withheld=True))
    arms = keys.seen_in_arms(question.outcome, question.window, contrast)
    p = "" if row["p_interaction"] is None else f"; p {numbers.p_value(row['p_interaction'])}"
    text = study.gate.text(f"{numbers.with_limits(row['estimate'], row['ci_low'], row['ci_high'], digits)}{p}", *arms)
    return Mark(text, *(study.gate.drawn(row[n], digits + 1, *arms) for n in ("estimate", "ci_low", "ci_high")))
