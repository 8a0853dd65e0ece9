"""What a reader of a report can work out about counts that are not printed, by linear programming.

Belongs here: the bounds of each count and how far relations narrow them down. Does not belong here: which counts are
then withheld (`suppression.py`).

The attacker knows every relation, every printed count, that `<11` means 1–10, to what a count was rounded, and that a
count withheld for the sake of another is at least 11.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.reports.ledger import CHANGE, ROUNDING_BASE, DisclosureError, Key, Ledger, round_count

_ATTEMPTS, _FEW, _SIGNS_SEED = 12, 4, 20_260_101  # to widen many counts at once before each is looked at alone
_BOX = 50  # times the minimum: how far from the truth alternatives are looked for

Bounds = dict[Key, tuple[float, float]]


def bounds_at_first(ledger: Ledger, small: Iterable[Key]) -> Bounds:
    """What the attacker knows of each count that is not printed, before using any relation or anything is rounded."""
    bounds: Bounds = {key: (0, math.inf) for key, count in ledger.counts.items() if count.role != "printed"}
    bounds |= {key: (-math.inf, math.inf) for key in bounds if key[0] == CHANGE}  # nobody says which way a count went
    bounds |= {key: (1, ledger.minimum - 1) for key in small if ledger.counts[key].role == "printed"}
    for key, state in ledger.published.items():
        if state == "withheld":
            bounds[key] = (ledger.minimum, math.inf)
        elif state == "rounded":
            bounds[key] = bounds_when_rounded(ledger.counts[key].value, ledger.minimum)
    return bounds


def bounds_when_rounded(value: int, minimum: int) -> tuple[float, float]:
    middle, reach = round_count(value), ROUNDING_BASE // 2
    return max(minimum, middle - reach), middle + reach


@dataclass
class Component:
    """Unknown counts that hang together by relations, with the printed ones already put in."""

    equations: dict[int, tuple[dict[Key, int], int]]  # by relation: sum of coefficient x count = constant
    bounds: Bounds


class Attack:
    """What an attacker can work out about the counts of one component, by linear programming.

    The true values are one solution that fits all that is printed; each further one found is a witness of how far
    every count may lie from its true value. The search stays within a box around the truth that is far larger than
    the uncertainty asked for, so that all programs are bounded.
    """

    def __init__(self, component: Component, ledger: Ledger) -> None:
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


class Network:
    """The ledger's relations by count, to walk from an unknown count to those that hang together with it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.by_key: dict[Key, list[int]] = defaultdict(list)
        for number, relation in enumerate(ledger.relations):
            for key in relation:
                self.by_key[key].append(number)

    def known_to(self, owner: str) -> set[Key]:
        """Counts of nobody but an owner's own patients: those it owns, what lies within them, and their sums.

        Where a site gave a tier alone, the tier's counts are its own: they hold nobody whom it could learn of.
        """
        counts = self.ledger.counts
        known = {key for key, name in self.ledger.owners.items() if name == owner}
        waiting = list(known)
        while waiting:
            for number in self.by_key[waiting.pop()]:
                relation = self.ledger.relations[number]
                wholes = [key for key, coefficient in relation.items() if coefficient < 0]
                if len(wholes) > 1 or any(key[0] == CHANGE for key in relation):  # no group split into parts
                    continue
                parts = relation.keys() - set(wholes)
                if known.issuperset(wholes):
                    found = parts
                else:
                    found = set(wholes) if all(key in known or not counts[key].value for key in parts) else set()
                waiting += found - known
                known |= found
        return known

    def equation(self, number: int, unknown: Bounds) -> tuple[dict[Key, int], int]:
        """A relation with what is printed put in: coefficients of the unknown counts, and what they add up to."""
        relation = self.ledger.relations[number]
        counts = self.ledger.counts
        open_part = {key: c for key, c in relation.items() if key in unknown}
        return open_part, -sum(c * counts[key].value for key, c in relation.items() if key not in unknown)

    def component(self, start: Key, unknown: Bounds) -> Component:
        """The unknown counts that share relations with `start`, directly or through others."""
        found = Component({}, {start: unknown[start]})
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


def exposed_alone(component: Component, small: list[Key], width: int) -> dict[Key, list[int]]:
    """As `Attack.exposed`, for counts that a single relation binds: bounds follow from those of the others."""
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
