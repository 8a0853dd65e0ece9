"""Which cells of a set of linked counts may be printed: primary suppression, rounding, complementary suppression.

Counts of patients from 1 to `minimum` − 1 are withheld, and other counts beside them are rounded, or withheld too,
until no small one can be worked out from sums and differences, not even one that is printed nowhere (a remainder, a
count that two printed ones differ by). What the counts are of is for `counts.py` to say; how they print, for `gate.py`.

Method: rounding and cell suppression (Willenborg and de Waal 2001, Elements of Statistical Disclosure Control, chapters
4 and 5; cell-size policy of CMS, ResDAC 2024). The attacker knows every relation, every printed count, that `<11` means
1–10, to what a count was rounded, and that a count withheld for the sake of another is at least 11. What is possible is
found by linear programming, which also names the relations that give a small count away (those with a dual value): one
of their counts is rounded or withheld next.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Key = tuple[str, ...]
Role = Literal["printed", "hidden", "slack"]
State = Literal["exact", "rounded", "withheld", "small"]

EARLIER, CHANGE = "earlier report", "change since"
ROUNDING_BASE = 5
_WIDTH_FOR_OWNERS = 2  # an owner who holds most of a small group knows more of the rest than any other reader
_ATTEMPTS, _FEW, _SIGNS_SEED = 12, 4, 20_260_101  # to widen many counts at once before each is looked at alone
_BOX = 50  # times the minimum: how far from the truth alternatives are looked for


class DisclosureError(RuntimeError):
    """The ledger contradicts itself or a number was asked for that it does not hold; the message names no value."""


class TooFewToProtect(DisclosureError):
    """Small counts remain that nothing which may still be withheld would hide: the release is too small to report."""


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
        if part not in self.counts or whole not in self.counts:
            raise DisclosureError(f"{'/'.join(part)} or {'/'.join(whole)} is not in the ledger")
        if rest not in self.counts:
            owner = self.owners.get(whole) if self.owners.get(whole) == self.owners.get(part) else None
            self.add(rest, self.counts[whole].value - self.counts[part].value, "hidden", owner=owner)
            self.sum_of(whole, (part, rest))

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


Bounds = dict[Key, tuple[float, float]]


def _at_first(ledger: Ledger, small: Iterable[Key]) -> Bounds:
    """What the attacker knows of each count that is not printed, before using any relation or anything is rounded."""
    bounds: Bounds = {key: (0, math.inf) for key, count in ledger.counts.items() if count.role != "printed"}
    bounds |= {key: (-math.inf, math.inf) for key in bounds if key[0] == CHANGE}  # nobody says which way a count went
    bounds |= {key: (1, ledger.minimum - 1) for key in small if ledger.counts[key].role == "printed"}
    for key, state in ledger.published.items():
        if state == "withheld":
            bounds[key] = (ledger.minimum, math.inf)
        elif state == "rounded":
            bounds[key] = _when_rounded(ledger.counts[key].value, ledger.minimum)
    return bounds


def _when_rounded(value: int, minimum: int) -> tuple[float, float]:
    middle, reach = round_count(value), ROUNDING_BASE // 2
    return max(minimum, middle - reach), middle + reach


@dataclass
class _Component:
    """Unknown counts that hang together by relations, with the printed ones already put in."""

    equations: dict[int, tuple[dict[Key, int], int]]  # by relation: sum of coefficient x count = constant
    bounds: Bounds


class _Attack:
    """What an attacker can work out about the counts of one component, by linear programming.

    The true values are one solution that fits all that is printed; each further one found is a witness of how far
    every count may lie from its true value. The search stays within a box around the truth that is far larger than
    the uncertainty asked for, so that all programs are bounded.
    """

    def __init__(self, component: _Component, ledger: Ledger) -> None:
        from scipy.sparse import coo_array

        self.relations = list(component.equations)
        self.names = list(component.bounds)
        self.place = {name: i for i, name in enumerate(self.names)}
        truth = [ledger.counts[name].value for name in self.names]
        entries = [
            (row, self.place[name], coefficient)
            for row, (equation, _) in enumerate(component.equations.values())
            for name, coefficient in equation.items()
        ]
        self.matrix: Any = None
        if entries:
            rows, columns, values = zip(*entries, strict=True)
            shape = (len(self.relations), len(self.names))
            self.matrix = coo_array((np.array(values, float), (rows, columns)), shape=shape).tocsr()
        self.constants = [constant for _, constant in component.equations.values()] or None
        reach = _BOX * ledger.minimum
        self.limits = [
            (max(low, value - reach), min(high, value + reach))
            for (low, high), value in zip(component.bounds.values(), truth, strict=True)
        ]
        self.low = np.array(truth, float)
        self.high = np.array(truth, float)

    def push(self, cost: np.ndarray) -> list[int]:
        """Minimise a cost over all solutions, remember the witness, and name the relations that stood in the way."""
        from scipy.optimize import linprog

        solved: Any = linprog(cost, A_eq=self.matrix, b_eq=self.constants, bounds=self.limits)
        if solved.status != 0:
            raise DisclosureError("the suppression problem could not be solved; report the protocol and table names")
        self.low = np.minimum(self.low, solved.x)
        self.high = np.maximum(self.high, solved.x)
        if self.constants is None:
            return []
        return [n for n, dual in zip(self.relations, solved.eqlin.marginals, strict=True) if abs(dual) > 1e-9]

    def exposed(self, keys: Iterable[Key], width: int) -> dict[Key, list[int]]:
        """The counts that can be narrowed down to fewer than `width` + 1 values, with the relations that do it."""
        wanted = {self.place[key]: key for key in keys}
        self._spread(list(wanted), width)
        found: dict[Key, list[int]] = {}
        for i, key in wanted.items():
            binding: list[int] = []
            for sign in (1.0, -1.0):
                if self.range(i) < width:
                    cost = np.zeros(len(self.names))
                    cost[i] = sign
                    binding += self.push(cost)
            if self.range(i) < width:
                found[key] = binding
        return found

    def _spread(self, wanted: list[int], width: int) -> None:
        """Find solutions that lie apart in many of these counts at once, so that few are left to be pushed alone."""
        signs = np.random.default_rng(_SIGNS_SEED)
        narrow = np.array(wanted)
        for attempt in range(_ATTEMPTS):
            direction = np.ones(len(narrow)) if attempt == 0 else signs.choice([-1.0, 1.0], len(narrow))
            for cost_of in (direction, -direction):
                cost = np.zeros(len(self.names))
                cost[narrow] = cost_of
                self.push(cost)
            left = narrow[[self.range(i) < width for i in narrow]]
            if len(left) < _FEW or (len(left) > 0.95 * len(narrow) > 0 and attempt):
                return
            narrow = left

    def range(self, i: int) -> float:
        """How far apart the solutions found so far lie in one count."""
        return float(self.high[i] - self.low[i]) + 1e-6


class _Network:
    """The ledger's relations by count, to walk from an unknown count to those that hang together with it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.by_key: dict[Key, list[int]] = defaultdict(list)
        for number, relation in enumerate(ledger.relations):
            for key in relation:
                self.by_key[key].append(number)

    def equation(self, number: int, unknown: Bounds) -> tuple[dict[Key, int], int]:
        """A relation with what is printed put in: coefficients of the unknown counts, and what they add up to."""
        relation = self.ledger.relations[number]
        counts = self.ledger.counts
        open_part = {key: c for key, c in relation.items() if key in unknown}
        return open_part, -sum(c * counts[key].value for key, c in relation.items() if key not in unknown)

    def component(self, start: Key, unknown: Bounds) -> _Component:
        """The unknown counts that share relations with `start`, directly or through others."""
        found = _Component({}, {start: unknown[start]})
        waiting = [start]
        while waiting:
            for number in self.by_key[waiting.pop()]:
                if number in found.equations:
                    continue
                found.equations[number] = self.equation(number, unknown)
                for key in found.equations[number][0]:
                    if key not in found.bounds:
                        found.bounds[key] = unknown[key]
                        waiting.append(key)
        return found


class _Suppressor:
    """Adds complementary suppressions until no small count can be narrowed down."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.network = _Network(ledger)
        # A small count stays at least this uncertain: with a minimum of 11, four or more values remain possible.
        self.width = min(max(1, ledger.minimum // 3), ledger.minimum - 2)
        self.sensitive = {
            key for key, count in ledger.counts.items() if count.role != "slack" and 1 <= count.value < ledger.minimum
        }
        self.small = {key for key in self.sensitive if ledger.counts[key].role == "printed"}
        self.rounded: set[Key] = set()
        self.withheld: set[Key] = set()
        self.unknown_outside = _at_first(ledger, self.small)
        self.unknown = dict(self.unknown_outside)
        self.own: set[Key] = set()

    def decide(self) -> Decisions:
        """Protect small counts from a reader who knows what is printed, then from each owner, who knows more."""
        self._sweep()
        self._protect(self.sensitive)
        self.width = min(self.width, _WIDTH_FOR_OWNERS)
        for owner in sorted(set(self.ledger.owners.values())):
            self.own = {key for key, name in self.ledger.owners.items() if name == owner}
            self.unknown = {key: bounds for key, bounds in self.unknown_outside.items() if key not in self.own}
            self._protect(self.sensitive - self.own)
        rounded = self.rounded - self.withheld
        decided = (self.small - self.ledger.published.keys(), rounded, self.withheld)
        return Decisions(self.ledger, *map(frozenset, decided))

    def _protect(self, sensitive: set[Key]) -> None:
        """Look at each small count with all that hangs together with it."""
        waiting = sorted(sensitive)
        safe: set[Key] = set()  # for good: withholding more only widens what is possible
        while waiting:
            key = waiting.pop()
            if key in safe:
                continue
            component = self.network.component(key, self.unknown)
            small = [k for k in component.bounds if k in sensitive and k not in safe]
            if self.own and not self._knows_more(component):
                safe |= set(small)
                continue
            exposed = self._exposed(component, small, self.width)
            safe |= set(small) - set(exposed)
            waiting += self._hide_beside(exposed, component)

    def _knows_more(self, component: _Component) -> bool:
        """Whether the owner knows a count here that other readers do not."""
        relations = (self.ledger.relations[number] for number in component.equations)
        return any(key in self.own and key in self.unknown_outside for relation in relations for key in relation)

    def _sweep(self) -> None:
        """Help every relation that by itself gives a small count away; what relations give away together is left."""
        waiting = sorted({number for key in self.sensitive for number in self.network.by_key[key]}, reverse=True)
        while waiting:
            number = waiting.pop()
            open_part, constant = self.network.equation(number, self.unknown)
            alone = _Component({number: (open_part, constant)}, {key: self.unknown[key] for key in open_part})
            small = [key for key in open_part if key in self.sensitive]
            if not _exposed_alone(alone, small, self.width):
                continue
            choice = self._candidate([number])
            if choice is not None:
                self._hide(choice)
                waiting.append(number)

    def _exposed(self, component: _Component, small: list[Key], width: int) -> dict[Key, list[int]]:
        if len(component.equations) == 1:
            return _exposed_alone(component, small, width)
        return _Attack(component, self.ledger).exposed(small, width)

    def _hide_beside(self, exposed: dict[Key, list[int]], component: _Component) -> list[Key]:
        """Round or withhold one more count for each exposed one, unless a relation of it has just been helped.

        Returns those to be looked at again. A count of an earlier report that no relation to a count of today gives
        away is left as it is: what was printed cannot be taken back. So is one of which an owner can only tell that it
        is one of two neighbouring values, where nothing is left to withhold: all but one of fewer than 11 are its own.
        """
        helped: set[int] = set()
        again: list[Key] = []
        for key, binding in exposed.items():
            if helped & set(binding or self.network.by_key[key]):
                again.append(key)
                continue
            choice = self._candidate(binding)
            if choice is None and key[0] == EARLIER:
                continue
            choice = choice or self._candidate(component.equations)
            if choice is None and self.own and not self._exposed(component, [key], 1):
                continue
            if choice is None:
                raise TooFewToProtect(f"the count {'/'.join(key)} cannot be protected; print fewer of its neighbours")
            self._hide(choice)
            again.append(key)
            helped |= set(self.network.by_key[choice])
        return again

    def _hide(self, key: Key) -> None:
        """Round a printed count; withhold one that is rounded already, or would look small if it were."""
        value, minimum = self.ledger.counts[key].value, self.ledger.minimum
        if key in self.rounded or round_count(value) < minimum:
            self.withheld.add(key)
            known = (float(minimum), math.inf)
        else:
            self.rounded.add(key)
            known = _when_rounded(value, minimum)
        self.unknown[key] = self.unknown_outside[key] = known

    def _candidate(self, relations: Iterable[int]) -> Key | None:
        """The least important count of these relations that is still printed, exact ones before rounded ones."""
        counts = self.ledger.counts
        open_keys = {
            key
            for n in relations
            for key in self.ledger.relations[n]
            if counts[key].role == "printed"
            and counts[key].value >= self.ledger.minimum
            and key not in self.withheld
            and key not in self.own
            and key not in self.ledger.published
        }
        return min(
            open_keys, key=lambda key: (counts[key].weight, key in self.rounded, counts[key].value, key), default=None
        )


def _exposed_alone(component: _Component, small: list[Key], width: int) -> dict[Key, list[int]]:
    """As `_Attack.exposed`, for counts that a single relation binds: bounds follow from those of the others."""
    ((number, (equation, constant)),) = component.equations.items()
    ends = {
        key: tuple(sorted((c * component.bounds[key][0], c * component.bounds[key][1]))) for key, c in equation.items()
    }
    found: dict[Key, list[int]] = {}
    for key in small:
        low = constant - sum(end[1] for other, end in ends.items() if other != key)
        high = constant - sum(end[0] for other, end in ends.items() if other != key)
        low, high = sorted((low / equation[key], high / equation[key]))
        if min(high, component.bounds[key][1]) - max(low, component.bounds[key][0]) < width:
            found[key] = [number]
    return found
