"""How numbers and counts are withheld from rows that leave: the helpers of all rules.

Belongs here: what more than one rule does. Does not belong here: which table asks for what (the modules beside it).
"""

from collections.abc import Callable, Mapping

import polars as pl

from pipelines.reports.ledger import Key
from pipelines.reports.study import Study

_COUNTS = ("count", "subjects", "events", "responders", "at_risk", "subjects_at_risk", "walks", "expected", "missing")
_SMALL = "small number of patients"
Row = Mapping[str, object]
KeyOf = Callable[[Row], Key]


def each(frame: pl.DataFrame, is_so: Callable[[Row], bool]) -> pl.Series:
    """Whether it is so of each row."""
    return pl.Series([is_so(row) for row in frame.iter_rows(named=True)], dtype=pl.Boolean)


def withheld(frame: pl.DataFrame, is_enough: pl.Series) -> pl.DataFrame:
    """The rows with their numbers taken out where they do not rest on enough patients."""
    said = {"status": pl.lit("withheld"), "reason": pl.lit(_SMALL)}
    numbers = {name: pl.lit(None, kind) for name, kind in frame.schema.items() if kind.is_float()}
    taken = {name: value for name, value in (numbers | said).items() if name in frame.columns}
    return frame.with_columns(
        pl.when(is_enough).then(pl.col(name)).otherwise(value).alias(name) for name, value in taken.items()
    )


def without_counts(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows without their numbers of patients or events."""
    return frame.with_columns(pl.lit(None, frame.schema[name]).alias(name) for name in _COUNTS if name in frame.columns)


def counted(
    study: Study, frame: pl.DataFrame, of: Mapping[str, KeyOf], share: tuple[str, KeyOf, KeyOf] | None = None
) -> pl.DataFrame:
    """Counts as the report prints them, others left out, and a share of two of them as it is drawn, without limits."""
    rows = list(frame.iter_rows(named=True))
    shown = {
        name: pl.Series([_printed(study, key(row)) for row in rows], dtype=frame.schema[name])
        for name, key in of.items()
    }
    if share:
        column, part, whole = share
        drawn = [study.gate.drawn_share(part(row), whole(row)) for row in rows]
        numbers = [name for name, kind in frame.schema.items() if kind.is_float() and name != column]
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in numbers)
        shown[column] = pl.Series(drawn, dtype=pl.Float64)
    return without_counts(frame).with_columns(**shown)


def _printed(study: Study, key: Key) -> int | None:
    """The count as the report prints it; None where it withholds the count or is not meant to print it at all."""
    known = study.gate.decisions.ledger.counts.get(key)
    is_meant = known is not None and known.role == "printed"
    return study.gate.decisions.value(key) if is_meant and study.gate.is_printed(key) else None
