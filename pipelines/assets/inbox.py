"""The sensor that finds releases dropped into the inbox, registers them and asks for their runs.

A folder is looked into once it has stayed as it is between two looks, and taken once every file that its manifest names
is whole. What stands in the way is the tick's skip reason, the log's line and, where a steward must act, a notice.
Whether the release itself may be taken in is decided by its run.
"""

import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pipelines.assets.alive import fail_all_dead_runs
from pipelines.assets.errors import plain_errors
from pipelines.assets.jobs import AUTOMATIC
from pipelines.assets.parts import RELEASES
from pipelines.ingest import ReleaseRefused, check_release
from pipelines.ingest.arrival import StillArriving, arrived, fingerprint
from pipelines.ingest.manifest import Manifest, load_manifest
from pipelines.protocol import load_protocol
from pipelines.releases import Home, NameTaken, Register, Release
from pipelines.releases.delivery import Notice, send_notice
from pipelines.releases.register import registered
from pipelines.releases.settings import Settings, load_settings
from pipelines.resources import default_protocol_file

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PATIENCE_S = 3600  # a folder that is not whole after this long is somebody's to look at


@dataclass
class Seen:
    """What is remembered of a folder between two looks; the sensor's cursor holds one for each."""

    fingerprint: str
    since: float
    is_whole: bool = False
    is_requested: bool = False
    said: str = ""
    read_at: float = 0.0  # when its database was read, which is not done at every look


@dataclass(frozen=True)
class Wanted:
    """A release that shall be run."""

    release: str
    manifest_sha256: str


def inbox_sensor(home: Home, job: UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    """The sensor over a home's inbox; its job makes the report of a release and delivers it."""

    @dg.sensor(
        name="inbox",
        job=job,
        minimum_interval_seconds=settings.inbox.look_every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs each complete release folder dropped into {settings.inbox_folder(home)}, once.",
    )
    def inbox(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        with plain_errors("looking into the inbox"):
            fail_all_dead_runs(context.instance, home)
            look = Look(home, load_settings(home), _remembered(context.cursor), time.time())
            wanted = look.wanted()
            cursor = json.dumps({name: asdict(seen) for name, seen in look.seen.items()})
        if not wanted:
            return dg.SensorResult(skip_reason=look.words, cursor=cursor)
        return dg.SensorResult(
            run_requests=[_request(one) for one in wanted],
            dynamic_partitions_requests=[RELEASES.build_add_request([one.release for one in wanted])],
            cursor=cursor,
        )

    return inbox


class Look:
    """One look into the inbox: which releases shall be run, and what is to be said of the other folders."""

    def __init__(self, home: Home, settings: Settings, remembered: dict[str, Seen], now: float) -> None:
        self.home = home
        self.settings = settings
        self.folder = settings.inbox_folder(home)
        self.remembered = remembered
        self.now = now
        self.seen: dict[str, Seen] = {}

    def wanted(self) -> list[Wanted]:
        """The releases to run, in the order of their folders' names; each content once."""
        found = [wanted for folder in self._folders() if (wanted := self._of(folder))]
        return list({one.release: one for one in found}.values())

    @property
    def words(self) -> str:
        """What is to be said, one sentence a folder."""
        said = [seen.said for seen in self.seen.values()]
        return " ".join(said) if said else f"Nothing lies in {self.folder}; drop a release folder there."

    def _folders(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from sorted(p for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _of(self, folder: Path) -> Wanted | None:
        seen = self._looked_at(folder)
        if seen is None or self._was_just_read(seen):
            return None
        try:
            manifest = load_manifest(folder) if seen.is_whole else arrived(folder)
            seen.is_whole = True
            return self._take(folder, manifest, seen)
        except StillArriving as waiting:
            advice = "The copy was not finished, or a file was changed; copy the folder again."
            self._say(folder, seen, f"waits: {waiting}", advice if self.now - seen.since > PATIENCE_S else "")
        except NameTaken as taken:
            advice = "Its name stands for other content here; give the new extract another name in its manifest."
            self._say(folder, seen, f"is refused: {taken}", advice)
        except ReleaseRefused as refused:
            advice = "It cannot be used as it is; lss check says why. Correct it in the inbox."
            self._say(folder, seen, f"is refused: {refused}", advice)
        return None

    def _looked_at(self, folder: Path) -> Seen | None:
        """What is known of the folder, if it has stayed as it was when last looked at."""
        try:
            mark = fingerprint(folder)
        except OSError:
            mark = ""
        before = self.remembered.get(folder.name)
        if mark and before is not None and before.fingerprint == mark:
            self.seen[folder.name] = before
            return before
        self.seen[folder.name] = Seen(mark, self.now)
        self._say(folder, self.seen[folder.name], "waits: it is looked into once it stays as it is")
        return None

    def _was_just_read(self, seen: Seen) -> bool:
        """Whether the release's database was read within the hour and could not be taken."""
        return not seen.is_requested and self.now - seen.read_at < PATIENCE_S

    def _take(self, folder: Path, manifest: Manifest, seen: Seen) -> Wanted | None:
        """Register a whole release, unless it was published or asked for before."""
        name = manifest.release
        known = Register(self.home).releases().get(name)
        if known and _is_of(known, folder, manifest) and self.home.snapshot_file(name, known.protocol).exists():
            self._say(folder, seen, "is published; nothing is to be done")
            return None
        if seen.is_requested:
            self._say(folder, seen, f"was taken; see the run of release {name}")
            return None
        file = Path(self.settings.inbox.protocol) if self.settings.inbox.protocol else None
        protocol = load_protocol(file or default_protocol_file())
        if manifest.is_hashed_whole:
            sha256 = manifest.manifest_sha256
        else:  # a database is read now, so that the run notices if it has changed until then
            seen.read_at = self.now
            sha256 = check_release(folder, protocol).content_sha256
        Register(self.home).add(registered(name, folder, sha256, protocol.name, file))
        seen.is_requested = True
        self._say(folder, seen, "is taken")
        return Wanted(name, sha256)

    def _say(self, folder: Path, seen: Seen, what: str, advice: str = "") -> None:
        """Note a sentence for the tick; where a steward must act, log it and send a notice, once."""
        name = folder.name if _PLAIN.fullmatch(folder.name) else "a folder whose name is not plain"
        before, seen.said = seen.said, f"{name} {what}."
        if advice:
            if seen.said != before:
                logging.getLogger("lss").warning(seen.said)
            key = f"inbox {folder.name} {seen.fingerprint}"
            send_notice(self.home, self.settings, Notice(key, name.replace(" ", "-"), "the inbox", advice))


def _is_of(known: Release, folder: Path, manifest: Manifest) -> bool:
    """Whether a registered release is of this folder's content, as far as can be told without reading a database."""
    if manifest.is_hashed_whole:
        return known.manifest_sha256 == manifest.manifest_sha256
    return known.folder == str(folder.absolute())


def _request(one: Wanted) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{one.release} {one.manifest_sha256}", partition_key=one.release, tags=AUTOMATIC)


def _remembered(cursor: str | None) -> dict[str, Seen]:
    return {name: Seen(**seen) for name, seen in json.loads(cursor or "{}").items()}
