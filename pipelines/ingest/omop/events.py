"""Events of a cohort's patients: deaths, complications, readmissions and the start of opioids.

The spans that decide (what is the same complication, what is a start) are the protocol's `[records]`.
"""

import polars as pl

from pipelines.ingest.tables import FILE, LINE
from pipelines.protocol import Protocol
from pipelines.protocol_rules import Records

_PLACE = [FILE, LINE]


def events(
    dated: dict[str, pl.DataFrame], death: pl.DataFrame, treatments: pl.DataFrame, protocol: Protocol
) -> pl.DataFrame:
    """Every event: person_id, day, event, and where the record stands that told it.

    Args:
        dated: coded records with their meanings and `day`.
        death: deaths with `day`.
        treatments: the treatments, with `tier` and `day`.
        protocol: its tiers and the spans of its `[records]`.
    """
    told = [
        dated[name].filter(kind="event") for name in ("condition_occurrence", "procedure_occurrence", "observation")
    ]
    recorded = pl.concat([part.select("person_id", "day", *_PLACE, event="measure") for part in told])
    ladder = treatments.filter(pl.col("tier").is_in(protocol.tier_names) & (pl.col("day") >= 0))
    return pl.concat(
        [
            _told_once(recorded, protocol.records.same_event_days),
            readmissions(dated["visit_occurrence"], ladder),
            opioid_starts(dated["drug_exposure"], dated["condition_occurrence"], protocol.records),
            death.select("person_id", "day", *_PLACE, event=pl.lit("death")),
        ]
    )


def _told_once(recorded: pl.DataFrame, same_days: int) -> pl.DataFrame:
    """Events of a person and kind, without those coded again within so many days of the record before."""
    ordered = recorded.sort("person_id", "event", "day", *_PLACE, nulls_last=True)
    gap = pl.col("day") - pl.col("day").shift(1).over("person_id", "event")
    return ordered.filter((gap > same_days) | gap.is_null())


def readmissions(visits: pl.DataFrame, ladder: pl.DataFrame) -> pl.DataFrame:
    """Stays in hospital that begin after a patient's first treatment of the ladder.

    A stay in which a treatment of the ladder is given is that treatment, one that begins on the day another ends is
    its continuation elsewhere; neither is a readmission.

    Args:
        visits: visits with `kind`, `measure`, `day` and `end_day`.
        ladder: treatments of the ladder since entry, with `day`.
    """
    stays = visits.filter((pl.col("kind") == "visit") & (pl.col("measure") == "inpatient"))
    stays = stays.drop_nulls("day").with_columns(
        last=pl.max_horizontal("day", pl.col("end_day").fill_null(pl.col("day")))
    )
    before = pl.col("last").cum_max().shift(1).over("person_id")
    stays = stays.sort("person_id", "day", "last", *_PLACE).with_columns(left=before)
    begun = ladder.group_by("person_id").agg(first=pl.col("day").min())
    later = stays.join(begun, on="person_id").filter(
        (pl.col("day") > pl.col("first")) & ((pl.col("day") > pl.col("left")) | pl.col("left").is_null())
    )
    treated = later.join(ladder.select("person_id", given="day"), on="person_id").filter(
        pl.col("given").is_between(pl.col("day"), pl.col("last"))
    )
    found = later.join(treated.select(*_PLACE).unique(), on=_PLACE, how="anti")
    return found.select("person_id", "day", *_PLACE, event=pl.lit("readmission"))


def uses_opioids(exposures: pl.DataFrame, conditions: pl.DataFrame, records: Records) -> pl.Series:
    """Who uses opioids at entry: an exposure that reaches into the days before it, or a code that says so."""
    opioid = exposures.filter((pl.col("kind") == "drug") & (pl.col("measure") == "opioid"))
    near = opioid.filter((pl.col("day") <= 0) & (_last_day() >= -records.opioid_lookback_days))
    coded = conditions.filter(
        (pl.col("kind") == "condition") & (pl.col("measure") == "opioid_use") & (pl.col("day") <= 0)
    )
    return pl.concat([near["person_id"], coded["person_id"]]).unique()


def opioid_starts(exposures: pl.DataFrame, conditions: pl.DataFrame, records: Records) -> pl.DataFrame:
    """The first day of lasting use of opioids since entry, of those who were not using them.

    From that day on, exposures that begin within the window supply enough days. Where a record tells no days of
    supply, its own first and last day do.

    Args:
        exposures: drug exposures with `kind`, `measure`, `day`, `end_day` and `days_supply`.
        conditions: conditions with `kind`, `measure` and `day`.
        records: the window and the days of supply.
    """
    opioid = exposures.filter((pl.col("kind") == "drug") & (pl.col("measure") == "opioid")).drop_nulls("day")
    later = opioid.filter(
        (pl.col("day") > 0) & ~pl.col("person_id").is_in(uses_opioids(exposures, conditions, records).implode())
    ).with_columns(supply=_last_day() - pl.col("day") + 1)
    window = later.join(later.select("person_id", also="day", supplied="supply"), on="person_id").filter(
        (pl.col("also") >= pl.col("day")) & (pl.col("also") < pl.col("day") + records.opioid_window_days)
    )
    supplied = window.group_by("person_id", "day", *_PLACE).agg(pl.col("supplied").sum())
    enough = supplied.filter(pl.col("supplied") >= records.opioid_supply_days).sort("person_id", "day", *_PLACE)
    first = enough.unique("person_id", keep="first", maintain_order=True)
    return first.select("person_id", "day", *_PLACE, event=pl.lit("opioid_start"))


def _last_day() -> pl.Expr:
    """The last day that an exposure supplies: by its days of supply, else by its end, else the day itself."""
    by_supply = pl.col("day") + pl.col("days_supply").floor().cast(pl.Int32, strict=False) - 1
    return pl.max_horizontal("day", pl.coalesce(by_supply, "end_day", "day"))
