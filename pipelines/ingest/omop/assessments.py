"""Questionnaire scores and walking tests, from measurements and observations.

How long a walking test took and why it ended are records of their own: they are paired with the test by person and
day, where the code lists of the site name them. A test without both goes on and is kept aside by the row rules.
"""

import polars as pl

from pipelines.ingest.omop.codes import Vocabulary, meanings
from pipelines.ingest.omop.doors import Coded
from pipelines.ingest.tables import FILE, LINE
from pipelines.protocol import Protocol

_DAY = ["person_id", "day"]
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minute": 60.0, "minutes": 60.0}
_ANSWER = Coded("value_as_concept_id", "$none", "$answer", "date")


def assessments(parts: list[pl.DataFrame], answers: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """One row a score or test: person_id, day, instrument, value, unit, duration_s, stop_reason, and its place.

    Args:
        parts: measurements and observations with their meanings and `day`.
        answers: person_id, day and the stop reason that a record of that day means (`stop_reasons`).
        protocol: gives the unit of an instrument where the record does not.
    """
    tests = pl.concat([_values(part, protocol) for part in parts])
    durations = pl.concat([_durations(part) for part in parts])
    walking = [instrument.name for instrument in protocol.instruments if instrument.kind == "walking"]
    is_walk = pl.col("instrument").is_in(walking)
    is_alone = is_walk & (is_walk.sum().over(_DAY) == 1)  # of two tests on one day a reason may be of either
    told = tests.join(_only(durations, [*_DAY, "instrument"], "duration_s"), on=[*_DAY, "instrument"], how="left")
    told = told.join(_only(answers, _DAY, "stop_reason"), on=_DAY, how="left").sort(FILE, LINE)
    return told.with_columns(
        duration_s=pl.when(is_walk).then("duration_s"),
        stop_reason=pl.when(is_alone).then("stop_reason"),
        mode=pl.lit(None, pl.String),
    )


def stop_reasons(frame: pl.DataFrame, dated: pl.DataFrame, known: Vocabulary, followed: pl.DataFrame) -> pl.DataFrame:
    """`$row`, person_id, day, stop_reason: what a record's code or its answer says of the end of a walking test.

    Args:
        frame: a table of measurements or observations whole, with `$row` and `date`.
        dated: its records with their meanings and `day`.
        known: code lists and concepts.
        followed: the cohort with `entry`.
    """
    said = [name for name in ("value_as_string", "value_source_value") if name in frame.columns]
    asked = frame.join(followed.select("person_id", "entry"), on="person_id").with_columns(
        pl.coalesce(*said).alias("$answer"), pl.lit(None, pl.Int64).alias("$none")
    )
    meant = meanings(asked, _ANSWER, known, ("stop_reason",)).join(asked, on="$row")
    day = (pl.col("date") - pl.col("entry")).dt.total_days().cast(pl.Int32)
    by_answer = meant.select("$row", "person_id", day=day, stop_reason="measure")
    by_code = dated.filter(kind="stop_reason").select("$row", "person_id", "day", stop_reason="measure")
    return pl.concat([by_answer, by_code]).unique(maintain_order=True)


def _values(part: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    units = {instrument.name: instrument.unit for instrument in protocol.instruments}
    every_unit = {unit for instrument in protocol.instruments for unit in instrument.unit_factors}
    kept = part.filter((pl.col("kind") == "instrument") & pl.col("measure").is_in(list(units)))
    given = pl.col("unit_source_value").str.to_lowercase()
    unit = pl.when(given.is_in(list(every_unit))).then(given).otherwise(pl.col("measure").replace_strict(units))
    return kept.select(*_DAY, FILE, LINE, instrument="measure", value="value_as_number", unit=unit)


def _durations(part: pl.DataFrame) -> pl.DataFrame:
    """Seconds of the walking test that `instrument` names; a unit that is no unit of time gives none."""
    given = pl.col("unit_source_value").str.to_lowercase().fill_null("s")
    factor = given.replace_strict(_SECONDS, default=None, return_dtype=pl.Float64)
    kept = part.filter(kind="duration")
    return kept.select(*_DAY, instrument="measure", duration_s=pl.col("value_as_number") * factor)


def _only(records: pl.DataFrame, key: list[str], column: str) -> pl.DataFrame:
    """The value of a column for each key that has one and no other."""
    told = records.drop_nulls().select(*key, column).unique()
    return told.filter(~told.select(key).is_duplicated())
