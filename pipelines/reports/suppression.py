"""Which counts of a ledger may be printed: primary suppression, rounding, complementary suppression.

Counts of patients from 1 to `minimum` − 1 are withheld, and other counts beside them are rounded, or withheld too,
until no small one can be worked out from sums and differences, not even one that is printed nowhere (a remainder, a
count that two printed ones differ by).

Method: rounding and cell suppression (Willenborg and de Waal 2001, Elements of Statistical Disclosure Control, chapters
4 and 5; cell-size policy of CMS, ResDAC 2024). The relations that give a small count away are found by `attack.py`
(those with a dual value): one of their counts is rounded or withheld next.
"""

import math
from collections.abc import Iterable

from pipelines.reports.attack import (
    Attack,
    Component,
    Network,
    bounds_at_first,
    bounds_when_rounded,
    exposed_alone,
)
from pipelines.reports.ledger import EARLIER, Decisions, DisclosureError, Key, Ledger, round_count

_WIDTH_FOR_OWNERS = 2  # an owner who holds most of a small group knows more of the rest than any other reader


class TooFewToProtect(DisclosureError):
    """Small counts remain that nothing which may still be withheld would hide: the release is too small to report."""


def decide(ledger: Ledger) -> Decisions:
    """Withhold what must be withheld.

    Raises:
        TooFewToProtect: it cannot be done.
    """
    return _Suppressor(ledger).decide()


class _Suppressor:
    """Adds complementary suppressions until no small count can be narrowed down."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.network = Network(ledger)
        # A small count stays at least this uncertain: with a minimum of 11, four or more values remain possible.
        self.width = min(max(1, ledger.minimum // 3), ledger.minimum - 2)
        self.sensitive = {
            key for key, count in ledger.counts.items() if count.role != "slack" and 1 <= count.value < ledger.minimum
        }
        self.small = {key for key in self.sensitive if ledger.counts[key].role == "printed"}
        self.rounded: set[Key] = set()
        self.withheld: set[Key] = set()
        self.unknown_outside = bounds_at_first(ledger, self.small)
        self.unknown = dict(self.unknown_outside)
        self.own: set[Key] = set()

    def decide(self) -> Decisions:
        """Protect small counts from a reader who knows what is printed, then from each owner, who knows more."""
        self._sweep()
        self._protect(self.sensitive)
        self.width = min(self.width, _WIDTH_FOR_OWNERS)
        for owner in sorted(set(self.ledger.owners.values())):
            self.own = self.network.known_to(owner)
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

    def _knows_more(self, component: Component) -> bool:
        """Whether the owner knows a count here that other readers do not."""
        relations = (self.ledger.relations[number] for number in component.equations)
        return any(key in self.own and key in self.unknown_outside for relation in relations for key in relation)

    def _sweep(self) -> None:
        """Help every relation that by itself gives a small count away; what relations give away together is left."""
        waiting = sorted({number for key in self.sensitive for number in self.network.by_key[key]}, reverse=True)
        while waiting:
            number = waiting.pop()
            open_part, constant = self.network.equation(number, self.unknown)
            alone = Component({number: (open_part, constant)}, {key: self.unknown[key] for key in open_part})
            small = [key for key in open_part if key in self.sensitive]
            if not exposed_alone(alone, small, self.width):
                continue
            choice = self._candidate([number])
            if choice is not None:
                self._hide(choice)
                waiting.append(number)

    def _exposed(self, component: Component, small: list[Key], width: int) -> dict[Key, list[int]]:
        if len(component.equations) == 1:
            return exposed_alone(component, small, width)
        return Attack(component, self.ledger).exposed(small, width)

    def _hide_beside(self, exposed: dict[Key, list[int]], component: Component) -> list[Key]:
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
            known = bounds_when_rounded(value, minimum)
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
