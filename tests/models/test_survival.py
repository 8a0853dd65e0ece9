"""Kaplan-Meier, log-rank and restricted means: on paper, beside R, at the edges, and what must always hold."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models._frames import ModelInputError
from pipelines.models.survival import kaplan_meier, log_rank, pairwise_log_rank, restricted_mean, survival_quantile

# Six patients: events at 1, 2, 2 and 5, censored at 3 and 6. On paper: S = 5/6, then 5/6 × 3/5 = 1/2, then 1/2 × 1/2.
SIX = pl.DataFrame({"time": [1, 2, 2, 3, 5, 6], "event": [1, 1, 1, 0, 1, 0]})


def test_kaplan_meier_on_paper():
    curve = kaplan_meier(SIX, "time", "event")
    assert curve.columns[:9] == [
        "group",
        "time",
        "at_risk",
        "events",
        "censored",
        "estimate",
        "std_error",
        "ci_low",
        "ci_high",
    ]
    assert curve["group"].unique().to_list() == ["all"]
    assert curve["at_risk"].to_list() == [6, 5, 3, 2, 1]
    assert curve["events"].to_list() == [1, 2, 0, 1, 0]
    assert curve["censored"].to_list() == [0, 0, 1, 0, 1]
    assert curve["estimate"].to_list() == pytest.approx([5 / 6, 1 / 2, 1 / 2, 1 / 4, 1 / 4])
    # Greenwood at 2: S² (1/(6·5) + 2/(5·3)) = (1/4)(1/30 + 2/15) = 1/24.
    assert curve["std_error"][1] == pytest.approx(np.sqrt(1 / 24))


def test_median_on_paper():
    # S is exactly 1/2 from 2 to 5: the middle is 3.5; a quarter has had the event by 2; S never falls to 1/10.
    for probability, time in ((0.5, 3.5), (0.25, 2.0), (0.9, None)):
        assert survival_quantile(SIX, "time", "event", probability)["estimate"].to_list() == [time]


def test_a_group_without_weight_is_refused():
    frame = SIX.with_columns(arm=pl.Series(list("xxxyyy")), w=pl.Series([1.0, 1, 1, 0, 0, 0]))
    for estimate in (kaplan_meier, lambda *columns, **options: restricted_mean(*columns, 2, **options)):
        with pytest.raises(ModelInputError, match="weight 0"):
            estimate(frame, "time", "event", group="arm", weights="w")


def test_restricted_mean_on_paper():
    # Area to 4: 1 + 5/6 + 2 × 1/2 = 17/6.
    assert restricted_mean(SIX, "time", "event", 4)["estimate"].to_list() == pytest.approx([17 / 6])


def test_log_rank_on_paper():
    # Two and two: x has events at 1 and 2, y is censored at 3 twice. E_x = 2/4 + 1/3; V = 1/4 + 2/9.
    frame = pl.DataFrame({"time": [1, 2, 3, 3], "event": [1, 1, 0, 0], "arm": ["x", "x", "y", "y"]})
    test = log_rank(frame, "time", "event", "arm")
    assert test["statistic"][0] == pytest.approx((2 - 5 / 6) ** 2 / (17 / 36))
    assert test["df"][0] == 1


def matches(curve: pl.DataFrame, expected: list[dict], keys: tuple[str, ...], tolerance: float):
    for row in expected:
        of_row = [pl.col(key) == row[key] for key in ("group", "cause") if key in row]
        ours = curve.filter(*of_row, pl.col("time") <= row["time"]).to_dicts()[-1]
        assert [ours[key] for key in keys] == pytest.approx([row[key] for key in keys], rel=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("km", {}),
        ("km_entry", {"entry": "entry"}),
        ("km_weighted", {"weights": "weight"}),
        ("km_clustered", {"weights": "weight", "cluster": "patient"}),
    ],
)
def test_kaplan_meier_matches_r_survival(subjects, r_estimates, name, options):
    curve = kaplan_meier(subjects, "time", "event", group="arm", **options)
    matches(curve, r_estimates[name], ("estimate", "std_error", "ci_low", "ci_high"), 1e-8)


def test_log_rank_matches_r_survdiff(subjects, r_estimates):
    for name, strata in (("log_rank", None), ("log_rank_stratified", "site")):
        ours = log_rank(subjects, "time", "event", "arm", strata=strata).to_dicts()[0]
        assert ours["statistic"] == pytest.approx(r_estimates[name]["statistic"], rel=1e-8)
        assert ours["df"] == 3


def test_pairwise_log_rank_matches_r_with_holm(subjects, r_estimates):
    ours = pairwise_log_rank(subjects, "time", "event", "arm")
    assert ours.height == 6
    for row, expected in zip(ours.to_dicts(), r_estimates["pairwise"], strict=True):
        assert (row["group"], row["reference"]) == (expected["group"], expected["reference"])
        assert row["p_value"] == pytest.approx(expected["p_value"], rel=1e-8)
        assert row["p_adjusted"] == pytest.approx(expected["p_adjusted"], rel=1e-8)


def test_restricted_mean_matches_r_survfit(subjects, r_estimates):
    ours = restricted_mean(subjects, "time", "event", 30, group="arm", reference="b")
    means = ours.filter(pl.col("measure") == "mean")
    for row, expected in zip(means.to_dicts(), r_estimates["restricted_mean"], strict=True):
        assert row["group"] == expected["group"]
        assert row["estimate"] == pytest.approx(expected["estimate"], rel=1e-8)
        assert row["std_error"] == pytest.approx(expected["std_error"], rel=1e-8)
    a, b = means.to_dicts()[:2]
    difference = ours.filter(pl.col("measure") == "difference", pl.col("group") == "a").to_dicts()[0]
    assert difference["reference"] == "b"
    assert difference["estimate"] == pytest.approx(a["estimate"] - b["estimate"])
    assert difference["std_error"] == pytest.approx(np.hypot(a["std_error"], b["std_error"]))


def test_a_subject_in_both_groups_is_counted_once_in_the_difference():
    # Every subject has one row in each arm with the same time: the difference is 0 without any error.
    times = [1.0, 4.0, 5.0, 7.0, 9.0]
    frame = pl.DataFrame(
        {"time": times * 2, "event": [1] * 10, "arm": ["x"] * 5 + ["y"] * 5, "patient": [1, 2, 3, 4, 5] * 2}
    )
    clustered = restricted_mean(frame, "time", "event", 6, group="arm", cluster="patient")
    apart = restricted_mean(frame, "time", "event", 6, group="arm")
    assert clustered.filter(pl.col("measure") == "difference")["std_error"][0] == pytest.approx(0, abs=1e-12)
    assert apart.filter(pl.col("measure") == "difference")["std_error"][0] > 0.5


def test_events_at_time_zero_count():
    frame = pl.DataFrame({"time": [0, 0, 3, 4], "event": [1, 0, 1, 0]})
    curve = kaplan_meier(frame, "time", "event")
    assert curve["estimate"].to_list() == pytest.approx([3 / 4, 3 / 8, 3 / 8])
    assert restricted_mean(frame, "time", "event", 4)["estimate"][0] == pytest.approx(3 * 3 / 4 + 3 / 8)


def test_one_subject_and_all_censored():
    alone = kaplan_meier(pl.DataFrame({"time": [5], "event": [1]}), "time", "event").to_dicts()[0]
    assert (alone["estimate"], alone["std_error"], alone["ci_low"]) == (0.0, None, None)
    censored = pl.DataFrame({"time": [1, 2, 2], "event": [0, 0, 0], "arm": ["x", "y", "y"]})
    curve = kaplan_meier(censored, "time", "event", group="arm")
    assert curve["estimate"].to_list() == [1.0, 1.0]
    assert curve["std_error"].to_list() == [0.0, 0.0]
    test = log_rank(censored, "time", "event", "arm").to_dicts()[0]
    assert test["status"] == "not estimable: there are no events"
    assert (test["statistic"], test["p_value"]) == (None, None)


def test_group_without_events_keeps_its_curve_and_its_test():
    frame = pl.DataFrame({"time": [1, 2, 3, 3], "event": [1, 1, 0, 0], "arm": ["x", "x", "y", "y"]})
    assert kaplan_meier(frame, "time", "event", "arm").filter(pl.col("group") == "y")["estimate"].to_list() == [1.0]
    assert log_rank(frame, "time", "event", "arm")["status"][0] == "estimable"


def test_groups_never_at_risk_together_cannot_be_compared():
    frame = pl.DataFrame({"time": [1, 2, 5, 6], "event": [0, 0, 1, 1], "arm": ["x", "x", "y", "y"]})
    test = log_rank(frame, "time", "event", "arm")
    assert test["status"][0].startswith("not estimable")
    assert test["p_value"][0] is None


def test_a_pair_that_cannot_be_tested_still_counts_for_holm():
    frame = pl.DataFrame(
        {"time": [1, 2, 3, 4, 1, 2], "event": [1, 1, 1, 1, 0, 0], "arm": ["x", "y", "x", "y", "z", "z"]}
    ).with_columns(time=pl.when(pl.col("arm") == "z").then(0.5).otherwise(pl.col("time")))
    ours = pairwise_log_rank(frame, "time", "event", "arm").to_dicts()
    testable = [row for row in ours if row["p_value"] is not None]
    assert len(ours) == 3
    assert len(testable) == 1
    assert testable[0]["p_adjusted"] == pytest.approx(min(1.0, 3 * testable[0]["p_value"]))


def test_tau_beyond_follow_up_is_not_estimable():
    ours = restricted_mean(SIX, "time", "event", 7).to_dicts()[0]
    assert ours["status"] == "not estimable: follow-up of a group ends before tau"
    assert ours["estimate"] is None
    ended = SIX.with_columns(event=1)
    assert restricted_mean(ended, "time", "event", 7)["estimate"][0] == pytest.approx(19 / 6)


def test_weights_of_zero_are_no_rows():
    decoys = SIX.with_columns(w=0.0, time=pl.col("time") + 1)
    weighted = pl.concat([SIX.with_columns(w=1.0), decoys.filter(pl.col("time") < 7)])
    plain = kaplan_meier(SIX, "time", "event", weights=None)
    ours = kaplan_meier(weighted, "time", "event", weights="w")
    assert ours["estimate"].to_list() == pytest.approx(plain["estimate"].to_list())


def test_extreme_weights_follow_the_heavy_rows():
    frame = SIX.with_columns(w=pl.Series([1e-9, 1e9, 1e-9, 1e9, 1e-9, 1e9]))
    curve = kaplan_meier(frame, "time", "event", weights="w").to_dicts()
    assert [row["estimate"] for row in curve] == pytest.approx([1, 2 / 3, 2 / 3, 2 / 3, 2 / 3], rel=1e-12)
    assert all(np.isfinite(row["std_error"]) for row in curve)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (SIX, {"conf_type": "linear"}, "conf_type"),
        (SIX.with_columns(w=-1.0), {"weights": "w"}, "weights"),
        (SIX.with_columns(time=-pl.col("time")), {}, "negative times"),
        (SIX.with_columns(event=pl.col("event") * 2), {}, "only 0"),
        (SIX.with_columns(time=pl.lit(None, dtype=pl.Float64)), {}, r"Missing values in time \(6 rows\)"),
        (SIX, {"level": 1.5}, "level"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(frame, options, message):
    with pytest.raises(ModelInputError, match=message):
        kaplan_meier(frame, "time", "event", **options)


def test_one_group_cannot_be_compared():
    with pytest.raises(ModelInputError, match="one level"):
        log_rank(SIX.with_columns(arm=pl.lit("x")), "time", "event", "arm")


row_sets = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.sampled_from(["x", "y"]), st.integers(1, 3)), min_size=2, max_size=25
).filter(lambda rows: len({arm for _, _, arm, _ in rows}) == 2)


def as_frame(rows: list[tuple]) -> pl.DataFrame:
    columns = dict(zip(("time", "event", "arm", "w"), zip(*rows, strict=True), strict=True))
    return pl.DataFrame({name: list(values) for name, values in columns.items()})


@given(rows=row_sets, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_order_of_rows_does_not_matter(rows, seed):
    frame = as_frame(rows)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    assert kaplan_meier(frame, "time", "event", "arm").equals(kaplan_meier(shuffled, "time", "event", "arm"))
    first, second = (log_rank(part, "time", "event", "arm")["statistic"][0] for part in (frame, shuffled))
    assert first == pytest.approx(second) if first is not None else second is None


@given(rows=row_sets)
@settings(max_examples=60, deadline=None)
def test_whole_weights_give_the_curve_of_repeated_rows(rows):
    frame = as_frame(rows)
    repeated = frame.select(pl.all().repeat_by("w")).explode(pl.all())
    weighted = kaplan_meier(frame, "time", "event", "arm", weights="w")
    plain = kaplan_meier(repeated, "time", "event", "arm")
    assert weighted["estimate"].to_list() == pytest.approx(plain["estimate"].to_list())
    assert weighted["at_risk"].to_list() == pytest.approx(plain["at_risk"].to_list())


@given(rows=row_sets)
@settings(max_examples=60, deadline=None)
def test_jackknife_of_unweighted_rows_is_greenwood(rows):
    frame = as_frame(rows).with_columns(one=1.0)
    greenwood = kaplan_meier(frame, "time", "event", "arm")
    jackknife = kaplan_meier(frame, "time", "event", "arm", weights="one")
    for ours, theirs in zip(jackknife["std_error"], greenwood["std_error"], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-7) if ours is not None else theirs is None


@given(rows=row_sets)
@settings(max_examples=40, deadline=None)
def test_jackknife_is_the_derivative_by_the_weights(rows):
    frame = as_frame(rows).with_columns(pl.col("w").cast(pl.Float64), patient=pl.int_range(pl.len()) % 4)
    curve = kaplan_meier(frame, "time", "event", weights="w", cluster="patient")
    step, squared = 1e-5, np.zeros(curve.height)
    for cluster in range(4):
        moved = [
            kaplan_meier(
                frame.with_columns(
                    w=pl.when(pl.col("patient") == cluster).then(pl.col("w") * (1 + sign * step)).otherwise("w")
                ),
                "time",
                "event",
                weights="w",
            )["estimate"].to_numpy()
            for sign in (1, -1)
        ]
        squared += ((moved[0] - moved[1]) / (2 * step)) ** 2
    known = curve["std_error"].is_not_null().to_numpy()
    assert curve["std_error"].drop_nulls().to_numpy() == pytest.approx(np.sqrt(squared[known]), abs=1e-6)


@given(rows=row_sets)
@settings(max_examples=40, deadline=None)
def test_splitting_follow_up_changes_nothing(rows):
    frame = as_frame(rows).with_columns(time=2 * pl.col("time") + 2, entry=0)
    first = frame.with_columns(pl.lit(1, dtype=pl.Int64).alias("time"), event=pl.lit(False))
    second = frame.with_columns(entry=1)
    whole = kaplan_meier(frame, "time", "event", "arm", entry="entry")
    split = kaplan_meier(pl.concat([first, second]), "time", "event", "arm", entry="entry").filter(pl.col("time") > 1)
    assert split["estimate"].to_list() == pytest.approx(whole["estimate"].to_list())
    assert split["at_risk"].to_list() == whole["at_risk"].to_list()
