"""Delivery: a report into the delivery folder and to the committee by mail, each content once; and notices of failure.

What was delivered stands in `deliveries.json`, replaced whole. A report is the same content when release, manifest,
effective protocol and version of the software are the same. Rendering a report belongs in `reports/`.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import Home, write_whole
from pipelines.releases.locks import hold
from pipelines.releases.mail import Message, send
from pipelines.releases.settings import Mail, Settings


@dataclass(frozen=True)
class Report:
    """A report that is on disk, and what it was made from.

    Attributes:
        kind: what it is, in words: `committee report`.
        release: the release's name.
        protocol: the protocol's name.
        made_from: whatever makes other content when it is other: hashes of manifest and protocol, the version.
        files: the files by kind (`html`, `pdf`), all of them past the disclosure gate.
        beside: files that go with it into the folder only, by their place in it (`sites/S01.pdf`).
    """

    kind: str
    release: str
    protocol: str
    made_from: tuple[str, ...]
    files: Mapping[str, Path]
    beside: Mapping[str, Path] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Tells this content from every other."""
        parts = (self.kind, self.release, self.protocol, *self.made_from)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40]


@dataclass(frozen=True)
class Notice:
    """A failure, said without any data: which release, at which stage, what to do. `key` tells it from others."""

    key: str
    release: str
    stage: str
    advice: str

    @property
    def text(self) -> str:
        """The notice as it is written and mailed."""
        return (
            f"Release: {self.release}\nStage: {self.stage}\nWhat to do: {self.advice}\n\n"
            "What was published before is untouched. This notice holds no data of patients.\n"
        )


def deliver_report(home: Home, settings: Settings, report: Report, is_again: bool = False) -> list[str]:
    """Put a report into the delivery folder and mail its PDF to the committee, unless this content already was.

    Args:
        home: the home folder.
        settings: where to deliver.
        report: what to deliver.
        is_again: deliver also what was delivered before.

    Returns:
        One sentence for each way of delivery.

    Raises:
        MailError: the server did not take the message; the files are delivered, and a repeat sends the mail only.
        ReleaseError: the folder cannot be written.
    """
    with hold(home.lock_file("deliveries")):
        ledger = _Ledger(home)
        folder = settings.delivery_folder(home) / report.release / report.protocol
        said = [ledger.once(f"{report.key} folder {folder}", is_again, "the folder", lambda: _copy(report, folder))]
        mail = settings.mail
        if mail is None or not (mail.committee or mail.sites):
            return [*said, "not mailed: settings.toml names no committee under [mail]"]
        for whom, message in _messages(report, mail):
            to = hashlib.sha256("\n".join(sorted(message.recipients)).encode()).hexdigest()[:12]
            said.append(ledger.once(f"{message.key} mail {to}", is_again, whom, partial(send, mail, message)))
        return said


def _messages(report: Report, mail: Mail) -> Iterator[tuple[str, Message]]:
    """The report to the committee, and to each site that the settings name its own."""
    if mail.committee:
        attached = {_name(report): report.files["pdf"]}
        yield "the committee", Message(report.key, _subject(report), _words(report), mail.committee, attached)
    for site, addresses in mail.sites.items():
        path = report.beside.get(f"sites/{site}.pdf")
        if path is not None and addresses:
            subject = f"Report to site {site}, release {report.release}"
            key = hashlib.sha256(f"{report.key} {site}".encode()).hexdigest()[:40]
            attached = {f"site-{site}-{report.release}.pdf": path}
            yield f"site {site}", Message(key, subject, _words(report, f"report to site {site}"), addresses, attached)


def send_notice(home: Home, settings: Settings, notice: Notice) -> None:
    """Write a notice into the delivery folder and mail it to the stewards, each notice once.

    Raises:
        MailError: the server did not take the message.
        ReleaseError: the folder cannot be written.
    """
    with hold(home.lock_file("deliveries")):
        ledger = _Ledger(home)
        key = hashlib.sha256(notice.key.encode()).hexdigest()[:40]
        path = settings.delivery_folder(home) / "notices" / f"{notice.release}-{key[:8]}.txt"
        ledger.once(f"{key} folder {path}", False, "the folder", lambda: _write(path, notice.text.encode()))
        mail = settings.mail
        if mail is not None and mail.stewards:
            subject = f"Release {notice.release} needs attention: {notice.stage}"
            message = Message(key, subject, notice.text, mail.stewards)
            ledger.once(f"{key} mail", False, "the stewards", lambda: send(mail, message))


class _Ledger:
    """What was delivered, with the day and hour; call it with the lock held."""

    def __init__(self, home: Home) -> None:
        self.path = home.deliveries_file
        try:
            self.entries: dict[str, str] = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.entries = {}
        except (OSError, ValueError):
            raise ReleaseError(
                f"{self.path} cannot be read; move it away, then reports may be sent once more"
            ) from None

    def once(self, key: str, is_again: bool, whom: str, deliver: Callable[[], None]) -> str:
        """Deliver, unless it was done before; note it as done right after."""
        before = self.entries.get(key)
        if before and not is_again:
            return f"{whom} had this content before, on {before[:10]}"
        deliver()
        self.entries[key] = datetime.now(UTC).isoformat(timespec="seconds")
        write_whole(self.path, json.dumps(self.entries, indent=2).encode())
        return f"delivered to {whom}"


def _copy(report: Report, folder: Path) -> None:
    for path in report.files.values():
        _write(folder / path.name, path.read_bytes())
    for place, path in report.beside.items():
        _write(folder / place, path.read_bytes())


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise ReleaseError(f"{path.parent} cannot be written ({error.strerror}); see [delivery]") from None


def _subject(report: Report) -> str:
    return f"{report.kind.capitalize()}, release {report.release}"


def _name(report: Report) -> str:
    return f"{report.kind.replace(' ', '-')}-{report.release}.pdf"


def _words(report: Report, kind: str = "") -> str:
    return (
        f"Attached: the {kind or report.kind} of release {report.release}, protocol {report.protocol}.\n\n"
        "Figures describe patients in routine care: association, not causation. Small counts are withheld.\n"
        "The same report as a web page stands in the delivery folder.\n"
    )
