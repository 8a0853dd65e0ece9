"""The one place where Dagster objects are gathered. What each is and does belongs in `assets/`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.analyses import ANALYSES, Analysis
from pipelines.assets.changes import CHANGES_READ, changes_asset
from pipelines.assets.checks import sort_checks, waiting_checks
from pipelines.assets.delivered import delivery_assets, failure_notices
from pipelines.assets.derived import sql_assets
from pipelines.assets.inbox import inbox_sensor
from pipelines.assets.jobs import data_quality_job, delivery_job, monthly_schedule, quarterly_schedule, report_job
from pipelines.assets.published import published_assets
from pipelines.assets.results import result_assets
from pipelines.assets.sources import ABOUT, source_assets
from pipelines.assets.study import STUDY, study_resource
from pipelines.derive import load_tables
from pipelines.releases import Home, find_home
from pipelines.releases.diff import CHANGES
from pipelines.releases.settings import load_settings
from pipelines.resources import sql_folder


def build_defs(
    home: Home | None = None,
    sql: Path | None = None,
    analyses: Mapping[str, Analysis] = ANALYSES,
    resources: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors over a home folder.

    Args:
        home: where runs work; by default that of `LSS_HOME`.
        sql: the folder of SQL files; by default the one that travels with the package.
        analyses: the register of result tables.
        resources: resources in place of the usual ones, for tests.

    Raises:
        DeriveError: a SQL file is not usable.
        SettingsError: the home's settings are not usable.
    """
    home = home or find_home()
    settings = load_settings(home)
    tables = load_tables(sql or sql_folder())
    checks = sort_checks(sql or sql_folder(), tables)
    inputs: dict[str, tuple[str, ...]] = dict.fromkeys(ABOUT, ())
    inputs |= {table.name: table.depends_on for table in tables}
    inputs |= {f"results.{name}": entry.inputs for name, entry in analyses.items()}
    inputs[CHANGES] = CHANGES_READ
    delivery, data_quality = delivery_job(), data_quality_job()
    return dg.Definitions(
        assets=[
            *source_assets(checks.with_table),
            *sql_assets(tables, checks.with_table),
            *result_assets(analyses),
            changes_asset(checks.with_table.get(CHANGES, ())),
            *published_assets(inputs),
            *delivery_assets(settings),
        ],
        asset_checks=waiting_checks(checks),
        jobs=[report_job(), delivery, data_quality],
        schedules=[
            quarterly_schedule(home, delivery, settings.timezone),
            monthly_schedule(home, data_quality, settings.timezone),
        ],
        sensors=[inbox_sensor(home, delivery, settings), failure_notices(home, [delivery, data_quality])],
        resources={STUDY: study_resource(home), **(resources or {})},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster` and `lss ui` load."""
    _log_plainly()
    return build_defs()


def _log_plainly() -> None:
    """Let our own lines reach the terminal as from every other command."""
    logger = logging.getLogger("lss")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("lss: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
