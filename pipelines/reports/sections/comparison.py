"""Comparisons between neighbouring tiers, adjusted beside unadjusted, drawn and as tables."""

from collections.abc import Sequence

from pipelines.protocol_parts import PrimaryOutcome
from pipelines.reports import numbers, wording
from pipelines.reports.content import (
    Cell,
    Column,
    Figure,
    Panel,
    Paragraph,
    Row,
    Section,
    Shown,
    Table,
)
from pipelines.reports.figures.forest import ForestAxis, ForestRow, Mark, forest_panel
from pipelines.reports.findings import Estimate, Finding, hazards_of, of_endpoint, of_outcome, times_of
from pipelines.reports.sections import not_applicable
from pipelines.reports.sentences import digits_of, estimate_text
from pipelines.reports.study import Study

_SOURCE = "results.contrasts"


def comparisons(study: Study) -> Section:
    """Forest plots of the primary and secondary questions, and the same numbers as tables."""
    title = "Comparisons between neighbouring tiers"
    if not study.protocol.contrasts:
        return not_applicable("comparisons", title, "The protocol names no contrast.")
    if study.snapshot["results.contrasts"].is_empty():
        return not_applicable("comparisons", title, "No contrast was estimated in this release.")
    opening = Paragraph(
        "Only neighbours on the ladder are compared, because only between them could a patient have been given either. "
        "All figures are **associations** in routine care: they are adjusted for what was recorded, and for nothing "
        "else. "
        "Multiplicity is allowed for in the primary questions (Holm)."
    )
    blocks: list[Paragraph | Figure | Table] = [opening]
    panels = [*outcome_panels(study, study.protocol.primary.questions), *endpoint_panels(study)]
    if panels:
        blocks.append(
            Figure(
                "figure-contrasts",
                "Adjusted and unadjusted differences",
                tuple(panels),
                "Squares are adjusted for case mix, open circles are not; lines are 95 % intervals. An interval that "
                "crosses the vertical line is compatible with no difference. Inside the grey band a difference is held "
                "too small to matter between groups. Where square and circle lie far apart, case mix explains much.",
                source=_SOURCE,
                traces=traces(study, study.protocol.primary.questions),
            )
        )
    blocks += [*_contrast_tables(study), *_failure_table(study)]
    return Section("comparisons", title, tuple(blocks))


def traces(study: Study, questions: Sequence[PrimaryOutcome]) -> tuple[tuple[str, str], ...]:
    """The contrasts of the forest plots, adjusted and unadjusted, with their traces."""
    asked = [f for question in questions for f in of_outcome(study, question.outcome, question.window)]
    ends = [found[-1] for contrast in study.protocol.contrasts if (found := of_endpoint(study, contrast))]
    made = []
    for finding in [*asked, *ends]:
        name = f"{finding.outcome}, {study.window_label(finding.window)}, {study.versus(finding.contrast)}"
        for kind, one in (("adjusted", finding.adjusted), ("unadjusted", finding.unadjusted)):
            made += [(f"{name}, {kind}", one.trace)] if one is not None and one.trace else []
    return tuple(made)


def outcome_panels(study: Study, questions: Sequence[PrimaryOutcome]) -> list[Panel]:
    """A forest plot for each question that has estimates."""
    panels = []
    for question in questions:
        findings = of_outcome(study, question.outcome, question.window)
        if any(f.leading is not None for f in findings):
            panels.append(_outcome_panel(study, question.outcome, question.window, findings))
    return panels


def endpoint_panels(study: Study) -> list[Panel]:
    """A forest plot of the contrasts' own endpoints at the last horizon, if there are any."""
    last = [found[-1] for c in study.protocol.contrasts if (found := of_endpoint(study, c))]
    return [_endpoint_panel(study, last)] if last else []


def _outcome_panel(study: Study, outcome: str, window: str, findings: Sequence[Finding]) -> Panel:
    instrument = study.protocol.instrument(outcome)
    found = [f for f in findings if f.leading is not None]
    is_ratio = any(f.leading is not None and f.leading.is_ratio for f in found)
    sides = ("tier better", "tier worse") if instrument.better == "lower" else ("tier worse", "tier better")
    if is_ratio:
        axis = ForestAxis("Ratio of distances (log scale)", 1.0, ("tier walks less far", "tier walks farther"), True,
                          (0.25, 0.5, 0.7, 1, 1.4, 2, 3, 4), instrument.between_group_threshold)  # fmt: skip
    else:
        axis = ForestAxis(f"Difference in {instrument.unit}", 0.0, sides, band=instrument.between_group_threshold)
    digits = 2 if is_ratio else digits_of(study, outcome)
    title = f"{instrument.short_label}, {study.window_label(window)}"
    rows = [forest_row(study, f, digits) for f in found]
    return forest_panel(rows, axis, title, _forest_alt(title, rows))


def _endpoint_panel(study: Study, findings: Sequence[Finding]) -> Panel:
    axis = ForestAxis("Difference in percentage points", 0.0, ("fewer with tier", "more with tier"))
    rows = [forest_row(study, f, 1, scale=100.0, with_window=True) for f in findings]
    title = "Later operation, by the contrast's own endpoint"
    return forest_panel(rows, axis, title, _forest_alt(title, rows))


def forest_row(study: Study, finding: Finding, digits: int, scale: float = 1.0, with_window: bool = False) -> ForestRow:
    """A contrast as a row of a forest plot."""
    label = study.versus(finding.contrast)
    if with_window:
        label += f", {study.window_label(finding.window)}"
    marks = [_mark(study, finding, e, digits, scale) for e in (finding.adjusted, finding.unadjusted)]
    if marks[0] is None and marks[1] is not None and finding.adjusted is None:
        return ForestRow(label, None, marks[1])
    return ForestRow(label, *marks)


def _mark(study: Study, finding: Finding, found: Estimate | None, digits: int, scale: float) -> Mark | None:
    if found is None:
        return None
    if found.value is None:
        return Mark(Shown(found.status, is_withheld=True))
    values = (found.value, found.low, found.high)
    drawn = [study.gate.drawn(None if v is None else scale * v, digits + 1, *finding.rests_on) for v in values]
    return Mark(Shown(estimate_text(study, found, finding.outcome)), *drawn)


def _forest_alt(title: str, rows: Sequence[ForestRow]) -> str:
    said = []
    for row in rows:
        parts = [f"{name} {m.text}" for name, m in (("adjusted", row.adjusted), ("unadjusted", row.unadjusted)) if m]
        said.append(f"{row.label}: {', '.join(parts)}")
    return f"Forest plot, {title}. {'; '.join(said)}."


# -------------------------------------------------------------------------------------------------------------- tables


_COLUMNS = (
    Column("Contrast", "left"),
    Column("Adjusted (95 % CI)"),
    Column("p"),
    Column("Holm p"),
    Column("Unadjusted (95 % CI)"),
    Column("What holds", "left"),
    Column("Trace", "left"),
)


def _contrast_tables(study: Study) -> list[Table]:
    rows: list[Row] = []
    for question in study.protocol.primary.questions:
        findings = [f for f in of_outcome(study, question.outcome, question.window) if f.leading is not None]
        if not findings:
            continue
        is_primary = question in study.protocol.primary.outcomes
        name = f"{study.protocol.instrument(question.outcome).label}, {study.window_label(question.window)}"
        rows.append(Row((f"{name}{'' if is_primary else ' (secondary)'}{_measure(findings)}",), "group"))
        rows += [_contrast_row(study, f) for f in findings]
    if not rows:
        return []
    return [
        Table(
            "table-contrasts",
            "Differences between neighbouring tiers in pain, disability and walking",
            _COLUMNS,
            tuple(rows),
            reading="Tier minus reference, or tier over reference for distances. For scores where lower is better a "
            "negative difference favours the tier; a ratio above 1 means that patients of the tier walk farther. "
            "Unadjusted estimates allow for the baseline of the outcome only. [Trace](#methods-traces): the name by "
            "which the adjusted estimate is followed to its rows.",
            source=f"{_SOURCE} (method by outcome: {_methods(study)})",
        )
    ]


def _measure(findings: Sequence[Finding]) -> str:
    return ": ratio of distances" if any(f.leading and f.leading.is_ratio for f in findings) else ""


def _methods(study: Study) -> str:
    asked = study.protocol.primary.questions
    found = [f.leading.method for q in asked for f in of_outcome(study, q.outcome, q.window) if f.leading]
    return "; ".join(dict.fromkeys(found))


def _contrast_row(study: Study, finding: Finding) -> Row:
    adjusted, unadjusted = finding.adjusted, finding.unadjusted
    return Row(
        (
            study.versus(finding.contrast),
            _estimate_cell(study, finding, adjusted),
            _p_cell(adjusted.p if adjusted else None),
            _p_cell(adjusted.p_adjusted if adjusted else None),
            _estimate_cell(study, finding, unadjusted),
            _verdict(finding),
            finding.leading.trace if finding.leading else "",
        ),
        indent=1,
    )


def _estimate_cell(study: Study, finding: Finding, found: Estimate | None) -> Cell:
    if found is None:
        return numbers.ABSENT
    if found.value is None:
        return Shown(found.status, True, found.trace)
    return Shown(estimate_text(study, found, finding.outcome), trace=found.trace)


def _p_cell(value: float | None) -> Cell:
    return Shown(numbers.p_value(value)) if value is not None else numbers.ABSENT


_VERDICTS = {
    "clear": "difference beyond chance",
    "suggestive": "not after Holm",
    "unclear": "no clear difference",
    "absent": "not asked",
}


def _verdict(finding: Finding) -> str:
    if finding.verdict in ("withheld", "not estimable"):
        return (finding.leading.reason if finding.leading else "") or finding.verdict
    before = "" if finding.adjusted else " (unadjusted)"
    return _VERDICTS[finding.verdict] + before


def _failure_table(study: Study) -> list[Table]:
    rows: list[Row] = []
    for contrast in study.protocol.contrasts:
        found = of_endpoint(study, contrast)
        ratio = hazards_of(study, contrast)
        if not found and ratio.leading is None:
            continue
        endpoint = study.protocol.endpoint(str(contrast.endpoint))
        rows.append(Row((f"{study.versus(contrast)}: {wording.inside(endpoint.label)}",), "group"))
        for finding in found:
            label = f"Incidence by {study.window_label(finding.window)}, percentage points"
            rows.append(Row((label, *_contrast_row(study, finding).cells[1:]), indent=1))
        lost = times_of(study, contrast)
        if lost.leading is not None:
            label = f"Time lost within {study.window_label(lost.window)}, days"
            rows.append(Row((label, *_contrast_row(study, lost).cells[1:]), indent=1))
        if ratio.leading is not None:
            rows.append(Row(("Cause-specific hazard ratio", *_contrast_row(study, ratio).cells[1:]), indent=1))
    if not rows:
        return []
    return [
        Table(
            "table-failure-contrasts",
            "Differences between neighbouring tiers in later operation",
            (Column("Contrast and its event", "left"), *_COLUMNS[1:]),
            tuple(rows),
            reading="Each contrast counts the same events in both arms. Time lost is the mean time within the horizon "
            "that patients spend after the event: it carries the protocol's test, and leads with the cumulative "
            "incidence. The hazard ratio is secondary (below 1: fewer events per time with the tier).",
            source="results.contrasts (measure = incidence difference); results.restricted_times (measure = "
            "difference); "
            "results.hazard_ratios (view = index)",
        )
    ]
