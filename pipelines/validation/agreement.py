"""Each estimator beside the number that R printed for the same table.

Belongs here: the judgement, and which of our numbers answers which of R's for times to an event. Does not belong here:
the comparative estimators (`agreement_comparative`), or R's numbers, which stand with their script in the reference
folder (`time_to_event/estimates.R`: survival 3.5-3, cmprsk 2.2-11).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from pipelines.models import competing_risks, cox, multistate, parametric, survival
from pipelines.resources import reference_folder
from pipelines.validation.agreement_comparative import comparative_pairs

PRODUCT_LIMIT, REGRESSION, DRIFT, AFT = 1e-8, 1e-6, 1e-4, 1e-5
TIMES = (10.0, 25.0)
TAU = 30.0
CASE_MIX = ["arm", "age", "severe"]
Rows = list[dict[str, Any]]
Pair = tuple[str, str, float, float, float]


def agreement() -> pl.DataFrame:
    """Return one row per number: estimator, quantity, ours, reference, difference (relative), tolerance, verdict."""
    folder = reference_folder() / "time_to_event"
    expected = json.loads((folder / "estimates.json").read_text(encoding="utf-8"))
    subjects = pl.read_csv(folder / "subjects.csv").with_columns(event=pl.col("cause") == 1)
    stays, visits = pl.read_csv(folder / "stays.csv"), pl.read_csv(folder / "visits.csv")
    pairs = [
        *_curves(subjects, expected),
        *_tests(subjects, expected),
        *_areas(subjects, expected),
        *_regressions(subjects, expected),
        *_states(stays, expected),
        *_parametric(visits, expected),
        *comparative_pairs(reference_folder() / "models"),
    ]
    frame = pl.DataFrame(pairs, schema=["estimator", "quantity", "ours", "reference", "tolerance"], orient="row")
    difference = (pl.col("ours") - pl.col("reference")).abs() / pl.col("reference").abs().clip(lower_bound=1e-12)
    return frame.with_columns(difference=difference).with_columns(
        verdict=pl.when(pl.col("difference") <= pl.col("tolerance")).then(pl.lit("passed")).otherwise(pl.lit("failed"))
    )


def _curves(subjects: pl.DataFrame, expected: Mapping[str, Rows]) -> Iterator[Pair]:
    options: dict[str, dict[str, Any]] = {
        "km": {},
        "km_entry": {"entry": "entry"},
        "km_weighted": {"weights": "weight"},
        "km_clustered": {"weights": "weight", "cluster": "patient"},
    }
    for name, chosen in options.items():
        curve = survival.kaplan_meier(subjects, "time", "event", "arm", **chosen)
        columns = ("estimate", "std_error", "ci_low", "ci_high")
        yield from _at_times(f"Kaplan-Meier ({name})", curve, expected[name], columns, ("group",))
    for name, weights in (("incidence", None), ("incidence_weighted", "weight")):
        curve = competing_risks.cumulative_incidence(subjects, "time", "cause", "arm", weights=weights)
        yield from _at_times(
            f"Aalen-Johansen ({name})", curve, expected[name], ("estimate", "std_error"), ("group", "cause")
        )


def _at_times(
    estimator: str, curve: pl.DataFrame, rows: Rows, columns: Iterable[str], keys: tuple[str, ...]
) -> Iterator[Pair]:
    """The curve's last step at or before each time that R was asked for."""
    for row in rows:
        part = curve.filter(*(pl.col(key) == row[key] for key in keys), pl.col("time") <= row["time"])
        label = ", ".join(str(row[key]) for key in (*keys, "time"))
        for column in columns:
            if row.get(column) is not None:
                yield estimator, f"{column} at {label}", part[column][-1], row[column], PRODUCT_LIMIT


def _tests(subjects: pl.DataFrame, expected: Mapping[str, Any]) -> Iterator[Pair]:
    plain = survival.log_rank(subjects, "time", "event", "arm")["statistic"][0]
    by_site = survival.log_rank(subjects, "time", "event", "arm", strata="site")["statistic"][0]
    yield "log-rank", "statistic", plain, expected["log_rank"]["statistic"], PRODUCT_LIMIT
    yield "log-rank", "statistic, stratified", by_site, expected["log_rank_stratified"]["statistic"], PRODUCT_LIMIT
    pairwise = survival.pairwise_log_rank(subjects, "time", "event", "arm")
    for row in expected["pairwise"]:
        ours = pairwise.filter(group=row["group"], reference=row["reference"])["p_adjusted"][0]
        label = f"Holm p, {row['group']} vs {row['reference']}"
        yield "log-rank", label, ours, row["p_adjusted"], PRODUCT_LIMIT
    gray = competing_risks.gray_test(subjects, "time", "cause", "arm")
    for row in expected["gray"]:
        ours = gray.filter(cause=row["cause"])["statistic"][0]
        yield "Gray's test", f"statistic, cause {row['cause']}", ours, row["statistic"], PRODUCT_LIMIT


def _areas(subjects: pl.DataFrame, expected: Mapping[str, Rows]) -> Iterator[Pair]:
    means = survival.restricted_mean(subjects, "time", "event", TAU, "arm").filter(measure="mean")
    for row in expected["restricted_mean"]:
        ours = means.filter(group=row["group"])
        for column in ("estimate", "std_error"):
            yield "restricted mean", f"{column}, {row['group']}", ours[column][0], row[column], PRODUCT_LIMIT
    lost = competing_risks.restricted_time_lost(subjects, "time", "cause", TAU, "arm").filter(measure="mean")
    for row in expected["time_lost"]:
        if row["state"] == "(s0)":
            continue
        ours = lost.filter(group=row["group"], cause=int(row["state"]))
        for column in ("estimate", "std_error"):
            label = f"{column}, {row['group']}, cause {row['state']}"
            yield "restricted time lost", label, ours[column][0], row[column], PRODUCT_LIMIT


def _regressions(subjects: pl.DataFrame, expected: Mapping[str, Any]) -> Iterator[Pair]:
    fits = {
        "cox": cox.cox_regression(subjects, "time", "event", CASE_MIX),
        "cox_breslow": cox.cox_regression(subjects, "time", "event", CASE_MIX, ties="breslow"),
        "cox_full": cox.cox_regression(
            subjects, "time", "event", ["age", "severe"], "site", "weight", "patient", "entry"
        ),
        "fine_gray": competing_risks.fine_gray(subjects, "time", "cause", CASE_MIX),
    }
    names = {
        "cox": "Cox, Efron",
        "cox_breslow": "Cox, Breslow",
        "cox_full": "Cox, weighted, clustered, stratified, left-truncated",
        "fine_gray": "Fine-Gray",
    }
    for name, fit in fits.items():
        columns = {"coef": "coef", "std_error": "std_error", "robust": "robust_std_error"}
        for theirs, ours in columns.items():
            values = expected[name].get(theirs) or []
            for term, value, number in zip(fit.terms, values, fit.coefficients[ours], strict=False):
                yield names[name], f"{theirs}, {term}", number, value, REGRESSION
        if "km" in expected[name]:
            drift = cox.proportional_hazards_test(fit)
            for term, number, value in zip(drift["term"], drift["statistic"], expected[name]["km"], strict=True):
                yield f"proportional hazards ({name})", f"statistic, {term}", number, value, DRIFT


def _states(stays: pl.DataFrame, expected: Mapping[str, Rows]) -> Iterator[Pair]:
    columns = ("id", "start", "stop", "from", "to", ["care", "injection", "surgery", "dead"])
    occupied = multistate.state_occupation(stays, *columns, group="arm")
    for row in expected["stays"]:
        part = occupied.filter(group=row["group"], state=row["state"]).filter(pl.col("time") <= row["time"])
        for column in ("estimate", "std_error"):
            label = f"{column}, {row['group']}, {row['state']} at {row['time']}"
            yield "state occupation", label, part[column][-1], row[column], REGRESSION
    spent = multistate.time_in_state(stays, *columns, tau=TAU, group="arm")
    for row in expected["stay_time"]:
        group, state = row["row"].removeprefix("arm=").split(", ")
        ours = spent.filter(group=group, state=state)
        for column in ("estimate", "std_error"):
            yield "time in state", f"{column}, {group}, {state}", ours[column][0], row[column], REGRESSION


def _parametric(visits: pl.DataFrame, expected: Mapping[str, Any]) -> Iterator[Pair]:
    between = visits.with_columns(event=pl.col("upper").is_not_null())
    for distribution, printed in expected["parametric"].items():
        fit = parametric.parametric_regression(between, "lower", "event", ["age"], distribution, upper="upper")
        name = f"parametric, {distribution}"
        yield name, "log-likelihood", fit.log_likelihood or float("nan"), printed["log_likelihood"], AFT
        for column in ("coef", "std_error"):
            values = zip(fit.coefficients["term"], fit.coefficients[column], printed[column], strict=True)
            for term, number, value in values:
                yield name, f"{column}, {term}", number, value, AFT
