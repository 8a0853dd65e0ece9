"""The jobs and their schedules. What a job does is the assets' affair."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.releases import Home, Register

JOB = "release_to_report"
DELIVERY_JOB = "release_to_delivery"
DATA_QUALITY_JOB = "data_quality_to_delivery"

DELIVERY = dg.AssetKey(["reports", "delivery"])
DATA_QUALITY = dg.AssetKey(["reports", "data_quality"])
DATA_QUALITY_DELIVERY = dg.AssetKey(["reports", "data_quality_delivery"])

QUARTERLY = "0 6 5 1,4,7,10 *"
MONTHLY = "0 7 2 * *"

# a run that nobody watches is started again when its process is killed; a step that fails fails for good
AUTOMATIC = {"dagster/max_retries": "2", "dagster/retry_on_asset_or_op_failure": "false"}


def report_job() -> UnresolvedAssetJobDefinition:
    """Everything, from the release's files to the committee report."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(DELIVERY, DATA_QUALITY, DATA_QUALITY_DELIVERY),
        description="From a registered release to its published snapshot and the committee report.",
    )


def delivery_job() -> UnresolvedAssetJobDefinition:
    """As `report_job`, and the report is delivered: what the inbox and the quarterly schedule start."""
    return dg.define_asset_job(
        DELIVERY_JOB,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets(DATA_QUALITY, DATA_QUALITY_DELIVERY),
        description="From a registered release to its published snapshot, the committee report and its delivery.",
    )


def data_quality_job() -> UnresolvedAssetJobDefinition:
    """The page on data quality of the published snapshot, and its delivery."""
    return dg.define_asset_job(
        DATA_QUALITY_JOB,
        selection=dg.AssetSelection.assets(DATA_QUALITY, DATA_QUALITY_DELIVERY),
        description="The page on data quality of a published release, and its delivery.",
    )


def quarterly_schedule(home: Home, job: UnresolvedAssetJobDefinition, timezone: str) -> dg.ScheduleDefinition:
    """The committee report of the release registered last, on the fifth day of each quarter at six."""
    about = "The committee report of the release that was registered last, delivered unless it was before."
    return _schedule("quarterly_report", home, job, QUARTERLY, timezone, about, is_published_only=False)


def monthly_schedule(home: Home, job: UnresolvedAssetJobDefinition, timezone: str) -> dg.ScheduleDefinition:
    """The page on data quality of the release published last, on the second day of each month at seven."""
    about = "The page on data quality of the release that was registered last, delivered unless it was before."
    return _schedule("monthly_data_quality", home, job, MONTHLY, timezone, about, is_published_only=True)


def later(cron: str, hours: int = 6) -> str:
    """The cron expression some hours later on the same day: when what was due should be there."""
    minute, hour, *days = cron.split()
    return " ".join([minute, str(int(hour) + hours), *days])


def _schedule(
    name: str,
    home: Home,
    job: UnresolvedAssetJobDefinition,
    cron: str,
    timezone: str,
    about: str,
    is_published_only: bool,
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=about,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        releases = Register(home).releases().values()
        if not releases:
            return dg.SkipReason("no release is registered; drop one into the inbox, or: lss run RELEASE_DIR")
        due = [r.name for r in releases if not is_published_only or home.snapshot_file(r.name, r.protocol).exists()]
        if not due:
            return dg.SkipReason("no release is published yet; see the runs of the registered ones")
        return dg.RunRequest(partition_key=due[-1], tags=AUTOMATIC)

    return schedule
