"""The home folder: where everything that runs make has its place.

Only paths belong here, and writing one file so that a reader never sees half of it. What is written is said in the
other modules of this room.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.releases.errors import ReleaseError

HOME_VARIABLE = "LSS_HOME"
DEFAULT_HOME = "lss-home"
PARTIAL = ".partial"  # the ending of a file being written; a killed run may leave one, the next run removes it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True)
class Home:
    """The layout of a home folder; nothing is made before something is written."""

    path: Path

    @property
    def register_file(self) -> Path:
        """The register of releases."""
        return self.path / "register.json"

    @property
    def dagster(self) -> Path:
        """Dagster's own folder: its settings and the history of runs."""
        return self.path / "dagster"

    @property
    def settings_file(self) -> Path:
        """What is settled once for this home: inbox, time zone, delivery, mail."""
        return self.path / "settings.toml"

    @property
    def deliveries_file(self) -> Path:
        """What was delivered where, so that nothing is delivered twice."""
        return self.path / "deliveries.json"

    @property
    def drawing_cache(self) -> Path:
        """Where the drawing library keeps what it found out about fonts."""
        return self.path / "cache" / "matplotlib"

    def lock_file(self, name: str) -> Path:
        """The file that stands for a lock; locking is said in `locks.py`."""
        return self.path / "locks" / f"{name}.lock"

    def working_file(self, release: str, protocol: str) -> Path:
        """The warehouse that runs write to."""
        return self.path / "releases" / _checked(release) / f"{_checked(protocol)}.duckdb"

    def snapshot_file(self, release: str, protocol: str) -> Path:
        """The published snapshot, for readers only."""
        return self.path / "snapshots" / _checked(release) / f"{_checked(protocol)}.duckdb"

    def report_folder(self, release: str, protocol: str) -> Path:
        """Where the committee report of a snapshot stands, as `report.html` and `report.pdf`."""
        return self.path / "reports" / _checked(release) / _checked(protocol)


def find_home(named: str | Path | None = None) -> Home:
    """The home folder that is named, else that of the environment (`LSS_HOME`), else `lss-home` where we stand."""
    return Home(Path(named or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().absolute())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part, also when the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_partials_of(path: Path) -> None:
    """Remove what killed processes left of a file; call it with the lock held that its writers hold."""
    for left in path.parent.glob(f"{path.name}.*{PARTIAL}"):
        left.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """The name that a file has while this process writes it."""
    return path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")


def sync(path: Path) -> None:
    """Wait until the file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk; some file systems cannot, and need not."""
    try:
        sync(path)
    except OSError:
        return


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or ".." in name:
        raise ReleaseError("a name of a release or protocol holds letters, digits, point, underscore and hyphen only")
    return name
