"""Trajectories, responders and walking on a handful of patients whose figures can be checked on paper."""

import math

import polars as pl
import pytest

from pipelines.analyses.responders import responders
from pipelines.analyses.trajectories import trajectories
from pipelines.analyses.walking import model_rows, stop_reasons
from pipelines.protocol import Protocol

FLAGS = {"is_observed": True, "is_escalated_before": False, "is_due": True, "is_alive": True}


def _scores(values: list[float | None], **flags: bool) -> pl.DataFrame:
    n = len(values)
    return (
        pl.DataFrame(
            {
                "episode_id": [f"e{i}" for i in range(n)],
                "patient_id": [f"p{i}" for i in range(n)],
                "site_id": ["s"] * n,
                "tier": ["esi"] * n,
                "instrument": ["nrs_leg"] * n,
                "visit_window": ["12m"] * n,
                "window_rank": [4] * n,
                "baseline_value": [6.0] * n,
                "value": pl.Series(values, dtype=pl.Float64),
            }
        )
        .with_columns(pl.lit(v).alias(k) for k, v in (FLAGS | flags).items())
        .with_columns(is_observed=pl.col("value").is_not_null())
    )


def _walks(distances: list[float], at_cap: list[bool]) -> pl.DataFrame:
    n = len(distances)
    return (
        _scores([1.0] * n)
        .with_columns(
            instrument=pl.lit("spwt"),
            baseline_distance_m=pl.lit(300.0),
            baseline_duration_s=pl.lit(400.0),
            baseline_speed_m_s=pl.lit(0.75),
            is_baseline_at_cap=pl.lit(False),
            distance_m=pl.Series(distances),
            duration_s=pl.Series([d / 0.8 for d in distances]),
            speed_m_s=pl.Series([0.8 if d else None for d in distances]),
            is_at_cap=pl.Series(at_cap),
            stop_reason=pl.Series(["time_limit" if cap else "claudication" for cap in at_cap]),
        )
        .drop("value", "baseline_value")
    )


def _trajectory(protocol: Protocol, method: str, scores: pl.DataFrame, walks: pl.DataFrame) -> dict[str, object]:
    found = trajectories({"analysis.scores": scores, "analysis.walking_tests": walks}, protocol)
    return found.filter((pl.col("window") == "12m") & (pl.col("method") == method)).row(0, named=True)


def test_a_mean_has_t_limits_and_says_how_many_were_expected(protocol: Protocol) -> None:
    row = _trajectory(protocol, "observed mean", _scores([2.0, 4.0, 6.0, None]), _walks([], []))
    assert (row["subjects"], row["expected"], row["estimate"]) == (3, 4, 4.0)
    assert row["std_error"] == pytest.approx(2 / math.sqrt(3))
    # t with 2 degrees of freedom, 97.5 %: 4.30265 (any table)
    assert row["ci_high"] == pytest.approx(4 + 4.30265 * 2 / math.sqrt(3), rel=1e-5)


def test_values_all_alike_have_a_number_of_patients_and_no_limits(protocol: Protocol) -> None:
    row = _trajectory(protocol, "observed mean", _scores([0.1] * 12), _walks([100.0, 200.0], [False, False]))
    assert (row["subjects"], row["estimate"], row["ci_low"]) == (12, None, None)
    assert (row["status"], row["reason"]) == ("not estimable", "too few values, or no spread, for limits")


def test_the_dead_are_not_expected(protocol: Protocol) -> None:
    scores = _scores([2.0, 4.0, None]).with_columns(is_alive=pl.Series([True, True, False]))
    assert _trajectory(protocol, "observed mean", scores, _walks([], []))["expected"] == 2


def test_walking_is_described_without_a_mean_of_metres(protocol: Protocol) -> None:
    walks = _walks([100.0, 400.0, 1440.0], [False, False, True])
    found = trajectories({"analysis.scores": _scores([]), "analysis.walking_tests": walks}, protocol)
    methods = set(found.filter(pl.col("outcome") == "spwt")["method"])
    assert methods == {"median distance", "geometric mean distance", "share at the time limit"}
    geometric = found.filter((pl.col("method") == "geometric mean distance") & (pl.col("window") == "12m"))
    assert geometric["estimate"][0] == pytest.approx((100 * 400 * 1440) ** (1 / 3))
    share = found.filter((pl.col("method") == "share at the time limit") & (pl.col("window") == "12m"))
    assert share["estimate"][0] == pytest.approx(1 / 3)


def test_a_walk_of_no_distance_becomes_a_walk_of_no_time_without_speed(protocol: Protocol) -> None:
    walks = _walks([0.0, 400.0], [False, False])
    subjects = walks.select("episode_id", "patient_id", "site_id", "tier")
    rows = model_rows(walks, subjects, protocol.instrument("spwt"))
    assert rows.select("duration_s", "is_at_cap").rows() == [(0.0, False), (500.0, False)]


def test_stops_are_counted_by_reason(protocol: Protocol) -> None:
    walks = _walks([100.0, 400.0, 1440.0], [False, False, True])
    found = stop_reasons({"analysis.walking_tests": walks}, protocol)
    counts = {row["stop_reason"]: (row["walks"], row["subjects"]) for row in found.iter_rows(named=True)}
    assert counts == {"claudication": (2, 3), "time_limit": (1, 3)}


def test_responders_are_counted_in_both_ways(protocol: Protocol) -> None:
    words = ["responder"] * 4 + ["non-responder"] * 3 + ["missing"] * 2 + ["excluded", "died"]
    rows = pl.DataFrame(
        {
            "episode_id": [f"e{i}" for i in range(len(words))],
            "tier": ["esi"] * len(words),
            "instrument": ["nrs_leg"] * len(words),
            "threshold": ["mcid"] * len(words),
            "visit_window": ["12m"] * len(words),
            "response": words,
        }
    )
    found = responders({"analysis.responders": rows}, protocol)
    counts = {row["method"]: (row["responders"], row["subjects"]) for row in found.iter_rows(named=True)}
    assert counts == {"observed": (4, 7), "missing as non-response": (4, 9)}
    # Wilson limits of 4/7: R, prop.test(4, 7, correct = FALSE)$conf.int gives 0.250458365 0.841780145
    limits = found.filter(pl.col("method") == "observed").select("ci_low", "ci_high").row(0)
    assert limits == pytest.approx((0.250458365, 0.841780145), abs=1e-8)
