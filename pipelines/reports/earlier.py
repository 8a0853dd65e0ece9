"""What a report has printed, kept for the next one, which must not give away the few patients between the two.

Only which counts were printed exactly, rounded or not at all is kept; the counts themselves are in the snapshot.
"""

import json
from collections.abc import Sequence

from pipelines.protocol import Protocol
from pipelines.reports.counts import ledger_of
from pipelines.reports.ledger import CHANGE, EARLIER, Decisions, Key
from pipelines.reports.suppression import decide
from pipelines.reports.tables import Read, Snapshot

PRINTED_FILE = "printed.json"
_STATES = ("small", "rounded", "withheld")


def printed(decisions: Decisions) -> bytes:
    """How each count of a report was printed, by its state, without its value; what is not listed was exact."""
    found = {state: sorted(key for key in getattr(decisions, state) if _is_own(key)) for state in _STATES}
    return json.dumps(found, ensure_ascii=False).encode()


def decisions_before(read: Read, protocol: Protocol, content: bytes | None) -> Decisions:
    """What an earlier report printed, from its snapshot and from what was kept of it.

    Args:
        read: gives a table of the earlier snapshot by name.
        protocol: the protocol of the earlier snapshot.
        content: what `printed` gave; without it (another version of lss), what would be printed of it today.
    """
    ledger = ledger_of(Snapshot(read), protocol)
    if content is None:
        return decide(ledger)
    kept = {state: _keys(listed) for state, listed in json.loads(content).items()}
    known = {state: frozenset(keys & ledger.counts.keys()) for state, keys in kept.items()}
    small = {
        key for key, count in ledger.counts.items() if count.role == "printed" and 1 <= count.value < ledger.minimum
    }
    return Decisions(ledger, known["small"] | small, known["rounded"], known["withheld"])


def _is_own(key: Key) -> bool:
    return key[0] not in (EARLIER, CHANGE)


def _keys(listed: Sequence[Sequence[str]]) -> set[Key]:
    return {tuple(key) for key in listed}
