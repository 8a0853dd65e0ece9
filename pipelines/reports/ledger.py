"""The ledger of a report: every count with the sums and nestings that tie it to others, and how each may be printed.

What the counts are of is for `counts.py` to say, what must be withheld for `suppression.py`, how they print for
`gate.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Key = tuple[str, ...]
Role = Literal["printed", "hidden", "slack"]
State = Literal["exact", "rounded", "withheld", "small"]

EARLIER, CHANGE = "earlier report", "change since"
ROUNDING_BASE = 5
# The committee's own questions are kept before details when something must be withheld for another's sake.
ANCHOR, IMPORTANT, USUAL, DETAIL = 100.0, 10.0, 2.0, 1.0


class DisclosureError(RuntimeError):
    """The ledger contradicts itself or a number was asked for that it does not hold; the message names no value."""


@dataclass(frozen=True)
class _Count:
    value: int
    role: Role
    weight: float


@dataclass
class Ledger:
    """Counts with their linear relations, before any decision.

    A `printed` count is meant to be shown; a `hidden` one is not, but must not be worked out either; a `slack` is a
    number of no interest that only loosens a relation. A higher `weight` makes a count less likely to be withheld for
    the sake of another. What an earlier report printed is `published`: it is known, and nothing can be taken back.
    A count with an owner is known to that owner (a site knows its own patients), who reads the reports, too.
    """

    minimum: int
    counts: dict[Key, _Count] = field(default_factory=dict)
    relations: list[dict[Key, int]] = field(default_factory=list)
    published: dict[Key, State] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)

    def add(self, key: Key, value: int, role: Role = "printed", weight: float = 1.0, owner: str | None = None) -> None:
        """Enter a count, and who knows it anyway; the same key may be entered again with the same value.

        Raises:
            DisclosureError: the key is known with another value, or the value is negative.
        """
        known = self.counts.get(key)
        if value < 0 or (known is not None and known.value != value):
            raise DisclosureError(f"the count {'/'.join(key)} is negative or differs between two tables of one report")
        if known is None or (known.role != "printed" and role == "printed"):
            self.counts[key] = _Count(value, role, weight)
        if owner is not None:
            self.owners[key] = owner

    def sum_of(self, total: Key, parts: Iterable[Key]) -> None:
        """State that the parts add up to the total.

        Raises:
            DisclosureError: they do not, or one is not entered.
        """
        coefficients: dict[Key, int] = defaultdict(int)
        coefficients[total] -= 1
        for part in parts:
            coefficients[part] += 1
        self._relate(coefficients)

    def part_of(self, part: Key, whole: Key) -> None:
        """State that one count lies within another: the rest becomes a hidden count.

        Raises:
            DisclosureError: the part is larger than the whole, or one is not entered.
        """
        rest = ("rest of", *whole, "without", *part)
        self._require(part, whole)
        if rest not in self.counts:
            owner = self.owners.get(whole) if self.owners.get(whole) == self.owners.get(part) else None
            self.add(rest, self.counts[whole].value - self.counts[part].value, "hidden", owner=owner)
            self.sum_of(whole, (part, rest))

    def nest(self, one: Key, other: Key) -> None:
        """State that the smaller of two counts lies within the larger; equal ones give each other away.

        Raises:
            DisclosureError: one is not entered.
        """
        self._require(one, other)
        part, whole = sorted((one, other), key=lambda key: self.counts[key].value)
        self.part_of(part, whole)

    def fill(self, whole: Key, parts: Iterable[Key], rest: Key) -> None:
        """State that the parts, with a hidden rest where they fall short, make up the whole.

        Raises:
            DisclosureError: they are more than the whole, or one is not entered.
        """
        parts = list(parts)
        self._require(whole, *parts)
        left = self.counts[whole].value - sum(self.counts[part].value for part in parts)
        if left > 0:
            self.add(rest, left, "hidden")
            parts.append(rest)
        self.sum_of(whole, parts)

    def follow(self, before: "Decisions") -> None:
        """Take in what an earlier report printed, and that no small change between the two may be worked out.

        A reader holds one report beside the other: the earlier one's counts and relations are known too, and the
        difference of a count that both print is a count of its own, of those who came or went.
        """
        for key, count in before.ledger.counts.items():
            if key[0] == EARLIER:  # what still earlier reports printed is settled
                continue
            old = (EARLIER, *key)
            self.add(old, count.value, count.role, count.weight, before.ledger.owners.get(key))
            if count.role == "printed":
                self.published[old] = before.state(key)
        self.relations += [
            {(EARLIER, *key): weight for key, weight in relation.items()}
            for relation in before.ledger.relations
            if not any(key[0] in (EARLIER, CHANGE) for key in relation)
        ]
        for old, state in list(self.published.items()):
            new = self.counts.get(old[1:])
            if new is not None and new.role == "printed" and state in ("exact", "rounded"):
                difference = new.value - self.counts[old].value
                self.add((CHANGE, *old[1:]), abs(difference), "hidden", owner=self.owners.get(old))
                self._relate({old[1:]: 1, old: -1, (CHANGE, *old[1:]): 1 if difference < 0 else -1})

    def _require(self, *asked: Key) -> None:
        missing = [key for key in asked if key not in self.counts]
        if missing:
            raise DisclosureError(f"{'/'.join(missing[0])} is not in the ledger")

    def _relate(self, coefficients: Mapping[Key, int]) -> None:
        self._require(*coefficients)
        if sum(weight * self.counts[key].value for key, weight in coefficients.items()):
            raise DisclosureError(f"the counts around {'/'.join(next(iter(coefficients)))} do not add up")
        self.relations.append({key: weight for key, weight in coefficients.items() if weight})


@dataclass(frozen=True)
class Decisions:
    """How counts may be printed: `small` are withheld for their size, `rounded` and `withheld` for another's sake."""

    ledger: Ledger
    small: frozenset[Key]
    rounded: frozenset[Key]
    withheld: frozenset[Key]

    def state(self, key: Key) -> State:
        """How the count may be printed.

        Raises:
            DisclosureError: the count was never entered for printing, so nothing is known about its safety.
        """
        count = self.ledger.counts.get(key)
        if count is None or count.role != "printed":
            raise DisclosureError(f"the count {'/'.join(key)} was not entered for printing")
        if key in self.small:
            return "small"
        if key in self.withheld:
            return "withheld"
        return "rounded" if key in self.rounded else "exact"

    def value(self, key: Key) -> int:
        """The count as it may be printed, exact or rounded.

        Raises:
            DisclosureError: it may not be printed at all.
        """
        state = self.state(key)
        if state == "exact":
            return self.ledger.counts[key].value
        if state == "rounded":
            return round_count(self.ledger.counts[key].value)
        raise DisclosureError(f"the count {'/'.join(key)} is withheld")


def round_count(value: int) -> int:
    """The nearest multiple of the rounding base."""
    return ROUNDING_BASE * ((value + ROUNDING_BASE // 2) // ROUNDING_BASE)
