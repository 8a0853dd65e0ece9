"""The protocol as `protocol.*` tables, so that SQL joins thresholds, windows and tiers instead of pasting them.

What the fields mean and which values they take is in `protocol.py`.
"""

from typing import Any

import polars as pl

from pipelines.protocol import Protocol
from pipelines.protocol_parts import ESCALATION, REPEAT, Endpoint

PROTOCOL_SCHEMA: dict[str, dict[str, type[pl.DataType]]] = {
    "study": {
        "protocol": pl.String,
        "version": pl.String,
        "title": pl.String,
        "analysis_set": pl.String,
        "protocol_hash": pl.String,
    },
    "rules": {
        "baseline_first_day": pl.Int32,
        "baseline_last_day": pl.Int32,
        "planned_stage_days": pl.Int32,
        "horizon_days": pl.Int32,
        "minimum_count": pl.Int32,
    },
    "tiers": {
        "tier": pl.String,
        "tier_rank": pl.Int32,
        "label": pl.String,
        "short_label": pl.String,
        "is_repeat_failure": pl.Boolean,
    },
    "instruments": {
        "instrument": pl.String,
        "label": pl.String,
        "kind": pl.String,
        "unit": pl.String,
        "minimum": pl.Float64,
        "maximum": pl.Float64,
        "better": pl.String,
        "is_integer": pl.Boolean,
        "is_after_treatment_only": pl.Boolean,
        "time_limit_s": pl.Float64,
        "minimum_distance_m": pl.Float64,
    },
    "units": {"instrument": pl.String, "unit": pl.String, "factor": pl.Float64},
    "thresholds": {
        "instrument": pl.String,
        "threshold": pl.String,
        "kind": pl.String,
        "value": pl.Float64,
        "citation": pl.String,
    },
    "windows": {
        "visit_window": pl.String,
        "window_rank": pl.Int32,
        "label": pl.String,
        "nominal_day": pl.Int32,
        "first_day": pl.Int32,
        "last_day": pl.Int32,
    },
    "endpoints": {
        "endpoint": pl.String,
        "label": pl.String,
        "within_days": pl.Int32,
        "is_descriptive": pl.Boolean,
        "is_harm": pl.Boolean,
        "is_negative_control": pl.Boolean,
        "is_supplementary": pl.Boolean,
    },
    "endpoint_treatments": {
        "endpoint": pl.String,
        "index_tier": pl.String,
        "event_tier": pl.String,
        "after_days": pl.Int32,
    },
    "endpoint_events": {"endpoint": pl.String, "event": pl.String},
    "endpoint_relapses": {"endpoint": pl.String, "relapse": pl.String},
    "relapses": {
        "relapse": pl.String,
        "label": pl.String,
        "instrument": pl.String,
        "threshold": pl.String,
        "margin": pl.Float64,
    },
    "competing_events": {"event": pl.String},
    "contrasts": {"contrast": pl.String, "tier": pl.String, "reference": pl.String, "endpoint": pl.String},
}

# Published figures (`protocol.literature`): what each column means is said where they are read, in `ingest/`.
LITERATURE_SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(
        ("study", "design", "funding", "tier", "comparator", "outcome", "instrument", "kind", "unit", "citation"),
        pl.String,
    ),
    "caveat": pl.String,
    **dict.fromkeys(("year", "subjects"), pl.Int64),
    **dict.fromkeys(("months", "estimate", "std_dev", "ci_low", "ci_high"), pl.Float64),
}


def protocol_tables(protocol: Protocol) -> dict[str, pl.DataFrame]:
    """The `protocol.*` tables by name; their columns are those of `PROTOCOL_SCHEMA`."""
    endpoints = (*protocol.endpoints, *protocol.supplementary_endpoints)
    rows: dict[str, list[tuple[Any, ...]]] = {
        "study": [(protocol.name, protocol.version, protocol.title, protocol.analysis_set, protocol.hash)],
        "rules": [
            (
                protocol.baseline.first_day,
                protocol.baseline.last_day,
                protocol.episodes.planned_stage_days,
                protocol.primary.endpoint_horizon_days,
                protocol.disclosure.minimum_count,
            )
        ],
        "tiers": [
            (t.name, rank, t.label, t.short_label, t.is_repeat_failure) for rank, t in enumerate(protocol.tiers, 1)
        ],
        "instruments": [
            (
                i.name,
                i.label,
                i.kind,
                i.unit,
                i.minimum,
                i.maximum,
                i.better,
                i.is_integer,
                i.is_after_treatment_only,
                i.time_limit_s,
                i.minimum_distance_m,
            )
            for i in protocol.instruments
        ],
        "units": [(i.name, unit, factor) for i in protocol.instruments for unit, factor in i.unit_factors.items()],
        "thresholds": [
            (i.name, t.name, t.kind, t.value, t.citation) for i in protocol.instruments for t in i.thresholds
        ],
        "windows": [
            (w.name, rank, w.label, w.nominal_day, w.first_day, w.last_day)
            for rank, w in enumerate(protocol.windows, 1)
        ],
        "endpoints": [
            (e.name, e.label, e.within_days, e.is_descriptive, e.is_harm, e.is_negative_control, is_supplementary)
            for is_supplementary, listed in ((False, protocol.endpoints), (True, protocol.supplementary_endpoints))
            for e in listed
        ],
        "endpoint_treatments": sorted({row for e in endpoints for row in _treatment_pairs(protocol, e)}),
        "endpoint_events": [(e.name, event) for e in endpoints for event in e.events],
        "endpoint_relapses": [(e.name, relapse) for e in endpoints for relapse in e.relapses],
        "relapses": [(r.name, r.label, r.instrument, r.threshold, r.margin) for r in protocol.relapses],
        "competing_events": [(event,) for event in protocol.competing.events],
        "contrasts": [(c.name, c.tier, c.reference, c.endpoint) for c in protocol.contrasts],
    }
    return {name: pl.DataFrame(rows[name], schema=PROTOCOL_SCHEMA[name], orient="row") for name in PROTOCOL_SCHEMA}


def _treatment_pairs(protocol: Protocol, endpoint: Endpoint) -> list[tuple[str, str, str, int]]:
    """(endpoint, tier of the episode, tier that is the event, days after which it is), all words spelled out."""
    pairs = []
    for rank, tier in enumerate(protocol.tiers):
        for treatment in endpoint.treatments:
            if treatment == ESCALATION:
                pairs += [(endpoint.name, tier.name, higher.name, 0) for higher in protocol.tiers[rank + 1 :]]
            elif treatment == REPEAT:
                pairs += [(endpoint.name, tier.name, tier.name, 0)] if tier.is_repeat_failure else []
            else:
                pairs.append((endpoint.name, tier.name, treatment, 0))
    return pairs + [(endpoint.name, tier, tier, endpoint.repeat_after_days) for tier in endpoint.repeat_tiers]
