"""Page one, what changed since the release before: sentences made by rules from `quality.changes`.

Which quantities moved, and whether beyond the protocol's tolerance, is said there; here they become words. No rule
tells why a figure moved, and no small number of patients who came or went is told.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Sentence
from pipelines.reports.ledger import EARLIER
from pipelines.reports.study import Study

FIRST = "This is the first release under this protocol; there is none to compare with."
_SOURCE = "quality.changes"
_MOST = 4  # estimates named in one sentence
Row = Mapping[str, Any]


def change_sentences(study: Study) -> list[Sentence]:
    """What changed since the release before."""
    frame = study.snapshot["quality.changes"]
    if frame.is_empty():
        return [Sentence(FIRST, _SOURCE)]
    rows: list[Row] = list(frame.iter_rows(named=True))
    if len(rows) == 1 and rows[0]["quantity"] == "all":
        return [Sentence(f"Compared with release {rows[0]['before']}: not applicable, {rows[0]['note']}.", _SOURCE)]
    rules: tuple[Callable[[Study, list[Row]], str], ...] = (_patients, _protocol, _estimates, _records, _quiet)
    return [Sentence(said, _SOURCE) for rule in rules if (said := rule(study, rows))]


def _patients(study: Study, rows: list[Row]) -> str:
    row = next((r for r in rows if (r["quantity"], r["group"]) == ("patients", "")), None)
    if row is None:
        return ""
    before, difference = row["before"], (row["value_after"] or 0) - (row["value_before"] or 0)
    if not difference:
        return f"As many patients as in release {before}."
    way = "more" if difference > 0 else "fewer"
    if may_tell(study, abs(difference)):
        return f"{numbers.count(int(abs(difference)))} patients {way} than in release {before}."
    return f"{way.capitalize()} patients than in release {before}; how many is not told (a small count, or rounded)."


def may_tell(study: Study, difference: float) -> bool:
    """Whether a change in the number of patients read is large enough, and follows from what both reports print."""
    key = keys.records("patients", "accepted")
    was_exact = study.gate.decisions.ledger.published.get((EARLIER, *key)) == "exact"
    return difference >= study.gate.minimum and was_exact and study.gate.is_exact(key)


def _protocol(_: Study, rows: list[Row]) -> str:
    row = next((r for r in rows if r["quantity"] == "protocol"), None)
    if row is None or row["verdict"] == "within":
        return ""
    return f"{wording.capital(str(row['note']))}: any figure may differ for that reason alone."


def _estimates(study: Study, rows: list[Row]) -> str:
    """Estimates that moved by more standard errors than the protocol lets pass, without their values."""
    moved = [r for r in rows if r["scale"] == "standard errors"]
    beyond = [r for r in moved if r["verdict"] == "beyond"]
    if not moved:
        return ""
    limit = numbers.fixed(study.protocol.release_changes.standard_errors, 1).rstrip("0").rstrip(".")
    if not beyond:
        return f"None of {len(moved)} headline figures moved by more than {limit} standard errors."
    named = [_named(study, row) for row in beyond[:_MOST]]
    rest = [f"{len(beyond) - _MOST} more"] if len(beyond) > _MOST else []
    return (
        f"Signal for review: {len(beyond)} of {len(moved)} headline figures moved by more than {limit} standard "
        f"errors, or came or went: {numbers.listed([*named, *rest])}."
    )


def _named(study: Study, row: Row) -> str:
    group = str(row["group"])
    contrasts = {c.name: study.versus(c) for c in study.protocol.contrasts}
    tiers = {t: study.short(t) for t in study.protocol.tier_names}
    what = str(row["quantity"]).partition(":")[0].replace("_", " ")
    how = f", {row['note']}" if row["note"] else f", {'up' if (row['change'] or 0) > 0 else 'down'}"
    return f"{what} ({contrasts.get(group) or tiers.get(group) or group}{how})"


def _records(_: Study, rows: list[Row]) -> str:
    """Counts and shares of records beyond the protocol's tolerance, named without numbers."""
    beyond = [r for r in rows if r["scale"] in ("fraction", "share") and r["verdict"] == "beyond"]
    if not beyond:
        return ""
    names = dict.fromkeys(str(r["quantity"]) + (f" ({r['group']})" if r["group"] else "") for r in beyond)
    listed = [name.replace("_", " ") for name in names]
    more = [f"{len(listed) - _MOST} more"] if len(listed) > _MOST else []
    return f"Signal for review: changed beyond what the protocol lets pass: {numbers.listed([*listed[:_MOST], *more])}."


def _quiet(_: Study, rows: list[Row]) -> str:
    explained = [r for r in rows if r["verdict"] == "explained"]
    if not explained:
        return ""
    return f"Explained in the protocol: {numbers.listed(list(dict.fromkeys(str(r['quantity']) for r in explained)))}."
