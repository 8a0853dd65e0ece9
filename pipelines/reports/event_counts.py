"""Events that a report may print: which endpoints, at which days, and how their counts lie within each other.

The same questions decide what is entered into the ledger and what the sections print, so that they cannot differ.
"""

from itertools import pairwise

import polars as pl

from pipelines.protocol import Protocol
from pipelines.protocol_parts import ESCALATION, REPEAT, Contrast, Endpoint
from pipelines.reports import keys
from pipelines.reports.ledger import DETAIL, IMPORTANT, USUAL, Key, Ledger


def reported(protocol: Protocol, tier: str) -> list[Endpoint]:
    """Endpoints whose incidence is printed for a tier: headline, those of its contrasts, secondary ones and harm."""
    own = {c.endpoint for c in protocol.contrasts if tier in (c.tier, c.reference)}
    headline = next((e for e in protocol.endpoints if e.is_descriptive), None)
    treated = {e.name for e in protocol.endpoints if e.treatments}
    return [
        e
        for e in protocol.endpoints
        if e == headline or e.name in own or not (e.is_descriptive or e.is_negative_control or e.name in treated)
    ]


def asked_aside(protocol: Protocol, tier: str) -> list[Endpoint]:
    """Components of failure and other definitions of it, of those that a tier can have."""
    return [e for e in protocol.supplementary_endpoints if _event_set(e, protocol, tier)]


def drawn(protocol: Protocol, tier: str) -> list[str]:
    """Endpoints that have a curve of a tier somewhere in a report: the headline first, then its contrasts' own."""
    headline = [e.name for e in protocol.endpoints if e.is_descriptive][:1] or [e.name for e in protocol.endpoints][:1]
    own = [c.endpoint for c in protocol.contrasts if tier in (c.tier, c.reference) and c.endpoint is not None]
    return list(dict.fromkeys([*headline, *own]))


def by_the_end(protocol: Protocol, contrast: Contrast, endpoint: str) -> tuple[Key, Key]:
    """Events of both arms by the last horizon: what an estimate over all of follow-up rests on."""
    last = max(protocol.horizons(protocol.endpoint(endpoint)))
    return keys.events(endpoint, contrast.tier, last), keys.events(endpoint, contrast.reference, last)


def enter_events(ledger: Ledger, frame: pl.DataFrame, contrasts: pl.DataFrame, protocol: Protocol) -> None:
    """Events by each horizon; an event set within another, and an earlier horizon within a later, are nested."""
    if frame.is_empty():
        return
    compared = _compared_days(contrasts)
    for tier in protocol.tier_names:
        rows = frame.filter((pl.col("tier").cast(pl.String) == tier) & (pl.col("status") == 1))
        for endpoint in (*reported(protocol, tier), *asked_aside(protocol, tier)):
            is_aside = endpoint in protocol.supplementary_endpoints
            days = rows.filter(pl.col("endpoint") == endpoint.name)["time_days"]
            before: Key | None = None
            for horizon in sorted({*protocol.horizons(endpoint), *compared.get(endpoint.name, ())}):
                key = keys.events(endpoint.name, tier, horizon)
                weight = DETAIL if is_aside else IMPORTANT if before or endpoint.is_harm else USUAL
                ledger.add(key, int((days <= horizon).sum()), weight=weight)
                if before:
                    ledger.nest(before, key)
                before = key
            if before:
                ledger.nest(before, keys.patients(tier))
                _escalations(ledger, before, endpoint, protocol, tier)
        _nest_endpoints(ledger, protocol, tier)


def _compared_days(contrasts: pl.DataFrame) -> dict[str, set[float]]:
    """Days of the incidence differences by endpoint: a horizon, or the end of a smaller group's follow-up."""
    days: dict[str, set[float]] = {}
    if not contrasts.is_empty():
        rows = contrasts.filter(pl.col("measure") == "incidence difference").select("outcome", "window").unique()
        for endpoint, window in rows.iter_rows():
            days.setdefault(endpoint, set()).add(float(window.removesuffix(" days")))
    return days


def _escalations(ledger: Ledger, key: Key, endpoint: Endpoint, protocol: Protocol, tier: str) -> None:
    """Where failure is escalation alone, the crossover table tells how many there were in all."""
    is_all = ESCALATION in endpoint.treatments and endpoint.within_days is None
    is_all = is_all and not (endpoint.events or endpoint.relapses or endpoint.repeat_tiers)
    if not is_all or (REPEAT in endpoint.treatments and protocol.tier(tier).is_repeat_failure):
        return
    moved = [keys.crossover(tier, to) for to in protocol.tier_names if keys.crossover(tier, to) in ledger.counts]
    if moved:
        total = ("escalated", tier)
        ledger.add(total, sum(ledger.counts[k].value for k in moved), "hidden")
        ledger.sum_of(total, moved)
        ledger.nest(key, total)


def _nest_endpoints(ledger: Ledger, protocol: Protocol, tier: str) -> None:
    """A set of treatments within another gives fewer events by any day; the difference is a count too."""
    listed = (*reported(protocol, tier), *asked_aside(protocol, tier))
    sets = {e.name: _event_set(e, protocol, tier) for e in listed if e.within_days is None}
    for inner, outer in ((a, b) for a in sets for b in sets if a != b and sets[a] and sets[a] <= sets[b]):
        if sets[inner] == sets[outer] and inner > outer:
            continue
        for horizon in protocol.horizons(protocol.endpoint(inner)):
            a, b = keys.events(inner, tier, horizon), keys.events(outer, tier, horizon)
            if a in ledger.counts and b in ledger.counts:
                ledger.nest(a, b)


def _event_set(endpoint: Endpoint, protocol: Protocol, tier: str) -> frozenset[str]:
    names = protocol.tier_names
    found = set(endpoint.events) | {name for name in endpoint.treatments if name in names}
    found |= {f"relapse {name}" for name in endpoint.relapses} | {f"repeat {name}" for name in endpoint.repeat_tiers}
    if ESCALATION in endpoint.treatments:
        found |= set(names[names.index(tier) + 1 :])
    if REPEAT in endpoint.treatments and protocol.tier(tier).is_repeat_failure:
        found.add(tier)
    return frozenset(found)


def enter_relapses(ledger: Ledger, frame: pl.DataFrame, protocol: Protocol) -> None:
    """Who responded, and who of them was seen to have relapsed by each horizon."""
    if frame.is_empty():
        return
    days = protocol.primary.all_horizons_days
    for rule in protocol.relapses:
        for tier in protocol.tier_names:
            rows = frame.filter((pl.col("relapse") == rule.name) & (pl.col("tier").cast(pl.String) == tier))
            whole = keys.responded(rule.name, tier)
            ledger.add(whole, rows.height, weight=DETAIL)
            ledger.nest(whole, keys.patients(tier))
            seen = rows.filter(pl.col("status") == 1)["time_upper_days"]
            chain = [keys.relapsed(rule.name, tier, day) for day in days]
            for key, day in zip(chain, days, strict=True):
                ledger.add(key, int((seen <= day).sum()), weight=DETAIL)
            for one, other in pairwise([*chain, whole]):
                ledger.nest(one, other)
