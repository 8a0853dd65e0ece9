"""The job and its schedule. What the job does is the assets' affair."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.releases import Home, Register

JOB = "release_to_report"


def report_job() -> UnresolvedAssetJobDefinition:
    """Everything, from the release's files to the committee report."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="From a registered release to its published snapshot and the committee report.",
    )


def quarterly_schedule(home: Home, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The committee report of the release registered last, on the fifth day of each quarter at six."""

    @dg.schedule(
        name="quarterly_report",
        job=job,
        cron_schedule="0 6 5 1,4,7,10 *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The committee report of the release that was registered last.",
    )
    def quarterly_report(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        names = list(Register(home).releases())
        if not names:
            return dg.SkipReason("no release is registered; bring one in with: lss run RELEASE_DIR")
        return dg.RunRequest(partition_key=names[-1])

    return quarterly_report
