"""Truth against answers known without the simulator: nothing, paper arithmetic, Weibull's closed form."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm

from pipelines.simulate import Settings, settings_from, simulate, truth_frame
from pipelines.simulate.block import draw_block
from pipelines.simulate.course import escalation_pull
from pipelines.simulate.indication import indication_model
from pipelines.simulate.outcomes import as_nrs
from pipelines.simulate.population import draw_patients
from pipelines.simulate.settings import TIERS
from pipelines.simulate.truth_estimates import (
    ArmSums,
    ContrastSums,
    arm_sums,
    incidence_difference,
    marginal_hazard_ratio,
    mean_contrast,
    outcome_moments,
    time_lost_difference,
)

CONTRASTS = {"esi_vs_conservative", "mild_vs_esi", "laminectomy_vs_mild", "fusion_vs_laminectomy"}


@pytest.fixture(scope="module")
def default_truth() -> pl.DataFrame:
    return truth_frame("clean", 40_000)


def _value(frame: pl.DataFrame, **wanted: object) -> float:
    return frame.filter(**wanted)["value"].item()


# ------------------------------------------------------------------------------------------------------- known truths


def test_without_effects_every_difference_is_zero_and_every_ratio_one() -> None:
    frame = truth_frame("no_effect", 20_000)
    is_ratio = frame["measure"].str.contains("ratio")
    assert frame.filter(~is_ratio)["value"].abs().max() < 1e-9
    assert (frame.filter(is_ratio)["value"] - 1).abs().max() < 1e-9


def test_without_death_and_frailty_incidence_is_weibulls_closed_form() -> None:
    # Every later treatment after fusion or laminectomy counts for their contrast, so the first step is the event:
    # F(t | x) = 1 − exp(−(rate × t) ** shape × exp(pull(x))), averaged over patients with the true weights.
    hazards = {"frailty": 0.0, "death_at_70": 0.0, "perioperative_death": dict.fromkeys(TIERS, 0.0)}
    settings = Settings.model_validate({"hazards": hazards, "sites": {"spread": 0.0, "poor_site": False}})
    model = indication_model(settings)
    patients = draw_patients(100_000, model.locations, 0.0, np.random.default_rng(1))
    chance = model.probabilities(patients)
    weight = chance[:, 3] * chance[:, 4] / (chance[:, 3] + chance[:, 4])
    pull = np.exp(escalation_pull(patients, np.zeros(patients.size), settings))
    arms = []
    for rank in (4, 3):
        rate, shape = settings.hazards.yearly_rate.values[rank], settings.hazards.shape.values[rank]
        risk = 1 - np.exp(-((rate * 730 / 365.25) ** shape) * pull)
        arms.append(np.average(risk, weights=weight))
    row = truth_frame(settings, 60_000).filter(
        contrast="fusion_vs_laminectomy", population="overlap", horizon_days=730, measure="incidence difference"
    )
    assert row["tier_value"].item() == pytest.approx(arms[0], abs=0.004)
    assert row["reference_value"].item() == pytest.approx(arms[1], abs=0.004)
    assert row["value"].item() == pytest.approx(arms[0] - arms[1], abs=4 * row["monte_carlo_se"].item() + 0.001)


def test_in_randomised_cohorts_the_three_populations_agree() -> None:
    frame = truth_frame("randomised", 20_000)
    for measure in ("incidence difference", "marginal hazard ratio"):
        values = frame.filter(measure=measure, contrast="mild_vs_esi", horizon_days=730)["value"]
        assert values.max() - values.min() < 1e-6


def test_effect_modification_makes_populations_differ(default_truth: pl.DataFrame) -> None:
    # Pearson 2012: operations do less for ODI above 56; MILD patients are the most disabled
    about = {"contrast": "mild_vs_esi", "outcome": "odi", "window": "12m"}
    treated, overlap = (_value(default_truth, population=name, **about) for name in ("att", "overlap"))
    everyone = _value(default_truth, population="ate", **about)
    assert treated > everyone + 0.2  # less improvement among those who were given MILD
    assert len({treated, overlap, everyone}) == 3


def test_more_frailty_pulls_the_marginal_hazard_ratio_towards_one() -> None:
    # non-collapsibility (Gail 1984): one and the same conditional hazard ratio, a smaller marginal one
    def ratio(frailty: float) -> float:
        settings = Settings.model_validate(
            {"hazards": {"kind": "proportional", "frailty": frailty, "death_at_70": 0.0}, "hazard_scale": 6.0}
        )
        return _value(
            truth_frame(settings, 20_000),
            contrast="mild_vs_esi", population="overlap", horizon_days=730, measure="marginal hazard ratio",
        )  # fmt: skip

    strong, weak = ratio(1.5), ratio(0.0)
    assert weak < strong < 1


# --------------------------------------------------------------------------------------------------- paper arithmetic


def _arm(weight: list[float], event_day: list[int], death_day: list[int], score: list[float]) -> ArmSums:
    outcomes = np.broadcast_to(np.array(score)[:, None, None], (len(score), 5, 6)).copy()
    alive = np.array(death_day)[:, None] > np.array([42, 91, 182, 365, 730])
    ones = np.array(weight)
    half = np.full(len(score), 0.5)
    return arm_sums(ones, half, np.array(event_day), np.array(death_day), outcome_moments(outcomes, alive))


def test_estimates_match_arithmetic_on_paper() -> None:
    never = 10_000
    # four patients an arm, weights 1, 1, 2, 2 (total 6)
    treated = _arm([1, 1, 2, 2], [100, never, never, 400], [never, 50, never, never], [1, 9, 3, 5])
    control = _arm([1, 1, 2, 2], [100, 200, 300, never], [never] * 4, [2, 2, 2, 8])
    sums = ContrastSums(treated, control)
    # by day 365: treated 1/6 (the event on day 400 is later), control (1 + 1 + 2)/6
    assert incidence_difference(sums, horizon=365).contrast == pytest.approx(1 / 6 - 4 / 6)
    assert incidence_difference(sums, horizon=730).contrast == pytest.approx(3 / 6 - 4 / 6)
    # days lost by 365: treated 265/6; control (265 + 165 + 2·65)/6
    assert time_lost_difference(sums, horizon=365).contrast == pytest.approx((265 - 560) / 6)
    # alive at 12 months: treated without the second patient, (1 + 6 + 10)/5; control (2 + 2 + 4 + 16)/6
    mean = mean_contrast(sums, window=3, outcome=0, is_ratio=False)
    assert (mean.tier, mean.reference) == (pytest.approx(17 / 5), pytest.approx(24 / 6))


def test_hazard_ratio_solves_coxs_score_equation() -> None:
    # At day 100 one event of weight 1 in each arm, 5 treated (one died on day 50) and 6 controls at risk; at day 200 a
    # control's event, 4 and 5 at risk. Breslow's score in r: 1 − 2·5r/(5r + 6) − 4r/(4r + 5) = 0, so 8r² + 5r − 6 = 0.
    never = 10_000
    treated = _arm([1, 1, 2, 2], [100, never, never, never], [never, 50, never, never], [0] * 4)
    control = _arm([1, 1, 2, 2], [100, 200, never, never], [never] * 4, [0] * 4)
    estimate = marginal_hazard_ratio(ContrastSums(treated, control), horizon=365)
    assert np.exp(estimate.contrast) == pytest.approx((-5 + np.sqrt(25 + 4 * 8 * 6)) / 16)


def test_hazard_ratio_without_events_is_not_a_number() -> None:
    never = 10_000
    idle = _arm([1, 1], [never, never], [never, never], [0, 0])
    assert np.isnan(marginal_hazard_ratio(ContrastSums(idle, idle), horizon=365).contrast)


# ------------------------------------------------------------------------------------------------- truth.json, errors


def test_truth_file_holds_every_contrast_population_and_measure(tmp_path: Path) -> None:
    folder = simulate(tmp_path, 300, 9, settings="mnar", truth_patients=20_000)
    document = json.loads((folder / "truth.json").read_text())
    assert document["settings"] | {"patients": 300, "seed": 9, "dropout": "mnar"} == document["settings"]
    rows = document["truth"]
    assert {row["contrast"] for row in rows} == CONTRASTS
    assert {row["population"] for row in rows} == {"ate", "att", "overlap"}
    assert {row["horizon_days"] for row in rows if "horizon_days" in row} == {365, 730}
    endpoints = {row["contrast"]: row["endpoint"] for row in rows if "endpoint" in row}
    assert endpoints["mild_vs_esi"] == "laminectomy_or_fusion"
    assert endpoints["esi_vs_conservative"] == "decompression_or_fusion"
    assert {(row["outcome"], row["measure"]) for row in rows if "outcome" in row} >= {
        ("nrs_leg", "mean difference"),
        ("odi", "mean difference"),
        ("spwt", "distance ratio"),
    }
    leg = [row for row in document["dropout_deltas"] if row["outcome"] == "nrs_leg" and row["window"] == "12m"]
    assert all(row["value"] > 0.1 for row in leg)  # who stays away does worse than covariates tell


def test_monte_carlo_error_is_stated_and_honest() -> None:
    small, large = truth_frame("clean", 40_000), truth_frame("clean", 80_000)
    gap = (small["value"].log() - large["value"].log()).filter(small["measure"].str.contains("ratio"))
    error = small.filter(small["measure"].str.contains("ratio"))["monte_carlo_se"]
    assert (gap.abs() / error).median() < 1.5
    assert (large["monte_carlo_se"] < small["monte_carlo_se"]).mean() > 0.9


def test_monte_carlo_error_is_a_tenth_of_a_large_studys() -> None:
    frame = truth_frame("clean", 80_000)
    # errors shrink with the root of the size; the default size is 300,000
    at_default = frame["monte_carlo_se"] * np.sqrt(80_000 / 300_000)
    assert (at_default / frame["study_se"]).max() < 0.12


# ------------------------------------------------------------------------------------------------------- ignorability


def test_adjusting_for_recorded_covariates_recovers_the_truth_and_not_adjusting_does_not() -> None:
    truth = truth_frame("clean", 80_000)
    settings = Settings(dirt=0.0)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed in range(6):
        block = draw_block(0, 5000, 100 + seed, settings)
        for name, rank, events in (("mild_vs_esi", 2, (3, 4)), ("laminectomy_vs_mild", 3, (2, 3, 4))):
            pair = (block.tier == rank) | (block.tier == rank - 1)
            treated = block.tier[pair] == rank
            features = block.patients.features()[pair]
            model = sm.Logit(treated.astype(float), sm.add_constant(features / features.std(axis=0)))
            score = model.fit(disp=0, maxiter=100).predict()
            weight = np.where(treated, 1 - score, score)
            seen = block.follow_up.is_seen[pair, 3]
            leg = as_nrs(block.levels.nrs_leg[pair, 3])
            event = (block.course.first_day(events)[pair] <= 730).astype(float)
            for outcome, values, kept in (("nrs_leg", leg, seen), ("event", event, np.ones_like(seen))):
                a, b = treated & kept, ~treated & kept
                adjusted = np.average(values[a], weights=weight[a]) - np.average(values[b], weights=weight[b])
                found.setdefault((name, outcome), []).append((adjusted, values[a].mean() - values[b].mean()))
    for (name, outcome), pairs in found.items():
        about = (
            {"outcome": "nrs_leg", "window": "12m"}
            if outcome == "nrs_leg"
            else {"horizon_days": 730, "measure": "incidence difference"}
        )
        target = _value(truth, contrast=name, population="overlap", **about)
        errors = np.array(pairs) - target
        standard_error = errors.std(axis=0, ddof=1) / np.sqrt(len(pairs))
        assert abs(errors[:, 0].mean()) < 3 * standard_error[0], (name, outcome)
        assert abs(errors[:, 1].mean()) > 2 * standard_error[1], (name, outcome)


def test_an_unmeasured_confounder_defeats_adjustment_and_shows_in_the_negative_control(tmp_path: Path) -> None:
    rates = {}
    for scenario in ("clean", "unmeasured_confounder"):
        folder = simulate(tmp_path / scenario, 8000, 2, "parquet", scenario, truth_patients=0)
        events = pl.read_parquet(folder / "events.parquet").filter(pl.col("event") == "negative_control")
        block = draw_block(0, 8000, 2, settings_from(scenario))
        years = np.maximum(block.follow_up.last_contact_day, 1) / 365.25
        had = block.patient_id.is_in(events["patient_id"].implode()).to_numpy()
        by_tier = [had[block.tier == rank].sum() / years[block.tier == rank].sum() for rank in (0, 4)]
        rates[scenario] = by_tier[1] / by_tier[0]
    assert rates["unmeasured_confounder"] > 1.5 * rates["clean"]
