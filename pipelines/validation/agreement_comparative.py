"""Each comparative estimator beside the number that R printed for the same table.

Belongs here: which of our numbers answers which of R's. Does not belong here: the estimators, or R's numbers, which
stand with their scripts in the reference folder (`models/*.R`: nnet, sandwich, nlme, clubSandwich, survival, mvtnorm,
mice, and estimating equations written out).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.models import comparison, imputation, longitudinal, propensity, proportions, sensitivity, walking
from pipelines.models.standardisation import standardised_risks

CLOSED, ROOT, MIXED, FREEDOM = 1e-8, 1e-6, 1e-4, 1e-2
COVARIATES = ["age", "sex", "pain0"]
ESTIMANDS: dict[str, dict[str, str]] = {
    "ate": {"estimand": "ate"},
    "att_b": {"estimand": "att", "target": "b"},
    "overlap": {"estimand": "overlap"},
}
REPEATED = ("odi", "visit", "subject", "sex + base * visit + arm * visit")
WALK = ("time1_s", "capped1", "speed1_m_s")
Pair = tuple[str, str, float, float, float]
Expected = Mapping[str, Any]


def comparative_pairs(folder: Path) -> Iterator[Pair]:
    """Yield estimator, quantity, ours, R's and the tolerance; `folder` holds the tables and what R printed."""
    cohort = pl.read_csv(folder / "cohort.csv").with_columns(log_speed0=pl.col("speed0_m_s").log())
    visits = pl.read_csv(folder / "visits.csv")
    yield from _propensity(cohort, _printed(folder, "propensity"))
    yield from _ancova(cohort, _printed(folder, "ancova"))
    yield from _doubly_robust(cohort, _printed(folder, "doubly_robust"))
    yield from _repeated(visits, _printed(folder, "mmrm"))
    yield from _walking(cohort, _printed(folder, "walking"), _printed(folder, "walking_weighted"))
    yield from _responders(_printed(folder, "responders_pooling"))
    yield from _pooling(_printed(folder, "responders_pooling"))


def _printed(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _propensity(cohort: pl.DataFrame, expected: Expected) -> Iterator[Pair]:
    for name, options in ESTIMANDS.items():
        fit = propensity.weights(cohort, "arm", COVARIATES, **options)
        if name == "overlap":
            yield from _scores_and_balance(cohort, fit, expected)
        sizes = zip(
            fit.arms.names, fit.effective_sample_size["effective_sample_size"], expected["ess"][name], strict=True
        )
        for arm, ours, theirs in sizes:
            yield "propensity weights", f"effective sample size, {name}, {arm}", ours, theirs, CLOSED
        for outcome in ("pain1", "responder"):
            yield from _weighted(cohort, fit, outcome, name, expected[outcome][name])


def _scores_and_balance(cohort: pl.DataFrame, fit: propensity.Propensity, expected: Expected) -> Iterator[Pair]:
    printed = [value for arm in zip(*expected["coefficients"].values(), strict=True) for value in arm]
    rows = fit.coefficients.with_columns(reference=pl.Series(printed))
    for group, term, ours, theirs in rows.select("group", "term", "coef", "reference").iter_rows():
        yield "propensity model", f"coefficient, {group}, {term}", ours, theirs, ROOT
    balance = propensity.balance(cohort.with_columns(fit.weights), "arm", COVARIATES, "weight")
    for pair, columns in expected["balance_overlap"].items():
        for covariate, values in columns.items():
            row = _one(balance.filter(covariate=covariate), pair)
            for column, theirs in zip(("smd", "variance_ratio", "ks"), values, strict=True):
                yield "balance", f"{column}, {covariate}, {_versus(pair)}", row[column], theirs, ROOT


def _weighted(
    cohort: pl.DataFrame, fit: propensity.Propensity, outcome: str, name: str, expected: Expected
) -> Iterator[Pair]:
    rows = propensity.effects(fit, cohort, outcome)
    fixed, estimated = (rows.filter(variance=f"weights {kind}") for kind in ("fixed", "estimated"))
    clustered = propensity.effects(fit, cohort, outcome, cluster="site").filter(variance="weights estimated")
    ratios = propensity.effects(fit, cohort, outcome, measure="ratio").filter(variance="weights estimated")
    for pair, wanted in expected.items():
        label = f"{outcome}, {name}, {_versus(pair)}"
        yield "weighted effects", f"difference, {label}", _one(fixed, pair)["estimate"], wanted["estimate"], CLOSED
        for kind, part, key in (
            ("weights fixed", fixed, "fixed"),
            ("weights estimated", estimated, "stacked"),
            ("weights estimated, by site", clustered, "clustered"),
        ):
            yield "weighted effects", f"SE, {kind}, {label}", _one(part, pair)["std_error"], wanted[key], ROOT
        ratio = _one(ratios, pair)
        yield "weighted effects", f"ratio, {label}", ratio["estimate"], wanted["ratio"], CLOSED
        yield "weighted effects", f"log SE of the ratio, {label}", ratio["log_std_error"], wanted["log_stacked"], ROOT


def _ancova(cohort: pl.DataFrame, expected: Expected) -> Iterator[Pair]:
    variants: dict[str, dict[str, Any]] = {
        "hc3": {},
        "model": {"robust": None},
        "weighted_hc3": {"weights": "weight"},
        "cluster": {"cluster": "site"},
    }
    for name, options in variants.items():
        rows = comparison.ancova(cohort, "pain1", "pain0", "arm", ["age", "sex"], **options)
        for wanted in expected[name]:
            ours = _one(rows, wanted["pair"])
            for column in ("estimate", "std_error", "ci_low", "ci_high", "df"):
                label = f"{column}, {name}, {_versus(wanted['pair'])}"
                yield "ANCOVA", label, ours[column], wanted[column], CLOSED
    for name, weights in (("means", None), ("weighted_means", "weight")):
        means = comparison.adjusted_means(cohort, "pain1", "pain0", "arm", ["age", "sex"], weights=weights)
        for group, ours in means.select("group", "estimate").iter_rows():
            yield "ANCOVA", f"adjusted mean, {name}, {group}", ours, expected[name][group], CLOSED


def _doubly_robust(cohort: pl.DataFrame, expected: Expected) -> Iterator[Pair]:
    for model, outcome in (("linear", "pain1"), ("logistic", "responder")):
        columns = (cohort, outcome, "arm", COVARIATES, model)
        wanted = expected[f"aipw_{model}"]
        yield from _estimates("AIPW", f"{model}", comparison.aipw(*columns), wanted["plain"])
        yield from _estimates("AIPW", f"{model}, by site", comparison.aipw(*columns, cluster="site"), wanted["site"])
        joint = comparison.aipw(*columns, modifiers=["age"])
        yield from _estimates("AIPW", f"{model}, one outcome regression", joint, expected[f"joint_{model}"])
    scores = propensity.weights(cohort, "arm", COVARIATES)
    for name, cluster in (("plain", None), ("site", "site")):
        rows = comparison.ancova(cohort, "pain1", "pain0", "arm", ["age", "sex"], propensity=scores, cluster=cluster)
        yield from _estimates("ANCOVA, weights estimated", name, rows, expected["ancova"][name])
    for name, weights in (("risks", None), ("weighted_risks", "weight")):
        for measure in ("difference", "ratio"):
            rows = standardised_risks(cohort, "responder", "arm", ["age", "sex"], measure=measure, weights=weights)
            yield from _estimates("standardised risks", f"{name}, {measure}", rows, expected[name][measure])


def _repeated(visits: pl.DataFrame, expected: Expected) -> Iterator[Pair]:
    fit = longitudinal.mmrm(visits, *REPEATED)
    name = "MMRM, unstructured"
    yield name, "REML log-likelihood", fit.log_likelihood or float("nan"), expected["log_likelihood"], CLOSED
    for i, printed in enumerate(expected["sigma"]):
        for j, theirs in enumerate(printed[: i + 1]):
            yield name, f"covariance {i + 1}, {j + 1}", fit.residual_covariance[i, j], theirs, MIXED
    yield from _by_term(name, "SE", fit, "std_error", expected["std_error"], MIXED)
    yield from _by_term(name, "Satterthwaite df", fit, "df", expected["df"], MIXED)
    contrasts, means = fit.contrasts("arm"), fit.means("arm")
    for visit, pairs in expected["contrasts"].items():
        for pair, wanted in pairs.items():
            ours = _one(contrasts.filter(visit=visit), pair)
            for column in ("estimate", "std_error", "df"):
                yield name, f"contrast at {visit}, {column}, {_versus(pair)}", ours[column], wanted[column], MIXED
        for group, wanted in expected["means"][visit].items():
            ours = means.filter(visit=visit, group=group).row(0, named=True)
            for column in ("estimate", "std_error", "df"):
                yield name, f"mean at {visit}, {column}, {group}", ours[column], wanted[column], MIXED
    kenward_roger = longitudinal.mmrm(visits, *REPEATED, variance="kenward-roger")
    yield from _by_term("MMRM, Kenward-Roger", "SE", kenward_roger, "std_error", expected["kenward_roger"], MIXED)
    for key, cluster in (("sandwich", None), ("sandwich_site", "site")):
        robust = longitudinal.mmrm(visits, *REPEATED, variance="sandwich", cluster=cluster)
        label = "MMRM, sandwich" if cluster is None else "MMRM, sandwich by site"
        yield from _by_term(label, "SE", robust, "std_error", expected[key]["std_error"], MIXED)
        yield from _by_term(label, "df", robust, "df", expected[key]["df"], FREEDOM)
    for key, rung in (("heterogeneous", "heterogeneous compound symmetry"), ("compound", "compound symmetry")):
        lower = longitudinal.mmrm(visits, *REPEATED, covariance=rung)
        wanted = expected["gls"][key]
        yield f"MMRM, {rung}", "log-likelihood", lower.log_likelihood or float("nan"), wanted["log_likelihood"], CLOSED


def _walking(cohort: pl.DataFrame, expected: Expected, weighted: Expected) -> Iterator[Pair]:
    plain: dict[str, dict[str, Any]] = {
        "factorised": {"variance": "model"},
        "weighted": {"variance": "model", "weights": "weight"},
        "clustered": {"cluster": "site"},
    }
    for name, options in plain.items():
        rows = walking.joint_time_speed(cohort, *WALK, "arm", ["age", "sex"], **options)
        yield from _ratios("walking, joint model", name, rows, expected[name], CLOSED)
    latent = walking.joint_time_speed(
        cohort,
        *WALK,
        "arm",
        ["age", "sex", "log_speed0"],
        baseline_time="time0_s",
        baseline_capped="capped0",
        variance="model",
    )
    yield from _ratios("walking, latent baseline", "model", latent, expected["baseline"], 2e-6)
    walked = pl.col("subject") % 9 != 4
    unseen = cohort.with_columns(pl.when(walked).then(name).alias(name) for name in WALK)
    fit = propensity.weights(cohort, "arm", COVARIATES)
    for suffix, cluster in (("", None), ("_site", "site")):
        rows = walking.weighted_time_speed(fit, unseen, *WALK, ["log_speed0"], cluster=cluster)
        for variance, key in (("weights fixed", "fixed"), ("weights estimated", "stacked")):
            label = f"{variance}{', by site' if cluster else ''}"
            part = rows.filter(variance=variance)
            yield from _ratios("walking, overlap-weighted", label, part, weighted[f"{key}{suffix}"], ROOT)


def _responders(expected: Expected) -> Iterator[Pair]:
    counts = {arm: (wanted["x"], wanted["n"]) for arm, wanted in expected["share"].items()}
    for arm, wanted in expected["share"].items():
        row = proportions.wilson(*counts[arm]).row(0, named=True)
        for column, key in (("ci_low", "low"), ("ci_high", "high")):
            yield "responders", f"{column} of the share, {arm}", row[column], wanted[key], CLOSED
    for pair, wanted in expected["pairs"].items():
        group, reference = pair.split("_")
        difference = proportions.newcombe(*counts[group], *counts[reference]).row(0, named=True)
        for column, key in (("estimate", "difference"), ("ci_low", "low"), ("ci_high", "high")):
            label = f"risk difference, {column}, {_versus(pair)}"
            yield "responders", label, difference[column], wanted[key], CLOSED
        ratio = proportions.risk_ratio(*counts[group], *counts[reference]).with_columns(pl.col("estimate").log())
        for column, key in (("estimate", "log_ratio"), ("log_std_error", "log_ratio_se")):
            yield "responders", f"log risk ratio, {column}, {_versus(pair)}", ratio[column][0], wanted[key], ROOT


def _pooling(expected: Expected) -> Iterator[Pair]:
    errors = [[value**2 for value in row] for row in expected["per_imputation"]["std_errors"]]
    rows = imputation.pool(expected["per_imputation"]["estimates"], errors, df=expected["complete_df"])
    for ours, (arm, wanted) in zip(rows.to_dicts(), expected["pooled"].items(), strict=True):
        columns = {"estimate": "estimate", "std_error": "std_error", "df": "df", "fraction_missing": "fmi"}
        for column, key in columns.items():
            yield "Rubin's rules, Barnard-Rubin", f"{column}, {arm}", ours[column], wanted[key], CLOSED
    for case in expected["e_values"]:
        row = sensitivity.e_value(case["estimate"], case["low"], case["high"], case["measure"]).row(0, named=True)
        for column in ("point", "limit"):
            yield "E-value", f"{column}, {case['measure']} {case['estimate']:g}", row[column], case[column], CLOSED


def _estimates(estimator: str, label: str, rows: pl.DataFrame, expected: Expected) -> Iterator[Pair]:
    for pair, wanted in expected.items():
        ours = _one(rows, pair)
        for column, theirs in wanted.items():
            yield estimator, f"{column}, {label}, {_versus(pair)}", ours[column], theirs, ROOT


def _ratios(estimator: str, label: str, rows: pl.DataFrame, expected: Expected, tolerance: float) -> Iterator[Pair]:
    for pair, measures in expected.items():
        for wanted in measures:
            ours = _one(rows.filter(measure=wanted["measure"]), pair)
            for column, key in (("estimate", "ratio"), ("log_std_error", "log_std_error")):
                quantity = f"{column}, {wanted['measure']}, {label}, {_versus(pair)}"
                yield estimator, quantity, ours[column], wanted[key], tolerance


def _by_term(
    estimator: str,
    label: str,
    fit: longitudinal.RepeatedMeasuresFit,
    column: str,
    expected: Expected,
    tolerance: float,
) -> Iterator[Pair]:
    """R and formulaic name a level and order the parts of an interaction each in their own way."""
    printed = {_plain(term): value for term, value in expected.items()}
    for term, ours in fit.coefficients.select("term", column).iter_rows():
        yield estimator, f"{label}, {term}", ours, printed[_plain(term)], tolerance


def _plain(term: str) -> str:
    return ":".join(sorted(term.replace("[T.", "").replace("]", "").split(":")))


def _one(rows: pl.DataFrame, pair: str) -> dict[str, Any]:
    group, reference = pair.split("_")
    return rows.filter(group=group, reference=reference).row(0, named=True)


def _versus(pair: str) -> str:
    return pair.replace("_", " vs ")
