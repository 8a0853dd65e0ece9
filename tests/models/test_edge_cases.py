"""Every estimator of time to event on every edge case: R's numbers, or a plain refusal where R has none either.

Cases: ties, events on day 0, a group without events, one subject, all censored, weights from 1e-4 to 1e4, duplicated
and shuffled rows (tests/reference/time_to_event/simulate_edge_cases.py); R's numbers are in edge_cases.json.
"""

import json
from collections.abc import Callable

import polars as pl
import pytest

from pipelines.models._frames import ModelInputError
from pipelines.models.competing_risks import cumulative_incidence, fine_gray, gray_test, restricted_time_lost
from pipelines.models.cox import cox_regression, proportional_hazards_test
from pipelines.models.interval import turnbull
from pipelines.models.multistate import state_occupation, time_in_state
from pipelines.models.parametric import parametric_regression
from pipelines.models.schoenfeld import coefficient_over_time
from pipelines.models.survival import kaplan_meier, log_rank, pairwise_log_rank, restricted_mean

from .conftest import TIME_TO_EVENT

AT, TAU = (4, 8), 10
STATES = ["care", "surgery", "dead"]
STAYS = ("id", "start", "stop", "from", "to")
COVARIATES = ["arm", "x"]
CASES = (
    "base",
    "ties",
    "time zero",
    "quiet group",
    "one subject",
    "all censored",
    "extreme weights",
    "duplicated",
    "shuffled",
)
Numbers = list[float | None]
Found = tuple[Numbers, str]
"""Numbers in R's order, and the estimator's status."""


def at(curve: pl.DataFrame, times: tuple[int, ...], start: float, column: str) -> Numbers:
    """The curve's values at the times, group by group as they come; `start` before the first row."""
    values: Numbers = []
    for _, part in curve.group_by("group", maintain_order=True):
        for time in times:
            known = part.filter(pl.col("time") <= time)[column].to_list()
            values.append(known[-1] if known else start)
    return values


def _said(rows: pl.DataFrame) -> str:
    return "; ".join(dict.fromkeys(rows["status"]))


def of_kaplan_meier(f: pl.DataFrame) -> Found:
    curve = kaplan_meier(f, "time", "event", "arm", weights="weight")
    return [*at(curve, AT, 1.0, "estimate"), *at(curve, AT, 0.0, "std_error")], "estimable"


def of_restricted_mean(f: pl.DataFrame) -> Found:
    rows = restricted_mean(f, "time", "event", TAU, "arm", weights="weight").filter(pl.col("measure") == "mean")
    errors = rows["std_error"].to_list() if (f["weight"] == 1).all() else []
    return [*rows["estimate"], *errors], _said(rows)


def of_log_rank(f: pl.DataFrame) -> Found:
    row = log_rank(f, "time", "event", "arm").row(0, named=True)
    return [row["statistic"]], row["status"]


def of_pairwise(f: pl.DataFrame) -> Found:
    rows = pairwise_log_rank(f, "time", "event", "arm")
    return rows["p_adjusted"].to_list(), _said(rows)


def of_cox(f: pl.DataFrame) -> Found:
    fit = cox_regression(f, "time", "event", COVARIATES, weights="weight")
    return [
        *fit.coefficients["coef"],
        *fit.coefficients["robust_std_error"],
        *fit.coefficients["std_error"],
    ], fit.status


def of_drift(f: pl.DataFrame) -> Found:
    rows = proportional_hazards_test(cox_regression(f, "time", "event", COVARIATES, weights="weight"))
    return rows["statistic"].to_list(), rows["status"][0]


def of_incidence(f: pl.DataFrame) -> Found:
    curve = cumulative_incidence(f, "time", "cause", "arm", weights="weight")
    parts = [curve.filter(pl.col("cause") == cause) for cause in (1, 2)]
    values: Numbers = []
    for column in ("estimate", "std_error"):
        for part in parts:  # a cause that nobody had has no rows: its incidence is 0
            values += at(part, AT, 0.0, column) if part.height else [0.0] * f["arm"].n_unique() * len(AT)
    return values, "estimable"


def of_time_lost(f: pl.DataFrame) -> Found:
    rows = restricted_time_lost(f, "time", "cause", TAU, "arm", weights="weight").filter(pl.col("measure") == "mean")
    # survfit leaves the weights out of the error of the area: with weights the estimate alone is compared
    columns = ("estimate", "std_error") if (f["weight"] == 1).all() else ("estimate",)
    values: Numbers = []
    for column in columns:
        for cause in (1, 2):  # a cause that nobody had has no rows: nothing is lost to it
            part = rows.filter(pl.col("cause") == cause)
            values += part[column].to_list() if part.height else [0.0] * f["arm"].n_unique()
    return values, _said(rows)


def of_gray(f: pl.DataFrame) -> Found:
    rows = gray_test(f, "time", "cause", "arm")
    return rows["statistic"].to_list(), _said(rows)


def of_fine_gray(f: pl.DataFrame) -> Found:
    fit = fine_gray(f, "time", "cause", COVARIATES)
    return [*fit.coefficients["coef"], *fit.coefficients["robust_std_error"]], fit.status


def of_parametric(f: pl.DataFrame) -> Found:
    fit = parametric_regression(f, "time", "event", COVARIATES)
    return [*fit.coefficients["coef"], *fit.coefficients["std_error"]], fit.status


def of_turnbull(f: pl.DataFrame) -> Found:
    low = 4 * (pl.col("time") // 4)
    seen = f.with_columns(low=low, high=pl.when("event").then(low + 4))
    curve = turnbull(seen, "low", "high", weights="weight")
    values: Numbers = []
    for time in AT:
        known = curve.filter(pl.col("upper") <= time)["estimate"]
        values.append(float(known[-1]) if len(known) else 1.0)
    return values, curve["status"][0]


def of_occupation(f: pl.DataFrame) -> Found:
    curve = state_occupation(f, *STAYS, states=STATES, group="arm")
    by_state = [curve.filter(pl.col("state") == state) for state in STATES]
    values = [v for column in ("estimate", "std_error") for part in by_state for v in at(part, AT, 0.0, column)]
    return values, "estimable"


def of_time_in_state(f: pl.DataFrame) -> Found:
    rows = time_in_state(f, *STAYS, states=STATES, group="arm", tau=TAU)
    by_state = [rows.filter(pl.col("state") == state) for state in STATES]
    values = [v for column in ("estimate", "std_error") for part in by_state for v in part[column]]
    return values, _said(rows)


ESTIMATORS: dict[str, Callable[[pl.DataFrame], Found]] = {
    "Kaplan-Meier": of_kaplan_meier,
    "restricted mean": of_restricted_mean,
    "log-rank": of_log_rank,
    "pairwise log-rank": of_pairwise,
    "Cox": of_cox,
    "proportional hazards": of_drift,
    "Aalen-Johansen": of_incidence,
    "restricted time lost": of_time_lost,
    "Gray": of_gray,
    "Fine-Gray": of_fine_gray,
    "parametric": of_parametric,
    "Turnbull": of_turnbull,
    "state occupation": of_occupation,
    "time in state": of_time_in_state,
}
REGRESSIONS = ("Cox", "proportional hazards", "Fine-Gray", "parametric")
REFUSED: dict[tuple[str, str], str] = {
    ("time zero", "parametric"): "refused: Column time holds events at time 0",
    **{("quiet group", name): "not estimable: all events are on one side of arm[T.c]" for name in REGRESSIONS},
    **{("one subject", name): "not estimable: no variation in x" for name in REGRESSIONS},
    ("one subject", "log-rank"): "refused: Column arm has one level",
    ("one subject", "pairwise log-rank"): "refused: Column arm has one level",
    ("one subject", "Gray"): "refused: Column arm has one level",
    **{("all censored", name): "not estimable: there are no events" for name in REGRESSIONS},
    ("all censored", "log-rank"): "not estimable: there are no events",
    ("all censored", "pairwise log-rank"): "not estimable: there are no events",
    ("all censored", "Gray"): "not estimable: there are no events of this cause",
}
ON_PAPER: dict[tuple[str, str], Numbers] = {("all censored", "Turnbull"): [1.0, 1.0]}
"""What R refuses and a reader can say: nobody was seen to relapse, so that all are still free of it."""


@pytest.fixture(scope="module")
def r_edge_cases() -> dict:
    return json.loads((TIME_TO_EVENT / "edge_cases.json").read_text())


def frame_of(case: str, estimator: str) -> pl.DataFrame:
    if estimator in ("state occupation", "time in state"):
        return pl.read_csv(TIME_TO_EVENT / "edge_stays.csv").filter(pl.col("case") == case)
    rows = pl.read_csv(TIME_TO_EVENT / "edge_cases.csv").filter(pl.col("case") == case)
    return rows.with_columns(event=pl.col("cause") == 1)


def estimate(case: str, estimator: str) -> Found:
    try:
        return ESTIMATORS[estimator](frame_of(case, estimator))
    except ModelInputError as refusal:
        return [], f"refused: {refusal}"


def is_asked(case: str, estimator: str) -> bool:
    """The estimators of stays take no weights."""
    return case != "extreme weights" or estimator not in ("state occupation", "time in state")


PAIRS = [(case, name) for case in CASES for name in ESTIMATORS if is_asked(case, name)]


@pytest.mark.parametrize(("case", "estimator"), PAIRS)
def test_the_right_answer_or_a_plain_refusal(r_edge_cases, case, estimator):
    expected = ON_PAPER.get((case, estimator), r_edge_cases[case][estimator])
    found, status = estimate(case, estimator)
    refusal = REFUSED.get((case, estimator))
    if refusal is not None:
        assert expected == [None], "R has a number here"
        assert status.startswith(refusal)
        assert [value for value in found if value is not None] == []
        return
    assert status == "estimable"
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        if ours is None:  # a curve that has fallen to 0 has no standard error here, in R it is 0
            assert (estimator, theirs) == ("Kaplan-Meier", 0)
        else:
            assert ours == pytest.approx(theirs, rel=1e-5 if case == "extreme weights" else 1e-6, abs=1e-9)


def test_every_case_was_put_to_r(r_edge_cases):
    assert tuple(r_edge_cases) == CASES
    asked = [(case, name) for case, found in r_edge_cases.items() for name in found]
    assert set(asked) >= set(PAIRS)
    assert all(pair in PAIRS for pair in [*REFUSED, *ON_PAPER])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_order_of_rows_does_not_matter(estimator):
    base, shuffled = estimate("base", estimator), estimate("shuffled", estimator)
    assert shuffled[0] == pytest.approx(base[0], rel=1e-9)


def test_the_error_of_time_lost_under_extreme_weights_is_the_jackknifes():
    """As R leaves the weights out: the derivative of the area by each subject's weight, taken numerically."""
    frame = frame_of("extreme weights", "restricted time lost")

    def lost(rows: pl.DataFrame) -> dict[tuple[str, int], float]:
        found = restricted_time_lost(rows, "time", "cause", TAU, "arm", weights="weight")
        means = found.filter(pl.col("measure") == "mean")
        return {(g, c): e for g, c, e in means.select("group", "cause", "estimate").iter_rows()}

    moved: dict[tuple[str, int], float] = {}
    for row in range(frame.height):
        here = pl.int_range(frame.height) == row
        ends = [
            lost(frame.with_columns(weight=pl.when(here).then(pl.col("weight") * f).otherwise("weight")))
            for f in (1 + 1e-5, 1 - 1e-5)
        ]
        for key in ends[0]:
            moved[key] = moved.get(key, 0.0) + ((ends[0][key] - ends[1][key]) / 2e-5) ** 2
    ours = restricted_time_lost(frame, "time", "cause", TAU, "arm", weights="weight")
    for row in ours.filter(pl.col("measure") == "mean").iter_rows(named=True):
        assert row["std_error"] == pytest.approx(moved[row["group"], row["cause"]] ** 0.5, rel=1e-4)


def test_the_ratio_over_time_is_refused_where_the_model_is():
    for case in ("quiet group", "one subject", "all censored"):
        fit = cox_regression(frame_of(case, "Cox"), "time", "event", COVARIATES, weights="weight")
        assert coefficient_over_time(fit)["status"].to_list() == []
    few = cox_regression(frame_of("ties", "Cox"), "time", "event", COVARIATES)
    assert coefficient_over_time(few)["status"][0] == "not estimable: too few distinct event times for 4 knots"
