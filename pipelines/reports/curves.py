"""Curves made coarse enough to leave: which times of a step function may be shown.

A curve is shown at a few cut points. Between two neighbouring cuts every count that the picture gives away (events,
deaths where they are drawn, all who left) is 0 or at least the minimum, and at least the minimum are at risk at each
cut; where no further cut is possible the curve ends. Joining two such intervals gives such an interval again, so a cut
may always be dropped. Which tables curves come from is for `counts.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cuts:
    """Times at which a curve may be shown, 0 included, with the number at risk just after each."""

    times: tuple[float, ...]
    at_risk: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the start may be shown."""
        return len(self.times) < 2


def safe_cuts(
    leaving: Sequence[np.ndarray], grid: Sequence[float], minimum: int, worth: Mapping[float, float] | None = None
) -> Cuts:
    """The safe choice among the grid's times that is worth most (as many cuts as possible, where all count the same).

    Args:
        leaving: times at which subjects leave, one array per kind that the picture tells apart (events, deaths,
            censorings; kinds that it does not tell apart go into one array).
        grid: candidate times after 0, ascending.
        minimum: smallest count that may be shown.
        worth: what a cut at a time is worth (a horizon much, a tick of the axis some); 1 where not named.
    """
    total = sum(len(kind) for kind in leaving)
    if total < minimum:
        return Cuts((), ())
    points = [0.0, *[float(t) for t in grid]]
    upto = counted_upto(leaving, points)
    at_risk = total - upto.sum(axis=0)
    chosen = best_cuts(upto, points, at_risk >= minimum, minimum, worth or {})
    return Cuts(tuple(points[j] for j in chosen), tuple(int(at_risk[j]) for j in chosen))


def counted_upto(kinds: Sequence[np.ndarray], points: Sequence[float]) -> np.ndarray:
    """How many of each kind lie at or before each point, shape (kinds, points); none at the start, which is 0."""
    return np.array([[int((kind <= t).sum()) if t > 0 else 0 for t in points] for kind in kinds])


def best_cuts(
    upto: np.ndarray, points: Sequence[float], may_stand: np.ndarray, minimum: int, worth: Mapping[float, float]
) -> list[int]:
    """The places among the points, the first included, that are worth most, each interval between them safe."""
    best: list[tuple[float, int]] = [(0.0, -1)] + [(-1.0, -1)] * (len(points) - 1)
    for j in range(1, len(points)):
        if not may_stand[j]:
            continue
        for i in range(j):
            if best[i][0] >= 0 and is_safe(upto[:, j] - upto[:, i], minimum):
                best[j] = max(best[j], (best[i][0] + worth.get(points[j], 1.0), i))
    end = max(range(len(points)), key=lambda j: (best[j][0], -j))
    chosen: list[int] = []
    while end != -1:
        chosen.append(end)
        end = best[end][1]
    return chosen[::-1]


def agreeing(grid: Sequence[float], one: np.ndarray, other: np.ndarray, minimum: int) -> list[float]:
    """The times at which two curves of the same patients may both be read: nobody or many have one event alone.

    Args:
        grid: candidate times.
        one: each patient's time of the first curve's event, infinite without one.
        other: the same patients' times of the second curve's event.
        minimum: smallest count that may be shown.
    """
    return [
        day
        for day in grid
        if is_safe(np.array([((one <= day) & ~(other <= day)).sum(), ((other <= day) & ~(one <= day)).sum()]), minimum)
    ]


def is_safe(counts: np.ndarray, minimum: int) -> bool:
    """Each kind, and all together, 0 or at least the minimum."""
    return bool(np.all((counts == 0) | (counts >= minimum)))


def value_at(times: np.ndarray, values: np.ndarray, cuts: Sequence[float], start: float) -> np.ndarray:
    """A right-continuous step function at the cut points; `start` before its first step."""
    place = np.searchsorted(times, np.asarray(cuts), side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], start)
