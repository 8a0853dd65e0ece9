"""Which states of a ladder may be drawn apart over time, so that no band and no change of one is of few patients.

A band is a state, or several that are drawn together because too few patients were ever in one of them. At each cut
every band holds no patient under observation or at least the minimum; between neighbouring cuts those entering a band,
those leaving the band in which all began, and those no longer observed are none or at least the minimum. What else
leaves a band is seen only as the difference of many moves. Curves of events are for `curves.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.reports.curves import Cuts, best_cuts, counted_upto, is_safe

DEATH = "death"


@dataclass(frozen=True)
class Bands:
    """Bands in the order in which they are stacked, each with its states, and the cuts at which they may be shown."""

    states: tuple[tuple[str, ...], ...]
    cuts: Cuts

    @property
    def is_empty(self) -> bool:
        """Whether nothing may be shown: no time after the start, or nowhere else to be than at the start."""
        return self.cuts.is_empty or len(self.states) < 2


@dataclass(frozen=True)
class _Moves:
    """Patients' moves as arrays: time, state left, state entered (None where observation ended); and the start."""

    time: np.ndarray
    left: np.ndarray
    entered: np.ndarray
    start: str
    patients: int


def safe_bands(
    stays: pl.DataFrame,
    start: str,
    states: Sequence[str],
    grid: Sequence[float],
    minimum: int,
    worth: Mapping[float, float] | None = None,
) -> Bands:
    """The bands and cuts that show most: the most bands times the time that they are shown for, then the best cuts.

    Args:
        stays: patient_id, stop_days, from_state, to_state of patients who all began in `start`.
        start: the state in which they began.
        states: all states in the order in which they are stacked.
        grid: candidate times after 0, ascending.
        minimum: smallest count that may be shown.
        worth: what a cut at a time is worth; 1 where not named.
    """
    moves = _Moves(
        stays["stop_days"].to_numpy(),
        stays["from_state"].cast(pl.String).to_numpy(),
        stays["to_state"].cast(pl.String).to_numpy(),
        start,
        stays["patient_id"].n_unique(),
    )
    if moves.patients < minimum:
        return Bands((), Cuts((), ()))
    found = []
    for bands in _partitions(moves, states):
        cuts = _cuts(moves, bands, grid, minimum, worth or {})
        found.append(Bands(_reached(moves, bands, cuts.times[-1]), cuts))
    return max(found, key=lambda b: ((len(b.states) - 1) * b.cuts.times[-1], len(b.cuts.times)))


def _reached(moves: _Moves, bands: Sequence[tuple[str, ...]], day: float) -> tuple[tuple[str, ...], ...]:
    """The bands that somebody is in by a day; none but the first shows nothing."""
    seen = set(moves.entered[(moves.time <= day) & (moves.time > 0)].tolist()) | {moves.start}
    return tuple(band for band in bands if seen & set(band))


def _partitions(moves: _Moves, states: Sequence[str]) -> list[tuple[tuple[str, ...], ...]]:
    """States ever entered, the rarest ones together: none, two, three … of them, up to all but the start."""
    entries = {state: int((moves.entered == state).sum()) for state in states}
    visited = [state for state in states if entries[state] or state == moves.start]
    rare = sorted((s for s in visited if s != moves.start), key=lambda s: (entries[s], states.index(s)))
    found: list[tuple[tuple[str, ...], ...]] = []
    for size in (0, *range(2, len(rare) + 1)):
        pool = tuple(s for s in visited if s in rare[:size])
        apart: list[tuple[str, ...]] = [(s,) for s in visited if s not in pool]
        if not pool:
            found.append(tuple(apart))
            continue
        place = len(apart) if DEATH in pool or (DEATH,) not in apart else apart.index((DEATH,))
        found.append((*apart[:place], pool, *apart[place:]))
    return found


def _cuts(
    moves: _Moves, bands: Sequence[tuple[str, ...]], grid: Sequence[float], minimum: int, worth: Mapping[float, float]
) -> Cuts:
    points = [0.0, *[float(t) for t in grid]]
    known = {state for band in bands for state in band}
    is_out = ~np.isin(moves.entered, list(known))
    kinds, held = [moves.time[is_out]], []
    for band in bands:
        was, goes = np.isin(moves.left, band), np.isin(moves.entered, band)
        entries, exits = moves.time[goes & ~was], moves.time[was & ~goes & ~is_out]
        kinds += [entries, exits] if moves.start in band else [entries]
        gone = counted_upto([entries, exits, moves.time[was & is_out]], points)
        held.append((moves.patients if moves.start in band else 0) + gone[0] - gone[1] - gone[2])
    upto = counted_upto(kinds, points)
    may_stand = np.array([is_safe(np.array([counts[j] for counts in held]), minimum) for j in range(len(points))])
    chosen = best_cuts(upto, points, may_stand, minimum, worth)
    at_risk = moves.patients - upto[0]
    return Cuts(tuple(points[j] for j in chosen), tuple(int(at_risk[j]) for j in chosen))
