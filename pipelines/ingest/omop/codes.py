"""Which record of an OMOP table means what: its concepts and source value held against the code lists.

The source concept speaks first, then the standard concept with what the vocabulary's `concept_ancestor` puts it under
(so a clinical drug is found by its ingredient). Where the source concept says nothing, the source value speaks as
well: always when the standard concept says nothing either, else if it is written as the code of a classification.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from pipelines.ingest.codelists import bare
from pipelines.ingest.omop.doors import CODED, SAME_SYSTEM, CdmTable, Coded

_EARLIEST, _LATEST = date(1900, 1, 1), date(2200, 1, 1)
_WRITTEN_CODE = r"[A-Za-z.]|^\d{5}$"
_ICD10, _ICD9 = r"^[A-TV-Z]\d[0-9A-Z]", r"^(?:\d{3}|[VE]\d{2})\d{0,2}$"


@dataclass(frozen=True)
class Vocabulary:
    """The code lists, ready to be held against a source, and what the source's vocabulary says of its concepts.

    Attributes:
        listed: system, code, bare, kind, measure, first, last (days it is valid), is_prefix; a row a meaning.
        known: concept_id, system, bare: a concept's own code, and those that it stands under.
    """

    listed: pl.DataFrame
    known: pl.DataFrame

    def of(self, *kinds: str) -> pl.DataFrame:
        """The listed codes of some kinds."""
        return self.listed.filter(pl.col("kind").is_in(kinds))


def vocabulary(codes: pl.DataFrame, cdm: dict[str, CdmTable]) -> Vocabulary:
    """Make the code lists and the source's own concepts ready.

    Args:
        codes: the effective code lists (`codelists.effective_codes`).
        cdm: the source; its `concept` and `concept_ancestor` may be empty.
    """
    listed = codes.select(
        "system", "code", "kind", "measure",
        first=pl.col("valid_from").str.to_date().fill_null(_EARLIEST),
        last=pl.col("valid_to").str.to_date().fill_null(_LATEST),
        is_prefix=pl.col("code").str.ends_with("*"),
        bare=bare("code").str.strip_chars_end("*"),
    )  # fmt: skip
    system = pl.col("vocabulary_id").replace(SAME_SYSTEM)
    concepts = cdm["concept"].frame.select("concept_id", system=system, bare=bare("concept_code"))
    own = concepts.filter(pl.col("system").is_in(listed["system"].unique().implode())).unique("concept_id")
    under = cdm["concept_ancestor"].frame.select("ancestor_concept_id", concept_id="descendant_concept_id")
    above = under.join(_of_list(own, listed), left_on="ancestor_concept_id", right_on="concept_id")
    return Vocabulary(listed, pl.concat([own, above.select(own.columns)]).unique(maintain_order=True))


def _of_list(concepts: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """The concepts whose own code stands in the lists: only what stands under these matters."""
    return concepts.join(_hits(concepts.select("system", "bare").unique(), listed), on=["system", "bare"], how="semi")


def meanings(frame: pl.DataFrame, coded: Coded, known: Vocabulary, kinds: tuple[str, ...]) -> pl.DataFrame:
    """Rows of a table with what they mean: `$row`, kind, measure, code, system; none, one or several a row.

    Args:
        frame: the table with `$row`.
        coded: its columns; a code counts only while it is valid. Rows without a date keep their meaning.
        known: code lists and concepts.
        kinds: what to look for.
    """
    rows = frame.select(
        "$row", day=coded.date, concept=coded.concept, told=coded.source_concept, said=coded.source_value
    )
    spoken = _spoken(rows, known)
    matched = spoken.join(
        _hits(spoken.select("system", "bare").unique(), known.of(*kinds)), on=["system", "bare"], nulls_equal=True
    )
    is_valid = pl.col("day").is_null() | pl.col("day").is_between(pl.col("first"), pl.col("last"))
    best = matched.filter(is_valid).sort("$row", "place", "listed_system", "code")
    return best.unique(["$row", "kind", "measure"], keep="first", maintain_order=True).select(
        "$row", "kind", "measure", "code", system="listed_system"
    )


def systems_met(frame: pl.DataFrame, coded: Coded, known: Vocabulary) -> set[str]:
    """The systems that a table is coded in; a source value is taken for the classification that it is written in."""
    rows = frame.select(
        "$row", day=coded.date, concept=coded.concept, told=coded.source_concept, said=coded.source_value
    )
    spoken = _spoken(rows, known)
    met = set(spoken["system"].drop_nulls().unique()) - {"OMOP"}
    values = spoken.filter(pl.col("system").is_null())["bare"].unique()
    forms = {"ICD10CM": _ICD10, "ICD9CM": _ICD9}
    return met | {system for system, form in forms.items() if values.str.contains(form).any()}


def _spoken(rows: pl.DataFrame, known: Vocabulary) -> pl.DataFrame:
    """What each row says: `$row`, day, place (in the order in which it counts), system (null: unsaid), bare."""
    found = []
    for place, column in enumerate(("told", "concept")):
        named = rows.filter(pl.col(column) > 0).with_columns(pl.lit(place).alias("place"))
        own = named.with_columns(system=pl.lit("OMOP"), bare=pl.col(column).cast(pl.String))
        coded = named.join(known.known, left_on=column, right_on="concept_id")
        found += [part.select("$row", "day", "place", "system", "bare") for part in (own, coded)]
    concepts = known.known["concept_id"].unique().implode()
    says_nothing = {name: (pl.col(name).fill_null(0) == 0) | ~pl.col(name).is_in(concepts) for name in _CONCEPTS}
    is_heard = says_nothing["told"] & (says_nothing["concept"] | pl.col("said").str.contains(_WRITTEN_CODE))
    said = rows.filter(is_heard & pl.col("said").is_not_null())
    said = said.select("$row", "day", place=pl.lit(2), system=pl.lit(None, pl.String), bare=bare("said"))
    return pl.concat([*found, said])


_CONCEPTS = ("told", "concept")


def _hits(keys: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Which of the codes met stands in the list; a source value without a system may be of any but a concept id's."""
    fits = (pl.col("system") == pl.col("listed_system")) | (
        pl.col("system").is_null() & (pl.col("listed_system") != "OMOP")
    )
    renamed = listed.rename({"system": "listed_system", "bare": "listed"})
    exact = keys.join(renamed.filter(~pl.col("is_prefix")), left_on="bare", right_on="listed")
    columns = ["system", "bare", "listed_system", "code", "kind", "measure", "first", "last"]
    found = [exact.filter(fits).select(columns)]
    prefixes = renamed.filter("is_prefix")
    for length in prefixes["listed"].str.len_chars().unique():
        begun = keys.filter(pl.col("bare").str.len_chars() >= length).with_columns(
            listed=pl.col("bare").str.slice(0, length)
        )
        found.append(begun.join(prefixes, on="listed").filter(fits).select(columns))
    return pl.concat(found)


def meanings_of_tables(
    frames: dict[str, pl.DataFrame], known: Vocabulary, kinds: dict[str, tuple[str, ...]]
) -> dict[str, pl.DataFrame]:
    """Every coded table's rows that mean something, with their own columns and `date`."""
    made = {}
    for name, asked in kinds.items():
        coded = CODED[name]
        meant = meanings(frames[name], coded, known, asked)
        made[name] = meant.join(frames[name].rename({coded.date: "date"}), on="$row")
    return made
