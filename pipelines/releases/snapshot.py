"""Reading a published snapshot: the one way for notebooks, reports and exports, which never open a working file."""

from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import ValidationError

from pipelines.protocol import Protocol
from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import Home
from pipelines.releases.register import Register
from pipelines.warehouse import Warehouse

DOCUMENT = "protocol.document"  # the effective protocol of a run, whole, so that a snapshot explains itself

_open: WeakValueDictionary[Path, Warehouse] = WeakValueDictionary()


def open_snapshot(home: Home, release: str, protocol: str | None = None) -> Warehouse:
    """The published snapshot of a release, read-only; close it when done.

    DuckDB hands out the database it already has open under a path, also after the file was replaced. So one that was
    opened here before is closed first, and what is returned is what is published now.

    Args:
        home: the home folder.
        release: the release's name.
        protocol: the protocol's name; without it, the one that the release was last run with.

    Raises:
        ReleaseError: the release is unknown, or nothing is published for it and this protocol.
        WarehouseError: the file cannot be opened.
    """
    name = protocol or Register(home).find(release).protocol
    path = home.snapshot_file(release, name)
    if not path.exists():
        raise ReleaseError(
            f"nothing is published for release {release} and protocol {name}; run it first with: lss run RELEASE_DIR"
        )
    older = _open.pop(path, None)
    if older is not None:
        older.close()
    snapshot = Warehouse(path, read_only=True)
    _open[path] = snapshot
    return snapshot


def release_before(home: Home, release: str, protocol: str) -> str | None:
    """The release that was registered last before this one and is published under the same protocol's name."""
    names = list(Register(home).releases())
    earlier = names[: names.index(release)] if release in names else names
    return next((name for name in reversed(earlier) if home.snapshot_file(name, protocol).exists()), None)


def protocol_of(snapshot: Warehouse) -> Protocol:
    """The effective protocol that a snapshot was made with.

    Raises:
        ReleaseError: the snapshot is of a version of lss whose protocol had other keys.
    """
    try:
        return Protocol.model_validate_json(snapshot.read(DOCUMENT)["content"].item())
    except ValidationError:
        raise ReleaseError(
            f"the snapshot {snapshot.path} was made by another version of lss, whose protocol had other keys; "
            "run the release again with: lss run RELEASE_DIR"
        ) from None
