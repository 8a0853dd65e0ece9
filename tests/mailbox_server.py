"""A real mail server on this machine that keeps what it receives."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Mailbox:
    """What a mail server received; the first `busy` messages are turned away for now."""

    port: int
    busy: int = 0
    messages: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the message."""
        if self.busy:
            self.busy -= 1
            return "451 busy, try again"
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 kept"

    @property
    def settings(self) -> str:
        """The section of `settings.toml` that reaches it."""
        return (
            f'[mail]\nhost = "127.0.0.1"\nport = {self.port}\nsecurity = "none"\nsender = "lss@example.org"\n'
            'committee = ["committee@example.org"]\nstewards = ["steward@example.org"]\n'
        )


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server for the block."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
