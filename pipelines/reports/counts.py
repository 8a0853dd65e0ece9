"""Every count of patients or records that a report may print, and how the counts hang together.

One function a table; each enters its counts into the ledger under keys that sections use to ask for them, and states
the sums and nestings by which one could be worked out from others, across tables too. What is withheld follows from
`suppression.py`. A count that is not entered here cannot be printed.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import pairwise

import polars as pl

from pipelines.protocol import Protocol
from pipelines.reports import keys, overlap, patterns
from pipelines.reports.completeness_counts import enter_completeness
from pipelines.reports.event_counts import enter_events, enter_relapses
from pipelines.reports.ledger import ANCHOR, DETAIL, IMPORTANT, USUAL, Key, Ledger
from pipelines.reports.site_counts import enter_sites
from pipelines.reports.tables import Snapshot


def ledger_of(snapshot: Snapshot, protocol: Protocol, with_sites: bool = True) -> Ledger:
    """All counts of a release with their relations; those by treating site only where asked for."""
    ledger = Ledger(protocol.disclosure.minimum_count)
    tiers = protocol.tier_names
    _patients(ledger, snapshot, tiers)
    _attrition(ledger, snapshot["outcomes.attrition"], tiers)
    _characteristics(ledger, snapshot["results.table_one"])
    beside = _beside_published(snapshot["results.literature"])
    _trajectories(ledger, snapshot["results.trajectories"], protocol, beside)
    enter_completeness(ledger, snapshot, protocol)
    _responders(ledger, snapshot["results.responders"], protocol, beside)
    _changes(ledger, snapshot["results.literature"])
    _stops(ledger, snapshot["results.stop_reasons"], protocol)
    _preferences(ledger, snapshot["results.propensity_overlap"])
    _visits_kept(ledger, snapshot["results.missing_patterns"], protocol)
    _crossover(ledger, snapshot["outcomes.crossover"])
    enter_events(ledger, snapshot["analysis.time_to_event"], snapshot["results.contrasts"], protocol)
    enter_relapses(ledger, snapshot["analysis.symptom_relapses"], protocol)
    _quality(ledger, snapshot)
    if with_sites:
        enter_sites(ledger, snapshot, protocol)
    return ledger


def _patients(ledger: Ledger, snapshot: Snapshot, tiers: Iterable[str]) -> None:
    subjects = snapshot["analysis.subjects"]
    names = list(tiers)
    for tier in names:
        size = subjects.filter(pl.col("tier").cast(pl.String) == tier).height if subjects.height else 0
        ledger.add(keys.patients(tier), size, weight=ANCHOR)
    ledger.add(keys.patients(), sum(ledger.counts[keys.patients(t)].value for t in names), weight=2 * ANCHOR)
    ledger.sum_of(keys.patients(), [keys.patients(tier) for tier in names])


def _attrition(ledger: Ledger, frame: pl.DataFrame, tiers: Iterable[str]) -> None:
    if frame.is_empty():
        return
    present = set(frame["tier"].to_list())
    names = [tier for tier in tiers if tier in present]
    frame = frame.filter(pl.col("tier").is_in([*names, keys.NONE])).sort("step")
    before: dict[str, Key] = {}
    for (step,), part in frame.group_by("step", maintain_order=True):
        number = int(step)  # type: ignore[call-overload]
        for row in part.iter_rows(named=True):
            _step(ledger, number, row["tier"], int(row["remaining"]), int(row["excluded"]), before)
        for what in ("remaining", "excluded"):
            parts = [keys.attrition(number, tier, what) for tier in part["tier"].to_list()]
            total = keys.attrition(number, keys.ALL, what)
            ledger.add(total, sum(ledger.counts[key].value for key in parts), weight=IMPORTANT)
            ledger.sum_of(total, parts)
    for tier in names:  # those left at the end are the patients of every later table, or contain them
        ledger.nest(keys.patients(tier), before[tier])


def _step(ledger: Ledger, number: int, tier: str, left: int, excluded: int, before: dict[str, Key]) -> None:
    remaining, out = keys.attrition(number, tier, "remaining"), keys.attrition(number, tier, "excluded")
    ledger.add(remaining, left, weight=USUAL)
    ledger.add(out, excluded, weight=DETAIL)
    if tier in before:
        ledger.sum_of(before[tier], (remaining, out))
    before[tier] = remaining


def _characteristics(ledger: Ledger, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    counted = frame.filter(pl.col("statistic").is_in(["share", "missing"]))
    for (variable, tier), part in counted.group_by("variable", "tier", maintain_order=True):
        parts: list[Key] = []
        for row in part.iter_rows(named=True):
            is_missing = row["statistic"] == "missing"
            key = keys.characteristic(str(variable), keys.MISSING if is_missing else row["level"], str(tier))
            ledger.add(key, int(row["count"]), weight=DETAIL if is_missing else USUAL)
            parts.append(key)
        ledger.fill(keys.patients(str(tier)), parts, ("characteristic", str(variable), "other", str(tier)))


def _beside_published(literature: pl.DataFrame) -> set[tuple[str, str]]:
    """Outcomes and windows whose figures are printed beside published ones."""
    if literature.is_empty():
        return set()
    shown = literature.filter(pl.col("status") == "estimable").select("outcome", "window").unique()
    return set(shown.iter_rows())


def _changes(ledger: Ledger, literature: pl.DataFrame) -> None:
    """Patients behind the mean changes that stand beside published ones."""
    if literature.is_empty():
        return
    rows = literature.filter((pl.col("kind") == "mean change") & (pl.col("status") == "estimable"))
    for row in rows.iter_rows(named=True):
        key = keys.changed(row["outcome"], row["window"], row["tier"])
        ledger.add(key, int(row["subjects"]), weight=DETAIL)
        whole = keys.seen(row["outcome"], row["window"], row["tier"])
        ledger.nest(key, whole if whole in ledger.counts else keys.patients(row["tier"]))


def _trajectories(
    ledger: Ledger, frame: pl.DataFrame, protocol: Protocol, beside: AbstractSet[tuple[str, str]] = frozenset()
) -> None:
    """Patients seen at each visit; those neither asked about nor set beside published figures are printed nowhere."""
    if frame.is_empty():
        return
    asked = {p.outcome for p in protocol.primary.questions}
    finished = {
        (i.name, window) for i in protocol.instruments if i.kind == "walking" for window in asked_windows(protocol)
    }
    for row in frame.iter_rows(named=True):
        outcome, window, tier = row["outcome"], row["window"], row["tier"]
        key = keys.seen(outcome, window, tier)
        if key not in ledger.counts:
            is_printed = outcome in asked or (outcome, window) in beside or (outcome, window) in finished
            ledger.add(key, int(row["subjects"]), "printed" if is_printed else "hidden", USUAL)
            ledger.nest(key, keys.patients(tier))
        is_shown = outcome in asked or (outcome, window) in finished
        if is_shown and row["method"] == "share at the time limit" and row["estimate"] is not None:
            limit = keys.at_limit(outcome, window, tier)
            ledger.add(limit, round(row["estimate"] * row["subjects"]), weight=DETAIL)
            ledger.nest(limit, key)


def _responders(
    ledger: Ledger, frame: pl.DataFrame, protocol: Protocol, beside: AbstractSet[tuple[str, str]] = frozenset()
) -> None:
    if frame.is_empty():
        return
    extra = [(pl.col("outcome") == outcome) & (pl.col("window") == window) for outcome, window in sorted(beside)]
    frame = frame.filter(pl.any_horizontal(_is_asked(protocol, "window"), *extra))
    for row in frame.iter_rows(named=True):
        outcome, threshold, window, tier = row["outcome"], row["threshold"], row["window"], row["tier"]
        hits = keys.responders(outcome, threshold, window, tier)
        base = keys.judged(outcome, threshold, window, tier, row["method"])
        first = protocol.instrument(outcome).thresholds[0].name
        ledger.add(hits, int(row["responders"]), weight=IMPORTANT if threshold == first else USUAL)
        ledger.add(base, int(row["subjects"]), weight=IMPORTANT if threshold == first else USUAL)
        ledger.nest(hits, base)
        ledger.nest(base, keys.patients(tier))
    places = frame.select("outcome", "window", "tier", "method").unique(maintain_order=True)
    for outcome, window, tier, method in places.iter_rows():
        _nest_thresholds(ledger, protocol, outcome, window, tier, method)


def _nest_thresholds(ledger: Ledger, protocol: Protocol, outcome: str, window: str, tier: str, method: str) -> None:
    """Who meets a stricter threshold meets a looser one of the same kind: the difference is a count too."""
    instrument = protocol.instrument(outcome)
    for kind in ("change", "percent_change", "final"):
        ordered = sorted((t for t in instrument.thresholds if t.kind == kind), key=lambda t: t.value)
        if kind == "final" and instrument.better == "lower":
            ordered.reverse()
        names = [t.name for t in ordered if keys.responders(outcome, t.name, window, tier) in ledger.counts]
        for looser, stricter in pairwise(names):
            ledger.nest(
                keys.responders(outcome, stricter, window, tier), keys.responders(outcome, looser, window, tier)
            )
    bases = [keys.judged(outcome, t.name, window, tier, method) for t in instrument.thresholds]
    known = sorted((key for key in bases if key in ledger.counts), key=lambda key: ledger.counts[key].value)
    for smaller, larger in pairwise(known):
        ledger.nest(smaller, larger)


def _stops(ledger: Ledger, frame: pl.DataFrame, protocol: Protocol) -> None:
    if frame.is_empty():
        return
    asked = frame.rename({"instrument": "outcome"}).filter(pl.col("visit_window").is_in(asked_windows(protocol)))
    for (outcome, window, tier), part in asked.group_by("outcome", "visit_window", "tier", maintain_order=True):
        place = (str(outcome), str(window), str(tier))
        whole = keys.stops(*place)
        ledger.add(whole, int(part["subjects"][0]), weight=USUAL)
        if keys.seen(*place) in ledger.counts:
            ledger.nest(whole, keys.seen(*place))
        parts = []
        for row in part.sort("stop_reason").iter_rows(named=True):
            key = keys.stops(*place, row["stop_reason"])
            ledger.add(key, int(row["walks"]), weight=DETAIL)
            parts.append(key)
            if row["stop_reason"] == "time_limit" and keys.at_limit(*place) in ledger.counts:
                ledger.nest(key, keys.at_limit(*place))
        ledger.fill(whole, parts, (*whole, "other"))


def _preferences(ledger: Ledger, frame: pl.DataFrame) -> None:
    """Histograms of the preference score with their bins merged, and how many lie in the middle."""
    for contrast, arm, bins in overlap.histograms(frame):
        for low, high, subjects in bins:
            ledger.add(keys.preference(contrast, arm, low, high), subjects, "hidden")
        wide = []
        for found in overlap.merged_bins(bins, ledger.minimum):
            wide.append(keys.preference(contrast, arm, found.low, found.high))
            _enter_span(ledger, contrast, arm, found.parts, wide[-1])
        ledger.fill(keys.patients(arm), wide, ("preference", contrast, arm, "not known"))
        middle = [(low, high) for low, high, _ in bins if _lies_within(low, high, overlap.EQUIPOISE)]
        _enter_span(ledger, contrast, arm, middle, keys.preference(contrast, arm, *overlap.EQUIPOISE))


def _enter_span(ledger: Ledger, contrast: str, arm: str, parts: Iterable[tuple[float, float]], whole: Key) -> None:
    members = [keys.preference(contrast, arm, low, high) for low, high in parts]
    ledger.add(whole, sum(ledger.counts[key].value for key in members), weight=DETAIL)
    if members != [whole]:
        ledger.sum_of(whole, members)


def _lies_within(low: float, high: float, span: tuple[float, float]) -> bool:
    return span[0] - 1e-9 <= low and high <= span[1] + 1e-9


def _visits_kept(ledger: Ledger, frame: pl.DataFrame, protocol: Protocol) -> None:
    """Who kept all visits, left for good, came back or was never seen, at the primary outcomes."""
    for row in patterns.by_kind(frame, [p.outcome for p in protocol.primary.outcomes]).iter_rows(named=True):
        outcome, tier = row["outcome"], row["tier"]
        whole = keys.visits_kept(outcome, tier)
        ledger.add(whole, sum(row[kind] for kind in patterns.KINDS), weight=USUAL)
        ledger.nest(whole, keys.patients(tier))
        parts = [keys.visits_kept(outcome, tier, kind) for kind in patterns.KINDS]
        for part, kind in zip(parts, patterns.KINDS, strict=True):
            ledger.add(part, row[kind], weight=DETAIL)
        ledger.sum_of(whole, parts)
        for window in protocol.windows:  # who kept all visits was seen at each
            seen = keys.seen(outcome, window.name, tier)
            if seen in ledger.counts:
                ledger.nest(keys.visits_kept(outcome, tier, patterns.COMPLETE), seen)


def _crossover(ledger: Ledger, frame: pl.DataFrame) -> None:
    if frame.is_empty():
        return
    for (tier,), part in frame.group_by("from_tier", maintain_order=True):
        parts = []
        for row in part.sort("to_tier").iter_rows(named=True):
            key = keys.crossover(str(tier), row["to_tier"])
            ledger.add(key, int(row["patients"]), weight=USUAL)
            parts.append(key)
        ledger.fill(keys.patients(str(tier)), parts, ("crossover", str(tier), "other"))


def _quality(ledger: Ledger, snapshot: Snapshot) -> None:
    for row in snapshot["quality.ingest_counts"].iter_rows(named=True):
        table = row["table_name"]
        for what, column in (("read", "rows_read"), ("accepted", "rows_accepted"), ("quarantined", "rows_quarantined")):
            ledger.add(keys.records(table, what), int(row[column]), weight={"accepted": USUAL}.get(what, DETAIL))
        ledger.sum_of(
            keys.records(table, "read"), (keys.records(table, "accepted"), keys.records(table, "quarantined"))
        )
    if keys.records("patients", "accepted") in ledger.counts:
        ledger.nest(keys.patients(), keys.records("patients", "accepted"))
    rules = snapshot["quality.row_rules"]
    if not rules.is_empty():
        _rules(ledger, rules)
    for row in snapshot["quality.checks"].iter_rows(named=True):
        ledger.add(keys.check(row["check_name"]), int(row["violations"] or 0), weight=DETAIL)


def _rules(ledger: Ledger, frame: pl.DataFrame) -> None:
    """Violations by rule: together at least the quarantined rows, as a row may break several rules."""
    for (table,), part in frame.group_by("table_name", maintain_order=True):
        parts = []
        for row in part.sort("rule").iter_rows(named=True):
            key = keys.rule(str(table), row["rule"])
            ledger.add(key, int(row["violations"]), weight=DETAIL)
            parts.append(key)
        rows = keys.records(str(table), "quarantined")
        total = sum(ledger.counts[key].value for key in parts)
        if rows in ledger.counts and total >= ledger.counts[rows].value:
            several = ("several rules", str(table))
            ledger.add(several, total - ledger.counts[rows].value, "slack")
            violations = ("violations", str(table))
            ledger.add(violations, total, "slack")
            ledger.sum_of(violations, parts)
            ledger.sum_of(violations, (rows, several))


def asked_windows(protocol: Protocol) -> list[str]:
    """Visits of the walking questions, at which other walking tests are shown too; else those of all questions."""
    asked = protocol.primary.questions
    walking = [q.window for q in asked if protocol.instrument(q.outcome).kind == "walking"]
    return list(dict.fromkeys(walking or [q.window for q in asked]))


def _is_asked(protocol: Protocol, window: str) -> pl.Expr:
    """Rows of the primary and secondary outcomes at their windows."""
    asked = protocol.primary.questions
    places = [(pl.col("outcome") == q.outcome) & (pl.col(window) == q.window) for q in asked]
    return pl.any_horizontal(places)
