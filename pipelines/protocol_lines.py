"""Where a setting stands in a protocol file: the line of a key such as `instruments.nrs_leg.thresholds.mcid`.

TOML readers give no line numbers, so the file's text is walked: tables and arrays of tables by their headers, their
members by `name`, those written in one line also by `outcome`. Does not belong here: what a setting means
(`protocol_parts`, `protocol_rules`).
"""

import re
from dataclasses import dataclass, field

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<path>[\w.]+)\s*\]\]?\s*(#.*)?$")
_NAME = re.compile(r"^\s*name\s*=\s*[\"'](?P<name>[^\"']+)[\"']")
_INLINE = re.compile(r"\{[^{}]*\b(?:name|outcome)\s*=\s*[\"'](?P<name>[^\"']+)[\"']")
_KEY = re.compile(r"^\s*(?P<key>\w+)\s*=")


@dataclass
class _Walk:
    """The place that the lines read so far have led to: each table's path, and the names of its members."""

    path: tuple[str, ...] = ()
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    header_line: int = 0
    key: str = ""

    def full(self, path: tuple[str, ...]) -> str:
        """A path with the name of each member that it goes through: `instruments.nrs_leg.thresholds`."""
        parts: list[str] = []
        for depth, part in enumerate(path, 1):
            parts.append(part)
            if (name := self.names.get(path[:depth])) is not None:
                parts.append(name)
        return ".".join(parts)


def lines_of(text: str) -> dict[str, int]:
    """The line, from 1, of every table, member of an array of tables, and key of a protocol file's text.

    The first of several that are called the same counts.
    """
    found: dict[str, int] = {}
    walk = _Walk()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            walk.path, walk.header_line, walk.key = tuple(header["path"].split(".")), number, ""
            above = [walk.path[:depth] for depth in range(1, len(walk.path))]
            walk.names = {path: name for path, name in walk.names.items() if path in above}
            found.setdefault(walk.full(walk.path), number)
            continue
        if (name := _NAME.match(line)) and walk.path not in walk.names:
            walk.names[walk.path] = name["name"]
            found.setdefault(walk.full(walk.path), walk.header_line)
        if key := _KEY.match(line):
            walk.key = key["key"]
            found.setdefault(".".join(part for part in (walk.full(walk.path), walk.key) if part), number)
        for inline in _INLINE.finditer(line):
            found.setdefault(".".join((walk.full(walk.path), walk.key, inline["name"])), number)
    return found
