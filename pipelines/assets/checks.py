"""When each check of `sql/checks/` runs: with the table it judges, or in a step of its own.

A check that reads only what its table is made from runs as soon as the table is made. One that also reads a table
beside it waits for both. Running a check and noting its verdict is in `parts.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import AssetCheckExecutionContext

from pipelines.assets.errors import StageError, plain_errors
from pipelines.assets.parts import RELEASES, STAGE_TAG, asset_key, check_description, checked
from pipelines.assets.study import STUDY
from pipelines.derive import SqlCheck, SqlTable, load_checks
from pipelines.derive.base_tables import QUALITY, RAW


@dataclass(frozen=True)
class Checks:
    """Checks that run with their table, by its name, and checks that wait for others (by their names) as well."""

    with_table: Mapping[str, Sequence[SqlCheck]]
    waiting: Mapping[SqlCheck, tuple[str, ...]]


def sort_checks(sql: Path, tables: Sequence[SqlTable]) -> Checks:
    """All checks of the folder, sorted by when they can run.

    Raises:
        DeriveError: a check's file is not usable.
        StageError: a check reads a table that is made from the one it judges, so that its verdict would come too late.
    """
    before = _tables_before(tables)
    with_table: dict[str, list[SqlCheck]] = {}
    waiting: dict[SqlCheck, tuple[str, ...]] = {}
    for check in load_checks(sql):
        at_hand = before.get(check.target, set()) | {check.target, *RAW, *QUALITY}
        beside = tuple(name for name in check.depends_on if name not in at_hand)
        if late := [name for name in beside if check.target in before.get(name, ())]:
            raise StageError(
                f"the check {check.name} reads {late[0]}, made after {check.target}; let it judge {late[0]}"
            )
        if beside:
            waiting[check] = beside
        else:
            with_table.setdefault(check.target, []).append(check)
    return Checks(with_table, waiting)


def waiting_checks(checks: Checks) -> list[dg.AssetChecksDefinition]:
    """The checks that are steps of their own."""
    return [_step(check, beside) for check, beside in checks.waiting.items()]


def _step(check: SqlCheck, beside: tuple[str, ...]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset_key(check.target),
        name=check.name,
        description=check_description(check),
        # what follows waits for every check, so that the gate finds all verdicts; a failure stops only where the
        # check's own severity says so
        blocking=True,
        additional_deps=[asset_key(name) for name in beside],
        required_resource_keys={STUDY},
        partitions_def=RELEASES,
        op_tags={STAGE_TAG: check.target.split(".")[0]},
        metadata={"kind": check.kind},
    )
    def step(context: AssetCheckExecutionContext) -> Any:
        with plain_errors(f"checking {check.target}"):
            return checked(getattr(context.resources, STUDY), [check])[0]

    return step


def _tables_before(tables: Sequence[SqlTable]) -> dict[str, set[str]]:
    """For each SQL table all tables that it is made from, near and far."""
    before: dict[str, set[str]] = {}
    for table in tables:
        before[table.name] = set(table.depends_on).union(*(before.get(name, set()) for name in table.depends_on))
    return before
