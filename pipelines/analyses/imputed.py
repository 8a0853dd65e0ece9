"""Multiple imputation of covariates and outcomes, and how much worse the missing would have to be.

Belongs here: completing the study's frames, the primary estimator within each completed frame, pooling, and the shift
of drawn values by a delta. Does not belong here: imputation itself (`models.imputation`), filling once (`covariates`).

One completed data set holds tier, covariates, the score's baseline and all its windows, so that a missed visit is drawn
given the visits that were kept. The full analysis set only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.gate import Gate
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import arms, in_ladder_order, names_of, smallest_arm, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.models._frames import reason_of
from pipelines.models.imputation import NUMBERS, Imputations, delta_adjusted, impute, pool_results, tipping_point
from pipelines.models.propensity import effects, weights
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, PrimaryOutcome

IMPUTED = "propensity-weighted, multiple imputation"
TIPPING = "tipping point"
IMPUTATIONS, ITERATIONS, SEED = 20, 5, 20260101
MINIMUM_SEEN = 2
# Shifts tried, as multiples of the difference between groups that matters (or of a tenth of the scale).
STEPS = (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Completed:
    """A question about a score, its completed frames, and the column that holds its outcome."""

    asked: PrimaryOutcome
    imputations: Imputations
    column: str


def imputed_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Overlap-weighted mean differences within completed frames, pooled by Rubin's rules."""
    pieces = []
    for completed in completed_scores(tables, protocol):
        for contrast in protocol.contrasts:
            labels = {
                "outcome": completed.asked.outcome,
                "window": completed.asked.window,
                "method": IMPUTED,
                "measure": "mean difference",
                **names_of(contrast),
                "population": "overlap",
                "variance": "weights estimated",
            }
            pieces.append(
                _pooled(completed, contrast, protocol).with_columns(pl.lit(v).alias(k) for k, v in labels.items())
            )
    return stacked(pieces)


def tipping_points(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """The smallest shift of the tier's missing values at which the primary conclusion falls, by contrast shown."""
    gate = Gate(tables["results.diagnostics"])
    pieces = []
    for completed in completed_scores(tables, protocol, protocol.primary.outcomes):
        instrument = protocol.instrument(completed.asked.outcome)
        unit = instrument.between_group_threshold or (instrument.maximum - instrument.minimum) / 10
        for contrast in protocol.contrasts:
            is_withheld = gate.reason(contrast.name, completed.asked.outcome, completed.asked.window) is not None
            if is_withheld or _why_not(completed, contrast) is not None:
                continue
            shifted = delta_adjusted(
                completed.imputations,
                completed.column,
                [step * unit for step in STEPS],
                partial(_effect, contrast=contrast, column=completed.column, protocol=protocol),
                ["contrast"],
                where=pl.col("tier").cast(pl.String) == contrast.tier,
                bounds=(instrument.minimum, instrument.maximum),
            )
            pieces.append(_tipping_row(completed.asked, shifted, contrast))
    return stacked(pieces)


def completed_scores(
    tables: Tables, protocol: Protocol, asked: Sequence[PrimaryOutcome] | None = None
) -> list[Completed]:
    """Completed frames for each question about a score: by default the primary and secondary ones."""
    questions = asked if asked is not None else protocol.primary.questions
    return [
        _complete(tables, question, protocol)
        for question in questions
        if protocol.instrument(question.outcome).kind == "score"
        and tables["analysis.scores"].filter((pl.col("instrument") == question.outcome) & pl.col("is_observed")).height
    ]


def _complete(tables: Tables, asked: PrimaryOutcome, protocol: Protocol) -> Completed:
    """All patients with tier, covariates as far as known, and the score at each window; gaps drawn.

    Values after death are drawn with the others and then removed: nobody has an outcome after death.
    """
    subjects = in_ladder_order(tables["analysis.subjects"], protocol)
    filled = complete_subjects(tables["analysis.subjects"], protocol)
    _, covariates = usable(filled, protocol)
    typed = filled.with_columns(
        pl.when(subjects[name].is_not_null()).then(pl.col(name)).alias(name)
        for name in covariates
        if subjects[name].null_count()
    )
    scores = tables["analysis.scores"].filter(pl.col("instrument") == asked.outcome)
    wide = scores.pivot("visit_window", index="episode_id", values="value", aggregate_function="first")
    seen = [w.name for w in protocol.windows if w.name in wide.columns and wide[w.name].count() >= 10]
    frame = typed.select("episode_id", "patient_id", "tier", *covariates).join(
        wide.select("episode_id", *(pl.col(name).cast(pl.Float64).alias(f"score_{name}") for name in seen)),
        on="episode_id",
        how="left",
        maintain_order="left",
    )
    own = f"{asked.outcome}_baseline"
    if own not in frame.columns and not protocol.instrument(asked.outcome).is_after_treatment_only:
        first = scores.select("episode_id", pl.col("baseline_value").cast(pl.Float64).alias(own)).unique("episode_id")
        frame = frame.join(first, on="episode_id", how="left", maintain_order="left")
    gaps = [name for name in frame.columns if name not in ("episode_id", "patient_id", "tier")]
    drawn = impute(frame, gaps, ["tier"], IMPUTATIONS, ITERATIONS, SEED)
    column = f"score_{asked.window}"
    dead = scores.filter((pl.col("visit_window") == asked.window) & ~pl.col("is_alive") & ~pl.col("is_observed"))
    is_dead = pl.col("episode_id").is_in(dead["episode_id"].implode())
    frames = [f.with_columns(pl.when(~is_dead).then(column).alias(column)) for f in drawn.frames if column in f.columns]
    return Completed(asked, Imputations(frames, drawn.missing, drawn.trace, drawn.status), column)


def _effect(frame: pl.DataFrame, contrast: Contrast, column: str, protocol: Protocol) -> pl.DataFrame:
    """The overlap-weighted difference in one completed frame, its weights estimated there."""
    pair, covariates = usable(arms(frame, contrast), protocol)
    fitted = weights(pair, "tier", covariates)
    found = effects(fitted, pair, column).filter(
        (pl.col("variance") == "weights estimated") & (pl.col("group").cast(pl.String) == contrast.tier)
    )
    return found.select("estimate", "std_error", "subjects").with_columns(contrast=pl.lit(contrast.name))


def _why_not(completed: Completed, contrast: Contrast) -> str | None:
    """Why a contrast has no imputed estimate: what nobody of an arm was seen to have cannot be drawn for that arm."""
    frames, drawn = completed.imputations.frames, completed.imputations
    if drawn.status != "estimable":
        return reason_of(drawn.status)
    if not frames:
        return "too few patients were seen in this window to draw the others"
    if smallest_arm(frames[0], contrast) == 0:
        return "an arm has no patients"
    tiers = frames[0]["tier"].cast(pl.String)
    for tier in (contrast.tier, contrast.reference):
        if int((~drawn.missing[completed.column].to_numpy() & (tiers == tier).to_numpy()).sum()) < MINIMUM_SEEN:
            return f"fewer than {MINIMUM_SEEN} patients of {tier} were seen in this window"
    return None


def _pooled(completed: Completed, contrast: Contrast, protocol: Protocol) -> pl.DataFrame:
    frames = completed.imputations.frames
    reason = _why_not(completed, contrast)
    if reason is not None:
        row = pl.DataFrame([{"status": NOT_ESTIMABLE, "reason": reason}])
        return row.with_columns(pl.lit(None, pl.Float64).alias(name) for name in NUMBERS)
    found = [_effect(frame, contrast, completed.column, protocol) for frame in frames]
    return pool_results(found, ["contrast"]).drop("contrast").with_columns(subjects=pl.lit(found[0]["subjects"][0]))


def _tipping_row(asked: PrimaryOutcome, shifted: pl.DataFrame, contrast: Contrast) -> pl.DataFrame:
    found = tipping_point(shifted, ["contrast"]).row(0, named=True)
    first, last = (f"{shift:g}".replace("-", "−") for shift in (shifted["delta"][0], shifted["delta"][-1]))
    said = {
        "held": f"the conclusion stands for every shift from {first} to {last}",
        "falls": "shift of the tier's missing values at which the conclusion falls",
        "none to lose": "no difference beyond chance with values missing at random, so there is none to lose",
    }
    at_tip = shifted.filter(pl.col("delta") == (found["tipping_delta"] if found["conclusion"] == "falls" else 0.0))
    row = at_tip.row(0, named=True)
    note = f"{said[found['conclusion']]}; the limits are those of the difference there"
    return pl.DataFrame(
        [
            {
                "outcome": asked.outcome,
                "contrast": contrast.name,
                "window": asked.window,
                "analysis": TIPPING,
                "estimate": found["tipping_delta"],
                "ci_low": row["ci_low"],
                "ci_high": row["ci_high"],
                "note": note if row["status"] == ESTIMABLE else row["reason"],
                "measure": "shift in points",
                "status": row["status"],
            }
        ],
        schema_overrides={"estimate": pl.Float64},
    )
