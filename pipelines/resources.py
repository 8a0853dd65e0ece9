"""Where the files that travel with the package are (SQL, protocol, code lists, the sample release, R's numbers), and
what identifies the code that runs.

In a checkout they stand beside `pipelines/`; in an installed wheel they stand in `pipelines/bundled/`. Nothing else
belongs here.
"""

import hashlib
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    bundled = _PACKAGE / "bundled" / name
    return bundled if bundled.is_dir() else _PACKAGE.parent / name


def sql_folder() -> Path:
    """The folder of the SQL files, one subfolder a stage."""
    return _folder("sql")


def data_folder() -> Path:
    """The folder that holds `protocol.toml`, `codelists/`, `literature.csv` and `sample/`."""
    return _folder("data")


def reference_folder() -> Path:
    """Tables with what R printed for them, and the scripts that made R print it."""
    bundled = _PACKAGE / "bundled" / "reference"
    return bundled if bundled.is_dir() else _PACKAGE.parent / "tests" / "reference"


def default_protocol_file() -> Path:
    """The protocol that a run uses when none is named."""
    return data_folder() / "protocol.toml"


def sample_release() -> Path:
    """The bundled synthetic release that `lss demo` runs on."""
    return data_folder() / "sample"


def code_version() -> dict[str, Any]:
    """Version of the package, SHA-256 of its code and of its lock, and the versions of the libraries it names."""
    bundled = _PACKAGE / "bundled"
    code = [path for path in _PACKAGE.rglob("*.py") if bundled not in path.parents]
    lock = bundled / "requirements.lock"
    lock = lock if lock.exists() else _PACKAGE.parent / "requirements.lock"
    return {
        "version": metadata.version("lss-outcomes"),
        "code_sha256": _hash_of([*code, *sql_folder().rglob("*.sql")]),
        "lock_sha256": _hash_of([lock]) if lock.exists() else "",
        "python": ".".join(map(str, sys.version_info[:3])),
        "libraries": {name: metadata.version(name) for name in _libraries()},
    }


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda file: (file.parent.name, file.name, str(file))):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _libraries() -> list[str]:
    """The libraries that the package itself requires, without extras."""
    required = metadata.requires("lss-outcomes") or []
    return sorted({re.split(r"[\s\[<>=!~;]", line)[0] for line in required if "extra ==" not in line})
