"""The report on data quality of a release: the committee report's sections on it, alone, through the same gate."""

import polars as pl

from pipelines.reports import keys, numbers
from pipelines.reports.content import Document, KeyFigure, KeyFigures, Shown, Summary
from pipelines.reports.report import NOTICE, numbered, stamp
from pipelines.reports.sections import cohort, completeness, diagnostics, quality
from pipelines.reports.study import Study

_PARTS = (quality.quality, cohort.flow, completeness.completeness, diagnostics.withheld)


def build_data_quality(study: Study) -> Document:
    """The report on data quality of one release."""
    protocol = study.protocol
    release = study.release_fact("release") or "unnamed"
    return Document(
        title=protocol.title,
        subtitle=f"Report on data quality, release {release}",
        release=release,
        protocol=f"{protocol.name} {protocol.version}",
        summary=_summary(study),
        sections=numbered(tuple(part(study) for part in _PARTS)),
        stamp=stamp(study, release),
        notice=NOTICE,
        keywords=(protocol.condition, "registry", "data quality"),
    )


def _summary(study: Study) -> Summary:
    checks, rules = study.snapshot["quality.checks"], study.snapshot["quality.row_rules"]
    amiss = _amiss(checks)
    broken = rules.filter(pl.col("violations") > 0).height if rules.height else 0
    patients = study.gate.count(keys.records("patients", "accepted"))
    figures = KeyFigures(
        (
            KeyFigure(patients, "Patients accepted"),
            KeyFigure(Shown(f"{rules.height - broken} of {rules.height}"), "Row rules kept by every row"),
            KeyFigure(Shown(f"{amiss.height} of {checks.height}"), "Checks that did not pass"),
        )
    )
    reviews = tuple(f"{row['target']}: {row['meaning']}" for row in amiss.iter_rows(named=True))
    return Summary(
        figures,
        found=(_rows(study), _rules(rules.height, broken)),
        certainty=(
            "A quarantined row takes no part in any result; read = accepted + quarantined holds for each table.",
            "A check that examined no row counts as not applicable, not as passed: "
            f"{numbers.count(_count(checks, 'not applicable'))} of {numbers.count(checks.height)}.",
        ),
        review=reviews or ("Nothing: every check that could be made passed.",),
    )


def _rows(study: Study) -> str:
    counts = study.snapshot["quality.ingest_counts"]
    names = counts["table_name"].to_list() if counts.height else []
    said = [f"{study.gate.count(keys.records(name, 'quarantined')).text} of {name}" for name in names]
    return f"Rows quarantined: {', '.join(said)}." if said else "The snapshot holds no record of ingest."


def _rules(rules: int, broken: int) -> str:
    if not broken:
        return "No row rule was broken."
    return f"{broken} of {rules} row rules were broken by some row; they are listed below with their reasons."


def _amiss(checks: pl.DataFrame) -> pl.DataFrame:
    return checks.filter(pl.col("verdict").is_in(["failed", "error"])) if checks.height else checks


def _count(checks: pl.DataFrame, verdict: str) -> int:
    return checks.filter(pl.col("verdict") == verdict).height if checks.height else 0
