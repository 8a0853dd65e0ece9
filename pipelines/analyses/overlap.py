"""Who could have been given either tier of a contrast, and which visits patients kept.

Belongs here: counts that tell a reader how far a comparison reaches. Does not belong here: verdicts (`comparability`),
the choice among all tiers (`treatment_choice`).
"""

import numpy as np
import polars as pl

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import in_ladder_order, names_of, stacked
from pipelines.analyses.weighting import weighted_contrasts
from pipelines.models.missingness import missing_patterns
from pipelines.models.propensity import preference_scores
from pipelines.protocol import Protocol

BINS = 10


def propensity_overlap(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Histogram of the preference score by arm: patients of both arms in the middle could have had either tier."""
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    edges = np.linspace(0, 1, BINS + 1)
    pieces = []
    for weighted in weighted_contrasts(subjects, protocol):
        if weighted.propensity.model is None:
            continue
        scores = preference_scores(weighted.propensity)
        for arm in (weighted.contrast.tier, weighted.contrast.reference):
            values = scores.filter(pl.col("arm").cast(pl.String) == arm)["preference"].to_numpy()
            counts, _ = np.histogram(values, edges)
            pieces.append(
                pl.DataFrame(
                    {"low": edges[:-1], "high": edges[1:], "subjects": counts, "share": counts / len(values)}
                ).with_columns(pl.lit(v).alias(k) for k, v in (names_of(weighted.contrast) | {"arm": arm}).items())
            )
    return stacked(pieces)


def patterns(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Visits kept and missed of the outcomes the protocol asks about, among patients whose windows were all due."""
    visits = pl.concat(
        [
            in_ladder_order(tables[name], protocol).select(
                "episode_id", "tier", "instrument", "visit_window", "is_observed", "is_due", "is_alive"
            )
            for name in ("analysis.scores", "analysis.walking_tests")
        ]
    )
    windows = [window.name for window in protocol.windows]
    asked = [primary.outcome for primary in protocol.primary.questions]
    pieces = []
    for outcome in dict.fromkeys(asked):
        rows = visits.filter(pl.col("instrument") == outcome)
        complete = rows.group_by("episode_id").agg((pl.col("is_due") & pl.col("is_alive")).all().alias("all_due"))
        due = rows.join(complete.filter("all_due"), on="episode_id", how="semi", maintain_order="left")
        if due.is_empty():
            continue
        wide = due.with_columns(seen=pl.when("is_observed").then(1)).pivot(
            "visit_window", index=["episode_id", "tier"], values="seen", aggregate_function="first"
        )
        known = [name for name in windows if name in wide.columns]
        found = missing_patterns(wide, known, group="tier")
        pieces.append(
            found.with_columns(
                pl.col("tier").cast(pl.String),
                outcome=pl.lit(outcome),
                pattern=pl.concat_str(pl.col(name).cast(pl.Int8).cast(pl.String) for name in known),
            ).drop(known)
        )
    return stacked(pieces)
