"""From the tables of a CDM to the contract's four: cohort, days from entry, covariates, pseudonyms.

Every frame here is one row a record, with `$file` and `$line` of the record it was made of. Dates end here: what
leaves has days. Pseudonyms number the patients in the order of hashes of what is known of them once dates and the
source's ids are gone, so that no id of the source goes into one, and the same content gives the same ids.
"""

import hashlib
from dataclasses import dataclass

import polars as pl

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.omop.codes import code_list, meanings
from pipelines.ingest.omop.doors import CdmTable
from pipelines.ingest.sources import USED
from pipelines.ingest.tables import FILE, LINE
from pipelines.protocol import Protocol

CLINICAL = {
    "condition_occurrence": ("condition", "condition_start_date"),
    "procedure_occurrence": ("procedure", "procedure_date"),
    "measurement": ("measurement", "measurement_date"),
    "observation": ("observation", "observation_date"),
}
NOT_IN_COHORT, NO_MEANING = "person not in the cohort", "no code of the study"
OLDEST_AGE = 90
_DISC_CODES = ("63030", "63035")  # usually for a disc: before the diagnosis of stenosis they are no treatment of it
_LINES = [FILE, LINE]
_CONDITIONS = ("cohort", "comorbidity", "condition", "smoking", "event")


@dataclass(frozen=True)
class Made:
    """The contract's tables, and what became of the source's rows: `outcomes` as (table, outcome, rows)."""

    tables: dict[str, pl.DataFrame]
    outcomes: tuple[tuple[str, str, int], ...]


def contract_tables(cdm: dict[str, CdmTable], cohort: str, protocol: Protocol) -> Made:
    """Make the four tables of a cohort.

    Raises:
        ReleaseRefused: the cohort is not one of the code lists, or nobody is eligible.
    """
    known = set(code_list().filter(kind="cohort")["measure"])
    if cohort not in known:
        raise ReleaseRefused(f"the code lists have no cohort of that name; name one of {', '.join(sorted(known))}")
    frames = {name: table.frame.with_row_index("$row") for name, table in cdm.items()}
    meant = {
        name: meanings(frames[name], stem, day, cdm["concept"].frame, _kinds(name)).join(
            frames[name].rename({day: "date"}), on="$row"
        )
        for name, (stem, day) in CLINICAL.items()
    }
    persons = frames["person"].unique("person_id", keep="first", maintain_order=True).drop_nulls("person_id")
    entries = _entries(meant["condition_occurrence"], cohort).join(
        persons.select("person_id"), on="person_id", how="semi"
    )
    if entries.is_empty():
        raise ReleaseRefused(
            f"no eligible patients: nobody in the source has a dated diagnosis of the cohort {cohort}; "
            f"check the code lists, or name another cohort in the manifest"
        )
    followed = _followed(frames, entries)
    dated = {
        name: frame.join(followed, on="person_id").with_columns(day=_days("date")) for name, frame in meant.items()
    }
    death = (
        frames["death"].rename({"death_date": "date"}).join(followed, on="person_id").with_columns(day=_days("date"))
    )
    treatments = _treatments(dated["procedure_occurrence"], protocol)
    assessments = _assessments([dated["measurement"], dated["observation"]], protocol)
    events = _events(dated["condition_occurrence"], death)
    patients = _patients(persons.join(followed, on="person_id"), dated)
    tables = _pseudonymous(
        {"patients": patients, "treatments": treatments, "assessments": assessments, "events": events}
    )
    return Made(tables, _outcomes(frames, meant, death, followed))


def _kinds(name: str) -> tuple[str, ...]:
    by_table = {"procedure_occurrence": ("treatment",), "condition_occurrence": _CONDITIONS}
    return by_table.get(name, ("instrument", "baseline"))


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
        [frames[name].select("person_id", last=day) for name, (_, day) in CLINICAL.items()]
        + [frames["death"].select("person_id", last="death_date")]
    )
    periods = frames["observation_period"].select("person_id", last="observation_period_end_date")
    cut = pl.concat([records, periods])["last"].max()
    observed = periods.group_by("person_id").agg(observed_to=pl.col("last").max())
    recorded = records.group_by("person_id").agg(recorded_to=pl.col("last").max())
    joined = entries.join(observed, on="person_id", how="left").join(recorded, on="person_id", how="left")
    last = pl.max_horizontal(pl.coalesce("observed_to", "recorded_to"), "entry")
    return joined.select("person_id", "entry", last=last, cut=pl.lit(cut, pl.Date))


def _days(date: str) -> pl.Expr:
    return (pl.col(date) - pl.col("entry")).dt.total_days().cast(pl.Int32)


def _treatments(procedures: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    tiers = (*protocol.tier_names, "other")
    is_disc = pl.col("code").is_in(_DISC_CODES) & (pl.col("day") < 0)
    kept = procedures.filter(
        (pl.col("kind") == "treatment") & pl.col("measure").is_in(tiers) & ~is_disc.fill_null(False)
    )
    columns = ["person_id", "day", "code", "provider_id", *_LINES]
    return kept.select(*columns, code_system="system", tier="measure")


def _assessments(parts: list[pl.DataFrame], protocol: Protocol) -> pl.DataFrame:
    units = {instrument.name: instrument.unit for instrument in protocol.instruments}
    every_unit = {unit for instrument in protocol.instruments for unit in instrument.unit_factors}
    made = []
    for part in parts:
        kept = part.filter((pl.col("kind") == "instrument") & pl.col("measure").is_in(list(units)))
        given = pl.col("unit_source_value").str.to_lowercase()
        unit = pl.when(given.is_in(list(every_unit))).then(given).otherwise(pl.col("measure").replace_strict(units))
        columns = ["person_id", "day", *_LINES]
        made.append(kept.select(*columns, instrument="measure", value="value_as_number", unit=unit))
    return pl.concat(made)


def _events(conditions: pl.DataFrame, death: pl.DataFrame) -> pl.DataFrame:
    told = conditions.filter(pl.col("kind") == "event").select("person_id", "day", *_LINES, event="measure")
    return pl.concat([told, death.select("person_id", "day", *_LINES, event=pl.lit("death"))])


def _patients(persons: pl.DataFrame, dated: dict[str, pl.DataFrame]) -> pl.DataFrame:
    before = dated["condition_occurrence"].filter(pl.col("day") <= 0)
    facts = persons.select("person_id")
    for name in ("diabetes", "depression", "spondylolisthesis", "opioid_use", "prior_lumbar_surgery"):
        facts = facts.with_columns(_having(before.filter(measure=name)).alias(name))
    operated = dated["procedure_occurrence"].filter(
        (pl.col("day") < 0) & pl.col("measure").is_in(["laminectomy", "fusion"])
    )
    counts = before.filter(kind="comorbidity").group_by("person_id").agg(comorbidity_count=pl.col("measure").n_unique())
    smoking = before.filter(kind="smoking").sort("day", "measure").group_by("person_id", maintain_order=True)
    weight = (
        dated["measurement"].filter((pl.col("measure") == "bmi") & (pl.col("day") <= 0)).drop_nulls("value_as_number")
    )
    bmi = (
        weight.sort("day", "value_as_number")
        .group_by("person_id", maintain_order=True)
        .agg(bmi=pl.last("value_as_number"))
    )
    joined = (
        persons.join(facts, on="person_id")
        .join(counts, on="person_id", how="left")
        .join(smoking.agg(smoking=pl.last("measure")), on="person_id", how="left")
        .join(bmi, on="person_id", how="left")
    )
    return joined.select(
        "person_id", "care_site_id", *_LINES,
        enrolment_year=pl.col("entry").dt.year(),
        age_years=_age(),
        sex=_sex(),
        bmi="bmi",
        smoking="smoking",
        comorbidity_count=pl.col("comorbidity_count").fill_null(0).cast(pl.Int32),
        diabetes="diabetes",
        depression="depression",
        opioid_use=pl.when("opioid_use").then(True),  # no code does not mean no opioid
        prior_lumbar_surgery=pl.col("prior_lumbar_surgery") | _having(operated),
        spondylolisthesis="spondylolisthesis",
        last_contact_day=pl.min_horizontal(_days("last"), _days("cut")),
        administrative_end_day=_days("cut"),
    )  # fmt: skip


def _having(records: pl.DataFrame) -> pl.Expr:
    return pl.col("person_id").is_in(records["person_id"].unique().implode())


def _age() -> pl.Expr:
    """Full years at entry, 90 for 90 or older; by the year alone where month or day of birth are not known."""
    entry, month, day = pl.col("entry"), pl.col("month_of_birth"), pl.col("day_of_birth").fill_null(1)
    is_ahead = (entry.dt.month() < month) | ((entry.dt.month() == month) & (entry.dt.day() < day))
    age = entry.dt.year() - pl.col("year_of_birth") - is_ahead.fill_null(False).cast(pl.Int64)
    return pl.min_horizontal(age, pl.lit(OLDEST_AGE)).cast(pl.Int32)


def _sex() -> pl.Expr:
    listed = code_list().filter(kind="sex")
    by_concept = dict(zip(listed["code"].cast(pl.Int64), listed["measure"], strict=True))
    said = pl.col("gender_source_value").str.to_lowercase().str.slice(0, 1)
    by_word = said.replace_strict({"m": "male", "f": "female"}, default=None, return_dtype=pl.String)
    concept = pl.col("gender_concept_id").replace_strict(by_concept, default=None, return_dtype=pl.String)
    return pl.coalesce(concept, by_word)


# -------------------------------------------------------------------------------------------------------- pseudonyms

_SOURCE_IDS = ("person_id", "care_site_id", "provider_id", *_LINES)


def _pseudonymous(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    patients = _numbered(tables)
    sites = _labels(patients, "care_site_id", "S")
    with_ids = {
        name: frame.join(patients.select("person_id", "patient_id"), on="person_id", maintain_order="left")
        for name, frame in tables.items()
    }
    listed = with_ids["patients"].join(sites, on="care_site_id", how="left", maintain_order="left")
    listed = listed.with_columns(site_id=pl.col("label").fill_null("S0")).drop("label", "care_site_id")
    of_site = listed.select("patient_id", "site_id")
    given = with_ids["treatments"].join(of_site, on="patient_id", maintain_order="left")
    order = ["patient_id", "day", "code_system", "code", "provider_id", *_LINES]
    given = given.sort(order, nulls_last=True).with_row_index("n", offset=1)
    surgeons = _labels(given, "provider_id", "D")
    given = given.join(surgeons, on="provider_id", how="left", maintain_order="left")
    given = given.with_columns(treatment_id=pl.format("T-{}", "n"), surgeon_id="label").drop(
        "n", "label", "provider_id"
    )
    empty = ("stenosis_grade", "stenotic_levels", "symptom_months")
    walking = ("mode", "duration_s", "stop_reason")
    return {
        "patients": listed.drop("person_id").with_columns(pl.lit(None, pl.String).alias(name) for name in empty),
        "treatments": given.drop("person_id"),
        "assessments": with_ids["assessments"]
        .drop("person_id")
        .with_columns(pl.lit(None, pl.String).alias(name) for name in walking),
        "events": with_ids["events"].drop("person_id"),
    }


def _numbered(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Patients in the order of the hashes of their content, numbered: person_id, care_site_id, patient_id."""
    texts = []
    for name, frame in tables.items():
        content = [column for column in sorted(frame.columns) if column not in _SOURCE_IDS]
        line = pl.concat_str([pl.lit(name), *(pl.col(c).cast(pl.String).fill_null("") for c in content)], separator="|")
        texts.append(frame.select("person_id", line=line))
    whole = pl.concat(texts).group_by("person_id").agg(pl.col("line").sort().str.join("\n"))
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in whole["line"]]
    ordered = (
        whole.select("person_id", digest=pl.Series(digests)).sort("digest", "person_id").with_row_index("n", offset=1)
    )
    sites = tables["patients"].select("person_id", "care_site_id")
    return ordered.join(sites, on="person_id", maintain_order="left").with_columns(patient_id=pl.format("P-{}", "n"))


def _labels(frame: pl.DataFrame, column: str, letter: str) -> pl.DataFrame:
    """A label for each value of a column, in the order of first appearance: the column, `label`."""
    met = frame.select(column).drop_nulls().unique(maintain_order=True).with_row_index("n", offset=1)
    return met.select(column, label=pl.concat_str(pl.lit(letter), pl.col("n").cast(pl.String)))


# ----------------------------------------------------------------------------------------------------------- account


def _outcomes(
    frames: dict[str, pl.DataFrame],
    meant: dict[str, pl.DataFrame],
    death: pl.DataFrame,
    followed: pl.DataFrame,
) -> tuple[tuple[str, str, int], ...]:
    """What became of every row: used, or of nobody in the cohort, or without a code of the study."""
    counts = []
    for name in CLINICAL:
        frame = frames[name]
        is_ours = pl.col("person_id").is_in(followed["person_id"].implode()).fill_null(False)
        has_meaning = pl.col("$row").is_in(meant[name]["$row"].implode())
        ours = frame.filter(is_ours)
        used = ours.filter(has_meaning).height
        counts += [
            (name, USED, used),
            (name, NO_MEANING, ours.height - used),
            (name, NOT_IN_COHORT, frame.height - ours.height),
        ]
    counts += [("person", USED, followed.height), ("person", NOT_IN_COHORT, frames["person"].height - followed.height)]
    counts += [("death", USED, death.height), ("death", NOT_IN_COHORT, frames["death"].height - death.height)]
    return tuple(counts)
