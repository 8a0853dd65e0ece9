"""Receipts: what a run read, with which code and protocol, and what it made of it, so that a report can be verified.

A receipt stands in the snapshot (`quality.receipt`) and, with the hashes of the report's files, beside the report.
It holds unsuppressed row counts, and a hash lets small tables be guessed: it stays on the protected side. Holding one
against the other is said in `verify.py`.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import PARTIAL, Home, write_whole
from pipelines.releases.snapshot import open_snapshot
from pipelines.warehouse import Warehouse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RECEIPT = "quality.receipt"
RECEIPT_FILE = "receipt.json"
SIGNATURE_FILE = "receipt.sig"
ARCHIVE = "archive"
SIGNING_KEY = "LSS_SIGNING_KEY"
_KEPT = (".html", ".pdf", ".json")  # pages, and what is kept beside them of what they printed


@dataclass(frozen=True)
class Receipt:
    """A receipt as it stands beside a report.

    Attributes:
        run: what the run noted: inputs, protocol, code, tables, checks, durations.
        digest: SHA-256 of `run`, which also stands in the snapshot.
        files: the report's files, each with its SHA-256.
        folder: the folder of the report.
        signature: of the file's bytes, base64, if it was signed.
        content: the file's bytes.
    """

    run: dict[str, Any]
    digest: str
    files: dict[str, str]
    folder: Path
    signature: str | None
    content: bytes

    @property
    def is_current(self) -> bool:
        """Whether it speaks of the files that stand in its folder now, and not of those before."""
        path = self.folder / RECEIPT_FILE
        return path.is_file() and path.read_bytes() == self.content

    @property
    def is_whole(self) -> bool:
        """Whether the receipt still says what it said when its digest was taken."""
        return digest_of(self.run) == self.digest


def run_receipt(
    warehouse: Warehouse,
    release: str,
    protocol: Mapping[str, str],
    inputs: Sequence[Mapping[str, Any]],
    code: Mapping[str, Any],
    made_from: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What a run made and from what, without any value of the data.

    Args:
        warehouse: the working file, all tables made and checked.
        release: the release's name.
        protocol: name, version and hash of the effective protocol.
        inputs: a mapping for each file that was read: table, file, sha256.
        code: the code's version and hash, the lock's hash and the libraries' versions.
        made_from: every table of the flow with the tables it is made from.
    """
    tables = tables_of(warehouse)
    return {
        "release": release,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "protocol": dict(protocol),
        "inputs": [dict(entry) for entry in inputs],
        "code": dict(code),
        "ingest": warehouse.read("quality.ingest_counts").to_dicts(),
        "checks": _verdicts(warehouse),
        "seconds": _seconds(warehouse),
        "stages": _stages(tables, made_from),
        "tables": tables,
    }


def tables_of(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """Rows and content hash of every table but the receipt itself, by name."""
    names = [name for name in warehouse.tables() if name != RECEIPT]
    return {name: {"rows": warehouse.count(name), "sha256": warehouse.content_hash(name)} for name in names}


def keep_receipt(warehouse: Warehouse, run: Mapping[str, Any]) -> str:
    """Write the receipt into the working file, from where it is published; returns its digest."""
    text, digest = canonical(run), digest_of(run)
    warehouse.write(RECEIPT, pl.DataFrame({"digest": [digest], "content": [text]}))
    return digest


def write_receipt(home: Home, release: str, protocol: str) -> Path | None:
    """Put the snapshot's receipt beside its report, with the hashes of the report's files; signed where a key is set.

    The one before goes to the folder's archive if it spoke of another run or other files.

    Returns:
        The path, or None for a snapshot of a version of `lss` that left no receipt.

    Raises:
        ReleaseError: nothing is published, or the key cannot be used.
    """
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        if not snapshot.has(RECEIPT):
            return None
        row = snapshot.read(RECEIPT).row(0, named=True)
    folder = home.report_folder(release, protocol)
    path = folder / RECEIPT_FILE
    document = {"digest": row["digest"], "files": _hashes_of_files(folder), "run": json.loads(row["content"])}
    content = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode()
    signature = _sign(content)
    _archive(path, content)
    write_whole(path, content)
    if signature:
        write_whole(folder / SIGNATURE_FILE, signature.encode())
    else:
        (folder / SIGNATURE_FILE).unlink(missing_ok=True)
    return path


def read_receipt(path: Path) -> Receipt:
    """A receipt from its file.

    Raises:
        ReleaseError: the file cannot be read as a receipt.
    """
    signature = path.with_name(path.name.replace(".json", ".sig"))
    try:
        content = path.read_bytes()
        document = json.loads(content)
        run, files = document["run"], dict(document["files"])
        for text in (run["release"], run["made_at"], run["protocol"]["name"], document["digest"]):
            _require_text(text)
        dict(run["tables"])
        return Receipt(
            run=run,
            digest=document["digest"],
            files=files,
            folder=path.parent.parent if path.parent.name == ARCHIVE else path.parent,
            signature=signature.read_text(encoding="ascii") if signature.exists() else None,
            content=content,
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise ReleaseError(f"the receipt {path} cannot be read; render the report again with: lss report") from None


def _require_text(text: object) -> None:
    if not isinstance(text, str) or "/" in text or "\\" in text:  # release and protocol name files
        raise ValueError("not a receipt")


def receipts(home: Home) -> Iterator[Receipt]:
    """Every receipt of the home's reports, those of replaced reports too; one that cannot be read speaks of none."""
    current = sorted(home.path.glob("reports/*/*/receipt.json"))
    for path in [*current, *sorted(home.path.glob(f"reports/*/*/{ARCHIVE}/receipt-*.json"))]:
        with suppress(ReleaseError):
            yield read_receipt(path)


def digest_of(run: Mapping[str, Any]) -> str:
    """SHA-256 of a run's receipt, whatever the order of its keys."""
    return hashlib.sha256(canonical(run).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(run: Mapping[str, Any]) -> str:
    """The run's part of a receipt as text, the same whatever the order of its keys: what the digest is taken of."""
    return json.dumps(run, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _verdicts(warehouse: Warehouse) -> dict[str, str]:
    checks = warehouse.read("quality.checks").sort("check_name")
    return dict(zip(checks["check_name"], checks["verdict"], strict=True))


def _seconds(warehouse: Warehouse) -> dict[str, float]:
    made = warehouse.read("quality.materializations").sort("position")
    return {name: round(seconds, 3) for name, seconds in made.select("table_name", "seconds").iter_rows()}


def _stages(
    tables: Mapping[str, Mapping[str, Any]], made_from: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """Rows that go into each stage, from the tables of others that it reads, and rows that come out of it."""
    stages: dict[str, dict[str, int]] = {}
    for stage in dict.fromkeys(_stage(name) for name in tables):
        made = [name for name in tables if _stage(name) == stage]
        read = {source for name in made for source in made_from.get(name, ()) if _stage(source) != stage}
        rows = {"rows_in": sum(tables[name]["rows"] for name in read if name in tables)}
        stages[stage] = {"tables": len(made), **rows, "rows_out": sum(tables[name]["rows"] for name in made)}
    return stages


def _stage(table: str) -> str:
    return table.partition(".")[0]


def _hashes_of_files(folder: Path) -> dict[str, str]:
    kept = [path for path in sorted(folder.rglob("*")) if path.suffix in _KEPT and PARTIAL not in path.name]
    return {
        path.relative_to(folder).as_posix(): file_hash(path)
        for path in kept
        if ARCHIVE not in path.relative_to(folder).parts and path.name != RECEIPT_FILE
    }


def _archive(path: Path, content: bytes) -> None:
    """Keep a receipt that is about to be replaced by another, with its signature."""
    if not path.exists() or path.read_bytes() == content:
        return
    stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = path.parent / ARCHIVE / f"receipt-{stamp}.json"
    write_whole(kept, path.read_bytes())
    signature = path.with_name(SIGNATURE_FILE)
    if signature.exists():
        write_whole(kept.with_suffix(".sig"), signature.read_bytes())


def _sign(content: bytes) -> str | None:
    """The signature of a receipt's bytes by the site's Ed25519 key (RFC 8032), if one is set."""
    named = os.environ.get(SIGNING_KEY)
    if not named:
        return None
    return base64.b64encode(private_key(Path(named)).sign(content)).decode()


def private_key(path: Path) -> "Ed25519PrivateKey":
    """The site's signing key.

    Raises:
        ReleaseError: the file is missing or holds no unencrypted Ed25519 key in PEM form.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseError(
            f"{SIGNING_KEY} names no Ed25519 key in PEM form; make one with: openssl genpkey -algorithm ed25519"
        )
    return key
