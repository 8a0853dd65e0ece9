"""How the figures were made: methods with formulas, target trials, thresholds and amendments, all from the protocol."""

from pipelines.protocol import Protocol
from pipelines.reports import numbers, wording
from pipelines.reports.content import Block, Bullets, Column, Facts, Paragraph, Row, Section, Table
from pipelines.reports.figures.formula import formula
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.responders import threshold_label
from pipelines.reports.study import Study


def methods(study: Study) -> Section:
    """Methods in the order in which a reader meets them, with the protocol's choices and citations put in."""
    protocol = study.protocol
    parts = [_time_zero(protocol), _scores(protocol)]
    if any(i.kind == "walking" for i in protocol.instruments):
        parts.append(_walking(protocol))
    if protocol.endpoints:
        parts.append(_failure(protocol))
    parts += [_confounding(protocol), _sites(protocol), _disclosure(protocol), _traces(study), _amendments(protocol)]
    return Section("methods", "Methods", (), tuple(parts))


def _time_zero(protocol: Protocol) -> Section:
    last = protocol.baseline
    windows = ", ".join(f"{w.label} ({w.first_day}–{w.last_day} days)" for w in protocol.windows)
    blocks: tuple[Block, ...] = (
        Paragraph(
            "An episode opens on the day its tier starts; that day is time zero for outcomes, visits and failure. "
            "Covariates use earlier records only. The first tier after enrolment is what is compared; later treatment "
            "never defines a group. A planned second stage within "
            f"{protocol.episodes.planned_stage_days} days opens no episode ({protocol.episodes.citation})."
        ),
        Paragraph(
            f"Baseline is the latest value from day {numbers.fixed(last.first_day, 0)} to day {last.last_day} "
            f"({last.citation}). Visits: {windows}. The record nearest to the nominal day counts, the earlier one if "
            "two "
            "are as near."
        ),
    )
    return Section("methods-time", "Time zero and visits", blocks)


def _scores(protocol: Protocol) -> Section:
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Scores are compared at one visit by analysis of covariance with variance estimates that allow for unequal "
            "spread (HC3; MacKinnon and White 1985). Values after a later treatment stay in (treatment policy); after "
            "death there are none. Patients without the value are left out and counted."
        ),
        formula(
            r"Y_i = \beta_0 + \beta_1 Y_{0i} + \sum_g \tau_g\, 1(T_i = g) + \gamma^{\top} X_i + \varepsilon_i",
            "Outcome equals an intercept, a slope times the baseline value, a difference for each tier, and terms "
            "for the covariates.",
        ),
        Paragraph(
            "A responder's threshold is for change within a person; what matters between groups has its own threshold. "
            "Intervals of shares are Wilson's (1927)."
        ),
    )
    return Section("methods-scores", "Pain and disability", blocks)


def _walking(protocol: Protocol) -> Section:
    limits = [
        f"{i.short_label}: {numbers.fixed((i.time_limit_s or 0) / 60, 0)} minutes ({i.citation})"
        for i in protocol.instruments
        if i.kind == "walking"
    ]
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Time to stop and speed are modelled together as log-normal, with the time censored at the test's limit; "
            "the "
            "ratio of distances between tiers is the product of the ratios of time and speed. A walk shorter than "
            "can be "
            "told apart is censored from below; a baseline at the limit enters as at least the limit. Limits under "
            "propensity weights allow for the estimation of the weights (stacked estimating equations, Stefanski "
            "& Boos 2002)."
        ),
        formula(
            r"\log(D) = \log(\mathrm{time}) + \log(\mathrm{speed}),\quad \frac{D_1}{D_0} = \exp(\tau_{\mathrm{time}} "
            r"+ \tau_{\mathrm{speed}})",
            "The ratio of distances is the exponential of the sum of the differences in log time and log speed.",
        ),
        Bullets(tuple(limits)),
    )
    return Section("methods-walking", "Walking tests", blocks)


def _failure(protocol: Protocol) -> Section:
    blocks: tuple[Block, ...] = (
        Paragraph(
            f"Death competes with failure and is not censored ({protocol.competing.citation}). Cumulative incidence is "
            "Aalen and Johansen's (1978) with infinitesimal-jackknife variance and log–log limits. Time lost is the "
            "area "
            "under it. Hazard ratios (Cox 1972, cause-specific, Efron ties, variance clustered by patient) are "
            "secondary."
        ),
        formula(
            r"\hat F_k(t) = \sum_{t_i \leq t} \hat S(t_{i-1})\, \frac{d_{ki}}{n_i}",
            "The cumulative incidence of a cause is the sum, over event times, of the share still free times the "
            "events of that cause over the number at risk.",
        ),
        Bullets(tuple(f"**{e.label}:** {e.citation}" for e in protocol.endpoints)),
    )
    return Section("methods-failure", "Treatment failure and harm", blocks)


def _confounding(protocol: Protocol) -> Section:
    names = numbers.listed([wording.inside(c.label) for c in protocol.covariates])
    d = protocol.diagnostics
    said = (
        f"Adjusted for: {names}."
        if names
        else "The protocol names no covariates; nothing is adjusted for but baseline."
    )
    blocks: tuple[Block, ...] = (
        Paragraph(f"{said} What was not recorded is not adjusted for: differences are associations, not effects."),
        formula(
            r"d = (\bar x_1 - \bar x_0)\, /\, \sqrt{(s_1^2 + s_0^2)/2}",
            "The standardised difference is the difference of means over the root of the mean variance.",
        ),
        Paragraph(
            f"Multiplicity: {protocol.primary.multiplicity}. A contrast is withheld unless it has at least "
            f"{d.subjects_per_arm_minimum} patients and {d.events_per_arm_minimum} events an arm, standardised "
            f"differences up to {d.smd_maximum:g}, and a negative control with p of at least "
            f"{d.negative_control_alpha:g}. What it would be had nobody escalated is withheld, too, where more than "
            f"{numbers.percent(d.crossover_maximum)} of an arm had escalated before the visit ({d.citation})."
        ),
    )
    return Section("methods-confounding", "Case mix, multiplicity and diagnostics", blocks)


def _sites(protocol: Protocol) -> Section:
    asked = protocol.sites
    level, warning = numbers.percent(asked.signal_level, 1), numbers.percent(asked.warning_level)
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Outcomes belong to the site that gave the treatment. Each patient's risk is that of such a patient in the "
            "network, by logistic regression on tier and case mix (indirect standardisation). A site's count is then "
            f"the sum of unequal chances (Poisson-binomial; Hong 2013); {level} and {warning} limits are exact, around "
            "the level of the other sites, with their spread allowed for (additive over-dispersion of "
            f"{numbers.percent(asked.winsorised_share)} winsorised scores; Spiegelhalter 2005)."
        ),
        formula(
            r"\frac{O_s}{E_s} = \frac{\sum_{i \in s} Y_i}{\sum_{i \in s} \hat p_i},\quad z_s = \frac{O_s - E_s}"
            r"{\sqrt{\sum_{i \in s} \hat p_i (1 - \hat p_i)}}",
            "Observed over expected is the sum of events over the sum of risks; z is their difference over the root of "
            "the sum of risk times one minus risk.",
        ),
        Paragraph(
            "Shrunken figures come from a random intercept for sites; reliability is the variance between sites over "
            f"that plus the site's own. Both it (from {asked.reliability_minimum:g}) and at least "
            f"{asked.minimum_subjects} patients decide whether shrunken figures and ranks are shown, never whether a "
            f"signal is. Patient-reported figures need answers of {numbers.percent(asked.response_minimum)} of those "
            "due; weighted by the inverse probability of an answer they are a sensitivity analysis. Over patients in "
            f"order, the risk-adjusted CUSUM (Steiner 2000) looks for {asked.cusum_odds_ratio:g} times the odds; its "
            "limit is found by simulation, so that an ordinary site signals once in "
            f"{numbers.count(asked.cusum_run_length)} patients."
        ),
        Paragraph(f"Sources: {asked.citation}."),
    )
    return Section("methods-sites", "How sites are judged", blocks)


def _disclosure(protocol: Protocol) -> Section:
    least = protocol.disclosure.minimum_count
    text = (
        f"Counts from 1 to {least - 1} are shown as <{least}; zero may show. Further counts are withheld so that no "
        "small "
        "one can be worked out from sums, percentages or other tables of this report, and curves are drawn only at "
        "times "
        f"between which nobody or at least {least} patients had an event and left ({protocol.disclosure.citation})."
    )
    return Section("methods-disclosure", "Disclosure control", (Paragraph(text),))


def _traces(study: Study) -> Section:
    release = study.release_fact("release") or "RELEASE"
    text = (
        "Every table and figure names its trace under it, and so does wording made from results; a sentence of page "
        "one goes by its list and its place in it (found-1). Each contrast has one too: in the column Trace, or on the "
        f"page where the pointer rests on its number. **lss trace {release} ID** (or the report's file in place of the "
        "release) answers in a few lines: the table of results and the row, the rows of the snapshot behind it as a "
        "statement with their number, the lines of the protocol that ask for it, and the function, formula and source "
        "of the estimate. For a table or figure it lists the contrasts in it. It names no patient and gives no small "
        "count."
    )
    return Section("methods-traces", "Following a number back", (Paragraph(text),))


def _amendments(protocol: Protocol) -> Section:
    """What was changed in the protocol since its first version, when, why, and whether results were known by then."""
    title, amendments = "Amendments to the protocol", protocol.amendments
    if not amendments:
        text = f"No amendments: protocol {protocol.name}, version {protocol.version}, records no change."
        return Section("methods-amendments", title, (Paragraph(text),))
    rows = tuple(
        Row((a.date.isoformat(), a.version, a.change, a.reason, "after" if a.data_seen else "before"))
        for a in amendments
    )
    table = Table(
        "table-amendments",
        title,
        (
            Column("Date", "left"),
            Column("Version", "left"),
            Column("What was changed", "left"),
            Column("Why", "left"),
            Column("Results seen", "left"),
        ),
        rows,
        reading="Results seen: whether the change was made before or after results of this study had been looked at. "
        "What a later change touches is exploratory.",
        source="protocol (amendments)",
    )
    return Section("methods-amendments", title, (table,))


def target_trials(study: Study) -> Section:
    """The trial that each contrast emulates."""
    title = "Target trials"
    contrasts = study.protocol.contrasts
    if not contrasts:
        return not_applicable("target-trials", title, "The protocol names no contrast.")
    parts = []
    for contrast in contrasts:
        trial = contrast.target_trial
        facts: tuple[tuple[str, str], ...] = (
            ("Eligibility", trial.eligibility),
            ("Strategies", trial.strategies),
            ("Time zero", trial.time_zero),
            ("Outcome", trial.outcome),
            ("Estimand", trial.estimand),
            ("Follow-up", trial.follow_up),
        )
        if contrast.strata:
            labels = {c.name: c.label for c in study.protocol.covariates}
            facts += (("Stratified by", numbers.listed([labels[s] for s in contrast.strata])),)
        parts.append(Section(wording.anchor("trial", contrast.name), study.versus(contrast), (Facts(facts),)))
    lead = Paragraph(
        "Each comparison is laid out as the randomised trial that it stands in for (Hernán and Robins 2016)."
    )
    return Section("target-trials", title, (lead,), tuple(parts))


def thresholds(study: Study) -> Section:
    """Every threshold of the protocol with its source."""
    rows: list[Row] = []
    for instrument in study.protocol.instruments:
        if not instrument.thresholds:
            continue
        rows.append(Row((instrument.label,), "group"))
        for threshold in instrument.thresholds:
            label = threshold_label(threshold, instrument).replace("\n", " ")
            rows.append(Row((label, threshold.name, threshold.citation), indent=1))
    table = Table(
        "table-thresholds",
        "Responder thresholds",
        (Column("Threshold", "left"), Column("Name in results", "left"), Column("Source", "left")),
        tuple(rows),
        reading="[seen]: read in the source. [unverified]: recalled, to be checked before it is quoted.",
        source="protocol",
    )
    if not rows:
        return not_applicable("thresholds", "Thresholds", "The protocol names none.")
    return Section("thresholds", "Thresholds", (table,))
