"""What the benchmark times: an estimator of ours or of a Python peer on a drawn table, in a process of its own.

Run as `python -m pipelines.validation.benchmark_tasks TASK ENGINE ROWS`; prints one JSON line. R's side is
`benchmark.R`, on the same numbers. Which pairs are run and how they are laid out belongs in `benchmark`.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.validation.benchmark_tables import COVARIATES, MANY_COVARIATES, STATES, columns_of

# Every engine works once on a table of this size first, so that no import and no start of threads is timed.
WARM_UP_ROWS = 1000
HORIZON_DAYS = 730.0

Work = Callable[[], object]
# The largest entry of the mean score at an answer: what an optimiser's stopping rule is about.
Gradient = Callable[[object], float]


def prepared(task: str, engine: str, rows: int) -> Work:
    """The timed work of an engine, its table already made in the form that the engine takes."""
    return ENGINES[engine](task, pl.DataFrame(columns_of(task, rows)))


def _ours(task: str, frame: pl.DataFrame) -> Work:
    whole = [name for name in ("cause", "group", "arm", "visit", "subject") if name in frame.columns]
    rows = frame.with_columns(pl.col(whole).cast(pl.Int64))
    if task in ("mmrm", "propensity", "balance"):
        return _our_comparison(task, rows)
    if task in ("state_occupation", "time_in_state"):
        return _our_states(task, rows)
    return _our_survival(task, rows)


def _our_survival(task: str, frame: pl.DataFrame) -> Work:
    from pipelines.models import competing_risks, cox, interval, parametric, survival

    rows = frame.with_columns(event=pl.col("cause") == 1) if "cause" in frame.columns else frame
    works: dict[str, Work] = {
        "kaplan_meier": lambda: survival.kaplan_meier(rows, "time", "event", "group"),
        "log_rank": lambda: survival.log_rank(rows, "time", "event", "group"),
        "restricted_mean": lambda: survival.restricted_mean(rows, "time", "event", HORIZON_DAYS, "group"),
        "cox": lambda: cox.cox_regression(rows, "time", "event", COVARIATES),
        "cox_weighted": lambda: cox.cox_regression(rows, "time", "event", COVARIATES, weights="weight"),
        "aalen_johansen": lambda: competing_risks.cumulative_incidence(rows, "time", "cause", "group"),
        "restricted_time_lost": lambda: competing_risks.restricted_time_lost(
            rows, "time", "cause", HORIZON_DAYS, "group"
        ),
        "fine_gray": lambda: competing_risks.fine_gray(rows, "time", "cause", COVARIATES),
        "gray_test": lambda: competing_risks.gray_test(rows, "time", "cause", "group"),
        "parametric": lambda: parametric.parametric_regression(rows, "time", "event", COVARIATES, "weibull"),
        "turnbull": lambda: interval.turnbull(rows, "lower", "upper"),
    }
    if task == "proportional_hazards_test":
        fit = cox.cox_regression(rows, "time", "event", COVARIATES)
        return lambda: cox.proportional_hazards_test(fit)
    return works[task]


def _our_states(task: str, frame: pl.DataFrame) -> Work:
    from pipelines.models import multistate

    rows = frame.with_columns(pl.col("state", "to").cast(pl.Int64).cast(pl.String))
    columns = ("subject", "start", "stop", "state", "to", [str(state) for state in range(STATES)], "group")
    if task == "time_in_state":
        return lambda: multistate.time_in_state(rows, *columns, tau=HORIZON_DAYS)
    return lambda: multistate.state_occupation(rows, *columns)


def _our_comparison(task: str, rows: pl.DataFrame) -> Work:
    from pipelines.models import longitudinal, propensity

    if task == "mmrm":
        named = rows.with_columns(pl.col("arm", "visit").cast(pl.String))
        return lambda: longitudinal.mmrm(named, "y", "visit", "subject", "arm * visit + baseline + x1").coefficients
    if task == "propensity":
        return lambda: propensity.weights(rows, "arm", MANY_COVARIATES, "overlap")
    return lambda: propensity.balance(rows, "arm", MANY_COVARIATES)


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
        "parametric": lambda: lifelines.WeibullAFTFitter().fit(model, "time", "event"),
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
        formula = "y ~ C(arm) * C(visit) + baseline + x1"
        return lambda: smf.mixedlm(formula, table, groups=table["subject"]).fit(reml=True)
    design = sm.add_constant(table[MANY_COVARIATES])
    return lambda: sm.MNLogit(table["arm"], design).fit(disp=0)


def _sklearn(task: str, frame: pl.DataFrame) -> Work:
    from sklearn.linear_model import LogisticRegression

    x, arm = frame.select(MANY_COVARIATES).to_numpy(), frame["arm"].to_numpy()
    return lambda: LogisticRegression(C=np.inf, tol=1e-8, max_iter=10_000).fit(x, arm)


ENGINES: dict[str, Callable[[str, pl.DataFrame], Work]] = {
    "ours": _ours,
    "lifelines": _lifelines,
    "statsmodels": _statsmodels,
    "scikit-learn": _sklearn,
}


def _probabilities(engine: str, answer: object, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The arms' probabilities in the order of their numbers, shape (n, 5), as an engine's answer gives them."""
    if engine == "ours":
        return answer.scores.to_numpy()  # type: ignore[attr-defined]
    if engine == "statsmodels":
        return np.asarray(answer.predict())  # type: ignore[attr-defined]
    return answer.predict_proba(matrix)  # type: ignore[attr-defined]


def _mean_gradient(task: str, engine: str, rows: int, answer: object) -> float | None:
    """The largest entry of the mean score of a multinomial fit, which tells how far its search went."""
    if task != "propensity":
        return None
    columns = columns_of(task, rows)
    matrix = np.column_stack([columns[name] for name in MANY_COVARIATES])
    residual = _probabilities(engine, answer, matrix) - np.eye(5)[columns["arm"].astype(int)]
    return float(np.abs(np.column_stack([np.ones(rows), matrix]).T @ residual).max() / rows)


def main(task: str, engine: str, rows: str) -> None:
    """Time the work once; prints its seconds, and the gradient where a search's stopping rule decides the time."""
    warnings.simplefilter("ignore")
    prepared(task, engine, min(WARM_UP_ROWS, int(rows)))()
    work = prepared(task, engine, int(rows))
    begun = time.perf_counter()
    answer = work()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "gradient": _mean_gradient(task, engine, int(rows), answer)}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
