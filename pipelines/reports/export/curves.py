"""Curves as they may leave: cut to the days, and merged to the bands, at which the report draws them."""

import polars as pl

from pipelines.reports import keys
from pipelines.reports.export.estimates import of_patients
from pipelines.reports.export.withholding import Row, each, withheld, without_counts
from pipelines.reports.gate import edges_of
from pipelines.reports.study import Study


def curves(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The last step before each horizon; tiers where the report prints the events by then, contrasts by themselves."""
    parts = []
    for (endpoint,), rows in frame.group_by("endpoint", maintain_order=True):
        known = (*study.protocol.endpoints, *study.protocol.supplementary_endpoints)
        asked = next((e for e in known if e.name == endpoint), None)
        for day in study.protocol.horizons(asked) if asked else ():
            groups = [name for name in ("tier", "weighting", "contrast", "cause") if name in frame.columns]
            at = rows.filter(pl.col("time_days") <= day).sort("time_days").group_by(groups, maintain_order=True).last()
            parts.append(at.with_columns(time_days=pl.lit(float(day))).select(frame.columns))
    if not parts:
        return frame.clear()
    cut = pl.concat(parts)

    def may_show(row: Row) -> bool:
        if row["weighting"] != "unweighted":
            return True
        key = keys.events(str(row["endpoint"]), str(row["tier"]), float(str(row["time_days"])))
        return row.get("cause", "event") == "event" and study.gate.is_printed(key)

    is_enough = (cut["subjects_at_risk"] >= study.gate.minimum).fill_null(False)
    return without_counts(cut.filter(is_enough & each(cut, may_show))).with_columns(
        pl.col("estimate", "std_error", "ci_low", "ci_high").round(2 + study.gate.decimals)
    )


def over_time(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """A ratio over time at the days at which the report may draw it."""
    times = study.snapshot["analysis.time_to_event"]
    allowed: dict[tuple[str, str, str], tuple[float, ...]] = {}

    def may_show(row: Row) -> bool:
        endpoint, tier, reference = (str(row[name]) for name in ("endpoint", "tier", "reference"))
        if (endpoint, tier, reference) not in allowed:
            allowed[endpoint, tier, reference] = study.gate.shared_cuts(times, endpoint, (tier, reference))
        return row["time_days"] is None or row["time_days"] in allowed[endpoint, tier, reference]

    return of_patients(study, frame.filter(each(frame, may_show)))


def ladder_occupation(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The bands that the report draws of single states, at the days at which it draws them."""
    moves, times = study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"]
    parts = [frame.clear()]
    for (tier,), curve in frame.group_by("tier", maintain_order=True):
        bands = study.gate.bands(moves, times, str(tier))
        lower = [0.0] * len(bands.cuts.times)
        for states, upper in zip(bands.states, edges_of(curve, bands, 2 + study.gate.decimals), strict=True):
            own = curve.filter(state=states[0]).head(1)
            if len(states) == 1 and own.height:
                heights = [max(0.0, float(edge) - below) for edge, below in zip(upper, lower, strict=True)]
                drawn = pl.DataFrame({"time_days": bands.cuts.times, "estimate": heights})
                kept = own.drop("time_days", "estimate", "at_risk", "std_error", strict=False)
                parts.append(kept.join(drawn, how="cross"))
            lower = [float(edge) for edge in upper]
    return pl.concat(parts, how="diagonal_relaxed")


def ladder_times(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Time in the states that the report may draw apart, up to the last day at which it may."""
    moves, times = study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"]
    bands = {tier: study.gate.bands(moves, times, tier) for tier in frame["tier"].unique().to_list()}

    def is_enough(row: Row) -> bool:
        shown = bands[str(row["tier"])]
        is_apart = (str(row["state"]),) in shown.states
        return not shown.is_empty and is_apart and float(str(row["tau_days"])) <= shown.cuts.times[-1]

    return without_counts(withheld(frame, each(frame, is_enough)))
