"""Which record of an OMOP table means what: its concepts and source value held against the code lists.

`data/codelists/omop.csv` (cohort, covariates, instruments, events) and `treatments.csv` (tiers). The source concept
speaks first, then the standard concept; where the concept is 0 or unknown to the vocabulary, the source value does.
"""

from datetime import date

import polars as pl

from pipelines.ingest.codelists import treatment_codes
from pipelines.resources import data_folder

_LIST = ("system", "code", "kind", "measure", "label", "valid_from", "valid_to", "source")
_SAME_SYSTEM = {"CPT4": "CPT"}
_EARLIEST, _LATEST = date(1900, 1, 1), date(2200, 1, 1)


def code_list() -> pl.DataFrame:
    """Every code: system, code, kind, measure, first, last (days it is valid), is_prefix, bare; a row a meaning."""
    general = pl.read_csv(data_folder() / "codelists" / "omop.csv", schema=dict.fromkeys(_LIST, pl.String))
    tiers = treatment_codes().filter("is_active")
    tiers = tiers.select(
        pl.col("code_system").alias("system"), "code", pl.lit("treatment").alias("kind"), measure="tier",
        valid_from="valid_from", valid_to="valid_to",
    )  # fmt: skip
    both = pl.concat([general.select(tiers.columns), tiers])
    return both.with_columns(
        first=pl.col("valid_from").str.to_date().fill_null(_EARLIEST),
        last=pl.col("valid_to").str.to_date().fill_null(_LATEST),
        is_prefix=pl.col("code").str.ends_with("*"),
        bare=_bare(pl.col("code").str.strip_chars_end("*")),
    )


def meanings(frame: pl.DataFrame, stem: str, day: str, concepts: pl.DataFrame, kinds: tuple[str, ...]) -> pl.DataFrame:
    """Rows of a clinical table with what they mean: `$row`, system, code, kind, measure; none, one or several a row.

    Args:
        frame: the table with `$row`.
        stem: how its concept columns begin.
        day: its date column; a code counts only while it is valid. Rows without a date keep their meaning.
        concepts: the source's vocabulary, maybe empty.
        kinds: what to look for.
    """
    known = concepts.select(
        "concept_id",
        system=pl.col("vocabulary_id").replace(_SAME_SYSTEM),
        bare=_bare(pl.col("concept_code")),
    ).unique("concept_id")
    listed = code_list().filter(pl.col("kind").is_in(kinds))
    rows = frame.select(
        "$row", day, concept=f"{stem}_concept_id", told=f"{stem}_source_concept_id", said=f"{stem}_source_value"
    )
    found = []
    for place, column in enumerate(("told", "concept")):
        named = rows.filter(pl.col(column) > 0).with_columns(pl.lit(place).alias("place"))
        own = named.with_columns(system=pl.lit("OMOP"), bare=pl.col(column).cast(pl.String))
        coded = named.join(known, left_on=column, right_on="concept_id")
        found += [part.select("$row", day, "place", "system", "bare") for part in (own, coded)]
    is_dark = (pl.col("concept").fill_null(0) == 0) | ~pl.col("concept").is_in(known["concept_id"].implode())
    said = rows.filter(is_dark & pl.col("said").is_not_null())
    said = said.select("$row", day, place=pl.lit(2), system=pl.lit(None, pl.String), bare=_bare(pl.col("said")))
    spoken = pl.concat([*found, said])
    keys = spoken.select("system", "bare").unique()
    hits = _hits(keys, listed)
    matched = spoken.join(hits, on=["system", "bare"], nulls_equal=True)
    is_valid = pl.col(day).is_null() | pl.col(day).is_between(pl.col("first"), pl.col("last"))
    best = matched.filter(is_valid).sort("$row", "place", "listed_system", "code")
    return best.unique(["$row", "kind", "measure"], keep="first", maintain_order=True).select(
        "$row", "kind", "measure", "code", system="listed_system"
    )


def _hits(keys: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Which of the codes met stands in the list; a source value without a system may be of any but a concept id's."""
    fits = (pl.col("system") == pl.col("listed_system")) | (
        pl.col("system").is_null() & (pl.col("listed_system") != "OMOP")
    )
    renamed = listed.rename({"system": "listed_system", "bare": "listed"})
    exact = keys.join(renamed.filter(~pl.col("is_prefix")), left_on="bare", right_on="listed").filter(fits)
    starts = keys.join(renamed.filter("is_prefix"), how="cross").filter(
        fits & pl.col("bare").str.starts_with(pl.col("listed"))
    )
    columns = ["system", "bare", "listed_system", "code", "kind", "measure", "first", "last"]
    return pl.concat([exact.select(columns), starts.select(columns)])


def _bare(code: pl.Expr) -> pl.Expr:
    """A code without dots, blanks and a procedure's modifier (`64483-50`), in capitals."""
    plain = code.str.to_uppercase().str.replace_all(r"[.\s]", "")
    return plain.str.replace(r"^([0-9A-Z]{5})-[0-9A-Z]{2}$", "$1")
