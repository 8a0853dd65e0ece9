"""Result tables of sites for a hand-made cohort, by the package's own analyses; tested is what the report does with it.

Sites differ on purpose: one has many more failures, at one few answered.
"""

import numpy as np
import polars as pl

from pipelines.analyses.site_charts import site_cusum
from pipelines.analyses.sites import funnel_limits, site_indicators
from pipelines.protocol import Protocol

FEW_ANSWERED, MANY_FAILURES = "S03", "S05"


def with_sites(
    tables: dict[str, pl.DataFrame], protocol: Protocol, seed: int, is_ordered: bool = True
) -> dict[str, pl.DataFrame]:
    """The tables with `results.site_indicators`, `results.funnel_limits` and `results.site_cusum`."""
    rng = np.random.default_rng(seed)
    subjects = tables["analysis.subjects"].with_columns(
        watched_days=pl.Series(np.where(rng.random(len(tables["analysis.subjects"])) < 0.9, 1500, 300)),
        is_enrolling_site=pl.lit(True),
    )
    if is_ordered:
        subjects = subjects.with_columns(site_sequence=pl.int_range(1, pl.len() + 1).over("site_id"))
    given = tables | {"analysis.subjects": subjects, "analysis.responders": _responders(tables, protocol)}
    made = {"site_indicators": site_indicators, "funnel_limits": funnel_limits, "site_cusum": site_cusum}
    return tables | {f"results.{name}": analysis(given, protocol) for name, analysis in made.items()}


def _responders(tables: dict[str, pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    """Who met the first threshold of each primary outcome, by the rules of `results.responders`."""
    fall, far = pl.col("baseline_value") - pl.col("value"), pl.col("distance_m") >= 1.3 * pl.col("baseline_distance_m")
    pieces = []
    for asked in protocol.primary.outcomes:
        threshold = protocol.instrument(asked.outcome).thresholds[0]
        is_walk = protocol.instrument(asked.outcome).kind == "walking"
        rows = tables["analysis.walking_tests" if is_walk else "analysis.scores"]
        can_respond = ~pl.col("is_baseline_at_cap") if is_walk else pl.col("baseline_value") > 0
        here = rows.filter(can_respond, instrument=asked.outcome, visit_window=asked.window)
        is_response = far if is_walk else fall >= threshold.value
        response = pl.when(is_response).then(pl.lit("responder")).otherwise(pl.lit("non-responder"))
        pieces.append(
            here.select(
                "episode_id",
                "instrument",
                "visit_window",
                threshold=pl.lit(threshold.name),
                response=pl.when("is_observed").then(response).otherwise(pl.lit("missing")),
            )
        )
    return pl.concat(pieces)
