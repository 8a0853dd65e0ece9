"""The outside view, `results.literature`: published figures with the cohort's own beside them.

Belongs here: finding, for each verified published figure, the figure of this study that is the same thing (tier,
instrument or declared stand-in, kind of estimate, nearest time). Does not belong here: reading the file (ingest), or
any estimate that another result table holds; only mean changes and means of metres in tests of a fixed time are made
here, since no other table has them.

Figures that have no counterpart keep a row that says why, so that nothing is left out in silence.
"""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
from scipy.stats import t

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import described_endpoints
from pipelines.analyses.schemas import ESTIMABLE, NOT_ESTIMABLE
from pipelines.protocol import Protocol
from pipelines.protocol_parts import LiteratureMatch

READS = ("table_one", "trajectories", "responders", "cumulative_incidence", "contrasts")
NO_COUNTERPART = "no counterpart"
BASELINE = "baseline"
DAYS_A_MONTH = 365.25 / 12
FRACTIONS = ("share", "responders", "incidence")

Row = Mapping[str, Any]
Found = dict[str, Any]


def literature(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """One row a published figure: the figure, the study's own where it has one, and else why not."""
    order = ("study", "tier", "outcome", "instrument", "kind", "months", "estimate")
    published = tables["protocol.literature"].sort(order)
    rows = [_beside(row, tables, protocol) for row in published.iter_rows(named=True)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _beside(row: Row, tables: Tables, protocol: Protocol) -> Found:
    """The published figure and what stands beside it."""
    scale = 0.01 if row["kind"] in FRACTIONS else 1.0
    caveats = protocol.literature.population_caveats if protocol.literature else {}
    shown = {
        **{name: row[name] for name in ("study", "year", "design", "tier", "instrument", "kind", "months", "citation")},
        "funding": row["funding"] or None,
        "reference": (row["comparator"] or None) if row["kind"] == "difference" else None,
        "published": row["outcome"],
        "published_subjects": row["subjects"],
        "unit": None if row["kind"] in FRACTIONS else row["unit"],
        "caveat": row["caveat"] or None,
        "population": caveats.get(row["design"]),
        **{
            ours: None if row[theirs] is None else row[theirs] * scale
            for ours, theirs in (("published_estimate", "estimate"), ("published_sd", "std_dev"),
                                 ("published_low", "ci_low"), ("published_high", "ci_high"))
        },
    }  # fmt: skip
    return shown | _own(row, tables, protocol)


def _own(row: Row, tables: Tables, protocol: Protocol) -> Found:
    if row["tier"] not in protocol.tier_names:
        return _none("the published arm is none of the study's tiers")
    match = _match(row, protocol)
    if match is None:
        return _none("the study measures nothing of this kind")
    if row["months"] is None:
        return _none("no time is published")
    finders: dict[str, Callable[[], Found]] = {
        "difference": lambda: _difference(row, match, tables, protocol),
        "responders": lambda: _responders(row, match, tables, protocol),
        "incidence": lambda: _incidence(row, match, tables, protocol),
    }
    own = finders.get(row["kind"]) or (
        (lambda: _characteristic(row, match, tables))
        if match.covariate
        else lambda: _level(row, match, tables, protocol)
    )
    names = {
        "outcome": match.outcome or match.endpoint or match.covariate,
        "threshold": match.threshold or match.level,
        "stand_in": match.stand_in or None,
    }
    return names | own()


def _match(row: Row, protocol: Protocol) -> LiteratureMatch | None:
    """The protocol's first match for the row."""
    matches = protocol.literature.matches if protocol.literature else ()
    return next(
        (
            match
            for match in matches
            if match.instrument == row["instrument"]
            and row["outcome"] in match.measures
            and match.kind == row["kind"]
            and (not match.tiers or row["tier"] in match.tiers)
        ),
        None,
    )


def _none(reason: str) -> Found:
    return {"status": NO_COUNTERPART, "reason": reason}


# ---------------------------------------------------------------------------------------------------------------- time


def _nearest(months: float, days: Mapping[str, float], protocol: Protocol) -> tuple[str | None, float]:
    """The study's own time nearest to the published one within the protocol's reach, and how far apart they are."""
    apart = {name: abs(day / DAYS_A_MONTH - months) for name, day in days.items()}
    name = min(apart, key=lambda key: apart[key], default=None)
    reach = protocol.literature.months_apart if protocol.literature else 0.0
    return (None, 0.0) if name is None or apart[name] > reach else (name, round(apart[name], 1))


def _visit(row: Row, protocol: Protocol) -> tuple[str | None, float]:
    if row["months"] == 0:
        return BASELINE, 0.0
    return _nearest(row["months"], {window.name: window.nominal_day for window in protocol.windows}, protocol)


def _too_far(protocol: Protocol) -> Found:
    reach = protocol.literature.months_apart if protocol.literature else 0.0
    return _none(f"no visit or horizon within {reach:g} months")


# ------------------------------------------------------------------------------------------------- the study's figures


def _difference(row: Row, match: LiteratureMatch, tables: Tables, protocol: Protocol) -> Found:
    """The leading weighted difference of the contrast, withheld where its diagnostics failed."""
    pairs = {(contrast.tier, contrast.reference) for contrast in protocol.contrasts}
    if (row["tier"], row["comparator"]) not in pairs:
        return _none("the study does not compare these two tiers")
    window, apart = _visit(row, protocol)
    if window is None:
        return _too_far(protocol)
    found = tables["results.contrasts"].filter(
        (pl.col("tier") == row["tier"])
        & (pl.col("reference") == row["comparator"])
        & (pl.col("outcome") == match.outcome)
        & (pl.col("window") == window)
        & (pl.col("method") == "propensity-weighted")
        & (pl.col("population") == "overlap")
        & (pl.col("strategy") == "treatment policy")
        & (pl.col("variance") == "weights estimated")
    )
    return _read(found, {"window": window, "months_apart": apart}, "the difference was not estimated")


def _responders(row: Row, match: LiteratureMatch, tables: Tables, protocol: Protocol) -> Found:
    window, apart = _visit(row, protocol)
    if window is None:
        return _too_far(protocol)
    found = tables["results.responders"].filter(
        (pl.col("tier") == row["tier"])
        & (pl.col("outcome") == match.outcome)
        & (pl.col("threshold") == match.threshold)
        & (pl.col("window") == window)
        & (pl.col("method") == "observed")
    )
    return _read(found, {"window": window, "months_apart": apart}, "no response was judged")


def _incidence(row: Row, match: LiteratureMatch, tables: Tables, protocol: Protocol) -> Found:
    """The cumulative incidence at the horizon nearest in time, if the tier was followed that long."""
    endpoint = next(e for e in described_endpoints(protocol) if e.name == match.endpoint)
    days = {f"{day} days": float(day) for day in protocol.horizons(endpoint)}
    window, apart = _nearest(row["months"], days, protocol)
    if window is None:
        return _too_far(protocol)
    curve = tables["results.cumulative_incidence"].filter(
        (pl.col("endpoint") == match.endpoint)
        & (pl.col("tier") == row["tier"])
        & (pl.col("weighting") == "unweighted")
        & (pl.col("cause") == "event")
    )
    place = {"window": window, "months_apart": apart}
    reached = curve.filter(pl.col("time_days") <= days[window]).sort("time_days").tail(1)
    is_followed = endpoint.within_days is not None or curve.filter(pl.col("time_days") >= days[window]).height > 0
    if not is_followed:
        return place | {"status": NOT_ESTIMABLE, "reason": "the tier was not followed that long"}
    size = tables["analysis.subjects"].filter(pl.col("tier").cast(pl.String) == row["tier"]).height
    return _read(reached.with_columns(subjects=pl.lit(size)), place, "no event was seen")


def _characteristic(row: Row, match: LiteratureMatch, tables: Tables) -> Found:
    """A covariate's mean, or the share at one of its levels, before treatment."""
    place = {"window": BASELINE, "months_apart": 0.0}
    rows = tables["results.table_one"].filter((pl.col("variable") == match.covariate) & (pl.col("tier") == row["tier"]))
    chosen = rows.filter(
        (pl.col("statistic") == "share") & (pl.col("level") == match.level)
        if match.level
        else pl.col("statistic") == "mean"
    )
    if chosen.is_empty() or chosen["value"][0] is None:
        return place | {"status": NOT_ESTIMABLE, "reason": "not recorded"}
    return place | {"estimate": chosen["value"][0], "subjects": chosen["subjects"][0], "status": ESTIMABLE}


def _level(row: Row, match: LiteratureMatch, tables: Tables, protocol: Protocol) -> Found:
    """A mean, or a mean change since baseline, of an instrument at a visit."""
    window, apart = _visit(row, protocol)
    if window is None:
        return _too_far(protocol)
    place = {"window": window, "months_apart": apart}
    instrument = protocol.instrument(str(match.outcome))
    if row["kind"] == "mean" and instrument.kind == "score":
        found = tables["results.trajectories"].filter(
            (pl.col("outcome") == match.outcome)
            & (pl.col("tier") == row["tier"])
            & (pl.col("window") == window)
            & (pl.col("method") == "observed mean")
        )
        return _read(found, place, "nobody was asked")
    rows = _seen(tables, match, row["tier"], window, protocol)
    if rows is None:
        return place | {"status": NOT_ESTIMABLE, "reason": "the test stops at a time limit: no mean of metres"}
    values = rows["value"] - rows["baseline"] if row["kind"] == "mean change" else rows["value"]
    return place | _mean(values.drop_nulls())


def _seen(tables: Tables, match: LiteratureMatch, tier: str, window: str, protocol: Protocol) -> pl.DataFrame | None:
    """Value and baseline of those of a tier seen at a visit; None for a walking test that its limit cuts short."""
    scores = tables["analysis.scores"].filter(pl.col("instrument") == match.outcome)
    instrument = protocol.instrument(str(match.outcome))
    if instrument.kind == "walking":
        if not instrument.is_fixed_time:
            return None
        walks = tables["analysis.walking_tests"].filter(pl.col("instrument") == match.outcome)
        scores = walks.rename({"distance_m": "value", "baseline_distance_m": "baseline_value"})
    return scores.filter(
        (pl.col("tier").cast(pl.String) == tier) & (pl.col("visit_window") == window) & pl.col("is_observed")
    ).select(value=pl.col("value").cast(pl.Float64), baseline=pl.col("baseline_value").cast(pl.Float64))


def _mean(values: pl.Series) -> Found:
    """A mean with t limits; too few values or no spread have none."""
    n, mean, spread = len(values), values.mean(), values.std()
    if n < 2 or not isinstance(mean, float) or not isinstance(spread, float) or spread == 0:
        return {"subjects": n, "status": NOT_ESTIMABLE, "reason": "too few values"}
    reach = float(t.isf(0.025, n - 1)) * spread / n**0.5
    numbers = {"estimate": mean, "ci_low": mean - reach, "ci_high": mean + reach}
    return numbers | {"subjects": n, "status": ESTIMABLE}


def _read(found: pl.DataFrame, place: Found, otherwise: str) -> Found:
    """Estimate, limits, patients and status of the row found; `otherwise` where there is none."""
    if found.is_empty():
        return place | {"status": NOT_ESTIMABLE, "reason": otherwise}
    row = found.row(0, named=True)
    status = row.get("status") or (ESTIMABLE if row["estimate"] is not None else NOT_ESTIMABLE)
    named = {name: row[name] for name in ("estimate", "ci_low", "ci_high", "subjects")}
    return place | named | {"status": status, "reason": row.get("reason")}
