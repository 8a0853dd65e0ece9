"""Verifying: does a report belong to a snapshot, and was either changed since?

A page is recognised by its SHA-256, wherever it was copied to. What a receipt holds is said in `receipt.py`.
"""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import Home
from pipelines.releases.receipt import (
    ARCHIVE,
    RECEIPT,
    RECEIPT_FILE,
    SIGNING_KEY,
    Receipt,
    canonical,
    file_hash,
    private_key,
    read_receipt,
    receipts,
    tables_of,
)
from pipelines.warehouse import SCHEMAS, Warehouse, WarehouseError, open_warehouse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Finding:
    """One thing that was verified: `is_sound` is False where it was changed, None where nothing can be said."""

    subject: str
    is_sound: bool | None
    sentence: str


def verify(home: Home, report: Path, public_key: Path | None = None) -> list[Finding]:
    """Hold a report against its receipt, the receipt against its snapshot, and the snapshot against its content.

    Args:
        home: the home folder that the report came from.
        report: a page or PDF, also a copy of one.
        public_key: the site's public key in PEM form; without it, that of `LSS_SIGNING_KEY`.

    Raises:
        ReleaseError: there is no such file, or a key cannot be used.
    """
    if not report.is_file():
        raise ReleaseError(f"there is no report at {report}; name its HTML or PDF file")
    receipt, page = _receipt_of(home, report)
    if receipt is None:
        return [page]
    return [page, *_beside(receipt, report), _receipt_itself(receipt), _snapshot(home, receipt),
            _signature(receipt, public_key)]  # fmt: skip


def made_from(home: Home, report: Path) -> tuple[str, str]:
    """The names of the release and the protocol that a report, or an unchanged copy of one, was made from.

    Raises:
        ReleaseError: no receipt of this home knows the file.
    """
    receipt, finding = _receipt_of(home, report)
    if receipt is None or not finding.is_sound:
        raise ReleaseError(f"{report}: {finding.sentence}")
    return receipt.run["release"], receipt.run["protocol"]["name"]


def _receipt_of(home: Home, report: Path) -> tuple[Receipt | None, Finding]:
    """The receipt that knows the file by its hash, else the one beside it that knows it by its name."""
    found = file_hash(report)
    for receipt in receipts(home):
        if found in receipt.files.values():
            run = receipt.run
            made = f"of release {run['release']}, protocol {run['protocol']['name']}, made {run['made_at']}"
            return receipt, Finding("report", True, f"unchanged; {made}")
    for folder in report.absolute().parents[:2]:
        beside = folder / RECEIPT_FILE
        if beside.is_file():
            receipt = read_receipt(beside)
            if report.absolute().relative_to(folder).as_posix() in receipt.files:
                return receipt, Finding("report", False, "changed since it was written; its receipt names another hash")
    return None, Finding(
        "report", False, f"no receipt in {home.path} knows this file: it was changed, or another home made it"
    )


def _beside(receipt: Receipt, report: Path) -> list[Finding]:
    """Other files of the same receipt that were changed or removed, if there are any: one finding."""
    if not receipt.is_current:
        return []
    others = {name: digest for name, digest in receipt.files.items() if receipt.folder / name != report.absolute()}
    changed = [
        name
        for name, digest in others.items()
        if not (receipt.folder / name).is_file() or file_hash(receipt.folder / name) != digest
    ]
    said = f"changed or removed since they were written: {', '.join(changed)}"
    return [Finding("files beside it", False, said)] if changed else []


def _receipt_itself(receipt: Receipt) -> Finding:
    if receipt.is_whole:
        return Finding("receipt", True, f"whole; digest {receipt.digest[:16]}")
    return Finding("receipt", False, "changed since it was written; it does not give its own digest")


def _snapshot(home: Home, receipt: Receipt) -> Finding:
    for path, is_current in _snapshots(home, receipt):
        try:
            with open_warehouse(path, read_only=True) as snapshot:
                if not _carries(snapshot, receipt):
                    continue
                made, found = receipt.run["tables"], tables_of(snapshot) | _strangers(snapshot)
        except WarehouseError:
            if is_current:
                return Finding("snapshot", False, f"{path.name} cannot be opened as a DuckDB file")
            continue
        changed = sorted(name for name in made.keys() | found.keys() if made.get(name) != found.get(name))
        where = "" if is_current else " (of an earlier run, in the archive)"
        if changed:
            return Finding("snapshot", False, f"changed since it was published{where}: {', '.join(changed)}")
        return Finding("snapshot", True, f"unchanged{where}; {len(made)} tables")
    return Finding("snapshot", False, "no snapshot in this home carries this receipt; it was replaced or removed")


def _carries(snapshot: Warehouse, receipt: Receipt) -> bool:
    """Whether the snapshot holds this very receipt, and nothing beside it in the receipt's table."""
    if not snapshot.has(RECEIPT):
        return False
    rows = snapshot.read(RECEIPT).rows(named=True)
    return rows == [{"digest": receipt.digest, "content": canonical(receipt.run)}]


def _strangers(snapshot: Warehouse) -> dict[str, dict[str, Any]]:
    """Tables and views in schemas that no run makes; whatever they hold, they are none of a receipt's."""
    sql = "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables ORDER BY name"
    return {name: {} for name in snapshot.query(sql)["name"] if name.partition(".")[0] not in SCHEMAS}


def _snapshots(home: Home, receipt: Receipt) -> Iterator[tuple[Path, bool]]:
    current = home.snapshot_file(receipt.run["release"], receipt.run["protocol"]["name"])
    if current.exists():
        yield current, True
    for path in sorted((current.parent / ARCHIVE).glob(f"{current.stem}-*{current.suffix}"), reverse=True):
        yield path, False


def _signature(receipt: Receipt, public_key: Path | None) -> Finding:
    from cryptography.exceptions import InvalidSignature

    key = _public_key(public_key)
    if receipt.signature is None:
        return Finding(
            "signature",
            None if key is None else False,
            "unsigned; who can write to the home folder could have changed report, receipt and snapshot together "
            f"({SIGNING_KEY} names the key that would rule this out)",
        )
    if key is None:
        return Finding("signature", None, "signed, but no public key was given; name it with --public-key")
    try:
        key.verify(base64.b64decode(receipt.signature), receipt.content)
    except (InvalidSignature, ValueError):
        return Finding("signature", False, "not of this key, or the receipt was changed after it was signed")
    return Finding("signature", True, "by the site's key")


def _public_key(path: Path | None) -> "Ed25519PublicKey | None":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if path is None:
        named = os.environ.get(SIGNING_KEY)
        return private_key(Path(named)).public_key() if named else None
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ReleaseError(f"{path} holds no Ed25519 public key in PEM form; make it with: openssl pkey -pubout")
    return key
