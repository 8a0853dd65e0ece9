"""How firm the answers are: other ways to ask, other populations, hidden confounders and the missing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from pipelines.protocol_parts import Contrast, PrimaryOutcome
from pipelines.reports import event_counts, keys, numbers, wording
from pipelines.reports.content import Cell, Column, Figure, Panel, Paragraph, Row, Section, Table
from pipelines.reports.estimates import estimate_cell, withheld_notes
from pipelines.reports.figures.choices import ChoiceRow, choices_panel
from pipelines.reports.ledger import Key
from pipelines.reports.sections import not_applicable
from pipelines.reports.sentences import digits_of
from pipelines.reports.study import Study

Found = Mapping[str, Any]
_RATIO = "distance ratio"
_SHOWN = ("mean difference", _RATIO)
_POPULATIONS = (("overlap", "Overlap"), ("ate", "Everyone (ATE)"), ("att", "Tier's own (ATT)"), ("trimmed", "Trimmed"))


def sensitivity(study: Study) -> Section:
    """The specification curve, E-values, tipping points, populations and strategies of the primary questions."""
    title = "How firm the answers are"
    frame = study.snapshot["results.sensitivity"]
    if frame.is_empty():
        return not_applicable("sensitivity", title, "No primary comparison is shown, so nothing is asked further.")
    blocks: list[Paragraph | Figure | Table] = [
        Paragraph(
            "A primary answer rests on choices: the estimator, whose mean effect it is, what is done about visits that "
            "were missed, and how later escalation counts. The protocol lists these choices beforehand; here the same "
            "questions are answered under each of them. An answer that holds under all is firm; one that does not "
            "depends on a choice."
        )
    ]
    panels = _curves(study, frame)
    if panels:
        blocks.append(_curve_figure(study, frame, panels))
    blocks += [*_population_table(study), *_opinions_table(study, frame), *_hidden_table(study, frame)]
    if len(blocks) == 1:
        return not_applicable("sensitivity", title, "No primary comparison is shown, so nothing is asked further.")
    return Section("sensitivity", title, tuple(blocks))


# ------------------------------------------------------------------------------------------------- specification curve


def _curves(study: Study, frame: pl.DataFrame) -> list[Panel]:
    """A panel for each primary question and contrast that was answered in more than one way."""
    if "estimator" not in frame.columns:
        return []
    rows = _specifications(frame)
    made = []
    for question in study.protocol.primary.outcomes:
        for contrast in study.protocol.contrasts:
            mine = rows.filter(outcome=question.outcome, window=question.window, contrast=contrast.name)
            panel = _curve(study, mine, question, contrast)
            made += [panel] if panel is not None else []
    return made


def _specifications(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(
        pl.col("analysis").str.starts_with("specification")
        & pl.col("estimator").is_not_null()
        & pl.col("measure").is_in(_SHOWN)
        & (pl.col("status") == "estimable")
        & (pl.col("variance").fill_null("model") != "weights fixed")
    ).sort("estimate")


def _curve(study: Study, rows: pl.DataFrame, question: PrimaryOutcome, contrast: Contrast) -> Panel | None:
    arms = keys.seen_in_arms(question.outcome, question.window, contrast)
    is_ratio = (rows["measure"] == _RATIO).any() if rows.height else False
    digits = 2 if is_ratio else digits_of(study, question.outcome)
    drawn = []
    for row in rows.iter_rows(named=True):
        y, low, high = (study.gate.drawn(row[n], digits + 1, *arms) for n in ("estimate", "ci_low", "ci_high"))
        if y is not None:
            drawn.append(ChoiceRow(_choice(row), y, low, high, row["note"] == "primary"))
    if len(drawn) < 2:
        return None
    instrument = study.protocol.instrument(question.outcome)
    title = f"{instrument.short_label}, {study.window_label(question.window)}: {study.versus(contrast)}"
    axis = "Ratio of distances (log scale)" if is_ratio else f"Difference in {instrument.unit}"
    said = "; ".join(f"{row.label}: {numbers.fixed(row.y, digits)}" for row in drawn)
    alt = f"Specification curve, {title}. From lowest to highest: {said}."
    return choices_panel(drawn, axis, 1.0 if is_ratio else 0.0, title, alt, bool(is_ratio))


_SHORT = {
    "propensity weighting": "weighting",
    "propensity weighting, clustered by site": "weighting, by site",
    "propensity-weighted joint model": "joint, weighted",
    "propensity-weighted joint model, clustered by site": "joint, weighted, by site",
    "joint time and speed": "joint, covariates",
    "ANCOVA, clustered by site": "ANCOVA, by site",
    "MMRM, propensity-weighted": "weighted MMRM",
    "likelihood, missing at random": "likelihood",
    "multiple imputation": "imputation",
    "hypothetical: no escalation": "no escalation",
    "treatment policy": "",
}


def _choice(row: Found) -> str:
    """The choices in few words; the main strategy is left unsaid."""
    parts = [row["estimator"], row["population"], row["missing_data"], row["strategy"]]
    return " · ".join(word for part in parts if (word := _SHORT.get(part, part)))


def _curve_figure(study: Study, frame: pl.DataFrame, panels: list[Panel]) -> Figure:
    names = {contrast.name: study.versus(contrast) for contrast in study.protocol.contrasts}
    primary = {(question.outcome, question.window) for question in study.protocol.primary.outcomes}
    traces = tuple(
        (
            f"{row['outcome']}, {row['window']}, {names[row['contrast']]}, {_choice(row)}",
            row["trace"],
        )
        for row in _specifications(frame).iter_rows(named=True)
        if row.get("trace") and row["contrast"] in names and (row["outcome"], row["window"]) in primary
    )
    return Figure(
        "figure-specifications",
        "The primary questions under every choice of the protocol",
        tuple(panels),
        "Each row is one way to answer: estimator, whose mean effect (overlap, everyone: ate, the tier's own patients: "
        "att, or a trimmed group), rule for missed visits, and strategy for later escalation where it is not treatment "
        "policy. The blue square is the primary answer. Rows stand in order of size. The estimates share patients and "
        "are no independent confirmations of each other.",
        source="results.sensitivity (analysis starts with specification)",
        traces=traces,
    )


# ---------------------------------------------------------------------------------------------------------- populations


def _population_table(study: Study) -> list[Table]:
    """Overlap beside everyone and the tier's own patients, and beside the hypothetical strategy."""
    frame = study.snapshot["results.contrasts"]
    body: list[Row] = []
    for question in study.protocol.primary.questions:
        mine = _leading(frame, question)
        if mine.is_empty():
            continue
        instrument = study.protocol.instrument(question.outcome)
        body.append(Row((f"{instrument.label}, {study.window_label(question.window)}",), "group"))
        for contrast in study.protocol.contrasts:
            rows = mine.filter(pl.col("contrast") == contrast.name)
            cells = [
                _cell(study, rows, question, contrast, population, "treatment policy")
                for population in ("overlap", "ate", "att", "trimmed")
            ]
            hypothetical = _cell(study, rows, question, contrast, "overlap", "hypothetical: no escalation")
            body.append(Row((study.versus(contrast), *cells, hypothetical), indent=1))
    if not body:
        return []
    return [
        Table(
            "table-populations",
            "Whose effect: other populations and another strategy",
            (
                Column("Contrast", "left"),
                *[Column(label, group="Mean over (95 % CI)") for _, label in _POPULATIONS],
                Column("If nobody escalated"),
            ),
            tuple(body),
            reading="Weighted differences, or ratios of distance. Overlap: patients who could have had either tier "
            "(primary). Trimmed: only patients whose probability of both tiers is at least 5 %, so that it is no "
            "longer an effect in everyone. If nobody escalated: those who did count as not seen and are made up for by "
            "weights; withheld where more than "
            f"{numbers.percent(study.protocol.diagnostics.crossover_maximum)} of an arm escalated.",
            notes=withheld_notes(study, [_leading(frame, question) for question in study.protocol.primary.questions]),
            source="results.contrasts (method = propensity-weighted …)",
        )
    ]


_OPINIONS = {
    "mixed model with random intercept (statsmodels)": "Random intercept",
    "generalised estimating equations, exchangeable (statsmodels)": "GEE, exchangeable",
}


def _opinions_table(study: Study, frame: pl.DataFrame) -> list[Table]:
    """The repeated-measures model beside what a library's estimators say of the same visits."""
    if "estimator" not in frame.columns:
        return []
    opinions = frame.filter(pl.col("analysis").str.starts_with("second opinion"))
    if opinions.is_empty():
        return []
    asked = opinions["estimator"].unique(maintain_order=True).to_list()
    own = frame.filter((pl.col("estimator") == "MMRM") & (pl.col("strategy") == "treatment policy"))
    body: list[Row] = []
    notes: list[str] = []
    for question in study.protocol.primary.questions:
        is_here = (pl.col("outcome") == question.outcome) & (pl.col("window") == question.window)
        mine = opinions.filter(is_here)
        if mine.is_empty():
            continue
        notes += mine.filter(pl.col("status") == "not estimable")["note"].drop_nulls().to_list()
        label = f"{study.protocol.instrument(question.outcome).label}, {study.window_label(question.window)}"
        body.append(Row((label,), "group"))
        for contrast in study.protocol.contrasts:
            of = pl.col("contrast") == contrast.name
            found = [own.filter(is_here & of), *[mine.filter(of & (pl.col("estimator") == name)) for name in asked]]
            cells = [_opinion(study, one, question, contrast) for one in found]
            body.append(Row((study.versus(contrast), *cells), indent=1))
    said = tuple(f"Not estimable: {note}." for note in dict.fromkeys(notes))
    return [
        Table(
            "table-second-opinions",
            "A second opinion on the repeated-measures model",
            (
                Column("Contrast", "left"),
                Column("MMRM", group="Difference (95 % CI)"),
                *[Column(_OPINIONS.get(name, name), group="Difference (95 % CI)") for name in asked],
            ),
            tuple(body),
            reading="The same visits by estimators of another library, which assume other things of how the visits of "
            "a patient hang together. Where they agree, the answer does not rest on one program. An answer that the "
            "library itself cannot stand behind is not shown.",
            notes=said,
            source="results.sensitivity (analysis starts with second opinion; estimator = MMRM)",
        )
    ]


def _opinion(study: Study, found: pl.DataFrame, question: PrimaryOutcome, contrast: Contrast) -> Cell:
    if found.is_empty():
        return numbers.ABSENT
    arms = keys.seen_in_arms(question.outcome, question.window, contrast)
    return estimate_cell(study, found.row(0, named=True), digits_of(study, question.outcome), *arms)


def _leading(frame: pl.DataFrame, question: PrimaryOutcome) -> pl.DataFrame:
    """Weighted differences with errors that know of the weights, the trimmed one under its own population."""
    if frame.is_empty():
        return frame
    trimmed = pl.col("method").str.contains("trimmed")
    plain = pl.col("method").is_in(["propensity-weighted", "propensity-weighted joint time and speed"])
    return frame.filter(
        (pl.col("outcome") == question.outcome)
        & (pl.col("window") == question.window)
        & pl.col("measure").is_in(_SHOWN)
        & (trimmed | plain)
        & (pl.col("variance") == "weights estimated")
    ).with_columns(population=pl.when(trimmed).then(pl.lit("trimmed")).otherwise("population"))


def _cell(
    study: Study, rows: pl.DataFrame, question: PrimaryOutcome, contrast: Contrast, population: str, strategy: str
) -> Cell:
    found = rows.filter((pl.col("population") == population) & (pl.col("strategy") == strategy))
    if found.is_empty():
        return numbers.ABSENT
    row = found.row(0, named=True)
    digits = 2 if row["measure"] == _RATIO else digits_of(study, question.outcome)
    return estimate_cell(study, row, digits, *keys.seen_in_arms(question.outcome, question.window, contrast))


# ------------------------------------------------------------------------------------- hidden confounders, the missing


def _hidden_table(study: Study, frame: pl.DataFrame) -> list[Table]:
    """E-values and tipping points of the comparisons that are shown, in words."""
    body = [*_hidden_outcomes(study, frame), *_hidden_endpoints(study, frame)]
    if not body:
        return []
    return [
        Table(
            "table-hidden",
            "What it would take to overturn an answer",
            (Column("Comparison", "left"), Column("E-value (of the limit)"), Column("Patients not seen", "left")),
            tuple(body),
            reading="E-value: how strongly (as a risk ratio) something unrecorded would have to go along with both the "
            "tier and the outcome to explain the difference away; in brackets, to move its interval to no difference; "
            "1 means that nothing is needed (VanderWeele and Ding 2017). Patients not seen: their values are drawn by "
            "multiple imputation and then shifted in the tier until the conclusion falls.",
            source="results.sensitivity (analysis = E-value, tipping point)",
        )
    ]


def _hidden_outcomes(study: Study, frame: pl.DataFrame) -> list[Row]:
    body: list[Row] = []
    for question in study.protocol.primary.outcomes:
        for contrast in study.protocol.contrasts:
            mine = frame.filter(outcome=question.outcome, window=question.window, contrast=contrast.name)
            e_value, tipping = (mine.filter(pl.col("analysis") == name) for name in ("E-value", "tipping point"))
            if e_value.is_empty() and tipping.is_empty():
                continue
            arms = keys.seen_in_arms(question.outcome, question.window, contrast)
            label = f"{study.protocol.instrument(question.outcome).short_label}: {study.versus(contrast)}"
            body.append(Row((label, _e_cell(study, e_value, arms), _tipping(study, tipping, question, contrast))))
    return body


def _hidden_endpoints(study: Study, frame: pl.DataFrame) -> list[Row]:
    """E-values of the weighted hazard ratios of each contrast's own endpoint; nobody is drawn there."""
    body: list[Row] = []
    for contrast in study.protocol.contrasts:
        mine = frame.filter(
            (pl.col("outcome") == contrast.endpoint)
            & (pl.col("contrast") == contrast.name)
            & (pl.col("analysis") == "E-value")
        )
        if mine.is_empty() or contrast.endpoint is None:
            continue
        arms = event_counts.by_the_end(study.protocol, contrast, contrast.endpoint)
        label = f"Later operation (hazard ratio): {study.versus(contrast)}"
        body.append(Row((label, _e_cell(study, mine, arms), "not asked: censoring ends what is seen")))
    return body


def _e_cell(study: Study, found: pl.DataFrame, arms: Sequence[Key]) -> Cell:
    if found.is_empty() or found["estimate"][0] is None:
        return numbers.ABSENT
    row = found.row(0, named=True)
    limit = row["ci_low"] if row["ci_low"] is not None else 1.0
    shown = study.gate.text(f"{numbers.fixed(row['estimate'], 1)} ({numbers.fixed(limit, 1)})", *arms)
    return replace(shown, trace=row.get("trace") or "")


def _tipping(study: Study, found: pl.DataFrame, question: PrimaryOutcome, contrast: Contrast) -> Cell:
    """How much worse (or better) the missing would have to be, in the instrument's units."""
    if found.is_empty():
        return "not asked: a walking test" if study.protocol.instrument(question.outcome).kind == "walking" else "–"
    row = found.row(0, named=True)
    said = _tipping_words(study, row, question, contrast)
    shown = study.gate.text(said, *keys.seen_in_arms(question.outcome, question.window, contrast))
    return replace(shown, trace=row.get("trace") or "")


def _tipping_words(study: Study, row: Found, question: PrimaryOutcome, contrast: Contrast) -> str:
    instrument = study.protocol.instrument(question.outcome)
    if row["estimate"] is None:
        return wording.capital(row["note"].split("; ")[0])
    delta = float(row["estimate"])
    if delta == 0:
        return "No difference beyond chance once the missing are drawn: there is none to lose"
    is_worse = (delta > 0) == (instrument.better == "lower")
    word = "worse" if is_worse else "better"
    size = numbers.fixed(abs(delta), digits_of(study, question.outcome))
    return (
        f"The conclusion falls if those not seen after {study.in_words(contrast.tier)} were {size} {instrument.unit} "
        f"{word} than patients like them"
    )
