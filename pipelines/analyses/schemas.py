"""Every result table: its columns, their types and what each means.

Belongs here: the layout of `results.*`, once. Does not belong here: how a number is made (the module of each table),
or the columns `release` and `protocol_hash`, which are put in front when a table is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

ESTIMABLE = "estimable"
NOT_ESTIMABLE = "not estimable"
WITHHELD = "withheld"

_TRACE = "Name of the row in results.traces, which leads to its rows, protocol keys, formula and source"

# Columns that mean the same in every table; a table may word one differently.
_COLUMNS: dict[str, tuple[type[pl.DataType], str]] = {
    "endpoint": (pl.String, "Time-to-event endpoint of the protocol"),
    "outcome": (pl.String, "Instrument of the protocol, or an endpoint"),
    "tier": (pl.String, "Treatment tier"),
    "reference": (pl.String, "Tier it is compared with; empty where nothing is compared"),
    "contrast": (pl.String, "Contrast of the protocol; empty where tiers stand alone"),
    "weighting": (pl.String, "unweighted, or overlap: weighted to the patients who could have been given either tier"),
    "time_days": (pl.Float64, "Days since the tier began"),
    "at_risk": (pl.Float64, "Patients (or weight) still under observation just before this time"),
    "subjects_at_risk": (pl.Int64, "Patients still under observation just before this time, uncounted weights"),
    "events": (pl.Float64, "Events (or their weight) at this time"),
    "estimate": (pl.Float64, "The estimate"),
    "std_error": (pl.Float64, "Standard error of the estimate"),
    "ci_low": (pl.Float64, "Lower 95 % limit"),
    "ci_high": (pl.Float64, "Upper 95 % limit"),
    "p_value": (pl.Float64, "Two-sided p-value, not adjusted"),
    "p_adjusted": (pl.Float64, "Holm-adjusted over the protocol's contrasts of a primary question; empty elsewhere"),
    "subjects": (pl.Int64, "Patients used"),
    "window": (pl.String, "Visit window of the protocol"),
    "method": (pl.String, "How the estimate is made"),
    "status": (pl.String, "estimable; not estimable; or withheld, because a diagnostic failed"),
    "reason": (pl.String, "Why there is no number"),
    "cause": (pl.String, "event (the endpoint) or death (competes)"),
    "measure": (pl.String, "Scale of the estimate"),
    "instrument": (pl.String, "Instrument of the protocol"),
    "visit_window": (pl.String, "Visit window of the protocol"),
}


@dataclass(frozen=True)
class ResultTable:
    """One table of `results`: its title and its columns with type and meaning, in order."""

    name: str
    title: str
    schema: Mapping[str, type[pl.DataType]]
    descriptions: Mapping[str, str]

    @property
    def empty(self) -> pl.DataFrame:
        """The table without rows."""
        return pl.DataFrame(schema=dict(self.schema))

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with exactly this table's columns, in order and type; a column that is absent becomes empty.

        Rows keep their order: each analysis states one that does not depend on the order of its input.
        """
        if frame.is_empty():
            return self.empty
        return frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in self.schema.items()
        )


def _table(
    name: str, title: str, columns: str | Sequence[str], **own: tuple[type[pl.DataType], str] | str
) -> ResultTable:
    names = columns.split() if isinstance(columns, str) else list(columns)
    schema: dict[str, type[pl.DataType]] = {}
    descriptions: dict[str, str] = {}
    for column in names:
        given = own.get(column, "")
        dtype, text = given if isinstance(given, tuple) else (_COLUMNS[column][0], given or _COLUMNS[column][1])
        schema[column], descriptions[column] = dtype, text
    return ResultTable(name, title, schema, descriptions)


_NUMBERS = "estimate std_error ci_low ci_high"

TABLES: dict[str, ResultTable] = {
    table.name: table
    for table in (
        _table(
            "table_one",
            "Patients by tier",
            "variable level tier statistic value count subjects",
            variable=(pl.String, "Characteristic known before the tier began"),
            level=(pl.String, "Level of a categorical characteristic; empty for a number"),
            statistic=(pl.String, "mean, sd, median, lower quartile, upper quartile, share, or missing"),
            value=(pl.Float64, "The statistic"),
            count=(pl.Int64, "Patients behind the statistic: at this level, or with a value"),
            subjects=(pl.Int64, "Patients of the tier"),
        ),
        _table(
            "survival_curves",
            "Time to each endpoint, death censored (sensitivity)",
            f"endpoint tier weighting time_days at_risk events {_NUMBERS} contrast subjects_at_risk status reason",
            estimate="Kaplan-Meier estimate of being free of the endpoint",
        ),
        _table(
            "cumulative_incidence",
            "Cumulative incidence of each endpoint with death competing",
            f"endpoint tier weighting cause time_days at_risk {_NUMBERS} events contrast subjects_at_risk "
            "status reason",
            estimate="Aalen-Johansen cumulative incidence of the cause",
            events="Events of this cause (or their weight) at this time",
        ),
        _table(
            "restricted_times",
            "Mean time lost and mean event-free time up to a horizon",
            f"endpoint tier reference weighting tau_days measure cause {_NUMBERS} p_value p_adjusted "
            "contrast adjustment variance subjects status reason trace",
            trace=(pl.String, _TRACE),
            tau_days=(pl.Float64, "Horizon: the protocol's, or the end of the smallest group's follow-up if sooner"),
            measure=(pl.String, "time lost, event-free time, difference or ratio"),
            cause="event, death, or any (neither has happened)",
            adjustment=(pl.String, "What was done about confounding"),
            variance=(pl.String, "weights fixed, weights estimated, or model"),
        ),
        _table(
            "ladder_occupation",
            "Where on the ladder patients are over time",
            "tier state time_days at_risk estimate std_error",
            tier="Tier in which the patient began",
            state=(pl.String, "Tier at this time, or death"),
            time_days="Days since the first tier began",
            at_risk="Patients under observation in this state just before",
            estimate="Probability of being in this state",
        ),
        _table(
            "ladder_times",
            "Expected time in each tier up to a horizon",
            "tier state tau_days estimate std_error status reason",
            tier="Tier in which the patient began",
            state=(pl.String, "Tier, or death"),
            tau_days=(pl.Float64, "Horizon in days"),
            estimate="Expected days in this state",
        ),
        _table(
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
        _table(
            "propensity_overlap",
            "Who could have been given either tier",
            "contrast tier reference arm low high subjects share",
            tier="Tier of the contrast",
            arm=(pl.String, "Tier that the patients were given"),
            low=(pl.Float64, "Lower end of the preference score"),
            high=(pl.Float64, "Upper end of the preference score"),
            share=(pl.Float64, "Share of the arm"),
        ),
        _table(
            "missing_patterns",
            "Which visits patients kept",
            "outcome tier pattern subjects share",
            pattern=(pl.String, "Visit windows in order: 1 seen, 0 missed"),
            share=(pl.Float64, "Share of the tier's patients whose last window has closed"),
        ),
        _table(
            "dropout_weights",
            "What the weights for missed visits rest on",
            "outcome window strategy tier given expected subjects effective_sample_size mean_weight reason",
            strategy=(pl.String, "How later escalation is treated"),
            given=(pl.String, "earlier visits, baseline (tier and case mix alone), or no weights"),
            expected=(pl.Int64, "Patients whose window has closed and who were alive"),
            subjects="Patients seen",
            effective_sample_size=(pl.Float64, "Effective number of those seen, under the weights"),
            mean_weight=(pl.Float64, "Mean weight of those seen"),
            reason="Why the weights were given no more",
        ),
        _table(
            "log_rank",
            "Log-rank test of each endpoint over all tiers",
            "endpoint strata statistic df p_value subjects status reason",
            strata=(pl.String, "Columns within whose levels tiers are compared"),
            statistic=(pl.Float64, "Chi-square statistic"),
            df=(pl.Int64, "Degrees of freedom"),
        ),
        _table(
            "gray_test",
            "Gray's test of equal cumulative incidence over all tiers",
            "endpoint cause statistic df p_value subjects status reason",
            statistic=(pl.Float64, "Chi-square statistic"),
            df=(pl.Int64, "Degrees of freedom"),
        ),
        _table(
            "hazard_ratios",
            "Hazard ratios between neighbouring tiers (secondary)",
            "endpoint view model weighting variance term tier reference estimate log_std_error ci_low ci_high p_value "
            "subjects events status reason contrast adjustment trace",
            trace=(pl.String, _TRACE),
            view=(pl.String, "index: first tier of each patient; as treated: tier changes with time"),
            model=(pl.String, "cause-specific, or subdistribution (Fine-Gray)"),
            variance=(pl.String, "How the standard error is made"),
            term=(pl.String, "tier, or a period of follow-up within which the ratio holds"),
            estimate="Hazard ratio",
            log_std_error=(pl.Float64, "Standard error of the logarithm of the hazard ratio"),
            events=(pl.Int64, "Events of the endpoint"),
            adjustment=(pl.String, "What was done about confounding"),
        ),
        _table(
            "proportional_hazards",
            "Test of proportional hazards (informs; decides nothing)",
            "endpoint contrast adjustment term statistic df p_value status reason",
            adjustment=(pl.String, "What was done about confounding"),
            term=(pl.String, "Model term, or GLOBAL"),
            statistic=(pl.Float64, "Score test statistic"),
            df=(pl.Int64, "Degrees of freedom"),
        ),
        _table(
            "hazard_ratios_over_time",
            "Hazard ratio between neighbouring tiers as it changes with time (informs; decides nothing)",
            "endpoint contrast adjustment tier reference time_days estimate log_std_error ci_low ci_high subjects "
            "events status reason",
            adjustment=(pl.String, "What was done about confounding"),
            estimate="Hazard ratio at this time: natural spline through the scaled Schoenfeld residuals",
            log_std_error=(pl.Float64, "Standard error of the logarithm of the hazard ratio"),
            events=(pl.Int64, "Events of the endpoint in both arms together"),
        ),
        _table(
            "parametric_fits",
            "Parametric models of time to each contrast's endpoint",
            "endpoint contrast distribution estimate log_std_error ci_low ci_high p_value log_likelihood aic "
            "status reason",
            distribution=(pl.String, "Distribution of the time"),
            estimate="Time ratio: above 1 the event comes later in the tier",
            log_std_error=(pl.Float64, "Standard error of the logarithm of the time ratio"),
            log_likelihood=(pl.Float64, "Log-likelihood at the maximum"),
            aic=(pl.Float64, "Akaike's information criterion; the smallest fits best"),
        ),
        _table(
            "treatment_choice",
            "Who gets what: one model of the choice among all tiers (descriptive)",
            "tier reference term estimate log_std_error ci_low ci_high status reason",
            reference="First tier of the ladder with patients",
            term=(pl.String, "Characteristic before the tier began"),
            estimate="Odds ratio of the tier over the reference",
            log_std_error=(pl.Float64, "Standard error of the logarithm of the odds ratio"),
        ),
        _table(
            "choice_scores",
            "How probable each tier was for the patients of each tier (descriptive)",
            "tier score_of subjects mean p05 lower_quartile median upper_quartile p95 status reason",
            tier="Tier that the patients were given",
            score_of=(pl.String, "Tier whose probability it is, by the model of the choice among all tiers"),
            mean=(pl.Float64, "Mean probability"),
            p05=(pl.Float64, "5th percentile"),
            lower_quartile=(pl.Float64, "25th percentile"),
            median=(pl.Float64, "Median probability"),
            upper_quartile=(pl.Float64, "75th percentile"),
            p95=(pl.Float64, "95th percentile"),
        ),
        _table(
            "choice_weights",
            "What weighing all tiers alike leaves of each (descriptive)",
            "population tier subjects effective_sample_size largest_share status reason",
            population=(pl.String, "overlap (generalised, Li 2019) or ate"),
            subjects="Patients of the tier",
            effective_sample_size=(pl.Float64, "Effective number of patients under the weights (Kish 1965)"),
            largest_share=(pl.Float64, "Largest weight as a share of the tier's total"),
        ),
        _table(
            "choice_balance",
            "Standardised differences of every pair of tiers, all tiers weighed alike (descriptive)",
            "weighting tier reference covariate smd variance_ratio ks",
            weighting=(pl.String, "unweighted, overlap (generalised, Li 2019) or ate"),
            covariate=(pl.String, "Characteristic before the tier began"),
            smd=(pl.Float64, "Standardised mean difference (denominator: unweighted pooled standard deviation)"),
            variance_ratio=(pl.Float64, "Ratio of variances, tier over reference"),
            ks=(pl.Float64, "Kolmogorov-Smirnov distance"),
        ),
        _table(
            "contrasts",
            "Differences between neighbouring tiers",
            f"outcome window method population strategy variance tier reference {_NUMBERS} p_value p_adjusted subjects "
            "is_primary status reason contrast measure threshold trace",
            trace=(pl.String, _TRACE),
            threshold=(pl.String, "Responder rule of the protocol; empty for other measures"),
            window="Visit window, or the horizon in days of an endpoint",
            population=(pl.String, "ate, att or overlap: whose mean effect it is"),
            strategy=(pl.String, "How later escalation is treated"),
            variance=(pl.String, "weights fixed; weights estimated, also clustered by site; or model"),
            estimate="Tier minus reference, or tier over reference (see measure)",
            std_error="Standard error; of the logarithm where the measure is a ratio",
            is_primary=(pl.Boolean, "Primary outcome, window and method of the protocol"),
            measure=(
                pl.String,
                "mean difference, risk difference, risk ratio, distance ratio, incidence difference, …",
            ),
        ),
        _table(
            "traces",
            "Where each contrast comes from: rows, protocol key, formula, function",
            "trace contrast outcome window method input_table rows_sql input_rows subjects protocol_key formula "
            "covariates function missing_data result_table citation made_of",
            trace=(pl.String, "Name of the row, unique over all tables of results"),
            result_table=(pl.String, "Table of results that the row stands in"),
            citation=(pl.String, "What the estimator follows, as its function names it"),
            made_of=(
                pl.String,
                "Trace of the result that it is computed from; empty where it comes straight from rows",
            ),
            input_table=(pl.String, "Table of the snapshot that the method reads"),
            rows_sql=(pl.String, "Statement that shows these rows in the snapshot"),
            input_rows=(pl.Int64, "How many rows that gives, missed visits included"),
            protocol_key=(pl.String, "Keys of the protocol file that ask for it"),
            formula=(pl.String, "Model: Y outcome, Y0 its baseline, X covariates"),
            covariates=(pl.String, "Covariates X of the protocol; a model may leave out those that do not vary"),
            function=(pl.String, "Estimator's place in the package"),
            missing_data=(pl.String, "What is done about values that were not seen"),
        ),
        _table(
            "trajectories",
            "Outcomes over time by tier",
            f"outcome tier window method subjects {_NUMBERS} status reason expected",
            window="baseline, or visit window of the protocol",
            subjects="Patients with a value",
            expected=(pl.Int64, "Patients whose window has closed and who were alive"),
        ),
        _table(
            "walking_curves",
            "Share still walking by time and by distance",
            "instrument visit_window tier curve at at_risk estimate ci_low ci_high subjects_at_risk",
            curve=(pl.String, "time (to stop, in seconds) or distance (to stop, in metres)"),
            at=(pl.Float64, "Seconds or metres"),
            visit_window="baseline, or visit window of the protocol",
            estimate="Share still walking",
        ),
        _table(
            "stop_reasons",
            "Why walking tests ended",
            "instrument visit_window tier stop_reason walks subjects estimate ci_low ci_high",
            visit_window="baseline is not recorded; visit windows of the protocol",
            stop_reason=(pl.String, "Why the walk ended"),
            walks=(pl.Int64, "Walks that ended for this reason"),
            subjects="Walks in the window",
            estimate="Share of walks",
        ),
        _table(
            "responders",
            "Share of patients who responded",
            "outcome threshold window tier method responders subjects estimate ci_low ci_high status reason",
            threshold=(pl.String, "Responder rule of the protocol"),
            method=(pl.String, "observed, or missing as non-response"),
            responders=(pl.Int64, "Patients who responded"),
            subjects="Patients counted",
            estimate="Share of patients who responded",
        ),
        _table(
            "subgroups",
            "Effects within groups named beforehand, and tests of interaction",
            f"outcome window contrast modifier group method subjects {_NUMBERS} p_value p_interaction status reason "
            "measure tier reference trace",
            trace=(pl.String, _TRACE),
            modifier=(pl.String, "Effect modifier of the protocol"),
            group=(pl.String, "yes or no: whether the modifier holds"),
            p_interaction=(pl.Float64, "Test that the effect is the same in both groups, not adjusted"),
        ),
        _table(
            "balance",
            "Standardised differences between neighbouring tiers",
            "contrast weighting covariate smd variance_ratio ks is_modelled population",
            covariate=(pl.String, "Characteristic, its square, or a product of two"),
            smd=(pl.Float64, "Standardised mean difference (denominator: unweighted pooled standard deviation)"),
            variance_ratio=(pl.Float64, "Ratio of variances, tier over reference"),
            ks=(pl.Float64, "Kolmogorov-Smirnov distance"),
            is_modelled=(pl.Boolean, "Whether the propensity model holds the term"),
            population=(pl.String, "ate, att or overlap; empty where unweighted"),
        ),
        _table(
            "diagnostics",
            "What a contrast must pass to be shown",
            "contrast outcome check value threshold verdict window note",
            outcome="Instrument or endpoint; empty where the check holds for all",
            window="Visit window; empty where the check holds for all",
            check=(pl.String, "What is checked"),
            value=(pl.Float64, "What was found"),
            threshold=(pl.Float64, "The protocol's limit"),
            verdict=(pl.String, "passed, failed, not applicable or error"),
            note=(pl.String, "What the value is"),
        ),
        _table(
            "imputation",
            "Covariates that were missing and how they were filled",
            "covariate tier missing subjects rule",
            covariate=(pl.String, "Covariate of the protocol"),
            missing=(pl.Int64, "Patients without a value"),
            subjects="Patients of the tier",
            rule=(pl.String, "How missing values are filled"),
        ),
        _table(
            "sensitivity",
            "How the primary results stand under other choices",
            "outcome contrast analysis estimate ci_low ci_high note window measure status estimator population "
            "missing_data strategy variance threshold trace",
            estimator=(pl.String, "Estimator of a specification; empty elsewhere"),
            population=(
                pl.String,
                "Whose mean effect a specification estimates; trimmed says that the estimand changed",
            ),
            missing_data=(pl.String, "What a specification does about values that were not seen"),
            strategy=(pl.String, "How a specification treats later escalation"),
            variance=(pl.String, "weights fixed, weights estimated, or model"),
            threshold=(pl.String, "Responder rule of a specification"),
            trace=(
                pl.String,
                "Name of the row in results.traces; a specification is a row of contrasts and has its name",
            ),
            analysis=(pl.String, "The choice made differently"),
            note=(pl.String, "What it says"),
        ),
        _table(
            "literature",
            "Published figures beside the cohort's own",
            "study year design funding tier reference published instrument kind months published_subjects "
            "published_estimate published_sd published_low published_high outcome threshold window months_apart "
            "subjects estimate ci_low ci_high unit status reason stand_in population caveat citation",
            study=(pl.String, "Study, as it is known in the field"),
            year=(pl.Int64, "Year of publication"),
            design=(pl.String, "How the study was made"),
            funding=(pl.String, "industry, where the makers of a device paid; empty elsewhere"),
            reference="Tier it is compared with in a difference",
            published=(pl.String, "What was measured, as the file names it"),
            instrument="Instrument of the published figure",
            kind=(pl.String, "mean, mean change, difference, share, responders or incidence"),
            months=(pl.Float64, "Months after treatment at which it was published; 0 is before"),
            published_subjects=(pl.Int64, "Patients behind the published figure, where stated"),
            published_estimate=(pl.Float64, "The published figure; shares as fractions"),
            published_sd=(pl.Float64, "Published standard deviation between patients"),
            published_low=(pl.Float64, "Published lower 95 % limit"),
            published_high=(pl.Float64, "Published upper 95 % limit"),
            outcome="The study's own instrument, endpoint or covariate",
            threshold=(pl.String, "Responder rule of the protocol, or level of a covariate"),
            window="Visit window, horizon in days, or baseline, nearest in time",
            months_apart=(pl.Float64, "Months between the published time and the study's own"),
            subjects="Patients behind the study's own figure",
            unit=(pl.String, "Unit of both figures; empty for shares"),
            status="estimable; not estimable; withheld; or no counterpart",
            reason="Why there is no figure of the study's own",
            stand_in=(pl.String, "What differs where the two are not the same thing"),
            population=(pl.String, "Whom the published figure describes"),
            caveat=(pl.String, "What to know about the published figure"),
            citation=(pl.String, "Where it was published"),
        ),
        _table(
            "site_indicators",
            "Outcomes by treating site",
            "indicator site_id subjects observed expected estimate ci_low ci_high reliability signal status reason "
            "adjustment shrunken shrunken_low shrunken_high rank response",
            adjustment=(pl.String, "What the expected number allows for"),
            indicator=(pl.String, "What is counted"),
            site_id=(pl.String, "Treating site (pseudonym)"),
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
        _table(
            "funnel_limits",
            "Limits of each site's count, exact for its own patients",
            "indicator site_id subjects observed expected variance z chance_low chance_high inner_low inner_high low "
            "high phi tau_squared",
            indicator=(pl.String, "What is counted"),
            site_id=(pl.String, "Treating site (pseudonym)"),
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
        _table(
            "site_cusum",
            "Sites over their patients in order: CUSUM and VLAD in blocks",
            "indicator site_id block number observed expected vlad ci_low ci_high cusum highest signals signal "
            "control_limit run_length run_length_error order status reason",
            indicator=(pl.String, "What is counted"),
            site_id=(pl.String, "Treating site (pseudonym)"),
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
}
