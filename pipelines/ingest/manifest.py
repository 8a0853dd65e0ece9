"""`manifest.toml`: what a release says about itself, and the bytes of its files checked against it.

What stands in the tables is read in `readers.py`; nothing here looks at rows.
"""

import hashlib
import re
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from pipelines.ingest.contract import TABLE_NAMES
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.scanners import identifier_in_name, kind_of_identifier

MANIFEST = "manifest.toml"
_TRUTH = "truth.json"
_MAXIMUM_MANIFEST_BYTES = 1_000_000
_DEEPEST_KEY = 20  # points in one key; the reader of TOML takes minutes over a key of a hundred thousand
_TOML_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Mode = Literal["safe_harbor", "limited_data_set", "expert_determination", "synthetic"]


Format = Literal["native", "redcap", "omop"]


class Part(BaseModel):
    """A part of a manifest: no unknown keys, no conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Settings = TypeVar("Settings", bound=Part)


def _plain_name(file: str) -> str:
    if not PLAIN_NAME.fullmatch(file) or ".." in file:
        raise ValueError(
            "must hold plain file names inside the release folder (letters, digits, point, underscore, hyphen)"
        )
    if kind := identifier_in_name(file):
        raise ValueError(f"must not hold {kind}: file names are shown in reports; rename the file")
    return file


class TableFiles(Part):
    """The files of one table, their rows together, and the SHA-256 of each."""

    files: Annotated[list[str], Field(min_length=1, max_length=1000)]
    rows: int = Field(ge=0)
    sha256: list[str]

    @field_validator("files")
    @classmethod
    def _are_plain_names(cls, files: list[str]) -> list[str]:
        return [_plain_name(file) for file in files]

    @field_validator("sha256")
    @classmethod
    def _are_hashes(cls, hashes: list[str]) -> list[str]:
        if not all(re.fullmatch(r"[0-9a-fA-F]{64}", text) for text in hashes):
            raise ValueError("must hold SHA-256 sums of 64 hexadecimal digits")
        return hashes

    @model_validator(mode="after")
    def _has_a_hash_per_file(self) -> Self:
        if len(self.files) != len(self.sha256):
            raise ValueError("needs one sha256 for each of its files")
        return self


class CodeListFile(Part):
    """A code list that the release brings, and its SHA-256."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")

    @field_validator("file")
    @classmethod
    def _is_plain_name(cls, file: str) -> str:
        return _plain_name(file)


class Manifest(Part):
    """What a release says about itself.

    `format` says how its files are to be read. A `native` release has the contract's four tables; another format has
    tables of its own names, and a section of its own (`[redcap]`) that its reader looks into with `settings`.
    `pseudonyms` says that they were made at random, where they could be taken for pieces of hashes.
    `code_lists` extend or override the lists that travel with the pipeline (`codelists.py`).
    """

    release: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
    source: str = Field(min_length=1, max_length=200)
    deidentification: Mode
    linkage: str = Field(min_length=1, max_length=200)
    data_use_agreement: str = Field(default="", max_length=200)
    pseudonyms: Literal["", "random"] = ""
    format: Format = "native"
    tables: dict[str, TableFiles] = {}
    redcap: dict[str, Any] = {}
    omop: dict[str, Any] = {}
    code_lists: list[CodeListFile] = Field(default=[], max_length=20)
    _file_sha256: str = PrivateAttr(default="")

    @field_validator("release")
    @classmethod
    def _names_nobody(cls, release: str) -> str:
        if kind := identifier_in_name(release):
            raise ValueError(f"must not hold {kind}: it names folders and reports")
        return release

    @field_validator("source", "linkage", "data_use_agreement")
    @classmethod
    def _identifies_nobody(cls, text: str) -> str:
        kind = kind_of_identifier(text)
        if kind and kind not in ("a date", "a long number"):  # an agreement may carry a number or the day it was signed
            raise ValueError(f"must not hold {kind}")
        return text

    @model_validator(mode="after")
    def _agreement_stands(self) -> Self:
        if self.deidentification == "limited_data_set" and not self.data_use_agreement.strip():
            raise ValueError("a limited_data_set needs the number of its agreement in data_use_agreement")
        files = [file for table in self.tables.values() for file in table.files]
        files += [part.file for part in self.code_lists]
        if len(set(map(str.lower, files))) < len(files):
            raise ValueError("each file may stand once, in one table")
        return self

    @model_validator(mode="after")
    def _format_fits(self) -> Self:
        if self.format == "native":
            missing = [name for name in TABLE_NAMES if name not in self.tables]
            if missing:
                raise ValueError(f"the key tables.{missing[0]} is missing; add it")
            self.hold_tables(TABLE_NAMES)
        strange = next((name for name in get_args(Format) if name != self.format and getattr(self, name, None)), None)
        if strange:
            raise ValueError(f'the section {strange} belongs to format = "{strange}"; remove it or name that format')
        return self

    def hold_tables(self, known: Iterable[str]) -> None:
        """Hold the names of the tables against those that a format has.

        Raises:
            ValueError: there is another one.
        """
        unknown = next((name for name in self.tables if name not in set(known)), None)
        if unknown is not None:
            raise ValueError(f"the key tables.{_shown(unknown)} is not known; remove it")

    @property
    def manifest_sha256(self) -> str:
        """The hash of the manifest file, and so of everything that it names."""
        return self._file_sha256

    @property
    def is_hashed_whole(self) -> bool:
        """Whether its hashes cover everything that is read; what stands in a database server they cannot."""
        return not self.omop.get("connection_env")

    def table(self, name: str) -> TableFiles:
        """The files of one table."""
        return self.tables[name]

    def settings(self, model: type[Settings]) -> Settings:
        """The format's own section, validated.

        Raises:
            ReleaseRefused: a key of the section is missing, unknown or does not fit.
        """
        try:
            return model.model_validate(getattr(self, self.format))
        except ValidationError as error:
            raise ReleaseRefused(_sentence(error, self.format)) from None

    @property
    def input_files(self) -> list[tuple[str, str, str]]:
        """Table, file and SHA-256 of everything that the release is read from."""
        ours = [name for name in TABLE_NAMES if name in self.tables]
        parts = [(name, self.table(name)) for name in (*ours, *(name for name in self.tables if name not in ours))]
        listed = [(name, *pair) for name, part in parts for pair in zip(part.files, part.sha256, strict=True)]
        mapping = (
            [("mapping", str(self.redcap["mapping"]), str(self.redcap.get("sha256")))]
            if "mapping" in self.redcap
            else []
        )
        database = (
            [("database", str(self.omop["database"]), str(self.omop.get("sha256")))] if "database" in self.omop else []
        )
        codes = [("codes", part.file, part.sha256) for part in self.code_lists]
        return listed + mapping + database + codes


def load_manifest(folder: Path) -> Manifest:
    """Read and validate a release's manifest.

    Raises:
        ReleaseRefused: the folder or its manifest is missing, or the manifest does not fit.
    """
    if not folder.is_dir():
        raise ReleaseRefused(f"there is no release folder at {folder}; name a folder that holds {MANIFEST}")
    path = folder / MANIFEST
    if not path.is_file():
        raise ReleaseRefused(
            f"{folder.name} holds no {MANIFEST}; a release names its files, row counts and hashes there"
        )
    try:
        if path.stat().st_size > _MAXIMUM_MANIFEST_BYTES:
            raise ReleaseRefused(f"{MANIFEST} is larger than a megabyte; a manifest only names files")
        data = path.read_bytes()
        content = _parsed(data.decode("utf-8-sig"))
    except ReleaseRefused:
        raise
    except OSError:
        raise ReleaseRefused(f"{MANIFEST} cannot be read; check who may read it") from None
    except UnicodeDecodeError:
        raise ReleaseRefused(f"{MANIFEST} is not UTF-8 text; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        line = re.search(r"\(at (line \d+)", str(error))
        place = f" ({line[1]})" if line else ""
        raise ReleaseRefused(f"{MANIFEST} is not valid TOML{place}; correct it and hand it over again") from None
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise ReleaseRefused(_sentence(error)) from None
    manifest._file_sha256 = hashlib.sha256(data).hexdigest()
    return manifest


def stray_files(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Names of what lies in a release's folder beside the files that its manifest names, in order.

    The truth of a simulated release is no stray file.
    """
    named = {MANIFEST, _TRUTH, *(file for _, file, _ in manifest.input_files)}
    try:
        return tuple(sorted(entry.name for entry in folder.iterdir() if entry.name not in named))
    except OSError:
        return ()


def _parsed(text: str) -> dict[str, Any]:
    bare = _TOML_STRING.sub("", text)
    if any(line.partition("#")[0].count(".") > _DEEPEST_KEY for line in bare.splitlines()):
        raise ReleaseRefused(f"{MANIFEST} has a key of too many parts; a manifest only names files")
    return tomllib.loads(text)


def read_file(folder: Path, file: str, sha256: str) -> bytes:
    """The bytes of one release file, once they match the manifest's hash: what was checked is what is read.

    Raises:
        ReleaseRefused: the file is missing, is a link or no plain file, cannot be read, or has another hash.
    """
    path = folder / file
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ReleaseRefused(f"{file} is a link or not a plain file; put the file itself into the release folder")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ReleaseRefused(f"{file} is named in {MANIFEST} but is not in the release folder; add it") from None
    except OSError:
        raise ReleaseRefused(f"{file} cannot be read; check who may read it") from None
    if hashlib.sha256(data).hexdigest() != sha256.lower():
        raise ReleaseRefused(
            f"{file} is not the file that {MANIFEST} describes: its SHA-256 differs; "
            f"copy the file again, or write a new manifest if it was changed on purpose"
        )
    return data


def _sentence(error: ValidationError, section: str = "") -> str:
    """The first problem as one sentence that names the key and shows no value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    steps = [_shown(str(step)) for step in problem["loc"] if not isinstance(step, int)]
    key = ".".join([section, *steps] if section else steps)
    wording = {
        "missing": "is missing; add it",
        "extra_forbidden": "is not known; remove it",
        "greater_than_equal": "must not be negative",
        "string_too_short": "must not be empty",
        "string_pattern_mismatch": "must be a short name of letters, digits, point, underscore and hyphen",
    }
    said = wording.get(problem["type"]) or str(problem["msg"]).removeprefix("Value error, ")
    said = said.replace("Input should be", "must be")
    return f"{MANIFEST}: {f'the key {key} ' if key else ''}{said[:1].lower()}{said[1:]}"


def _shown(key: str) -> str:
    return key if re.fullmatch(r"(?!.*\d{4})[A-Za-z_][A-Za-z0-9_]{0,39}", key) else "(unreadable)"
