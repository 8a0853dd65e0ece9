"""Where patients are on the ladder over time, and the return of symptoms after a response.

Belongs here: descriptions of the whole course, tier by tier of entry. Does not belong here: single endpoints
(`incidence`, `horizons`).
"""

import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked, status_parts
from pipelines.analyses.schemas import NOT_ESTIMABLE
from pipelines.models.interval import turnbull
from pipelines.models.multistate import state_occupation, time_in_state
from pipelines.protocol import Protocol

DEATH = "death"
STAYS = ("patient_id", "start_days", "stop_days", "from_state", "to_state")
REPLICATES, SEED = 200, 20260101
# Below this many responders a curve of relapses says nothing.
MINIMUM_RESPONDERS = 10


def ladder_occupation(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Aalen-Johansen probability of each tier, and of death, over time since the first tier began."""
    stays = _stays(tables, protocol)
    if stays.is_empty():
        return stays
    curves = state_occupation(stays, *STAYS, states=[*protocol.tier_names, DEATH], group="index_tier")
    return curves.rename({"group": "tier", "time": "time_days"}).with_columns(pl.col("tier", "state").cast(pl.String))


def ladder_times(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Expected days in each tier, and lost to death, up to each horizon of the protocol."""
    stays = _stays(tables, protocol)
    if stays.is_empty():
        return stays
    pieces = []
    for tau in protocol.primary.all_horizons_days:
        found = time_in_state(
            stays, *STAYS, states=[*protocol.tier_names, DEATH], group="index_tier", tau=float(tau)
        ).rename({"group": "tier"})
        pieces.append(
            found.with_columns(
                pl.col("tier", "state").cast(pl.String),
                tau_days=pl.lit(float(tau)),
                **status_parts(),
            )
        )
    return stacked(pieces)


def relapse_curves(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Turnbull's curve of freedom from relapse since the first responding visit.

    Bootstrap limits in the full analysis set only.
    """
    replicates = REPLICATES if protocol.analysis_set == "full" else 0
    rows = tables["analysis.symptom_relapses"].sort("episode_id", "relapse")
    pieces = []
    for relapse in protocol.relapses:
        for tier in protocol.tier_names:
            part = rows.filter((pl.col("relapse") == relapse.name) & (pl.col("tier") == tier))
            if part.is_empty():
                continue
            labels = {"relapse": relapse.name, "tier": tier, "subjects": part.height}
            if part.height < MINIMUM_RESPONDERS:
                reason = f"fewer than {MINIMUM_RESPONDERS} patients responded"
                pieces.append(pl.DataFrame([labels | {"status": NOT_ESTIMABLE, "reason": reason}]))
                continue
            curve = turnbull(part, "time_lower_days", "time_upper_days", replicates=replicates, seed=SEED)
            pieces.append(
                curve.rename({"lower": "lower_days", "upper": "upper_days"}).with_columns(
                    *(pl.lit(value).alias(name) for name, value in labels.items()),
                    **status_parts(),
                )
            )
    return stacked(pieces)


def _stays(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    return (
        tables["analysis.transitions"]
        .with_columns(pl.col("index_tier").cast(pl.Enum(protocol.tier_names)))
        .sort("patient_id", "start_days")
    )
