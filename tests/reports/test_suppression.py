"""What the suppression withholds, on tables to be checked on paper, and attacks on it by integer programming."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from pipelines.reports.ledger import Decisions, DisclosureError, Ledger, round_count
from pipelines.reports.suppression import decide

MINIMUM = 11


def row(total: int, *parts: int) -> Ledger:
    """A ledger of one total and its parts."""
    ledger = Ledger(MINIMUM)
    ledger.add(("total",), total, weight=100)
    for number, part in enumerate(parts):
        ledger.add(("part", str(number)), part)
    ledger.sum_of(("total",), [("part", str(number)) for number in range(len(parts))])
    return ledger


def states(decisions: Decisions, parts: int) -> list[str]:
    return [decisions.state(("part", str(number))) for number in range(parts)]


def test_nothing_is_withheld_where_nothing_is_small() -> None:
    assert states(decide(row(60, 20, 25, 15)), 3) == ["exact"] * 3


def test_zero_may_show_and_small_counts_may_not() -> None:
    decisions = decide(row(61, 0, 30, 31))
    assert states(decisions, 3) == ["exact"] * 3
    assert decide(row(64, 4, 30, 30)).state(("part", "0")) == "small"


def test_a_single_small_count_takes_the_smallest_neighbour_with_it() -> None:
    # 100 = 4 + 40 + 56: with 40 and 56 printed, 4 would be the difference; 40 becomes "about 40", so 4 may be 2 to 6
    decisions = decide(row(100, 4, 40, 56))
    assert states(decisions, 3) == ["small", "rounded", "exact"]
    assert decisions.value(("part", "1")) == 40


def test_rounding_that_would_not_help_becomes_withholding() -> None:
    # 24 = 4 + 20: about 20 means 18 to 22, but the small count is at most 6 then; 24 - 18 = 6 and 24 - 22 = 2: enough.
    assert states(decide(row(24, 4, 20)), 2) == ["small", "rounded"]
    # 26 = 4 + 22 is helped by rounding; 30 = 10 + 20 is not: about 20 means 18 to 22, but 30 - 18 is no small count,
    # so the other would be 8 to 10. And 11 is never rounded, as about 10 would look small.
    assert states(decide(row(30, 10, 20)), 2) == ["small", "withheld"]
    assert states(decide(row(21, 10, 11)), 2) == ["small", "withheld"]


def test_a_remainder_that_is_printed_nowhere_is_protected_too() -> None:
    ledger = Ledger(MINIMUM)
    ledger.add(("patients",), 100, weight=100)
    ledger.add(("seen",), 97)
    ledger.part_of(("seen",), ("patients",))
    assert decide(ledger).state(("seen",)) == "rounded"  # 3 not seen; 95 to 97 leaves 3 to 5, "about 95" 93 to 97


def test_equal_counts_give_each_other_away() -> None:
    ledger = Ledger(MINIMUM)
    for key, value in ((("a",), 40), (("b",), 40), (("all",), 45)):
        ledger.add(key, value, weight=100 if key == ("all",) else 1)
    ledger.part_of(("a",), ("b",))
    ledger.part_of(("b",), ("all",))
    decisions = decide(ledger)
    assert decisions.state(("a",)) != "exact"
    assert decisions.state(("b",)) != "exact"


def test_a_count_that_was_never_entered_cannot_be_asked_for() -> None:
    ledger = row(60, 20, 40)
    ledger.add(("hidden",), 5, "hidden")
    decisions = decide(ledger)
    for key in (("unknown",), ("hidden",)):
        with pytest.raises(DisclosureError, match="not entered for printing"):
            decisions.state(key)


def test_a_withheld_count_has_no_value() -> None:
    with pytest.raises(DisclosureError, match="withheld"):
        decide(row(64, 4, 30, 30)).value(("part", "0"))


@pytest.mark.parametrize("wrong", [(("total",), 61), (("part", "0"), -1)])
def test_contradictions_between_tables_are_refused_without_naming_a_value(wrong: tuple[tuple[str, ...], int]) -> None:
    ledger = row(60, 20, 40)
    with pytest.raises(DisclosureError) as error:
        ledger.add(*wrong)
    assert not any(str(value) in str(error.value) for value in (20, 40, 60, 61))


def test_parts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DisclosureError, match="do not add up"):
        row(60, 20, 41)


@given(st.integers(0, 10_000))
def test_rounding_is_to_the_nearest_five(value: int) -> None:
    assert round_count(value) % 5 == 0
    assert abs(round_count(value) - value) <= 2


# --------------------------------------------------------------------------------------------------------------- attack


def attack(ledger: Ledger, printed: dict[tuple[str, ...], tuple[float, float]], target: tuple[str, ...]) -> float:
    """Width of the range that an attacker can narrow a count to, by integer programming over all relations.

    `printed` gives what the report says of each count as bounds; counts that it does not mention are 0 or more.
    """
    names = list(ledger.counts)
    place = {name: number for number, name in enumerate(names)}
    matrix = np.zeros((len(ledger.relations), len(names)))
    for line, relation in enumerate(ledger.relations):
        for name, coefficient in relation.items():
            matrix[line, place[name]] = coefficient
    low = [printed.get(name, (0, np.inf))[0] for name in names]
    high = [printed.get(name, (0, np.inf))[1] for name in names]
    ends = []
    for sign in (1, -1):
        cost = np.zeros(len(names))
        cost[place[target]] = sign
        solved = milp(
            cost, constraints=LinearConstraint(matrix, 0, 0), bounds=(low, high), integrality=np.ones(len(names))
        )
        ends.append(sign * solved.fun if solved.status == 0 else np.inf)
    return float(abs(ends[1] - ends[0]))


def as_printed(ledger: Ledger, decisions: Decisions | None) -> dict[tuple[str, ...], tuple[float, float]]:
    """What a reader sees; without decisions, of a report that withholds small counts only (the ungated control)."""
    seen: dict[tuple[str, ...], tuple[float, float]] = {}
    for key, count in ledger.counts.items():
        if count.role != "printed":
            continue
        is_small = 1 <= count.value < MINIMUM
        state = decisions.state(key) if decisions else ("small" if is_small else "exact")
        rounded = round_count(count.value)
        seen[key] = {
            "exact": (count.value, count.value),
            "rounded": (max(MINIMUM, rounded - 2), rounded + 2),
            "withheld": (MINIMUM, np.inf),
            "small": (1, MINIMUM - 1),
        }[state]
    return seen


def two_way(table: list[list[int]]) -> Ledger:
    """A table with row totals, column totals and a grand total, all printed."""
    ledger = Ledger(MINIMUM)
    rows, columns = range(len(table)), range(len(table[0]))
    for i in rows:
        for j in columns:
            ledger.add(("cell", str(i), str(j)), table[i][j])
    for i in rows:
        ledger.add(("row", str(i)), sum(table[i]), weight=5)
        ledger.sum_of(("row", str(i)), [("cell", str(i), str(j)) for j in columns])
    for j in columns:
        ledger.add(("column", str(j)), sum(line[j] for line in table), weight=5)
        ledger.sum_of(("column", str(j)), [("cell", str(i), str(j)) for i in rows])
    ledger.add(("all",), sum(map(sum, table)), weight=50)
    ledger.sum_of(("all",), [("row", str(i)) for i in rows])
    return ledger


def sensitive(ledger: Ledger) -> list[tuple[str, ...]]:
    return [k for k, c in ledger.counts.items() if c.role != "slack" and 1 <= c.value < MINIMUM]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 45), min_size=3, max_size=3), min_size=3, max_size=4))
def test_integer_programming_recovers_no_cell_of_a_two_way_table(table: list[list[int]]) -> None:
    ledger = two_way(table)
    printed = as_printed(ledger, decide(ledger))
    for key in sensitive(ledger):
        assert attack(ledger, printed, key) >= 1, "a small count can be worked out"


def test_the_same_attack_recovers_cells_of_an_ungated_table() -> None:
    # each row and column holds one small count: the totals give all three away
    ledger = two_way([[4, 30, 40], [25, 7, 33], [41, 22, 9]])
    control = as_printed(ledger, None)
    assert [attack(ledger, control, key) for key in sensitive(ledger)] == [0, 0, 0]
    gated = as_printed(ledger, decide(ledger))
    assert min(attack(ledger, gated, key) for key in sensitive(ledger)) >= 3


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 200), st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_no_difference_of_nested_counts_is_recovered(patients: int, falls: list[int]) -> None:
    """Stricter and stricter thresholds: each responder count lies within the one before."""
    ledger = Ledger(MINIMUM)
    ledger.add(("n", "0"), patients, weight=100)
    left = patients
    for number, fall in enumerate(falls, 1):
        left = max(0, left - fall)
        ledger.add(("n", str(number)), left)
        ledger.part_of(("n", str(number)), ("n", str(number - 1)))
    printed = as_printed(ledger, decide(ledger))
    for key in sensitive(ledger):
        assert attack(ledger, printed, key) >= 1


def test_a_group_of_an_owners_patients_alone_hides_nobody_from_it() -> None:
    """All 8 of a tier are A's, so that what A knows of them is of its own; B's 3 of another tier stay hidden from A."""
    ledger = Ledger(11)
    for tier, sizes in (("alone", (8, 0)), ("shared", (20, 3))):
        for site, size in zip("AB", sizes, strict=True):
            ledger.add((site, tier), size, owner=site)
        ledger.add((tier,), sum(sizes))
        ledger.sum_of((tier,), [("A", tier), ("B", tier)])
    ledger.add(("male",), 5)
    ledger.part_of(("male",), ("alone",))
    decisions = decide(ledger)
    assert [decisions.state(key) for key in (("alone",), ("male",), ("B", "shared"))] == ["small"] * 3
    assert decisions.state(("shared",)) != "exact"  # A would take its 20 from 23


@pytest.mark.parametrize("is_owned", [True, False])
def test_an_owner_cannot_take_its_own_from_a_total(is_owned: bool) -> None:
    """Of 15 and 7 patients, who knows the 15 reads the 7 off a total of 22, unless that is not told exactly."""
    ledger = Ledger(11)
    for site, size in (("A", 15), ("B", 7)):
        for tier, share in (("low", size), ("high", 40)):
            ledger.add((site, tier), share, owner=site if is_owned else None)
    for tier in ("low", "high"):
        ledger.add((tier,), sum(ledger.counts[site, tier].value for site in "AB"), weight=9.0)
        ledger.sum_of((tier,), [("A", tier), ("B", tier)])
    decisions = decide(ledger)
    assert decisions.state(("B", "low")) == "small"
    assert (decisions.state(("low",)) == "exact") != is_owned
