"""Where releases are registered, locked, published, verified, compared and read again.

Only `diff.py` knows what is in a table.
"""

from pipelines.releases.errors import NameTaken, ReleaseError
from pipelines.releases.home import Home, find_home
from pipelines.releases.register import Register, Release
from pipelines.releases.snapshot import open_snapshot

__all__ = ["Home", "NameTaken", "Register", "Release", "ReleaseError", "find_home", "open_snapshot"]
