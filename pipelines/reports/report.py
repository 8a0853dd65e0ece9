"""The committee report of a release: which sections, in which order, with numbered exhibits and a stamp."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from inspect import getsource
from itertools import count

from pipelines.protocol import Protocol
from pipelines.reports.content import (
    Block,
    Document,
    Facts,
    Figure,
    Section,
    Sentence,
    Table,
    with_wordings,
    wordings,
)
from pipelines.reports.ledger import Decisions
from pipelines.reports.sections import (
    balance,
    choice,
    cohort,
    comparison,
    completeness,
    definitions,
    diagnostics,
    estimators,
    failure,
    literature,
    methods,
    missing,
    occupation,
    proportional,
    quality,
    responders,
    scores,
    sensitivity,
    sites,
    subgroups,
    summary,
    walking,
)
from pipelines.reports.sections.checklist import checklist
from pipelines.reports.study import Study
from pipelines.reports.tables import Read

NOTICE = (
    "Association, not causation: figures describe patients in routine care and do not show what a treatment causes. "
    "Small counts are withheld."
)
_PACKAGES = ("lss-outcomes", "duckdb", "polars", "lifelines", "statsmodels", "scipy", "numpy", "matplotlib", "typst")
_PARTS = (
    cohort.flow,
    cohort.table_one,
    choice.choice,
    completeness.completeness,
    scores.scores,
    responders.responders,
    walking.walking,
    failure.failure,
    comparison.comparisons,
    estimators.estimators,
    balance.comparability,
    missing.missing,
    sensitivity.sensitivity,
    subgroups.subgroups,
    definitions.definitions,
    failure.harm,
    occupation.occupation,
    failure.crossover,
    proportional.proportional,
    sites.sites,
    diagnostics.withheld,
    literature.literature,
    quality.quality,
    methods.methods,
    methods.target_trials,
    methods.thresholds,
)


def build_report(read: Read, protocol: Protocol, before: Decisions | None = None) -> Document:
    """The report of one release under one protocol.

    Args:
        read: gives a table of the snapshot by name (`results.contrasts`); a missing table may raise `LookupError` or
            `WarehouseError`, and its section then says `not applicable`.
        protocol: the protocol that the results were made with.
        before: what the report of the release before has printed.
    """
    return report_of(Study(read, protocol, before))


def report_of(study: Study) -> Document:
    """The report of a study whose gate is set."""
    protocol = study.protocol
    sections = sections_of(study)
    release = study.release_fact("release") or "unnamed"
    return Document(
        title=protocol.title,
        subtitle=f"Report to the quality committee, release {release}",
        release=release,
        protocol=f"{protocol.name} {protocol.version}",
        summary=summary.summary(study),
        sections=sections,
        stamp=stamp(study, release),
        notice=NOTICE,
        keywords=(protocol.condition, "registry", "quality"),
    )


def sections_of(study: Study, table: str = "") -> tuple[Section, ...]:
    """The report's sections behind its first page, with their exhibits numbered.

    With a `table`, those whose modules name it: what a section shows names the table that it is from.
    """
    parts = (part for part in _PARTS if table in getsource(sys.modules[part.__module__]))
    made = tuple(part(study) for part in parts)
    return numbered(made if table else (*made, checklist(made)))


def stamp(study: Study, release: str) -> Facts:
    """What a report was made from."""
    fact = study.release_fact
    manifest = fact("manifest_sha256")
    items = [
        ("Release", f"{release} (source: {fact('source') or 'not stated'})"),
        ("Manifest SHA-256", manifest or "not stated"),
        ("De-identification", fact("deidentification") or "not stated"),
        ("Linkage", fact("linkage") or "not stated"),
        (
            "Protocol",
            f"{study.protocol.name}, version {study.protocol.version}, analysis set {study.protocol.analysis_set}",
        ),
        ("Protocol SHA-256", study.protocol.hash),
        ("Generated from", "tables of the published snapshot, named under each table and figure"),
        ("Software", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)),
    ]
    return Facts(tuple(items))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def numbered(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """The sections with tables and figures numbered in reading order, and sentences named by section and place."""
    seen = {Table: 0, Figure: 0}

    def number(block: Block) -> Block:
        if isinstance(block, Table | Figure):
            seen[type(block)] += 1
            return replace(block, number=seen[type(block)])
        return block

    def walk(section: Section) -> Section:
        blocks = tuple(number(block) for block in _named(section))
        return replace(section, blocks=blocks, parts=tuple(walk(part) for part in section.parts))

    return tuple(walk(section) for section in sections)


def _named(section: Section) -> Iterator[Block]:
    """The blocks with each sentence that is made from results named after the section, in order."""
    place = count(1)
    for block in section.blocks:
        named = [
            Sentence(str(text), text.source, text.told, f"{section.anchor}-{next(place)}")
            if isinstance(text, Sentence)
            else text
            for text in wordings(block)
        ]
        yield with_wordings(block, named)
