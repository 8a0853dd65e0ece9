"""Time-to-event estimators beside the shared reference tables (R 4.2.2, survival 3.5-3, cmprsk 2.2-11).

The tables lie outside the repository, in `../shared/reference`; without them every test here skips. The project's own
numbers, which always run, are in the other test files of this folder.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.models.competing_risks import cumulative_incidence, fine_gray, gray_test, restricted_time_lost
from pipelines.models.cox import cox_regression, proportional_hazards_test
from pipelines.models.interval import turnbull
from pipelines.models.multistate import state_occupation, time_in_state
from pipelines.models.parametric import parametric_regression
from pipelines.models.survival import kaplan_meier, log_rank, pairwise_log_rank, restricted_mean, survival_quantile

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason="the shared reference tables are not on this machine")


def results(topic: str) -> dict:
    (path,) = (REFERENCE / "results").glob(f"{topic}_*.json")
    return json.loads(path.read_text())


def table(name: str) -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "data" / f"{name}.csv", null_values=["", "NA"], infer_schema_length=None)


def lung() -> pl.DataFrame:
    return table("survival_lung").with_columns(event=pl.col("status") == 2, sex=pl.col("sex").cast(pl.String))


def pbc() -> pl.DataFrame:
    return (
        table("survival_pbc")
        .head(312)
        .with_columns(event=pl.col("status") == 2, trt=pl.col("trt").cast(pl.String), stage=pl.col("stage").cast(str))
    )


def veteran() -> pl.DataFrame:
    return table("survival_veteran").with_columns(event=pl.col("status"), trt=pl.col("trt").cast(pl.String))


def ovarian() -> pl.DataFrame:
    return table("survival_ovarian").with_columns(
        time=pl.col("futime"), event=pl.col("fustat"), rx=pl.col("rx").cast(pl.String)
    )


def mgus2() -> pl.DataFrame:
    progressed = pl.col("pstat") == 1
    return table("survival_mgus2").with_columns(
        time=pl.when(progressed).then("ptime").otherwise("futime"),
        cause=pl.when(progressed).then(1).otherwise(2 * pl.col("death")),
    )


def numbered_weights(frame: pl.DataFrame) -> pl.DataFrame:
    row = pl.int_range(1, pl.len() + 1)
    return frame.with_columns(w=0.5 + (row % 5) / 2)


def close(value, expected, rel=1e-8, abs=1e-10):
    if expected is None or expected in ("NaN", "NA"):
        assert value is None
    else:
        assert value == pytest.approx(expected, rel=rel, abs=abs)


def level_of(label: str) -> str:
    return label.split("=")[-1]


def at(curve: pl.DataFrame, group: str, time: float, **also) -> dict:
    rows = curve.filter(pl.col("group") == group, *[pl.col(k) == v for k, v in also.items()])
    before_any = {"estimate": 1.0, "std_error": 0.0, "ci_low": 1.0, "ci_high": 1.0}
    values = (rows.filter(pl.col("time") <= time).tail(1).to_dicts() or [before_any])[0]
    return values | {"at_risk": (rows.filter(pl.col("time") >= time)["at_risk"].to_list() or [0.0])[0]}


CURVES = {
    "lung_by_sex": (lung, "sex", "ph.ecog"),
    "veteran_by_celltype": (veteran, "celltype", "trt"),
    "pbc312_by_trt": (pbc, "trt", None),
    "ovarian_by_rx": (ovarian, "rx", None),
}


@pytest.mark.parametrize("name", CURVES)
def test_dev_01_kaplan_meier_and_log_rank(name):
    make, group, strata = CURVES[name]
    frame, expected = make(), results("dev_01")[name]
    for key, by, conf_type in (
        ("km_overall_loglog", None, "log-log"),
        ("km_group_loglog", group, "log-log"),
        ("km_group_log", group, "log"),
        ("km_group_plain", group, "plain"),
    ):
        curve = kaplan_meier(frame, "time", "event", group=by, conf_type=conf_type)
        for row in expected[key]:
            ours = at(curve, level_of(row["group"]), row["time"])
            close(ours["at_risk"], row["n_risk"])
            close(ours["estimate"], row["surv"])
            close(ours["std_error"], row["se_greenwood"])
            close(ours["ci_low"], row["lower"])
            close(ours["ci_high"], row["upper"])
    for key, conf_type in (("median_loglog", "log-log"), ("median_log", "log")):
        medians = survival_quantile(frame, "time", "event", group=group, conf_type=conf_type)
        for row in expected[key]:
            ours = medians.filter(pl.col("group") == level_of(row["group"])).to_dicts()[0]
            close(ours["estimate"], row["median"])
            close(ours["ci_low"], row["lo"])
            close(ours["ci_high"], row["hi"])
    lost = frame.with_columns(censored=pl.col("event").cast(pl.Int8) == 0)
    reverse = survival_quantile(lost, "time", "censored")["estimate"][0]
    close(reverse, expected["reverse_km_median_followup"])
    test = log_rank(frame, "time", "event", group).to_dicts()[0]
    close(test["statistic"], expected["logrank"]["chisq"])
    close(test["p_value"], expected["logrank"]["p"])
    assert test["df"] == expected["logrank"]["df"]
    if strata:
        test = log_rank(frame.drop_nulls(strata), "time", "event", group, strata=strata).to_dicts()[0]
        close(test["statistic"], expected["logrank_stratified"]["chisq"])
    for row in expected.get("pairwise", []):
        ours = pairwise_log_rank(frame, "time", "event", group).filter(
            pl.col("group") == row["b"], pl.col("reference") == row["a"]
        )
        close(ours["statistic"][0], row["chisq"])
        close(ours["p_adjusted"][0], row["p_holm"])


def test_dev_02_restricted_means():
    expected = results("dev_02")
    years = pbc().with_columns(time=pl.col("time") / 365.25)
    for frame, key, group, first, zero in (
        (years, "pbc312", "trt", "1", "2"),
        (lung(), "lung", "sex", "2", "1"),
    ):
        ours = restricted_mean(frame, "time", "event", expected[key]["tau"], group=group, reference=zero)
        means = {row["group"]: row for row in ours.filter(pl.col("measure") == "mean").to_dicts()}
        for level, row in zip((zero, first), expected[key]["hand_survfit"], strict=True):
            close(means[level]["estimate"], row["rmst"])
            close(means[level]["std_error"], row["se"])
        difference, ratio = ours.tail(2).to_dicts()
        close(difference["estimate"], expected[key]["hand_diff"])
        close(difference["std_error"], expected[key]["hand_se"])
        close(difference["ci_low"], expected[key]["hand_ci"][0])
        close(difference["p_value"], expected[key]["hand_p"])
        theirs = expected[key]["survRM2"]["contrasts"]["RMST (arm=1)/(arm=0)"]
        close(ratio["estimate"], theirs["Est."])
        close(ratio["ci_low"], theirs["lower .95"])
        close(ratio["ci_high"], theirs["upper .95"])
        close(ratio["p_value"], theirs["p"])
    for row in expected["veteran_celltype"]["pairwise"]:
        ours = restricted_mean(veteran(), "time", "event", 180, "celltype", reference=level_of(row["subtrahend"]))
        match = ours.filter(pl.col("measure") == "difference", pl.col("group") == level_of(row["minuend"]))
        close(match["estimate"][0], row["diff"])
        close(match["std_error"][0], row["se"])
        close(match["p_value"][0], row["p"])


CAUSES = {"pcm": 1, "transplant": 1, "death": 2}


@pytest.mark.parametrize(("key", "group"), [("overall", None), ("by_sex", "sex")])
def test_dev_04_aalen_johansen(key, group):
    expected = results("dev_04")[key]["aalen_johansen"]
    curves = {
        kind: cumulative_incidence(mgus2(), "time", "cause", group, conf_type=kind)
        for kind in ("log", "log-log", "plain")
    }
    for row in expected:
        ours = at(curves[row["conf_type"]], level_of(row["group"]), row["time"], cause=CAUSES[row["state"]])
        close(ours["estimate"], row["cif"])
        close(ours["std_error"], row["se"])
        close(ours["ci_low"], row["lo"])
        close(ours["ci_high"], row["hi"])


def retinopathy() -> pl.DataFrame:
    return table("survival_retinopathy").with_columns(time="futime", event="status", trt=pl.col("trt").cast(pl.String))


def kidney() -> pl.DataFrame:
    return table("survival_kidney").with_columns(event="status", sex=pl.col("sex").cast(pl.String))


WEIGHTED = {
    "lung_all": (lung, None, "w", None),
    "lung_sex": (lung, "sex", "w", None),
    "lung_sex_cluster_inst": (lambda: lung().drop_nulls("inst"), "sex", "w", "inst"),
    "veteran_celltype": (veteran, "celltype", "w", None),
    "veteran_trt_unweighted_robust": (veteran, "trt", "one", None),
    "retinopathy_trt_cluster_id": (retinopathy, "trt", "w", "id"),
    "retinopathy_trt_cluster_unweighted": (retinopathy, "trt", None, "id"),
    "kidney_sex_cluster_id": (kidney, "sex", "w", "id"),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_dev_14_weighted_kaplan_meier(name):
    make, group, weights, cluster = WEIGHTED[name]
    frame = numbered_weights(make()).with_columns(one=1.0)
    curves = {
        kind: kaplan_meier(frame, "time", "event", group, weights, cluster=cluster, conf_type=kind)
        for kind in ("log", "log-log")
    }
    for row in results("dev_14")["km"][name]:
        log, log_log = (at(curves[kind], level_of(row["group"]), row["time"]) for kind in ("log", "log-log"))
        close(log["at_risk"], row["n_risk_w"], rel=1e-6)
        close(log["estimate"], row["surv"], rel=1e-6)
        close(log["std_error"], row["se"], rel=1e-6)
        close(log["ci_low"], row["lo_log"], rel=1e-6)
        close(log["ci_high"], row["hi_log"], rel=1e-6)
        close(log_log["ci_low"], row["lo_loglog"], rel=1e-6)
        close(log_log["ci_high"], row["hi_loglog"], rel=1e-6)


def test_dev_14_clustered_incidence():
    """R's multi-state survfit ignores `cluster=`, and so does the entry `mgus2_sex_cluster_dxyr` (its errors are those
    without clusters). The right number is R's own influence.pstate for women at 60 months, summed within dxyr."""
    curve = cumulative_incidence(numbered_weights(mgus2()), "time", "cause", "sex", "w", "dxyr")
    ours = at(curve, "F", 60, cause=1)
    close(ours["estimate"], 0.0411983189069166, rel=1e-6)
    close(ours["std_error"], 0.006476183, rel=1e-6)


def pbc_causes() -> pl.DataFrame:
    return pbc().with_columns(cause="status")


INCIDENCES = {
    "mgus2_sex": (mgus2, "sex", "w", None),
    "mgus2_all_unweighted": (mgus2, None, None, None),
    "pbc_all": (pbc_causes, None, "w", None),
    "pbc_trt": (pbc_causes, "trt", "w", None),
}


@pytest.mark.parametrize("name", INCIDENCES)
def test_dev_14_weighted_incidence(name):
    make, group, weights, cluster = INCIDENCES[name]
    frame = numbered_weights(make())
    curves = {
        kind: cumulative_incidence(frame, "time", "cause", group, weights, cluster, kind) for kind in ("log", "log-log")
    }
    for row in results("dev_14")["aj"][name]:
        cause = CAUSES[row["state"]]
        log, log_log = (
            at(curves[kind], level_of(row["group"]), row["time"], cause=cause) for kind in ("log", "log-log")
        )
        close(log["estimate"], row["cif"], rel=1e-6)
        close(log["std_error"], row["se"], rel=1e-6)
        close(log["ci_low"], row["lo_log"], rel=1e-6)
        close(log["ci_high"], row["hi_log"], rel=1e-6)
        close(log_log["ci_low"], row["lo_loglog"], rel=1e-6)
        close(log_log["ci_high"], row["hi_loglog"], rel=1e-6)


LOST = {
    "mgus2_sex_120": (mgus2, "sex"),
    "mgus2_sex_240": (mgus2, "sex"),
    "mgus2_all_240": (mgus2, None),
    "pbc_trt_1826": (pbc_causes, "trt"),
    "pbc_trt_3652": (pbc_causes, "trt"),
    "pbc_stage_3652": (pbc_causes, "stage"),
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("weighting", ["unweighted", "weighted"])
def test_dev_17_restricted_time_lost(name, weighting):
    make, group = LOST[name]
    frame = numbered_weights(make()).with_columns(any=pl.col("cause") > 0)
    expected = results("dev_17")[name]
    weights = "w" if weighting == "weighted" else None
    options = {"group": group, "weights": weights}
    causes = restricted_time_lost(frame, "time", "cause", expected["tau"], **options)
    free = restricted_mean(frame, "time", "any", expected["tau"], **options)
    for row in expected[weighting]["area"]:
        source = free if row["state"] == "event_free" else causes.filter(pl.col("cause") == CAUSES[row["state"]])
        match = source.filter(pl.col("measure") == "mean", pl.col("group") == level_of(row["group"]))
        close(match["estimate"][0], row["area"], rel=1e-6)
        close(match["std_error"][0], row["se"], rel=1e-6)
    for row in expected[weighting].get("diff") or []:
        options["reference"] = level_of(row["subtrahend"])
        if row["state"] == "event_free":
            source = restricted_mean(frame, "time", "any", expected["tau"], **options)
        else:
            source = restricted_time_lost(frame, "time", "cause", expected["tau"], **options)
            source = source.filter(pl.col("cause") == CAUSES[row["state"]])
        match = source.filter(pl.col("measure") == "difference", pl.col("group") == level_of(row["minuend"]))
        close(match["estimate"][0], row["diff"], rel=1e-6)
        close(match["std_error"][0], row["se"], rel=1e-6)
        close(match["ci_low"][0], row["lo"], rel=1e-6)
        close(match["p_value"][0], row["p"], rel=1e-6)


def test_reference_folder_is_the_expected_one():
    assert np.isclose(results("dev_02")["lung"]["hand_diff"], 55.9703243399798)


def check_cox(fit, expected, rel=1e-5):
    assert fit.status == "estimable"
    ours = fit.coefficients.to_dicts()
    assert len(ours) == len(expected["coef"])
    for mine, row in zip(ours, expected["coef"], strict=True):
        close(mine["coef"], row["coef"], rel=rel)
        close(mine["std_error"], row["se"], rel=rel)
        if row.get("robust_se") is not None:
            close(mine["robust_std_error"], row["robust_se"], rel=rel)
        if "p" in row:
            close(mine["p_value"], row["p"], rel=1e-4, abs=1e-12)
    close(fit.log_likelihood, expected["loglik"], rel=1e-8)
    close(fit.null_log_likelihood, expected["loglik_null"], rel=1e-8)


def check_drift(fit, expected, transform, rel=1e-4):
    ours = proportional_hazards_test(fit, transform)
    for mine, row in zip(ours.to_dicts(), expected, strict=True):
        assert mine["df"] == row["df"]
        close(mine["statistic"], row["chisq"], rel=rel)
        close(mine["p_value"], row["p"], rel=rel)


def complete_lung() -> pl.DataFrame:
    return table("survival_lung").with_columns(event=pl.col("status") == 2).drop_nulls(["age", "sex", "ph.ecog"])


def cell_types() -> pl.DataFrame:
    levels = pl.Enum(["squamous", "smallcell", "adeno", "large"])
    return table("survival_veteran").with_columns(pl.col("celltype").cast(levels), event="status")


def log_pbc() -> pl.DataFrame:
    logs = {f"log_{name}": pl.col(name).log() for name in ("bili", "protime", "albumin")}
    return table("survival_pbc").head(312).with_columns(event=pl.col("status") == 2, **logs)


COX = {
    "lung": (complete_lung, ["age", "sex", "ph.ecog"], None),
    "veteran": (cell_types, ["trt", "celltype", "karno", "diagtime", "age", "prior"], None),
    "veteran_strat_celltype": (cell_types, ["trt", "karno"], "celltype"),
    "ovarian": (
        lambda: table("survival_ovarian").with_columns(time="futime", event="fustat"),
        ["age", "resid.ds", "rx", "ecog.ps"],
        None,
    ),
    "pbc": (log_pbc, ["age", "edema", "log_bili", "log_protime", "log_albumin"], None),
}


@pytest.mark.parametrize("name", COX)
def test_dev_03_cox(name):
    make, covariates, strata = COX[name]
    expected = results("dev_03")[name]
    fit = cox_regression(make(), "time", "event", covariates, strata=strata)
    check_cox(fit, expected)
    assert fit.covariance == pytest.approx(np.array(expected["vcov"]), rel=1e-4, abs=1e-9)
    tests = fit.tests["statistic"].to_list()
    close(tests[0], expected["lrt"]["test"], rel=1e-6)
    close(tests[1], expected["wald"]["test"], rel=1e-3)
    close(tests[2], expected["score"]["test"], rel=1e-6)
    for transform in ("km", "identity", "rank", "log"):
        check_drift(fit, expected[f"zph_{transform}"], transform)


def test_dev_03_breslow_and_baseline():
    expected = results("dev_03")
    fit = cox_regression(complete_lung(), "time", "event", ["age", "sex", "ph.ecog"], ties="breslow")
    for mine, row in zip(fit.coefficients.to_dicts(), expected["lung_breslow"], strict=True):
        close(mine["coef"], row["coef"], rel=1e-6)
        close(mine["std_error"], row["se"], rel=1e-6)
    check_baseline(
        cox_regression(complete_lung(), "time", "event", ["age", "sex", "ph.ecog"]), expected["lung_basehaz"]
    )


def check_baseline(fit, expected, stratum=None):
    for row in expected:
        curve = fit.baseline_hazard.filter(pl.col("time") <= row["time"])
        if stratum is not None:
            curve = curve.filter(pl.col(stratum).cast(pl.String) == level_of(row["stratum"]))
        close(curve["cumulative_hazard"].to_list()[-1] if curve.height else 0.0, row["cumhaz0"], rel=1e-6)


def entered_lung() -> pl.DataFrame:
    return complete_lung().with_columns(start=pl.col("age") * 365, time=pl.col("age") * 365 + pl.col("time"))


def entered_mgus2() -> pl.DataFrame:
    months = pl.col("age") * 12
    frame = table("survival_mgus2").drop_nulls(["age", "sex", "hgb", "creat", "mspike"])
    return frame.filter(pl.col("futime") > 0).with_columns(
        start=months, time=months + pl.col("futime"), event="death", male=(pl.col("sex") == "M").cast(pl.Int8)
    )


def heart() -> pl.DataFrame:
    frame = table("survival_heart").with_columns(pl.col("transplant").cast(pl.Int64))
    return frame.with_columns(time="stop")


def pbcseq() -> pl.DataFrame:
    frame = table("survival_pbcseq").sort(["id", "day"])
    following = pl.col("day").shift(-1).over("id")
    return frame.with_columns(
        start="day",
        time=following.fill_null(pl.col("futime")),
        event=following.is_null() & (pl.col("status") == 2),
        lb=pl.col("bili").log(),
        la=pl.col("albumin").log(),
    ).filter(pl.col("time") > pl.col("start"))


def adult_retinopathy() -> pl.DataFrame:
    adult = (pl.col("type") == "adult").cast(pl.Int8)
    return table("survival_retinopathy").with_columns(
        time="futime", event="status", adult=adult, trt_adult=adult * pl.col("trt")
    )


def female_kidney() -> pl.DataFrame:
    return table("survival_kidney").with_columns(event="status", female=(pl.col("sex") == 2).cast(pl.Int8))


LUNG, LATE = ["age", "sex", "ph.ecog"], ["sex", "ph.ecog"]
MGUS, HEART, SEQUENCE = (
    ["male", "hgb", "creat", "mspike"],
    ["age", "year", "surgery", "transplant"],
    ["age", "lb", "la", "edema"],
)
EXTENDED = {
    "lung_w_robust": (complete_lung, LUNG, {"weights": "w"}),
    "lung_w_robust_breslow": (complete_lung, LUNG, {"weights": "w", "ties": "breslow"}),
    "lung_unw_robust": (complete_lung, LUNG, {"cluster": "row"}),
    "lung_w_cluster_inst": (lambda: complete_lung().drop_nulls("inst"), LUNG, {"weights": "w", "cluster": "inst"}),
    "retinopathy_w_cluster": (
        adult_retinopathy,
        ["trt", "adult", "trt_adult", "risk"],
        {"weights": "w", "cluster": "id"},
    ),
    "kidney_w_cluster": (female_kidney, ["age", "female"], {"weights": "w", "cluster": "id"}),
    "lung_lt_efron": (entered_lung, LATE, {"entry": "start"}),
    "lung_lt_breslow": (entered_lung, LATE, {"entry": "start", "ties": "breslow"}),
    "lung_lt_w_robust": (entered_lung, LATE, {"entry": "start", "weights": "w"}),
    "mgus2_lt_efron": (entered_mgus2, MGUS, {"entry": "start"}),
    "mgus2_lt_breslow": (entered_mgus2, MGUS, {"entry": "start", "ties": "breslow"}),
    "mgus2_lt_w_strata": (entered_mgus2, MGUS[1:], {"entry": "start", "weights": "w", "strata": "male"}),
    "heart_tv_efron": (heart, HEART, {"entry": "start"}),
    "heart_tv_breslow": (heart, HEART, {"entry": "start", "ties": "breslow"}),
    "heart_tv_w_cluster": (heart, HEART, {"entry": "start", "weights": "w", "cluster": "id"}),
    "pbcseq_tv": (pbcseq, SEQUENCE, {"entry": "start", "cluster": "id"}),
    "pbcseq_tv_w_cluster": (pbcseq, SEQUENCE, {"entry": "start", "weights": "w", "cluster": "id"}),
    "veteran_strata_w": (cell_types, ["trt", "karno", "age"], {"weights": "w", "strata": "celltype"}),
    "veteran_strata_w_breslow": (
        cell_types,
        ["trt", "karno", "age"],
        {"weights": "w", "strata": "celltype", "ties": "breslow"},
    ),
}


def test_dev_15_covers_every_entry():
    assert set(EXTENDED) == {name for name, entry in results("dev_15").items() if "coef" in entry}


@pytest.mark.parametrize("name", EXTENDED)
def test_dev_15_cox_extensions(name):
    make, covariates, options = EXTENDED[name]
    expected = results("dev_15")[name]
    fit = cox_regression(numbered_weights(make()).with_row_index("row"), "time", "event", covariates, **options)
    assert (fit.subjects, fit.events) == (expected["n"], expected["events"])
    check_cox(fit, expected, rel=1e-6)
    for transform in ("km", "identity"):
        theirs = expected.get(f"zph_{transform}")
        if isinstance(theirs, list):
            check_drift(fit, theirs, transform)
        elif theirs is not None:
            assert proportional_hazards_test(fit, transform)["statistic"].null_count() == len(covariates) + 1
    check_baseline(fit, expected.get("cumhaz0", []), options.get("strata"))


def regression_mgus2() -> pl.DataFrame:
    frame = mgus2().drop_nulls(["age", "hgb", "mspike"])
    return frame.with_columns(male=(pl.col("sex") == "M").cast(pl.Int8), old=pl.col("age") >= 70)


def regression_pbc() -> pl.DataFrame:
    male = (pl.col("sex") == "m").cast(pl.Int8)
    return log_pbc().with_columns(lb="log_bili", male=male, ed=(pl.col("edema") > 0).cast(pl.Int8), cause="status")


SUBDISTRIBUTION = {"mgus2": (regression_mgus2, "old"), "pbc": (regression_pbc, "ed")}


@pytest.mark.parametrize("name", SUBDISTRIBUTION)
@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("grouped", [False, True])
def test_dev_16_fine_gray(name, ties, grouped):
    make, group = SUBDISTRIBUTION[name]
    expected = results("dev_16")[name]["strata" if grouped else "no_strata"]
    for state, entry in expected.items():
        rows = entry[f"target_stratG_plain_cox_{ties}" if grouped else ties]
        fit = fine_gray(
            make(),
            "time",
            "cause",
            [row["term"] for row in rows],
            cause_of_interest=CAUSES[state],
            censoring_group=group if grouped else None,
            ties=ties,
        )
        assert fit.events == entry["events"]
        for mine, row in zip(fit.coefficients.to_dicts(), rows, strict=True):
            close(mine["coef"], row["coef"], rel=1e-6)
            close(mine["robust_std_error"], row["robust_se"], rel=1e-6)
            if "naive_se" in row:
                close(mine["std_error"], row["naive_se"], rel=1e-6)
            if "p" in row:
                close(mine["p_value"], row["p"], rel=1e-5, abs=1e-30)
        if not grouped:
            close(fit.log_likelihood, entry[f"{ties}_loglik"], rel=1e-8)
            if ties == "efron":
                check_baseline(fit, entry["efron_cumsubhaz0"])


def test_dev_04_fine_gray_and_cause_specific():
    frame = mgus2().with_columns(male=(pl.col("sex") == "M").cast(pl.Int8))
    for state, entry in results("dev_04")["regression_age_male"].items():
        subdistribution = fine_gray(frame, "time", "cause", ["age", "male"], cause_of_interest=CAUSES[state])
        for mine, row in zip(subdistribution.coefficients.to_dicts(), entry["finegray_coxph"], strict=True):
            close(mine["coef"], row["coef"], rel=1e-5)
            close(mine["std_error"], row["naive_se"], rel=1e-5)
            close(mine["robust_std_error"], row["robust_se"], rel=1e-5)
        own = frame.with_columns(event=pl.col("cause") == CAUSES[state])
        for mine, row in zip(
            cox_regression(own, "time", "event", ["age", "male"]).coefficients.to_dicts(),
            entry["cause_specific_cox"],
            strict=True,
        ):
            close(mine["coef"], row["coef"], rel=1e-5)
            close(mine["std_error"], row["se"], rel=1e-5)


def test_dev_04_gray():
    ours = gray_test(mgus2(), "time", "cause", "sex").to_dicts()
    for mine, row in zip(ours, results("dev_04")["gray_test_sex"], strict=True):
        assert (str(mine["cause"]), mine["df"]) == (row["cause"], row["df"])
        close(mine["statistic"], row["stat"])
        close(mine["p_value"], row["p"])


MULTISTATE = {
    "myeloid_all": ("18_myeloid_long", None, ["entry", "CR", "SCT", "relapse", "death"]),
    "myeloid_trt": ("18_myeloid_long", "group", ["entry", "CR", "SCT", "relapse", "death"]),
    "mgus2_all": ("18_mgus2_illness_death_long", None, ["mgus", "pcm", "death"]),
    "mgus2_sex": ("18_mgus2_illness_death_long", "group", ["mgus", "pcm", "death"]),
}


@pytest.mark.parametrize("name", MULTISTATE)
def test_dev_18_multistate(name):
    file, group, states = MULTISTATE[name]
    expected = results("dev_18")[name]
    columns = ("id", "start", "stop", "from", "to", states)
    curve = state_occupation(table(file), *columns, group=group)
    for row in expected["prob"]:
        ours = curve.filter(
            pl.col("group") == level_of(row["group"]), pl.col("state") == row["state"], pl.col("time") <= row["time"]
        ).to_dicts()[-1]
        close(ours["estimate"], row["p"], rel=1e-6)
        close(ours["std_error"], row["se"], rel=1e-6)
    stays = time_in_state(table(file), *columns, group=group, tau=expected["tau"])
    for row in expected["time_in_state"]:
        ours = stays.filter(pl.col("group") == level_of(row["group"]), pl.col("state") == row["state"]).to_dicts()[0]
        close(ours["estimate"], row["time_in_state"], rel=1e-6)
        close(ours["std_error"], row["se"], rel=1e-6)


SURVREG = {"weibull": "weibull", "log-normal": "lognormal", "log-logistic": "loglogistic"}


def check_parametric(fit, expected):
    assert fit.status == "estimable"
    ours = {row["term"]: row for row in fit.coefficients.to_dicts()}
    names = {"(Intercept)": "Intercept", "Log(scale)": "log(scale)"}
    assert len(ours) == len(expected["coef"])
    for row in expected["coef"]:
        mine = ours[names.get(row["term"], row["term"])]
        close(mine["coef"], row["est"], rel=1e-5, abs=1e-6)
        close(mine["std_error"], row["se"], rel=1e-4)
    close(fit.log_likelihood, expected["loglik"], rel=1e-8)
    close(fit.aic, expected["aic"], rel=1e-8)


def parametric_veteran() -> pl.DataFrame:
    kinds = {f"celltype{name}": (pl.col("celltype") == name).cast(pl.Int8) for name in ("smallcell", "adeno", "large")}
    return table("survival_veteran").with_columns(event="status", **kinds)


def parametric_pbc() -> pl.DataFrame:
    return log_pbc().rename({"log_bili": "log(bili)"})


PARAMETRIC = {"lung": complete_lung, "veteran": parametric_veteran, "pbc": parametric_pbc, "ovarian": ovarian}


@pytest.mark.parametrize("name", PARAMETRIC)
@pytest.mark.parametrize("distribution", SURVREG)
def test_dev_19_parametric(name, distribution):
    expected = results("dev_19")[name][SURVREG[distribution]]
    terms = [row["term"] for row in expected["coef"][1:-1]]
    frame = PARAMETRIC[name]().with_columns(rx=pl.col("rx").cast(int)) if name == "ovarian" else PARAMETRIC[name]()
    check_parametric(parametric_regression(frame, "time", "event", terms, distribution), expected)


def test_dev_19_left_and_right_censoring():
    expected = results("dev_19")["pbc_bili_censored"]
    low, high = expected["lo"], expected["hi"]
    bili, terms = pl.col("bili"), ["age", "edema", "albumin"]
    left = bili <= low
    frame = table("survival_pbc").head(312)
    frame = frame.with_columns(
        event=bili < high,
        lower=pl.when(left).then(0.0).otherwise(pl.min_horizontal(bili, high)),
        upper=pl.when(left).then(low).otherwise(bili),
    )
    counts = expected["n_left"], expected["n_right"]
    assert (frame.select(left.sum()).item(), frame.select((~pl.col("event")).sum()).item()) == counts
    fit = parametric_regression(frame, "lower", "event", terms, "log-normal", upper="upper")
    check_parametric(fit, expected["left_right_lognormal"])
    right = frame.with_columns(lower=pl.min_horizontal(bili, high))
    check_parametric(
        parametric_regression(right, "lower", "event", terms, "log-normal"), expected["right_only_lognormal"]
    )


@pytest.mark.parametrize("name", ["lung", "veteran"])
@pytest.mark.parametrize("distribution", ["weibull", "log-normal"])
def test_dev_19_interval_censoring(name, distribution):
    expected = results("dev_19")[f"turnbull_{name}"]["survreg_interval"][SURVREG[distribution]]
    frame = interval_table(name)
    frame = frame.with_columns(g=(pl.col("group") == 2).cast(pl.Int8), event=pl.col("r").is_finite())
    check_parametric(parametric_regression(frame, "l", "event", ["g"], distribution, upper="r"), expected)


def interval_table(name: str) -> pl.DataFrame:
    return table(f"19_{name}_interval").with_columns(pl.col("l", "r").cast(pl.Float64))


@pytest.mark.parametrize("name", ["lung", "veteran"])
def test_dev_19_turnbull(name):
    expected = results("dev_19")[f"turnbull_{name}"]
    frame = interval_table(name)
    for key, part in (
        ("group_all", frame),
        ("group_1", frame.filter(pl.col("group") == 1)),
        ("group_2", frame.filter(pl.col("group") == 2)),
    ):
        curve = turnbull(part, "l", "r")
        assert curve["status"].unique().to_list() == ["estimable"]
        tab = expected[key]["tab"]
        masses = {(row["lower"], row["upper"]): row["mass"] for row in curve.to_dicts()}
        for row in tab:
            upper = None if row["p"] in ("Inf", None) else row["p"]
            close(masses.pop((row["q"], upper)), row["mass"], rel=1e-6, abs=1e-8)
        assert sum(masses.values()) == pytest.approx(0, abs=1e-8)
