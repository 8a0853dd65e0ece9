"""Questionnaire scores at all windows together: the mixed model for repeated measures (MMRM).

Belongs here: differences and means by window from models that use every visit, right under missing at random given
earlier visits, arm and covariates. Does not belong here: one window alone (`scores`, `weighted_effects`).

Fallback, fixed beforehand: unstructured covariance, then heterogeneous compound symmetry, then compound symmetry, the
last two with sandwich variance; the rung used is named in `method`. In the unadjusted mixed model the baseline is a
visit of its own under a random intercept (compound symmetry), as trials with two time points are often analysed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    NUMBERS,
    in_ladder_order,
    names_of,
    not_estimable,
    score_instruments,
    stacked,
    windows,
)
from pipelines.analyses.scores import model_rows
from pipelines.analyses.trajectories import BASELINE
from pipelines.analyses.weighting import OVERLAP, weighted_contrasts
from pipelines.models.longitudinal import RepeatedMeasuresFit, mmrm
from pipelines.protocol import Protocol

MMRM = "MMRM"
MMRM_WEIGHTED = "MMRM, propensity-weighted"
RANDOM_INTERCEPT = "mixed model with random intercept, unadjusted"
SANDWICH = "sandwich, clustered by patient"  # of the rungs below the first


@dataclass(frozen=True)
class Fitted:
    """One model of one score, with what `results.contrasts` calls it."""

    outcome: str
    fit: RepeatedMeasuresFit
    method: str
    population: str
    variance: str

    @property
    def labels(self) -> dict[str, str]:
        rung = self.fit.covariance_structure
        named = (
            f"{self.method} ({rung})"
            if rung and rung != "unstructured" and self.method != RANDOM_INTERCEPT
            else self.method
        )
        return {
            "outcome": self.outcome,
            "method": named,
            "population": self.population,
            "variance": SANDWICH if self.variance == "model" and self.fit.variance == "sandwich" else self.variance,
        }


def repeated_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Differences of every ordered pair of tiers at every window (the protocol's contrasts where weighted)."""
    pieces = []
    for fitted in [*_joint(tables, protocol), *_random_intercept(tables, protocol), *_weighted(tables, protocol)]:
        found = fitted.fit.contrasts("tier").rename({"visit": "window"})
        labelled = found.with_columns(
            *(pl.lit(value).alias(name) for name, value in fitted.labels.items()),
            pl.col("window").cast(pl.String),
            measure=pl.lit("mean difference"),
        )
        pieces.append(labelled.filter(pl.col("window") != BASELINE))
    return stacked(pieces)


def unrepeated_contrasts(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """A row, not estimable with its reason, for each question about a score that was not seen at two windows.

    A protocol of one window asks for no repeated measures. In the core analysis set the primary scores only.
    """
    if len(protocol.windows) < 2:
        return pl.DataFrame()
    scores = tables["analysis.scores"].filter("is_observed")
    in_full = protocol.primary.secondary_outcomes if protocol.analysis_set == "full" else ()
    pieces = []
    for asked in (*protocol.primary.outcomes, *in_full):
        seen = scores.filter(pl.col("instrument") == asked.outcome)["visit_window"].n_unique()
        if protocol.instrument(asked.outcome).kind != "score" or seen > 1:
            continue
        labels = {
            "outcome": asked.outcome,
            "window": asked.window,
            "method": MMRM,
            "measure": "mean difference",
            "population": "ate",
            "variance": "model",
        }
        reason = "seen at one window only" if seen else "nobody was seen at any window"
        for contrast in protocol.contrasts:
            pieces.append(not_estimable(reason, **labels, **names_of(contrast)))
    return stacked(pieces).with_columns(pl.lit(None, pl.Float64).alias(name) for name in NUMBERS if pieces)


def repeated_means(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Adjusted mean of each tier at each window, averaged over the covariates of all patients."""
    pieces = []
    for fitted in _joint(tables, protocol):
        found = fitted.fit.means("tier", weights="observed").rename({"visit": "window", "group": "tier"})
        pieces.append(
            found.with_columns(
                pl.col("window", "tier").cast(pl.String),
                outcome=pl.lit(fitted.outcome),
                method=pl.lit(f"{fitted.labels['method']}, adjusted mean"),
            )
        )
    return stacked(pieces)


def _joint(tables: Tables, protocol: Protocol) -> Iterator[Fitted]:
    """One model a score over all tiers, adjusted for case mix and for its baseline at each window."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    for name, rows in scores_seen_repeatedly(tables, subjects, protocol):
        merged, covariates = usable(rows, protocol, without=[f"{name}_baseline"])
        baseline = "" if protocol.instrument(name).is_after_treatment_only else " + window * baseline_value"
        fixed = " + ".join(["window * tier" + baseline, *covariates])
        yield Fitted(name, mmrm(merged, "value", "window", "episode_id", fixed), MMRM, "ate", "model")


def _weighted(tables: Tables, protocol: Protocol) -> Iterator[Fitted]:
    """In the full analysis set: each contrast's arms weighted to their overlap, one weight a subject, sandwich."""
    if protocol.analysis_set == "core":
        return
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    shared = list(weighted_contrasts(subjects, protocol))
    for name, rows in scores_seen_repeatedly(tables, subjects, protocol):
        baseline = "" if protocol.instrument(name).is_after_treatment_only else " + window * baseline_value"
        for weighted in shared:
            if weighted.propensity.model is None:
                continue
            arms = weighted.rows.select("episode_id", arm="tier", weight=weighted.propensity.weights)
            pair = rows.join(arms, on="episode_id", how="inner", maintain_order="left").with_columns(tier=pl.col("arm"))
            seen = _with_windows_seen(pair, protocol)
            fit = mmrm(
                seen, "value", "window", "episode_id", "window * tier" + baseline, weights="weight", variance="sandwich"
            )
            yield Fitted(name, fit, MMRM_WEIGHTED, OVERLAP, "weights fixed")


def _random_intercept(tables: Tables, protocol: Protocol) -> Iterator[Fitted]:
    """The scores the protocol asks about, with the baseline as the first visit, unadjusted.

    In the core analysis set only where a protocol has one window, so that the MMRM has none to join.
    """
    if protocol.analysis_set == "core" and len(protocol.windows) > 1:
        return
    asked = {primary.outcome for primary in protocol.primary.questions}
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    for name in score_instruments(protocol):
        rows = scores.filter(pl.col("instrument") == name)
        if name not in asked or protocol.instrument(name).is_after_treatment_only or not rows["is_observed"].any():
            continue
        first = rows.unique("episode_id", keep="first", maintain_order=True).with_columns(
            visit_window=pl.lit(BASELINE), value=pl.col("baseline_value").cast(pl.Float64), is_observed=pl.lit(True)
        )
        both = pl.concat([first, rows.with_columns(pl.col("value").cast(pl.Float64))], how="vertical_relaxed")
        seen = _with_windows_seen(both.filter("is_observed").drop_nulls("value"), protocol)
        fit = mmrm(seen, "value", "window", "episode_id", "window * tier", covariance="compound symmetry")
        yield Fitted(name, fit, RANDOM_INTERCEPT, "ate", "model")


def scores_seen_repeatedly(
    tables: Tables, subjects: pl.DataFrame, protocol: Protocol
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The scores seen at two windows or more, with covariates; in the core analysis set the primary ones only."""
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    primary = {asked.outcome for asked in protocol.primary.outcomes}
    for name in score_instruments(protocol):
        if protocol.analysis_set == "core" and name not in primary:
            continue
        rows = model_rows(scores.filter(pl.col("instrument") == name), subjects, protocol.instrument(name))
        if len(windows(rows, protocol)) > 1:
            yield name, _with_windows_seen(rows, protocol)


def _with_windows_seen(rows: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """The rows with `window`, an Enum of the windows in which someone was seen, in order, the baseline first."""
    seen = set(rows["visit_window"].unique().to_list())
    names = [name for name in (BASELINE, *(window.name for window in protocol.windows)) if name in seen]
    return rows.with_columns(window=pl.col("visit_window").cast(pl.Enum(names)))
