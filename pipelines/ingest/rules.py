"""The rule table: what makes a single row wrong, each rule with an id, an expression, a severity and a plain reason.

An expression is true where the rule is violated. It sees the table's typed columns, the marks of `parsing.py` and the
context that `context.py` joins. An `error` puts the row into quarantine, a `warning` is counted and the row carries on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from pipelines.ingest.contract import Column, Table, joined
from pipelines.ingest.parsing import is_marked, unreadable
from pipelines.protocol import Protocol

Severity = Literal["error", "warning"]

FASTEST_WALK_M_S = 3.0  # above this a person runs; such a row has the wrong unit or time
LATE_STOP = 1.1  # a stopwatch may run a little over a test's limit, not a tenth
EARLY_STOP = 0.95  # a test stopped by its limit lasted about that long
_ODD_IN_PSEUDONYM = r"[\s\p{C}]"
_ODD_IN_TERM = r"[^\p{L}\p{N} _./+&()-]"


@dataclass(frozen=True)
class Rule:
    """One row rule; `reason` completes the steward's list: what is wrong and how to mend it."""

    id: str
    table: str
    column: str | None
    expression: pl.Expr
    reason: str
    severity: Severity = "error"


def row_rules(table: Table, protocol: Protocol) -> tuple[Rule, ...]:
    """Every rule for one table: those of its columns, its key, its patient and its own."""
    own = {"patients": _patient_rules, "treatments": _treatment_rules, "events": _event_rules}
    rules = [rule for column in table.columns for rule in _column_rules(table.name, column)]
    rules += _key_rules(table)
    if table.name != "patients":
        rules += _belonging_rules(table.name)
    rules += _assessment_rules(protocol) if table.name == "assessments" else own[table.name]()
    return tuple(rules)


# ------------------------------------------------------------------------------------------------- rules of any column


def _column_rules(table: str, column: Column) -> Iterator[Rule]:
    name, field = column.name, pl.col(column.name)
    if is_marked(column):
        suffix, what = _unreadable(column)
        yield Rule(f"{table}.{name}.{suffix}", table, name, pl.col(unreadable(name)), f"{name} is {what}")
    if not column.may_be_empty:
        is_empty = field.is_null() & ~pl.col(unreadable(name)) if is_marked(column) else field.is_null()
        yield Rule(f"{table}.{name}.missing", table, name, is_empty, f"{name} is empty; every row of {table} needs it")
    if column.kind == "term" or (column.kind == "identifier" and not _points_at_patient(table, name)):
        odd, longest = (_ODD_IN_TERM, 40) if column.kind == "term" else (_ODD_IN_PSEUDONYM, 64)
        reason = f"{name} holds characters that a code never has, or is longer than {longest}; write a short code"
        is_malformed = field.str.contains(odd) | (field.str.len_chars() > longest)
        yield Rule(f"{table}.{name}.malformed", table, name, is_malformed, reason)
    if column.minimum is not None or column.maximum is not None:
        yield _range_rule(table, column)


def _unreadable(column: Column) -> tuple[str, str]:
    """End of the rule's id, and what the reason says."""
    if column.words:
        return "unknown_word", f"none of the words known here ({joined(column.words, 'or')}); use one of them"
    suffix, noun = {
        "whole": ("not_a_whole_number", "a whole number"),
        "number": ("not_a_number", "a number"),
        "boolean": ("not_true_or_false", "true or false"),
    }[column.kind]
    empty = ", or leave the field empty if it is unknown" if column.may_be_empty else ""
    return suffix, f"not {noun}; correct it{empty}"


def _points_at_patient(table: str, column: str) -> bool:
    """Whether the column only repeats a pseudonym of `patients`, where it is judged."""
    return column == "patient_id" and table != "patients"


def _range_rule(table: str, column: Column) -> Rule:
    field, low, high = pl.col(column.name), column.minimum, column.maximum
    outside = pl.any_horizontal(
        *([field < low] if low is not None else []), *([field > high] if high is not None else [])
    )
    if low is None or high is None:
        said = f"at least {low:g}" if low is not None else f"at most {high:g}"
    else:
        said = f"between {low:g} and {high:g}"
    empty = ", or leave the field empty if it is unknown" if column.may_be_empty else ""
    reason = f"{column.name} must be {said}; correct it{empty}"
    return Rule(f"{table}.{column.name}.out_of_range", table, column.name, outside, reason)


def _key_rules(table: Table) -> Iterator[Rule]:
    last, what = table.key[-1], joined(table.key)
    yield Rule(
        f"{table.name}.{last}.duplicate_agreeing", table.name, last, pl.col("is_repeat"),
        f"an earlier row has the same {what} and says the same; that one is kept, this one is not needed",
    )  # fmt: skip
    if set(table.column_names) == set(table.key):
        return
    yield Rule(
        f"{table.name}.{last}.duplicate_disagreeing", table.name, last, pl.col("is_contradicted"),
        f"another row has the same {what} but says something else; keep the right one, none is used until then",
    )  # fmt: skip


def _belonging_rules(table: str) -> Iterator[Rule]:
    known, day = pl.col("is_patient_listed"), pl.col("day")
    yield Rule(
        f"{table}.patient_id.orphan", table, "patient_id", pl.col("patient_id").is_not_null() & ~known,
        "no row of patients has this patient_id; add the patient or correct the patient_id",
    )  # fmt: skip
    yield Rule(
        f"{table}.patient_id.patient_quarantined", table, "patient_id", known & ~pl.col("is_patient_accepted"),
        "the patient's own row in patients is in quarantine; mend that row and this one follows",
    )  # fmt: skip
    yield Rule(
        f"{table}.day.after_data_cut", table, "day", day > pl.col("administrative_end_day"),
        "day lies after the patient's administrative_end_day, the data cut; correct one of the two",
    )  # fmt: skip
    late = day > pl.col("last_contact_day")
    if table == "events":  # a death or a withdrawal may be learnt of later, from a register or a letter
        late &= ~_ends_follow_up()
    yield Rule(
        f"{table}.day.after_last_contact", table, "day", late & (day <= pl.col("administrative_end_day")),
        "day lies after the patient's last_contact_day; correct one of the two",
    )  # fmt: skip
    yield Rule(
        f"{table}.day.after_death", table, "day", day > pl.col("death_day"),
        "day lies after the patient's death; correct the day here or in events",
    )  # fmt: skip
    withdrawn = day > pl.col("withdrawal_day")
    if table == "events":
        withdrawn &= pl.col("event") != "death"
    yield Rule(
        f"{table}.day.after_withdrawal", table, "day", withdrawn,
        "day lies after the patient's withdrawal; follow-up ends there, so check that the record may be kept",
        "warning",
    )  # fmt: skip


def _ends_follow_up() -> pl.Expr:
    return (pl.col("event") == "death") | (pl.col("event") == "withdrawal")


# --------------------------------------------------------------------------------------------------- rules of one table


def _patient_rules() -> Iterator[Rule]:
    yield Rule(
        "patients.last_contact_day.after_data_cut", "patients", "last_contact_day",
        pl.col("last_contact_day") > pl.col("administrative_end_day"),
        "last_contact_day lies after administrative_end_day, the data cut; correct one of the two",
    )  # fmt: skip


def _treatment_rules() -> Iterator[Rule]:
    tier, code, system = pl.col("tier"), pl.col("code"), pl.col("code_system")
    mapped, is_foreign = pl.col("code_tier"), pl.col("is_foreign_code")
    yield Rule(
        "treatments.tier.missing", "treatments", "tier", tier.is_null() & ~pl.col(unreadable("tier")) & code.is_null(),
        "neither tier nor code is given; give one of them",
    )  # fmt: skip
    yield Rule(
        "treatments.code_system.missing", "treatments", "code_system", code.is_not_null() & system.is_null(),
        "a code without its code_system; name the system, such as CPT",
    )  # fmt: skip
    yield Rule(
        "treatments.code.unknown", "treatments", "code",
        code.is_not_null() & system.is_not_null() & mapped.is_null() & tier.is_null() & ~is_foreign,
        "the code stands in no code list as a treatment of the lumbar spine; give the tier, or have the code added",
    )  # fmt: skip
    yield Rule(
        "treatments.code.not_in_protocol", "treatments", "code", is_foreign & tier.is_null(),
        "the code means a tier that this study's protocol does not have; give a tier of the protocol, or other",
    )  # fmt: skip
    yield Rule(
        "treatments.tier.disagrees_with_code", "treatments", "tier", tier != mapped,
        "tier and code mean different treatments; correct one of the two",
    )  # fmt: skip


def _assessment_rules(protocol: Protocol) -> Iterator[Rule]:
    table = "assessments"
    standard, is_walking = pl.col("standard_value"), pl.col("is_walking")
    known = pl.col("is_instrument_known")
    yield Rule(
        "assessments.unit.wrong_for_instrument", table, "unit",
        known & pl.col("unit").is_not_null() & pl.col("unit_factor").is_null(),
        "the instrument is not measured in this unit; give the value in a unit of the instrument",
    )  # fmt: skip
    yield Rule(
        "assessments.value.out_of_range", table, "value",
        (standard < pl.col("instrument_minimum")) | (standard > pl.col("instrument_maximum")),
        "value is one that the instrument cannot give; correct the value, the unit or the instrument",
    )  # fmt: skip
    yield Rule(
        "assessments.value.not_whole", table, "value", pl.col("is_integer_only") & (pl.col("value") % 1 != 0),
        "the instrument is answered in whole points; correct the value",
    )  # fmt: skip
    if not any(instrument.kind == "walking" for instrument in protocol.instruments):
        return
    duration, reason, limit = pl.col("duration_s"), pl.col("stop_reason"), pl.col("time_limit_s")
    for column in ("duration_s", "stop_reason"):
        is_empty = pl.col(column).is_null() & ~pl.col(unreadable(column))
        yield Rule(
            f"assessments.{column}.missing", table, column, is_walking & is_empty,
            f"a walking test without {column}; it cannot be told whether the test ended at its time limit",
        )  # fmt: skip
    yield Rule(
        "assessments.duration_s.over_limit", table, "duration_s", is_walking & (duration > limit * LATE_STOP),
        "the walking test lasted longer than its time limit; correct duration_s",
    )  # fmt: skip
    yield Rule(
        "assessments.value.faster_than_walking", table, "value",
        is_walking & (standard > FASTEST_WALK_M_S * duration),
        f"the distance in this time means more than {FASTEST_WALK_M_S:g} metres a second, faster than a person walks; "
        f"correct value, unit or duration_s",
    )  # fmt: skip
    yield Rule(
        "assessments.stop_reason.before_limit", table, "stop_reason",
        is_walking & (reason == "time_limit") & (duration < limit * EARLY_STOP),
        "stop_reason says the time limit ended the test, but duration_s is shorter; check both",
        "warning",
    )  # fmt: skip
    yield Rule(
        "assessments.mode.impossible", table, "mode", is_walking & pl.col("mode").is_in(["phone", "web", "mail"]),
        "a walking test cannot be done by phone, web or mail; check mode",
        "warning",
    )  # fmt: skip


def _event_rules() -> Iterator[Rule]:
    yield Rule(
        "events.day.before_enrolment", "events", "day",
        _ends_follow_up() & (pl.col("day") < 0),
        "a death or withdrawal before enrolment; correct the day or the event",
    )  # fmt: skip
    yield Rule(
        "events.event.deaths_disagree", "events", "event", (pl.col("event") == "death") & pl.col("has_two_deaths"),
        "the patient has deaths on different days; keep the right one, none is used until then",
    )  # fmt: skip
