"""Whether a folder that is being copied here has arrived: its manifest reads, and every file it names is whole.

Hashes say so, and they say it of size and rows too. Whether the release may be taken in is decided in `release.py`.
"""

import hashlib
import os
from pathlib import Path

from pipelines.ingest.manifest import MANIFEST, Manifest, load_manifest

_MAXIMUM_FILES = 10_000


class StillArriving(Exception):
    """The folder is not whole yet; the message is one sentence that says what is missing."""


def fingerprint(folder: Path) -> str:
    """Changes when a file of the folder comes, goes, grows or is written: names, sizes and times, no contents.

    Raises:
        OSError: the folder cannot be listed.
    """
    listed = []
    with os.scandir(folder) as entries:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            listed.append((entry.name, about.st_size, about.st_mtime_ns))
            if len(listed) >= _MAXIMUM_FILES:
                break
    return hashlib.sha256(repr(sorted(listed)).encode()).hexdigest()


def arrived(folder: Path) -> Manifest:
    """The manifest of a folder in which every file that it names stands with its hash.

    Raises:
        StillArriving: a file is missing or not as the manifest describes it.
        ReleaseRefused: there is a manifest and it cannot be used.
    """
    if not (folder / MANIFEST).is_file():
        raise StillArriving(f"it holds no {MANIFEST} yet")
    manifest = load_manifest(folder)
    for _, file, sha256 in manifest.input_files:
        if not (folder / file).is_file():
            raise StillArriving(f"{file} is named in {MANIFEST} and is not there yet")
        if _sha256(folder / file) != sha256.lower():
            raise StillArriving(f"{file} is not whole yet, or is not the file that {MANIFEST} describes")
    return manifest


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
