"""The mapping of a REDCap project: which of its fields, events and instruments are which column of the four tables.

It is a TOML file in the release folder, named with its hash in the manifest. How an export is read by it stands in
`tables.py`; an example stands in `tests/ingest/test_redcap.py`.
"""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.questionnaires import SCALES

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(_Part):
    """Where a column's values are from: one of `field`, `checked`, `count`, `value`.

    Attributes:
        field: a field of the project, as it stands.
        choices: what its codes mean; a code that is not named stays as it is and meets the row rules.
        is_date: the field holds a calendar date, which becomes days from enrolment (only where the mode allows dates).
        is_year: the field holds a calendar date, of which the year is kept.
        event: the field stands in another event of the same record.
        checked: a box of a checkbox field (`comorbidity___3`), true or false.
        count: boxes of which the ticked ones are counted.
        value: the same for every row.
    """

    field: _Name | None = None
    choices: dict[str, str] = {}
    is_date: bool = False
    is_year: bool = False
    event: str | None = None
    checked: _Name | None = None
    count: tuple[_Name, ...] = ()
    value: str | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [self.field is not None, self.checked is not None, bool(self.count), self.value is not None]
        if sum(given) != 1:
            raise ValueError("needs one of field, checked, count and value")
        if (self.choices or self.is_date or self.is_year) and self.field is None:
            raise ValueError("has choices, is_date or is_year without a field")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the project that it reads."""
        return tuple(name for name in (self.field, self.checked, *self.count) if name)


def _source(given: Any) -> Any:
    """`bmi = "bmi"` is short for `bmi = { field = "bmi" }`; tuples are lists in TOML."""
    if isinstance(given, str):
        return {"field": given}
    if isinstance(given, dict) and isinstance(given.get("count"), list):
        return given | {"count": tuple(given["count"])}
    return given


_Columns = dict[str, Annotated[Source, BeforeValidator(_source)]]


class Section(_Part):
    """Rows of the export that hold records of one table: those of some events, and of one repeating instrument or none.

    Without `events` rows of every event count.
    """

    events: list[str] = []
    repeat_instrument: str = ""
    columns: _Columns = Field(default={}, validate_default=True)

    def sources(self) -> Iterator[Source]:
        """Everything that it reads."""
        yield from self.columns.values()


class Assessment(Section):
    """One instrument: its value from a column `value`, or its score from `items` in the questionnaire's order."""

    instrument: str
    items: list[_Name] = []

    @model_validator(mode="after")
    def _is_measured(self) -> Self:
        if bool(self.items) == ("value" in self.columns):
            raise ValueError("needs either items or a column value")
        scale = SCALES.get(self.instrument)
        if self.items and scale is None:
            raise ValueError(f"has items, but only {', '.join(SCALES)} are scored from items")
        if scale and self.items and len(self.items) != scale.items:
            raise ValueError(f"needs {scale.items} items, in the questionnaire's order")
        return self


class Mapping(_Part):
    """A whole mapping.

    Attributes:
        record: the field that names the record, which becomes patient_id.
        enrolment_date: the field with day 0, where dates are exported; it stands in the events of `patients`.
        ignore: fields that are left out, as names or patterns such as `*_complete`; every other one must be mapped.
        ignore_events, ignore_instruments: events and repeating instruments whose rows are left out.
    """

    record: _Name = "record_id"
    enrolment_date: _Name | None = None
    ignore: list[str] = []
    ignore_events: list[str] = []
    ignore_instruments: list[str] = []
    patients: Section
    treatments: list[Section] = []
    assessments: list[Assessment] = []
    events: list[Section] = []

    @model_validator(mode="after")
    def _dates_have_a_start(self) -> Self:
        if self.enrolment_date is None and any(source.is_date for source in self.sources()):
            raise ValueError("has dates, so it needs enrolment_date, the field with the day of enrolment")
        return self

    def sections(self) -> Iterator[tuple[str, Section]]:
        """Every section with the name of its table."""
        yield "patients", self.patients
        for table in ("treatments", "assessments", "events"):
            for section in getattr(self, table):
                yield table, section

    def sources(self) -> Iterator[Source]:
        """Everything that it reads, items apart."""
        for _, section in self.sections():
            yield from section.sources()

    @property
    def has_dates(self) -> bool:
        """Whether it reads calendar dates."""
        return self.enrolment_date is not None or any(s.is_date or s.is_year for s in self.sources())

    @property
    def fields(self) -> set[str]:
        """Every field of the project that it reads."""
        items = {item for section in self.assessments for item in section.items}
        single = {name for name in (self.record, self.enrolment_date) if name}
        return single | items | {name for source in self.sources() for name in source.fields}

    def ignores(self, name: str) -> bool:
        """Whether it leaves a field out."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignore)


def read_mapping(data: bytes, file: str) -> Mapping:
    """The mapping in a TOML file.

    Raises:
        ReleaseRefused: it is not TOML, or a key is missing, unknown or does not fit.
    """
    try:
        content = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError, ValueError):
        raise ReleaseRefused(f"{file} is not valid TOML in UTF-8; correct the mapping and its hash") from None
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(step + 1) if isinstance(step, int) else step for step in problem["loc"])
        wording = {"missing": "is missing; add it", "extra_forbidden": "is not known; remove it"}
        said = wording.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
        raise ReleaseRefused(f"{file}: {f'the key {key} ' if key else 'it '}{said[:1].lower()}{said[1:]}") from None
