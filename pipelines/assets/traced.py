"""`lss trace`: from a number, table or figure of a report to rows, protocol lines, function, formula and source.

Joins the index beside the report, `results.traces` and the other tables of the snapshot, the SQL files and the protocol
file. No patient is named and no small count is given: numbers of a row are those that the report's gate lets leave.
"""

import inspect
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.assets.report_study import study_of
from pipelines.protocol import Protocol, load_protocol
from pipelines.protocol_lines import lines_of
from pipelines.releases import Home, Register, ReleaseError, open_snapshot
from pipelines.releases.snapshot import protocol_of
from pipelines.releases.verify import made_from
from pipelines.reports.export import released
from pipelines.reports.traced import TRACES_FILE, Exhibit, read_index
from pipelines.resources import default_protocol_file
from pipelines.warehouse import Warehouse

_TABLE = re.compile(r"\b(?:raw|staging|outcomes|analysis|results|quality|protocol)\.\w+")
_ESTIMATE = ("estimate", "ci_low", "ci_high", "p_value", "status", "reason")


class UnknownTrace(ReleaseError):
    """No report of this release has such a trace; the message says where traces stand."""


@dataclass(frozen=True)
class _Release:
    """A published release under a protocol, opened for reading."""

    home: Home
    name: str
    protocol: Protocol
    snapshot: Warehouse

    def count(self, number: int) -> str:
        """A number of rows of patients; small ones are not told."""
        least = self.protocol.disclosure.minimum_count
        return f"{number:,}" if number == 0 or number >= least else f"fewer than {least}"


def follow(home: Home, release: str, trace: str, protocol: str | None = None) -> list[str]:
    """What a trace of a report leads to, in plain lines.

    Args:
        home: the home folder.
        release: a release's name, or the path of a report that this home made.
        trace: of a contrast (`C-1a2b3c4d`), or of a table or figure (`table-contrasts`).
        protocol: the protocol's name, where a release was run with several.

    Raises:
        UnknownTrace: nothing in the release goes by that name.
        ReleaseError: nothing is published for this release and protocol, or no receipt knows the report.
    """
    name, chosen = made_from(home, Path(release)) if Path(release).is_file() else (release, protocol)
    with closing(open_snapshot(home, name, chosen)) as snapshot:
        opened = _Release(home, name, protocol_of(snapshot), snapshot)
        rows = snapshot.read("results.traces").filter(pl.col("trace").str.to_lowercase() == trace.lower())
        if rows.height:
            return list(_contrast(opened, rows.row(0, named=True)))
        for exhibit in _exhibits(opened):
            if exhibit.trace == trace.lower():
                return list(_exhibit(opened, exhibit))
    raise UnknownTrace(
        f"release {name} has no trace {trace}; traces stand under each table, figure and sentence of its report and in "
        "the column Trace"
    )


def _exhibits(release: _Release) -> list[Exhibit]:
    path = release.home.report_folder(release.name, release.protocol.name) / TRACES_FILE
    return read_index(path.read_bytes()) if path.exists() else []


# ----------------------------------------------------------------------------------------------------------- a contrast


def _contrast(release: _Release, trace: dict[str, Any]) -> Iterator[str]:
    what = f"{trace['contrast']}, {trace['outcome']}, {trace['window']}: {trace['method']}"
    yield f"{trace['trace']}  {what}"
    yield f"result    {trace['result_table']} WHERE trace = '{trace['trace']}'"
    yield f"          {_numbers(release, trace)}"
    yield f"rows      {release.count(trace['input_rows'])} of {trace['input_table']}, whether seen or not"
    yield f"          {trace['rows_sql']}"
    yield from _made(trace["input_table"])
    yield from _protocol_lines(release, trace["protocol_key"].split("; "))
    yield f"model     {trace['function']} ({_place(trace['function'])})"
    yield f"          {trace['formula']}"
    if trace["covariates"]:
        yield f"          X: {trace['covariates']}"
    yield f"missing   {trace['missing_data']}"
    if trace["made_of"]:
        yield f"made of   {trace['made_of']}, which has a trace of its own"
    yield f"source    {trace['citation']}"


def _numbers(release: _Release, trace: dict[str, Any]) -> str:
    """The row's numbers as they may leave."""
    table = trace["result_table"].removeprefix("results.")
    row = release.snapshot.read(trace["result_table"]).filter(pl.col("trace") == trace["trace"])
    study = study_of(release.home, release.name, release.snapshot)
    shown = released(study, table, row)
    if shown.is_empty():
        return "withheld: small number of patients"
    found = shown.row(0, named=True)
    said = [f"{name} {found[name]}" for name in _ESTIMATE if found.get(name) is not None]
    return ", ".join(said)


def _place(function: str) -> str:
    """The file and line of a function of this package."""
    module, name = function.rsplit(".", 1)
    called = getattr(import_module(module), name)
    return f"{module.replace('.', '/')}.py:{inspect.getsourcelines(called)[1]}"


def _made(table: str) -> Iterator[str]:
    """How a table of the snapshot is made, and of which tables."""
    from pipelines.analyses import ANALYSES
    from pipelines.derive import load_tables
    from pipelines.resources import sql_folder

    stage, name = table.split(".")
    if stage == "results" and name in ANALYSES:
        analysis = ANALYSES[name]
        maker = f"{analysis.compute.__module__}.{analysis.compute.__name__}"
        yield f"          made by {maker} from {', '.join(analysis.inputs)}"
    for known in load_tables(sql_folder()):
        if known.name == table:
            yield f"          made by sql/{stage}/{name}.sql from {', '.join(known.depends_on)}"


def _protocol_lines(release: _Release, keys: list[str]) -> Iterator[str]:
    """The lines of the protocol file that hold the settings, or why they cannot be named."""
    protocol = release.protocol
    yield f"protocol  {protocol.name} {protocol.version}, SHA-256 {protocol.hash[:12]}"
    known = Register(release.home).releases().get(release.name)
    file = Path(known.protocol_file) if known and known.protocol_file else default_protocol_file()
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    lines = lines_of(text)
    if not text or load_protocol(file).with_overrides({"analysis_set": protocol.analysis_set}).hash != protocol.hash:
        yield f"          {file} is not the file of this run any more; the settings stand in protocol.* of the snapshot"
        lines = {}
    for key in keys:
        yield f"          {file}:{lines[key]}  {key}" if key in lines else f"          {key}"


# ---------------------------------------------------------------------------------------------------- a table or figure


def _exhibit(release: _Release, exhibit: Exhibit) -> Iterator[str]:
    yield f"{exhibit.trace}  {exhibit.name}: {exhibit.title}"
    yield f"source    {exhibit.source}"
    for table in dict.fromkeys(_TABLE.findall(exhibit.source)):
        if release.snapshot.has(table):
            yield f"table     {table}, {release.count(release.snapshot.read(table).height)} rows in all"
            yield from _made(table)
    if exhibit.contrasts:
        yield f"contrasts {len(exhibit.contrasts)}; follow one with: lss trace {release.name} ID"
        for label, trace in exhibit.contrasts:
            yield f"          {trace}  {label}"
