"""The register: which releases this home knows, where their files are, and with which protocol each was run last.

One JSON file, replaced whole. What is in a release belongs in `ingest/`; what a run made of it, in `publish.py`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.releases.errors import NameTaken, ReleaseError
from pipelines.releases.home import Home, remove_partials_of, write_whole
from pipelines.releases.locks import hold


@dataclass(frozen=True)
class Release:
    """One registered release; `protocol_file` is empty for the bundled protocol."""

    name: str
    folder: str
    manifest_sha256: str
    protocol: str
    protocol_file: str = ""


class Register:
    """The releases of a home folder, in the order in which they were first registered."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def releases(self) -> dict[str, Release]:
        """All releases by name.

        Raises:
            ReleaseError: the register's file is damaged.
        """
        path = self.home.register_file
        if not path.exists():
            return {}
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["releases"]
            return {entry["name"]: Release(**entry) for entry in entries}
        except (OSError, ValueError, KeyError, TypeError):
            raise ReleaseError(
                f"the register {path} cannot be read; move it away and run the releases again, nothing else is lost"
            ) from None

    def find(self, name: str) -> Release:
        """The release of that name.

        Raises:
            ReleaseError: the home does not know it.
        """
        known = self.releases()
        if name not in known:
            some = f"it knows {', '.join(sorted(known))}" if known else "it knows none yet"
            raise ReleaseError(f"this home has no release of that name ({some}); bring it in with: lss run RELEASE_DIR")
        return known[name]

    def add(self, release: Release) -> None:
        """Register a release, or its folder and protocol anew.

        Raises:
            NameTaken: the name stands for other content; a release never changes under its name.
        """
        with hold(self.home.lock_file("register")):
            remove_partials_of(self.home.register_file)
            known = self.releases()
            refuse_other_content(known, release.name, release.manifest_sha256)
            if known.get(release.name) == release:
                return
            known[release.name] = release
            self._write(known)

    def forget(self, name: str) -> None:
        """Free the name of a release that was refused and never published, so that a mended one may carry it."""
        with hold(self.home.lock_file("register")):
            known = self.releases()
            if known.pop(name, None):
                self._write(known)

    def _write(self, known: dict[str, Release]) -> None:
        content = {"releases": [asdict(entry) for entry in known.values()]}
        write_whole(self.home.register_file, json.dumps(content, indent=2, ensure_ascii=False).encode())


def refuse_other_content(known: dict[str, Release], name: str, manifest_sha256: str) -> None:
    """Raise NameTaken when the name is registered with another manifest."""
    if name in known and known[name].manifest_sha256 != manifest_sha256:
        raise NameTaken(
            f"a release named {name} with other content is registered here; "
            f"give the new extract another name in its manifest, or use another home folder"
        )


def registered(name: str, folder: Path, manifest_sha256: str, protocol: str, protocol_file: Path | None) -> Release:
    """An entry for the register, with absolute paths."""
    return Release(
        name=name,
        folder=str(folder.absolute()),
        manifest_sha256=manifest_sha256,
        protocol=protocol,
        protocol_file=str(protocol_file.absolute()) if protocol_file else "",
    )
