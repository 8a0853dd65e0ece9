"""What is known of each patient at entry: age, sex, site, weight and illnesses, from records up to that day.

A code that nobody wrote down means that the illness is absent only where the source is coded in a system in which the
lists name it; else the column stays empty.
"""

import polars as pl

from pipelines.ingest.guard import OLDEST_AGE
from pipelines.ingest.omop.codes import Vocabulary
from pipelines.ingest.omop.events import uses_opioids
from pipelines.ingest.tables import FILE, LINE
from pipelines.protocol import Protocol

_UNKNOWN = ("stenosis_grade", "stenotic_levels", "symptom_months")  # no code tells them


def patients(
    persons: pl.DataFrame, dated: dict[str, pl.DataFrame], known: Vocabulary, met: set[str], protocol: Protocol
) -> pl.DataFrame:
    """One row a patient: person_id, care_site_id, where the person's record stands, and the contract's columns.

    Args:
        persons: the cohort's persons with `entry`, `last` and `cut`.
        dated: coded records with their meanings and `day`.
        known: the code lists.
        met: the systems that the source's conditions are coded in.
        protocol: how far back opioids count.
    """
    before = dated["condition_occurrence"].filter(pl.col("day") <= 0)
    observed = dated["observation"].filter(pl.col("day") <= 0)
    illness = _by_illness(before, observed, known, met)
    smoking = pl.concat(
        [part.filter(kind="smoking").select("person_id", "day", "measure") for part in (before, observed)]
    )
    joined = (
        persons.with_columns(**illness)
        .join(_latest(smoking, "measure", "smoking"), on="person_id", how="left")
        .join(_latest(_weights(dated["measurement"]), "value_as_number", "bmi"), on="person_id", how="left")
        .join(_comorbidities(before), on="person_id", how="left")
    )
    operated = dated["procedure_occurrence"].filter(
        (pl.col("day") < 0) & pl.col("measure").is_in(["laminectomy", "fusion"])
    )
    counted = pl.col("comorbidity_count").fill_null(0) if _is_told(known, met, "comorbidity") else pl.lit(None)
    return joined.select(
        "person_id", "care_site_id", FILE, LINE,
        enrolment_year=pl.col("entry").dt.year(),
        age_years=_age(),
        sex=_sex(known),
        bmi="bmi",
        smoking="smoking",
        comorbidity_count=counted.cast(pl.Int32),
        diabetes="diabetes",
        depression="depression",
        opioid_use=_opioid_use(dated, protocol),
        prior_lumbar_surgery=pl.when(_having(operated)).then(True).otherwise("prior_lumbar_surgery"),
        spondylolisthesis="spondylolisthesis",
        last_contact_day=pl.min_horizontal(days("last"), days("cut")),
        administrative_end_day=days("cut"),
        **dict.fromkeys(_UNKNOWN, pl.lit(None, pl.String)),
    )  # fmt: skip


def days(date: str) -> pl.Expr:
    """Days from entry to a date."""
    return (pl.col(date) - pl.col("entry")).dt.total_days().cast(pl.Int32)


def _is_told(known: Vocabulary, met: set[str], kind: str, measure: str | None = None) -> bool:
    """Whether the source is coded in a system in which the lists name this."""
    listed = known.of(kind)
    listed = listed.filter(measure=measure) if measure else listed
    return bool(met & set(listed["system"]))


def _by_illness(before: pl.DataFrame, observed: pl.DataFrame, known: Vocabulary, met: set[str]) -> dict[str, pl.Expr]:
    """Whether each person has the illness; empty where the source could not tell."""
    made = {}
    kinds = {"diabetes": "comorbidity"}
    for name in ("diabetes", "depression", "spondylolisthesis", "prior_lumbar_surgery"):
        kind = kinds.get(name, "condition")
        told = pl.concat([part.filter(kind=kind, measure=name).select("person_id") for part in (before, observed)])
        has = _having(told)
        made[name] = has if _is_told(known, met, kind, name) else pl.when(has).then(True)
    return made


def _comorbidities(before: pl.DataFrame) -> pl.DataFrame:
    """How many of the listed comorbidities each person has: those of Charlson, each counted once."""
    return before.filter(kind="comorbidity").group_by("person_id").agg(comorbidity_count=pl.col("measure").n_unique())


def _opioid_use(dated: dict[str, pl.DataFrame], protocol: Protocol) -> pl.Expr:
    """Who uses opioids; nobody else does only where the source's drugs are coded so that the list finds some."""
    exposures = dated["drug_exposure"]
    uses = _having(uses_opioids(exposures, dated["condition_occurrence"], protocol.records).to_frame("person_id"))
    return uses if exposures.filter(kind="drug").height else pl.when(uses).then(True)


def _weights(measurements: pl.DataFrame) -> pl.DataFrame:
    is_known = (pl.col("kind") == "baseline") & (pl.col("measure") == "bmi") & (pl.col("day") <= 0)
    return measurements.filter(is_known).select("person_id", "day", "value_as_number").drop_nulls()


def _latest(records: pl.DataFrame, column: str, name: str) -> pl.DataFrame:
    """person_id and the last value of a column."""
    ordered = records.sort("day", column)
    return ordered.group_by("person_id", maintain_order=True).agg(pl.col(column).last().alias(name))


def _having(records: pl.DataFrame) -> pl.Expr:
    return pl.col("person_id").is_in(records["person_id"].unique().implode())


def _age() -> pl.Expr:
    """Full years at entry, 90 for 90 or older; by the year alone where month or day of birth are not known."""
    entry, month, day = pl.col("entry"), pl.col("month_of_birth"), pl.col("day_of_birth").fill_null(1)
    is_ahead = (entry.dt.month() < month) | ((entry.dt.month() == month) & (entry.dt.day() < day))
    age = entry.dt.year() - pl.col("year_of_birth") - is_ahead.fill_null(False).cast(pl.Int64)
    return pl.min_horizontal(age, pl.lit(OLDEST_AGE)).cast(pl.Int32)


def _sex(known: Vocabulary) -> pl.Expr:
    listed = known.of("sex").filter(system="OMOP")
    by_concept = dict(zip(listed["code"].cast(pl.Int64, strict=False), listed["measure"], strict=True))
    said = pl.col("gender_source_value").str.to_lowercase().str.slice(0, 1)
    by_word = said.replace_strict({"m": "male", "f": "female"}, default=None, return_dtype=pl.String)
    concept = pl.col("gender_concept_id").replace_strict(by_concept, default=None, return_dtype=pl.String)
    return pl.coalesce(concept, by_word)
