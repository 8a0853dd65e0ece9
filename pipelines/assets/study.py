"""The one resource of all assets: a release with its effective protocol and its working file, held by one run.

Opening takes the release's lock, removes what killed runs left and opens the working file; closing gives all back.
What assets do with it belongs in their modules.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterInstance, DagsterRun, InitResourceContext
from dagster._core.storage.tags import PARTITION_NAME_TAG

from pipelines.assets.alive import alive, fail_dead_runs
from pipelines.assets.errors import StageError, plain_errors
from pipelines.assets.protocol import use_protocol
from pipelines.assets.records import prepare_records
from pipelines.protocol import Protocol, load_protocol
from pipelines.releases import Home, Register, Release
from pipelines.releases.locks import hold
from pipelines.releases.publish import clean_up
from pipelines.resources import default_protocol_file
from pipelines.warehouse import Warehouse, WarehouseError

STUDY = "study"  # the resource's key
REPORT = dg.AssetKey(["reports", "committee_report"])

_CONFIG = {
    "protocol_file": dg.Field(
        str,
        default_value="",
        description="A protocol file; empty: the one that the release was last run with.",
    ),
    "analysis_set": dg.Field(
        dg.Enum("AnalysisSet", [dg.EnumValue(""), dg.EnumValue("core"), dg.EnumValue("full")]),
        default_value="",
        description="core: the primary questions; full: sensitivity analyses too; empty: as the protocol says.",
    ),
    "overrides": dg.Field(
        dg.Permissive(),
        default_value={},
        description="Other values for keys of the protocol, for instance {primary: {endpoint_horizon_days: 365}}. "
        "Results are stamped with the hash of the protocol so changed, and nothing is published.",
    ),
}


@dataclass(frozen=True)
class Study:
    """What a run works on.

    `is_overridden` says that keys of the protocol were changed for this run alone, `makes_report` that the report is
    made in this run too, so that it shows what was found.
    """

    home: Home
    release: Release
    protocol: Protocol
    is_overridden: bool
    makes_report: bool
    warehouse: Warehouse


def study_resource(home: Home) -> dg.ResourceDefinition:
    """The resource over a home folder."""

    @dg.resource(config_schema=_CONFIG, description="The release of this run, its protocol and its working file.")
    def study(context: InitResourceContext) -> Iterator[Study]:
        instance, run = context.instance, context.run
        if instance is None or run is None:
            raise StageError("the study is opened by a run only; start the job from the page of its name")
        with _open_study(home, instance, run, context.resource_config) as opened:
            yield opened

    return study


@contextmanager
def _open_study(home: Home, instance: DagsterInstance, run: DagsterRun, config: Mapping[str, Any]) -> Iterator[Study]:
    with ExitStack() as stack:
        with plain_errors("opening the release"):
            release = Register(home).find(_release_name(run))
            official = effective_protocol(release, config["protocol_file"], config["analysis_set"])
            protocol = official.with_overrides(flat(config["overrides"]))
            stack.enter_context(alive(home, run.run_id))
            stack.enter_context(hold(home.lock_file(f"release-{release.name}"), _waiting(instance, run, release.name)))
            fail_dead_runs(instance, home, release.name)
            clean_up(home, release.name)
            warehouse = stack.enter_context(_open_working_file(home.working_file(release.name, protocol.name)))
            prepare_records(warehouse)
            use_protocol(warehouse, protocol)
        yield Study(home, release, protocol, protocol != official, _makes_report(run), warehouse)


def _makes_report(run: DagsterRun) -> bool:
    return run.asset_selection is None or REPORT in run.asset_selection


def effective_protocol(release: Release, protocol_file: str, analysis_set: str) -> Protocol:
    """The protocol of a run before any override: the file that is named, else the release's, else the bundled one.

    Raises:
        ProtocolError: the file is missing or not valid.
    """
    protocol = load_protocol(Path(protocol_file or release.protocol_file or default_protocol_file()))
    return protocol.with_overrides({"analysis_set": analysis_set}) if analysis_set else protocol


def flat(overrides: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested overrides with their keys joined by points: {primary: {x: 1}} becomes {"primary.x": 1}."""
    keys: dict[str, Any] = {}
    for key, value in overrides.items():
        path = f"{above}{key}"
        keys |= flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value}
    return keys


def _release_name(run: DagsterRun) -> str:
    name = run.tags.get(PARTITION_NAME_TAG)
    if not name:
        raise StageError("a run needs a release; choose one as its partition")
    return name


def _waiting(instance: DagsterInstance, run: DagsterRun, release: str) -> Any:
    def say() -> None:
        sentence = f"another run holds release {release}; this one waits until it ends"
        logging.getLogger("lss").warning(sentence)
        instance.report_engine_event(sentence, run)

    return say


@contextmanager
def _open_working_file(path: Path) -> Iterator[Warehouse]:
    """The working file; one that a crash left unreadable is begun anew, since a run makes all that is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        warehouse = Warehouse(path)
    except WarehouseError:
        for part in (path, path.with_name(f"{path.name}.wal")):
            part.unlink(missing_ok=True)
        warehouse = Warehouse(path)
    try:
        yield warehouse
    finally:
        warehouse.close()
