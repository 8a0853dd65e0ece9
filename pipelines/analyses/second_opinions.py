"""The repeated-measures contrasts by a library's own estimators, beside the MMRM: rows of `results.sensitivity`.

Belongs here: the MMRM's rows and fixed effects given to statsmodels' mixed model (random intercept) and generalised
estimating equations. They confirm or they do not; nothing rests on them. Does not belong here: the guard that decides
whether such a fit counts (`models.second_opinion`).

Both take minutes on many patients where the MMRM takes seconds (design, section 8), so they are asked up to
`MOST_PATIENTS`. The full analysis set only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.registry import Tables
from pipelines.analyses.repeated import MMRM, scores_seen_repeatedly
from pipelines.analyses.rows import TREATMENT_POLICY
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.models._frames import reason_of
from pipelines.models.second_opinion import SecondOpinion, estimating_equations, random_intercept
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, PrimaryOutcome

SECOND_OPINION = "second opinion"
MIXED_MODEL = "mixed model with random intercept (statsmodels)"
EQUATIONS = "generalised estimating equations, exchangeable (statsmodels)"
MOST_PATIENTS = 20_000
NUMBERS = ("estimate", "ci_low", "ci_high")


@dataclass(frozen=True)
class Estimator:
    """A library's estimator: its name, what it assumes of missed visits, whose variance, what it is and how asked."""

    name: str
    missing_data: str
    variance: str
    function: str
    formula: str
    ask: Callable[[pl.DataFrame, list[str]], SecondOpinion]


LIBRARY = (
    Estimator(
        MIXED_MODEL,
        "likelihood, missing at random",
        "model",
        "pipelines.models.second_opinion.random_intercept",
        "Y ~ visit * tier + visit * Y0 + X + (1 | patient)",
        lambda rows, terms: random_intercept(rows, "value", "episode_id", terms),
    ),
    Estimator(
        EQUATIONS,
        "visits kept, missing completely at random",
        "robust, clustered by patient",
        "pipelines.models.second_opinion.estimating_equations",
        "Y ~ visit * tier + visit * Y0 + X, visits of a patient exchangeable",
        lambda rows, terms: estimating_equations(rows, "value", "episode_id", terms),
    ),
)


def second_opinions(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """One row a contrast, asked score and library's estimator, with its status and what the MMRM says beside it."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    questions = protocol.primary.questions
    pieces: list[dict[str, object]] = []
    for outcome, rows in scores_seen_repeatedly(tables, subjects, protocol):
        asked = [question for question in questions if question.outcome == outcome]
        if not asked:
            continue
        framed, terms = model_terms(rows, outcome, protocol)
        for estimator in LIBRARY:
            opinion = None if framed["episode_id"].n_unique() > MOST_PATIENTS else estimator.ask(framed, terms)
            for question in asked:
                here = framed.filter(pl.col("window").cast(pl.String) == question.window)
                seen = set(here["tier"].cast(pl.String))
                for contrast in protocol.contrasts:
                    numbers = _numbers(opinion, contrast, question.window, seen)
                    pieces.append(_labels(estimator, contrast, question) | numbers)
    if not pieces:
        return pl.DataFrame()
    schema = dict.fromkeys(NUMBERS, pl.Float64) | {"note": pl.String, "status": pl.String}
    return _gated(pl.DataFrame(pieces, schema_overrides=schema), tables)


def model_terms(rows: pl.DataFrame, outcome: str, protocol: Protocol) -> tuple[pl.DataFrame, list[str]]:
    """The rows with a 0/1 column for each later tier at each window, and the MMRM's fixed effects in these columns.

    So the difference of two tiers at a window is the difference of two coefficients. A tier that nobody was seen in at
    a window has no column.
    """
    merged, covariates = usable(rows, protocol, without=[f"{outcome}_baseline"])
    tier, window = pl.col("tier").cast(pl.String), pl.col("window").cast(pl.String)
    tiers, seen_in = set(merged["tier"].cast(pl.String)), set(merged["window"].cast(pl.String))
    later = [name for name in protocol.tier_names if name in tiers][1:]
    windows = [name for name in (w.name for w in protocol.windows) if name in seen_in]
    framed = merged.with_columns(
        ((tier == t) & (window == w)).cast(pl.Float64).alias(_cell(t, w)) for t in later for w in windows
    )
    seen = [cell for cell in (_cell(t, w) for t in later for w in windows) if framed[cell].sum() > 0]
    has_baseline = not protocol.instrument(outcome).is_after_treatment_only
    baseline = ["baseline_value", "window:baseline_value"] if has_baseline else []
    return framed.sort("episode_id", "window"), ["window", *baseline, *covariates, *seen]


def _cell(tier: str, window: str) -> str:
    return f"is_{tier}_at_{window}"


def _labels(estimator: Estimator, contrast: Contrast, question: PrimaryOutcome) -> dict[str, object]:
    return {
        "contrast": contrast.name,
        "outcome": question.outcome,
        "window": question.window,
        "analysis": f"{SECOND_OPINION}; {estimator.name}",
        "estimator": estimator.name,
        "measure": "mean difference",
        "population": "ate",
        "missing_data": estimator.missing_data,
        "strategy": TREATMENT_POLICY,
        "variance": estimator.variance,
    }


def _numbers(opinion: SecondOpinion | None, contrast: Contrast, window: str, seen: set[str]) -> dict[str, object]:
    """Numbers, status and note of one contrast; `seen` are the tiers that were seen in the window."""
    unseen = [tier for tier in (contrast.tier, contrast.reference) if tier not in seen]
    reason = None
    if opinion is None:
        reason = f"not asked above {MOST_PATIENTS:,} patients: the library would take minutes"
    elif opinion.status != ESTIMABLE:
        reason = reason_of(opinion.status)
    elif unseen:
        reason = f"nobody of {' and '.join(unseen)} was seen in this window"
    if opinion is None or reason is not None:
        return dict.fromkeys(NUMBERS) | {"status": NOT_ESTIMABLE, "note": reason}
    terms = set(opinion.coefficients["term"])
    ends = {_cell(contrast.tier, window): 1.0, _cell(contrast.reference, window): -1.0}
    found = opinion.combination({cell: sign for cell, sign in ends.items() if cell in terms})
    return {name: found[name] for name in NUMBERS} | {"status": ESTIMABLE, "note": None}


def _gated(rows: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The rows, those withheld whose contrast failed a check, the others with what the MMRM says of the same."""
    gated = withhold_failed(
        rows.rename({"note": "reason"}), Gate(tables["results.diagnostics"]), "outcome", "window"
    ).rename({"reason": "note"})
    found = tables["results.contrasts"].filter(
        pl.col("method").str.starts_with(MMRM),
        pl.col("population") == "ate",
        pl.col("status") == ESTIMABLE,
    )
    said = pl.format("the MMRM gives {} ({} to {})", *(pl.col(name).round(2).cast(pl.String) for name in NUMBERS))
    beside = found.select("contrast", "outcome", "window", mmrm=said)
    joined = gated.join(beside, on=["contrast", "outcome", "window"], how="left", maintain_order="left")
    is_shown = pl.col("status") == ESTIMABLE
    return joined.with_columns(note=pl.when(is_shown).then("mmrm").otherwise("note")).drop("mmrm")
