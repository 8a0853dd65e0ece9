"""What cannot be estimated says so: separation, constant covariates, an empty arm, one visit, nobody seen, no spread.

A row of each comparative estimator under each condition, on the tables of tests/reference/models. No estimator crashes,
none gives a number where there is none, and each names why.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.models import comparison, imputation, longitudinal, missingness, propensity, walking
from pipelines.models._frames import ModelInputError
from pipelines.models.standardisation import standardised_risks

REFERENCE = Path(__file__).parents[1] / "reference" / "models"
WALK = ("time1_s", "capped1", "speed1_m_s")
FIXED = "sex + base * visit + arm * visit"
Frame = pl.DataFrame


@pytest.fixture(scope="module")
def cohort() -> Frame:
    return pl.read_csv(REFERENCE / "cohort.csv")


@pytest.fixture(scope="module")
def visits() -> Frame:
    return pl.read_csv(REFERENCE / "visits.csv")


ESTIMATORS: dict[str, Callable[[Frame, list[str]], Frame]] = {
    "effects": lambda f, x: propensity.effects(propensity.weights(f, "arm", x), f, "pain1"),
    "ratios": lambda f, x: propensity.effects(propensity.weights(f, "arm", x), f, "responder", measure="ratio"),
    "ancova": lambda f, x: comparison.ancova(f, "pain1", "pain0", "arm", x),
    "weighted ancova": lambda f, x: comparison.ancova(
        f, "pain1", "pain0", "arm", x, propensity=propensity.weights(f, "arm", x)
    ),
    "adjusted means": lambda f, x: comparison.adjusted_means(f, "pain1", "pain0", "arm", x),
    "aipw": lambda f, x: comparison.aipw(f, "pain1", "arm", x),
    "aipw, one regression": lambda f, x: comparison.aipw(f, "pain1", "arm", x, modifiers=x),
    "aipw, logistic": lambda f, x: comparison.aipw(f, "responder", "arm", x, "logistic"),
    "standardised risks": lambda f, x: standardised_risks(f, "responder", "arm", x),
    "walking": lambda f, x: walking.joint_time_speed(f, *WALK, "arm", x),
    "weighted walking": lambda f, x: walking.weighted_time_speed(propensity.weights(f, "arm", x), f, *WALK, x),
}
NUMBERS = ("estimate", "std_error", "log_std_error", "ci_low", "ci_high", "p_value")


def _assert_no_number(rows: Frame, words: str) -> None:
    assert rows.height > 0
    assert set(rows["status"]) == {"not estimable"}
    assert rows["reason"].str.contains(words).all(), rows["reason"].unique().to_list()
    for name in NUMBERS:
        assert name not in rows.columns or rows[name].null_count() == rows.height


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_covariate_that_tells_the_arms_apart(cohort: Frame, estimator: str) -> None:
    told = cohort.with_columns(mark=(pl.col("arm") == "a").cast(pl.Float64))
    _assert_no_number(ESTIMATORS[estimator](told, ["mark"]), "separation|collinear covariates: mark|no weights")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_constant_covariate(cohort: Frame, estimator: str) -> None:
    flat = cohort.with_columns(k=2.0)
    _assert_no_number(ESTIMATORS[estimator](flat, ["k"]), "constant or collinear covariates: k|no weights")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_arm_without_rows(cohort: Frame, estimator: str) -> None:
    tiers = cohort.with_columns(pl.col("arm").cast(pl.Enum(["a", "b", "c", "d"])))
    rows = ESTIMATORS[estimator](tiers, ["age"])
    of_d = pl.col("group") == "d"
    if "reference" in rows.columns:
        of_d |= pl.col("reference") == "d"
    _assert_no_number(rows.filter(of_d), "no rows in d|d has fewer than|no weights")
    others = rows.filter(~of_d)
    # one model holds all arms of a propensity, so that there the others have none either
    assert set(others["status"]) <= {"estimable", "not estimable"}
    assert others.filter((pl.col("status") == "estimable") != pl.col("estimate").is_not_null()).is_empty()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [5.0, 0.1])
def test_outcomes_that_are_all_alike(cohort: Frame, estimator: str, value: float) -> None:
    alike = cohort.with_columns(
        pain1=pl.lit(value), responder=pl.lit(1), time1_s=pl.lit(600.0), speed1_m_s=pl.lit(value), capped1=pl.lit(0)
    )
    words = "does not vary|standard error is not finite or is zero|all alike|enough events|the same time or speed"
    _assert_no_number(ESTIMATORS[estimator](alike, ["age"]), words)


def test_arms_each_without_spread_have_no_variance(cohort: Frame) -> None:
    steps = cohort.with_columns(pain1=pl.col("arm").replace_strict({"a": 0.1, "b": 0.7, "c": 0.3}))
    for name in ("effects", "aipw", "aipw, one regression"):
        _assert_no_number(ESTIMATORS[name](steps, ["age"]), "standard error is not finite or is zero")
    one = cohort.with_columns(pain1=pl.when(pl.col("arm") == "a").then(0.1).otherwise("pain1"))
    rows = propensity.effects(propensity.weights(one, "arm", ["age"]), one, "pain1")
    assert set(rows["status"]) == {"estimable"}


TAKES_UNSEEN = ("effects", "ratios", "weighted walking")


@pytest.mark.parametrize("estimator", TAKES_UNSEEN)
def test_nobody_seen_at_a_window_under_weights(cohort: Frame, estimator: str) -> None:
    unseen = ("pain1", "responder", *WALK)
    gone = cohort.with_columns(pl.lit(None, cohort.schema[name]).alias(name) for name in unseen)
    _assert_no_number(ESTIMATORS[estimator](gone, ["age"]), "fewer than 2 rows with an outcome|no walk was seen")
    in_a = cohort.with_columns(pl.when(pl.col("arm") != "a").then(name).alias(name) for name in unseen)
    rows = ESTIMATORS[estimator](in_a, ["age"])
    of_a = (pl.col("group") == "a") | (pl.col("reference") == "a")
    _assert_no_number(rows.filter(of_a), "a has fewer than")
    assert set(rows.filter(~of_a)["status"]) == {"estimable"}


@pytest.mark.parametrize("estimator", [name for name in ESTIMATORS if name not in TAKES_UNSEEN])
def test_regressions_refuse_gaps_and_name_the_column(cohort: Frame, estimator: str) -> None:
    # dropping or imputing is the caller's stated choice
    gone = cohort.with_columns(pl.lit(None, cohort.schema[name]).alias(name) for name in ("pain1", "responder", *WALK))
    with pytest.raises(ModelInputError, match="pain1|responder|time1_s"):
        ESTIMATORS[estimator](gone, ["age"])


def test_balance_has_nulls_where_there_is_nothing_to_compare(cohort: Frame) -> None:
    tiers = cohort.with_columns(k=2.0, arm=pl.col("arm").cast(pl.Enum(["a", "b", "c", "d"])))
    rows = propensity.balance(tiers, "arm", ["k", "age"])
    assert rows.filter(covariate="k")["smd"].null_count() == 6
    with_d = rows.filter((pl.col("group") == "d") | (pl.col("reference") == "d"))
    assert with_d.select(pl.col("smd", "variance_ratio", "ks").null_count().sum()).row(0) == (6, 6, 6)
    told = propensity.balance(cohort.with_columns(mark=(pl.col("arm") == "a").cast(pl.Int8)), "arm", ["mark"])
    assert told.filter(group="b", reference="a")["smd"].to_list() == [None]


REPEATED = {
    "separation": (lambda f: f.with_columns(k=(pl.col("arm") == "a").cast(pl.Int8)), "collinear fixed effects: k"),
    "constant covariate": (lambda f: f.with_columns(k=1.0), "collinear fixed effects: k"),
    "one visit only": (lambda f: f.filter(visit="m03"), "one visit only"),
    "all missing at a visit": (
        lambda f: f.with_columns(pl.col("visit").cast(pl.Enum(["m03", "m06", "m12", "m24", "m36"]))),
        "no rows at visit m36",
    ),
    "an arm unseen at a visit": (
        lambda f: f.filter((pl.col("arm") != "a") | (pl.col("visit") != "m24")),
        "collinear fixed effects: .*m24",
    ),
    "no spread": (lambda f: f.with_columns(odi=pl.lit(3.0)), "does not vary"),
    "no spread at one visit": (
        lambda f: f.with_columns(odi=pl.when(pl.col("visit") == "m06").then(3.0).otherwise("odi")),
        "does not vary",
    ),
}


@pytest.mark.parametrize("case", REPEATED)
@pytest.mark.parametrize("variance", ["model", "sandwich", "kenward-roger"])
def test_repeated_measures_name_what_is_wrong(visits: Frame, case: str, variance: str) -> None:
    change, words = REPEATED[case]
    frame = change(visits)
    formula = f"{FIXED} + k" if "k" in frame.columns else FIXED
    fit = longitudinal.mmrm(frame, "odi", "visit", "subject", formula, variance=variance)
    assert fit.status.startswith("not estimable: ")
    _assert_no_number(fit.contrasts("arm"), words)
    _assert_no_number(fit.means("arm"), words)
    assert fit.coefficients["coef"].null_count() == fit.coefficients.height


def test_repeated_measures_compare_the_arms_that_have_rows(visits: Frame) -> None:
    tiers = visits.with_columns(pl.col("arm").cast(pl.Enum(["a", "b", "c", "d"])))
    rows = longitudinal.mmrm(tiers, "odi", "visit", "subject", FIXED).contrasts("arm")
    of_d = (pl.col("group") == "d") | (pl.col("reference") == "d")
    _assert_no_number(rows.filter(of_d), "d has no rows")
    assert set(rows.filter(~of_d)["status"]) == {"estimable"}


def test_imputation_and_dropout_weights_name_what_is_wrong(cohort: Frame) -> None:
    gone = cohort.with_columns(pain1=pl.lit(None, pl.Float64), seen=pl.lit(False))
    assert imputation.impute(gone, ["pain1"], ["arm", "age"], 2, 2).status.endswith("fewer than 10 seen values")
    assert missingness.dropout_weights(gone, "seen", ["age"]).status == "not estimable: nobody was observed"
    in_a = cohort.with_columns(seen=pl.col("arm") != "a")
    told = missingness.dropout_weights(in_a, "seen", ["arm", "age"])
    assert told.status.startswith("not estimable: separation")
    assert told.weights.null_count() == cohort.height
    some = cohort.with_columns(seen=pl.col("subject") % 4 != 0, k=1.0)
    assert "collinear covariates: k" in missingness.dropout_weights(some, "seen", ["age", "k"]).status


def test_imputing_scores_that_are_all_alike_gives_no_variance_to_pool(cohort: Frame) -> None:
    seen = pl.col("subject") % 4 != 0
    holes = cohort.with_columns(pain1=pl.when(seen).then(5.0))
    for method in ("matching", "normal"):
        drawn = imputation.impute(holes, ["pain1"], ["arm", "age"], 2, 2, methods={"pain1": method})
        assert drawn.status == "estimable"
        assert drawn.frames[0]["pain1"].to_list() == pytest.approx([5.0] * cohort.height)
        found = [comparison.ancova(f, "pain1", "pain0", "arm", ["age"]) for f in drawn.frames]
        pooled = imputation.pool_results(found, ["group", "reference"])
        _assert_no_number(pooled, "not estimable in every completed data set")
