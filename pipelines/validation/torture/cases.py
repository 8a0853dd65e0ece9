"""Mutated releases, one a number: the same seed and number make the same bytes on any machine."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.validation.torture.damage import PACKED, PLAIN
from pipelines.validation.torture.drafts import Draft, Rows, compress, manifest_text, new_draft, save, write_tables
from pipelines.validation.torture.lies import LIES
from pipelines.validation.torture.mutations import MUTATIONS

ABOUT = {
    "release": '"torture"',
    "source": '"simulated"',
    "deidentification": '"synthetic"',
    "linkage": '"all payers"',
    "data_use_agreement": '""',
}
UNSIGNED = 0.1  # the share of damaged files whose hashes stay those of the files before
_LEVELS = {"rows": 45, "plain": 20, "packed": 10, "manifest": 25}


@dataclass(frozen=True)
class Case:
    """What was done to a release."""

    number: int
    form: str
    mutations: tuple[str, ...]


def make_case(folder: Path, tables: dict[str, Rows], seed: int, number: int) -> Case:
    """Write the mutated release of that number into a new folder.

    Args:
        folder: is made.
        tables: the clean release, from `clean_tables`.
        seed: of the whole series.
        number: of the case in it.
    """
    draft = new_draft(random.Random(f"{seed}:{number}"), tables, ABOUT)
    levels = draft.random.choices(list(_LEVELS), list(_LEVELS.values()), k=draft.random.choice((1, 1, 1, 2, 3)))
    done: list[str] = []

    def spoil(level: str, ways: Sequence[Callable[[Draft], None]]) -> None:
        for _ in range(levels.count(level)):
            way = draft.random.choice(ways)
            try:
                way(draft)
            except (IndexError, ValueError, KeyError):  # an earlier mutation left nothing to spoil
                continue
            done.append(way.__name__)

    spoil("rows", MUTATIONS)
    write_tables(draft)
    clean = manifest_text(draft)
    spoil("plain", PLAIN)
    compress(draft)
    spoil("packed", PACKED)
    draft.is_signed = draft.random.random() >= UNSIGNED
    draft.manifest = (manifest_text(draft) if draft.is_signed else clean).encode("utf-8", "surrogatepass")
    spoil("manifest", LIES)
    save(draft, folder)
    return Case(number, draft.form, tuple(done))
