"""Result tables of time to an event: curves, time lost, hazards, tests, parametric fits, the ladder and relapse."""

import polars as pl

from pipelines.analyses.schemas.layout import NUMBERS, table

TABLES = (
    table(
        "survival_curves",
        "Time to each endpoint, death censored (sensitivity)",
        f"endpoint tier weighting time_days at_risk events {NUMBERS} contrast subjects_at_risk status reason",
        estimate="Kaplan-Meier estimate of being free of the endpoint",
    ),
    table(
        "cumulative_incidence",
        "Cumulative incidence of each endpoint with death competing",
        f"endpoint tier weighting cause time_days at_risk {NUMBERS} events contrast subjects_at_risk status reason",
        estimate="Aalen-Johansen cumulative incidence of the cause",
        events="Events of this cause (or their weight) at this time",
    ),
    table(
        "restricted_times",
        "Mean time lost and mean event-free time up to a horizon",
        f"endpoint tier reference weighting tau_days measure cause {NUMBERS} p_value p_adjusted "
        "contrast adjustment variance subjects status reason trace",
        tau_days="Horizon: the protocol's, or the end of the smallest group's follow-up if sooner",
        measure=(pl.String, "time lost, event-free time, difference or ratio"),
        cause="event, death, or any (neither has happened)",
    ),
    table(
        "log_rank",
        "Log-rank test of each endpoint over all tiers",
        "endpoint strata statistic df p_value subjects status reason",
        strata=(pl.String, "Columns within whose levels tiers are compared"),
    ),
    table(
        "gray_test",
        "Gray's test of equal cumulative incidence over all tiers",
        "endpoint cause statistic df p_value subjects status reason",
    ),
    table(
        "hazard_ratios",
        "Hazard ratios between neighbouring tiers (secondary)",
        "endpoint view model weighting variance term tier reference estimate log_std_error ci_low ci_high p_value "
        "subjects events status reason contrast adjustment trace",
        view=(pl.String, "index: first tier of each patient; as treated: tier changes with time"),
        model=(pl.String, "cause-specific, or subdistribution (Fine-Gray)"),
        variance="How the standard error is made",
        term=(pl.String, "tier, or a period of follow-up within which the ratio holds"),
        estimate="Hazard ratio",
        events=(pl.Int64, "Events of the endpoint"),
    ),
    table(
        "proportional_hazards",
        "Test of proportional hazards (informs; decides nothing)",
        "endpoint contrast adjustment term statistic df p_value status reason",
        term=(pl.String, "Model term, or GLOBAL"),
        statistic="Score test statistic",
    ),
    table(
        "hazard_ratios_over_time",
        "Hazard ratio between neighbouring tiers as it changes with time (informs; decides nothing)",
        "endpoint contrast adjustment tier reference time_days estimate log_std_error ci_low ci_high subjects "
        "events status reason",
        estimate="Hazard ratio at this time: natural spline through the scaled Schoenfeld residuals",
        events=(pl.Int64, "Events of the endpoint in both arms together"),
    ),
    table(
        "parametric_fits",
        "Parametric models of time to each contrast's endpoint",
        "endpoint contrast distribution estimate log_std_error ci_low ci_high p_value log_likelihood aic status reason "
        "trace",
        distribution=(pl.String, "Distribution of the time"),
        estimate="Time ratio: above 1 the event comes later in the tier",
        log_std_error="Standard error of the logarithm of the time ratio",
        log_likelihood=(pl.Float64, "Log-likelihood at the maximum"),
        aic=(pl.Float64, "Akaike's information criterion; the smallest fits best"),
    ),
    table(
        "ladder_occupation",
        "Where on the ladder patients are over time",
        "tier state time_days at_risk estimate std_error",
        tier="Tier in which the patient began",
        state="Tier at this time, or death",
        time_days="Days since the first tier began",
        at_risk="Patients under observation in this state just before",
        estimate="Probability of being in this state",
    ),
    table(
        "ladder_times",
        "Expected time in each tier up to a horizon",
        "tier state tau_days estimate std_error status reason",
        tier="Tier in which the patient began",
        estimate="Expected days in this state",
    ),
    table(
        "relapse_curves",
        "Return of a symptom after a response, seen only at visits",
        "relapse tier subjects lower_days upper_days mass estimate ci_low ci_high status reason",
        relapse=(pl.String, "Relapse rule of the protocol"),
        subjects="Patients who responded",
        lower_days=(pl.Float64, "Start of the interval, in days since the first responding visit"),
        upper_days=(pl.Float64, "End of the interval; empty where it has none"),
        mass=(pl.Float64, "Probability that the relapse lies in the interval"),
        estimate="Share still free of relapse at the end of the interval (Turnbull)",
    ),
)
