"""Where the files that travel with the package are: SQL, protocol, code lists, the sample release, R's numbers.

In a checkout they stand beside `pipelines/`; in an installed wheel they stand in `pipelines/bundled/`. Nothing else
belongs here.
"""

from pathlib import Path

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
