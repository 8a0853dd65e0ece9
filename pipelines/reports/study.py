"""The study as the report's sections see it: snapshot, protocol and gate together, with the names that people read."""

from collections.abc import Iterable
from functools import cached_property

import polars as pl

from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast, Instrument
from pipelines.reports import keys, numbers, wording
from pipelines.reports.gate import Gate
from pipelines.reports.ledger import Decisions
from pipelines.reports.tables import Read, Snapshot

BASELINE = "baseline"


class Study:
    """One release under one protocol."""

    def __init__(self, read: Read, protocol: Protocol, before: Decisions | None = None) -> None:
        self.snapshot = Snapshot(read)
        self.protocol = protocol
        self.gate = Gate(self.snapshot, protocol, before)

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """Tiers that have patients, in ladder order."""
        return tuple(t for t in self.protocol.tier_names if self.gate.decisions.ledger.counts[keys.patients(t)].value)

    def rank(self, tier: str) -> int:
        """Place of a tier on the ladder, from 0."""
        return self.protocol.tier_names.index(tier)

    def short(self, tier: str) -> str:
        """Short name of a tier."""
        return self.protocol.tier(tier).short_label

    def in_words(self, tier: str) -> str:
        """A tier's short name inside a sentence: abbreviations keep their capitals."""
        return wording.inside(self.short(tier))

    def versus(self, contrast: Contrast) -> str:
        """`MILD vs ESI`."""
        return f"{self.short(contrast.tier)} vs {self.in_words(contrast.reference)}"

    def window_label(self, window: str) -> str:
        """Label of a visit, or of a horizon in days."""
        if window == BASELINE:
            return "Baseline"
        known = {w.name: w.label for w in self.protocol.windows}
        if window in known:
            return known[window]
        days = window.removesuffix(" days")
        return numbers.horizon(float(days)) if days.replace(".", "").isdigit() else window

    def instruments(self, kind: str, outcomes: Iterable[str]) -> list[Instrument]:
        """Instruments of a kind (`score`, `walking`) that have results, in the protocol's order."""
        found = set(outcomes)
        return [i for i in self.protocol.instruments if i.kind == kind and i.name in found]

    def is_asked(self, outcome: str) -> bool:
        """Whether an outcome is a primary or secondary one."""
        return any(question.outcome == outcome for question in self.protocol.primary.questions)

    def release_fact(self, column: str) -> str:
        """A fact about the release (`release`, `linkage`, …); empty where unknown."""
        frame = self.snapshot["raw.release"]
        return str(frame[column][0] or "") if column in frame.columns and frame.height else ""

    def trajectory(self, outcome: str, method: str) -> pl.DataFrame:
        """Rows of `results.trajectories`; without columns where there are none."""
        return self.snapshot.rows("results.trajectories", outcome=outcome, method=method)
