"""k-anonymity: how many patients share what an outsider could know of them (Sweeney 2002, Int J Uncertain Fuzz 10:557).

The protocol names the quasi-identifiers, the smallest group wanted and what a smaller one does to publishing. A field
that is not known is a value of its own, so that a gap never makes a group look larger. Counts leave here, no value of
one patient; the groups themselves stay in the warehouse.
"""

import polars as pl

from pipelines.ingest import context
from pipelines.ingest.contract import Table, joined
from pipelines.ingest.guard import OLDEST_AGE
from pipelines.protocol import Protocol

SUMMARY_SCHEMA = {
    "left_out": pl.String,
    "quasi_identifiers": pl.String,
    "minimum_group": pl.Int32,
    "action": pl.String,
    "patients": pl.Int64,
    "patient_groups": pl.Int64,
    "smallest_group": pl.Int64,
    "groups_below": pl.Int64,
    "patients_below": pl.Int64,
    "patients_alone": pl.Int64,
}
GROUPS_SCHEMA = {"patient_group": pl.String, "patients": pl.Int64, "is_below": pl.Boolean}
NOTHING = "nothing"  # left out: the row of all quasi-identifiers together
UNKNOWN = "unknown"
LABELS = {
    "age_band": "age band",
    "site_id": "site",
    "tier": "first tier",
    "enrolment_year": "year of enrolment",
    "enrolment_quarter": "quarter of enrolment",
    "workers_comp": "workers' compensation",
}


def known_of_patients(
    patients: pl.DataFrame, treatments: pl.DataFrame, codes: pl.DataFrame, table: Table, protocol: Protocol
) -> pl.DataFrame:
    """One row a patient: the protocol's quasi-identifiers as text.

    Args:
        patients: accepted patients.
        treatments: accepted treatments.
        codes: the tiers of treatment codes (`codelists.tiers_of_codes`).
        table: the contract of treatments.
        protocol: names the quasi-identifiers and the width of an age band in years.
    """
    first = _first_tiers(treatments, codes, table, protocol)
    seen = patients.join(first, on="patient_id", how="left", maintain_order="left")
    band = _age_band(protocol.anonymity.age_band_years)
    texts = [band if name == "age_band" else pl.col(name) for name in protocol.anonymity.quasi_identifiers]
    names = protocol.anonymity.quasi_identifiers
    return seen.select(
        text.cast(pl.String).fill_null(UNKNOWN).alias(name) for text, name in zip(texts, names, strict=True)
    )


def anonymity(known: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Groups by all quasi-identifiers together (`left_out` is `nothing`), then with each one left out in turn.

    Returns:
        One row each: left_out, quasi_identifiers, minimum_group, action, patients, patient_groups, smallest_group (null
        without patients), groups_below, patients_below and patients_alone (in a group of one).
    """
    names = known.columns
    left_out = [NOTHING, *(names if len(names) > 1 else [])]
    rows = [_summary(known, [n for n in names if n != without], without, protocol) for without in left_out]
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def anonymity_groups(known: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Every group of patients alike in all quasi-identifiers: patient_group, patients, is_below; the smallest first."""
    group = pl.concat_str(known.columns, separator=" · ").alias("patient_group")
    groups = known.group_by(known.columns).agg(patients=pl.len().cast(pl.Int64))
    is_below = pl.col("patients") < protocol.anonymity.minimum_group
    return groups.select(group, "patients", is_below=is_below).sort("patients", "patient_group")


def sentence(summary: pl.DataFrame, protocol: Protocol) -> str | None:
    """What a steward must know, with counts only and no small one; None if every group is large enough."""
    whole = summary.row(0, named=True)
    if not whole["patients_below"]:
        return None
    few = whole["patients"] < protocol.disclosure.minimum_count
    who = "some" if few else _count(whole["patients_below"], protocol)
    said = (
        f"{who} of {whole['patients']:,} patients are in groups of fewer than "
        f"{whole['minimum_group']} who share {whole['quasi_identifiers']}"
    )
    best = summary.filter(pl.col("left_out") != NOTHING).sort("patients_below", "left_out").head(1)
    if best.height and best["patients_below"].item() < whole["patients_below"] and not few:
        fewer = _count(best["patients_below"].item(), protocol)
        said += f"; without the {best['left_out'].item()} it would be {fewer}"
    end = {"warn": "the protocol warns of it and goes on", "block": "the protocol lets no such release be published"}
    return f"{said} ({end[whole['action']]})"


def _first_tiers(treatments: pl.DataFrame, codes: pl.DataFrame, table: Table, protocol: Protocol) -> pl.DataFrame:
    """patient_id and tier: the highest on the first day with a ladder treatment since enrolment."""
    ladder = pl.Enum(protocol.tier_names)
    coded = context.with_code_tier(treatments.lazy(), codes, table)
    tier = pl.coalesce("tier", pl.col("code_tier").cast(pl.String)).cast(ladder, strict=False).alias("tier")
    return (
        coded.select("patient_id", "day", tier)
        .filter(pl.col("tier").is_not_null() & (pl.col("day") >= 0))
        .filter(pl.col("day") == pl.col("day").min().over("patient_id"))
        .group_by("patient_id")
        .agg(pl.col("tier").to_physical().max())
        .with_columns(pl.col("tier").replace_strict(dict(enumerate(protocol.tier_names)), return_dtype=pl.String))
        .collect()
    )


def _age_band(years: int) -> pl.Expr:
    """70–74 and the like, the last of them 90 or older."""
    low = pl.col("age_years") // years * years
    high = pl.min_horizontal(low + years - 1, OLDEST_AGE - 1)
    is_oldest = pl.col("age_years") >= OLDEST_AGE
    return pl.when(is_oldest).then(pl.lit(f"{OLDEST_AGE} or older")).otherwise(pl.format("{}–{}", low, high))


def _summary(known: pl.DataFrame, names: list[str], without: str, protocol: Protocol) -> tuple[object, ...]:
    least, action = protocol.anonymity.minimum_group, protocol.anonymity.action
    sizes = known.group_by(names).len()["len"]
    below = sizes.filter(sizes < least)
    labels = joined(_label(name) for name in names)
    counts = (len(sizes), sizes.min(), len(below), int(below.sum()), int((sizes == 1).sum()))
    return (_label(without), labels, least, action, known.height, *counts)


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _count(count: int, protocol: Protocol) -> str:
    least = protocol.disclosure.minimum_count
    return f"{count:,}" if count == 0 or count >= least else f"fewer than {least}"
