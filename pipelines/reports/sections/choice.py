"""Who gets which tier: one model of the choice among all tiers, which describes and ranks nothing."""

import polars as pl

from pipelines.reports import balance, keys, numbers
from pipelines.reports.content import Block, Cell, Column, Paragraph, Row, Section, Table
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study

_AFTER = "overlap"


def choice(study: Study) -> Section:
    """Odds ratios of each tier by characteristic, how probable each tier was, and how alike all tiers can be made."""
    title = "Who gets which tier"
    frame = study.snapshot["results.treatment_choice"]
    if frame.is_empty() or not (frame["status"] == "estimable").any():
        reasons = frame["reason"].drop_nulls().to_list() if frame.height else []
        said = f" ({reasons[0]})" if reasons else ""
        return not_applicable("choice", title, f"The choice among all tiers could not be modelled{said}.")
    lead = Paragraph(
        "One multinomial model describes how the choice among all tiers goes along with what was known before. It "
        "tells who is given what, and why plain comparisons mislead; it compares no outcomes, and the tiers are "
        "not put in order by it."
    )
    blocks: list[Block] = [lead, _odds_table(study, frame), *_scores_table(study), *_alike_table(study)]
    return Section("choice", title, tuple(blocks))


def _odds_table(study: Study, frame: pl.DataFrame) -> Table:
    rows = frame.filter(pl.col("status") == "estimable")
    reference = str(rows["reference"][0])
    tiers = [tier for tier in study.tiers if (rows["tier"] == tier).any()]
    body = []
    for term in rows["term"].unique(maintain_order=True):
        cells = [_odds(study, rows.filter((pl.col("term") == term) & (pl.col("tier") == t)), term) for t in tiers]
        body.append(Row((balance.label(study.protocol, term), *cells)))
    return Table(
        "table-choice",
        f"What goes along with each tier rather than {study.in_words(reference)}",
        (
            Column("Known before the tier began", "left"),
            *[Column(study.short(tier), group="Odds ratio (95 % CI)") for tier in tiers],
        ),
        tuple(body),
        reading="Above 1: patients with it (or with one unit more of it) were given the tier more often than "
        f"{study.in_words(reference)}, all else alike. A level is compared with the first level of its characteristic. "
        f"n <{study.gate.minimum}: too few patients of a tier have it.",
        source="results.treatment_choice",
    )


def _odds(study: Study, found: pl.DataFrame, term: str) -> Cell:
    if found.is_empty():
        return numbers.ABSENT
    row = found.row(0, named=True)
    digits = 2 if row["ci_high"] < 9.95 else 1
    text = numbers.with_limits(row["estimate"], row["ci_low"], row["ci_high"], digits)
    return study.gate.text(text, *balance.behind_odds(study.protocol, term, row["tier"], row["reference"]))


def _scores_table(study: Study) -> list[Table]:
    """Mean probability of each tier among the patients of each tier."""
    frame = study.snapshot.rows("results.choice_scores", status="estimable")
    if frame.is_empty():
        return []
    asked = [tier for tier in study.tiers if (frame["score_of"] == tier).any()]
    body = []
    for tier in study.tiers:
        mine = {row["score_of"]: row for row in frame.filter(pl.col("tier") == tier).iter_rows(named=True)}
        cells = [
            study.gate.text(numbers.percent(mine[of]["mean"]), keys.patients(tier)) if of in mine else numbers.ABSENT
            for of in asked
        ]
        body.append(Row((study.short(tier), *cells)))
    return [
        Table(
            "table-choice-scores",
            "How probable each tier was for those who were given one",
            (Column("Given", "left"), *[Column(study.short(t), group="Mean probability of") for t in asked]),
            tuple(body),
            reading="By the same model. A row adds up to 100 %. Were the diagonal 100 %, nobody could be compared with "
            "anybody; neighbours with high figures in each other's column could often have been given either.",
            source="results.choice_scores",
        )
    ]


def _alike_table(study: Study) -> list[Table]:
    """How far pairs of tiers stand apart, as they came and with all tiers weighed alike, and what that leaves."""
    frame = study.snapshot["results.choice_balance"]
    if frame.is_empty():
        return []
    sizes = study.snapshot.rows("results.choice_weights", population=_AFTER, status="estimable")
    body: list[Row] = [Row(("Largest standardised difference",), "group")]
    for place, tier in enumerate(study.tiers):
        for reference in study.tiers[:place]:
            rows = frame.filter((pl.col("tier") == tier) & (pl.col("reference") == reference))
            if rows.height:
                cells = [balance.furthest(study, rows, w, tier, reference) for w in (balance.UNWEIGHTED, _AFTER)]
                body.append(Row((f"{study.short(tier)} and {study.in_words(reference)}", *cells), indent=1))
    if sizes.height:
        body.append(Row(("Patients, and how many they are worth",), "group"))
        for tier in study.tiers:
            found = sizes.filter(pl.col("tier") == tier)["effective_sample_size"].drop_nulls()
            worth = study.gate.effective(float(found[0]), keys.patients(tier)) if len(found) else numbers.ABSENT
            body.append(Row((study.short(tier), study.gate.count(keys.patients(tier)), worth), indent=1))
    return [
        Table(
            "table-choice-balance",
            "Could all tiers be made alike at once?",
            (Column("", "left"), Column("As they came"), Column("All weighed alike")),
            tuple(body),
            reading="Generalised overlap weights (Li and Li 2019) make all tiers alike at once, at the cost of "
            "patients seen below. The report's comparisons do not use them: they weigh two neighbours at a time.",
            source="results.choice_balance; results.choice_weights (population = overlap)",
        )
    ]
