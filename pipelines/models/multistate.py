"""Multi-state estimates: the chance of being in each state over time, and the expected time spent there.

Belongs here: the public functions and the checks on rows of stays. Does not belong here: the product-limit arithmetic
(`_occupation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.models._frames import (
    ESTIMABLE,
    ModelInputError,
    follow_up_times,
    groups_of,
    not_estimable,
    nullable,
    require_columns,
)
from pipelines.models._occupation import Occupation, Sojourns, occupation

CENSORED = ("censor", "censored")


def state_occupation(
    frame: pl.DataFrame,
    subject: str,
    start: str,
    stop: str,
    from_state: str,
    to_state: str,
    states: Sequence[str],
    group: str | None = None,
) -> pl.DataFrame:
    """Return the Aalen-Johansen probability of each state over time, a row per group, distinct time and state.

    A row of the frame is a stay in `from_state` on (start, stop] that ends with a move to `to_state`, or without one
    (null, `censor`, or the same state). A subject's rows follow each other without overlap, each beginning in the
    state the one before ended in. Columns: group, time, state, estimate, std_error, at_risk (in that state just before
    the time). The first time is the earliest start; its probabilities are the shares of the states there. Standard
    errors are the infinitesimal jackknife's, by subject.

    Raises:
        ModelInputError: unknown columns or states, missing values, overlapping or contradictory rows of a subject.
    Source: Aalen & Johansen, Scandinavian Journal of Statistics 5 (1978) 141-150.
    """
    pieces = []
    for stays in _stays_by_group(frame, subject, start, stop, from_state, to_state, states, group):
        result = occupation(stays.sojourns, stays.origin, stays.origin)
        pieces.append(_curve_frame(stays, result, states))
    return pl.concat(pieces)


def time_in_state(
    frame: pl.DataFrame,
    subject: str,
    start: str,
    stop: str,
    from_state: str,
    to_state: str,
    states: Sequence[str],
    group: str | None = None,
    *,
    tau: float,
) -> pl.DataFrame:
    """Return the expected time spent in each state up to `tau`: group, state, estimate, std_error, status.

    Rows are those of `state_occupation`; the times of all states add up to tau less the earliest start. Where
    follow-up of a group ends before `tau` while some may still move, its numbers are null and `status` says so.

    Raises:
        ModelInputError: as `state_occupation`, or tau not later than the earliest start.
    """
    pieces = []
    for stays in _stays_by_group(frame, subject, start, stop, from_state, to_state, states, group):
        if not tau > stays.origin:
            raise ModelInputError(f"tau must be later than the earliest start, it is {tau}.")
        result = occupation(stays.sojourns, stays.origin, tau)
        status = _status(stays, result, tau)
        blank = np.nan if status != ESTIMABLE else 1.0
        pieces.append(
            pl.DataFrame(
                {
                    "group": stays.level.new_from_index(0, len(states)),
                    "state": list(states),
                    "estimate": nullable(result.area * blank),
                    "std_error": nullable(np.sqrt(result.area_variance) * blank),
                    "status": [status] * len(states),
                }
            )
        )
    return pl.concat(pieces)


@dataclass(frozen=True)
class _Stays:
    level: pl.Series
    origin: float
    sojourns: Sojourns


def _stays_by_group(
    frame: pl.DataFrame,
    subject: str,
    start: str,
    stop: str,
    from_state: str,
    to_state: str,
    states: Sequence[str],
    group: str | None,
) -> Iterator[_Stays]:
    """Yield the checked stays of each group, subjects numbered within it."""
    if len(set(states)) != len(states):
        raise ModelInputError("states must name each state once.")
    require_columns(frame, [subject, start, stop, from_state, group])
    if to_state not in frame.columns:
        raise ModelInputError(f"The frame has no column {to_state}; name columns that exist.")
    begin, end = follow_up_times(frame, stop, start)
    number = {str(name): code for code, name in enumerate(states)}
    origin_code = _coded(frame[from_state].cast(pl.String), number)
    ends = frame[to_state].cast(pl.String)
    goal = _coded(ends.set(ends.is_in(CENSORED), None), number)
    table = pl.DataFrame(
        {
            "subject": frame[subject].rank("dense").cast(pl.Int64),
            "start": begin,
            "stop": end,
            "state": origin_code,
            "to": goal.fill_null(origin_code),
            "group": groups_of(frame, group).codes,
        }
    ).sort("subject", "start")
    _check_rows(table)
    groups = groups_of(frame, group)
    for code in range(groups.count):
        part = table.filter(pl.col("group") == code)
        subjects = part["subject"].rank("dense").to_numpy().astype(np.int64) - 1
        columns = {name: part[name].to_numpy() for name in ("state", "to", "start", "stop")}
        sojourns = Sojourns(subject=subjects, subjects=int(subjects[-1]) + 1, states=len(states), **columns)
        yield _Stays(groups.levels[code : code + 1], float(sojourns.start.min()), sojourns)


def _coded(values: pl.Series, number: dict[str, int]) -> pl.Series:
    codes = values.replace_strict(number, default=None, return_dtype=pl.Int64)
    if codes.null_count() > values.null_count():
        raise ModelInputError(f"Column {values.name} holds states that are not among those listed in states.")
    return codes


def _check_rows(table: pl.DataFrame) -> None:
    """Refuse rows of one subject that overlap, contradict each other, or lie in two groups."""
    following = pl.col("subject") == pl.col("subject").shift(1)
    faults = table.select(
        overlap=(following & (pl.col("start") < pl.col("stop").shift(1))).sum(),
        jump=(following & (pl.col("state") != pl.col("to").shift(1))).sum(),
        moved=(following & (pl.col("group") != pl.col("group").shift(1))).sum(),
    ).row(0, named=True)
    if faults["overlap"]:
        raise ModelInputError(f"{faults['overlap']} rows begin before the subject's row before them has ended.")
    if faults["jump"]:
        raise ModelInputError(
            f"{faults['jump']} rows begin in another state than the one the subject's row before them ended in."
        )
    if faults["moved"]:
        raise ModelInputError(f"{faults['moved']} rows lie in another group than the subject's row before them.")


def _curve_frame(stays: _Stays, result: Occupation, states: Sequence[str]) -> pl.DataFrame:
    times, size = len(result.time), len(states)
    return pl.DataFrame(
        {
            "group": stays.level.new_from_index(0, times * size),
            "time": np.repeat(result.time, size),
            "state": list(states) * times,
            "estimate": result.probability.ravel(),
            "std_error": nullable(np.sqrt(result.variance).ravel()),
            "at_risk": result.at_risk.ravel().astype(np.int64),
        }
    )


def _status(stays: _Stays, result: Occupation, tau: float) -> str:
    """Return whether follow-up carries to tau: it does when it lasts that long, or nobody can move any more."""
    if result.time[-1] >= tau:
        return ESTIMABLE
    can_leave = np.unique(stays.sojourns.state)
    if result.probability[-1, can_leave].sum() <= 0:
        return ESTIMABLE
    return not_estimable("follow-up of a group ends before tau")
