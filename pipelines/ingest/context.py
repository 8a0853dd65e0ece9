"""What a row rule must know beside the row itself: the patient, the deaths, the instrument, the code list, its twins.

Each function adds columns to a typed table and changes neither its rows nor their order. The added columns stay lazy:
only the rules look at them, and a million patients' worth of them would double the memory needed.
"""

import polars as pl

from pipelines.ingest.contract import Table
from pipelines.ingest.tables import ROW
from pipelines.protocol import Protocol

_PATIENT_COLUMNS = ("is_patient_listed", "is_patient_accepted", "administrative_end_day", "last_contact_day")


def with_twins(frame: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Mark rows that share their key: `is_repeat` (says the same as an earlier one), `is_contradicted` (does not).

    Rows with an empty key are no twins. A field that could not be read differs from one that is empty.
    """
    verdict = _twins(frame, table)
    if verdict is None:
        return frame.lazy().with_columns(is_repeat=pl.lit(False), is_contradicted=pl.lit(False))
    marked = frame.lazy().join(verdict.lazy(), on=ROW, how="left", maintain_order="left")
    return marked.with_columns(pl.col("is_repeat", "is_contradicted").fill_null(False))


def _twins(frame: pl.DataFrame, table: Table) -> pl.DataFrame | None:
    """One row per row that shares its key: `$row`, is_repeat, is_contradicted; None if keys are unique."""
    key = list(table.key)
    keyed = frame.select(ROW, *key).drop_nulls(key)
    if keyed.select(key).hash_rows().n_unique() == keyed.height:  # five times faster than looking for the twins
        return None
    shared = keyed.filter(keyed.select(key).is_duplicated()).select(ROW)
    content = [name for name in frame.columns if name in table.column_names or name.startswith("unreadable:")]
    return (
        frame.lazy()
        .select(ROW, *content)
        .join(shared.lazy(), on=ROW, how="semi")
        .with_columns(
            variants=pl.struct(content).n_unique().over(key),
            is_first=pl.col(ROW) == pl.col(ROW).min().over(key),
        )
        .select(ROW, is_repeat=(pl.col("variants") == 1) & ~pl.col("is_first"), is_contradicted=pl.col("variants") > 1)
        .collect()
    )


def patients_known(patients: pl.DataFrame, accepted: pl.DataFrame) -> pl.DataFrame:
    """One row a patient listed: patient_id, is_patient_listed, is_patient_accepted and the days of follow-up."""
    days = accepted.select("patient_id", "administrative_end_day", "last_contact_day", is_patient_accepted=pl.lit(True))
    listed = patients.select("patient_id").drop_nulls().unique(maintain_order=True)
    return listed.join(days, on="patient_id", how="left", maintain_order="left").with_columns(
        pl.col("is_patient_accepted").fill_null(False), is_patient_listed=pl.lit(True)
    )


def with_patient(frame: pl.LazyFrame, patients: pl.DataFrame) -> pl.LazyFrame:
    """Add what is known of the row's patient."""
    known = patients.lazy().select("patient_id", *_PATIENT_COLUMNS)
    joined = frame.join(known, on="patient_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("is_patient_listed", "is_patient_accepted").fill_null(False))


def deaths(events: pl.LazyFrame) -> pl.DataFrame:
    """What ends a patient's follow-up: patient_id, has_two_deaths, death_day (null if deaths disagree), withdrawal_day.

    Args:
        events: typed events with their patients joined.
    """
    is_death, is_withdrawal = pl.col("event") == "death", pl.col("event") == "withdrawal"
    usable = events.filter(
        (is_death | is_withdrawal)
        & pl.col("is_patient_accepted")
        & pl.col("day").is_between(0, pl.col("administrative_end_day"))
    )
    death, withdrawal = pl.col("day").filter(is_death), pl.col("day").filter(is_withdrawal)
    days = usable.group_by("patient_id").agg(
        first=death.min(), has_two_deaths=death.n_unique() > 1, withdrawal_day=withdrawal.min()
    )
    death_day = pl.when(~pl.col("has_two_deaths")).then("first")
    return days.select("patient_id", "has_two_deaths", "withdrawal_day", death_day=death_day).collect()


def with_death(frame: pl.LazyFrame, deaths: pl.DataFrame) -> pl.LazyFrame:
    """Add the patient's days of death and withdrawal, and whether the deaths recorded disagree."""
    joined = frame.join(deaths.lazy(), on="patient_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("has_two_deaths").fill_null(False))


def with_code_tier(frame: pl.LazyFrame, codes: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Add the tier that the code means (`code_tier`), or that it means one the protocol lacks (`is_foreign_code`)."""
    tiers = table.column("tier").words
    meanings = codes.lazy().select("code_system", "code", mapped="tier")
    joined = frame.join(meanings, on=["code_system", "code"], how="left", maintain_order="left")
    is_ours = pl.col("mapped").is_in(tiers)  # the code list speaks of the lumbar ladder, a study may have another
    return joined.with_columns(
        code_tier=pl.when(is_ours).then("mapped").cast(pl.Enum(tiers)), is_foreign_code=(~is_ours).fill_null(False)
    ).drop("mapped")


def with_instrument(frame: pl.LazyFrame, protocol: Protocol, table: Table) -> pl.LazyFrame:
    """Add the instrument's range and kind and the value in its standard unit (`standard_value`)."""
    names, units = (pl.Enum(table.column(column).words) for column in ("instrument", "unit"))
    ranges = pl.LazyFrame(
        [
            (i.name, i.minimum, i.maximum, i.is_integer, i.kind == "walking", i.time_limit_s)
            for i in protocol.instruments
        ],
        schema={
            "instrument": names,
            "instrument_minimum": pl.Float64,
            "instrument_maximum": pl.Float64,
            "is_integer_only": pl.Boolean,
            "is_walking": pl.Boolean,
            "time_limit_s": pl.Float64,
        },
        orient="row",
    )
    factors = pl.LazyFrame(
        [(i.name, unit, factor) for i in protocol.instruments for unit, factor in i.unit_factors.items()],
        schema={"instrument": names, "unit": units, "unit_factor": pl.Float64},
        orient="row",
    )
    joined = frame.join(ranges, on="instrument", how="left", maintain_order="left").join(
        factors, on=["instrument", "unit"], how="left", maintain_order="left"
    )
    return joined.with_columns(
        is_instrument_known=pl.col("is_walking").is_not_null(), standard_value=pl.col("value") * pl.col("unit_factor")
    )
