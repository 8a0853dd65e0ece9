"""What changed against the release before, as an asset with its check; `releases/diff.py` says what is compared."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import dagster as dg
import polars as pl

from pipelines.assets.parts import Made, TableAsset, step_name, tables_step
from pipelines.assets.study import Study
from pipelines.derive import SqlCheck
from pipelines.releases.diff import CHANGES, COLUMNS, changes, no_changes
from pipelines.releases.snapshot import open_snapshot, release_before
from pipelines.warehouse import WarehouseError

CHANGES_READ = (
    "raw.patients",
    "quality.ingest_counts",
    "protocol.study",
    "staging.treatments",
    "staging.assessments",
    "staging.events",
    "outcomes.episodes",
    "results.trajectories",
    "results.cumulative_incidence",
    "results.contrasts",
    "results.restricted_times",
)


def changes_asset(checks: Sequence[SqlCheck]) -> dg.AssetsDefinition:
    """`quality.changes`, with the check that every change is as expected or explained."""
    described = TableAsset(
        CHANGES,
        "What changed against the release before.\n\nPatients, treatments, answers, outcomes by tier and headline "
        "estimates, each held against the protocol's tolerance. No row for the first release of a home.",
        inputs=CHANGES_READ,
        meanings=COLUMNS,
        checks=tuple(checks),
    )

    def make(study: Study) -> Iterator[Made]:
        start = time.monotonic()
        yield Made(CHANGES, study.warehouse.write(CHANGES, _changes(study)), time.monotonic() - start)

    return tables_step(step_name(CHANGES), [described], make)


def _changes(study: Study) -> pl.DataFrame:
    earlier = release_before(study.home, study.release.name, study.protocol.name)
    if earlier is None:
        return no_changes()
    names = (earlier, study.release.name)
    try:
        with closing(open_snapshot(study.home, earlier, study.protocol.name)) as before:
            return changes(before, study.warehouse, study.protocol, names)
    except (WarehouseError, pl.exceptions.PolarsError):  # a column or table that another version of lss did not make
        return no_changes(names)
