"""The simulation study of site monitoring: networks without and with a poor site, judged as a release's sites are.

Belongs here: drawing a network, what is asked of the limits and of the CUSUM. Does not belong here: the limits and
charts themselves (`models`), running replications (`study`).

A network has sites of unequal size whose log odds differ (normal, `spread`), one of them (`s001`) with hard cases only:
its patients' recorded risk is far above the others'. The risk model is fitted to each network, as in a release.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from pipelines.models.cusum import control_limit, in_control_run_length
from pipelines.models.funnel import funnel_limits
from pipelines.models.propensity import weights
from pipelines.validation.study import MONTE_CARLO_ERRORS, Finding, run_replications

NULL_RATE = 0.002
POWER_MINIMUM = 0.8
SIGNAL_LEVEL, WINSORISED = 0.998, 0.1
POOR_SITE_PATIENTS = 300
HARD_SITE, POOR_SITE = "s001", "s000"
_YES_NO = pl.Enum(["no", "yes"])

Scenario = Mapping[str, Any]


def draw_network(scenario: Scenario, generator: np.random.Generator) -> pl.DataFrame:
    """Draw a network: site, x1 (standard normal; hard cases 1.5 higher), x2 (0 or 1), outcome (no, yes)."""
    count = scenario["sites"]
    sizes = scenario["patients_per_site"] * np.exp(0.5 * generator.standard_normal(count) - 0.125)
    sizes = np.maximum(15, sizes.astype(int))
    effects = scenario["spread"] * generator.standard_normal(count)
    if scenario["odds_ratio"] != 1:
        sizes[0], effects[0] = POOR_SITE_PATIENTS, np.log(scenario["odds_ratio"])
    site = np.repeat(np.arange(count), sizes)
    x1 = generator.standard_normal(len(site)) + 1.5 * (site == 1)
    x2 = (generator.random(len(site)) < 0.3).astype(float)
    risk = expit(scenario["log_odds"] + 0.6 * x1 + 0.4 * x2 + effects[site])
    outcome = np.where(generator.random(len(site)) < risk, "yes", "no")
    return pl.DataFrame(
        {"site": [f"s{k:03d}" for k in site], "x1": x1, "x2": x2, "outcome": pl.Series(outcome, dtype=_YES_NO)}
    )


def replicate(scenario: Scenario, generator: np.random.Generator) -> list[Finding]:
    """Draw one network and count its signals: over all sites, at the poor site, at the site with hard cases."""
    frame = draw_network(scenario, generator)
    fitted = weights(frame, "outcome", ["x1", "x2"], "ate")
    if fitted.model is None:
        raise ValueError("the risk model of a simulated network could not be fitted; make its sites larger")
    rows = frame.with_columns(risk=fitted.scores["yes"], event=(pl.col("outcome") == "yes").cast(pl.Float64))
    found = funnel_limits(rows, "site", "event", "risk", WINSORISED, (SIGNAL_LEVEL,))
    beyond = (found["observed"] > found["high_998"]) | (found["observed"] < found["low_998"])
    marked = found.with_columns(beyond=beyond)
    others = marked.filter(pl.col("group") != HARD_SITE)
    said = [("ordinary site", others["beyond"].mean(), others.height)] if scenario["odds_ratio"] == 1 else []
    for name, place in (("hard cases", HARD_SITE), ("poor site", POOR_SITE)):
        if name == "hard cases" or scenario["odds_ratio"] != 1:
            said.append((name, marked.filter(group=place)["beyond"].mean(), 1))
    return [Finding(name, "signal", float(share), float(n), float(n)) for name, share, n in said]  # type: ignore[arg-type]


def site_study(
    grid: Mapping[str, Any],
    replications: int | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> pl.DataFrame:
    """Run the committed grid: scenario, title, criterion, networks, sites, rate, mc_error, bar, verdict.

    Rates over ordinary sites have the Monte Carlo error of independent tests at the nominal rate; a rate of signals
    must not exceed 0.2 % by more than 3 of them, power must not fall below 80 %. Scenarios marked `shown` have none.
    """
    rows: list[dict[str, Any]] = []
    count = replications or grid["replications"]
    for number, scenario in enumerate(grid["scenarios"]):
        findings = run_replications(
            partial(replicate, scenario), count, [grid["seed"], number], workers,
            lambda done, name=scenario["name"]: say(f"{name}: {done} of {count}"),  # type: ignore[misc]
        )  # fmt: skip
        rows += [
            _judged(scenario, str(name), part) for (name,), part in findings.group_by("quantity", maintain_order=True)
        ]
    rows += _run_lengths(grid["cusum"], grid["seed"])
    return pl.DataFrame(rows, infer_schema_length=None)


def _judged(scenario: Scenario, criterion: str, part: pl.DataFrame) -> dict[str, Any]:
    tests = part["ci_low"].to_numpy()
    sites = float(tests.sum())
    rate = float(part["estimate"].to_numpy() @ tests) / sites
    is_power = criterion == "poor site"
    nominal = rate if is_power else NULL_RATE
    error = float(np.sqrt(nominal * (1 - nominal) / sites))
    bar = POWER_MINIMUM if is_power else NULL_RATE + MONTE_CARLO_ERRORS * error
    passed = rate >= bar if is_power else rate <= bar + 1e-12
    verdict = "shown" if is_power and scenario.get("is_shown") else "passed" if passed else "failed"
    return {"scenario": scenario["name"], "title": scenario["title"], "criterion": criterion,
            "networks": part.height, "sites": int(sites), "rate": rate, "mc_error": error, "bar": bar,
            "verdict": verdict}  # fmt: skip


def _run_lengths(asked: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """The run length that a limit found by simulation has in a second simulation, against the one asked for."""
    rows = []
    for number, one in enumerate(asked):
        generator = np.random.default_rng([seed, 1000 + number])
        risks = expit(one["log_odds"] + 0.6 * generator.standard_normal(5000))
        limit = control_limit(risks, one["odds_ratio"], one["run_length"], seed, one["chains"])
        found = in_control_run_length(risks, one["odds_ratio"], limit, seed + 1, 2 * one["run_length"], one["chains"])
        off = abs(found.mean - one["run_length"])
        # both the limit and the check are simulated, so errors of both count
        verdict = "passed" if off <= MONTE_CARLO_ERRORS * np.sqrt(2) * found.std_error else "failed"
        rows.append({"scenario": "cusum", "title": f"CUSUM in control, limit {limit:.2f}", "criterion": "run length",
                     "networks": one["chains"], "sites": one["run_length"], "rate": found.mean,
                     "mc_error": found.std_error, "bar": float(one["run_length"]), "verdict": verdict})  # fmt: skip
    return rows
