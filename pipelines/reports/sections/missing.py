"""Visits that were missed: who kept which, and what each rule for the missing makes of the primary answers."""

import polars as pl

from pipelines.protocol_parts import Contrast, PrimaryOutcome
from pipelines.reports import keys, numbers, patterns, wording
from pipelines.reports.content import (
    Block,
    Cell,
    Column,
    Paragraph,
    Row,
    Section,
    Sentence,
    Table,
)
from pipelines.reports.estimates import estimate_cell
from pipelines.reports.gate import LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.sentences import digits_of
from pipelines.reports.study import Study

_RULES = (
    ("dropout weights", "Dropout weights (primary)"),
    ("complete cases", "Those seen only"),
    ("likelihood, missing at random", "Likelihood (MMRM)"),
    ("multiple imputation", "Multiple imputation"),
)
_WORDS = {
    patterns.COMPLETE: "Kept all visits",
    patterns.DROPOUT: "Kept the first ones, then left for good",
    patterns.INTERMITTENT: "Missed one and was seen later",
    patterns.NEVER: "Never seen after the start",
}


def missing(study: Study) -> Section:
    """Patterns of visits by tier, and the primary contrasts under each rule for the missing."""
    title = "Missed visits"
    tables = [*_patterns_table(study), *_weights_table(study), *_rules_table(study)]
    if not tables:
        return not_applicable("missing", title, "No patient's visits were all due, or none of the outcomes was asked.")
    has_history = study.protocol.missing_data.dropout_weights == "earlier visits"
    alike = "tier, case mix and at earlier visits" if has_history else "tier and case mix"
    lead = Paragraph(
        "Those not seen may have done better or worse than those seen. The main answers give patients who were seen "
        f"the weight of those like them in {alike} who were not (dropout weights); the full analysis set also imputes "
        "the missing and asks how much worse they would have to be for a conclusion to fall ([how firm](#sensitivity))."
    )
    blocks: tuple[Block, ...] = (lead, *_filled(study), *tables)
    return Section("missing", title, blocks)


def _filled(study: Study) -> list[Paragraph]:
    """Which covariates were not known of some patients, and how they were filled."""
    frame = study.snapshot["results.imputation"]
    gaps = frame.filter(pl.col("missing") > 0) if frame.height else frame
    if gaps.is_empty():
        return []
    labels = {covariate.name: covariate.label for covariate in study.protocol.covariates}
    names = [wording.inside(labels.get(name, name)) for name in gaps["covariate"].unique(maintain_order=True)]
    rules = numbers.listed(gaps["rule"].drop_nulls().unique(maintain_order=True).to_list())
    text = (
        f"**Before treatment**, {numbers.listed(names)} were not known of some patients. They are filled by: "
        f"{rules}. The [table of patients](#table-1) says how many, where that may be told. Multiple imputation, "
        "in the full analysis set, draws them instead."
    )
    return [Paragraph(Sentence(text, "results.imputation"))]


def _patterns_table(study: Study) -> list[Table]:
    frame = patterns.by_kind(
        study.snapshot["results.missing_patterns"], [q.outcome for q in study.protocol.primary.outcomes]
    )
    if frame.is_empty():
        return []
    body: list[Row] = []
    for outcome in frame["outcome"].unique(maintain_order=True):
        label = study.protocol.instrument(outcome).label
        whole = [study.gate.count(keys.visits_kept(outcome, tier)) for tier in study.tiers]
        body.append(Row((f"{label}: patients whose visits were all due", *whole), "total"))
        for kind in patterns.KINDS:
            cells = [
                study.gate.count_and_share(keys.visits_kept(outcome, tier, kind), keys.visits_kept(outcome, tier))
                for tier in study.tiers
            ]
            body.append(Row((_WORDS[kind], *cells), indent=1))
    return [
        Table(
            "table-missing-patterns",
            "Which visits were kept",
            (Column("", "left"), *[Column(study.short(tier)) for tier in study.tiers]),
            tuple(body),
            reading="Patients whose visit windows have all closed and who were alive at the end of each (per cent of "
            "these). Those who left for good are the harder case: nothing after tells how they fared.",
            notes=(study.gate.small_note, LEGEND),
            source="results.missing_patterns",
        )
    ]


def _weights_table(study: Study) -> list[Table]:
    """What those seen are worth once they stand for those not seen, and what the weights were given."""
    frame = study.snapshot.rows("results.dropout_weights", strategy="treatment policy")
    if frame.is_empty():
        return []
    body: list[Row] = []
    for question in study.protocol.primary.questions:
        mine = frame.filter(outcome=question.outcome, window=question.window)
        if mine.is_empty():
            continue
        given = ", ".join(mine["given"].unique(maintain_order=True))
        label = f"{study.protocol.instrument(question.outcome).short_label}, {study.window_label(question.window)}"
        cells = [_worth(study, mine.filter(pl.col("tier") == tier), question, tier) for tier in study.tiers]
        body.append(Row((label, given, *cells)))
    return [
        Table(
            "table-dropout-weights",
            "What the weights for missed visits rest on",
            (
                Column("Outcome", "left"),
                Column("The weights know", "left"),
                *[Column(study.short(tier), group="Effective number of those seen") for tier in study.tiers],
            ),
            tuple(body),
            reading="Patients who came stand for those like them who did not. The more a few of them must stand for, "
            "the smaller the effective number beside the number seen. Baseline: tier and case mix; earlier visits: "
            "also what was recorded before.",
            source="results.dropout_weights (strategy = treatment policy)",
        )
    ]


def _worth(study: Study, found: pl.DataFrame, question: PrimaryOutcome, tier: str) -> Cell:
    if found.is_empty() or found["effective_sample_size"][0] is None:
        return numbers.ABSENT
    seen = keys.seen(question.outcome, question.window, tier)
    return study.gate.effective(float(found["effective_sample_size"][0]), seen)


def _rules_table(study: Study) -> list[Table]:
    """Mean differences of the primary outcomes under each rule that the analysis set asks for."""
    frame = study.snapshot["results.sensitivity"]
    if frame.is_empty() or "missing_data" not in frame.columns:
        return []
    rows = frame.filter(
        pl.col("missing_data").is_in([name for name, _ in _RULES])
        & (pl.col("strategy") == "treatment policy")
        & (pl.col("variance").fill_null("model") != "weights fixed")
        & (pl.col("population").fill_null("overlap") == "overlap")
        & pl.col("estimator").is_in(["propensity weighting", "MMRM, propensity-weighted"])
        & (pl.col("measure") == "mean difference")
    )
    if rows["missing_data"].n_unique() < 2:
        return []
    shown = [(name, label) for name, label in _RULES if (rows["missing_data"] == name).any()]
    body: list[Row] = []
    for question in study.protocol.primary.outcomes:
        mine = rows.filter(outcome=question.outcome, window=question.window)
        if mine.is_empty():
            continue
        label = f"{study.protocol.instrument(question.outcome).label}, {study.window_label(question.window)}"
        body.append(Row((label,), "group"))
        for contrast in study.protocol.contrasts:
            here = mine.filter(pl.col("contrast") == contrast.name)
            cells = [_cell(study, here, name, question, contrast) for name, _ in shown]
            body.append(Row((study.versus(contrast), *cells), indent=1))
    return [
        Table(
            "table-missing-rules",
            "The same contrasts under each rule for missed visits",
            (Column("Contrast", "left"), *[Column(label, group="Difference (95 % CI)") for _, label in shown]),
            tuple(body),
            reading="Overlap-weighted throughout; only what is done about missed visits differs. Multiple imputation "
            "draws each missing value several times from what is known of the patient and pools by Rubin's rules. "
            "Where the columns agree, the answer does not hang on the rule.",
            source="results.sensitivity (population = overlap, strategy = treatment policy)",
        )
    ]


def _cell(study: Study, rows: pl.DataFrame, rule: str, question: PrimaryOutcome, contrast: Contrast) -> Cell:
    found = rows.filter(pl.col("missing_data") == rule)
    if found.is_empty():
        return numbers.ABSENT
    arms = [keys.seen(question.outcome, question.window, tier) for tier in (contrast.tier, contrast.reference)]
    return estimate_cell(study, found.row(0, named=True), digits_of(study, question.outcome), *arms)
