"""`settings.toml` of a home: the inbox, the time zone of schedules, where reports are delivered, and the mail server.

Everything has a default, so that an empty home works. The password of the mail server stands in the environment, never
in a file. Choices of the study belong in the protocol, not here.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.releases.errors import ReleaseError
from pipelines.releases.home import Home, write_whole

Address = Annotated[str, Field(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$", max_length=254)]

EXAMPLE = """\
# Settings of this home. Every line is optional; remove the leading # to use one. `lss ui` reads them when it starts.

# timezone = "Europe/Berlin"        # in which the schedules' hours are meant; UTC by default

# [inbox]
# folder = "/srv/lss/inbox"         # where releases are dropped; inbox/ in this home by default
# protocol = "/srv/lss/protocol.toml"  # the protocol that they are run with; the bundled one by default
# look_every_s = 30                 # a folder is taken when it is complete and has stayed as it is between two looks

# [delivery]
# folder = "/srv/lss/reports"       # where reports are delivered; delivered/ in this home by default

# [mail]
# host = "mail.example.org"
# port = 587
# security = "starttls"             # or "tls", or "none" (a relay on this machine)
# certificates = "/etc/ssl/own.pem" # certificates to trust, where the system's are not the right ones
# user = "lss"                      # the password stands in the environment variable LSS_MAIL_PASSWORD
# sender = "lss@example.org"
# committee = ["quality@example.org"]   # receive the reports
# stewards = ["steward@example.org"]    # receive notices of failures, which hold no data
# sites = { S01 = ["quality@s01.example.org"] }  # receive the report of their own site, named by its pseudonym
"""


class SettingsError(ReleaseError):
    """The settings cannot be used; the message names the key and how to mend it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Inbox(_Part):
    """Where releases are dropped, and the protocol that they are run with (empty: the bundled one)."""

    folder: str = ""
    protocol: str = ""
    look_every_s: int = Field(default=30, ge=1, le=3600)


class Delivery(_Part):
    """Where reports are delivered as files, and how long a delivery that failed waits before it is tried again."""

    folder: str = ""
    retry_after_s: int = Field(default=60, ge=0, le=3600)


class Mail(_Part):
    """The mail server and who receives what."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    certificates: str = ""
    user: str = ""
    password_variable: str = "LSS_MAIL_PASSWORD"
    timeout_s: int = Field(default=30, ge=1, le=600)
    sender: Address
    committee: tuple[Address, ...] = ()
    stewards: tuple[Address, ...] = ()
    sites: dict[str, tuple[Address, ...]] = {}

    @model_validator(mode="after")
    def _keeps_the_password_safe(self) -> Self:
        if self.user and self.security == "none":
            raise ValueError('a password must not travel in the clear; set security to "starttls" or "tls"')
        return self

    @property
    def password(self) -> str:
        """The password of the server.

        Raises:
            SettingsError: a user is named, and the variable is empty.
        """
        password = os.environ.get(self.password_variable, "")
        if self.user and not password:
            raise SettingsError(f"the mail server wants a password; set the variable {self.password_variable}")
        return password


class Settings(_Part):
    """All settings of a home."""

    timezone: str = "UTC"
    inbox: Inbox = Inbox()
    delivery: Delivery = Delivery()
    mail: Mail | None = None

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("is no time zone; name one as in Europe/Berlin")
        return name

    def inbox_folder(self, home: Home) -> Path:
        """The folder that is watched for releases."""
        return _place(home, self.inbox.folder, "inbox")

    def delivery_folder(self, home: Home) -> Path:
        """The folder that reports are delivered to."""
        return _place(home, self.delivery.folder, "delivered")


def load_settings(home: Home) -> Settings:
    """The settings of a home; the defaults where it has no file.

    Raises:
        SettingsError: the file cannot be read or a key does not fit.
    """
    path = home.settings_file
    if not path.exists():
        return Settings()
    try:
        return Settings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise SettingsError(f"{path} cannot be read as TOML; correct it or move it away") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {_sentence(error)}") from None


def prepare(home: Home) -> Settings:
    """The settings, with the folders they name made and an example file written where there is none.

    Raises:
        SettingsError: as `load_settings`, or a folder cannot be made.
    """
    settings = load_settings(home)
    for folder in (settings.inbox_folder(home), settings.delivery_folder(home)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"the folder {folder} cannot be made ({error.strerror}); name another") from None
    if not home.settings_file.exists():
        write_whole(home.settings_file, EXAMPLE.encode())
    return settings


def _place(home: Home, named: str, default: str) -> Path:
    return home.path / Path(named).expanduser() if named else home.path / default


def _sentence(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    key = ".".join(str(step) for step in problem["loc"])
    said = {"missing": "is missing; add it", "extra_forbidden": "is not known; remove it"}.get(problem["type"])
    said = said or str(problem["msg"]).removeprefix("Value error, ")
    return f"the key {key}: {said[:1].lower()}{said[1:]}"
