"""The as-treated view: the tier of the moment, on the clock since enrolment, with delayed entry.

Belongs here: counting-process rows from episodes. Does not belong here: the models on them (`hazards`).

A patient is at risk under a tier from the day it starts to the day the next one starts; the day that ends a stay still
belongs to it, so that an escalation counts against the tier it left. Source: Andersen & Gill 1982, Annals of
Statistics 10:1100; SPORT's as-treated analyses.
"""

import polars as pl

from pipelines.protocol import Endpoint

# A stay is at risk from just before its first day, so that an event on that day is seen.
HALF_A_DAY = 0.5


def as_treated_rows(episodes: pl.DataFrame, times: pl.DataFrame, endpoint: Endpoint) -> pl.DataFrame:
    """One row an episode: patient_id, episode_id, tier, prior_tiers, entry_days and time_days since enrolment, status.

    `episodes` and `times` are all episodes (not the index ones only) of `outcomes.episodes` and
    `outcomes.time_to_event`. `status` is 1 where the endpoint ends the stay, 2 where death does, else 0.
    """
    of_endpoint = times.filter(pl.col("endpoint") == endpoint.name).select("episode_id", "time_days", "status")
    joined = episodes.join(of_endpoint, on="episode_id", how="inner", maintain_order="left").sort("episode_id")
    happened = pl.col("start_day") + pl.col("time_days")
    left = pl.col("next_start_day").fill_null(happened)
    return joined.select(
        "patient_id",
        "episode_id",
        "tier",
        "prior_tiers",
        entry_days=pl.col("start_day").cast(pl.Float64) - HALF_A_DAY,
        time_days=pl.min_horizontal(happened, left).cast(pl.Float64),
        status=pl.when(happened <= left).then("status").otherwise(0),
    )
