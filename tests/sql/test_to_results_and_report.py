"""From hand-made patients through SQL and the analyses to the cell that a committee reads. Answers are on paper.

Each course is lived by a dozen patients or more, since fewer would be withheld. Nobody is lost before 24 months, so
that an incidence is a plain share.
"""

from typing import Any

import polars as pl
import pytest

from pipelines.analyses import ANALYSES, TABLES
from pipelines.protocol import Protocol
from pipelines.reports import Study
from pipelines.reports.content import Table
from pipelines.reports.sections import definitions, failure, occupation, proportional

# ESI: 60 patients. MILD: 40.
COURSES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (12, ("esi 0", "mild 50")),
    (12, ("esi 0", "mild 40", "fusion 400")),
    (12, ("esi 0", "esi 100")),
    (12, ("esi 0", "nrs_leg 0 = 8", "nrs_leg 91 = 4", "nrs_leg 182 = 8")),
    (12, ("esi 0", "nrs_leg 0 = 8", "nrs_leg 91 = 4", "nrs_leg 365 = 4", "death 500")),
    (12, ("mild 10", "laminectomy 160", "infection 170")),
    (12, ("mild 10", "mild 200", "opioid_start 40")),
    (16, ("mild 10", "infection 50")),
)


@pytest.fixture(scope="module")
def tables(cohort_of: Any, ladder: Protocol) -> dict[str, pl.DataFrame]:
    """What the analyses read of the SQL stages, and the result tables of time to failure."""
    cohort, number = cohort_of(ladder), 0
    for patients, records in COURSES:
        for _ in range(patients):
            number += 1
            cohort.patient(f"P{number:03d}", *records)
    names = ("subjects", "time_to_event", "as_treated", "transitions", "symptom_relapses")
    found = {f"analysis.{name}": cohort.table(f"analysis.{name}") for name in names}
    found["results.diagnostics"] = TABLES["diagnostics"].empty
    for name in (
        "cumulative_incidence", "survival_curves", "restricted_times", "relapse_curves", "ladder_occupation",
        "ladder_times", "hazard_ratios", "proportional_hazards", "hazard_ratios_over_time",
    ):  # fmt: skip
        entry = ANALYSES[name]
        found[f"results.{name}"] = entry.run({i: found[i] for i in entry.inputs}, ladder)
    return found


@pytest.fixture(scope="module")
def study(tables: dict[str, pl.DataFrame], ladder: Protocol) -> Study:
    return Study(tables.__getitem__, ladder)


def incidence(tables: dict[str, pl.DataFrame], endpoint: str, tier: str, day: int, cause: str = "event") -> float:
    rows = tables["results.cumulative_incidence"].filter(
        (pl.col("endpoint") == endpoint) & (pl.col("tier") == tier) & (pl.col("cause") == cause)
    )
    return float(rows.filter(pl.col("time_days") <= day).sort("time_days")["estimate"][-1])


@pytest.mark.parametrize(
    ("endpoint", "tier", "day", "share"),
    [
        ("treatment_failure", "esi", 365, 24 / 60),
        ("escalation", "esi", 365, 24 / 60),
        ("failure_or_repeat_injection", "esi", 365, 36 / 60),
        ("failure_or_relapse", "esi", 365, 36 / 60),
        ("decompression_or_fusion", "esi", 365, 24 / 60),
        ("laminectomy_or_fusion", "esi", 730, 12 / 60),
        ("treatment_failure", "mild", 365, 24 / 40),  # a repeat MILD is failure
        ("escalation", "mild", 365, 12 / 40),
        ("repeat_procedure", "mild", 365, 12 / 40),
        ("decompression_or_fusion", "mild", 365, 24 / 40),
        ("laminectomy_or_fusion", "mild", 365, 12 / 40),
        ("harm_90_days", "mild", 90, 16 / 40),  # the infection 10 days after the laminectomy lies beyond 90 days
        ("opioid_start", "mild", 365, 12 / 40),
    ],
)
def test_each_endpoint_has_its_incidence(
    tables: dict[str, pl.DataFrame], endpoint: str, tier: str, day: int, share: float
) -> None:
    assert incidence(tables, endpoint, tier, day) == pytest.approx(share)


def test_death_competes_in_the_results(tables: dict[str, pl.DataFrame]) -> None:
    assert incidence(tables, "treatment_failure", "esi", 730, "death") == pytest.approx(12 / 60)
    lost = tables["results.restricted_times"].filter(
        (pl.col("endpoint") == "treatment_failure") & (pl.col("tier") == "esi") & (pl.col("tau_days") == 730)
    )
    days = dict(lost.filter(pl.col("contrast").is_null()).select("cause", "estimate").iter_rows())
    # 12 fail on day 50 and 12 on day 40; 12 die on day 500
    assert days == pytest.approx({"event": (680 + 690) * 12 / 60, "death": 230 * 12 / 60, "any": 730 - 320})


def test_a_tier_that_cannot_have_an_event_says_so(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["results.cumulative_incidence"].filter(
        (pl.col("endpoint") == "repeat_procedure") & (pl.col("tier") == "esi") & (pl.col("cause") == "event")
    )
    assert rows.select("status", "reason", "estimate").rows() == [
        ("not estimable", "no event among its patients", None)
    ]


def test_the_clock_of_a_relapse_starts_at_the_response_and_it_lies_between_two_visits(
    tables: dict[str, pl.DataFrame],
) -> None:
    curve = tables["results.relapse_curves"].filter(pl.col("tier") == "esi")
    # 24 responded at day 91; 12 had relapsed by day 182, the others were free of it at day 365
    found = curve.filter(pl.col("mass") > 0.01).select("lower_days", "upper_days", "mass", "estimate").rows()
    assert found[0] == pytest.approx((0, 91, 0.5, 0.5))


def test_as_treated_hazards_count_each_day_for_its_tier(tables: dict[str, pl.DataFrame]) -> None:
    stays = tables["analysis.as_treated"].filter(pl.col("endpoint") == "laminectomy_or_fusion")
    by_tier = stays.group_by("tier").agg(
        days=(pl.col("time_days") - pl.col("entry_days")).sum(), events=(pl.col("status") == 1).sum()
    )
    found = {tier: (days, events) for tier, days, events in by_tier.iter_rows()}
    # ESI: 12 until day 50, 12 until 40, 24 until 2000, 12 until they die on day 500; each began half a day before 0.
    assert found["esi"] == (12 * 50.5 + 12 * 40.5 + 24 * 2000.5 + 12 * 500.5, 0)
    # MILD: those who came from ESI, 12 to the end and 12 until their fusion, and those who began with it.
    came, began = 12 * 1950.5 + 12 * 360.5, 12 * 150.5 + 28 * 1990.5
    assert found["mild"] == (came + began, 24)
    ratios = tables["results.hazard_ratios"].filter(
        (pl.col("view") == "as treated")
        & (pl.col("contrast") == "mild_vs_esi")
        & (pl.col("adjustment") == "unadjusted")
    )
    assert ratios.select("status", "reason", "events").rows() == [("not estimable", "an arm has no events", 24)]


def test_hazards_by_period_stand_beside_the_one_ratio(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["results.hazard_ratios"].filter(
        (pl.col("contrast") == "mild_vs_esi") & (pl.col("view") == "index") & (pl.col("model") == "cause-specific")
        & (pl.col("endpoint") == "laminectomy_or_fusion") & (pl.col("adjustment") == "unadjusted")
    )  # fmt: skip
    said = {term: (status, events) for term, status, events in rows.select("term", "status", "events").iter_rows()}
    # MILD's 12 operations came within a year (day 150), ESI's 12 after it (day 400): one ratio hides that they cross
    assert said == {
        "tier": ("estimable", 24),
        "tier, 0 to 365 days": ("not estimable", 12),
        "tier, after 365 days": ("not estimable", 12),
    }


def test_a_sparse_arm_is_not_estimable_and_named(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["results.hazard_ratios"].filter(
        (pl.col("endpoint") == "opioid_start") & (pl.col("contrast") == "mild_vs_esi") & (pl.col("term") == "tier")
    )
    assert set(rows["status"]) == {"not estimable"}
    assert set(rows["reason"]) == {"an arm has no events"}
    assert rows["estimate"].null_count() == rows.height


# ------------------------------------------------------------------------------------------------------- on the report


def printed(table: Table, group: str, header: str) -> dict[str, str]:
    """Cells of a row by tier."""
    here = not group
    for row in table.rows:
        if row.kind == "group":
            here = str(row.cells[0]) == group
        elif here and str(row.cells[0]) == header:
            heads = [column.header for column in table.columns[1:]]
            return dict(zip(heads, [str(cell) for cell in row.cells[1:]], strict=True))
    raise AssertionError(f"no row {header} of {group}")


def test_components_and_other_definitions_stand_on_the_report(study: Study) -> None:
    tables = {block.anchor: block for block in definitions.definitions(study).blocks if isinstance(block, Table)}
    others = tables["table-definitions"]
    shares = {
        "Escalation to a higher tier": ("40", "30"),
        "Same procedure again, where a repeat is failure": ("–", "30"),
        "Treatment failure, repeat injections after 12 weeks included": ("60", "60"),
        "Treatment failure or return of leg pain": ("60", "60"),
    }
    for group, expected in shares.items():
        cells = printed(others, group, "By 12 months")
        assert [cells[tier].split("\u202f")[0] for tier in ("ESI", "MILD")] == list(expected)
    back = tables["table-leg-pain-relapse"]
    assert printed(back, "", "Responded, n")["ESI"] == "24"
    assert printed(back, "", "Free of it at 12 months")["ESI"] == "50\u202f%"


def test_harm_secondary_endpoints_and_deaths_stand_on_the_report(study: Study) -> None:
    (harm,) = failure.harm(study).blocks
    assert isinstance(harm, Table)
    assert printed(harm, "", "Complication or readmission within 90 days")["MILD"] == "16 (40\u202f%)"
    incidences = next(block for block in failure.failure(study).blocks if isinstance(block, Table))
    assert printed(incidences, "New opioid use", "By 12 months")["MILD"].startswith("30\u202f%")


def test_the_ladder_and_the_hazards_stand_on_the_report(study: Study) -> None:
    bands = occupation.occupation(study).blocks[0]
    said = " ".join(panel.alt for panel in bands.panels)  # type: ignore[union-attr]
    assert "Stacked bands of patients who began in ESI" in said
    table = next(block for block in proportional.proportional(study).blocks if isinstance(block, Table))
    assert printed(table, "MILD vs ESI", "0 to 365 days")["Unadjusted (95 % CI)"] == "not estimable"
    assert printed(table, "MILD vs ESI", "As treated (tier of the moment)")["Unadjusted (95 % CI)"] == "not estimable"
