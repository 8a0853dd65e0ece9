"""Incidence, time lost, Gray's test and Fine-Gray: on paper, beside R, at the edges, and what must always hold."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models._frames import ModelInputError
from pipelines.models.competing_risks import cumulative_incidence, fine_gray, gray_test, restricted_time_lost
from pipelines.models.cox import cox_regression, proportional_hazards_test
from pipelines.models.survival import kaplan_meier, restricted_mean

# Five patients: cause 1 at 1, cause 2 at 2, censored at 3, cause 1 at 4, censored at 5.
# On paper: F1 = 1/5, then + (3/5)(1/2) = 1/2 at 4; F2 = (4/5)(1/4) = 1/5 from 2 on.
FIVE = pl.DataFrame({"time": [1, 2, 3, 4, 5], "cause": [1, 2, 0, 1, 0]})


def test_incidence_on_paper():
    curve = cumulative_incidence(FIVE, "time", "cause")
    assert curve.columns[:8] == ["group", "cause", "time", "at_risk", "estimate", "std_error", "ci_low", "ci_high"]
    assert curve.filter(pl.col("cause") == 1)["estimate"].to_list() == pytest.approx([0.2, 0.2, 0.2, 0.5, 0.5])
    assert curve.filter(pl.col("cause") == 2)["estimate"].to_list() == pytest.approx([0, 0.2, 0.2, 0.2, 0.2])
    assert curve.filter(pl.col("cause") == 2)["ci_low"][0] is None


def test_time_lost_on_paper():
    lost = restricted_time_lost(FIVE, "time", "cause", 5)
    assert lost["cause"].to_list() == [1, 2]
    assert lost["estimate"].to_list() == pytest.approx([3 * 0.2 + 0.5, 3 * 0.2])


@pytest.mark.parametrize(("name", "weights"), [("incidence", None), ("incidence_weighted", "weight")])
def test_incidence_matches_r_survival(subjects, r_estimates, name, weights):
    curve = cumulative_incidence(subjects, "time", "cause", group="arm", weights=weights)
    for row in r_estimates[name]:
        of_row = [pl.col(key) == row[key] for key in ("group", "cause")]
        ours = curve.filter(*of_row, pl.col("time") <= row["time"]).to_dicts()[-1]
        assert ours["estimate"] == pytest.approx(row["estimate"], rel=1e-8)
        assert ours["std_error"] == pytest.approx(row["std_error"], rel=1e-6)


def test_time_lost_matches_r_survival(subjects, r_estimates):
    lost = restricted_time_lost(subjects, "time", "cause", 30, group="arm")
    for row in r_estimates["time_lost"]:
        if row["state"] == "(s0)":
            any_cause = subjects.with_columns(any=pl.col("cause") > 0)
            ours = restricted_mean(any_cause, "time", "any", 30, group="arm")
        else:
            ours = lost.filter(pl.col("cause") == int(row["state"]))
        match = ours.filter(pl.col("measure") == "mean", pl.col("group") == row["group"]).to_dicts()[0]
        assert match["estimate"] == pytest.approx(row["estimate"], rel=1e-8)
        assert match["std_error"] == pytest.approx(row["std_error"], rel=1e-6)


def test_gray_matches_r_cmprsk(subjects, r_estimates):
    ours = gray_test(subjects, "time", "cause", "arm").to_dicts()
    for row, expected in zip(ours, r_estimates["gray"], strict=True):
        assert (row["cause"], row["df"]) == (expected["cause"], expected["df"])
        assert row["statistic"] == pytest.approx(expected["statistic"], rel=1e-8)


def test_fine_gray_matches_r_finegray_and_coxph(subjects, r_estimates):
    fit = fine_gray(subjects, "time", "cause", ["arm", "age", "severe"])
    assert fit.status == "estimable"
    assert fit.coefficients["coef"].to_list() == pytest.approx(r_estimates["fine_gray"]["coef"], rel=1e-6)
    assert fit.coefficients["robust_std_error"].to_list() == pytest.approx(r_estimates["fine_gray"]["robust"], rel=1e-6)


def test_fine_gray_without_competing_events_is_cox(subjects):
    frame = subjects.with_columns(cause=(pl.col("cause") == 1).cast(pl.Int64))
    subdistribution = fine_gray(frame, "time", "cause", ["age", "severe"])
    plain = cox_regression(frame, "time", "event", ["age", "severe"])
    assert subdistribution.coefficients["coef"].to_list() == pytest.approx(plain.coefficients["coef"].to_list())
    assert proportional_hazards_test(subdistribution)["statistic"].to_list() == pytest.approx(
        proportional_hazards_test(plain)["statistic"].to_list()
    )


def test_an_arm_without_the_event_of_interest_is_not_estimable(subjects):
    frame = subjects.with_columns(cause=pl.when(pl.col("arm") == "d", pl.col("cause") == 1).then(2).otherwise("cause"))
    fit = fine_gray(frame, "time", "cause", ["arm", "age"])
    assert fit.status.startswith("not estimable")
    assert "arm[T.d]" in fit.status
    assert fit.coefficients["coef"].null_count() == 4


def test_causes_that_are_not_whole_numbers_are_refused():
    with pytest.raises(ModelInputError, match="whole number"):
        cumulative_incidence(FIVE.with_columns(cause=pl.col("cause") + 0.5), "time", "cause")
    with pytest.raises(ModelInputError, match="positive whole"):
        fine_gray(FIVE, "time", "cause", ["time"], cause_of_interest=0)


def test_nobody_has_an_event():
    frame = FIVE.with_columns(cause=0, arm=pl.Series(list("xxyyy")))
    assert cumulative_incidence(frame, "time", "cause")["estimate"].to_list() == [0] * 5
    test = gray_test(frame, "time", "cause", "arm").to_dicts()
    assert [row["status"] for row in test] == ["not estimable: there are no events of this cause"]
    lost = restricted_time_lost(frame, "time", "cause", 2, group="arm").filter(pl.col("measure") == "ratio")
    assert lost["status"].to_list() == ["not estimable: an area is zero"]
    assert lost["estimate"].to_list() == [None]


row_sets = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from(["x", "y", "z"]), st.floats(0.2, 5)),
    min_size=3,
    max_size=25,
)


def as_frame(rows: list[tuple]) -> pl.DataFrame:
    columns = dict(zip(("time", "cause", "arm", "w"), zip(*rows, strict=True), strict=True))
    return pl.DataFrame({name: list(values) for name, values in columns.items()})


@given(rows=row_sets)
@settings(max_examples=60, deadline=None)
def test_incidences_and_event_free_survival_add_up_to_one(rows):
    frame = as_frame(rows).with_columns(any=pl.col("cause") > 0)
    total = (
        cumulative_incidence(frame, "time", "cause", "arm", weights="w")
        .group_by("group", "time")
        .agg(pl.col("estimate").sum())
    )
    survival = kaplan_meier(frame, "time", "any", "arm", weights="w").select("group", "time", free="estimate")
    joined = total.join(survival, on=["group", "time"])
    assert (joined["estimate"] + joined["free"]).to_list() == pytest.approx([1.0] * joined.height)


@given(rows=row_sets)
@settings(max_examples=40, deadline=None)
def test_jackknife_is_the_derivative_by_the_weights(rows):
    frame = as_frame(rows).with_columns(patient=pl.int_range(pl.len()) % 3)
    tau = float(frame["time"].max()) + 0.5
    frame = pl.concat(
        [
            frame,
            frame.head(1).with_columns(
                pl.lit(7, dtype=pl.Int64).alias("time"), pl.lit(0, dtype=pl.Int64).alias("cause")
            ),
        ]
    )
    curve = cumulative_incidence(frame, "time", "cause", weights="w", cluster="patient")
    lost = restricted_time_lost(frame, "time", "cause", tau, weights="w", cluster="patient")
    step = 1e-5
    squares: list[np.ndarray] = []
    for source in (
        lambda part: cumulative_incidence(part, "time", "cause", weights="w")["estimate"].to_numpy(),
        lambda part: restricted_time_lost(part, "time", "cause", tau, weights="w")["estimate"].to_numpy(),
    ):
        total = 0.0
        for cluster in frame["patient"].unique():
            up, down = (
                source(
                    frame.with_columns(
                        w=pl.when(pl.col("patient") == cluster).then(pl.col("w") * (1 + sign * step)).otherwise("w")
                    )
                )
                for sign in (1, -1)
            )
            total = total + ((up - down) / (2 * step)) ** 2
        squares.append(np.sqrt(total))
    assert curve["std_error"].to_numpy() == pytest.approx(squares[0], abs=1e-6)
    assert lost["std_error"].to_numpy() == pytest.approx(squares[1], abs=1e-6)


@given(rows=row_sets, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_order_of_rows_does_not_matter(rows, seed):
    frame = as_frame(rows)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    assert cumulative_incidence(frame, "time", "cause", "arm")["estimate"].to_list() == pytest.approx(
        cumulative_incidence(shuffled, "time", "cause", "arm")["estimate"].to_list()
    )
    if frame["arm"].n_unique() > 1:
        ours, theirs = (gray_test(part, "time", "cause", "arm") for part in (frame, shuffled))
        assert ours["status"].to_list() == theirs["status"].to_list()
        assert ours["statistic"].fill_null(-1).to_list() == pytest.approx(theirs["statistic"].fill_null(-1).to_list())
