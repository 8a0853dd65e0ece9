"""One asset for each registered analysis: its result table, stamped with the release and the effective protocol."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from pipelines.analyses import Analysis
from pipelines.assets.errors import StageError, plain_errors
from pipelines.assets.parts import PICTURES, Made, TableAsset, step_name, tables_step
from pipelines.assets.report_files import table_pictures
from pipelines.assets.study import REPORT, Study

_STAMP = {
    "release": "The release that the number was made from",
    "protocol_hash": "SHA-256 of the effective protocol, overrides included",
}


def result_assets(analyses: Mapping[str, Analysis]) -> list[dg.AssetsDefinition]:
    """The assets of `results.*`."""
    return [_result_asset(f"results.{name}", entry) for name, entry in analyses.items()]


def _result_asset(table: str, entry: Analysis) -> dg.AssetsDefinition:
    described = TableAsset(
        table,
        f"{entry.title}.\n\n{entry.method}",
        inputs=entry.inputs,
        meanings=_STAMP | dict(entry.columns),
        kinds=("python", "duckdb"),
    )

    def make(study: Study) -> Iterator[Made]:
        start = time.monotonic()
        frame = entry.run({name: study.warehouse.read(name) for name in entry.inputs}, study.protocol)
        stamp = (pl.lit(study.release.name).alias("release"), pl.lit(study.protocol.hash).alias("protocol_hash"))
        rows = study.warehouse.write(table, frame.select(*stamp, pl.all()))
        seconds = time.monotonic() - start
        yield Made(table, rows, seconds, _shown(study, table), entry.lineage(study.protocol))

    return tables_step(step_name(table), [described], make)


def _shown(study: Study, table: str) -> dict[str, Any]:
    """What a report shows of the table: where that stands, or drawn here when this run makes no report.

    A failure to draw it loses no result.
    """
    if study.makes_report:
        return {PICTURES: dg.MetadataValue.asset(REPORT)}
    try:
        with plain_errors("drawing"):
            words = table_pictures(study.home, study.release.name, study.protocol, study.warehouse.read, table)
    except StageError as error:
        words = f"Nothing is drawn: {error}"
    return {PICTURES: dg.MetadataValue.md(words)} if words else {}
