"""Funnel limits, shrinkage and charts of sites against what R printed (tests/reference/sites) and against paper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models import cusum, funnel, proportions, shrinkage
from pipelines.models._frames import ModelInputError

REFERENCE = Path(__file__).parents[1] / "reference" / "sites"
SHARED = Path(__file__).parents[3] / "shared" / "reference"


@pytest.fixture(scope="module")
def printed() -> dict:
    return json.loads((REFERENCE / "sites.json").read_text())


@pytest.fixture(scope="module")
def patients() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "patients.csv")


def test_poisson_binomial_of_four_patients_on_paper() -> None:
    assert funnel.poisson_binomial(np.array([0.1, 0.2, 0.3, 0.4])) == pytest.approx(
        [0.3024, 0.4404, 0.2144, 0.0404, 0.0024], abs=1e-15
    )
    assert funnel.limits_of(np.array([0.3024, 0.4404, 0.2144, 0.0404, 0.0024]), 0.95) == (0, 3)


def test_exact_limits_match_r(patients: pl.DataFrame, printed: dict) -> None:
    rows = funnel.funnel_limits(patients, "site", "y", "p")
    assert rows.height == 10
    for row, expected in zip(rows.iter_rows(named=True), printed["funnel"], strict=True):
        assert row["group"] == expected["site"]
        assert [row[c] for c in ("low_95", "high_95", "low_998", "high_998")] == [
            expected[c] for c in ("lo95", "hi95", "lo998", "hi998")
        ]
        assert [row["observed"], row["expected"], row["variance"]] == pytest.approx([expected[c] for c in "oev"])


def test_levels_that_differ_in_the_fourth_decimal_have_limits_of_their_own(patients: pl.DataFrame) -> None:
    rows = funnel.funnel_limits(patients, "site", "y", "p", levels=(0.9, 0.999, 0.9995))
    assert [funnel.limit_names(level)[0] for level in (0.9, 0.999, 0.9995)] == ["low_9", "low_999", "low_9995"]
    assert ((rows["high_9995"] >= rows["high_999"]) & (rows["high_999"] > rows["high_9"])).all()


def test_additive_over_dispersion_matches_r(patients: pl.DataFrame, printed: dict) -> None:
    rows = funnel.funnel_limits(patients, "site", "y", "p")
    z, error = rows["z"].to_numpy(), 1 / np.sqrt(rows["variance"].to_numpy())
    for share, name in ((0.0, "raw"), (0.1, "winsorised")):
        found = funnel.overdispersion(z, error, share)
        assert found.phi == pytest.approx(printed[name]["phi"], rel=1e-10)
        assert found.tau_squared == pytest.approx(printed[name]["tau2"], rel=1e-10)


@pytest.mark.parametrize("site", ["s02", "s05", "s10"])
def test_limits_with_a_known_spread_match_numerical_integration_in_r(
    patients: pl.DataFrame, printed: dict, site: str
) -> None:
    certain = funnel.Overdispersion(10, (0.09 + 9) / 10, 0.09, 1e12, 1.0)  # so many degrees that the spread is known
    assert certain.tau_squared_at(np.array([0.01, 0.99])) == pytest.approx([0.09, 0.09], rel=1e-3)
    p = patients.filter(site=site)["p"].to_numpy()
    mixed = funnel.predictive(p, certain)
    assert mixed.sum() == pytest.approx(1.0)
    found = [*funnel.limits_of(mixed, 0.998), *funnel.limits_of(mixed, 0.95)]
    assert found == [printed["mixed"][site][c] for c in ("lo998", "hi998", "lo95", "hi95")]


def test_a_site_is_judged_by_the_spread_of_the_others(patients: pl.DataFrame) -> None:
    exact = funnel.funnel_limits(patients, "site", "y", "p")
    rows = funnel.funnel_limits(patients, "site", "y", "p", winsorise=0.1)
    assert ((rows["low_998"] <= exact["low_998"]) & (rows["high_998"] >= exact["high_998"])).all()
    assert rows["high_998"].sum() > exact["high_998"].sum()
    others = exact.filter(pl.col("group") != "s03")
    v = others["variance"].to_numpy()
    level = (others["observed"] - others["expected"]).sum() / v.sum()
    apart = (others["z"].to_numpy() - level * v**0.5) * (9 / 8) ** 0.5
    spread = funnel.overdispersion(apart, v**-0.5, 0.1, True)
    assert rows.filter(group="s03")["tau_squared"][0] == pytest.approx(spread.tau_squared)
    few = funnel.funnel_limits(patients.filter(pl.col("site") < "s04"), "site", "y", "p", winsorise=0.1)
    assert few["tau_squared"].to_list() == [None] * 3


def test_the_level_of_the_others_has_an_error_of_its_own() -> None:
    # ten sites, each with variance 0.04 by chance and 0.09 of its own: their mean has (0.04 + 0.09) / 10
    found = funnel.overdispersion(np.linspace(-2, 2, 10), np.full(10, 0.2))
    assert found.level_variance(np.array([0.0, 0.09])) == pytest.approx([0.004, 0.013])


def test_exact_limits_of_a_ratio_are_clopper_and_pearsons_where_all_risks_are_equal() -> None:
    # binom.test(7, 40) in R gives 0.0733827294 to 0.3277901334; the expected share here is 0.2
    low, high = funnel.ratio_limits(np.full(40, 0.2), 7)
    assert (low * 0.2, high * 0.2) == pytest.approx((0.0733827294, 0.3277901334), abs=1e-8)
    assert funnel.ratio_limits(np.full(40, 0.2), 0)[0] == 0.0
    assert funnel.ratio_limits(np.full(40, 0.2), 40)[1] == pytest.approx(5.0)


def test_a_large_site_is_tilted_from_several_bases() -> None:
    p = np.full(6000, 0.2)
    wide = funnel.Overdispersion(40, (0.25 * 100 + 39) / 40, 0.25, 1e12, 100.0)
    mixed = funnel.predictive(p, wide)
    effects = np.linspace(-4, 4, 4001) * 0.5
    density = np.exp(-0.5 * (effects / 0.5) ** 2)
    means = 6000 / (1 + 4 * np.exp(-effects))
    assert mixed @ np.arange(6001) == pytest.approx((density @ means) / density.sum(), rel=1e-3)


def test_what_winsorising_leaves_of_chance() -> None:
    # without winsorising: 1 by definition and k degrees; at 10 % of very many sites: ∫ min(z², 1.2816²) φ = 0.679
    assert funnel.chance_of_winsorised(40, 0.0) == (1.0, 40.0)
    left, degrees = funnel.chance_of_winsorised(400, 0.1)
    assert left == pytest.approx(0.679, abs=0.005)
    assert 0.5 * 400 < degrees < 400


def test_random_intercept_model_matches_lme4(patients: pl.DataFrame, printed: dict) -> None:
    fit = shrinkage.random_intercept(patients, "site", "y", "p")
    assert fit.status == "estimable"
    assert fit.spread == pytest.approx(printed["tau"], rel=1e-4)
    # the model counts its likelihood from no site effects, R from nothing
    y, p = patients["y"].to_numpy(), patients["p"].to_numpy()
    without = float(np.log(np.where(y == 1, p, 1 - p)).sum())
    assert fit.log_likelihood == pytest.approx(printed["log_likelihood"] - without, abs=1e-4)
    for row, expected in zip(fit.table.iter_rows(named=True), printed["posterior"], strict=True):
        assert row["effect"] == pytest.approx(expected["mean"], abs=1e-4)
        assert row["std_error"] == pytest.approx(expected["sd"], rel=1e-3)
        assert row["reliability"] == pytest.approx(expected["reliability"], rel=1e-3)


def test_a_small_site_is_shrunk_more_and_ranks_add_up(patients: pl.DataFrame) -> None:
    rows = shrinkage.random_intercept(patients, "site", "y", "p").table
    raw = np.log(rows["observed"] / rows["expected"])
    assert abs(rows["effect"][0]) < abs(raw[0])
    assert rows["reliability"].to_list() == sorted(rows["reliability"])  # sites of the file grow in size
    assert rows["rank"].sum() == pytest.approx(55)


def test_sites_that_differ_by_chance_only_are_not_told_apart() -> None:
    p = np.tile([0.1, 0.3], 200)
    y = np.tile([0, 0, 0, 1, 0, 0, 0, 0, 0, 1], 40)  # each site alike
    frame = pl.DataFrame({"site": np.repeat([f"s{k}" for k in range(8)], 50), "y": y, "p": p})
    fit = shrinkage.random_intercept(frame, "site", "y", "p")
    assert fit.spread < 1e-3
    assert fit.table["reliability"].max() < 1e-3


def test_cusum_matches_r(patients: pl.DataFrame, printed: dict) -> None:
    one = patients.filter(site="s09")
    chart = cusum.risk_adjusted_cusum(one, "y", "p", 2.0, 2.0)
    assert chart["cusum"].to_list() == pytest.approx(printed["cusum"], abs=1e-12)
    assert chart["is_signal"].to_list() == [height >= 2 for height in printed["cusum"]]


def test_run_length_matches_the_markov_chain_in_r(printed: dict) -> None:
    for run in printed["runs"]:
        p = np.full(10, run["p"])
        found = cusum.in_control_run_length(p, run["odds_ratio"], run["limit"], seed=1, steps=4000)
        assert abs(found.mean - run["run_length"]) < 3 * found.std_error
        assert found.std_error < 0.05 * found.mean


def test_control_limit_gives_the_run_length_asked_for() -> None:
    p = np.array([0.05, 0.1, 0.2, 0.3])
    limit = cusum.control_limit(p, 2.0, 1000, seed=3, chains=500)
    found = cusum.in_control_run_length(p, 2.0, limit, seed=4, steps=2000, chains=500)
    assert abs(found.mean - 1000) < 4 * found.std_error
    assert 2.0 < limit < 4.0


def test_vlad_on_paper() -> None:
    frame = pl.DataFrame({"y": [0, 1, 0], "p": [0.5, 0.5, 0.25]})
    rows = cusum.vlad(frame, "y", "p", level=0.5)
    assert rows["vlad"].to_list() == [0.5, 0.0, 0.25]
    # after two patients 0, 1, 2 events have 1/4, 1/2, 1/4: half of the sites lie within 0 to 1
    assert rows.row(1) == (2, 1.0, 0.0, 0.0, 1.0)


def test_wilson_and_newcombe_are_where_they_were() -> None:
    # Newcombe 1998: 81/263 and 56/70 against 48/80
    row = proportions.wilson(81, 263).row(0, named=True)
    assert (round(row["ci_low"], 4), round(row["ci_high"], 4)) == (0.2553, 0.3662)
    row = proportions.newcombe(56, 70, 48, 80).row(0, named=True)
    assert (round(row["ci_low"], 4), round(row["ci_high"], 4)) == (0.0524, 0.3339)


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ModelInputError, match="between 0 and 1"):
        funnel.poisson_binomial(np.array([0.2, 1.2]))
    with pytest.raises(ModelInputError, match="three sites"):
        funnel.overdispersion(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    with pytest.raises(ModelInputError, match="two sites"):
        shrinkage.random_intercept(pl.DataFrame({"s": ["a"], "y": [1], "p": [0.5]}), "s", "y", "p")
    with pytest.raises(ModelInputError, match="odds ratio"):
        cusum.risk_adjusted_cusum(pl.DataFrame({"y": [1], "p": [0.5]}), "y", "p", 1.0, 3.0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference tables are not beside the repository")
def test_funnel_matches_dev_22() -> None:
    expected = json.loads((SHARED / "results" / "dev_22_funnel.json").read_text())
    rows = funnel.funnel_limits(pl.read_csv(SHARED / "data" / "22_funnel_patients.csv"), "site", "y", "p")
    ours = {int(row["group"]): row for row in rows.iter_rows(named=True)}
    assert len(ours) == len(expected["sites"]) == 30
    for site in expected["sites"]:
        row = ours[site["site"]]
        assert [row[c] for c in ("low_95", "high_95", "low_998", "high_998", "observed")] == [
            site[c] for c in ("lo95", "hi95", "lo998", "hi998", "O")
        ]
        assert [row["expected"], row["variance"], row["z"]] == pytest.approx([site[c] for c in "EVz"], rel=1e-10)
        wilson = proportions.wilson(site["O"], site["n"]).row(0, named=True)
        assert [wilson["ci_low"], wilson["ci_high"]] == pytest.approx([site["wilson_lo"], site["wilson_hi"]], rel=1e-10)
    in_order = pl.DataFrame([ours[site["site"]] for site in expected["sites"]])
    v, e, n = (in_order[c].to_numpy() for c in ("variance", "expected", "subjects"))
    for scale, error in (("smr_scale", np.sqrt(v) / e), ("diff_scale", np.sqrt(v) / n)):
        for share, name in ((0.0, "raw"), (0.1, "winsorised")):
            found = funnel.overdispersion(in_order["z"].to_numpy(), error, share)
            target = expected["overdispersion"][scale][name]
            assert [found.phi, found.tau_squared] == pytest.approx([target["phi"], target["tau2"]], rel=1e-10)
    for pair in expected["newcombe_site_pairs"]:
        row = proportions.newcombe(pair["x1"], pair["n1"], pair["x2"], pair["n2"]).row(0, named=True)
        found = [row[c] for c in ("estimate", "ci_low", "ci_high")]
        assert found == pytest.approx([pair[c] for c in ("diff", "lo", "hi")], rel=1e-10)
