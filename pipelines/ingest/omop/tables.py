"""From the tables of a CDM to the contract's four: cohort, days from entry, treatments, and what became of every row.

Every frame here is one row a record, with `$file` and `$line` of the record it was made of. Dates end here: what
leaves has days. What is known of patients, events, scores and pseudonyms have modules of their own.
"""

from dataclasses import dataclass

import polars as pl

from pipelines.ingest.codelists import measures
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.omop.assessments import assessments, stop_reasons
from pipelines.ingest.omop.codes import Vocabulary, meanings_of_tables, systems_met, vocabulary
from pipelines.ingest.omop.doors import CODED, CdmTable, OmopSettings
from pipelines.ingest.omop.events import events
from pipelines.ingest.omop.patients import days, patients
from pipelines.ingest.omop.pseudonyms import pseudonymous
from pipelines.ingest.sources import USED
from pipelines.ingest.tables import FILE, LINE
from pipelines.protocol import Protocol

KINDS = {
    "condition_occurrence": ("cohort", "comorbidity", "condition", "smoking", "event"),
    "procedure_occurrence": ("treatment", "event"),
    "measurement": ("instrument", "baseline", "duration", "stop_reason"),
    "observation": (
        "instrument",
        "baseline",
        "duration",
        "stop_reason",
        "condition",
        "comorbidity",
        "smoking",
        "event",
    ),
    "drug_exposure": ("drug",),
    "visit_occurrence": ("visit",),
    "episode": ("treatment",),
}  # what a table of coded records is asked for
NOT_IN_COHORT, NO_MEANING = "person not in the cohort", "no code of the study"
NO_PERSON = "no readable person_id"
NOT_IN_PROTOCOL = "instrument or tier not in the protocol"
_DISC_CODES = ("63030", "63035")  # usually for a disc: before the diagnosis of stenosis they are no treatment of it
_ENDS = {"visit_occurrence": "visit_end_date", "drug_exposure": "drug_exposure_end_date"}


@dataclass(frozen=True)
class Made:
    """The contract's tables, and what became of the source's rows: `outcomes` as (table, outcome, rows)."""

    tables: dict[str, pl.DataFrame]
    outcomes: tuple[tuple[str, str, int], ...]


def contract_tables(cdm: dict[str, CdmTable], settings: OmopSettings, codes: pl.DataFrame, protocol: Protocol) -> Made:
    """Make the four tables of a cohort.

    Args:
        cdm: the source's tables.
        settings: cohort, and what a site is.
        codes: the effective code lists.
        protocol: tiers, instruments and the spans of its `[records]`.

    Raises:
        ReleaseRefused: the cohort is not one of the code lists, or nobody is eligible.
    """
    known = vocabulary(codes, cdm)
    _hold_cohort(settings.cohort, known)
    frames = {name: table.frame.with_row_index("$row") for name, table in cdm.items()}
    meant = meanings_of_tables(frames, known, KINDS)
    persons = frames["person"].unique("person_id", keep="first", maintain_order=True).drop_nulls("person_id")
    entries = _entries(meant["condition_occurrence"], settings.cohort).join(
        persons.select("person_id"), on="person_id", how="semi"
    )
    if entries.is_empty():
        raise ReleaseRefused(
            f"no eligible patients: nobody in the source has a dated diagnosis of the cohort {settings.cohort}; "
            f"check the code lists, or name another cohort in the manifest"
        )
    followed = _followed(frames, entries)
    dated = {name: _dated(frame, followed, _ENDS.get(name)) for name, frame in meant.items()}
    death = _dated(frames["death"].rename({"death_date": "date"}), followed)
    answers = _answers(frames, dated, known, followed)
    sites = _Sites(frames, settings)
    treatments = _treatments(dated, sites, protocol)
    scores = assessments([dated["measurement"], dated["observation"]], pl.concat(answers.values()), protocol)
    met = systems_met(frames["condition_occurrence"], CODED["condition_occurrence"], known)
    listed = sites.of_persons(persons.join(followed, on="person_id"), dated["condition_occurrence"], settings.cohort)
    tables = {
        "patients": patients(listed, dated, known, met, protocol),
        "treatments": treatments,
        "assessments": scores,
        "events": events(dated, death, treatments, protocol),
    }
    foreign = {name: _foreign(frame, protocol) for name, frame in meant.items()}
    heard = {
        name: pl.concat([frame["$row"], *([answers[name]["$row"]] if name in answers else [])]).unique()
        for name, frame in meant.items()
    }
    return Made(pseudonymous(tables), _outcomes(frames, heard, foreign, death, followed))


def _hold_cohort(cohort: str, known: Vocabulary) -> None:
    cohorts = sorted(set(known.of("cohort")["measure"]))
    if cohort not in cohorts:
        raise ReleaseRefused(f"the code lists have no cohort of that name; name one of {', '.join(cohorts)}")


def _entries(conditions: pl.DataFrame, cohort: str) -> pl.DataFrame:
    """person_id and entry, the day of the first diagnosis of the cohort."""
    of_cohort = conditions.filter((pl.col("kind") == "cohort") & (pl.col("measure") == cohort)).drop_nulls("date")
    return of_cohort.group_by("person_id").agg(entry=pl.col("date").min())


def _followed(frames: dict[str, pl.DataFrame], entries: pl.DataFrame) -> pl.DataFrame:
    """Entry, last contact and data cut of each patient.

    Last contact is the end of the patient's last observation period, or the last record where there is none; the cut
    is the latest of all such days in the source.
    """
    records = pl.concat(
        [frames[name].select("person_id", last=coded.date) for name, coded in CODED.items()]
        + [frames["death"].select("person_id", last="death_date")]
    )
    periods = frames["observation_period"].select("person_id", last="observation_period_end_date")
    cut = pl.concat([records, periods])["last"].max()
    observed = periods.group_by("person_id").agg(observed_to=pl.col("last").max())
    recorded = records.group_by("person_id").agg(recorded_to=pl.col("last").max())
    joined = entries.join(observed, on="person_id", how="left").join(recorded, on="person_id", how="left")
    last = pl.max_horizontal(pl.coalesce("observed_to", "recorded_to"), "entry")
    return joined.select("person_id", "entry", last=last, cut=pl.lit(cut, pl.Date))


def _dated(frame: pl.DataFrame, followed: pl.DataFrame, end: str | None = None) -> pl.DataFrame:
    """The cohort's records with `day` and, where they have an end, `end_day`."""
    ours = frame.join(followed, on="person_id", maintain_order="left").with_columns(day=days("date"))
    return ours.with_columns(end_day=days(end)) if end else ours


def _answers(
    frames: dict[str, pl.DataFrame], dated: dict[str, pl.DataFrame], known: Vocabulary, followed: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Reasons for the end of walking tests, by the table that tells them."""
    return {
        name: stop_reasons(frames[name].rename({CODED[name].date: "date"}), dated[name], known, followed)
        for name in ("measurement", "observation")
    }


def _treatments(dated: dict[str, pl.DataFrame], sites: "_Sites", protocol: Protocol) -> pl.DataFrame:
    tiers = (*protocol.tier_names, "other")
    is_disc = pl.col("code").is_in(_DISC_CODES) & (pl.col("day") < 0)
    is_ours = (pl.col("kind") == "treatment") & pl.col("measure").is_in(tiers)
    procedures = sites.of_visits(dated["procedure_occurrence"].filter(is_ours & ~is_disc.fill_null(False)))
    unknown = [pl.lit(None, pl.Int64).alias(name) for name in ("provider_id", "care_site_id")]
    episodes = dated["episode"].filter(is_ours).with_columns(unknown)
    columns = ["person_id", "day", "code", "provider_id", "care_site_id", FILE, LINE]
    return pl.concat([part.select(*columns, code_system="system", tier="measure") for part in (procedures, episodes)])


class _Sites:
    """Care sites by visit; where a site is a location, one of its care sites stands for all of them."""

    def __init__(self, frames: dict[str, pl.DataFrame], settings: OmopSettings) -> None:
        self._stand_in = pl.DataFrame(schema={"care_site_id": pl.Int64, "site": pl.Int64})
        if settings.site == "location":
            placed = frames["care_site"].drop_nulls(["care_site_id", "location_id"]).unique("care_site_id")
            site = pl.col("care_site_id").min().over("location_id")
            self._stand_in = placed.select("care_site_id", site=site)
        self._by_visit, self._by_detail = (
            self._of_location(frames[name].select(f"{name}_id", "care_site_id").drop_nulls().unique(f"{name}_id"))
            for name in ("visit_occurrence", "visit_detail")
        )

    def _of_location(self, frame: pl.DataFrame) -> pl.DataFrame:
        joined = frame.join(self._stand_in, on="care_site_id", how="left", maintain_order="left")
        return joined.with_columns(care_site_id=pl.coalesce("site", "care_site_id")).drop("site")

    def of_visits(self, records: pl.DataFrame) -> pl.DataFrame:
        """Records with the care site of their visit, or of the part of it that they name."""
        whole = records.join(self._by_visit, on="visit_occurrence_id", how="left", maintain_order="left")
        both = whole.join(self._by_detail, on="visit_detail_id", how="left", maintain_order="left", suffix="_of_part")
        return both.with_columns(care_site_id=pl.coalesce("care_site_id", "care_site_id_of_part"))

    def of_persons(self, persons: pl.DataFrame, conditions: pl.DataFrame, cohort: str) -> pl.DataFrame:
        """Persons with their own care site or, where they have none, that of the visit of their first diagnosis."""
        entered = conditions.filter(kind="cohort", measure=cohort, day=0).join(self._by_visit, on="visit_occurrence_id")
        first = entered.sort(FILE, LINE).unique("person_id", keep="first", maintain_order=True)
        own = self._of_location(persons)
        joined = own.join(first.select("person_id", met_at="care_site_id"), on="person_id", how="left")
        return joined.with_columns(care_site_id=pl.coalesce("care_site_id", "met_at")).drop("met_at")


# ----------------------------------------------------------------------------------------------------------- account


def _foreign(meant: pl.DataFrame, protocol: Protocol) -> pl.Series:
    """The rows (`$row`) that mean an instrument or a tier which the protocol lacks, and nothing else."""
    ours = measures(protocol)
    is_foreign = pl.lit(False)
    for kind in ("instrument", "duration", "treatment"):
        is_foreign |= (pl.col("kind") == kind) & ~pl.col("measure").is_in(ours[kind] or ())
    return meant.group_by("$row").agg(is_foreign=is_foreign.all()).filter("is_foreign")["$row"]


def _outcomes(
    frames: dict[str, pl.DataFrame],
    heard: dict[str, pl.Series],
    foreign: dict[str, pl.Series],
    death: pl.DataFrame,
    followed: pl.DataFrame,
) -> tuple[tuple[str, str, int], ...]:
    """What became of every row: used, of nobody in the cohort, without a code of the study or with a foreign one."""
    counts = []
    ours = pl.col("person_id").is_in(followed["person_id"].implode()).fill_null(False)
    for name, rows in heard.items():
        frame = frames[name]
        of_cohort = frame.filter(ours)
        told = of_cohort.filter(pl.col("$row").is_in(rows.implode()))
        strange = told.filter(pl.col("$row").is_in(foreign[name].implode())).height
        counts += [
            (name, USED, told.height - strange),
            (name, NOT_IN_PROTOCOL, strange),
            (name, NO_MEANING, of_cohort.height - told.height),
            *_others(name, frame, of_cohort.height),
        ]
    counts += [("person", USED, followed.height), *_others("person", frames["person"], followed.height)]
    counts += [("death", USED, death.height), *_others("death", frames["death"], death.height)]
    periods = frames["observation_period"]
    within = periods.filter(ours).height
    counts += [("observation_period", USED, within), *_others("observation_period", periods, within)]
    return tuple(counts)


def _others(name: str, frame: pl.DataFrame, ours: int) -> list[tuple[str, str, int]]:
    """Rows that are not of the cohort's persons."""
    nobody = frame["person_id"].null_count()
    return [(name, NOT_IN_COHORT, frame.height - ours - nobody), (name, NO_PERSON, nobody)]
