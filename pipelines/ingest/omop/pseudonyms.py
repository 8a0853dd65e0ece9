"""Pseudonyms for the patients, treatments, sites and surgeons of a source, none of them made from an id of the source.

Patients are numbered in the order of hashes of what is known of them once dates and ids are gone, so that the same
content gives the same ids, and nobody can go back from one. A mark of the whole content stands before the number: the
next release has other ids, and nothing takes its seventh patient for the seventh of this one.
"""

import hashlib

import polars as pl

from pipelines.ingest.tables import FILE, LINE

_LINES = (FILE, LINE)
_CONSONANTS = "bcdfghjkmnpqrtvw"
_SOURCE_IDS = ("person_id", "care_site_id", "provider_id", *_LINES)


def pseudonymous(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The four tables with pseudonyms in place of `person_id`, `care_site_id` and `provider_id`.

    A treatment is of the site it was given at, else of its patient's.
    """
    patients = _numbered(tables)
    sites = _labels(pl.concat([patients.select("care_site_id"), tables["treatments"].select("care_site_id")]), "S")
    with_ids = {
        name: frame.join(patients.select("person_id", "patient_id"), on="person_id", maintain_order="left")
        for name, frame in tables.items()
    }
    listed = with_ids["patients"].join(sites, on="care_site_id", how="left", maintain_order="left")
    listed = listed.with_columns(site_id=pl.col("label").fill_null("S0")).drop("label", "care_site_id")
    of_patient = listed.select("patient_id", own_site="site_id")
    given = with_ids["treatments"].join(of_patient, on="patient_id", maintain_order="left")
    given = given.join(sites, on="care_site_id", how="left", maintain_order="left")
    given = given.with_columns(site_id=pl.coalesce("label", "own_site")).drop("label", "care_site_id", "own_site")
    mark = patients["patient_id"].str.split("-").list.get(1).first()
    order = ["patient_id", "day", "code_system", "code", "provider_id", *_LINES]
    given = given.sort(order, nulls_last=True).with_row_index("n", offset=1)
    surgeons = _labels(given.select("provider_id"), "D")
    given = given.join(surgeons, on="provider_id", how="left", maintain_order="left")
    given = given.with_columns(treatment_id=pl.format("T-{}-{}", pl.lit(mark), "n"), surgeon_id="label").drop(
        "n", "label", "provider_id"
    )
    return {
        "patients": listed.drop("person_id"),
        "treatments": given.drop("person_id"),
        "assessments": with_ids["assessments"].drop("person_id"),
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
    listed = ordered.join(sites, on="person_id", maintain_order="left")
    return listed.with_columns(patient_id=pl.format("P-{}-{}", pl.lit(_mark(digests)), "n"))


def _mark(digests: list[str]) -> str:
    """Six consonants that tell one content from another; no word, no number and no date can come of them."""
    whole = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
    return "".join(_CONSONANTS[int(digit, 16)] for digit in whole[:6])


def _labels(met: pl.DataFrame, letter: str) -> pl.DataFrame:
    """A label for each value of the one column, in the order of first appearance: the column, `label`."""
    numbered = met.drop_nulls().unique(maintain_order=True).with_row_index("n", offset=1)
    return numbered.select(met.columns[0], label=pl.concat_str(pl.lit(letter), pl.col("n").cast(pl.String)))
