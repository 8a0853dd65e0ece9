"""A row of a table of contrasts as a cell: its estimate with limits, or why there is none, and the trace of the row."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from pipelines.reports import numbers
from pipelines.reports.content import Shown
from pipelines.reports.ledger import Key
from pipelines.reports.study import Study


def estimate_cell(study: Study, row: Mapping[str, Any], digits: int, *rests_on: Key, scale: float = 1.0) -> Shown:
    """`−0.9 (−1.4 to −0.4)` if it rests on enough patients, else what stands in for it.

    Args:
        study: the study with its gate.
        row: with estimate, ci_low, ci_high, status and, if it has one, trace.
        digits: decimals.
        rests_on: keys of the counts that it rests on.
        scale: what the numbers are multiplied by, as 100 for per cent.
    """
    trace = row.get("trace") or ""
    if row["status"] != "estimable" or row["estimate"] is None:
        return Shown(row["status"], is_withheld=True, trace=trace)
    text = numbers.with_limits(row["estimate"], row["ci_low"], row["ci_high"], digits, scale)
    return replace(study.gate.text(text, *rests_on), trace=trace)


def withheld_notes(study: Study, frames: Iterable[pl.DataFrame]) -> tuple[str, ...]:
    """Why contrasts are withheld, a sentence for all of them; nothing where none is."""
    names = {contrast.name: study.versus(contrast) for contrast in study.protocol.contrasts}
    reasons: dict[str, list[str]] = {}
    for frame in frames:
        for name, reason in frame.filter(pl.col("status") == "withheld").select("contrast", "reason").unique().rows():
            if name in names and reason and reason not in reasons.setdefault(name, []):
                reasons[name].append(reason)
    said = [f"{names[name]} ({'; '.join(found).replace('failed: ', 'failed ')})" for name, found in reasons.items()]
    return (
        (f"Withheld: {numbers.listed(sorted(said))}. [What was withheld](#withheld) says what was found.",)
        if said
        else ()
    )
