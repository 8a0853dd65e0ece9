"""Which cells of a set of linked counts may be printed: primary and complementary suppression.

Counts of patients from 1 to `minimum` − 1 are withheld, and as many other counts beside them as it takes that no
small one can be worked out from sums and differences, not even one that is printed nowhere (a remainder, a count that
two printed ones differ by). What the counts are of is for `ledger_of_release.py` to say; how they print, for `gate.py`.

Method: cell suppression (Willenborg and de Waal 2001, Elements of Statistical Disclosure Control, chapter 4; cell-size
policy of CMS, ResDAC 2024). The attacker knows every relation, every printed count, that `<11` means 1–10, and that a
count withheld for the sake of another is at least 11. Bounds come from interval propagation, exact where relations
form a tree, and from linear programming where they form rings.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Key = tuple[str, ...]
Role = Literal["printed", "hidden", "slack"]

_ROUNDS = 1000


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
    the sake of another.
    """

    minimum: int
    counts: dict[Key, _Count] = field(default_factory=dict)
    relations: list[dict[Key, int]] = field(default_factory=list)

    def add(self, key: Key, value: int, role: Role = "printed", weight: float = 1.0) -> None:
        """Enter a count; the same key may be entered again with the same value.

        Raises:
            DisclosureError: the key is known with another value, or the value is negative.
        """
        known = self.counts.get(key)
        if value < 0 or (known is not None and known.value != value):
            raise DisclosureError(f"the count {'/'.join(key)} is negative or differs between two tables of one report")
        if known is None or (known.role != "printed" and role == "printed"):
            self.counts[key] = _Count(value, role, weight)

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
        if part not in self.counts or whole not in self.counts:
            raise DisclosureError(f"{'/'.join(part)} or {'/'.join(whole)} is not in the ledger")
        if rest not in self.counts:
            self.add(rest, self.counts[whole].value - self.counts[part].value, "hidden")
            self.sum_of(whole, (part, rest))

    def _relate(self, coefficients: Mapping[Key, int]) -> None:
        missing = [key for key in coefficients if key not in self.counts]
        if missing:
            raise DisclosureError(f"{'/'.join(missing[0])} is not in the ledger")
        if sum(weight * self.counts[key].value for key, weight in coefficients.items()):
            raise DisclosureError(f"the counts around {'/'.join(next(iter(coefficients)))} do not add up")
        self.relations.append({key: weight for key, weight in coefficients.items() if weight})

    def decide(self) -> "Decisions":
        """Withhold what must be withheld."""
        return _Suppressor(self).decide()


@dataclass(frozen=True)
class Decisions:
    """Which counts may be printed; `small` are withheld for their size, `complementary` for another's sake."""

    ledger: Ledger
    small: frozenset[Key]
    complementary: frozenset[Key]

    def is_printed(self, key: Key) -> bool:
        """Whether the count may be printed.

        Raises:
            DisclosureError: the count was never entered for printing, so nothing is known about its safety.
        """
        count = self.ledger.counts.get(key)
        if count is None or count.role != "printed":
            raise DisclosureError(f"the count {'/'.join(key)} was not entered for printing")
        return key not in self.small and key not in self.complementary

    def bounds(self, key: Key) -> tuple[float, float]:
        """What the attacker can narrow a count down to."""
        count = self.ledger.counts[key]
        unknown = _unknown(self.ledger, self.small, self.complementary)
        if key not in unknown:
            return (count.value, count.value)
        component = next(c for c in _components(self.ledger, unknown) if key in c.bounds)
        return component.sharp_bounds(key)


Bounds = dict[Key, tuple[float, float]]


def _unknown(ledger: Ledger, small: Iterable[Key], complementary: Iterable[Key]) -> Bounds:
    """What the attacker knows of each count that is not printed, before using any relation."""
    bounds: Bounds = {key: (0, math.inf) for key, count in ledger.counts.items() if count.role != "printed"}
    bounds |= {key: (1, ledger.minimum - 1) for key in small if ledger.counts[key].role == "printed"}
    bounds |= {key: (ledger.minimum, math.inf) for key in complementary}
    return bounds


@dataclass
class _Component:
    """Unknown counts that hang together by relations, with the printed ones already put in."""

    equations: list[tuple[dict[Key, int], int]]  # sum of coefficient x count = constant
    bounds: Bounds
    relations: list[int]

    @property
    def is_tree(self) -> bool:
        edges = sum(len(equation) for equation, _ in self.equations)
        return edges == len(self.equations) + len(self.bounds) - 1

    def propagate(self) -> Bounds:
        """Bounds by interval propagation: exact in a tree, possibly too wide in a ring."""
        bounds = dict(self.bounds)
        by_key: dict[Key, list[int]] = defaultdict(list)
        for number, (equation, _) in enumerate(self.equations):
            for key in equation:
                by_key[key].append(number)
        waiting = dict.fromkeys(range(len(self.equations)))
        for _ in range(_ROUNDS * max(1, len(self.equations))):
            if not waiting:
                break
            number = next(iter(waiting))
            del waiting[number]
            for key in _tighten(*self.equations[number], bounds):
                waiting |= dict.fromkeys(n for n in by_key[key] if n != number)
        return bounds

    def sharp_bounds(self, key: Key) -> tuple[float, float]:
        """Exact bounds of one count, by linear programming."""
        from scipy.optimize import linprog

        names = list(self.bounds)
        place = {name: i for i, name in enumerate(names)}
        matrix = [[0.0] * len(names) for _ in self.equations]
        for row, (equation, _) in zip(matrix, self.equations, strict=True):
            for name, coefficient in equation.items():
                row[place[name]] = coefficient
        limits = [(low, None if math.isinf(high) else high) for low, high in self.bounds.values()]
        ends: list[float] = []
        for sign in (1, -1):
            cost = [sign * float(name == key) for name in names]
            solved = linprog(cost, A_eq=matrix or None, b_eq=[c for _, c in self.equations] or None, bounds=limits)
            ends.append(sign * float(solved.fun) if solved.status == 0 else sign * -math.inf)
        return math.ceil(ends[0] - 1e-6), math.floor(ends[1] + 1e-6) if math.isfinite(ends[1]) else math.inf


def _tighten(equation: dict[Key, int], constant: int, bounds: Bounds) -> list[Key]:
    """Narrow the bounds of the counts of one equation in place; returns those that became narrower."""
    ends = {key: tuple(sorted((c * bounds[key][0], c * bounds[key][1]))) for key, c in equation.items()}
    changed: list[Key] = []
    for key, coefficient in equation.items():
        low = constant - sum(end[1] for other, end in ends.items() if other != key)
        high = constant - sum(end[0] for other, end in ends.items() if other != key)
        low, high = sorted((low / coefficient, high / coefficient))
        new = (max(bounds[key][0], math.ceil(low) if math.isfinite(low) else low),
               min(bounds[key][1], math.floor(high) if math.isfinite(high) else high))
        if new != bounds[key]:
            bounds[key] = new
            ends[key] = tuple(sorted((coefficient * new[0], coefficient * new[1])))
            changed.append(key)
    return changed


def _components(ledger: Ledger, unknown: Bounds) -> list[_Component]:
    """The unknown counts in groups that share no relation."""
    parent: dict[Key, Key] = {key: key for key in unknown}

    def root(key: Key) -> Key:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    equations: list[tuple[dict[Key, int], int, int]] = []
    for number, relation in enumerate(ledger.relations):
        open_part = {key: c for key, c in relation.items() if key in unknown}
        if not open_part:
            continue
        constant = -sum(c * ledger.counts[key].value for key, c in relation.items() if key not in unknown)
        equations.append((open_part, constant, number))
        first, *others = open_part
        for other in others:
            parent[root(other)] = root(first)
    groups: dict[Key, _Component] = {}
    for key, bound in unknown.items():
        groups.setdefault(root(key), _Component([], {}, [])).bounds[key] = bound
    for open_part, constant, number in equations:
        group = groups[root(next(iter(open_part)))]
        group.equations.append((open_part, constant))
        group.relations.append(number)
    return list(groups.values())


class _Suppressor:
    """Adds complementary suppressions until no small count can be narrowed down."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        # A small count stays at least this uncertain: with 11, four or more values remain possible.
        self.width = max(1, ledger.minimum // 3)
        self.sensitive = {
            key for key, count in ledger.counts.items() if count.role != "slack" and 1 <= count.value < ledger.minimum
        }
        self.small = {key for key in self.sensitive if ledger.counts[key].role == "printed"}
        self.complementary: set[Key] = set()
        self.settled: set[tuple[Key, ...]] = set()

    def decide(self) -> Decisions:
        while True:
            unknown = _unknown(self.ledger, self.small, self.complementary)
            exposed = [
                (component, key)
                for component in _components(self.ledger, unknown)
                for key in self._exposed(component)
            ]
            if not exposed:
                return Decisions(self.ledger, frozenset(self.small), frozenset(self.complementary))
            self._hide_beside(exposed)

    def _exposed(self, component: _Component) -> list[Key]:
        """The small counts of a component that are known too well; a component found safe is not looked at again."""
        name = tuple(sorted(component.bounds))
        small = [key for key in component.bounds if key in self.sensitive]
        if not small or name in self.settled:
            return []
        bounds = component.propagate()
        found = [key for key in small if bounds[key][1] - bounds[key][0] < self.width]
        if not found and not component.is_tree:
            found = [key for key in small if _narrow(component.sharp_bounds(key), self.width)]
        if not found:
            self.settled.add(name)
        return found

    def _hide_beside(self, exposed: list[tuple[_Component, Key]]) -> None:
        """Withhold one more count for each exposed one, unless a relation of it has just been helped."""
        helped: set[int] = set()
        for component, key in exposed:
            own = [n for n in component.relations if key in self.ledger.relations[n]]
            if helped & set(own):
                continue
            choice = self._candidate(own) or self._candidate(component.relations)
            if choice is None:
                raise DisclosureError(f"the count {'/'.join(key)} cannot be protected; print fewer of its neighbours")
            self.complementary.add(choice)
            helped |= {n for n, relation in enumerate(self.ledger.relations) if choice in relation}

    def _candidate(self, relations: list[int]) -> Key | None:
        """The least important, then smallest, count of these relations that is still printed and not zero."""
        counts = self.ledger.counts
        open_keys = {
            key
            for n in relations
            for key in self.ledger.relations[n]
            if counts[key].role == "printed" and counts[key].value >= self.ledger.minimum and key not in self.complementary
        }
        return min(open_keys, key=lambda key: (counts[key].weight, counts[key].value, key), default=None)


def _narrow(bounds: tuple[float, float], width: int) -> bool:
    return bounds[1] - bounds[0] < width
