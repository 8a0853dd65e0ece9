"""What the benchmark times: an estimator of ours or of a Python peer on a drawn table, in a process of its own.

Run as `python -m pipelines.validation.benchmark_tasks TASK ENGINE ROWS REPEATS`; prints one JSON line. R's side is
`benchmark.R`, on the same numbers. Which pairs are run and how they are laid out belongs in `benchmark`.

The tables follow the design's: 10 covariates, daily ties, 5 groups; repeated measures have 5 visits, 20 % missing.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 20261123
COVARIATES = [f"x{i}" for i in range(1, 11)]
MANY_COVARIATES = [f"x{i}" for i in range(1, 21)]
VISITS = 5
MISSING_SHARE = 0.2


def failure_columns(rows: int) -> dict[str, NDArray[np.float64]]:
    """time (days, ties), cause (0, 1, 2), weight, group (0–4) and ten covariates, each of shape (rows,)."""
    draw = np.random.default_rng(SEED)
    x = draw.normal(size=(rows, len(COVARIATES)))
    group = draw.integers(0, 5, rows)
    hazard = 5e-4 * np.exp(0.2 * x[:, 0] - 0.1 * x[:, 1] + 0.1 * group)
    event, death = draw.exponential(1 / hazard), draw.exponential(1 / 1e-4, rows)
    censored = draw.uniform(200, 1800, rows)
    stop = np.minimum(np.minimum(event, death), censored)
    cause = np.where(stop == event, 1, np.where(stop == death, 2, 0))
    columns = {"time": np.ceil(stop), "cause": cause, "weight": draw.uniform(0.5, 2.5, rows), "group": group}
    return {name: np.asarray(value, dtype=float) for name, value in columns.items()} | {
        name: x[:, i] for i, name in enumerate(COVARIATES)
    }


def visit_columns(subjects: int) -> dict[str, NDArray[np.float64]]:
    """subject, visit (1–5), arm (0–4), baseline, two covariates and the outcome y; missing visits are left out."""
    draw = np.random.default_rng(SEED)
    arm, baseline = draw.integers(0, 5, subjects), draw.normal(6, 2, subjects)
    shape = 0.6 ** np.abs(np.subtract.outer(np.arange(VISITS), np.arange(VISITS))) * 4
    noise = draw.multivariate_normal(np.zeros(VISITS), shape, subjects)
    y = baseline[:, None] * 0.5 - 0.2 * arm[:, None] * np.arange(1, VISITS + 1) / VISITS + noise
    seen = draw.random((subjects, VISITS)) >= MISSING_SHARE
    subject, visit = np.nonzero(seen)
    columns = {"subject": subject, "visit": visit + 1, "arm": arm[subject], "baseline": baseline[subject]}
    x = draw.normal(size=(subjects, 2))
    columns |= {"x1": x[subject, 0], "x2": x[subject, 1], "y": y[seen]}
    return {name: np.asarray(value, dtype=float) for name, value in columns.items()}


def arm_columns(rows: int) -> dict[str, NDArray[np.float64]]:
    """arm (0–4) chosen by the first covariates, and twenty covariates."""
    draw = np.random.default_rng(SEED)
    x = draw.normal(size=(rows, len(MANY_COVARIATES)))
    scores = np.outer(x[:, 0] + 0.5 * x[:, 1], np.linspace(-0.6, 0.6, 5)) + draw.gumbel(size=(rows, 5))
    return {"arm": scores.argmax(axis=1).astype(float)} | {name: x[:, i] for i, name in enumerate(MANY_COVARIATES)}


def columns_of(task: str, rows: int) -> dict[str, NDArray[np.float64]]:
    """The table that a task runs on."""
    if task == "mmrm":
        return visit_columns(rows)
    return arm_columns(rows) if task in ("propensity", "balance") else failure_columns(rows)


Work = Callable[[], object]


def prepared(task: str, engine: str, rows: int) -> Work:
    """The timed work of an engine, its table already made in the form that the engine takes."""
    columns = columns_of(task, rows)
    frame = pl.DataFrame(columns)
    return ENGINES[engine](task, frame)


def _ours(task: str, frame: pl.DataFrame) -> Work:
    from pipelines.models import competing_risks, cox, longitudinal, propensity, survival

    failure = frame if "time" not in frame.columns else frame.with_columns(event=pl.col("cause") == 1)
    whole = [name for name in ("cause", "group", "arm", "visit", "subject") if name in frame.columns]
    rows = failure.with_columns(pl.col(whole).cast(pl.Int64))
    works: dict[str, Work] = {
        "kaplan_meier": lambda: survival.kaplan_meier(rows, "time", "event", "group"),
        "log_rank": lambda: survival.log_rank(rows, "time", "event", "group"),
        "restricted_mean": lambda: survival.restricted_mean(rows, "time", "event", 730.0, "group"),
        "cox": lambda: cox.cox_regression(rows, "time", "event", COVARIATES),
        "cox_weighted": lambda: cox.cox_regression(rows, "time", "event", COVARIATES, weights="weight"),
        "aalen_johansen": lambda: competing_risks.cumulative_incidence(rows, "time", "cause", "group"),
        "fine_gray": lambda: competing_risks.fine_gray(rows, "time", "cause", COVARIATES),
        "gray_test": lambda: competing_risks.gray_test(rows, "time", "cause", "group"),
        "mmrm": lambda: longitudinal.mmrm(
            _with_categories(rows), "y", "visit", "subject", "arm * visit + baseline * visit + x1 + x2"
        ).contrasts("arm"),
        "propensity": lambda: propensity.weights(rows, "arm", MANY_COVARIATES, "overlap"),
        "balance": lambda: propensity.balance(rows, "arm", MANY_COVARIATES),
    }
    if task == "proportional_hazards_test":
        fit = cox.cox_regression(rows, "time", "event", COVARIATES)
        return lambda: cox.proportional_hazards_test(fit)
    return works[task]


def _with_categories(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("arm", "visit").cast(pl.String))


def _lifelines(task: str, frame: pl.DataFrame) -> Work:
    import lifelines
    from lifelines.statistics import multivariate_logrank_test, proportional_hazard_test

    table = frame.to_pandas()
    event = table["cause"] == 1
    model = table[[*COVARIATES, "time"]].assign(event=event)
    by_group = [table[table["group"] == g] for g in sorted(table["group"].unique())]

    def curves(fitter: Callable[..., object]) -> None:
        for part in by_group:
            fitter(part)

    works: dict[str, Work] = {
        "kaplan_meier": lambda: curves(lambda p: lifelines.KaplanMeierFitter().fit(p["time"], p["cause"] == 1)),
        "log_rank": lambda: multivariate_logrank_test(table["time"], table["group"], event),
        "cox": lambda: lifelines.CoxPHFitter().fit(model, "time", "event"),
        "cox_weighted": lambda: lifelines.CoxPHFitter().fit(
            model.assign(weight=table["weight"]), "time", "event", weights_col="weight", robust=True
        ),
        "aalen_johansen": lambda: curves(lambda p: lifelines.AalenJohansenFitter().fit(p["time"], p["cause"], 1)),
    }
    if task == "proportional_hazards_test":
        fit = lifelines.CoxPHFitter().fit(model, "time", "event")
        return lambda: proportional_hazard_test(fit, model, time_transform="km")
    return works[task]


def _statsmodels(task: str, frame: pl.DataFrame) -> Work:
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    table = frame.to_pandas()
    if task == "mmrm":
        formula = "y ~ C(arm) * C(visit) + baseline * C(visit) + x1 + x2"
        return lambda: smf.mixedlm(formula, table, groups=table["subject"]).fit(reml=True)
    design = sm.add_constant(table[MANY_COVARIATES])
    return lambda: sm.MNLogit(table["arm"], design).fit(disp=0)


def _sklearn(task: str, frame: pl.DataFrame) -> Work:
    from sklearn.linear_model import LogisticRegression

    x, arm = frame.select(MANY_COVARIATES).to_numpy(), frame["arm"].to_numpy()
    return lambda: LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x, arm)


ENGINES: dict[str, Callable[[str, pl.DataFrame], Work]] = {
    "ours": _ours,
    "lifelines": _lifelines,
    "statsmodels": _statsmodels,
    "scikit-learn": _sklearn,
}


def main(task: str, engine: str, rows: str, repeats: str) -> None:
    """Time the work and print the seconds of each repeat."""
    warnings.simplefilter("ignore")
    work = prepared(task, engine, int(rows))
    seconds = []
    for _ in range(int(repeats)):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
