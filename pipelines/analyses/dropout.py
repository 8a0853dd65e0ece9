"""Weights for visits that were due and did not take place, so that those who came stand for all.

Belongs here: what predicts who comes, the weights, and `results.dropout_weights`, which says what they rest on. Does
not belong here: effects under these weights (`weighted_effects`), imputation (`imputed`).

The protocol decides what the weights are given (`missing_data.dropout_weights`): tier and case mix, or with them what
was recorded at earlier visits, the outcome itself and each primary score. Each window has a model of its own, given
the history as it was recorded, so that a visit missed earlier excludes nobody. Fallback, fixed beforehand: earlier
visits, then tier and case mix alone, then no weights; the rung is recorded.
Source: Robins, Rotnitzky & Zhao 1995, JASA 90:106; Seaman & White 2013, Stat Methods Med Res 22:278.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import MINIMUM_LEVEL_ROWS, complete_subjects, usable
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import HYPOTHETICAL, TREATMENT_POLICY, due, in_ladder_order, stacked
from pipelines.models.propensity import weights
from pipelines.protocol import Protocol
from pipelines.protocol_parts import PrimaryOutcome

EARLIER, BASELINE = "earlier visits", "baseline"
NO_WEIGHTS = "no weights"
MINIMUM_MISSING = 5


@dataclass(frozen=True)
class History:
    """What was recorded of each patient at baseline and at every visit, as numbers a model can hold.

    `records` has a row a value, in order of day: episode_id, instrument, day (nominal, 0 the baseline), value (walks as
    the logarithm of 1 + metres), is_escalated (recorded after the patient had left the tier).
    """

    records: pl.DataFrame
    protocol: Protocol

    def before(self, outcome: str, window: str, strategy: str = TREATMENT_POLICY) -> pl.DataFrame:
        """The last value before a window, a column `last_<instrument>` for the outcome and each primary score.

        A baseline counts where it is no covariate already. Without a value the median stands in; an instrument of
        which fewer than ten patients have a value is left out. Under the hypothetical strategy values after escalation
        are unknown, as the visits themselves are.
        """
        if self.protocol.missing_data.dropout_weights == BASELINE or self.records.is_empty():
            return pl.DataFrame(schema={"episode_id": pl.String})
        day = next(w.nominal_day for w in self.protocol.windows if w.name == window)
        primary = [asked.outcome for asked in self.protocol.primary.outcomes]
        scores = [name for name in primary if self.protocol.instrument(name).kind == "score"]
        names = list(dict.fromkeys([outcome, *scores]))
        known = self.records.filter(pl.col("instrument").is_in(names) & (pl.col("day") < day))
        if strategy == HYPOTHETICAL:
            known = known.filter(~pl.col("is_escalated"))
        known = known.filter(pl.len().over("instrument") >= MINIMUM_LEVEL_ROWS)
        if known.is_empty():
            return pl.DataFrame(schema={"episode_id": pl.String})
        last = known.group_by("episode_id", "instrument").agg(pl.col("value").last())
        wide = last.pivot("instrument", index="episode_id", values="value")
        return wide.select("episode_id", *(pl.col(n).alias(f"last_{n}") for n in names if n in wide.columns))


def history(tables: Tables, protocol: Protocol) -> History:
    """What was recorded of the study's scores and walks: in the core analysis set of those it asks about."""
    covariates = {covariate.name for covariate in protocol.covariates}
    days = {window.name: window.nominal_day for window in protocol.windows}
    asked = {question.outcome for question in protocol.primary.questions}
    is_wanted = pl.col("instrument").is_in(list(asked)) if protocol.analysis_set == "core" else pl.lit(True)
    pieces = []
    for table, value, baseline in (
        ("analysis.scores", pl.col("value").cast(pl.Float64), pl.col("baseline_value").cast(pl.Float64)),
        ("analysis.walking_tests", pl.col("distance_m").log1p(), pl.col("baseline_distance_m").log1p()),
    ):
        rows = in_ladder_order(tables[table].filter(is_wanted), protocol)
        visits = rows.filter("is_observed").select(
            "episode_id",
            "instrument",
            day=pl.col("visit_window").replace_strict(days, return_dtype=pl.Int64),
            value=value,
            is_escalated=pl.col("is_escalated_before").fill_null(False),
        )
        is_covariate = (pl.col("instrument") + "_baseline").is_in(list(covariates))
        first = rows.filter(~is_covariate).unique(["episode_id", "instrument"], keep="first", maintain_order=True)
        start = first.select(
            "episode_id", "instrument", day=pl.lit(0, pl.Int64), value=baseline, is_escalated=pl.lit(False)
        )
        pieces += [start, visits]
    return History(pl.concat(pieces).drop_nulls("value").sort("day", "episode_id", "instrument"), protocol)


@dataclass(frozen=True)
class Weighed:
    """One window's visits with `dropout_weight`, what the weights were given, and why it is no more than that."""

    visits: pl.DataFrame
    given: str
    reason: str | None


def visits_with_weights(
    rows: pl.DataFrame, subjects: pl.DataFrame, protocol: Protocol, earlier: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One window's visits with whether they were expected and their dropout weight."""
    return with_dropout_weights(rows.with_columns(is_expected=due(rows)), subjects, protocol, earlier)


def with_dropout_weights(
    visits: pl.DataFrame, subjects: pl.DataFrame, protocol: Protocol, earlier: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One window's visits with `dropout_weight`, 1 / P(seen | tier, covariates, history) of those who were seen.

    `visits` has a row a subject with `is_expected` and `is_observed`; `earlier` is what `History.before` gives. One
    model holds all tiers. Rows not seen, and all rows where no weights can be made, get 1.
    """
    return weigh(visits, subjects, protocol, earlier).visits


def weigh(
    visits: pl.DataFrame, subjects: pl.DataFrame, protocol: Protocol, earlier: pl.DataFrame | None = None
) -> Weighed:
    """As `with_dropout_weights`, with the rung that was used."""
    plain = visits.with_columns(dropout_weight=pl.lit(1.0))
    due_rows = visits.filter(pl.col("is_expected"))
    missed = int((~due_rows["is_observed"]).sum())
    if missed == 0:
        return Weighed(plain, NO_WEIGHTS, "nobody due was missed")
    if min(due_rows.height - missed, missed) < MINIMUM_MISSING:
        return Weighed(plain, NO_WEIGHTS, f"fewer than {MINIMUM_MISSING} visits missed, or kept")
    joined = due_rows.select("episode_id", "is_observed").join(subjects, on="episode_id", maintain_order="left")
    merged, covariates = usable(joined, protocol)
    rows, recorded = _with_history(merged, earlier)
    seen = rows.with_columns(pl.col("is_observed").cast(pl.String).cast(pl.Enum(["false", "true"])))
    known = [*(["tier"] if seen["tier"].n_unique() > 1 else []), *covariates]
    rungs = [(EARLIER, [*known, *recorded])] if recorded else []
    reason = None
    for given, terms in [*rungs, (BASELINE, known)]:
        fitted = weights(seen, "is_observed", terms, "ate")
        if fitted.model is not None:
            own = rows.select("episode_id", pl.when("is_observed").then(fitted.weights).alias("dropout_weight"))
            weighed = visits.join(own, on="episode_id", how="left", maintain_order="left")
            return Weighed(weighed.with_columns(pl.col("dropout_weight").fill_null(1.0)), given, reason)
        reason = f"given {given}: {fitted.status.removeprefix('not estimable: ')}"
    return Weighed(plain, NO_WEIGHTS, reason)


def _with_history(rows: pl.DataFrame, earlier: pl.DataFrame | None) -> tuple[pl.DataFrame, list[str]]:
    """The rows with each history column that varies among them, gaps filled with its median."""
    if earlier is None or earlier.width < 2:
        return rows, []
    joined = rows.join(earlier, on="episode_id", how="left", maintain_order="left")
    names = [n for n in earlier.columns if n != "episode_id" and joined[n].drop_nulls().n_unique() > 1]
    return joined.with_columns(pl.col(name).fill_null(pl.col(name).median()) for name in names), names


def without_escalated(rows: pl.DataFrame) -> pl.DataFrame:
    """The visits with those after escalation as if not seen: expected, and made up for by those who stayed."""
    stayed = ~pl.col("is_escalated_before").fill_null(False)
    return rows.with_columns(
        pl.when(stayed).then(pl.col(name)).alias(name) for name in ("value", "distance_m") if name in rows.columns
    ).with_columns(
        is_observed=pl.col("is_observed") & stayed,
        # what was seen after escalation was due, whether or not the window has closed
        is_due=pl.col("is_due") | pl.col("is_observed"),
        is_alive=pl.col("is_alive") | pl.col("is_observed"),
    )


def dropout_weights(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """What the weights of each question's visits rest on, by outcome, window and strategy for escalation."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    past = history(tables, protocol)
    pieces = []
    for asked in protocol.primary.questions:
        is_walk = protocol.instrument(asked.outcome).kind == "walking"
        rows = in_ladder_order(tables["analysis.walking_tests" if is_walk else "analysis.scores"], protocol)
        here = rows.filter((pl.col("instrument") == asked.outcome) & (pl.col("visit_window") == asked.window))
        for strategy in (TREATMENT_POLICY, HYPOTHETICAL):
            visits = without_escalated(here) if strategy == HYPOTHETICAL else here
            expected = visits.with_columns(is_expected=due(visits))
            earlier = past.before(asked.outcome, asked.window, strategy)
            weighed = weigh(expected, subjects, protocol, earlier)
            pieces.append(_summary(weighed, asked, strategy))
    return stacked(pieces)


def _summary(weighed: Weighed, asked: PrimaryOutcome, strategy: str) -> pl.DataFrame:
    """One row a tier: visits due and kept, and the effective number of those kept (Kish 1965)."""
    kept = pl.col("dropout_weight").filter("is_observed")
    sizes = (
        weighed.visits.filter("is_expected")
        .group_by("tier")
        .agg(
            expected=pl.len(),
            subjects=pl.col("is_observed").sum(),
            effective_sample_size=kept.sum() ** 2 / (kept**2).sum(),
            mean_weight=kept.mean(),
        )
        .sort("tier")
    )
    return sizes.with_columns(
        pl.col("tier").cast(pl.String),
        pl.col("effective_sample_size").fill_nan(None),
        outcome=pl.lit(asked.outcome),
        window=pl.lit(asked.window),
        strategy=pl.lit(strategy),
        given=pl.lit(weighed.given),
        reason=pl.lit(weighed.reason, pl.String),
    )
