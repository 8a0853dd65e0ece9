"""State occupation probabilities and the infinitesimal jackknife of them, without a subject-by-time table.

Belongs here: the Aalen-Johansen product and each subject's influence on it. Does not belong here: frames, groups and
checks of the rows (`multistate`).

With T(t) the matrix of transitions at time t and p the row of occupation probabilities, a subject's influence follows

    U(t) = U(t-) T(t) + p_s(t-) (e_dest - T_s(t)) / n_s(t)      (s the state it is at risk in, dest where it is next)

All subjects at risk in the same state get the same increment as long as they do not move. On a stretch of times over
which the product Ψ of the T can be inverted, U Ψ⁻¹ is therefore A + C_s(t), with A constant between a subject's own
moves and C_s one curve per state; sums of squares over subjects need a few running sums. Where a state empties, T has
no inverse and that one step is made for every subject.
Source: Andersen, Borgan, Gill & Keiding, Statistical Models Based on Counting Processes (1993), section IV.4;
Therneau, Crowson & Atkinson, "Multi-state models and competing risks", vignette of R's survival.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.models._frames import Floats, Ints

MAX_STRETCH = 131_072
# A stretch ends when some state has kept less than this share of those who were in it at the stretch's start.
SHARE_KEPT = 1e-3


@dataclass(frozen=True)
class Sojourns:
    """Stays of subjects in states on (start, stop], sorted by subject and time, without overlap; shape (r,).

    `to` equals `state` when the stay ends without a move.
    """

    subject: Ints
    state: Ints
    to: Ints
    start: Floats
    stop: Floats
    subjects: int
    states: int


@dataclass(frozen=True)
class Occupation:
    """Results on the m distinct stop times, preceded by the origin: shapes (m + 1,), (m + 1, S); areas (S,)."""

    time: Floats
    at_risk: Floats
    probability: Floats
    variance: Floats
    area: Floats
    area_variance: Floats


def occupation(sojourns: Sojourns, origin: float, tau: float) -> Occupation:
    """Return occupation probabilities from `origin` on, and the time spent in each state up to `tau`."""
    return _Walk(sojourns, origin, tau).run()


class _Walk:
    """Walks through the distinct times, carrying each subject's influence U, shape (n, S), and its area."""

    def __init__(self, sojourns: Sojourns, origin: float, tau: float):
        self.rows = sojourns
        times, index = np.unique(sojourns.stop, return_inverse=True)
        self.time = np.concatenate([[origin], times])
        self.enter = np.searchsorted(times, sojourns.start, side="right")
        self.leave = index + 1
        self.moves = np.flatnonzero(sojourns.to != sojourns.state)
        self.moves = self.moves[np.argsort(self.leave[self.moves], kind="stable")]
        self.move_times = self.leave[self.moves]
        self.at_risk = self._numbers_at_risk()
        clipped = np.clip(self.time, origin, tau)
        self.width = np.diff(np.append(clipped, max(tau, clipped[-1])))
        self.probability = np.zeros((len(self.time), sojourns.states))
        self.variance = np.zeros_like(self.probability)
        self.influence = self._start(origin)
        self.area_influence = np.zeros_like(self.influence)

    def run(self) -> Occupation:
        last = len(self.time) - 1
        for begin in range(0, last, MAX_STRETCH):
            end = min(begin + MAX_STRETCH, last)
            steps = self._transitions(begin, end)
            for low, high, invertible in _stretches(steps):
                part = steps[low:high]
                if invertible:
                    self._stretch(begin + low, begin + high, part)
                else:
                    self._single_step(begin + high, part[0])
        self.area_influence += self.width[last] * self.influence
        return Occupation(
            self.time,
            self.at_risk,
            self.probability,
            np.maximum(self.variance, 0.0),
            self.width @ self.probability,
            (self.area_influence**2).sum(axis=0),
        )

    def _start(self, origin: float) -> Floats:
        """Set the initial distribution and return each subject's influence on it."""
        rows = self.rows
        present = np.flatnonzero(rows.start == origin)
        share = np.bincount(rows.state[present], minlength=rows.states) / len(present)
        influence = np.zeros((rows.subjects, rows.states))
        influence[rows.subject[present]] = -share / len(present)
        influence[rows.subject[present], rows.state[present]] += 1.0 / len(present)
        self.probability[0] = share
        self.variance[0] = (influence**2).sum(axis=0)
        return influence

    def _numbers_at_risk(self) -> Floats:
        """Return the subjects at risk in each state at each time (at the origin: just after it), shape (m + 1, S)."""
        rows, size = self.rows, len(self.time)
        cells = size * rows.states

        def counted(position: Ints) -> Floats:
            inside = position < size
            cell = position[inside] * rows.states + rows.state[inside]
            return np.cumsum(np.bincount(cell, minlength=cells).reshape(size, rows.states), axis=0)

        at_risk = counted(self.enter + 1) - counted(self.leave + 1)
        at_risk[0] = np.bincount(rows.state[rows.start == self.time[0]], minlength=rows.states)
        return at_risk.astype(np.float64)

    def _moves_between(self, low: int, high: int) -> Ints:
        """Return the rows that move at positions low + 1 … high."""
        first, last = np.searchsorted(self.move_times, [low + 1, high + 1])
        return self.moves[first:last]

    def _transitions(self, low: int, high: int) -> Floats:
        """Return T at positions low + 1 … high, shape (high - low, S, S)."""
        rows, size = self.rows, self.rows.states
        moved = self._moves_between(low, high)
        step = self.leave[moved] - low - 1
        cell = (step * size + rows.state[moved]) * size + rows.to[moved]
        counts = np.bincount(cell, minlength=(high - low) * size * size).reshape(-1, size, size)
        at_risk = self.at_risk[low + 1 : high + 1, :, None]
        steps = np.divide(counts, at_risk, out=np.zeros(counts.shape), where=at_risk > 0)
        leaving = counts.sum(axis=2)
        at_risk = at_risk[:, :, 0]
        stay = np.divide(at_risk - leaving, at_risk, out=np.ones(leaving.shape), where=at_risk > 0)
        steps[:, np.arange(size), np.arange(size)] = stay
        return steps

    def _weight(self, position: Ints, state: Ints) -> Floats:
        """Return p_s(t-) / n_s(t) of a row that is at risk at a position."""
        return self.probability[position - 1, state] / self.at_risk[position, state]

    def _single_step(self, position: int, step: Floats) -> None:
        """Make one step for every subject, without an inverse."""
        rows = self.rows
        self.area_influence += self.width[position - 1] * self.influence
        self.influence = self.influence @ step
        here = np.flatnonzero((self.enter < position) & (self.leave >= position))
        state = rows.state[here]
        moved_to = np.where(self.leave[here] == position, rows.to[here], state)
        increment = -step[state]
        increment[np.arange(len(here)), moved_to] += 1.0
        increment *= self._weight(np.full(len(here), position), state)[:, None]
        self.influence[rows.subject[here]] += increment
        self.probability[position] = self.probability[position - 1] @ step
        self.variance[position] = (self.influence**2).sum(axis=0)

    def _stretch(self, low: int, high: int, steps: Floats) -> None:
        """Carry everyone from position `low` to `high` with running sums."""
        product = running_product(steps)
        inverse = np.linalg.inv(product)
        self.probability[low : high + 1] = self.probability[low] @ product
        paths = self._paths(low, high, steps, inverse)
        changes = self._changes(low, high, inverse, paths)
        moment = self._second_moment(changes, paths)
        self.variance[low + 1 : high + 1] = ((moment @ product) * product).sum(axis=1)[1:]
        self._add_areas(low, high, product, paths, changes)
        self._carry_on(high, product[-1], paths[-1], changes)

    def _paths(self, low: int, high: int, steps: Floats, inverse: Floats) -> Floats:
        """Return the curves C_s on positions low … high, shape (k + 1, S, S)."""
        at_risk = self.at_risk[low + 1 : high + 1]
        weight = np.divide(self.probability[low:high], at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
        common = weight[:, :, None] * ((np.eye(self.rows.states) - steps) @ inverse[1:])
        return np.concatenate([np.zeros_like(common[:1]), np.cumsum(common, axis=0)])

    def _changes(self, low: int, high: int, inverse: Floats, paths: Floats) -> _Changes:
        """Return the entries into and exits from states within the stretch, each subject's in order of time."""
        rows = self.rows
        held = np.flatnonzero((self.enter < high) & (self.leave > low))
        has_left = self.leave[held] <= high
        # A subject's stays follow each other, so entry, exit, entry, … in the order of the rows is the order of time.
        is_there = np.stack([np.ones_like(has_left), has_left], axis=1).ravel()
        enter_at = np.maximum(self.enter[held] - low, 0)
        leave_at = np.minimum(self.leave[held], high) - low
        state = rows.state[held]
        change = np.empty((len(held), 2, rows.states))
        np.negative(paths[enter_at, state], out=change[:, 0])
        change[:, 1] = paths[leave_at, state] + self._jumps(held, leave_at, low, inverse)
        subject = np.repeat(rows.subject[held], 2)[is_there]
        change = change.reshape(-1, rows.states)[is_there]
        level = np.cumsum(change, axis=0)
        first = np.flatnonzero(np.diff(subject, prepend=-1))
        base = np.concatenate([np.zeros((1, rows.states)), level])[first]
        level += np.repeat(self.influence[subject[first]] - base, np.diff(np.append(first, len(subject))), axis=0)
        return _Changes(
            subject,
            np.stack([enter_at, leave_at], axis=1).ravel()[is_there],
            np.repeat(state, 2)[is_there],
            np.tile([True, False], len(held))[is_there],
            change,
            level,
        )

    def _jumps(self, held: Ints, leave_at: Ints, low: int, inverse: Floats) -> Floats:
        """Return what a row's own move adds to its subject, shape (rows, S); nothing where it has not moved."""
        state, to = self.rows.state[held], self.rows.to[held]
        jumps = np.zeros((len(held), self.rows.states))
        moved = np.flatnonzero((to != state) & (self.leave[held] == leave_at + low))
        at, origin = leave_at[moved], state[moved]
        jumps[moved] = inverse[at, to[moved]] - inverse[at, origin]
        jumps[moved] *= self._weight(at + low, origin)[:, None]
        return jumps

    def _second_moment(self, changes: _Changes, paths: Floats) -> Floats:
        """Return Σ over subjects of the outer square of A + C_s at each position, shape (k + 1, S, S)."""
        positions, size = paths.shape[0], paths.shape[1]
        at, level = changes.position, changes.level
        before = level - changes.change
        sign = np.where(changes.is_entry, 1.0, -1.0)
        held = np.where(changes.is_entry[:, None], level, before) * sign[:, None]
        cell, cells = at * size + changes.state, positions * size
        members = np.cumsum(np.bincount(cell, sign, cells).reshape(positions, size), axis=0)
        total = np.stack([np.bincount(cell, held[:, b], cells).reshape(positions, size) for b in range(size)], axis=2)
        # Σ over states of X'C + C'X + n C'C, with half of the last in each of the first two.
        crossed = (np.cumsum(total, axis=0) + 0.5 * members[:, :, None] * paths).transpose(0, 2, 1) @ paths
        moment = crossed + crossed.transpose(0, 2, 1)
        moment += self.influence.T @ self.influence
        for a in range(size):
            for b in range(a + 1):
                product = level[:, a] * level[:, b] - before[:, a] * before[:, b]
                summed = np.cumsum(np.bincount(at, product, positions))
                moment[:, a, b] += summed
                if a != b:
                    moment[:, b, a] += summed
        return moment

    def _add_areas(self, low: int, high: int, product: Floats, paths: Floats, changes: _Changes) -> None:
        """Add ∫ U dt over the stretch to each subject's area."""
        width = self.width[low:high, None, None]
        if not width.any():
            return
        tail = _tails(product[:-1] * width)
        tail_of_paths = _tails((paths[:-1] @ product[:-1]) * width)
        self.area_influence += self.influence @ tail[0]
        at = changes.position
        added = np.where(changes.is_entry, 1.0, -1.0)[:, None] * tail_of_paths[at, changes.state]
        for a in range(self.rows.states):
            added += changes.change[:, a, None] * tail[at, a]
        for b in range(self.rows.states):
            self.area_influence[:, b] += np.bincount(changes.subject, added[:, b], self.rows.subjects)

    def _carry_on(self, high: int, product: Floats, path: Floats, changes: _Changes) -> None:
        """Set each subject's influence at the end of the stretch."""
        last = np.flatnonzero(np.diff(changes.subject, append=-1))
        ended = changes.level[last]
        inside = changes.is_entry[last]
        ended[inside] += path[changes.state[last][inside]]
        self.influence[changes.subject[last]] = ended
        self.influence = self.influence @ product


@dataclass(frozen=True)
class _Changes:
    """Moves in and out of states, sorted by subject and time: shape (c,); `change` of A and A after it, (c, S)."""

    subject: Ints
    position: Ints
    state: Ints
    is_entry: np.ndarray
    change: Floats
    level: Floats


def running_product(steps: Floats) -> Floats:
    """Return I, T_1, T_1 T_2, …, shape (k + 1, S, S), block by block so that numpy does the loop."""
    count, size = steps.shape[0], steps.shape[1]
    block = max(1, int(np.sqrt(count)))
    blocks = -(-count // block)
    padded = np.broadcast_to(np.eye(size), (blocks * block, size, size)).copy()
    padded[:count] = steps
    within = padded.reshape(blocks, block, size, size)
    for j in range(1, block):
        within[:, j] = within[:, j - 1] @ within[:, j]
    before = np.empty((blocks, size, size))
    before[0] = np.eye(size)
    for i in range(1, blocks):
        before[i] = before[i - 1] @ within[i - 1, -1]
    product = (before[:, None] @ within).reshape(-1, size, size)[:count]
    return np.concatenate([np.eye(size)[None], product])


def _stretches(steps: Floats) -> Iterator[tuple[int, int, bool]]:
    """Yield consecutive ranges of steps and whether their product may be inverted."""
    kept = np.diagonal(steps, axis1=1, axis2=2)
    emptied = (kept < SHARE_KEPT).any(axis=1)
    loss = np.cumsum(-np.log(np.maximum(kept, SHARE_KEPT)), axis=0)
    singular = np.append(np.flatnonzero(emptied), len(steps))
    low = 0
    while low < len(steps):
        stop = int(singular[np.searchsorted(singular, low)])
        if stop == low:
            yield low, low + 1, False
            low += 1
            continue
        before = loss[low - 1] if low else np.zeros(loss.shape[1])
        limit = before - np.log(SHARE_KEPT)
        reach = min(int(np.searchsorted(loss[:, s], limit[s], side="right")) for s in range(loss.shape[1]))
        high = min(stop, max(reach, low + 1))
        yield low, high, True
        low = high


def _tails(values: Floats) -> Floats:
    """Return sums from each position to the end, with a last row of zeros."""
    tails = np.cumsum(values[::-1], axis=0)[::-1]
    return np.concatenate([tails, np.zeros_like(tails[:1])])
