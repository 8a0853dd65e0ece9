"""A published release behind its gate, which knows what the report of the release before has printed.

Everything that shows a release outside the protected side starts here: reports, exports, pictures, traces.
"""

from contextlib import closing
from typing import TYPE_CHECKING

from pipelines.releases import Home, ReleaseError
from pipelines.releases.snapshot import open_snapshot, protocol_of, release_before
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.reports import Study
    from pipelines.reports.ledger import Decisions


def study_of(home: Home, release: str, snapshot: Warehouse) -> "Study":
    """The release with its gate, which knows what the report of the release before has printed.

    Raises:
        ReleaseError: the release has too few patients for any report.
    """
    from pipelines.reports import Study
    from pipelines.reports.suppression import TooFewToProtect

    protocol = protocol_of(snapshot)
    try:
        return Study(snapshot.read, protocol, printed_before(home, release, protocol.name))
    except TooFewToProtect:
        raise ReleaseError(
            f"no report of release {release} is made: it has so few patients that every one would give small counts "
            "away; its snapshot is for the protected side alone"
        ) from None


def printed_before(home: Home, release: str, protocol: str) -> "Decisions | None":
    """What the report of the release before has printed, if there is one."""
    earlier = release_before(home, release, protocol)
    return None if earlier is None else printed_by(home, earlier, protocol)


def printed_by(home: Home, release: str, protocol: str) -> "Decisions":
    """What the report of a published release has printed."""
    from pipelines.reports.earlier import PRINTED_FILE, decisions_before

    kept = home.report_folder(release, protocol) / PRINTED_FILE
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        return decisions_before(snapshot.read, protocol_of(snapshot), kept.read_bytes() if kept.exists() else None)
