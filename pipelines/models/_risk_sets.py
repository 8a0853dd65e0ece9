"""Who is at risk at each event time, as sums over rows and their transpose, without a row per subject and time.

Belongs here: the two operators on which the partial likelihood of the Cox and of the Fine-Gray model is built.
Does not belong here: likelihoods and estimates (`_partial_likelihood`).

Rows are sorted by stratum and exit time. Event times are numbered through all strata as slots; each stratum starts
with an empty slot, for what lies before its first event. A row is at risk at the slots after `entry_slot` up to and
including `slot`. Rows that share a slot lie together, so that a sum over rows is one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import sparse

from pipelines.models._frames import Bools, Floats, Ints

# Gives a slice of the rows their sums over slots; a slice at a time keeps (n, p) out of memory.
Accumulator = Callable[[slice], Floats]


@dataclass(frozen=True)
class Slots:
    """The event times of all strata: shape (s,) for the slots, (strata,) for the first slot of each stratum."""

    time: Floats
    stratum: Ints
    first: Ints

    @property
    def count(self) -> int:
        return len(self.time)

    @classmethod
    def of(cls, exit_: Floats, event: Bools, stratum: Ints) -> Slots:
        """Return the slots of rows that are sorted by stratum and exit; the empty slots have time -inf."""
        strata = int(stratum[-1]) + 1
        times, owners = exit_[event], stratum[event]
        new = np.ones(len(times), dtype=bool)
        new[1:] = (np.diff(times) != 0) | (np.diff(owners) != 0)
        time = np.concatenate([np.full(strata, -np.inf), times[new]])
        owner = np.concatenate([np.arange(strata), owners[new]])
        order = np.argsort(owner, kind="stable")
        return cls(time[order], owner[order], np.searchsorted(owner[order], np.arange(strata)))

    def last_until(self, when: Floats, stratum: Ints) -> Ints:
        """Return the slot of the last event time at or before `when`, row by row."""
        found = np.empty(len(when), dtype=np.int64)
        starts = np.searchsorted(stratum, np.arange(len(self.first) + 1))
        ends = np.append(self.first[1:], self.count)
        for code, (low, high) in enumerate(pairwise(starts)):
            begin = self.first[code]
            found[low:high] = begin - 1 + np.searchsorted(self.time[begin : ends[code]], when[low:high], side="right")
        return found

    def cumulated(self, values: Floats) -> Floats:
        """Return running sums over the slots, begun anew in each stratum."""
        return _per_stratum(values, self.first, backwards=False)

    def remaining(self, values: Floats) -> Floats:
        """Return sums from each slot to the end of its stratum."""
        return _per_stratum(values, self.first, backwards=True)


@dataclass(frozen=True)
class RiskSets:
    """Ordinary risk sets: a row is at risk on (entry, exit]; n rows, s slots."""

    slots: Slots
    slot: Ints
    entry_slot: Ints | None
    exits: sparse.csr_matrix = field(repr=False)
    entries: sparse.csr_matrix | None = field(repr=False)

    @classmethod
    def of(cls, entry: Floats, exit_: Floats, event: Bools, stratum: Ints) -> RiskSets:
        """Return the risk sets of rows sorted by stratum and exit."""
        slots = Slots.of(exit_, event, stratum)
        slot = slots.last_until(exit_, stratum)
        if np.isneginf(entry).all():
            return cls(slots, slot, None, rows_by_slot(slot, slots.count), None)
        entry_slot = slots.last_until(entry, stratum)
        return cls(slots, slot, entry_slot, rows_by_slot(slot, slots.count), rows_by_slot(entry_slot, slots.count))

    def sums(self, weight: Floats, values: Floats | None = None) -> Floats:
        """Return Σ weight (× values) over those at risk at each slot, shape (s,) or (s, p)."""
        total = self.slots.remaining(slot_sums(self.exits, weight, values))
        if self.entries is None:
            return total
        return total - self.slots.remaining(slot_sums(self.entries, weight, values))

    def accumulator(self, per_slot: Floats) -> Accumulator:
        """Return what gives some rows' sums of a quantity over the slots at which they are at risk, (m,) or (m, p)."""
        running, entry_slot = self.slots.cumulated(per_slot), self.entry_slot
        if entry_slot is None:
            return lambda rows: running[self.slot[rows]]
        return lambda rows: running[self.slot[rows]] - running[entry_slot[rows]]


@dataclass(frozen=True)
class SubdistributionRiskSets:
    """Risk sets of the Fine-Gray model: after a competing event a row stays at risk, with a fading weight.

    The weight at a later event time u is G(u-) / G(t-), with G the Kaplan-Meier curve of censoring in the row's
    censoring group and t the row's own time. `faded` holds, for each group, G(u-) at the slots, shape (s,), and
    1 / G(t-) for the group's rows with a competing event, 0 for all others, shape (n,).
    Source: Fine & Gray, JASA 94 (1999) 496-509; Geskus, Biometrics 67 (2011) 39-49.
    """

    natural: RiskSets
    faded: Sequence[tuple[Floats, Floats]]

    @property
    def slots(self) -> Slots:
        return self.natural.slots

    @property
    def slot(self) -> Ints:
        return self.natural.slot

    def sums(self, weight: Floats, values: Floats | None = None) -> Floats:
        """Return Σ weight (× values) over those at risk at each slot, shape (s,) or (s, p)."""
        total = self.natural.sums(weight, values)
        for at_slot, share in self.faded:
            kept = slot_sums(self.natural.exits, weight * share, values)
            total += _scaled(np.cumsum(kept, axis=0) - kept, at_slot)
        return total

    def accumulator(self, per_slot: Floats) -> Accumulator:
        """Return what gives some rows' weighted sums of a quantity over the slots at which they are at risk."""
        natural, later = self.natural.accumulator(per_slot), []
        for at_slot, share in self.faded:
            to_come = _scaled(per_slot, at_slot)
            later.append((self.slots.remaining(to_come) - to_come, share))

        def of(rows: slice) -> Floats:
            total = natural(rows)
            for path, share in later:
                total += _scaled(path[self.slot[rows]], share[rows])
            return total

        return of


def rows_by_slot(slot: Ints, slots: int, rows: Ints | None = None, total: int | None = None) -> sparse.csr_matrix:
    """Return the 0-1 matrix (slots × rows) that adds rows up by slot; `rows` are the row numbers of `slot`."""
    rows = np.arange(len(slot)) if rows is None else rows
    order = np.argsort(slot, kind="stable")
    indptr = np.searchsorted(slot[order], np.arange(slots + 1))
    shape = (slots, len(slot) if total is None else total)
    return sparse.csr_matrix((np.ones(len(slot)), rows[order].astype(np.int32), indptr.astype(np.int32)), shape=shape)


def slot_sums(matrix: sparse.csr_matrix, weight: Floats, values: Floats | None = None) -> Floats:
    """Return Σ weight (× values) of the rows of each slot in one pass, without a weighted copy of `values`."""
    if values is None:
        return matrix @ weight
    weighted = sparse.csr_matrix(
        (weight[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape, copy=False
    )
    return weighted @ values


def _scaled(values: Floats, factor: Floats) -> Floats:
    return values * factor if values.ndim == 1 else values * factor[:, None]


def _per_stratum(values: Floats, first: Ints, backwards: bool) -> Floats:
    """Return running sums within strata; each is summed on its own, so that a large one does not blur a small one."""
    result = np.empty_like(values)
    for low, high in pairwise([*first, len(values)]):
        part = values[low:high]
        if backwards:
            result[low:high] = np.cumsum(part[::-1], axis=0)[::-1]
        else:
            result[low:high] = np.cumsum(part, axis=0)
    return result
