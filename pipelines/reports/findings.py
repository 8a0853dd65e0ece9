"""What the comparisons found: adjusted beside unadjusted for each contrast and question, and how far it can be trusted.

Reads `results.contrasts` and `results.hazard_ratios`; wording is in `sentences.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl

from pipelines.protocol_parts import Contrast
from pipelines.reports import event_counts, keys
from pipelines.reports.ledger import Key
from pipelines.reports.study import Study

Verdict = Literal["clear", "suggestive", "unclear", "withheld", "not estimable", "absent"]

RATIOS = ("distance ratio", "hazard ratio", "risk ratio")
_LEADING = ("mean difference", "distance ratio", "incidence difference")
_UNADJUSTED = ("unadjusted", "baseline only")


@dataclass(frozen=True)
class Estimate:
    """One row of a table of contrasts."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None
    status: str
    reason: str
    method: str
    measure: str
    trace: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether 1, not 0, means no difference."""
        return self.measure in RATIOS

    @property
    def neutral(self) -> float:
        """The value of no difference."""
        return 1.0 if self.is_ratio else 0.0

    @property
    def excludes_neutral(self) -> bool:
        """Whether the 95 % limits leave out no difference."""
        return self.low is not None and self.high is not None and not self.low <= self.neutral <= self.high


@dataclass(frozen=True)
class Finding:
    """A contrast at one outcome and window; `adjusted` leads and `unadjusted` stands beside it.

    `rests_on` names the counts of patients or events of both arms.
    """

    contrast: Contrast
    outcome: str
    window: str
    adjusted: Estimate | None
    unadjusted: Estimate | None
    rests_on: tuple[Key, ...] = ()

    @property
    def leading(self) -> Estimate | None:
        """The estimate that is spoken of: adjusted, or unadjusted where no adjusted one was asked for."""
        return self.adjusted or self.unadjusted

    @property
    def verdict(self) -> Verdict:
        """`clear`: limits exclude no difference, also after Holm where that was done; `suggestive`: only before."""
        found = self.leading
        if found is None:
            return "absent"
        if found.status != "estimable" or found.value is None:
            return "withheld" if found.status == "withheld" else "not estimable"
        if not found.excludes_neutral:
            return "unclear"
        return "suggestive" if found.p_adjusted is not None and found.p_adjusted >= 0.05 else "clear"


def importance(found: Estimate, threshold: float | None) -> Literal["", "at least", "possibly", "less"]:
    """How an estimate's limits lie to the difference between groups that is held to matter."""
    if threshold is None or found.low is None or found.high is None:
        return ""
    low, high = found.low, found.high
    edges = (1 / threshold, threshold) if found.is_ratio else (-threshold, threshold)
    if edges[0] < low and high < edges[1]:
        return "less"
    return "at least" if low >= edges[1] or high <= edges[0] else "possibly"


def of_outcome(study: Study, outcome: str, window: str) -> list[Finding]:
    """Findings of an instrument at a window, one a contrast of the protocol, in its order."""
    rows = study.snapshot.rows("results.contrasts", outcome=outcome, window=window)
    found = [_finding(rows, contrast, outcome, window) for contrast in study.protocol.contrasts]
    return [_if_enough(study, f, *keys.seen_in_arms(outcome, window, f.contrast)) for f in found]


def of_endpoint(study: Study, contrast: Contrast) -> list[Finding]:
    """Incidence differences of a contrast's endpoint, one a horizon that has results, earliest first."""
    if contrast.endpoint is None:
        return []
    rows = study.snapshot.rows("results.contrasts", outcome=contrast.endpoint)
    if rows.is_empty():
        return []
    mine = rows.filter(_is_of(contrast))
    windows = sorted(mine["window"].unique().to_list(), key=lambda w: float(str(w).removesuffix(" days")))
    found = [_finding(mine.filter(pl.col("window") == w), contrast, contrast.endpoint, str(w)) for w in windows]
    return [_if_countable(study, f) for f in found]


def hazards_of(study: Study, contrast: Contrast) -> Finding:
    """Cause-specific hazard ratios of a contrast's endpoint."""
    rows = study.snapshot.rows(
        "results.hazard_ratios", endpoint=contrast.endpoint, model="cause-specific", view="index", term="tier"
    )
    if rows.is_empty() or contrast.endpoint is None:
        return Finding(contrast, str(contrast.endpoint), "all follow-up", None, None)
    mine = rows.filter(_is_of(contrast)).with_columns(
        method=pl.col("adjustment"), measure=pl.lit("hazard ratio"), p_adjusted=pl.lit(None, pl.Float64)
    )
    finding = _finding(mine, contrast, contrast.endpoint, "all follow-up", measures=("hazard ratio",))
    return _if_enough(study, finding, *event_counts.by_the_end(study.protocol, contrast, contrast.endpoint))


def times_of(study: Study, contrast: Contrast) -> Finding:
    """Difference in time lost to a contrast's endpoint up to the last horizon, which carries the protocol's test."""
    finding = Finding(contrast, str(contrast.endpoint), "", None, None)
    rows = study.snapshot.rows(
        "results.restricted_times", endpoint=contrast.endpoint, measure="difference", cause="event"
    )
    mine = rows.filter(_is_of(contrast)) if rows.height else rows
    if mine.is_empty() or contrast.endpoint is None:
        return finding
    last = max(mine["tau_days"].to_list())
    named = mine.filter(pl.col("tau_days") == last).with_columns(
        method=pl.col("adjustment"), measure=pl.lit("difference in time lost")
    )
    finding = _finding(named, contrast, contrast.endpoint, f"{last:g} days", measures=("difference in time lost",))
    return _if_enough(study, finding, *event_counts.by_the_end(study.protocol, contrast, contrast.endpoint))


def _if_enough(study: Study, finding: Finding, *arms: Key) -> Finding:
    """The finding, blinded if an arm is smaller than the smallest count that may be shown."""
    known = replace(finding, rests_on=arms)
    return known if study.gate.rests_on_enough(*arms) else _blinded(study, known, both=True)


def _if_countable(study: Study, finding: Finding) -> Finding:
    """The finding of an incidence; unadjusted, it would give away an arm's events where these may not be printed."""
    days = float(finding.window.removesuffix(" days"))
    contrast = finding.contrast
    arms = tuple(keys.events(finding.outcome, tier, days) for tier in (contrast.tier, contrast.reference))
    finding = replace(finding, rests_on=arms)
    if not study.gate.rests_on_enough(*arms):
        return _blinded(study, finding, both=True)
    if not all(study.gate.is_exact(arm) for arm in arms):
        return _blinded(study, finding, both=False)
    return finding


def _blinded(study: Study, finding: Finding, both: bool) -> Finding:
    reason = f"an arm has fewer than {study.gate.minimum}" if both else "it would give away a small count"

    def blind(found: Estimate | None) -> Estimate | None:
        if found is None or found.status != "estimable":
            return found
        return replace(
            found, value=None, low=None, high=None, p=None, p_adjusted=None, status="withheld", reason=reason
        )

    adjusted = blind(finding.adjusted) if both else finding.adjusted
    return replace(finding, adjusted=adjusted, unadjusted=blind(finding.unadjusted))


def _is_of(contrast: Contrast) -> pl.Expr:
    return (pl.col("tier") == contrast.tier) & (pl.col("reference") == contrast.reference)


def _finding(
    rows: pl.DataFrame, contrast: Contrast, outcome: str, window: str, measures: tuple[str, ...] = _LEADING
) -> Finding:
    if rows.is_empty():
        return Finding(contrast, outcome, window, None, None)
    mine = rows.filter(_is_of(contrast) & pl.col("measure").is_in(measures))
    records = list(mine.iter_rows(named=True))
    adjusted = min((row for row in records if not is_unadjusted(row["method"])), key=_preference, default=None)
    unadjusted = next((row for row in records if is_unadjusted(row["method"])), None)
    return Finding(
        contrast,
        outcome,
        window,
        _estimate(adjusted) if adjusted else None,
        _estimate(unadjusted) if unadjusted else None,
    )


def _preference(row: Mapping[str, Any]) -> tuple[bool, bool, bool, bool]:
    """Which adjusted estimate leads: the primary one; else overlap population, then errors that know of the weights."""
    population = row.get("population") or row.get("weighting")
    return (
        not row.get("is_primary"),
        (row.get("strategy") or "treatment policy") != "treatment policy",
        population != "overlap",
        row.get("variance") != "weights estimated",
    )


def is_unadjusted(method: str) -> bool:
    """Whether a method leaves the case mix as it is (the outcome's own baseline aside)."""
    return any(word in method for word in _UNADJUSTED)


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(
        row["estimate"], row["ci_low"], row["ci_high"], row.get("p_value"), row.get("p_adjusted"),
        row["status"], row["reason"] or "", row["method"], row["measure"], row.get("trace") or "",
    )  # fmt: skip
