"""Who benefits: effects within the groups that the protocol's effect modifiers make, and tests of interaction.

Belongs here: the primary outcomes, contrast by contrast, in each group on its own. Does not belong here: overall
effects (`weighted_effects`). The full analysis set only.

Within a group the propensity model is fitted anew, so that its arms are balanced in it; the test compares the two
groups' estimates, which are independent. Source: Wang et al. 2007, NEJM 357:2189 (reporting of subgroup analyses).
"""

import math
from collections.abc import Iterator

import polars as pl
from scipy.stats import norm

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.dropout import History, history, visits_with_weights
from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import arms, in_ladder_order, names_of, smallest_arm, stacked
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.analyses.trace_names import SUBGROUPS, with_trace
from pipelines.analyses.walking import WALK_COLUMNS, model_rows, weighted_distance_ratios
from pipelines.models.propensity import effects, weights
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, EffectModifier, PrimaryOutcome

METHOD = "propensity-weighted within the group"
NUMBERS = ("estimate", "std_error", "ci_low", "ci_high", "p_value")
GROUPS = {True: "yes", False: "no"}


def subgroups(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Effects on the primary outcomes by modifier and group, with the test of interaction on both rows."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    raw, past = tables["analysis.subjects"], history(tables, protocol)
    pieces: list[pl.DataFrame] = []
    for modifier in protocol.effect_modifiers:
        if modifier.column not in raw.columns or not raw[modifier.column].count():
            continue
        split = subjects.join(
            raw.select("episode_id", _in_group=_membership(modifier)), on="episode_id", maintain_order="left"
        )
        for asked in protocol.primary.outcomes:
            visits = _visits(tables, subjects, past, asked, protocol)
            for contrast in protocol.contrasts:
                pieces += _pair(split, visits, asked, modifier, contrast, protocol)
    rows = stacked(pieces)
    if rows.is_empty():
        return rows
    return with_trace(withhold_failed(rows, Gate(tables["results.diagnostics"]), "outcome", "window"), SUBGROUPS)


def _membership(modifier: EffectModifier) -> pl.Expr:
    """Whether a patient is in the group; null where the characteristic is not known."""
    if modifier.above is not None:
        return pl.col(modifier.column) > modifier.above
    if modifier.level is not None:
        return pl.col(modifier.column).cast(pl.String) == modifier.level
    return pl.col(modifier.column).cast(pl.Boolean)


def _visits(
    tables: Tables, subjects: pl.DataFrame, past: History, asked: PrimaryOutcome, protocol: Protocol
) -> pl.DataFrame:
    is_walk = protocol.instrument(asked.outcome).kind == "walking"
    rows = in_ladder_order(tables["analysis.walking_tests" if is_walk else "analysis.scores"], protocol)
    here = rows.filter((pl.col("instrument") == asked.outcome) & (pl.col("visit_window") == asked.window))
    return visits_with_weights(here, subjects, protocol, past.before(asked.outcome, asked.window))


def _pair(
    split: pl.DataFrame,
    visits: pl.DataFrame,
    asked: PrimaryOutcome,
    modifier: EffectModifier,
    contrast: Contrast,
    protocol: Protocol,
) -> Iterator[pl.DataFrame]:
    """The rows of both groups."""
    instrument = protocol.instrument(asked.outcome)
    is_walk = instrument.kind == "walking"
    found = [
        _effect(split.filter(pl.col("_in_group") == is_in), visits, contrast, asked.outcome, modifier, protocol)
        for is_in in GROUPS
    ]
    p_interaction = _interaction(found, is_walk)
    for is_in, row in zip(GROUPS, found, strict=True):
        labels = {
            "outcome": asked.outcome,
            "window": asked.window,
            **names_of(contrast),
            "modifier": modifier.name,
            "group": GROUPS[is_in],
            "method": METHOD,
            "measure": "distance ratio" if is_walk else "mean difference",
            "p_interaction": p_interaction,
        }
        yield pl.DataFrame(
            [labels | row],
            schema_overrides={"reason": pl.String} | dict.fromkeys([*NUMBERS, "p_interaction"], pl.Float64),
        )


def _effect(
    group: pl.DataFrame,
    visits: pl.DataFrame,
    contrast: Contrast,
    outcome: str,
    modifier: EffectModifier,
    protocol: Protocol,
) -> dict[str, object]:
    """The effect in one group as numbers, subjects, status and reason."""
    pair, covariates = usable(arms(group, contrast), protocol)
    seen = pair.join(visits.filter("is_observed"), on="episode_id", how="semi")
    least = protocol.diagnostics.subjects_per_arm_minimum
    if smallest_arm(seen, contrast) < least:
        reason = f"fewer than {least} patients seen in an arm of the group"
        return {"subjects": seen.height, "status": NOT_ESTIMABLE, "reason": reason} | dict.fromkeys(NUMBERS)
    fitted = weights(pair, "tier", covariates)
    instrument = protocol.instrument(outcome)
    known = visits if instrument.kind == "score" else model_rows(visits, pair, instrument)
    columns = ["value"] if instrument.kind == "score" else WALK_COLUMNS
    frame = pair.join(
        known.select("episode_id", "dropout_weight", *columns), on="episode_id", how="left", maintain_order="left"
    ).with_columns(pl.col("dropout_weight").fill_null(1.0))
    if instrument.kind == "score":
        found = effects(fitted, frame, "value", weights="dropout_weight")
    else:
        ratios = weighted_distance_ratios(fitted, frame, instrument, "dropout_weight")
        found = ratios.filter(pl.col("measure") == "distance").rename({"log_std_error": "std_error"})
    found = found.filter(pl.col("variance") == "weights estimated")
    row = found.filter(pl.col("group").cast(pl.String) == contrast.tier).row(0, named=True)
    return {name: row[name] for name in (*NUMBERS, "subjects", "status", "reason")}


def _interaction(found: list[dict[str, object]], is_ratio: bool) -> float | None:
    """Two-sided p-value of the difference between the groups' estimates; of their logarithms where they are ratios."""
    if any(row["status"] != ESTIMABLE for row in found):
        return None
    first, second = (
        (
            math.log(float(str(row["estimate"]))) if is_ratio else float(str(row["estimate"])),
            float(str(row["std_error"])),
        )
        for row in found
    )
    z = (first[0] - second[0]) / math.hypot(first[1], second[1])
    return float(2 * norm.sf(abs(z)))
