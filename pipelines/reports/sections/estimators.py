"""The same questions by other estimators: side by side, with both standard errors, and over all visits (MMRM).

What leads is in `comparison`; further choices (populations, the missing, strategies) are in `sensitivity`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from pipelines.protocol_parts import Contrast, PrimaryOutcome
from pipelines.reports import keys, numbers
from pipelines.reports.content import Cell, Column, Row, Section, Table
from pipelines.reports.estimates import estimate_cell, withheld_notes
from pipelines.reports.gate import ABOUT
from pipelines.reports.ledger import Key, round_count
from pipelines.reports.sections import not_applicable
from pipelines.reports.sentences import digits_of
from pipelines.reports.study import Study

_WEIGHTED = ("propensity-weighted", "propensity-weighted joint time and speed")
_MMRM = "MMRM"
_ADJUSTED_MEAN = ", adjusted mean"
_LEADING = ("mean difference", "distance ratio")
_MANY = 200  # degrees of freedom beyond which limits are those of the normal distribution for all that is printed


@dataclass(frozen=True)
class _Estimator:
    """A line of estimates: its label and the rows of `results.contrasts` that stand in it."""

    label: str
    rows: pl.Expr


_REPEATED = _Estimator("Repeated measures", pl.col("method").str.contains(r"^MMRM( \(.*symmetry\))?$"))
_ESTIMATORS = (
    _Estimator(
        "Weighted (primary)",
        pl.col("method").is_in(_WEIGHTED)
        & (pl.col("population") == "overlap")
        & (pl.col("variance") == "weights estimated"),
    ),
    _Estimator("Regression", pl.col("method").str.ends_with("covariate-adjusted")),
    _Estimator("Doubly robust", pl.col("method").str.starts_with("doubly robust")),
    _REPEATED,
    _Estimator("Unadjusted", pl.col("method").str.ends_with("baseline only")),
)
_VARIANCES = {
    "weights fixed": "Weights fixed",
    "weights estimated": "Weights estimated",
    "weights estimated, clustered by site": "The same, clustered by site",
}


def estimators(study: Study) -> Section:
    """Estimators side by side, standard errors side by side, and the repeated-measures model visit by visit."""
    title = "The same questions by other estimators"
    frame = study.snapshot["results.contrasts"]
    if frame.is_empty():
        return not_applicable("estimators", title, "No contrast was estimated in this release.")
    rows = frame.filter(
        pl.col("measure").is_in(_LEADING)
        & (pl.col("strategy").fill_null("treatment policy") == "treatment policy")
        & pl.col("contrast").is_not_null()
    )
    made = [_side_by_side(study, rows), _standard_errors(study, rows), _by_visit(study, rows), _means(study)]
    tables = tuple(table for table in made if table is not None)
    if not tables:
        return not_applicable("estimators", title, "Each question was answered by one estimator only.")
    return Section("estimators", title, tables)


def _at(rows: pl.DataFrame, question: PrimaryOutcome) -> pl.DataFrame:
    return rows.filter(outcome=question.outcome, window=question.window)


def _digits(study: Study, outcome: str, rows: pl.DataFrame) -> int:
    return 2 if (rows["measure"] == "distance ratio").any() else digits_of(study, outcome)


def _columns(study: Study, first: str, group: str) -> tuple[Column, ...]:
    """A column a contrast, behind one of labels."""
    return Column(first, "left"), *[Column(study.versus(c), group=group) for c in study.protocol.contrasts]


def _by_question(
    study: Study, rows: pl.DataFrame, lines: Sequence[tuple[str, pl.Expr]], cell: Callable[..., Cell]
) -> tuple[Row, ...]:
    """A group of rows a question: one for each of the lines, with a cell a contrast."""
    body: list[Row] = []
    for question in study.protocol.primary.questions:
        here = _at(rows, question)
        if here.is_empty():
            continue
        label = f"{study.protocol.instrument(question.outcome).label}, {study.window_label(question.window)}"
        body.append(Row((label,), "group"))
        digits = _digits(study, question.outcome, here)
        for name, chosen in lines:
            found = here.filter(chosen)
            if found.height:
                cells = _across_contrasts(study, found, question.outcome, question.window, digits, cell)
                body.append(Row((name, *cells), indent=1))
    return tuple(body)


def _across_contrasts(
    study: Study, rows: pl.DataFrame, outcome: str, window: str, digits: int, cell: Callable[..., Cell] = estimate_cell
) -> list[Cell]:
    """A cell a contrast, of its row among these."""
    found = {row["contrast"]: row for row in rows.iter_rows(named=True)}
    return [
        cell(study, found[c.name], digits, *keys.seen_in_arms(outcome, window, c))
        if c.name in found
        else numbers.ABSENT
        for c in study.protocol.contrasts
    ]


def _across_tiers(study: Study, rows: pl.DataFrame, outcome: str, window: str, digits: int) -> list[Cell]:
    """A cell a tier, of its row among these."""
    found = {row["tier"]: row for row in rows.iter_rows(named=True)}
    return [
        estimate_cell(study, found[tier], digits, keys.seen(outcome, window, tier)) if tier in found else numbers.ABSENT
        for tier in study.tiers
    ]


def _by_outcome(
    study: Study,
    rows: pl.DataFrame,
    cells: Callable[[Study, pl.DataFrame, str, str, int], list[Cell]],
    last: Callable[[pl.DataFrame], list[Row]] = lambda _: [],
) -> tuple[Row, ...]:
    """A group of rows an outcome: one for each visit at which it was seen, and what comes last of its rows."""
    body: list[Row] = []
    for outcome in rows["outcome"].unique(maintain_order=True):
        here = rows.filter(pl.col("outcome") == outcome)
        body.append(Row((study.protocol.instrument(outcome).label,), "group"))
        for window in [w.name for w in study.protocol.windows if (here["window"] == w.name).any()]:
            at = here.filter(pl.col("window") == window)
            shown = cells(study, at, outcome, window, digits_of(study, outcome))
            body.append(Row((study.window_label(window), *shown), indent=1))
        body += last(here)
    return tuple(body)


# --------------------------------------------------------------------------------------------------------- side by side


def _side_by_side(study: Study, rows: pl.DataFrame) -> Table | None:
    asked = pl.concat([rows.clear(), *(_at(rows, question) for question in study.protocol.primary.questions)])
    lines = [(one.label, one.rows) for one in _ESTIMATORS if asked.filter(one.rows).height]
    if len(lines) < 2:
        return None
    return Table(
        "table-estimators",
        "Each question by each estimator",
        _columns(study, "Estimator", "Difference or ratio (95 % CI)"),
        _by_question(study, asked, lines, estimate_cell),
        reading="Weighted: overlap weights, with errors that allow for their estimation; it leads. Regression: "
        "analysis of covariance with HC3 variance, for walking the joint model of time and speed with covariates. "
        "Doubly robust: augmented inverse-probability weighting, right if either of its two models is. Repeated "
        "measures: all visits together. Unadjusted: the outcome's own baseline only. All but the weighted ones speak "
        "of everyone in both arms, so that answers may differ without either being wrong.",
        notes=withheld_notes(study, [asked]),
        source="results.contrasts (measure = mean difference, distance ratio; strategy = treatment policy)",
    )


def _standard_errors(study: Study, rows: pl.DataFrame) -> Table | None:
    weighted = rows.filter(pl.col("method").is_in(_WEIGHTED) & (pl.col("population") == "overlap"))
    shown = [name for name in _VARIANCES if (weighted["variance"] == name).any()]
    if len(shown) < 2:
        return None
    lines = [(_VARIANCES[name], pl.col("variance") == name) for name in shown]
    return Table(
        "table-standard-errors",
        "Standard errors of the weighted answers",
        _columns(study, "Variance", "Standard error"),
        _by_question(study, weighted, lines, _error),
        reading="Of the difference, or of the logarithm of the ratio. Weights fixed: as if the weights had been known, "
        "which most programs give. Weights estimated: stacked estimating equations, which the limits of the weighted "
        "answers are made of. Clustered by site: patients of a site may be alike; where there are enough sites.",
        source="results.contrasts (std_error by variance; population = overlap)",
    )


def _error(study: Study, row: Mapping[str, Any], digits: int, *arms: Key) -> Cell:
    if row["status"] != "estimable":
        return estimate_cell(study, row, digits, *arms)
    return replace(study.gate.number(row["std_error"], digits + 1, *arms), trace=row.get("trace") or "")


# ------------------------------------------------------------------------------------------------------ over all visits


def _by_visit(study: Study, rows: pl.DataFrame) -> Table | None:
    """Contrasts of the repeated-measures model at every visit, with their degrees of freedom."""
    mine = rows.filter(_REPEATED.rows)
    if mine.is_empty():
        return None

    def fewest(rows: pl.DataFrame) -> list[Row]:
        cells = [_degrees(study, rows.filter(pl.col("contrast") == c.name), c) for c in study.protocol.contrasts]
        return [Row(("Degrees of freedom, fewest", *cells), indent=1)]

    return Table(
        "table-repeated",
        "Differences at every visit from all visits together (MMRM)",
        _columns(study, "Visit", "Difference (95 % CI)"),
        _by_outcome(study, mine, _across_contrasts, fewest),
        reading="A mixed model for repeated measures with visit by tier, baseline by visit and the covariates, fitted "
        "by restricted likelihood: right where a missed visit depends on what was seen before. Degrees of freedom are "
        f"Satterthwaite's, to the nearest 5; above {_MANY} they make no difference.",
        notes=(_rungs(study, mine), *withheld_notes(study, [mine])),
        source="results.contrasts (method starts with MMRM; population = ate)",
    )


def _degrees(study: Study, rows: pl.DataFrame, contrast: Contrast) -> Cell:
    """The fewest degrees of freedom over the visits; nearly a count of patients, so they are rounded as counts are."""
    known = rows.filter(pl.col("status") == "estimable").drop_nulls("df") if "df" in rows.columns else rows.clear()
    if known.is_empty():
        return numbers.ABSENT
    row = known.sort("df").row(0, named=True)
    said = f">{_MANY}" if row["df"] > _MANY else f"{ABOUT}{round_count(round(row['df']))}"
    return study.gate.text(said, *keys.seen_in_arms(row["outcome"], row["window"], contrast))


def _rungs(study: Study, rows: pl.DataFrame) -> str:
    """Which covariance of the ladder of fallbacks each outcome's model has."""
    said = []
    for outcome, method in rows.select("outcome", "method").unique(maintain_order=True).iter_rows():
        rung = method.removeprefix(_MMRM).strip(" ()")
        kind = f"{rung}, with sandwich variance" if rung else "unstructured, with the model's variance"
        said.append(f"{study.protocol.instrument(outcome).short_label}: {kind}")
    return (
        f"Covariance of a patient's visits: {'; '.join(said)}. The order of fallbacks is fixed beforehand: "
        "unstructured, then heterogeneous compound symmetry, then compound symmetry."
    )


def _means(study: Study) -> Table | None:
    """Adjusted means of the repeated-measures model by tier and visit."""
    frame = study.snapshot["results.trajectories"]
    if frame.is_empty():
        return None
    rows = frame.filter(pl.col("method").str.starts_with(_MMRM) & pl.col("method").str.ends_with(_ADJUSTED_MEAN))
    if rows.is_empty():
        return None
    return Table(
        "table-adjusted-means",
        "Adjusted means by visit and tier (MMRM)",
        (Column("Visit", "left"), *[Column(study.short(tier)) for tier in study.tiers]),
        _by_outcome(study, rows, _across_tiers),
        reading="What the model expects of each tier had it been given to patients with the covariates of all (95 % "
        "interval). The five tiers stand beside each other to be described; only neighbours are compared.",
        source="results.trajectories (method = MMRM, adjusted mean)",
    )
