"""Share of patients who improved by each threshold of the protocol, by tier and between neighbouring tiers."""

from collections.abc import Iterable, Sequence

import polars as pl

from pipelines.protocol_parts import Contrast, Instrument, PrimaryOutcome, Threshold
from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Cell, Column, Figure, Panel, Row, Section, Shown, Table
from pipelines.reports.estimates import estimate_cell, withheld_notes
from pipelines.reports.figures.dots import dot_panel
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study


def responders(study: Study) -> Section:
    """Share of patients that improved by each threshold of the protocol, at the primary visits."""
    title = "Responders at each threshold"
    frame = study.snapshot.rows("results.responders", method="observed")
    asked = [q for q in study.protocol.primary.questions if frame.height and _has(frame, q.outcome, q.window)]
    asked.sort(key=lambda q: study.protocol.instrument(q.outcome).kind == "walking")  # scores side by side
    if not asked:
        return not_applicable("responders", title, "No responder threshold could be judged in this release.")
    panels = [_responder_panel(study, frame, q.outcome, q.window) for q in asked]
    figure = Figure(
        "figure-responders",
        "Share of patients who responded, by threshold",
        tuple(panels),
        "Each dot is the share of patients of a tier who met the threshold, with its 95 % interval (Wilson), among "
        "those whose response is known. Escalation before the visit counts as no response. Thresholds that lie close "
        "together differ by few patients, so some shares are rounded or withheld.",
        source="results.responders (method = observed)",
        notes=(LEGEND,),
    )
    table = _responder_table(study, asked[0].outcome, asked[0].window)
    return Section("responders", title, (figure, table, *_contrast_tables(study)))


def _has(frame: pl.DataFrame, outcome: str, window: str) -> bool:
    return bool(frame.filter((pl.col("outcome") == outcome) & (pl.col("window") == window)).height)


def _responder_panel(study: Study, frame: pl.DataFrame, outcome: str, window: str) -> Panel:
    instrument = study.protocol.instrument(outcome)
    here = frame.filter((pl.col("outcome") == outcome) & (pl.col("window") == window))
    thresholds = [t for t in instrument.thresholds if (here["threshold"] == t.name).any()]
    series = []
    for tier in study.tiers:
        points = [_responder_point(study, here, t, tier, place) for place, t in enumerate(thresholds)]
        series.append(Series(study.short(tier), study.rank(tier), tuple(points)))
    title = f"{instrument.short_label}, {study.window_label(window)}"
    rows = [threshold_label(t, instrument) for t in thresholds]
    return dot_panel(series, rows, title, _responder_alt(title, series, rows))


def threshold_label(threshold: Threshold, instrument: Instrument) -> str:
    """A threshold as a clinician says it: `≥30 % better`, `2.0 or more points better`, `final ≤22`."""
    value = numbers.fixed(threshold.value, 0 if threshold.value == int(threshold.value) else 2).rstrip("0").rstrip(".")
    if threshold.value == int(threshold.value):
        value = numbers.fixed(threshold.value, 0)
    known = {"mcid": "MCID", "scb": "SCB", "pass": "PASS"}.get(threshold.name, "")
    name = f"\n({known})" if known else ""
    if threshold.kind == "final":
        sign = "≤" if instrument.better == "lower" else "≥"
        return f"final {sign}{value}{name}"
    unit = f"{numbers.NBSP}%" if threshold.kind == "percent_change" else f" {instrument.unit}"
    return f"≥{value}{unit} better{name}"


def _responder_point(study: Study, rows: pl.DataFrame, threshold: Threshold, tier: str, place: int) -> Point:
    part = rows.filter((pl.col("threshold") == threshold.name) & (pl.col("tier") == tier))
    if part.is_empty():
        return Point(place, None)
    row = part.row(0, named=True)
    hits = keys.responders(row["outcome"], threshold.name, row["window"], tier)
    base = keys.judged(row["outcome"], threshold.name, row["window"], tier, row["method"])
    share = study.gate.drawn_share(hits, base)
    n = study.gate.share(hits, base)
    if share is None:
        return Point(place, None, n=n)
    low, high = (study.gate.drawn(row[name], 2, base) for name in ("ci_low", "ci_high"))
    return Point(place, share, low, high, n)


def _responder_alt(title: str, series: Sequence[Series], rows: Sequence[str]) -> str:
    said = []
    for place, row in enumerate(rows):
        shares = [
            f"{one.label} {numbers.percent(one.points[place].y)}" for one in series if one.points[place].y is not None
        ]
        said.append(f"{row.replace(chr(10), ' ')}: {', '.join(shares) if shares else 'withheld'}")
    return f"Dot chart of responders, {title}. {'; '.join(said)}."


def _responder_table(study: Study, outcome: str, window: str) -> Table:
    instrument = study.protocol.instrument(outcome)
    frame = study.snapshot.rows("results.responders", outcome=outcome, window=window)
    rows: list[Row] = []
    for threshold in instrument.thresholds:
        here = frame.filter(pl.col("threshold") == threshold.name)
        if here.is_empty():
            continue
        rows.append(Row((threshold_label(threshold, instrument).replace("\n", " "),), "group"))
        for method, label in (
            ("observed", "of those seen"),
            ("missing as non-response", "missing counted as no response"),
        ):
            part = here.filter(pl.col("method") == method)
            if part.height:
                cells = [_responder_cell(study, part, threshold, t) for t in study.tiers]
                rows.append(Row((wording.capital(label), *cells), indent=1))
    return Table(
        "table-responders",
        f"Responders on {wording.inside(instrument.short_label)} at {study.window_label(window)}, two ways of counting",
        (Column("Threshold", "left"), *[Column(study.short(t)) for t in study.tiers]),
        tuple(rows),
        reading="Responders/patients counted and their share. The truth about patients not seen lies between the two "
        "ways of counting unless they did better than those seen.",
        notes=(LEGEND,),
        source=f"results.responders (outcome = {outcome}, window = {window})",
    )


def _responder_cell(study: Study, rows: pl.DataFrame, threshold: Threshold, tier: str) -> Cell:
    part = rows.filter(pl.col("tier") == tier)
    if part.is_empty():
        return numbers.ABSENT
    row = part.row(0, named=True)
    hits = keys.responders(row["outcome"], threshold.name, row["window"], tier)
    base = keys.judged(row["outcome"], threshold.name, row["window"], tier, row["method"])
    share = study.gate.share(hits, base)
    return share if share.is_withheld else Shown(f"{study.gate.fraction(hits, base)}\u2002{share}")


# ------------------------------------------------------------------------------------------- between neighbouring tiers

_WAYS = (
    ("observed", "propensity-weighted, missing made up for by weights"),
    ("missing as non-response", "propensity-weighted, missing as non-response"),
)


def _contrast_tables(study: Study) -> list[Table]:
    """Risk differences, ratios and numbers needed to treat: the primary outcomes, then the secondary ones."""
    made = [
        _contrast_table(study, study.protocol.primary.outcomes, "table-responder-contrasts", "primary"),
        _contrast_table(study, study.protocol.primary.secondary_outcomes, "table-responder-contrasts-2", "secondary"),
    ]
    return [table for table in made if table is not None]


def _contrast_table(study: Study, asked: Iterable[PrimaryOutcome], anchor: str, kind: str) -> Table | None:
    rows: list[Row] = []
    frames = []
    for question in asked:
        instrument = study.protocol.instrument(question.outcome)
        frame = study.snapshot.rows("results.contrasts", outcome=question.outcome, window=question.window)
        for threshold in instrument.thresholds:
            mine = (
                frame.filter(pl.col("threshold") == threshold.name) if "threshold" in frame.columns else frame.clear()
            )
            if mine.is_empty():
                continue
            frames.append(mine)
            said = threshold_label(threshold, instrument).replace("\n", " ")
            rows.append(Row((f"{instrument.short_label}, {study.window_label(question.window)}: {said}",), "group"))
            rows += [_contrast_row(study, mine, question, threshold, c) for c in study.protocol.contrasts]
    if not rows:
        return None
    return Table(
        anchor,
        f"Responders compared between neighbouring tiers, {kind} outcomes",
        (
            Column("Contrast", "left"),
            Column("Difference", group="Missing made up for by weights (95 % CI)"),
            Column("Ratio", group="Missing made up for by weights (95 % CI)"),
            Column("Needed to treat", group="Missing made up for by weights (95 % CI)"),
            Column("Difference", group="Missing as no response"),
        ),
        tuple(rows),
        reading="Difference, in percentage points: share of responders with the tier minus that with its reference, "
        "both standardised to the patients who could have had either (overlap weights); ratio: the one over the other. "
        "Escalation before the visit counts as no response. Needed to treat: patients for one responder more; it "
        "stands only where the limits of the difference leave out zero (negative: one fewer). Thresholds overlap and "
        f"are not adjusted for their number. n <{study.gate.minimum}: too few responded in an arm.",
        notes=withheld_notes(study, frames),
        source="results.contrasts (measure = risk difference, risk ratio, number needed to treat; variance = weights "
        "estimated; population = overlap)",
    )


def _contrast_row(
    study: Study, rows: pl.DataFrame, question: PrimaryOutcome, threshold: Threshold, contrast: Contrast
) -> Row:
    mine = rows.filter((pl.col("contrast") == contrast.name) & (pl.col("variance") == "weights estimated"))
    seen, due = (
        [_risk_cell(study, mine, question, threshold, contrast, way, measure) for measure in measures]
        for way, measures in (
            (_WAYS[0], ("risk difference", "risk ratio", "number needed to treat")),
            (_WAYS[1], ("risk difference",)),
        )
    )
    return Row((study.versus(contrast), *seen, *due), indent=1)


def _risk_cell(
    study: Study,
    rows: pl.DataFrame,
    question: PrimaryOutcome,
    threshold: Threshold,
    contrast: Contrast,
    way: tuple[str, str],
    measure: str,
) -> Cell:
    """One measure of one contrast; it needs enough responders in both arms, as their shares would."""
    found = rows.filter((pl.col("method") == way[1]) & (pl.col("measure") == measure))
    if found.is_empty():
        return numbers.ABSENT
    row = found.row(0, named=True)
    if measure == "number needed to treat" and row["status"] == "not estimable":
        return Shown(numbers.ABSENT, is_withheld=True, trace=row.get("trace") or "")
    place = (question.outcome, threshold.name, question.window)
    rests_on = [
        key
        for tier in (contrast.tier, contrast.reference)
        for key in (keys.responders(*place, tier), keys.judged(*place, tier, way[0]))
    ]
    digits, scale = {"risk difference": (1, 100.0), "risk ratio": (2, 1.0)}.get(measure, (1, 1.0))
    return estimate_cell(study, row, digits, *rests_on, scale=scale)
