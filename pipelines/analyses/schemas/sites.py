"""Result tables of the sites: indicators, funnel limits, CUSUM."""

import polars as pl

from pipelines.analyses.schemas.layout import table

TABLES = (
    table(
        "site_indicators",
        "Outcomes by treating site",
        "indicator site_id subjects observed expected estimate ci_low ci_high reliability signal status reason "
        "adjustment shrunken shrunken_low shrunken_high rank response",
        adjustment="What the expected number allows for",
        observed=(pl.Float64, "Patients with the event"),
        expected=(pl.Float64, "Patients with the event, if the site were average for its patients"),
        estimate="Observed over expected",
        reliability=(pl.Float64, "Share of the spread between sites that is not chance"),
        signal=(pl.String, "signal for review, and in which direction, or empty"),
        shrunken=(pl.Float64, "Observed over expected, drawn towards the network by its own uncertainty"),
        shrunken_low=(pl.Float64, "Lower 95 % limit of the shrunken figure"),
        shrunken_high=(pl.Float64, "Upper 95 % limit of the shrunken figure"),
        rank=(pl.Float64, "Expected rank, 1 the lowest figure; empty where the site is too small or unreliable"),
        response=(pl.Float64, "Share of those due who answered; empty where nobody is asked"),
    ),
    table(
        "funnel_limits",
        "Limits of each site's count, exact for its own patients",
        "indicator site_id subjects observed expected variance z chance_low chance_high inner_low inner_high low "
        "high phi tau_squared",
        observed=(pl.Float64, "Patients with the event"),
        expected=(pl.Float64, "Patients with the event, if the site were average for its patients"),
        variance=(pl.Float64, "Variance of the count by chance"),
        z=(pl.Float64, "Observed minus expected, in standard deviations of chance"),
        chance_low=(pl.Int64, "Least count within the outer limits by chance alone"),
        chance_high=(pl.Int64, "Largest count within the outer limits by chance alone"),
        inner_low=(pl.Int64, "Least count within the inner limits, spread between sites allowed for"),
        inner_high=(pl.Int64, "Largest count within the inner limits, spread allowed for"),
        low=(pl.Int64, "Least count within the outer limits, spread allowed for: fewer is a signal for review"),
        high=(pl.Int64, "Largest count within the outer limits, spread allowed for: more is a signal for review"),
        phi=(pl.Float64, "Mean squared z over all sites: 1 by chance alone"),
        tau_squared=(pl.Float64, "Variance of the log odds between the other sites, winsorised and corrected"),
    ),
    table(
        "site_cusum",
        "Sites over their patients in order: CUSUM and VLAD in blocks",
        "indicator site_id block number observed expected vlad ci_low ci_high cusum highest signals signal "
        "control_limit run_length run_length_error order status reason",
        block=(pl.Int64, "Block of patients, from 0"),
        number=(pl.Int64, "Patients up to the block's end"),
        observed=(pl.Float64, "Patients with the event up to the block's end"),
        expected=(pl.Float64, "Patients with the event up to the block's end, if the site were average"),
        vlad=(pl.Float64, "Expected minus observed: falls with more events than expected"),
        ci_low="Lower limit of the VLAD for an ordinary site at this number",
        ci_high="Upper limit of the VLAD for an ordinary site at this number",
        cusum=(pl.Float64, "CUSUM at the block's end"),
        highest=(pl.Float64, "Highest CUSUM within the block"),
        signals=(pl.Int64, "How often the chart reached its limit within the block"),
        signal=(pl.String, "signal for review, or empty"),
        control_limit=(pl.Float64, "Limit of the CUSUM, found by simulation for the run length asked for"),
        run_length=(pl.Float64, "Patients until an ordinary site signals, on average, by a second simulation"),
        run_length_error=(pl.Float64, "Monte Carlo error of the run length"),
        order=(pl.String, "What orders the patients"),
    ),
)
