"""Delivery: files and a mail for each content once, through a real mail server on this machine, also with TLS."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mailbox_server import free_port

from pipelines.releases import Home
from pipelines.releases.delivery import Notice, Report, deliver_report, send_notice
from pipelines.releases.mail import MailError
from pipelines.releases.settings import EXAMPLE, Mail, Settings, SettingsError, load_settings, prepare


class Mailbox:
    """What a server received; `refuses` makes it turn every recipient away."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuses = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take the recipient or turn it away."""
        if self.refuses:
            return "550 unknown here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the message."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients.append(envelope.rcpt_tos)
        return "250 kept"


def _is_right(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
    return AuthResult(success=isinstance(login, LoginPassword) and login.password == b"open sesame", handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


class Server:
    """A mail server in a thread, with the settings that reach it."""

    def __init__(self, security: str, certificate: tuple[Path, Path]) -> None:
        self.box = Mailbox()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        secured: dict[str, Any] = {
            "none": {},
            "tls": {"ssl_context": context, "authenticator": _is_right, "auth_require_tls": False},
            "starttls": {"tls_context": context, "require_starttls": True, "authenticator": _is_right},
        }[security]
        self.controller = Controller(self.box, hostname="127.0.0.1", port=free_port(), **secured)
        self.controller.start()
        self.mail = Mail(
            host="127.0.0.1",
            port=self.controller.port,
            security=security,  # type: ignore[arg-type]
            certificates=str(certificate[0]),
            user="" if security == "none" else "lss",
            sender="lss@example.org",
            committee=("a@example.org", "b@example.org"),
            stewards=("steward@example.org",),
        )


@pytest.fixture
def server(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> Iterator[Server]:
    made = Server(getattr(request, "param", "none"), certificate)
    yield made
    made.controller.stop()


@pytest.fixture
def report(tmp_path: Path) -> Report:
    files = {"html": tmp_path / "made" / "report.html", "pdf": tmp_path / "made" / "report.pdf"}
    files["html"].parent.mkdir()
    files["html"].write_text("<p>report</p>")
    files["pdf"].write_bytes(b"%PDF-1.7 report")
    return Report("committee report", "autumn", "lss-ladder", ("m" * 64, "p" * 64, "c" * 64), files)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("server", ["none", "starttls", "tls"], indirect=True)
def test_a_report_arrives_in_the_folder_and_in_the_mailbox(
    server: Server, report: Report, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSS_MAIL_PASSWORD", "open sesame")
    said = deliver_report(home, Settings(mail=server.mail), report)
    assert said == ["delivered to the folder", "delivered to the committee"]
    folder = home.path / "delivered" / "autumn" / "lss-ladder"
    assert (folder / "report.html").read_text() == "<p>report</p>"
    [message] = server.box.messages
    assert server.box.recipients == [["a@example.org", "b@example.org"]]
    assert message["Subject"] == "Committee report, release autumn"
    assert message["Auto-Submitted"] == "auto-generated"
    [attached] = list(message.iter_attachments())
    assert (attached.get_filename(), attached.get_content()) == (
        "committee-report-autumn.pdf",
        (folder / "report.pdf").read_bytes(),
    )


def test_each_site_gets_its_own_report_and_no_other(server: Server, report: Report, home: Home, tmp_path: Path) -> None:
    beside = {
        f"sites/{site}.{kind}": tmp_path / f"{site}.{kind}" for site in ("S01", "S02") for kind in ("html", "pdf")
    }
    for place, path in beside.items():
        path.write_text(f"made for {place}")
    settings = Settings(mail=server.mail.model_copy(update={"sites": {"S02": ("q@s02.example.org",)}}))
    said = deliver_report(home, settings, replace(report, beside=beside))
    assert said == ["delivered to the folder", "delivered to the committee", "delivered to site S02"]
    folder = home.path / "delivered" / "autumn" / "lss-ladder"
    assert {path.relative_to(folder).as_posix() for path in folder.glob("sites/*")} == set(beside)
    assert server.box.recipients == [["a@example.org", "b@example.org"], ["q@s02.example.org"]]
    [attached] = list(server.box.messages[1].iter_attachments())
    assert (attached.get_filename(), attached.get_content()) == ("site-S02-autumn.pdf", b"made for sites/S02.pdf")
    assert "S01" not in str(server.box.messages[1])


def test_the_same_content_is_delivered_once_unless_asked_for_again(server: Server, report: Report, home: Home) -> None:
    settings = Settings(mail=server.mail)
    deliver_report(home, settings, report)
    said = deliver_report(home, settings, report)
    today = datetime.now(UTC).date().isoformat()
    assert said == [f"{whom} had this content before, on {today}" for whom in ("the folder", "the committee")]
    assert len(server.box.messages) == 1
    deliver_report(home, settings, report, is_again=True)
    first, second = server.box.messages
    assert first["Message-ID"] == second["Message-ID"]  # a mail system knows it as the same


@pytest.mark.parametrize("place", [0, 1, 2], ids=["manifest", "protocol", "code"])
def test_other_content_under_the_same_name_is_delivered(server: Server, report: Report, home: Home, place: int) -> None:
    deliver_report(home, Settings(mail=server.mail), report)
    made_from = [*report.made_from[:place], "other", *report.made_from[place + 1 :]]
    other = Report(report.kind, report.release, report.protocol, tuple(made_from), report.files)
    deliver_report(home, Settings(mail=server.mail), other)
    assert len(server.box.messages) == 2


def test_a_mail_that_failed_is_sent_by_the_next_try_and_the_files_stay(
    server: Server, report: Report, home: Home
) -> None:
    settings = Settings(mail=server.mail)
    server.box.refuses = True
    with pytest.raises(MailError, match=r"refused the recipients; see \[mail\]"):
        deliver_report(home, settings, report)
    assert (home.path / "delivered" / "autumn" / "lss-ladder" / "report.pdf").exists()
    server.box.refuses = False
    said = deliver_report(home, settings, report)
    assert said[0].startswith("the folder had this content before")
    assert said[1] == "delivered to the committee"
    assert len(server.box.messages) == 1


@pytest.mark.parametrize("server", ["starttls", "tls"], indirect=True)
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    server: Server, report: Report, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSS_MAIL_PASSWORD", "open sesame")
    unknown = server.mail.model_copy(update={"certificates": ""})
    with pytest.raises(MailError, match="did not prove who it is"):
        deliver_report(home, Settings(mail=unknown), report)
    assert server.box.messages == []


@pytest.mark.parametrize("server", ["starttls"], indirect=True)
@pytest.mark.parametrize(
    ("password", "sentence"),
    [("wrong", "refused user or password; see LSS_MAIL_PASSWORD"), ("", "set the variable LSS_MAIL_PASSWORD")],
)
def test_a_wrong_or_missing_password_is_said_and_not_shown(
    server: Server, report: Report, home: Home, monkeypatch: pytest.MonkeyPatch, password: str, sentence: str
) -> None:
    monkeypatch.setenv("LSS_MAIL_PASSWORD", password)
    with pytest.raises((MailError, SettingsError), match=sentence):
        deliver_report(home, Settings(mail=server.mail), report)


def test_a_server_that_is_not_there_is_one_sentence(server: Server, report: Report, home: Home) -> None:
    nobody = server.mail.model_copy(update={"port": free_port()})
    with pytest.raises(MailError, match=r"^the mail server 127.0.0.1, port \d+, cannot be reached; see host"):
        deliver_report(home, Settings(mail=nobody), report)


def test_without_mail_the_folder_alone_gets_the_report(report: Report, home: Home) -> None:
    said = deliver_report(home, Settings(), report)
    assert said == ["delivered to the folder", "not mailed: settings.toml names no committee under [mail]"]


def test_a_notice_is_written_and_mailed_once(server: Server, home: Home) -> None:
    notice = Notice("run 1", "autumn", "the models", "Look at the run's page.")
    for _ in range(2):
        send_notice(home, Settings(mail=server.mail), notice)
    [message] = server.box.messages
    assert server.box.recipients == [["steward@example.org"]]
    assert message["Subject"] == "Release autumn needs attention: the models"
    [written] = list((home.path / "delivered" / "notices").iterdir())
    assert written.read_text() == message.get_content().replace("\r\n", "\n") == notice.text
    assert notice.text.splitlines()[:3] == [
        "Release: autumn",
        "Stage: the models",
        "What to do: Look at the run's page.",
    ]


# ------------------------------------------------------------------------------------------------------------- settings


def test_an_empty_home_has_settings_and_gets_its_folders_and_an_example(home: Home) -> None:
    settings = prepare(home)
    assert (settings.timezone, settings.mail) == ("UTC", None)
    assert (home.path / "inbox").is_dir()
    assert (home.path / "delivered").is_dir()
    assert home.settings_file.read_text() == EXAMPLE
    assert load_settings(home) == Settings()


def test_every_line_of_the_example_can_be_used(home: Home) -> None:
    home.path.mkdir()
    lines = [line.removeprefix("# ") for line in EXAMPLE.splitlines()[1:]]
    home.settings_file.write_text("\n".join(lines))
    settings = load_settings(home)
    assert settings.timezone == "Europe/Berlin"
    assert str(settings.inbox_folder(home)) == "/srv/lss/inbox"
    assert settings.mail is not None
    assert settings.mail.committee == ("quality@example.org",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("timezone = 'Middle/Earth'", "the key timezone: is no time zone; name one as in Europe/Berlin"),
        ("[mail]\nhost = 'x'", "the key mail.sender: is missing; add it"),
        ("[mail]\nhost='x'\nsender='a@b'\npassword='p'", "the key mail.password: is not known; remove it"),
        ("[mail]\nhost='x'\nsender='a@b'\nuser='u'\nsecurity='none'", "a password must not travel in the clear"),
        ("[inbox]\nlook_every_s = 0", "the key inbox.look_every_s"),
        ("[mail", "cannot be read as TOML; correct it or move it away"),
    ],
)
def test_settings_that_do_not_fit_are_one_sentence(home: Home, text: str, sentence: str) -> None:
    home.path.mkdir()
    home.settings_file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(home)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
