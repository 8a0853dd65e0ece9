"""Mail: one message, composed and handed to the server of the settings.

What a message says is said by its callers; nothing here reads a table.
"""

import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path

from pipelines.releases.errors import ReleaseError
from pipelines.releases.settings import Mail


class MailError(ReleaseError):
    """The mail server did not take a message; the sentence says what to look at."""


@dataclass(frozen=True)
class Message:
    """What is sent: `key` makes the message's identifier, so that a message sent twice is known as the same one.

    `attachments` are PDF files by the names they get."""

    key: str
    subject: str
    text: str
    recipients: Sequence[str]
    attachments: Mapping[str, Path] = field(default_factory=dict)


def compose(mail: Mail, message: Message) -> EmailMessage:
    """The message as it travels: plain text, with the files attached."""
    made = EmailMessage()
    made["From"] = mail.sender
    made["To"] = ", ".join(message.recipients)
    made["Subject"] = message.subject
    made["Date"] = format_datetime(localtime())
    made["Message-ID"] = f"<{message.key}@{mail.sender.split('@')[1]}>"
    made["Auto-Submitted"] = "auto-generated"  # so that nobody's absence notice answers (RFC 3834)
    made.set_content(message.text)
    for name, path in message.attachments.items():
        made.add_attachment(path.read_bytes(), maintype="application", subtype="pdf", filename=name)
    return made


def send(mail: Mail, message: Message) -> None:
    """Hand a message to the server; all recipients or none.

    Raises:
        MailError: the server cannot be reached, is not the one its certificate names, or refuses.
        SettingsError: the password is not set.
    """
    composed = compose(mail, message)
    try:
        with _connection(mail) as server:
            if mail.user:
                server.login(mail.user, mail.password)
            refused = server.send_message(composed)
    except ssl.SSLError:
        raise MailError(f"{_named(mail)} did not prove who it is; see security and certificates in [mail]") from None
    except smtplib.SMTPAuthenticationError:
        raise MailError(f"{_named(mail)} refused user or password; see {mail.password_variable}") from None
    except smtplib.SMTPRecipientsRefused:
        raise MailError(f"{_named(mail)} refused the recipients; see [mail]") from None
    except smtplib.SMTPException as error:
        raise MailError(f"{_named(mail)} did not take the message ({type(error).__name__}); see [mail]") from None
    except (OSError, socket.gaierror):
        raise MailError(f"{_named(mail)} cannot be reached; see host and port in [mail]") from None
    if refused:
        raise MailError(f"{_named(mail)} refused {len(refused)} of {len(message.recipients)} recipients; see [mail]")


def _connection(mail: Mail) -> smtplib.SMTP:
    if mail.security == "none":
        return smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)
    context = ssl.create_default_context(cafile=mail.certificates or None)
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout_s, context=context)
    server = smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout_s)
    try:
        server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _named(mail: Mail) -> str:
    return f"the mail server {mail.host}, port {mail.port},"
