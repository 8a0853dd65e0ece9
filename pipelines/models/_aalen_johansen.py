"""One group's product-limit table and the infinitesimal jackknife of its curves, in time linear after a sort.

Belongs here: the counts at each distinct time, the all-cause survival and the cumulative incidences they give, and
how much each row moves those curves. Does not belong here: groups, confidence limits, frames (see `survival` and
`competing_risks`).

Notation: n rows, m distinct exit times u_1 < … < u_m, K causes; S survival, F_k incidence of cause k, h_k the hazard
jump, n(u) the weight at risk, d(u) the weight of events. A row's influence on F_k at time t,

    I_k(t) = Σ_{u ≤ t} { I_S(u-) h_k(u) + S(u-) [dN_k(u) - Y(u) h_k(u)] / n(u) },

is A + B·F_k(t) + C·P_k(t), where A, B and C change only when the row enters or leaves and P_k is a fixed curve.
Sums of squares of a cluster's influence therefore need six running sums, not a matrix of rows by times.
Source: Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), ch. 6; Therneau, Crowson & Atkinson,
"Multi-state models and competing risks", vignette of R's survival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.models._frames import Floats, Ints, ModelInputError


@dataclass(frozen=True)
class Rows:
    """The rows of one group, those of weight 0 left out; all arrays have shape (n,). `cause` is 0 when censored."""

    entry: Floats
    exit: Floats
    cause: Ints
    weight: Floats
    cluster: Ints | None = None

    @classmethod
    def of(
        cls, entry: Floats, exit_: Floats, cause: Ints, weight: Floats, cluster: Ints | None, keep: np.ndarray
    ) -> Rows:
        """Return the rows marked by `keep`, without those of weight 0.

        Raises:
            ModelInputError: no row is left.
        """
        chosen = np.flatnonzero(keep & (weight > 0))
        if len(chosen) == 0:
            raise ModelInputError("All rows of a group have weight 0; leave the group out or weight it.")
        return cls(
            entry[chosen],
            exit_[chosen],
            cause[chosen],
            weight[chosen],
            None if cluster is None else cluster[chosen],
        )


@dataclass(frozen=True)
class ProductLimit:
    """The table of one group: shapes (m,) and (m, K); `entry_index` and `exit_index` place the n rows in it.

    A row is at risk at the times numbered `entry_index` to `exit_index`, both included.
    """

    causes: tuple[int, ...]
    time: Floats
    at_risk: Floats
    subjects_at_risk: Floats
    events: Floats
    censored: Floats
    survivors: Floats
    survival: Floats
    incidence: Floats
    entry_index: Ints
    exit_index: Ints

    @property
    def survival_before(self) -> Floats:
        return np.concatenate([[1.0], self.survival[:-1]])


def product_limit(rows: Rows, causes: Sequence[int]) -> ProductLimit:
    """Return counts, survival and cumulative incidences at each distinct exit time."""
    time, exit_index = np.unique(rows.exit, return_inverse=True)
    entry_index = _entry_index(time, rows.entry)
    size = len(time)
    by_cause = [_sum_at(exit_index, rows.weight * (rows.cause == cause), size) for cause in causes]
    events = np.column_stack(by_cause) if by_cause else np.zeros((size, 0))
    at_risk = _at_risk(entry_index, exit_index, rows.weight, size)
    subjects = _at_risk(entry_index, exit_index, np.ones_like(rows.weight), size)
    censored = _sum_at(exit_index, rows.weight * (rows.cause == 0), size)
    deaths = np.bincount(exit_index, weights=rows.cause > 0, minlength=size)
    # Weighted sums carry rounding; whether anyone is left is decided on whole numbers.
    survivors = np.where(deaths == subjects, 0.0, at_risk - events.sum(axis=1))
    survival = np.cumprod(survivors / at_risk)
    before = np.concatenate([[1.0], survival[:-1]])
    incidence = np.cumsum((before / at_risk)[:, None] * events, axis=0)
    return ProductLimit(
        tuple(causes),
        time,
        at_risk,
        subjects,
        events,
        censored,
        survivors,
        survival,
        incidence,
        entry_index,
        exit_index,
    )


def greenwood(table: ProductLimit) -> Floats:
    """Return Greenwood's variance of the survival curve, shape (m,); NaN once nobody survives."""
    deaths = table.events.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(deaths > 0, deaths / (table.at_risk * table.survivors), 0.0)
        return table.survival**2 * np.cumsum(terms)


@dataclass(frozen=True)
class Influence:
    """How the rows of a group move its incidence curves: changes of A, B and C, each cluster's in order of time.

    Position j stands for "from the j-th time on" (0: from the start); shapes (c,) and for `level` (c, K).
    `F` and `P` are the curves on positions 0 … m, shape (m + 1, K).
    """

    position: Ints
    cluster: Ints
    level: Floats
    on_incidence: Floats
    on_path: Floats
    F: Floats
    P: Floats

    @classmethod
    def of(cls, rows: Rows, table: ProductLimit) -> Influence:
        """Return the changes that entries and exits make, each already multiplied by the row's weight."""
        G, F, P = _paths(table)
        enter, leave = table.entry_index, table.exit_index + 1
        at_exit = table.exit_index
        is_event = rows.cause > 0
        left = table.survivors[at_exit]
        own_jump = np.divide(is_event, left, out=np.zeros(len(left)), where=left > 0)
        slope = own_jump - G[leave]
        mass = table.survival_before[at_exit] / table.at_risk[at_exit]
        level = np.empty((len(enter), 2, len(table.causes)))
        for k, cause in enumerate(table.causes):
            level[:, 0, k] = G[enter] * F[enter, k] - P[enter, k]
            level[:, 1, k] = P[leave, k] + slope * F[leave, k] + mass * (rows.cause == cause)
        level *= rows.weight[:, None, None]
        on_incidence = np.column_stack([-G[enter], -slope]) * rows.weight[:, None]
        on_path = np.column_stack([rows.weight, -rows.weight])
        position = np.column_stack([enter, leave])
        cluster = np.arange(len(enter)) if rows.cluster is None else rows.cluster
        changes = cls(
            position.ravel(),
            np.repeat(cluster, 2),
            level.reshape(-1, len(table.causes)),
            on_incidence.ravel(),
            on_path.ravel(),
            F,
            P,
        )
        return changes if (np.diff(cluster) > 0).all() else changes._sorted()

    def _sorted(self) -> Influence:
        order = np.lexsort((self.position, self.cluster))
        return Influence(
            self.position[order],
            self.cluster[order],
            self.level[order],
            self.on_incidence[order],
            self.on_path[order],
            self.F,
            self.P,
        )

    def variance(self) -> Floats:
        """Return the variance of each incidence at each time, shape (m, K)."""
        B, C = self._running(self.on_incidence), self._running(self.on_path)
        BB, BC, CC = self._summed(B, B), self._summed(B, C), self._summed(C, C)
        result = np.empty((len(self.F) - 1, self.F.shape[1]))
        for k in range(self.F.shape[1]):
            A = self._running(self.level[:, k])
            F, P = self.F[1:, k], self.P[1:, k]
            square = self._summed(A, A) + F * (2 * self._summed(A, B) + F * BB)
            result[:, k] = square + P * (2 * self._summed(A, C) + P * CC + 2 * F * BC)
        return np.maximum(result, 0.0)

    def at(self, place: int, clusters: int) -> Floats:
        """Return each cluster's influence on the incidences at one position, shape (clusters, K)."""
        made = self.position <= place
        moved = self.level + np.outer(self.on_incidence, self.F[place]) + np.outer(self.on_path, self.P[place])
        columns = [np.bincount(self.cluster[made], moved[made, k], clusters) for k in range(self.F.shape[1])]
        return np.column_stack(columns)

    def of_areas(self, widths: Floats, clusters: int) -> Floats:
        """Return each cluster's influence on the areas under the incidences, shape (clusters, K).

        `widths`, shape (m + 1,), holds the time spent at each position within the window.
        """
        remaining = _tail_sums(widths[:, None])
        area_F = _tail_sums(widths[:, None] * self.F)
        area_P = _tail_sums(widths[:, None] * self.P)
        columns = []
        for k in range(self.F.shape[1]):
            moved = (
                self.level[:, k] * remaining[self.position, 0]
                + self.on_incidence * area_F[self.position, k]
                + self.on_path * area_P[self.position, k]
            )
            columns.append(np.bincount(self.cluster, weights=moved, minlength=clusters))
        return np.column_stack(columns)

    def _running(self, change: Floats) -> tuple[Floats, Floats]:
        """Return the cluster's value before and after each change."""
        total = np.cumsum(change)
        starts = np.flatnonzero(np.diff(self.cluster, prepend=-1))
        offset = np.repeat(np.concatenate([[0.0], total])[starts], np.diff(np.append(starts, len(change))))
        after = total - offset
        return after - change, after

    def _summed(self, left: tuple[Floats, Floats], right: tuple[Floats, Floats]) -> Floats:
        """Return Σ over clusters of left × right at times 1 … m."""
        change = left[1] * right[1] - left[0] * right[0]
        return np.cumsum(np.bincount(self.position, weights=change, minlength=len(self.F)))[1:]


def _paths(table: ProductLimit) -> tuple[Floats, Floats, Floats]:
    """Return G = Σ d / (n (n - d)), F and P = Σ S(u-) h_k(u) [G(u-) - 1/n(u)] on positions 0 … m."""
    deaths = table.events.sum(axis=1)
    terms = np.divide(deaths, table.at_risk * table.survivors, out=np.zeros_like(deaths), where=table.survivors > 0)
    G = np.concatenate([[0.0], np.cumsum(terms)])
    jumps = (table.survival_before / table.at_risk)[:, None] * table.events
    nothing = np.zeros((1, table.events.shape[1]))
    P = np.cumsum(jumps * (G[:-1] - 1.0 / table.at_risk)[:, None], axis=0)
    return G, np.vstack([nothing, table.incidence]), np.vstack([nothing, P])


def _entry_index(time: Floats, entry: Floats) -> Ints:
    if np.isneginf(entry).all():
        return np.zeros(len(entry), dtype=np.int64)
    return np.searchsorted(time, entry, side="right")


def _at_risk(entry_index: Ints, exit_index: Ints, weight: Floats, size: int) -> Floats:
    """Return the weight at risk at each time, shape (m,)."""
    total = _tail_sums(_sum_at(exit_index, weight, size)[:, None])[:, 0]
    if not entry_index.any():
        return total
    not_yet = _tail_sums(_sum_at(entry_index, weight, size + 1)[:, None])[1:, 0]
    return total - not_yet


def _sum_at(index: Ints, values: Floats, size: int) -> Floats:
    return np.bincount(index, weights=values, minlength=size)


def _tail_sums(values: Floats) -> Floats:
    return np.cumsum(values[::-1], axis=0)[::-1]
