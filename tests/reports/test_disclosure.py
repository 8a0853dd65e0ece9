"""An attack on the report as a reader would make it: from printed tables alone, by integer programming.

The attacker knows what anyone knows who reads the report: that levels add up to the tier's patients, that those left
out and those remaining add up, that a stricter threshold is met by fewer, and what `<11`, `≈` and `–†` stand for. The
relations below are written down here from the meaning of the tables, not taken from the code that withholds.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from reports.conftest import Cohort
from scipy.optimize import LinearConstraint, milp

from pipelines.protocol import Protocol
from pipelines.reports import Study, build_report, gate, render_html, report_of, site_names, site_report
from pipelines.reports.balance import is_of_counts, shown_difference
from pipelines.reports.content import Document, Panel, Shown, Table, exhibits
from pipelines.reports.earlier import decisions_before, printed
from pipelines.reports.figures import curves, marks, trajectories
from pipelines.reports.figures.marks import Series
from pipelines.reports.figures.overlap import OverlapArm
from pipelines.reports.ledger import Decisions, Key, Ledger
from pipelines.reports.sections import balance

Bounds = tuple[float, float]


def read_cell(text: str) -> Bounds | None:
    """What a printed cell says of its count."""
    if text.startswith("<11"):
        return (1, 10)
    if text == "–†":
        return (11, np.inf)
    found = re.match(r"(≈?)([\d,]+)(?![.\d])", text)
    if not found or "–" in text[:1]:
        return None
    value = int(found[2].replace(",", ""))
    return (max(11, value - 2), value + 2) if found[1] else (value, value)


class Attack:
    """Counts with what the report says of them, and relations between them."""

    def __init__(self) -> None:
        self.bounds: dict[str, Bounds] = {}
        self.rows: list[dict[str, int]] = []
        self.years: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)  # what, outcome, visit, site: by period

    def know(self, name: str, bounds: Bounds | None) -> str:
        low, high = self.bounds.get(name, (0, np.inf))
        if bounds is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        self.bounds[name] = (low, high)
        return name

    def add_up(self, total: str, *parts: str) -> None:
        self.rows.append({total: -1} | dict.fromkeys(parts, 1))

    def within(self, part: str, whole: str) -> str:
        rest = self.know(f"{whole} without {part}", None)
        self.add_up(whole, part, rest)
        return rest

    def around(self, target: str) -> tuple[list[str], list[dict[str, int]]]:
        """The counts and relations that hang together with one count, leaving out what is known exactly."""
        open_names = {n for n, (low, high) in self.bounds.items() if low != high}
        by_name: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(self.rows):
            for name in row:
                by_name[name].append(number)
        names, waiting, taken = {target}, [target], set[int]()
        for name in waiting:
            for number in by_name[name]:
                if number not in taken:
                    taken.add(number)
                    fresh = [n for n in self.rows[number] if n in open_names and n not in names]
                    names |= set(fresh)
                    waiting += fresh
        rows = [self.rows[number] for number in sorted(taken)]
        return sorted({n for row in rows for n in row} | {target}), rows

    def range_of(self, target: str) -> Bounds:
        names, rows = self.around(target)
        place = {name: k for k, name in enumerate(names)}
        matrix = np.zeros((max(1, len(rows)), len(names)))
        for line, row in enumerate(rows):
            for name, coefficient in row.items():
                matrix[line, place[name]] = coefficient
        bounds = np.array([self.bounds[name] for name in names]).clip(-1e6, 1e6)
        ends = []
        for sign in (1, -1):
            cost = np.zeros(len(names))
            cost[place[target]] = sign
            constraint = LinearConstraint(matrix, 0, 0)
            solved = milp(
                cost, constraints=constraint, bounds=(bounds[:, 0], bounds[:, 1]), integrality=np.ones(len(names))
            )
            assert solved.status == 0, "the relations contradict what is printed"
            ends.append(sign * float(solved.fun))
        return ends[0], ends[1]


def table(document: Document, anchor: str) -> Table:
    return next(e for e in exhibits(document.sections) if isinstance(e, Table) and e.anchor == anchor)


def rows_of(printed: Table) -> Iterator[tuple[str, str, list[str]]]:
    """Group, header and cells of each row."""
    group = ""
    for row in printed.rows:
        if row.kind == "group":
            group = str(row.cells[0])
        else:
            yield group, str(row.cells[0]), [str(cell) for cell in row.cells[1:]]


def attack_on(document: Document, protocol: Protocol, *of_sites: Document) -> tuple[Attack, list[str]]:
    """The attacker's problem, from the network's report and those of sites, and the counts worth attacking."""
    attack = Attack()
    tiers = [t.short_label for t in protocol.tiers]
    characteristics = table(document, "table-1")
    lines = list(rows_of(characteristics))
    for tier, cell in zip(tiers, lines[0][2], strict=False):
        attack.know(f"patients {tier}", read_cell(cell))
    _levels(attack, lines[1:], protocol, tiers)
    _flow(attack, table(document, "table-flow"), tiers)
    _splits(attack, document, tiers)
    _responders(attack, table(document, "table-responders"), protocol, tiers)
    _completeness(attack, table(document, "table-completeness"), tiers)
    _visits_kept(attack, table(document, "table-missing-patterns"), tiers)
    for one in (document, *of_sites):
        _sites(attack, one, tiers)
        _over_years(attack, one)
    _due_is_due(attack)
    _years_add_up(attack, tiers)
    _sites_add_up(attack, document, tiers)
    targets = [n for n, b in attack.bounds.items() if b == (1, 10)]
    return attack, targets


def _levels(attack: Attack, lines: list[tuple[str, str, list[str]]], protocol: Protocol, tiers: list[str]) -> None:
    labels = {level.capitalize() for c in protocol.covariates for level in c.levels}
    booleans = {c.label for c in protocol.covariates if c.kind == "boolean"}
    owner = ""
    members: dict[str, list[str]] = {}
    for _, header, cells in lines:
        if header not in labels:
            owner = header
        for tier, cell in zip(tiers, cells, strict=False):
            whole = f"patients {tier}"
            if header in booleans:
                attack.within(attack.know(f"{header} {tier}", read_cell(cell)), whole)
            elif header in labels:
                name = attack.know(f"{owner} {header} {tier}", read_cell(cell))
                members.setdefault(f"{owner}|{tier}", []).append(name)
    for key, names in members.items():
        missing = attack.know(f"missing {key}", None)
        attack.add_up(f"patients {key.split('|')[1]}", *names, missing)


def _flow(attack: Attack, printed: Table, tiers: list[str]) -> None:
    before: dict[str, str] = {}
    for step, (_, header, cells) in enumerate(rows_of(printed)):
        for tier, cell in zip(tiers, cells, strict=False):
            name = attack.know(f"flow {step} {tier}", read_cell(cell))
            if header.startswith("Left out"):
                before[f"out {tier}"] = name
            else:
                if tier in before:
                    attack.add_up(before[tier], before[f"out {tier}"], name)
                before[tier] = name
    for tier in tiers:
        attack.add_up(before[tier], f"patients {tier}")


def _splits(attack: Attack, document: Document, tiers: list[str]) -> None:
    """Tables whose rows or columns add up: next tier, reasons for stopping, rows read."""
    for (_, _, cells), tier in zip(rows_of(table(document, "table-crossover")), tiers, strict=False):
        names = [attack.know(f"next {k} {tier}", read_cell(c)) for k, c in enumerate(cells[1:]) if c]
        attack.add_up(f"patients {tier}", *names)
    lines = list(rows_of(table(document, "table-stops-spwt")))
    for k, tier in enumerate(tiers):
        total = attack.know(f"walks {tier}", read_cell(lines[0][2][k]))
        attack.add_up(total, *[attack.know(f"stop {h} {tier}", read_cell(c[k])) for _, h, c in lines[1:]])
    for _, header, cells in rows_of(table(document, "table-ingest")):
        read, accepted, refused = (attack.know(f"{header} {k}", read_cell(c)) for k, c in enumerate(cells))
        attack.add_up(read, accepted, refused)


def _responders(attack: Attack, printed: Table, protocol: Protocol, tiers: list[str]) -> None:
    """Fractions `45/198`: responders lie within those counted, those counted within the tier; strict within loose."""
    strictness = {"≥2 points better (MCID)": 2.0, "≥2.5 points better (SCB)": 2.5, "≥30": 30.0, "≥50": 50.0}
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for group, header, cells in rows_of(printed):
        for tier, cell in zip(tiers, cells, strict=False):
            parts = cell.split("\u2002")[0].split("/")
            hits = attack.know(f"hits {group} {tier}", read_cell(parts[0]))
            if len(parts) == 2:
                base = attack.know(f"counted {group} {header} {tier}", read_cell(parts[1]))
                attack.within(hits, base)
                attack.within(base, f"patients {tier}")
            value = next((v for name, v in strictness.items() if group.startswith(name)), None)
            if value is not None:
                found.setdefault((tier, "percent" if value > 10 else "points"), []).append((value, hits))
    for chain in found.values():
        for (_, loose), (_, strict) in pairwise(sorted(set(chain))):
            attack.within(strict, loose)


def _completeness(attack: Attack, printed: Table, tiers: list[str]) -> None:
    for group, header, cells in rows_of(printed):
        for tier, cell in zip(tiers, cells, strict=False):
            parts = cell.split("\u2002")[0].split("/")
            if len(parts) == 2:
                seen = attack.know(f"seen {group} {header} {tier}", read_cell(parts[0]))
                due = attack.know(f"due {group} {header} {tier}", read_cell(parts[1]))
                attack.within(seen, due)
                attack.within(due, f"patients {tier}")


def _over_years(attack: Attack, document: Document) -> None:
    """The network's rows are years under an outcome's name; a site's are years with a column for it and for all."""
    for exhibit in exhibits(document.sections):
        if not isinstance(exhibit, Table) or exhibit.anchor != "table-completeness-trend":
            continue
        for group, period, cells in rows_of(exhibit):
            for column, cell in zip(exhibit.columns[1:], cells, strict=True):
                site = column.header.removeprefix("Site ") if column.group else "All sites"
                place = tuple(column.group.split(", ")) if column.group else (group, column.header)
                _year(attack, (*place, site if site != "All sites" else "network"), period, cell)


def _year(attack: Attack, group: tuple[str, ...], period: str, cell: str) -> None:
    parts = cell.split("\u2002")[0].split("/")
    names = [f"{what} {' '.join(group)} in {period}" for what in ("seen", "due")]
    for name, part in zip(names, parts if len(parts) == 2 else ("0", "0"), strict=True):
        attack.know(name, read_cell(part))
    attack.within(*names)
    for what, name in zip(("seen", "due"), names, strict=True):
        attack.years[what, *group].setdefault(period, name)


def _due_is_due(attack: Attack) -> None:
    """Who is due does not depend on the instrument, and who is due at a visit was due at the one before."""
    lines: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in attack.bounds:
        found = re.fullmatch(r"due (Leg pain|Back pain|ODI|Walking distance) (\d+ \w+) (.+)", name)
        if found:
            lines[found[3], ""][found[2]].append(name)
    for visits in lines.values():
        for names in visits.values():
            for one, other in pairwise(names):
                attack.add_up(one, other)
        ordered = [visits[v][0] for v in ("6 weeks", "3 months", "6 months", "12 months", "24 months") if v in visits]
        for earlier, later in pairwise(ordered):
            attack.within(later, earlier)


def _years_add_up(attack: Attack, tiers: list[str]) -> None:
    """Years split those of all tiers, years of a site the site's own, and sites a year."""
    for (what, outcome, visit, group), years in list(attack.years.items()):
        total = attack.know(f"total {what} {outcome} {visit} {group}", None)
        attack.add_up(total, *years.values())
        if group == "network":
            attack.add_up(total, *[attack.know(f"{what} {outcome} {visit} {tier}", None) for tier in tiers])
        else:
            place = ["Leg pain", "Walking distance"].index(outcome)
            attack.add_up(total, attack.know(f"{what} {place} {group}", None))
    of_sites = sorted({(o, v) for _, o, v, group in attack.years if group != "network"})
    for outcome, visit in of_sites:
        for what in ("seen", "due"):
            network = attack.years[what, outcome, visit, "network"]
            sites = [g for w, o, v, g in attack.years if (w, o, v) == (what, outcome, visit) and g != "network"]
            known = set(re.findall(r"\bS\d\d\b", " ".join(n for n in attack.bounds if n.startswith("at S"))))
            for period, name in network.items() if set(sites) == known else ():
                attack.add_up(name, *[attack.years[what, outcome, visit, site][period] for site in sites])


def _visits_kept(attack: Attack, printed: Table, tiers: list[str]) -> None:
    """Four kinds of patterns add up to the patients whose visits were all due, who lie within the tier."""
    lines = list(rows_of(printed))
    for first in range(0, len(lines), 5):
        outcome = lines[first][1]
        for k, tier in enumerate(tiers):
            whole = attack.know(f"all due {outcome} {tier}", read_cell(lines[first][2][k]))
            kinds = [attack.know(f"{h} {outcome} {tier}", read_cell(c[k])) for _, h, c in lines[first + 1 : first + 5]]
            attack.add_up(whole, *kinds)
            attack.within(whole, f"patients {tier}")


INDICATORS = "table-sites-"
RESPONSE = ("nrs-leg-mcid-at-12m", "≥2 points better (MCID)", "Of those seen", "Leg pain", "12 months")


def _sites(attack: Attack, document: Document, tiers: list[str]) -> None:
    """What a report says of each site that it names: volumes, indicators, visits due and seen."""
    for _, site, cells in rows_of(table(document, "table-volumes")):
        if site != "Network":
            names = [attack.know(f"at {site} {tier}", read_cell(c)) for tier, c in zip(tiers, cells[1:], strict=False)]
            attack.add_up(attack.know(f"at {site}", read_cell(cells[0])), *names)
    for exhibit in exhibits(document.sections):
        if isinstance(exhibit, Table) and exhibit.anchor.startswith(INDICATORS):
            indicator = exhibit.anchor.removeprefix(INDICATORS)
            heads = [column.header for column in exhibit.columns[1:]]
            for _, site, cells in rows_of(exhibit):
                _indicator(attack, indicator, site, dict(zip(heads, cells, strict=True)))
    for _, site, cells in rows_of(table(document, "table-sites")):
        for visit, cell in enumerate(cells):
            parts = cell.split("\u2002")[0].split("/")
            if len(parts) == 2:
                seen = attack.know(f"seen {visit} {site}", read_cell(parts[0]))
                due = attack.know(f"due {visit} {site}", read_cell(parts[1]))
                attack.within(seen, due)


def _indicator(attack: Attack, indicator: str, site: str, cells: dict[str, str]) -> None:
    """Those with the event are some of those judged, who are some of those due, who are some of the site's."""
    base = attack.know(f"{indicator} n {site}", read_cell(cells["Patients"]))
    attack.within(attack.know(f"{indicator} hits {site}", read_cell(cells["Observed"])), base)
    if "Response" not in cells:
        attack.within(base, f"at {site}")
        return
    due = attack.know(f"{indicator} due {site}", None)
    attack.within(base, due)
    attack.within(due, f"at {site}")
    share = re.match(r"(\d+)\s*%$", cells["Response"])
    low, high = attack.bounds[base]
    if share and low == high:  # an exact percentage of an exact number
        percent = int(share[1])
        attack.know(due, (np.ceil(low / (percent + 0.5) * 100 - 1e-9), np.floor(low / (percent - 0.5) * 100 + 1e-9)))


def _sites_add_up(attack: Attack, document: Document, tiers: list[str]) -> None:
    """Sites and tiers split the same patients: those treated, those judged, those who responded, those due."""
    sites = [site for _, site, _ in rows_of(table(document, "table-volumes")) if site != "Network"]
    for tier in tiers:
        attack.add_up(f"patients {tier}", *[f"at {site} {tier}" for site in sites])
    indicator, threshold, seen, outcome, visit = RESPONSE
    by_tier_and_site = (
        ([f"hits {threshold} {tier}" for tier in tiers], [f"{indicator} hits {site}" for site in sites]),
        ([f"counted {threshold} {seen} {tier}" for tier in tiers], [f"{indicator} n {site}" for site in sites]),
        ([f"due {outcome} {visit} {tier}" for tier in tiers], [f"due 0 {site}" for site in sites]),
        ([f"seen {outcome} {visit} {tier}" for tier in tiers], [f"seen 0 {site}" for site in sites]),
    )
    for number, (by_tier, by_site) in enumerate(by_tier_and_site):
        for name in (*by_tier, *by_site):
            attack.know(name, None)
        total = attack.know(f"total {number}", None)
        attack.add_up(total, *by_tier)
        attack.add_up(total, *by_site)


def recovered(attack: Attack, targets: list[str]) -> list[str]:
    """Small counts that are pinned to a single value from 1 to 10."""
    ends = {name: attack.range_of(name) for name in targets}
    return [name for name, (low, high) in ends.items() if low == high and 1 <= low <= 10]


def of_all_sites(study: Study) -> list[Document]:
    return [site_report(study, site) for site in site_names(study)]


def is_of(name: str, site: str) -> bool:
    """Whether the attacked count or remainder is of this site's patients."""
    return bool(re.search(rf"\b{site}\b", name))


def insider(attack: Attack, truth: Attack, site: str) -> Attack:
    """The same attacker at one site, who knows that site's own numbers, each of them."""
    knowing = Attack()
    knowing.rows = attack.rows
    knowing.bounds = attack.bounds | {
        name: truth.range_of(name) for name in attack.bounds if is_of(name, site) and " without " not in name
    }
    return knowing


def recovered_by(attack: Attack, truth: Attack, site: str) -> list[str]:
    """Small counts of other sites, remainders too, that one site can work out from the reports and its own numbers."""
    knowing = insider(attack, truth, site)
    others = [n for n in knowing.bounds if re.search(r"\bS\d\d\b", n) and not is_of(n, site)]
    return recovered(knowing, [n for n in others if knowing.bounds[n][0] != knowing.bounds[n][1]])


@pytest.fixture(scope="module")
def gated(small_document: Document) -> Document:
    return small_document


def test_the_attack_recovers_no_small_count_from_the_report(gated: Document, protocol: Protocol) -> None:
    attack, targets = attack_on(gated, protocol)
    assert len(targets) > 40, "the small cohort ought to have many small counts"
    assert recovered(attack, targets) == []


def test_the_networks_report_and_those_of_all_sites_together_give_no_small_count_away(
    small_study: Study, gated: Document, protocol: Protocol
) -> None:
    attack, targets = attack_on(gated, protocol, *of_all_sites(small_study))
    assert len([name for name in targets if re.search(r"\bS0\d\b", name)]) > 30
    remainders = [name for name in attack.bounds if " without " in name]
    assert recovered(attack, [*targets, *remainders]) == []


@pytest.mark.parametrize("site", ["S01", "S07"])
def test_a_site_that_takes_its_own_patients_away_learns_no_small_count_of_another(
    small_study: Study, gated: Document, protocol: Protocol, bare: Attack, site: str
) -> None:
    attack, _ = attack_on(gated, protocol, *of_all_sites(small_study))
    assert recovered_by(attack, bare, site) == []


@pytest.fixture(scope="module")
def two_sites(protocol: Protocol) -> Cohort:
    """The hardest case: what is not one's own is the other's."""
    return Cohort(300, sites=2)


@pytest.fixture(scope="module")
def bare(small_cohort: Cohort, protocol: Protocol) -> Attack:
    """What sites know of themselves: the same tables with nothing withheld."""
    return _bare(small_cohort, protocol)


def only_small(ledger: Ledger) -> Decisions:
    """A gate that withholds small counts and nothing for their sake."""
    small = {k for k, c in ledger.counts.items() if c.role == "printed" and 1 <= c.value < ledger.minimum}
    return Decisions(ledger, frozenset(small), frozenset(), frozenset())


def _bare(cohort: Cohort, protocol: Protocol) -> Attack:
    nothing: frozenset[Key] = frozenset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "decide", lambda ledger: Decisions(ledger, nothing, nothing, nothing))
        study = Study(cohort.read, protocol)
        return attack_on(report_of(study), protocol, *of_all_sites(study))[0]


def test_of_two_sites_neither_learns_a_small_count_of_the_other(two_sites: Cohort, protocol: Protocol) -> None:
    study = Study(two_sites.read, protocol)
    attack, _ = attack_on(report_of(study), protocol, *of_all_sites(study))
    bare = _bare(two_sites, protocol)
    assert [recovered_by(attack, bare, site) for site in ("S01", "S02")] == [[], []]


def test_years_of_enrolment_of_two_sites_give_no_small_count_away_and_would_if_only_small_ones_were_hidden(
    two_sites: Cohort, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_years() -> list[str]:
        study = Study(two_sites.read, protocol)
        attack, _ = attack_on(report_of(study), protocol, *of_all_sites(study))
        open_ones = [name for name, (low, high) in attack.bounds.items() if " in 20" in name and low != high]
        assert len(open_ones) > 50
        return recovered(attack, open_ones)

    assert of_years() == []
    monkeypatch.setattr(gate, "decide", only_small)
    assert len(of_years()) >= 5


def test_the_attack_finds_no_remainder_of_one_to_ten(gated: Document, protocol: Protocol) -> None:
    """Counts that the report prints nowhere: those not due, not seen, without a value."""
    attack, _ = attack_on(gated, protocol)
    remainders = [name for name in attack.bounds if " without " in name or name.startswith("missing")]
    assert recovered(attack, remainders) == []


def test_the_same_attack_recovers_counts_from_an_ungated_report(
    small_cohort,  # type: ignore[no-untyped-def]
    protocol: Protocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "decide", only_small)
    attack, targets = attack_on(build_report(small_cohort.read, protocol), protocol)
    remainders = [name for name in attack.bounds if " without " in name]
    assert len(recovered(attack, targets)) >= 5
    assert len(recovered(attack, remainders)) >= 5


# --------------------------------------------------------------------------------------- two reports, one after another


def attack_on_both(earlier: Document, later: Document, protocol: Protocol) -> tuple[Attack, list[str]]:
    """The attacker holds two reports; what one count changed by between them is of those who came or went."""
    both = Attack()
    for name, document in (("earlier", earlier), ("later", later)):
        one, _ = attack_on(document, protocol)
        for count, bounds in one.bounds.items():
            both.know(f"{name} {count}", bounds)
        both.rows += [{f"{name} {count}": weight for count, weight in row.items()} for row in one.rows]
    targets = []
    for count in [n.removeprefix("later ") for n in both.bounds if n.startswith("later ")]:
        if f"earlier {count}" in both.bounds and " without " not in count:
            change = both.know(f"change of {count}", None)
            both.bounds[change] = (-np.inf, np.inf)
            both.add_up(f"later {count}", f"earlier {count}", change)
            targets.append(change)
    return both, targets


def changes_recovered(attack: Attack, targets: list[str]) -> list[str]:
    """Changes that both reports together pin to one value from 1 to 10, up or down."""
    ends = {name: attack.range_of(name) for name in targets}
    return [name for name, (low, high) in ends.items() if low == high and 1 <= abs(low) <= 10]


@pytest.fixture(scope="module")
def two_studies(earlier_cohort, small_cohort, protocol: Protocol) -> tuple[Study, Study]:  # type: ignore[no-untyped-def]
    """Two releases, the gate of the second knowing what was kept of the first one's report."""
    earlier = Study(earlier_cohort.read, protocol)
    kept = decisions_before(earlier_cohort.read, protocol, printed(earlier.gate.decisions))
    return earlier, Study(small_cohort.read, protocol, kept)


def test_two_reports_together_give_no_small_change_and_no_small_count_away(
    two_studies: tuple[Study, Study], protocol: Protocol
) -> None:
    earlier, later = two_studies
    attack, changes = attack_on_both(report_of(earlier), report_of(later), protocol)
    small = [name for name, bounds in attack.bounds.items() if bounds == (1, 10)]
    assert len(changes) > 100
    assert len(small) > 40
    assert changes_recovered(attack, changes) == []
    assert recovered(attack, small) == []


def test_without_looking_back_two_reports_do_give_small_changes_away(
    earlier_cohort,  # type: ignore[no-untyped-def]
    small_document: Document,
    protocol: Protocol,
) -> None:
    earlier = build_report(earlier_cohort.read, protocol)
    attack, changes = attack_on_both(earlier, small_document, protocol)
    assert len(changes_recovered(attack, changes)) >= 5


def test_numbers_at_risk_are_rounded_beside_an_earlier_report(two_studies: tuple[Study, Study]) -> None:
    assert [str(study.gate.at_risk(48)) for study in two_studies] == ["48", "≈50"]


def test_what_is_kept_of_a_report_is_how_counts_were_printed_and_no_count(
    earlier_cohort,  # type: ignore[no-untyped-def]
    two_studies: tuple[Study, Study],
    protocol: Protocol,
) -> None:
    decisions = two_studies[0].gate.decisions
    kept = printed(decisions)
    again = decisions_before(earlier_cohort.read, protocol, kept)
    assert (again.small, again.rounded, again.withheld) == (decisions.small, decisions.rounded, decisions.withheld)
    assert set(json.loads(kept)) == {"small", "rounded", "withheld"}


def test_no_count_from_one_to_ten_is_printed_in_any_table(gated: Document) -> None:
    """Bare counts in data cells; estimates have decimals, limits or a unit, and verdict tables count checks."""
    exempt = {"table-verdicts", "table-checks", "table-withheld", "table-thresholds"}
    for exhibit in exhibits(gated.sections):
        if isinstance(exhibit, Table) and exhibit.anchor not in exempt:
            for _, _, cells in rows_of(exhibit):
                for cell in cells:
                    found = re.match(r"≈?(\d+)(?=$| \(|/)", cell)
                    assert not found or not 1 <= int(found[1]) <= 10, f"{exhibit.anchor} prints a small count"


def test_numbers_under_figures_keep_the_rule_too(
    small_cohort,  # type: ignore[no-untyped-def]
    protocol: Protocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []

    def listen(ax: Axes, series: Sequence[Series], *args: object, **options: object) -> None:
        drawn.extend(p.n.text for one in series for p in one.points if p.n is not None)
        marks.numbers_below(ax, series, *args, **options)  # type: ignore[arg-type]

    for module in (trajectories, curves):
        monkeypatch.setattr(module, "numbers_below", listen)
    build_report(small_cohort.read, protocol)
    found = [int(text.strip("≈").replace(",", "")) for text in drawn if text.strip("≈").replace(",", "").isdigit()]
    assert len(found) > 50
    assert not [n for n in found if 1 <= n <= 10]


def test_bars_of_the_preference_score_hold_nobody_or_enough_and_give_no_finer_bar_away(
    small_cohort,  # type: ignore[no-untyped-def]
    protocol: Protocol,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the shares drawn: bars add up to the tier's patients and the middle lies across them, tenth by tenth."""
    drawn: list[tuple[str, OverlapArm]] = []

    def listen(tier: OverlapArm, reference: OverlapArm, middle: Bounds, title: str, alt: str) -> Panel:
        drawn.extend(((title, tier), (title, reference)))
        return Panel("<svg/>", alt, 86.0, title)

    monkeypatch.setattr(balance, "overlap_panel", listen)
    balance.overlap_figure(Study(small_cohort.read, protocol))
    sizes = {t.short_label: small_cohort.tables["analysis.subjects"].filter(tier=t.name).height for t in protocol.tiers}
    attack, tenths = Attack(), []
    for title, arm in drawn:
        n = sizes[arm.label]
        for one in arm.bins:
            if one.share is not None:
                patients = _patients_of(float(one.share), n)
                assert patients == (0, 0) or patients[1] >= 11
            parts = [f"{title} {arm.label} {k}" for k in range(round(10 * one.low), round(10 * one.high))]
            tenths += [attack.know(part, None) for part in parts]
            known = None if one.share is None else _patients_of(float(one.share), n)
            attack.add_up(attack.know(f"{title} {arm.label} bar {one.low}", known), *parts)
        share = re.fullmatch(r"(≈?)(\d+)\u202f%", arm.middle.text)
        known = _patients_of(int(share[2]) / 100, n) if share else None
        middle = attack.know(f"{title} {arm.label} middle", known)
        attack.add_up(middle, *[f"{title} {arm.label} {k}" for k in range(3, 7)])
    assert len(drawn) >= 4
    assert any(len(arm.bins) < 10 for _, arm in drawn), "nothing had to be merged"
    assert recovered(attack, tenths) == []


def _patients_of(share: float, size: int) -> Bounds:
    """How many patients a share may stand for; 0 stands for nobody, a multiple of five for what is rounded to it."""
    if share == 0:
        return (0, 0)
    low, high = np.ceil((share - 0.005) * size), np.floor((share + 0.005) * size)
    reach = 2 if any(k % 5 == 0 for k in range(int(low), int(high) + 1)) else 0
    return (max(1, low - reach), high + reach)


def test_circles_of_the_love_plot_follow_from_printed_counts_alone(
    small_cohort,  # type: ignore[no-untyped-def]
    protocol: Protocol,
) -> None:
    """Other differences of indicators in the table change no circle: no count can be worked out from one."""

    def circles(read: Callable[[str], pl.DataFrame]) -> dict[tuple[str, str], float | None]:
        study = Study(read, protocol)
        rows = study.snapshot["results.balance"].filter(pl.col("weighting") == "unweighted")
        pairs = {c.name: (c.tier, c.reference) for c in protocol.contrasts}
        return {
            (row["contrast"], row["covariate"]): shown_difference(study, row, *pairs[row["contrast"]])
            for row in rows.iter_rows(named=True)
            if is_of_counts(protocol, row["covariate"])
        }

    def other(name: str) -> pl.DataFrame:
        frame = small_cohort.read(name)
        return frame.with_columns(smd=pl.col("smd") + 0.2) if name == "results.balance" else frame

    found = circles(small_cohort.read)
    assert found == circles(other)
    assert any(value is None for value in found.values())
    assert any(value is not None for value in found.values())


def test_shown_numbers_are_made_by_the_gate_or_count_no_patients(gated: Document) -> None:
    """A data cell that holds a figure is `Shown`; plain strings are words, protocol texts, or the figure 0."""
    for exhibit in exhibits(gated.sections):
        if isinstance(exhibit, Table) and exhibit.source != "protocol":
            for row in exhibit.rows:
                for cell, column in zip(row.cells[1:], exhibit.columns[1:], strict=False):
                    is_public = column.group == "Published"  # read in a paper, not counted here
                    if row.kind != "group" and not isinstance(cell, Shown) and column.align != "left" and not is_public:
                        assert cell in ("", "0", "–") or re.fullmatch(r"[−\d.]+", cell), exhibit.anchor


def test_no_patient_and_no_episode_is_named(gated: Document, small_cohort) -> None:  # type: ignore[no-untyped-def]
    page = render_html(gated)
    subjects = small_cohort.tables["analysis.subjects"]
    assert not any(name in page for column in ("patient_id", "episode_id") for name in subjects[column].to_list())
