"""After the report: its delivery, the monthly page on data quality, and the notice when an automatic run fails.

Where to deliver is said in the home's settings, how in `releases/delivery.py`.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster import AssetExecutionContext
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import PARTITION_NAME_TAG

from pipelines.assets.errors import plain_errors
from pipelines.assets.jobs import DATA_QUALITY, DATA_QUALITY_DELIVERY, DELIVERY, MONTHLY, QUARTERLY, later
from pipelines.assets.parts import RELEASES, STAGE_TAG
from pipelines.assets.published import SNAPSHOT
from pipelines.assets.report_files import COMMITTEE_REPORT, DATA_QUALITY_REPORT, deliver, write_data_quality
from pipelines.assets.study import REPORT, STUDY, Study
from pipelines.releases import Home
from pipelines.releases.delivery import Notice, send_notice
from pipelines.releases.settings import Settings, load_settings

_GRACE = timedelta(days=1)  # a report that came up to a day before its tick counts as that tick's


def delivery_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The delivery of the committee report, the page on data quality, and its delivery."""
    return [
        _delivery(DELIVERY, REPORT, COMMITTEE_REPORT, QUARTERLY, settings),
        _data_quality(),
        _delivery(DATA_QUALITY_DELIVERY, DATA_QUALITY, DATA_QUALITY_REPORT, MONTHLY, settings),
    ]


def _delivery(key: dg.AssetKey, of: dg.AssetKey, kind: str, cron: str, settings: Settings) -> dg.AssetsDefinition:
    retry = dg.RetryPolicy(
        max_retries=3,
        delay=settings.delivery.retry_after_s,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )

    @dg.asset(
        key=key,
        deps=[of],
        description=f"The {kind}, put into the delivery folder and mailed to the committee: each content once. "
        "Tried four times. It turns stale when the scheduled hour has passed and nothing came.",
        group_name="reports",
        kinds={"email"},
        partitions_def=RELEASES,
        required_resource_keys={STUDY},
        op_tags={STAGE_TAG: "reports"},
        retry_policy=retry,
        output_required=False,
        freshness_policy=dg.FreshnessPolicy.cron(later(cron), _GRACE, settings.timezone),
    )
    def delivery(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        study: Study = getattr(context.resources, STUDY)
        if study.is_overridden:
            context.instance.report_engine_event("nothing is delivered: keys of the protocol were changed", context.run)
            return
        with plain_errors(f"delivering the {kind}"):
            said = deliver(study.home, study.release.name, study.protocol.name, kind)
        yield dg.MaterializeResult(metadata={"delivery": "; ".join(said)})

    return delivery


def _data_quality() -> dg.AssetsDefinition:
    @dg.asset(
        key=DATA_QUALITY,
        deps=[SNAPSHOT],
        description="What the release's data are worth: rows read and quarantined, rules broken, completeness, checks "
        "and contrasts withheld, HTML and PDF, rendered from the published snapshot.",
        group_name="reports",
        kinds={"html", "pdf"},
        partitions_def=RELEASES,
        required_resource_keys={STUDY},
        op_tags={STAGE_TAG: "reports"},
    )
    def data_quality(context: AssetExecutionContext) -> dg.MaterializeResult[Any]:
        study: Study = getattr(context.resources, STUDY)
        with plain_errors("rendering the page on data quality"):
            paths = write_data_quality(study.home, study.release.name, study.protocol.name)
        return dg.MaterializeResult(metadata={name: dg.MetadataValue.path(str(path)) for name, path in paths.items()})

    return data_quality


def failure_notices(home: Home, jobs: list[UnresolvedAssetJobDefinition]) -> dg.SensorDefinition:
    """The sensor that tells the stewards when an automatic run failed: release, stage, what to do, and no data."""

    @dg.run_failure_sensor(
        name="failure_notice",
        monitored_jobs=list(jobs),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the stewards of a failed run: its release, the stage and what to do; no data.",
    )
    def failure_notice(context: dg.RunFailureSensorContext) -> None:
        with plain_errors("sending a notice"):
            send_notice(home, load_settings(home), notice_of(context))

    return failure_notice


def notice_of(context: dg.RunFailureSensorContext) -> Notice:
    """What is said of a failed run; made of names only, never of what an error says."""
    run = context.dagster_run
    failed = context.get_step_failure_events()
    step = failed[0].step_key if failed else None
    error = failed[0].step_failure_data.error if failed else None
    while error is not None and error.cause is not None:
        error = error.cause
    release = run.tags.get(PARTITION_NAME_TAG, "unknown")
    advice = _advice(step or "", (error.cls_name or "") if error else "", release)
    return Notice(f"run {run.run_id}", release, _stage(step), f"{advice} The run is {run.run_id[:8]}.")


_STAGES = {
    "ingest": "reading the release",
    "protocol": "laying out the protocol",
    "staging": "codes and units",
    "outcomes": "episodes, visits and outcomes",
    "analysis": "the rows to be analysed",
    "quality": "the checks",
    "results": "the models",
    "reports": "snapshot and report",
}


def _stage(step: str | None) -> str:
    if step is None:
        return "the run itself"
    if step.endswith("delivery"):
        return "delivery"
    return _STAGES.get(step.split("__")[0], "a check")


def _advice(step: str, error: str, release: str) -> str:
    if step.endswith("delivery"):
        return (
            "The report is made and could not be delivered. Look at [delivery] and [mail] in settings.toml, then: "
            f"lss deliver {release}"
        )
    if error == "ReleaseRefused":
        return "The release was refused. Run lss check on its folder to see why, mend it and drop it again."
    if error in ("BlockingCheckFailed", "DagsterAssetCheckFailedError"):
        return "A check that must hold did not pass. The run's page in lss ui says which one and what it means."
    if not step:
        return "The process was ended or could not start; it is tried again by itself up to twice. See lss ui."
    return "The run's page in lss ui says what failed; mend it, then choose Re-execute there."
