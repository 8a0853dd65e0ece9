"""Completeness over the years of enrolment, of patients counted on paper."""

from collections.abc import Iterable

import polars as pl
import pytest

from pipelines.analyses.completeness import completeness_trend
from pipelines.protocol import Protocol

Visit = tuple[str, bool, bool, bool]  # window, due, alive, seen
PLACE = ("span", "period", "site_id", "expected", "observed")


def tables(*patients: tuple[str, int | None, int | None, Iterable[Visit]]) -> dict[str, pl.DataFrame]:
    """Site, year and quarter of enrolment, and visits of leg pain of each patient."""
    subjects = [
        {"episode_id": f"e{k}", "enrolment_year": year, "enrolment_quarter": quarter}
        for k, (_, year, quarter, _) in enumerate(patients)
    ]
    visits = [
        {"episode_id": f"e{k}", "site_id": site, "instrument": "nrs_leg", "visit_window": window, "is_due": due,
         "is_alive": alive, "is_observed": seen}
        for k, (site, _, _, found) in enumerate(patients) for window, due, alive, seen in found
    ]  # fmt: skip
    frame = pl.DataFrame(visits)
    schema = {"episode_id": pl.String, "enrolment_year": pl.Int64, "enrolment_quarter": pl.Int64}
    return {
        "analysis.subjects": pl.DataFrame(subjects, schema=schema),
        "analysis.scores": frame,
        "analysis.walking_tests": frame.clear(),
    }


SEEN, MISSED = ("12m", True, True, True), ("12m", True, True, False)
OPEN, DEAD = ("12m", False, True, True), ("12m", True, False, True)


def rows(frame: pl.DataFrame, window: str = "12m") -> list[tuple[object, ...]]:
    return frame.filter(window=window).select(PLACE).rows()


def test_closed_windows_of_the_living_are_counted_by_year_and_by_site(protocol: Protocol) -> None:
    """2020: A seen and missed, B seen. 2021: A missed; a window still open and a patient who had died do not count."""
    found = completeness_trend(
        tables(
            ("A", 2020, None, [SEEN]),
            ("A", 2020, None, [MISSED]),
            ("B", 2020, None, [SEEN]),
            ("A", 2021, None, [MISSED]),
            ("A", 2021, None, [OPEN]),
            ("B", 2021, None, [DEAD]),
        ),
        protocol,
    )
    assert rows(found) == [
        ("year", "2020", None, 3, 2),
        ("year", "2021", None, 1, 0),
        ("year", "2020", "A", 2, 1),
        ("year", "2021", "A", 1, 0),
        ("year", "2020", "B", 1, 1),
    ]
    assert found["estimate"].to_list() == pytest.approx([2 / 3, 0, 1 / 2, 0, 1])


def test_the_limits_are_those_of_wilson(protocol: Protocol) -> None:
    """81 of 263: Newcombe 1998, table I, method 3 gives 0.2553 to 0.3662."""
    found = completeness_trend(
        tables(*[("A", 2020, None, [SEEN])] * 81, *[("A", 2020, None, [MISSED])] * 182), protocol
    )
    assert found.select("ci_low", "ci_high").row(0) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_sites_stand_at_the_outcomes_own_window_only(protocol: Protocol) -> None:
    found = completeness_trend(tables(("A", 2020, None, [SEEN, ("6w", True, True, True)])), protocol)
    assert rows(found, "6w") == [("year", "2020", None, 1, 1)]
    assert rows(found) == [("year", "2020", None, 1, 1), ("year", "2020", "A", 1, 1)]


def test_quarters_stand_beside_years_where_each_is_known(protocol: Protocol) -> None:
    known = [("A", 2020, 1, [SEEN]), ("A", 2020, 4, [MISSED]), ("A", 2020, 4, [SEEN])]
    assert rows(completeness_trend(tables(*known), protocol)) == [
        ("year", "2020", None, 3, 2),
        ("quarter", "2020 Q1", None, 1, 1),
        ("quarter", "2020 Q4", None, 2, 1),
        ("year", "2020", "A", 3, 2),
    ]
    found = completeness_trend(tables(*known, ("A", 2021, None, [SEEN])), protocol)
    assert found["span"].unique().to_list() == ["year"]


def test_a_patient_whose_year_is_not_known_is_counted_apart(protocol: Protocol) -> None:
    found = completeness_trend(tables(("A", None, None, [SEEN]), ("A", 2020, None, [MISSED])), protocol)
    assert rows(found)[:2] == [("year", "2020", None, 1, 0), ("year", "not known", None, 1, 1)]


def test_nobody_due_gives_no_row(protocol: Protocol) -> None:
    assert completeness_trend(tables(("A", 2020, None, [OPEN])), protocol).is_empty()


def test_an_outcome_asked_about_at_two_visits_is_counted_once(protocol: Protocol) -> None:
    twice = [{"outcome": "nrs_leg", "window": "3m"}, {"outcome": "nrs_leg", "window": "12m"}]
    asked = protocol.with_overrides({"primary.outcomes": twice})
    early = ("3m", True, True, True)
    found = completeness_trend(tables(("A", 2020, None, [early, SEEN]), ("A", 2020, None, [MISSED])), asked)
    assert rows(found) == [("year", "2020", None, 2, 1), ("year", "2020", "A", 2, 1)]
    assert rows(found, "3m") == [("year", "2020", None, 1, 1), ("year", "2020", "A", 1, 1)]
