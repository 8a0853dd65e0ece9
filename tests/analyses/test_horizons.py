"""Incidence and time lost at a horizon, on arms small enough to work out on paper."""

import math
from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.analyses import ANALYSES
from pipelines.analyses.horizons import areas, contrast_times, incidence_difference, taus, tier_times
from pipelines.analyses.incidence import incidence_curves
from pipelines.protocol import Protocol


def _arm(tier: str, times: list[int], status: list[int]) -> pl.DataFrame:
    n = len(times)
    return pl.DataFrame(
        {
            "episode_id": [f"{tier}{i}" for i in range(n)],
            "patient_id": [f"{tier}{i}" for i in range(n)],
            "tier": [tier] * n,
            "time_days": times,
            "status": status,
        }
    )


@pytest.fixture
def rows() -> pl.DataFrame:
    # Nobody is lost before day 100: incidence at day 50 is 2/4 under MILD and 1/4 under injection.
    both = pl.concat([_arm("esi", [10, 100, 100, 100], [1, 0, 0, 0]), _arm("mild", [10, 30, 100, 100], [1, 1, 0, 0])])
    return both.with_columns(pl.col("tier").cast(pl.Enum(["esi", "mild"])))


def test_the_incidence_difference_is_that_of_two_proportions(rows: pl.DataFrame, protocol: Protocol) -> None:
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    row = incidence_difference(incidence_curves(rows, protocol), contrast, 50).row(0, named=True)
    assert row["estimate"] == pytest.approx(0.25)
    # Without censoring the variance of each is p (1 - p) / n.
    assert row["std_error"] == pytest.approx(math.sqrt(0.5 * 0.5 / 4 + 0.25 * 0.75 / 4))


def test_time_lost_is_the_area_under_the_incidence(rows: pl.DataFrame) -> None:
    lost = areas(rows, 50).filter((pl.col("cause") == "event") & (pl.col("measure") == "mean"))
    # Injection: one of four loses 40 of 50 days. MILD: one loses 40, one loses 20.
    assert dict(lost.select(pl.col("group").cast(pl.String), "estimate").iter_rows()) == pytest.approx(
        {"esi": 10.0, "mild": 15.0}
    )
    difference = areas(rows, 50).filter((pl.col("cause") == "event") & (pl.col("measure") == "difference"))
    assert difference["estimate"].to_list() == pytest.approx([5.0])


def test_event_free_time_and_time_lost_add_up_to_the_horizon(rows: pl.DataFrame) -> None:
    means = areas(rows, 50).filter((pl.col("measure") == "mean") & (pl.col("group").cast(pl.String) == "mild"))
    assert means["estimate"].sum() == pytest.approx(50)


def test_the_horizon_ends_with_the_follow_up_of_the_smallest_group(rows: pl.DataFrame, protocol: Protocol) -> None:
    assert taus(rows, protocol, protocol.endpoint("laminectomy_or_fusion")) == [100.0]


def test_an_arm_without_events_gives_no_difference(protocol: Protocol) -> None:
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    rows = pl.concat([_arm("esi", [10, 100], [1, 0]), _arm("mild", [100, 100], [0, 0])])
    curves = incidence_curves(rows.with_columns(pl.col("tier").cast(pl.Enum(["esi", "mild"]))), protocol)
    row = incidence_difference(curves, contrast, 50).row(0, named=True)
    assert (row["status"], row["reason"]) == ("not estimable", "no event before 50 days in mild")


def test_a_tier_without_events_says_so_instead_of_drawing_a_curve(protocol: Protocol) -> None:
    rows = pl.concat([_arm("esi", [10, 100], [1, 0]), _arm("mild", [100, 100], [0, 0])])
    curves = incidence_curves(rows.with_columns(pl.col("tier").cast(pl.Enum(["esi", "mild"]))), protocol)
    silent = curves.filter((pl.col("tier") == "mild") & (pl.col("cause") == "event"))
    assert silent.select("status", "at_risk", "estimate").rows() == [("not estimable", 2.0, None)]


def test_a_contrast_without_any_event_is_not_estimable(protocol: Protocol) -> None:
    quiet = pl.concat([_arm("esi", [100, 100], [0, 0]), _arm("mild", [100, 100], [0, 0])])
    quiet = quiet.with_columns(pl.col("tier").cast(pl.Enum(["esi", "mild"])))
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    row = incidence_difference(incidence_curves(quiet, protocol), contrast, 50).row(0, named=True)
    assert (row["status"], row["reason"]) == ("not estimable", "no event before 50 days in mild, esi")


def test_an_arm_whose_patients_all_had_the_event_says_so(protocol: Protocol) -> None:
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    rows = pl.concat([_arm("esi", [10, 100], [1, 0]), _arm("mild", [20, 30, 40], [1, 1, 1])])
    curves = incidence_curves(rows.with_columns(pl.col("tier").cast(pl.Enum(["esi", "mild"]))), protocol)
    row = incidence_difference(curves, contrast, 50).row(0, named=True)
    assert (row["status"], row["reason"]) == ("not estimable", "all patients of mild had the event before 50 days")


def test_where_events_come_after_the_horizon_no_time_is_lost_and_no_ratio_is_silent(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    """MILD's events come on days 50 and 80: by day 50 nobody has lost time, so neither it nor a ratio has an error."""
    rows = pl.concat([_arm("esi", [10, 100, 100, 100], [1, 0, 0, 0]), _arm("mild", [50, 80, 100, 100], [1, 1, 0, 0])])
    known = {
        "analysis.time_to_event": rows.with_columns(endpoint=pl.lit("laminectomy_or_fusion")),
        "analysis.subjects": tables["analysis.subjects"].clear(),
    }
    early = protocol.with_overrides({"primary.horizons_days": [], "primary.endpoint_horizon_days": 50})
    own = tier_times(known, early).filter(cause="event")
    assert dict(own.select("tier", "estimate").iter_rows()) == {"esi": pytest.approx(10.0), "mild": None}
    compared = contrast_times(known, early).filter(pl.col("cause").is_in(["event", "any"]))
    assert set(compared["measure"]) == {"difference", "ratio"}
    assert set(compared["status"]) == {"not estimable"}
    reasons = {(row["measure"], row["cause"]): row["reason"] for row in compared.iter_rows(named=True)}
    assert reasons == {
        ("difference", "event"): "no event before 50 days in mild",
        ("ratio", "event"): "an area is zero",
        ("difference", "any"): "no event or death before 50 days in mild",
        ("ratio", "any"): "no event or death before 50 days in mild",
    }
    assert compared["estimate"].null_count() == compared.height


def test_a_horizon_beyond_the_primary_one_takes_nothing_from_it(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    asked = protocol.with_overrides({"primary.horizons_days": [365, 730], "primary.endpoint_horizon_days": 365})
    known = dict(tables) | {"results.diagnostics": ANALYSES["diagnostics"].table.empty}
    times = ANALYSES["restricted_times"].run(known, asked)
    primary = times.drop_nulls("p_adjusted")
    assert set(primary["tau_days"]) == {365.0}
    assert set(primary["contrast"]) == {contrast.name for contrast in asked.contrasts}
