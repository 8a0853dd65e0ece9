"""The input contract: which tables and columns a release has, their types, ranges and words.

Only the shape of a release stands here. What makes a single row wrong is in `rules.py`, what identifies a person in
`guard.py`. Words and ranges that a study decides (tiers, instruments, units) come from the protocol.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.headers import identifier_kind, shown_column
from pipelines.protocol import Protocol

Kind = Literal["identifier", "whole", "number", "boolean", "word", "term"]

DTYPES: dict[str, type[pl.DataType]] = {
    "identifier": pl.String,
    "whole": pl.Int32,
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "word": pl.String,
    "term": pl.String,
}

OTHER_TIER = "other"
SEXES = ("female", "male", "other")
SMOKING = ("never", "former", "current")
STENOSIS_GRADES = ("A", "B", "C", "D")
STOP_REASONS = ("claudication", "back_pain", "fatigue", "other_pain", "balance", "time_limit", "choice")
MODES = ("clinic", "phone", "web", "mail")
EVENTS = (
    "death",
    "withdrawal",
    "readmission",
    "infection",
    "dural_tear",
    "haematoma",
    "nerve_injury",
    "thromboembolism",
    "other_complication",
    "opioid_start",
    "negative_control",
)

EARLIEST_DAY = -43_830  # 120 years before enrolment: further back no living patient was treated
LATEST_DAY = 18_263  # 50 years of follow-up
LONGEST_TEST = 86_400  # seconds: what lasts longer than a day is no test


@dataclass(frozen=True)
class Column:
    """One column of the contract.

    `kind` is `identifier` (a pseudonym), `whole`, `number`, `boolean`, `word` (one of `words`) or `term` (a short
    code word of the source's own, such as an insurance class). Columns that are not `is_required` are filled with
    nulls where a file lacks them; `may_be_empty` speaks of single fields. A term is made of the words that the guard
    knows for such terms and of `class_words`, those that a study adds.
    """

    name: str
    kind: Kind
    is_required: bool = True
    may_be_empty: bool = True
    minimum: float | None = None
    maximum: float | None = None
    words: tuple[str, ...] = ()
    class_words: tuple[str, ...] = ()

    @property
    def dtype(self) -> type[pl.DataType]:
        """The polars type that the column has once read."""
        return DTYPES[self.kind]


@dataclass(frozen=True)
class Table:
    """One table of the contract; `key` is its grain."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """All columns in the order in which `raw.*` holds them."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Name and type of every column."""
        return {column.name: column.dtype for column in self.columns}


PATIENTS = Table(
    "patients",
    ("patient_id",),
    (
        Column("patient_id", "identifier", may_be_empty=False),
        Column("site_id", "identifier", may_be_empty=False),
        Column("enrolment_year", "whole", minimum=1950, maximum=2099),
        Column("age_years", "whole", minimum=0, maximum=90),
        Column("sex", "word", words=SEXES),
        Column("bmi", "number", minimum=10, maximum=90),
        Column("smoking", "word", words=SMOKING),
        Column("comorbidity_count", "whole", minimum=0, maximum=50),
        Column("diabetes", "boolean"),
        Column("depression", "boolean"),
        Column("opioid_use", "boolean"),
        Column("prior_lumbar_surgery", "boolean"),
        Column("spondylolisthesis", "boolean"),
        Column("stenosis_grade", "word", words=STENOSIS_GRADES),
        Column("stenotic_levels", "whole", minimum=0, maximum=6),
        Column("symptom_months", "number", minimum=0, maximum=1200),
        Column("last_contact_day", "whole", may_be_empty=False, minimum=0, maximum=LATEST_DAY),
        Column("administrative_end_day", "whole", may_be_empty=False, minimum=0, maximum=LATEST_DAY),
        Column("back_dominant", "boolean", is_required=False),
        Column("workers_comp", "boolean", is_required=False),
        Column("insurance", "term", is_required=False),
        Column("education", "term", is_required=False),
        Column("enrolment_quarter", "whole", is_required=False, minimum=1, maximum=4),
        Column("site_sequence", "whole", is_required=False, minimum=1),
    ),
)

TREATMENTS = Table(
    "treatments",
    ("treatment_id",),
    (
        Column("treatment_id", "identifier", may_be_empty=False),
        Column("patient_id", "identifier", may_be_empty=False),
        Column("day", "whole", may_be_empty=False, minimum=EARLIEST_DAY, maximum=LATEST_DAY),
        Column("tier", "word", is_required=False),
        Column("code", "term", is_required=False),
        Column("code_system", "term", is_required=False),
        Column("site_id", "identifier"),
        Column("surgeon_id", "identifier", is_required=False),
        Column("levels_treated", "whole", is_required=False, minimum=0, maximum=10),
        Column("planned_stage", "boolean", is_required=False),
    ),
)

ASSESSMENTS = Table(
    "assessments",
    ("patient_id", "day", "instrument"),
    (
        Column("patient_id", "identifier", may_be_empty=False),
        Column("day", "whole", may_be_empty=False, minimum=EARLIEST_DAY, maximum=LATEST_DAY),
        Column("instrument", "word", may_be_empty=False),
        Column("value", "number", may_be_empty=False),
        Column("unit", "word", may_be_empty=False),
        Column("mode", "word", words=MODES),
        Column("duration_s", "number", minimum=0, maximum=LONGEST_TEST),
        Column("stop_reason", "word", words=STOP_REASONS),
    ),
)

EVENT_RECORDS = Table(
    "events",
    ("patient_id", "day", "event"),
    (
        Column("patient_id", "identifier", may_be_empty=False),
        Column("day", "whole", may_be_empty=False, minimum=EARLIEST_DAY, maximum=LATEST_DAY),
        Column("event", "word", may_be_empty=False, words=EVENTS),
    ),
)

TABLE_NAMES = ("patients", "treatments", "assessments", "events")


def contract(protocol: Protocol) -> dict[str, Table]:
    """The four tables as this study reads them: its tiers, instruments and units, and walking columns if it walks."""
    has_walking = any(instrument.kind == "walking" for instrument in protocol.instruments)
    units = sorted({unit for instrument in protocol.instruments for unit in instrument.unit_factors})
    assessments = _with(ASSESSMENTS, "instrument", words=tuple(i.name for i in protocol.instruments))
    assessments = _with(assessments, "unit", words=tuple(units))
    for name in ("duration_s", "stop_reason"):
        assessments = _with(assessments, name, is_required=has_walking)
    treatments = _with(TREATMENTS, "tier", words=tuple(dict.fromkeys((*protocol.tier_names, OTHER_TIER))))
    for column in ("code", "code_system"):
        treatments = _with(treatments, column, class_words=(*protocol.anonymity.class_words, *protocol.tier_names))
    patients = PATIENTS
    for column in ("insurance", "education"):
        patients = _with(patients, column, class_words=protocol.anonymity.class_words)
    return {"patients": patients, "treatments": treatments, "assessments": assessments, "events": EVENT_RECORDS}


def require_columns(table: Table, columns: Sequence[str], file: str) -> None:
    """Hold a file's header against the contract; an unknown column refuses the release.

    Raises:
        ReleaseRefused: a column identifies people, is missing or is unknown.
    """
    known = set(table.column_names)
    if not known & set(columns):
        raise ReleaseRefused(
            f"{file} does not start with a header row that names the columns of {table.name}; "
            f"write the column names into its first line"
        )
    _refuse_unknown([column for column in columns if column not in known], columns, file, table.name)
    missing = [c.name for c in table.columns if c.is_required and c.name not in columns]
    if missing:
        it = "it" if len(missing) == 1 else "them"
        empty = ", empty where unknown" if all(table.column(name).may_be_empty for name in missing) else ""
        raise ReleaseRefused(f"{file} lacks the {_listed('column', missing)}; add {it}{empty}")
    if table.name == "treatments" and "tier" not in columns and not {"code", "code_system"} <= set(columns):
        raise ReleaseRefused(
            f"{file} has neither the column tier nor the columns code and code_system; add one of the two"
        )


def _refuse_unknown(unknown: Sequence[str], columns: Sequence[str], file: str, table: str) -> None:
    kinds = {column: identifier_kind(column) for column in unknown}
    for column in sorted(unknown, key=lambda name: kinds[name] is None):
        shown = shown_column(column, columns)
        if kinds[column]:
            raise ReleaseRefused(
                f"{file} has {shown}, which by its name holds {kinds[column]}; "
                f"remove the column, write the manifest again and hand the release over again"
            )
        raise ReleaseRefused(
            f"{file} has {shown}, which is not part of the table {table}; remove it, or rename it if it is misspelt"
        )


def _with(table: Table, name: str, **changes: object) -> Table:
    columns = tuple(replace(c, **changes) if c.name == name else c for c in table.columns)  # type: ignore[arg-type]
    return replace(table, columns=columns)


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"{noun} {names[0]}" if len(names) == 1 else f"{noun}s {joined(names)}"


def joined(names: Iterable[str], last: str = "and") -> str:
    """Names as a plain list: `a, b and c`."""
    *front, end = list(names)
    return f"{', '.join(front)} {last} {end}" if front else end
