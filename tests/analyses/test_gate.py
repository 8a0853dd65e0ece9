"""What is checked, and what a failed check withholds."""

from collections.abc import Mapping

import polars as pl
import pytest

from pipelines.analyses import ANALYSES, analyse
from pipelines.analyses.diagnostics import of_visits
from pipelines.analyses.gate import Gate, withhold_failed
from pipelines.analyses.rows import ESCALATION_IS_NON_RESPONSE, HYPOTHETICAL, TREATMENT_POLICY
from pipelines.protocol import Protocol


def _diagnostics(rows: list[tuple[str, str | None, str | None, str, str]]) -> pl.DataFrame:
    names = ["contrast", "outcome", "window", "check", "verdict"]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def test_a_failed_check_reaches_as_far_as_it_says() -> None:
    gate = Gate(
        _diagnostics(
            [
                ("a", "odi", "12m", "patients per arm", "failed"),
                ("b", None, None, "effective sample size", "failed"),
                ("c", "odi", "12m", "crossover", "not applicable"),
            ]
        )
    )
    assert gate.reason("a", "odi", "12m") == "failed: patients per arm"
    assert gate.reason("a", "odi", "6w") is None
    assert gate.reason("a", "spwt", "12m") is None
    assert gate.reason("b", "spwt", "6w") == "failed: effective sample size"
    assert gate.reason("c", "odi", "12m") is None


def test_all_reasons_are_named_once() -> None:
    failed = [("a", None, None, "events per arm", "failed"), ("a", "odi", "6w", "events per arm", "failed")]
    assert Gate(_diagnostics(failed)).reason("a", "odi", "6w") == "failed: events per arm"


def test_rows_of_a_tier_alone_are_never_withheld() -> None:
    gate = Gate(_diagnostics([("a", None, None, "events per arm", "failed")]))
    rows = pl.DataFrame(
        {
            "contrast": [None, "a"],
            "endpoint": ["x", "x"],
            "estimate": [1.0, 2.0],
            "status": ["estimable", "estimable"],
            "reason": pl.Series([None, None], dtype=pl.String),
        }
    )
    assert withhold_failed(rows, gate, "endpoint", None)["estimate"].to_list() == [1.0, None]


@pytest.fixture(scope="module")
def escalated(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The study with more than half of the injection arm escalated before 12 months."""
    at_12 = (pl.col("tier") == "esi") & (pl.col("visit_window") == "12m")
    changed = pl.when(at_12).then(pl.lit(True)).otherwise("is_escalated_before").alias("is_escalated_before")
    return {name: frame.with_columns(changed) if "is_escalated_before" in frame.columns else frame
            for name, frame in tables.items()}  # fmt: skip


def test_crossover_of_more_than_half_an_arm_withholds_the_hypothetical_strategy_and_nothing_else(
    escalated: dict[str, pl.DataFrame], protocol: Protocol
) -> None:
    known = dict(escalated)
    for name in ("balance", "diagnostics"):
        known[f"results.{name}"] = ANALYSES[name].run(known, protocol)
    gate = Gate(known["results.diagnostics"])

    def reason(contrast: str, outcome: str, window: str | None, strategy: str = HYPOTHETICAL) -> str:
        return str(gate.reason(contrast, outcome, window, strategy))

    assert "crossover" in reason("mild_vs_esi", "nrs_leg", "12m")
    assert "crossover" in reason("esi_vs_conservative", "spwt", "12m")
    assert "crossover" not in reason("mild_vs_esi", "nrs_leg", "12m", TREATMENT_POLICY)
    assert "crossover" not in reason("mild_vs_esi", "nrs_leg", "12m", ESCALATION_IS_NON_RESPONSE)
    assert "crossover" not in str(gate.reason("mild_vs_esi", "nrs_leg", "12m"))
    assert "crossover" not in reason("mild_vs_esi", "nrs_leg", "6w")
    assert "crossover" not in reason("mild_vs_esi", "laminectomy_or_fusion", None)
    assert "crossover" not in reason("laminectomy_vs_mild", "nrs_leg", "12m")


@pytest.mark.parametrize(("escalated_of_ten", "is_withheld"), [(5, False), (6, True)])
def test_half_an_arm_may_cross_over_and_no_more(protocol: Protocol, escalated_of_ten: int, is_withheld: bool) -> None:
    """Twenty patients seen at 12 months; of the ten with injections five, or six, were operated on before."""
    shown = protocol.with_overrides({"diagnostics.subjects_per_arm_minimum": 2})
    visits = pl.DataFrame(
        {
            "instrument": "nrs_leg",
            "tier": ["esi"] * 10 + ["mild"] * 10,
            "visit_window": "12m",
            "is_observed": True,
            "is_due": True,
            "is_alive": True,
            "is_escalated_before": [n < escalated_of_ten for n in range(10)] + [False] * 10,
        }
    )
    contrast = next(c for c in protocol.contrasts if c.name == "mild_vs_esi")
    gate = Gate(pl.DataFrame(list(of_visits(visits, contrast, shown))))
    rows = pl.DataFrame(
        {
            "contrast": "mild_vs_esi",
            "outcome": "nrs_leg",
            "window": "12m",
            "strategy": [TREATMENT_POLICY, HYPOTHETICAL],
            "estimate": 1.0,
            "status": "estimable",
            "reason": pl.Series([None, None], dtype=pl.String),
        }
    )
    found = withhold_failed(rows, gate, "outcome", "window")
    assert found["status"].to_list() == ["estimable", "withheld" if is_withheld else "estimable"]
    assert found["estimate"].to_list() == [1.0, None if is_withheld else 1.0]
    assert found["reason"].to_list() == [None, "failed: crossover" if is_withheld else None]


def test_a_negative_control_that_differs_withholds_the_contrast(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    times = tables["analysis.time_to_event"]
    is_struck = (pl.col("endpoint") == "negative_control") & (pl.col("tier") == "esi")
    struck = times.with_columns(
        time_days=pl.when(is_struck).then(pl.lit(30)).otherwise("time_days"),
        status=pl.when(is_struck).then(pl.lit(1)).otherwise("status"),
    )
    known = dict(tables) | {"analysis.time_to_event": struck}
    for name in ("balance", "diagnostics"):
        known[f"results.{name}"] = ANALYSES[name].run(known, protocol)
    verdicts = known["results.diagnostics"].filter(pl.col("check") == "negative control")
    of = dict(verdicts.select("contrast", "verdict").iter_rows())
    assert of["esi_vs_conservative"] == "failed"
    assert of["mild_vs_esi"] == "failed"
    assert of["fusion_vs_laminectomy"] != "failed"


def test_a_contrast_without_events_is_shown_as_such_everywhere(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    times = tables["analysis.time_to_event"]
    spared = (pl.col("tier") == "mild") & (pl.col("endpoint") == "laminectomy_or_fusion") & (pl.col("status") == 1)
    changed = times.with_columns(status=pl.when(spared).then(pl.lit(0)).otherwise("status"))
    results = analyse(dict(tables) | {"analysis.time_to_event": changed}, protocol)
    ratios = results["hazard_ratios"].filter(
        (pl.col("endpoint") == "laminectomy_or_fusion") & (pl.col("view") == "index")
    )
    assert set(ratios["status"]) == {"not estimable"}
    assert ratios["estimate"].null_count() == ratios.height
    differences = results["contrasts"].filter(pl.col("outcome") == "laminectomy_or_fusion")
    assert differences.height > 0
    assert "estimable" not in set(differences["status"])


def test_a_negative_control_is_read_where_both_arms_are_still_followed(
    tables: Mapping[str, pl.DataFrame], protocol: Protocol
) -> None:
    """Nobody is followed for 5,000 days; the check then speaks of the follow-up there is."""
    asked = protocol.with_overrides({"primary.endpoint_horizon_days": 5000})
    known = dict(tables)
    known["results.balance"] = ANALYSES["balance"].run(known, asked)
    found = ANALYSES["diagnostics"].run(known, asked).filter(check="negative control", contrast="esi_vs_conservative")
    arms = tables["analysis.time_to_event"].filter(
        (pl.col("endpoint") == "negative_control") & pl.col("tier").is_in(["esi", "conservative"])
    )
    last = arms.group_by("tier").agg(pl.col("time_days").max())["time_days"].min()
    assert found["verdict"].item() in ("passed", "failed")
    assert found["note"].item().endswith(f" at {last} days")
