"""What a manifest can claim: paths out of the folder, links, devices, absurd numbers, words where there should be none.

Each function changes a draft's manifest, or what stands at the names that it gives. Hashes were written before.
"""

import hashlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from pipelines.validation.torture.drafts import SENTINEL, Draft

NAMES = (
    "../patients.csv",
    "/etc/passwd",
    "../../../../etc/shadow",
    "C:\\\\patients.csv",
    "..\\\\patients.csv",
    "./patients.csv",
    ".",
    "..",
    "",
    " ",
    "patients.csv/",
    "a/../patients.csv",
    "%2e%2e/patients.csv",
    "file:///etc/passwd",
    "http://127.0.0.1/x.csv",
    "s3://bucket/x.csv",
    "~/.ssh/id_rsa",
    "/dev/zero",
    "/proc/self/environ",
    "patients.csv\\u0000.parquet",
    "p\\u202e.csv",
    "*.csv",
    "'; DROP TABLE patients; --",
    "x" * 300,
    "-rf",
    "CON",
    "patients.csv::$DATA",
    "\\u0440atients.csv",
    "manifest.toml",
)
CODES = (
    "CPT", "63047", "treatment", "esi", "fusion", "none", "event", "infection", "", " ", "*", "64*",
    "'; DROP TABLE raw.codes; --", "\u202e", "x" * 200, '"', "123-45-6789", "2020-01-01",
)  # fmt: skip
RELEASES = (
    "../up",
    "/root",
    "",
    "a b",
    "x" * 61,
    "'; DROP TABLE raw.patients; --",
    "..",
    ".",
    "a/b",
    "a\\nb",
    "\\u0000",
    "ｆｕｌｌ",
    "CON",
    "release.lock",
    "archive",
    f"{SENTINEL} 1950-03-04",
    "-rf",
    "$(id)",
    "a..b",
)
VALUES = (
    "-1",
    "1e3",
    "99999999999999999999999999",
    "9223372036854775808",
    "3.7",
    "true",
    '"40"',
    "[]",
    "{}",
    "1979-05-27",
    "nan",
    "inf",
    '""',
    "0x28",
    "[[[[]]]]",
    "0",
)


def file_name(draft: Draft) -> None:
    """A file name that leads elsewhere."""
    name = draft.random.choice(NAMES)
    _sub(draft, rf'"{re.escape(draft.file())}"', f'"{name}"')


def release_name(draft: Draft) -> None:
    """A name of the release that is a path, a command or nothing."""
    _sub(draft, r"release = .*", f'release = "{draft.random.choice(RELEASES)}"')


def some_value(draft: Draft) -> None:
    """A key with a value of another type or an absurd size."""
    key = draft.random.choice(("release", "source", "deidentification", "linkage", "files", "rows", "rows", "sha256"))
    _sub(draft, rf"(?m)^{key} = .*", f"{key} = {draft.random.choice(VALUES)}")


def some_words(draft: Draft) -> None:
    """What a release says about itself holds an identifier, a command or a megabyte."""
    key = draft.random.choice(("source", "linkage", "data_use_agreement"))
    words = (
        f"Mr {SENTINEL} Smith 555-12-3456",
        "<b>x</b>",
        "x" * 900_000,
        "\\u0000",
        "\\u202e",
        "a\\nb",
        "'; DROP TABLE x; --",
        "",
    )
    _sub(draft, rf"(?m)^{key} = .*", f'{key} = "{draft.random.choice(words)}"')


def mode(draft: Draft) -> None:
    """Another way of de-identification."""
    modes = ("safe_harbor", "limited_data_set", "expert_determination", "none", "SYNTHETIC")
    _sub(draft, r"deidentification = .*", f'deidentification = "{draft.random.choice(modes)}"')


def nested(draft: Draft) -> None:
    """TOML nested as deeply as fits, or repeated."""
    depth = draft.random.choice((50, 1000, 100_000))
    pieces = (
        f"deep = {'[' * depth}{']' * depth}\n",
        f"deep = {'{a=' * depth}1{'}' * depth}\n",
        f"{'.'.join(['a'] * depth)} = 1\n",
        f"[{'.'.join(['a'] * depth)}]\n",
        "[tables.patients]\nrows = 1\n",
        "[tables.extra]\nfiles = []\n",
        "".join(f"k{number} = {number}\n" for number in range(30_000)),
        f'unknown = "{SENTINEL}"\n',
        "x = 9" + "9" * 5000 + "\n",
    )
    piece = draft.random.choice(pieces).encode()
    draft.manifest = piece + draft.manifest if draft.random.random() < 0.5 else draft.manifest + piece


def lose_a_line(draft: Draft) -> None:
    """A line of the manifest is missing, or there twice."""
    lines = draft.manifest.splitlines(keepends=True)
    place = draft.random.randrange(len(lines))
    lines[place : place + 1] = [lines[place]] * draft.random.choice((0, 0, 2))
    draft.manifest = b"".join(lines)


def swap_tables(draft: Draft) -> None:
    """One table's file is given for another's, or for two."""
    a, b = draft.random.sample(sorted(draft.files), 2)
    _sub(draft, rf'"{re.escape(a)}"', f'"{b}"')


def many_files(draft: Draft) -> None:
    """Thousands of files that are one, or none."""
    name, count = draft.file(), draft.random.choice((2, 1001, 20_000))
    listed = ", ".join([f'"{name}"'] * count)
    _sub(draft, rf'\["{re.escape(name)}"\]', f"[{listed}]")
    _sub(draft, r'sha256 = \["(\w+)"\]', lambda found: "sha256 = [" + ", ".join([f'"{found[1]}"'] * count) + "]")


def code_list(draft: Draft) -> None:
    """A code list that is a path, one of the tables, or a list of nonsense whose hash is right."""
    way = draft.random.choice(("path", "table", "list", "list"))
    name = draft.random.choice(NAMES) if way == "path" else draft.file() if way == "table" else "codes.csv"
    if way == "list":
        rows = [",".join(draft.random.choice(CODES) for _ in range(4)) for _ in range(draft.random.choice((0, 1, 3)))]
        draft.files[name] = "\n".join(["system,code,kind,measure", *rows, ""]).encode("utf-8", "surrogatepass")
    sha256 = hashlib.sha256(draft.files.get(name, b"")).hexdigest()
    draft.manifest += f'\n[[code_lists]]\nfile = "{name}"\nsha256 = "{sha256}"\n'.encode("utf-8", "surrogatepass")


def other_hash(draft: Draft) -> None:
    """A hash in another form: capitals, too short, of nothing."""
    other = draft.random.choice((str.upper, lambda text: text[:-1], lambda text: "0" * 64, lambda text: text + "0"))
    _sub(draft, r'(?<=sha256 = \[")\w+', lambda found: other(found[0]))


def other_bytes(draft: Draft) -> None:
    """The manifest itself is damaged, empty, in another encoding or enormous."""
    text = draft.manifest.decode()
    place = draft.random.randrange(len(draft.manifest))
    draft.manifest = draft.random.choice(
        (
            b"",
            text.encode("utf-16"),
            text.encode("utf-8-sig"),
            text.replace("\n", "\r\n").encode(),
            draft.manifest[:place],
            draft.manifest[:place] + b"\x00" + draft.manifest[place:],
            draft.manifest[:place] + b"\xff" + draft.manifest[place:],
            draft.manifest + b"# " + b"x" * 2_000_000,
            bytes(1000),
        )
    )


def no_plain_file(draft: Draft) -> None:
    """A file is a link, a pipe, a device, a socket, a folder, empty of rights or not there."""
    name = draft.random.choice((draft.file(), draft.file(), draft.file(), "manifest.toml"))
    kinds = (
        _link("/etc/passwd"),
        _link("/dev/zero"),
        _link("gone"),
        _link(name),
        _pipe,
        _socket,
        _folder,
        _device,
        _gone,
    )
    change = draft.random.choice(kinds)
    draft.afterwards.append(lambda folder: change(folder / name))


LIES: tuple[Callable[[Draft], None], ...] = (
    file_name,
    file_name,
    release_name,
    some_value,
    some_words,
    mode,
    nested,
    lose_a_line,
    swap_tables,
    many_files,
    code_list,
    other_hash,
    other_bytes,
    no_plain_file,
    no_plain_file,
)


def _sub(draft: Draft, pattern: str, by: str | Callable[[re.Match[str]], str]) -> None:
    """Replace one of the places where a pattern stands in the manifest."""
    text = draft.manifest.decode("utf-8", "surrogateescape")
    found = list(re.finditer(pattern, text))
    if found:
        chosen = draft.random.choice(found)
        new = by if isinstance(by, str) else by(chosen)
        draft.manifest = (text[: chosen.start()] + new + text[chosen.end() :]).encode("utf-8", "surrogateescape")


def _link(target: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return change


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
    except OSError:  # the name is too long for a socket
        path.mkdir()
    finally:
        listening.close()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _device(path: Path) -> None:
    """`/dev/zero` under another name, where that is allowed; else a link to it."""
    path.unlink()
    try:
        os.mknod(path, 0o20644, os.makedev(1, 5))
    except PermissionError:
        path.symlink_to("/dev/zero")


def _gone(path: Path) -> None:
    path.unlink()
