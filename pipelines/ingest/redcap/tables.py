"""A flat REDCap export, longitudinal or not, as the four tables: what its mapping says, and nothing guessed.

Rows of one record stand in events and repeating instruments; several records can come from one row. Every field of the
export is mapped or left out by name, else the release is refused, and what is left out is looked at by the guard all
the same. Calendar dates become days from enrolment here and go no further. How the mapping is written is in
`mapping.py`, how items become scores in `questionnaires.py`.
"""

from collections.abc import Iterable
from collections.abc import Mapping as Named
from dataclasses import dataclass

import polars as pl

from pipelines.ingest.contract import Table, joined
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.guard import YEAR_ONLY_MODES
from pipelines.ingest.headers import identifier_kind, shown_column
from pipelines.ingest.manifest import Mode
from pipelines.ingest.parsing import MINUTES, SECONDS
from pipelines.ingest.questionnaires import SCALES, answered, is_impossible, score
from pipelines.ingest.redcap.mapping import Assessment, Mapping, Section, Source
from pipelines.ingest.rules import Rule
from pipelines.ingest.scanners import first_find, scanners_for
from pipelines.ingest.tables import FIELD, LINE, REFUSED_SCHEMA, FileTable
from pipelines.protocol import Protocol

EVENT, INSTRUMENT, INSTANCE = "redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance"
_OWN = (EVENT, INSTRUMENT, INSTANCE)
_DATE = r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?$"
_ENROLLED = "$enrolled"
_LONG = 1e7  # no measure is a number of eight digits, but dates, telephone and insurance numbers are
_TICKED = {"1": "true", "0": "false", "checked": "true", "unchecked": "false", "Checked": "true", "Unchecked": "false"}
_REFUSED_BY = "$rule"
_FILLED_IN = {
    "patients": (),
    "treatments": ("treatment_id", "site_id"),
    "assessments": ("instrument", "value", "unit", "mode", "duration_s", "stop_reason"),
    "events": (),
}


@dataclass(frozen=True)
class _Export:
    """The export with what all sections read: fields of other events and the date of enrolment joined to each row."""

    file: str
    frame: pl.DataFrame
    mapping: Mapping


def redcap_rules(table: str) -> tuple[Rule, ...]:
    """The rules by which this reader refuses rows: they speak before a record can be made."""

    def rule(name: str, reason: str) -> Rule:
        return Rule(f"{table}.{name}", table, None, pl.lit(False), reason)

    rules = [
        rule("date.unreadable", "a date is not written as year-month-day; correct it in the project and export again"),
        rule("date.no_enrolment", "the record has no readable date of enrolment to count days from; add it"),
    ]
    for name, scale in SCALES.items() if table == "assessments" else ():
        admitted = f"{scale.lowest} to {scale.highest}"
        admitted += "".join(f", item {item} only {joined(map(str, only), 'or')}" for item, only in scale.only.items())
        few = f"fewer than {scale.least_answered} of {scale.items} items are answered, so there is no score"
        rules += [
            rule(f"{name}.impossible_item", f"an item has an answer that it does not admit ({admitted}); correct it"),
            rule(f"{name}.too_few_items", f"{few}; add what is missing, or leave the questionnaire out"),
        ]
    return tuple(rules)


def redcap_tables(
    export: FileTable, mapping: Mapping, mode: Mode, tables: Named[str, Table], protocol: Protocol
) -> dict[str, FileTable]:
    """The four tables that an export holds, by name, with the line of the export that each record is from.

    Args:
        export: the export as read, raw or labelled values as text.
        mapping: what its fields mean.
        mode: how the release is de-identified; dates may stand only where it allows them.
        tables: the contract.
        protocol: gives the unit of an instrument where the mapping does not.

    Raises:
        ReleaseRefused: a field, event or instrument is not mapped or not there, dates stand where the mode forbids
            them, or a field identifies people.
    """
    _hold_columns(export, mapping, tables)
    if mapping.has_dates and mode in YEAR_ONLY_MODES:
        raise ReleaseRefused(
            f"the mapping of {export.file} names calendar dates, which may not stand under {mode}; "
            f"export days counted from enrolment, or hand the release over as a limited_data_set"
        )
    text = _as_text(export)
    _refuse_identifiers(text, export.file, mapping)
    _hold_rows(text, export.file, mapping)
    whole = _Export(export.file, _with_enrolment(_with_other_events(text, mapping), mapping), mapping)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in tables}
    for number, (name, section) in enumerate(mapping.sections()):
        parts[name].append(_records(whole, name, section, number, protocol))
    made = {name: _file_table(export.file, tables[name], part) for name, part in parts.items()}
    broken = made["patients"]  # a row that cannot be divided into fields may be anything; it is counted once
    return made | {"patients": FileTable(broken.file, broken.frame, export.broken_lines, broken.refused)}


def left_out(export: FileTable, mapping: Mapping) -> int:
    """How many rows the mapping leaves out by their event or repeating instrument."""
    return _as_text(export).filter(_is_left_out(mapping)).height


def _as_text(export: FileTable) -> pl.DataFrame:
    """The export as text; a project without events or repeats has empty columns for them."""
    text = export.frame.select(*(pl.col(name).cast(pl.String) for name in export.columns), LINE)
    return text.with_columns(pl.lit(None, pl.String).alias(name) for name in _OWN if name not in text.columns)


# ------------------------------------------------------------------------------------------------ what must hold before


def _hold_columns(export: FileTable, mapping: Mapping, tables: Named[str, Table]) -> None:
    for of, section in mapping.sections():
        known = {*tables[of].column_names, *([MINUTES] if of == "assessments" else [])}
        if strange := [name for name in section.columns if name not in known]:
            raise ReleaseRefused(f"the mapping of {of} names the column {strange[0]}, which is not part of that table")
    for of, table in tables.items():
        _hold_required(of, table, [section for name, section in mapping.sections() if name == of])
    there = set(export.columns)
    if lacking := sorted(mapping.fields - there):
        raise ReleaseRefused(
            f"{export.file} lacks {lacking[0]}, which the mapping names; export it, or mend the mapping"
        )
    for name in sorted(there - mapping.fields - set(_OWN)):
        if not mapping.ignores(name):
            raise ReleaseRefused(
                f"{export.file} has {shown_column(name, export.columns)}, which the mapping neither maps nor ignores; "
                f"leave it out of the export, map it, or list it under ignore"
            )


def _hold_required(name: str, table: Table, sections: Iterable[Section]) -> None:
    """Every section must give the columns that the contract requires and that this reader cannot fill in itself."""
    filled_in = {"patient_id", *_FILLED_IN[name]}
    required = [column.name for column in table.columns if column.is_required and column.name not in filled_in]
    for section in sections:
        if lacking := [column for column in required if column not in section.columns]:
            raise ReleaseRefused(
                f"the mapping of {name} gives no {joined(lacking)}; "
                f'map each to a field, or to {{ value = "" }} where it was never asked'
            )


def _is_left_out(mapping: Mapping) -> pl.Expr:
    left_out = pl.col(EVENT).is_in(mapping.ignore_events) | pl.col(INSTRUMENT).is_in(mapping.ignore_instruments)
    return left_out.fill_null(False)


def _hold_rows(text: pl.DataFrame, file: str, mapping: Mapping) -> None:
    """Every row must belong to a section, or be left out by its event or instrument."""
    read_from = pl.col(EVENT).is_in([s.event for s in mapping.sources() if s.event]) & pl.col(INSTRUMENT).is_null()
    taken = pl.any_horizontal([_belongs(section) for _, section in mapping.sections()])
    lost = text.filter(~(_is_left_out(mapping) | read_from.fill_null(False) | taken))
    if lost.height:
        raise ReleaseRefused(
            f"{file}, line {lost[LINE][0]}: an event or repeating instrument that the mapping does not name; "
            f"map it, or list it under ignore_events or ignore_instruments"
        )


def _refuse_identifiers(text: pl.DataFrame, file: str, mapping: Mapping) -> None:
    """Look at the fields that go no further; those that are mapped are looked at in their tables."""
    for name in text.columns:
        if name == LINE or (name in mapping.fields and name not in _items(mapping)):
            continue
        if kind := identifier_kind(name.removesuffix("_complete")) if name not in _OWN else None:
            raise ReleaseRefused(
                f"{file} has {shown_column(name, text.columns)}, which by its name holds {kind}; "
                f"leave it out of the export and hand the release over again"
            )
        values = text[name].unique(maintain_order=True).drop_nulls()
        number = values.cast(pl.Float64, strict=False)
        values = values.filter(number.is_null() | (number.abs() >= _LONG))
        if find := first_find(values, scanners_for("text")):
            line = text.filter(pl.col(name) == values[find[0]])[LINE][0]
            raise ReleaseRefused(
                f"{file}, line {line}, {shown_column(name, text.columns)}: {find[1]}; "
                f"remove what identifies a person and hand the release over again"
            )


def _items(mapping: Mapping) -> set[str]:
    return {item for section in mapping.assessments for item in section.items}


# ----------------------------------------------------------------------------------------------------- rows to records


def _belongs(section: Section) -> pl.Expr:
    """Whether a row of the export belongs to a section."""
    instrument = pl.col(INSTRUMENT).fill_null("") == section.repeat_instrument
    return instrument & pl.col(EVENT).is_in(section.events).fill_null(False) if section.events else instrument


def _elsewhere(source: Source) -> str:
    return f"$at:{source.event}:{source.field}"


def _with_other_events(text: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Join to each row the fields that a mapping reads from another event of the same record."""
    sources = {_elsewhere(s): s for s in mapping.sources() if s.event is not None and s.field is not None}
    for name, source in sources.items():
        at = text.filter((pl.col(EVENT) == source.event) & pl.col(INSTRUMENT).is_null())
        found = at.select(mapping.record, pl.col(source.field).alias(name)).drop_nulls()  # type: ignore[arg-type]
        found = found.unique(mapping.record, keep="first", maintain_order=True)
        text = text.join(found, on=mapping.record, how="left", maintain_order="left")
    return text


def _with_enrolment(text: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    if mapping.enrolment_date is None:
        return text.with_columns(pl.lit(None, pl.Date).alias(_ENROLLED))
    days = text.filter(_belongs(mapping.patients)).select(
        mapping.record, _date(pl.col(mapping.enrolment_date)).alias(_ENROLLED)
    )
    first = days.drop_nulls().unique(mapping.record, keep="first", maintain_order=True)
    return text.join(first, on=mapping.record, how="left", maintain_order="left")


def _date(field: pl.Expr) -> pl.Expr:
    return pl.when(field.str.contains(_DATE)).then(field.str.head(10)).str.to_date("%Y-%m-%d", strict=False)


def _field(source: Source) -> pl.Expr:
    return pl.col(_elsewhere(source) if source.event is not None else source.field)  # type: ignore[arg-type]


def _value(source: Source) -> pl.Expr:
    """A column's value as text."""
    if source.value is not None:
        return pl.lit(source.value or None, pl.String)
    if source.checked is not None:
        return pl.col(source.checked).replace(_TICKED)
    if source.count:
        boxes = [pl.col(name).replace(_TICKED) for name in source.count]
        ticked = pl.sum_horizontal([(box == "true").cast(pl.Int32) for box in boxes])
        return pl.when(pl.any_horizontal([box.is_not_null() for box in boxes])).then(ticked.cast(pl.String))
    if source.is_date:
        return (_date(_field(source)) - pl.col(_ENROLLED)).dt.total_days().cast(pl.String)
    if source.is_year:
        return _date(_field(source)).dt.year().cast(pl.String)
    return _field(source).replace(source.choices) if source.choices else _field(source)


def _records(export: _Export, table: str, section: Section, number: int, protocol: Protocol) -> pl.DataFrame:
    """The records of one section: the contract's columns that it gives, `$line`, `$field` and `$rule`."""
    rows = export.frame.filter(_belongs(section) & _is_filled_in(table, section))
    columns = {name: _value(source) for name, source in section.columns.items()}
    columns = _filled_in(export, table, section, number, protocol) | columns
    told = pl.lit(_told(section), pl.String)
    rule, field = _refusal(table, section)
    made = [expression.alias(name) for name, expression in columns.items()]
    return rows.select(
        *made, LINE, told.alias(FIELD), rule.alias(_REFUSED_BY), pl.coalesce(field, told).alias("$refused_field")
    )


def _filled_in(export: _Export, table: str, section: Section, number: int, protocol: Protocol) -> dict[str, pl.Expr]:
    """What a record gets where its mapping does not say otherwise."""
    record = pl.col(export.mapping.record)
    columns: dict[str, pl.Expr] = dict.fromkeys(_FILLED_IN[table], pl.lit(None, pl.String))
    if table == "treatments":
        visit = pl.col(EVENT).replace({event: f"e{place}" for place, event in enumerate(section.events, 1)})
        parts = [record, pl.lit(f"t{number}"), visit, pl.coalesce(INSTANCE, pl.lit("1"))]
        columns["treatment_id"] = pl.concat_str(parts, separator="-", ignore_nulls=True)
    if isinstance(section, Assessment):
        columns["instrument"] = pl.lit(section.instrument)
        units = [i.unit for i in protocol.instruments if i.name == section.instrument]
        columns["unit"] = pl.lit(units[0] if units else None, pl.String)
        if section.items:
            columns["value"] = score(SCALES[section.instrument], [pl.col(i) for i in section.items]).cast(pl.String)
    return columns | {"patient_id": record}


def _told(section: Section) -> str | None:
    """The field by which a steward finds the record in its row, where one row holds several."""
    if not isinstance(section, Assessment):
        return None
    return next(iter((*section.items, *(section.columns["value"].fields if "value" in section.columns else ()))), None)


def _is_filled_in(table: str, section: Section) -> pl.Expr:
    """Whether a row holds a record of the section at all: a visit has no answers to what was not asked."""
    if table == "patients" or (section.repeat_instrument and table != "assessments"):
        return pl.lit(True)
    asked = (
        ("value", SECONDS, MINUTES, "stop_reason")
        if isinstance(section, Assessment)
        else set(section.columns) - {"day"}
    )
    own = [s for name, s in section.columns.items() if name in asked and s.event is None]
    fields = [field for source in own for field in source.fields]
    fields += section.items if isinstance(section, Assessment) else []
    return pl.any_horizontal([pl.col(field).is_not_null() for field in fields]) if fields else pl.lit(True)


def _refusal(table: str, section: Section) -> tuple[pl.Expr, pl.Expr]:
    """The first rule by which a row gives no record, and the field concerned; null where it gives one."""
    cases: list[tuple[pl.Expr, str, str | None]] = []
    for source in section.columns.values():
        if not (source.is_date or source.is_year):
            continue
        given = _field(source).is_not_null()
        cases.append((given & _date(_field(source)).is_null(), f"{table}.date.unreadable", source.field))
        if source.is_date:
            cases.append((given & pl.col(_ENROLLED).is_null(), f"{table}.date.no_enrolment", source.field))
    if isinstance(section, Assessment) and section.items:
        scale, items = SCALES[section.instrument], [pl.col(item) for item in section.items]
        cases.append((is_impossible(scale, items), f"{table}.{section.instrument}.impossible_item", None))
        cases.append((answered(items) < scale.least_answered, f"{table}.{section.instrument}.too_few_items", None))
    rule, field = pl.lit(None, pl.String), pl.lit(None, pl.String)
    for condition, name, concerned in reversed(cases):
        rule = pl.when(condition).then(pl.lit(name)).otherwise(rule)
        field = pl.when(condition).then(pl.lit(concerned, pl.String)).otherwise(field)
    return rule, field


def _file_table(file: str, table: Table, parts: list[pl.DataFrame]) -> FileTable:
    """The sections of one table together, in the order of the export."""
    empty = pl.DataFrame(schema=dict.fromkeys(table.column_names, pl.String) | {LINE: pl.Int64})
    whole = pl.concat([*parts, *([] if parts else [empty])], how="diagonal").sort(LINE, maintain_order=True)
    if not parts:
        return FileTable(file, whole)
    refused = whole.filter(pl.col(_REFUSED_BY).is_not_null()).select(LINE, column="$refused_field", rule=_REFUSED_BY)
    records = whole.filter(pl.col(_REFUSED_BY).is_null()).drop(_REFUSED_BY, "$refused_field")
    return FileTable(file, records, refused=refused.cast(REFUSED_SCHEMA))  # type: ignore[arg-type]
