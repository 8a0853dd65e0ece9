"""What was withheld and why: failed diagnostics, the negative control, and all verdicts."""

from typing import Any

import polars as pl

from pipelines.protocol_parts import Contrast
from pipelines.reports import keys, numbers
from pipelines.reports.content import (
    Bullets,
    Callout,
    Cell,
    Column,
    Paragraph,
    Row,
    Section,
    Sentence,
    Shown,
    Table,
)
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study

_NEGATIVE_CONTROL = "negative control"
_CROSSOVER = "crossover"


def withheld(study: Study) -> Section:
    """Contrasts that failed a diagnostic, and all diagnostics counted."""
    title = "What was withheld, and why"
    frame = study.snapshot["results.diagnostics"]
    if frame.is_empty():
        return not_applicable("withheld", title, "No diagnostics were run: the protocol names no contrast.")
    blocks: list[Paragraph | Bullets | Table | Callout] = [
        Paragraph(
            "A contrast is shown only if the data can carry it: enough patients and events in each arm, groups that "
            "can be made alike, and no difference in an event that no tier can affect. What fails stays blinded, so "
            "that nobody is tempted by a figure that should not be read."
        )
    ]
    # crossover withholds no contrast as a whole; it has its own paragraph
    failed = frame.filter((pl.col("verdict") == "failed") & (pl.col("check") != _CROSSOVER))
    asked = _asked(study, failed)
    if asked.is_empty():
        blocks.append(
            Callout(
                "note",
                "Nothing withheld",
                Sentence("Every primary and secondary comparison passed its diagnostics.", "results.diagnostics"),
            )
        )
    else:
        blocks.append(_failed_table(study, asked))
    blocks += [*_negative_control(study, frame), *_crossover(study, frame)]
    blocks += [*_checks_table(study, frame), _verdict_table(study, frame)]
    return Section("withheld", title, tuple(blocks))


def _negative_control(study: Study, frame: pl.DataFrame) -> list[Paragraph | Bullets]:
    """What the event that no tier can affect says of each contrast, in words."""
    control = next((e for e in study.protocol.endpoints if e.is_negative_control), None)
    rows = frame.filter(pl.col("check") == _NEGATIVE_CONTROL)
    if control is None or rows.is_empty():
        return []
    said = []
    for contrast in study.protocol.contrasts:
        mine = rows.filter(pl.col("contrast") == contrast.name)
        if mine.height:
            said.append(f"**{study.versus(contrast)}:** {_control_verdict(mine.row(0, named=True))}")
    lead = (
        f"**The negative control**, “{control.label}”, is an event that neither tier can bring about or prevent. If "
        "two groups differ in it after weighting, they differ in something that weighting did not reach, and "
        "the contrast is not shown. A control that passes is no proof: it may have too few events to see a difference."
    )
    source = "results.diagnostics (check = negative control)"
    return [Paragraph(lead), Bullets(tuple(Sentence(text, source) for text in said))]


def _control_verdict(row: dict[str, object]) -> str:
    p = f"p {numbers.p_value(float(str(row['value'])))}" if row["value"] is not None else ""
    return {
        "passed": f"no difference beyond chance ({p}); it does not speak against the contrast.",
        "failed": f"the groups differ more than chance makes likely ({p}, limit {row['threshold']:g}), so that hidden "
        "differences must be feared; the contrast is withheld.",
        "not applicable": f"cannot tell: {row.get('note') or 'there was nothing to check'}.",
    }.get(str(row["verdict"]), "the check itself failed.")


def _crossover(study: Study, frame: pl.DataFrame) -> list[Paragraph]:
    """At how many of the questions too many had moved up before the visit."""
    limit = study.protocol.diagnostics.crossover_maximum
    rows = frame.filter(pl.col("check") == _CROSSOVER)
    asked = _asked(study, rows)
    if asked.is_empty():
        return []
    failed = asked.filter(pl.col("verdict") == "failed")
    names = {c.name: study.versus(c) for c in study.protocol.contrasts}
    found = [f"{names[r['contrast']]} ({_outcome_label(study, r['outcome'], r['window'])})" for r in failed.to_dicts()]
    verdict = f"That was so for {numbers.listed(found)}." if found else "That was so for none of them."
    text = (
        f"**Crossover.** Where more than {numbers.percent(limit)} of an arm had moved to a higher tier before the "
        "visit, what would be had nobody moved would rest on the few who stayed, and is withheld; the main answer "
        f"counts what came later as part of the tier and stands. {verdict} "
        "[Moves up the ladder](#crossover) counts the moves."
    )
    return [Paragraph(Sentence(text, "results.diagnostics (check = crossover)"))]


def _asked(study: Study, failed: pl.DataFrame) -> pl.DataFrame:
    """Failed checks that bear on a primary or secondary question, or on all of a contrast."""
    windows = {(q.outcome, q.window) for q in study.protocol.primary.questions}
    endpoints = {c.name: c.endpoint for c in study.protocol.contrasts}
    keep = []
    for row in failed.iter_rows(named=True):
        place = (row["outcome"], row.get("window"))
        keep.append(row["outcome"] is None or place in windows or row["outcome"] == endpoints.get(row["contrast"]))
    return failed.filter(pl.Series(keep, dtype=pl.Boolean))


def _failed_table(study: Study, failed: pl.DataFrame) -> Table:
    names = {c.name: study.versus(c) for c in study.protocol.contrasts}
    rows = []
    for row in failed.iter_rows(named=True):
        rows.append(
            Row(
                (
                    names.get(row["contrast"], row["contrast"]),
                    _outcome_label(study, row["outcome"], row.get("window")),
                    row["check"],
                    _diagnostic(study, row),
                    _limit(row["threshold"]),
                )
            )
        )
    return Table(
        "table-withheld",
        "Comparisons that are not shown",
        (
            Column("Contrast", "left"),
            Column("Outcome", "left"),
            Column("Failed check", "left"),
            Column("Found"),
            Column("Limit"),
        ),
        tuple(rows),
        reading="A comparison stands here once for each check it failed; it is shown nowhere in this report.",
        source="results.diagnostics (verdict = failed)",
    )


def _outcome_label(study: Study, outcome: str | None, window: str | None) -> str:
    if outcome is None:
        return "all outcomes"
    known = {i.name: i.short_label for i in study.protocol.instruments} | {
        e.name: e.label for e in study.protocol.endpoints
    }
    label = known.get(outcome, outcome)
    return f"{label}, {study.window_label(window)}" if window else label


def _diagnostic(study: Study, row: dict[str, object]) -> Cell:
    """The value of a check; one that counts patients or events is shown only as below the limit."""
    value = row["value"]
    if not isinstance(value, int | float):
        return numbers.ABSENT
    if "per arm" in str(row["check"]) and value < study.gate.minimum:
        return Shown(f"<{study.gate.minimum}", is_withheld=True) if value else Shown("0")
    if "per arm" in str(row["check"]):
        return Shown("below the limit", is_withheld=True)
    return Shown(_limit(float(value)))


def _limit(value: float | None) -> str:
    if value is None:
        return numbers.ABSENT
    return numbers.fixed(value, 0 if float(value).is_integer() and abs(value) >= 2 else 2)


_CHECKS = {
    "balance of modelled terms": "Means of what the model holds, largest standardised difference",
    "balance of unmodelled terms": "Means of what it leaves out, largest standardised difference",
    "variance ratio": "Variances, larger over smaller",
    "distributions": "Distributions, largest Kolmogorov–Smirnov distance",
    "effective sample size": "Effective sample size of the arm with least to spare",
    "negative control": "Negative control, p",
}


def _checks_table(study: Study, frame: pl.DataFrame) -> list[Table]:
    """What each contrast as a whole was found to have, beside the limit, whether it passed or not."""
    whole = frame.filter(pl.col("outcome").is_null() & pl.col("check").is_in(list(_CHECKS)))
    if whole.is_empty():
        return []
    body = []
    for check, label in _CHECKS.items():
        rows = whole.filter(pl.col("check") == check)
        found = {row["contrast"]: row for row in rows.iter_rows(named=True)}
        cells = [_checked(study, found[c.name], c) if c.name in found else "" for c in study.protocol.contrasts]
        if rows.height:
            body.append(Row((label, *cells)))
    return [
        Table(
            "table-checks-of-contrasts",
            "What each contrast was held to, under overlap weights",
            (Column("Check", "left"), *[Column(study.versus(c)) for c in study.protocol.contrasts]),
            tuple(body),
            reading="What was found, and its limit in brackets: the largest allowed for differences, ratios and "
            "distances, the smallest for sizes and p. ✗ marks what failed. A limit on many terms grows by what chance "
            "alone makes of so many.",
            source="results.diagnostics (outcome empty)",
        )
    ]


def _checked(study: Study, row: dict[str, Any], contrast: Contrast) -> Cell:
    """A value with its limit."""
    if row["value"] is None:
        return Shown(row["verdict"] if row["verdict"] == "not applicable" else f"{row['verdict']} ✗", is_withheld=True)
    arms = [keys.patients(tier) for tier in (contrast.tier, contrast.reference)]
    failed = " ✗" if row["verdict"] == "failed" else ""
    if row["check"] == "effective sample size":
        size = study.gate.effective(float(row["value"]), *arms)
        return Shown(f"{size} ({numbers.fixed(row['threshold'], 0)}){failed}", size.is_withheld)
    is_p = row["check"] == _NEGATIVE_CONTROL
    value = numbers.p_value(row["value"]) if is_p else numbers.fixed(row["value"], 2)
    return study.gate.text(f"{value} ({numbers.fixed(row['threshold'], 2)}){failed}", *arms)


def _verdict_table(study: Study, frame: pl.DataFrame) -> Table:
    verdicts = [v for v in ("passed", "failed", "not applicable", "error") if (frame["verdict"] == v).any()]
    rows = []
    for contrast in study.protocol.contrasts:
        mine = frame.filter(pl.col("contrast") == contrast.name)
        cells: list[Cell] = [Shown(numbers.count(mine.filter(pl.col("verdict") == v).height)) for v in verdicts]
        rows.append(Row((study.versus(contrast), *cells)))
    return Table(
        "table-verdicts",
        "Diagnostics by contrast, over all outcomes and visits",
        (Column("Contrast", "left"), *[Column(v.capitalize()) for v in verdicts]),
        tuple(rows),
        reading="How many checks came out how; `not applicable` where there was nothing to check.".replace("`", ""),
        source="results.diagnostics",
    )
