"""The code lists: which code means which tier, event, drug, comorbidity or instrument.

The lists are CSV files, not code: `data/codelists/`. Labels there are our own short words, since the descriptors of
some code systems are licensed. A release may bring lists of its own, named in its manifest, which extend or override
these; what a listed code does to a record is the business of whoever reads it.
"""

from functools import cache
from pathlib import Path

import polars as pl

from pipelines.ingest.contract import EVENTS, OTHER_TIER, SMOKING, STOP_REASONS, joined
from pipelines.ingest.delimited import read_delimited
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import Manifest, read_file
from pipelines.ingest.scanners import LONG_NUMBER, Scanner, first_find, scanners_for
from pipelines.ingest.tables import LINE, with_plain_text
from pipelines.protocol import Protocol
from pipelines.resources import data_folder

COLUMNS = ("system", "code", "kind", "measure", "label", "valid_from", "valid_to", "source")
TREATMENT = "treatment"
NOTHING = "none"  # a measure by which a release takes a code off the bundled list
_TREATMENTS = {"code_system": "system", "tier": "measure"}
_NEEDED = ("system", "code", "measure")
_MOST_CODES = 100_000
_WORD = r"^[a-z][a-z0-9_]{0,59}$"
_CODE = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,49}\*?$"
_SYSTEM = r"^[A-Za-z][A-Za-z0-9_. -]{0,39}$"
CONDITIONS = ("diabetes", "depression", "spondylolisthesis", "opioid_use", "prior_lumbar_surgery")


@cache
def treatment_codes() -> pl.DataFrame:
    """Every treatment code that travels with the pipeline: code_system, code, tier, label, valid_from, valid_to, source
    and is_active; one row a code.

    `source` is `seen` (read in a published list) or `unverified`; a code that is not active maps to nothing.
    """
    return pl.read_csv(
        data_folder() / "codelists" / "treatments.csv", schema_overrides={"is_active": pl.Boolean}, infer_schema=False
    )


def active_treatment_codes() -> pl.DataFrame:
    """The bundled codes that map to a tier: code_system, code, tier, label."""
    return tiers_of_codes(bundled_codes())


@cache
def bundled_codes() -> pl.DataFrame:
    """Every active code that travels with the pipeline, as text: the columns `COLUMNS`, one row a meaning."""
    files = sorted(path for path in (data_folder() / "codelists").glob("*.csv") if path.name != "treatments.csv")
    lists = [pl.read_csv(path, infer_schema=False).select(COLUMNS) for path in files]
    treatments = treatment_codes().filter("is_active").rename(_TREATMENTS)
    return pl.concat([*lists, treatments.select(kind_column(TREATMENT) if c == "kind" else c for c in COLUMNS)])


def kind_column(kind: str) -> pl.Expr:
    """The column `kind` of a list that speaks of one kind."""
    return pl.lit(kind).alias("kind")


def effective_codes(folder: Path, manifest: Manifest, protocol: Protocol) -> pl.DataFrame:
    """The codes of a release: the bundled ones, extended and overridden by the lists that its manifest names.

    A listed code of the release takes the place of every bundled row of the same system, code and kind; the measure
    `none` takes it off.

    Raises:
        ReleaseRefused: a list is missing, changed or does not fit; one sentence with file and line.
    """
    named = [_site_codes(folder, part.file, part.sha256, manifest.format, protocol) for part in manifest.code_lists]
    if not named:
        return bundled_codes()
    own = pl.concat(named)
    _refuse_contradictions(own)
    same, key = bare("code").alias("bare"), ["system", "bare", "kind"]
    kept = bundled_codes().with_columns(same).join(own.with_columns(same), on=key, how="anti").select(COLUMNS)
    return pl.concat([kept, own.select(COLUMNS).filter(pl.col("measure") != NOTHING)])


def tiers_of_codes(codes: pl.DataFrame) -> pl.DataFrame:
    """The codes that map to a tier: code_system, code, tier, label."""
    of_tiers = codes.filter(kind=TREATMENT).select(code_system="system", code="code", tier="measure", label="label")
    return of_tiers.unique(["code_system", "code", "tier"], keep="first", maintain_order=True)


def bare(code: str) -> pl.Expr:
    """A code without dots, blanks and a procedure's modifier (`64483-50`), in capitals."""
    plain = pl.col(code).str.to_uppercase().str.replace_all(r"[.\s]", "")
    return plain.str.replace(r"^([0-9A-Z]{5})-[0-9A-Z]{2}$", "$1")


# ------------------------------------------------------------------------------------------- the lists of a release


def _site_codes(folder: Path, file: str, sha256: str, form: str, protocol: Protocol) -> pl.DataFrame:
    """One list of a release, validated: `COLUMNS`, `$file` and `$line`."""
    table = with_plain_text(read_delimited(read_file(folder, file, sha256), file))
    lacking = [name for name in _NEEDED if name not in table.columns]
    unknown = [name for name in table.columns if name not in COLUMNS]
    if lacking or unknown:
        what = f"lacks the column {lacking[0]}" if lacking else "has a column that no code list has"
        raise ReleaseRefused(f"{file} {what}; a code list has the columns {joined(COLUMNS)}")
    if table.broken_lines:
        raise ReleaseRefused(f"{file}, line {table.broken_lines[0]}: more or fewer fields than the header; correct it")
    if table.frame.height > _MOST_CODES:
        raise ReleaseRefused(f"{file} holds more than {_MOST_CODES:,} codes; name those that the study needs")
    absent = [pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in table.columns]
    rows = table.frame.with_columns(absent)
    words = measures(protocol)
    rows = rows.with_columns(kind=pl.coalesce("kind", _kind_of_measure(words)), **{"$file": pl.lit(file)})
    for condition, said in _faults(words, form):
        faulty = rows.filter(condition)
        if faulty.height:
            raise ReleaseRefused(f"{file}, line {faulty[LINE][0]}: {said}")
    for column in ("code", "label", "source"):
        find = first_find(rows[column].drop_nulls().unique(maintain_order=True), _scanners())
        if find:
            raise ReleaseRefused(f"{file}, column {column}: {find[1]}; a code list names codes and nobody")
    return rows.with_columns(pl.col("label", "source").fill_null("")).select(*COLUMNS, "$file", LINE)


def measures(protocol: Protocol) -> dict[str, tuple[str, ...] | None]:
    """What the codes of each kind may mean; None: any plain word."""
    walking = tuple(i.name for i in protocol.instruments if i.kind == "walking")
    return {
        TREATMENT: tuple(dict.fromkeys((*protocol.tier_names, OTHER_TIER))),
        "instrument": tuple(i.name for i in protocol.instruments),
        "duration": walking,
        "stop_reason": STOP_REASONS,
        "event": EVENTS,
        "condition": CONDITIONS,
        "smoking": SMOKING,
        "drug": ("opioid",),
        "visit": ("inpatient",),
        "baseline": ("bmi",),
        "sex": ("female", "male"),
        "comorbidity": None,
        "cohort": None,
    }


def _kind_of_measure(words: dict[str, tuple[str, ...] | None]) -> pl.Expr:
    """Where a list names no kinds: the one kind that the measure belongs to, treatments first."""
    known: dict[str, str] = {}
    for kind, measures in words.items():
        if kind not in ("duration", "stop_reason"):  # their words are those of other kinds, or too general
            known |= {measure: kind for measure in measures or () if measure not in known}
    return pl.col("measure").replace_strict(known, default=None, return_dtype=pl.String)


def _faults(words: dict[str, tuple[str, ...] | None], form: str) -> list[tuple[pl.Expr, str]]:
    """What can be wrong with a row of a list, in the order in which it is said."""
    code, kind, measure = pl.col("code"), pl.col("kind"), pl.col("measure")
    faults = [(pl.col(name).is_null(), f"{name} is empty; every code needs its {joined(_NEEDED)}") for name in _NEEDED]
    faults += [
        (~code.str.contains(_CODE), "code is none that a code system has; a * may stand at its end alone"),
        (
            ~pl.col("system").str.contains(_SYSTEM),
            "system is none that a code may be of; write CPT, ICD10CM or the like",
        ),
        (kind.is_null(), f"it cannot be told what measure is; name its kind: {joined(words, 'or')}"),
        (~kind.is_in(list(words)), f"kind is none that is known here; use {joined(words, 'or')}"),
    ]
    for name, allowed in words.items():
        known = measure.str.contains(_WORD) if allowed is None else measure.is_in([*allowed, NOTHING])
        said = f"one of {joined(allowed, 'or')}" if allowed else "a plain word of small letters"
        faults.append(((kind == name) & ~known, f"measure of a {name} must be {said}, or {NOTHING}"))
    is_coarse = (kind == TREATMENT) & code.str.ends_with("*")
    faults.append((is_coarse, "the code of a treatment must be whole; write each code out"))
    if form != "omop":
        said = "a release of the contract's own tables holds codes of treatments only; remove this row"
        faults.append((kind != TREATMENT, said))
    for name in ("valid_from", "valid_to"):
        is_date = pl.col(name).str.to_date("%Y-%m-%d", strict=False).is_not_null()
        faults.append((pl.col(name).is_not_null() & ~is_date, f"{name} is no date; write it as year-month-day"))
    faults.append((pl.col("valid_from") > pl.col("valid_to"), "valid_from lies after valid_to; correct one of the two"))
    return faults


def _refuse_contradictions(own: pl.DataFrame) -> None:
    """A treatment code means one tier, since a release of days has no dates to choose by."""
    tiers = own.filter(kind=TREATMENT).with_columns(bare=bare("code"))
    twice = tiers.filter(pl.col("measure").n_unique().over("system", "bare") > 1)
    if twice.height:
        file, line = twice["$file"][-1], twice[LINE][-1]
        raise ReleaseRefused(f"{file}, line {line}: an earlier row gives the same code another tier; keep one of them")


@cache
def _scanners() -> tuple[Scanner, ...]:
    """What no code list may hold; long numbers and dates are what codes look like."""
    return tuple(s for s in scanners_for("code") if s is not LONG_NUMBER and s.kind != "a date")
