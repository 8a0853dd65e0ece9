"""The end of the flow: the gate of all checks, the published snapshot, and the committee report rendered from it.

How a snapshot takes the place of another is said in `releases/publish.py`, what the report says in `reports/`.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster import AssetExecutionContext

from pipelines.assets.errors import BlockingCheckFailed, StageError, plain_errors
from pipelines.assets.parts import PICTURES, RELEASES, STAGE_TAG, Made, TableAsset, asset_key, step_name, tables_step
from pipelines.assets.records import CHECKS, outdated
from pipelines.assets.report_files import kept_pictures, write_report
from pipelines.assets.study import REPORT, STUDY, Study
from pipelines.releases.diff import CHANGES
from pipelines.releases.publish import publish
from pipelines.releases.receipt import keep_receipt, run_receipt
from pipelines.resources import code_version

SNAPSHOT = dg.AssetKey(["reports", "snapshot"])

Inputs = Mapping[str, tuple[str, ...]]


def published_assets(inputs: Inputs) -> list[dg.AssetsDefinition]:
    """The gate, the snapshot and the report; `inputs` names every table of the flow with the tables it is made from."""
    return [_gate(inputs), _snapshot(inputs), _report()]


def _gate(inputs: Inputs) -> dg.AssetsDefinition:
    checked = TableAsset(
        CHECKS,
        "Every check and its verdict.\n\nOne row for each check: error, not applicable, failed or passed. "
        "A blocking one that did not pass stops publishing.",
        inputs=_ends({name: read for name, read in inputs.items() if not _is_late(name)}),
        kinds=("duckdb",),
    )

    def make(study: Study) -> Iterator[Made]:
        start = time.monotonic()
        _require_checks(study)
        yield Made(CHECKS, study.warehouse.count(CHECKS), time.monotonic() - start)

    return tables_step(step_name(CHECKS), [checked], make)


def _snapshot(inputs: Inputs) -> dg.AssetsDefinition:
    @dg.asset(
        key=SNAPSHOT,
        deps=[asset_key(name) for name in (CHECKS, *filter(_is_late, inputs))],
        description="The published snapshot: all tables of a whole run in one read-only file, which notebooks and "
        "reports open. A run with changed protocol keys publishes nothing.",
        group_name="reports",
        kinds={"duckdb"},
        partitions_def=RELEASES,
        required_resource_keys={STUDY},
        op_tags={STAGE_TAG: "reports"},
        output_required=False,
    )
    def snapshot(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        study: Study = getattr(context.resources, STUDY)
        if study.is_overridden:
            context.instance.report_engine_event("nothing is published: keys of the protocol were changed", context.run)
            return
        with plain_errors("publishing the snapshot"):
            _require_whole(study, inputs)
            digest = _keep_receipt(study, inputs)
            path = publish(study.warehouse, study.home, study.release.name, study.protocol.name)
        yield dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(path)),
                "protocol_hash": study.protocol.hash,
                "receipt": digest,
            }
        )

    return snapshot


def _report() -> dg.AssetsDefinition:
    @dg.asset(
        key=REPORT,
        deps=[SNAPSHOT],
        description="The report for the quality committee, HTML and PDF, rendered from the published snapshot.",
        group_name="reports",
        kinds={"html", "pdf"},
        partitions_def=RELEASES,
        required_resource_keys={STUDY},
        op_tags={STAGE_TAG: "reports"},
    )
    def committee_report(context: AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from pipelines.reports.pictures import FIRST_PAGE  # drawing libraries load when something is drawn

        study: Study = getattr(context.resources, STUDY)
        with plain_errors("rendering the report"):
            paths = write_report(study.home, study.release.name, study.protocol.name)
            pictures = kept_pictures(study.home, study.release.name, study.protocol.name)
        metadata: dict[str, Any] = {name: dg.MetadataValue.path(str(path)) for name, path in paths.items()}
        if front := pictures.pop(FIRST_PAGE, ""):
            metadata[PICTURES] = dg.MetadataValue.md(front)
        metadata |= {table: dg.MetadataValue.md(words) for table, words in pictures.items()}
        return dg.MaterializeResult(metadata=metadata | {"protocol_hash": study.protocol.hash})

    return committee_report


def _keep_receipt(study: Study, inputs: Inputs) -> str:
    """Note in the working file what the run read and made; returns the receipt's digest."""
    protocol = {"name": study.protocol.name, "version": study.protocol.version, "hash": study.protocol.hash}
    files = study.warehouse.read("quality.input_files").to_dicts()
    release = study.warehouse.read("raw.release")
    manifest = {"table_name": "", "file": "manifest.toml", "sha256": release["manifest_sha256"].item()}
    run = run_receipt(study.warehouse, study.release.name, protocol, [manifest, *files], code_version(), inputs)
    return keep_receipt(study.warehouse, run)


def _is_late(table: str) -> bool:
    """What the gate of checks does not wait for, so that bad data stop a run before the models."""
    return table.startswith("results.") or table == CHANGES


def _ends(inputs: Inputs) -> tuple[str, ...]:
    """Tables that no other is made from: who waits for them waits for all, and Dagster has fewer edges to follow."""
    read = {name for names in inputs.values() for name in names}
    return tuple(name for name in inputs if name not in read)


def _require_checks(study: Study) -> None:
    """Raise BlockingCheckFailed when a blocking check did not pass."""
    sentences = study.warehouse.query(
        f"SELECT target, meaning FROM {CHECKS} "
        "WHERE is_blocking AND verdict IN ('failed', 'error') ORDER BY check_name",
        "reading the verdicts",
    )
    if sentences.height:
        target, meaning = sentences.row(0)
        more = f" ({sentences.height - 1} more)" if sentences.height > 1 else ""
        raise BlockingCheckFailed(f"nothing is published, a check of {target} did not pass: {meaning}{more}")


def _require_whole(study: Study, inputs: Inputs) -> None:
    """Raise a StageError when the working file is not the outcome of one whole run."""
    _require_checks(study)
    old = outdated(study.warehouse, inputs, study.protocol.hash)
    if old:
        more = f" and {len(old) - 1} more" if len(old) > 1 else ""
        raise StageError(
            f"nothing is published: {old[0]}{more} must be made again after what it is made from; run the whole job"
        )
