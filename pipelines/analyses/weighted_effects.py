"""Effects under propensity weights: scores, responders and walking at one window.

Belongs here: the primary comparison of neighbouring tiers, in the overlap population, and beside it in everyone (ate)
and in the tier's own patients (att). Does not belong here: the weights (`weighting`), time to an event (`horizons`).

Visits that were due and not seen are made up for by dropout weights (`dropout`; held fixed), values after escalation
stay in (treatment policy), and nobody has a value after death. Under the hypothetical strategy those who escalated
count as not seen, so that those who stayed, and were alike at earlier visits, stand for them.

Sites: the standard errors that lead take patients as independent, the tier being chosen patient by patient. Beside each
question's own row stands the same estimate with its variance clustered by treating site, where the protocol's number of
sites is reached (`sites.cluster_minimum`); it is no other answer, but shows whether the limits lean on one.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from pipelines.analyses.covariates import complete_subjects
from pipelines.analyses.dropout import History, history, visits_with_weights, with_dropout_weights, without_escalated
from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import (
    ESCALATION_IS_NON_RESPONSE,
    HYPOTHETICAL,
    TREATMENT_POLICY,
    in_ladder_order,
    names_of,
    score_instruments,
    stacked,
    walking_instruments,
    windows,
)
from pipelines.analyses.walking import WALK_COLUMNS, model_rows, weighted_distance_ratios
from pipelines.analyses.weighting import OVERLAP, POPULATIONS, Weighted, weighted_contrasts
from pipelines.models.propensity import effects
from pipelines.models.proportions import number_needed_to_treat
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Instrument

WEIGHTED = "propensity-weighted"
WEIGHTED_WALK = "propensity-weighted joint time and speed"
RISK_OBSERVED = "propensity-weighted, missing made up for by weights"
RISK_NON_RESPONSE = "propensity-weighted, missing as non-response"
ESTIMATED = "weights estimated"
SITE = "site_id"
BY_SITE = "weights estimated, clustered by site"


def score_differences(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Weighted mean differences of scores; overlap at every window, ate and att where the protocol asks.

    In the core analysis set for the instruments that the protocol asks about, else for all.
    """
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    scores = in_ladder_order(tables["analysis.scores"], protocol)
    shared = list(weighted_contrasts(subjects, protocol, POPULATIONS))
    past = history(tables, protocol)
    pieces = []
    for name in in_this_set(score_instruments(protocol), protocol):
        rows = scores.filter(pl.col("instrument") == name)
        designs = list(_designs(shared, subjects, rows, protocol.instrument(name), protocol))
        for window in windows(rows, protocol):
            here = rows.filter(pl.col("visit_window") == window.name)
            labels = {"outcome": name, "window": window.name, "method": WEIGHTED, "measure": "mean difference"}
            visits = _by_strategy(here, subjects, past, name, window.name, protocol)
            for strategy, seen in visits.items():
                for weighted in designs:
                    if weighted.population == OVERLAP or is_asked(protocol, name, window.name):
                        frame = with_visits(weighted, seen, ["value"])
                        said = labels | {"strategy": strategy}
                        found = effects(weighted.propensity, frame, "value", weights="dropout_weight")
                        pieces.append(of_contrast(found, weighted, said))
                        if _is_clustered(weighted, strategy, name, window.name, protocol):
                            by_site = effects(
                                weighted.propensity,
                                frame,
                                "value",
                                weights="dropout_weight",
                                cluster=SITE,
                                few_clusters=True,
                            )
                            pieces.append(of_contrast(_by_site(by_site), weighted, said))
    return stacked(pieces)


def risk_differences(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Weighted risk differences, risk ratios and numbers needed to treat of responding, in the overlap population.

    In the core analysis set for the outcomes and windows that the protocol asks about, else for all.
    """
    responders = in_ladder_order(tables["analysis.responders"], protocol)
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    cells = responders.select("instrument", "threshold", "visit_window").unique().sort(pl.all())
    shared = list(weighted_contrasts(subjects, protocol))
    past = history(tables, protocol)
    pieces: list[pl.DataFrame] = []
    for instrument, threshold, window in cells.iter_rows():
        if protocol.analysis_set == "core" and not is_asked(protocol, instrument, window):
            continue
        chosen = responders.filter(
            (pl.col("instrument") == instrument)
            & (pl.col("threshold") == threshold)
            & (pl.col("visit_window") == window)
        )
        visits = with_dropout_weights(responses(chosen), subjects, protocol, past.before(instrument, window))
        labels = {"outcome": instrument, "threshold": threshold, "window": window}
        for weighted in shared:
            pieces += _risks(weighted, visits, labels)
    return stacked(pieces)


def walking_ratios(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Ratios of distance, time and speed from the joint model weighted to the overlap population.

    The model holds the baseline walk. Patients without a walk there count for the propensity only.
    """
    subjects = complete_subjects(tables["analysis.subjects"], protocol)
    walks = in_ladder_order(tables["analysis.walking_tests"], protocol)
    shared = list(weighted_contrasts(subjects, protocol))
    past = history(tables, protocol)
    pieces = []
    for name in in_this_set(walking_instruments(protocol), protocol):
        if protocol.instrument(name).is_fixed_time:
            continue
        rows = walks.filter(pl.col("instrument") == name)
        for window in windows(rows, protocol):
            here = rows.filter(pl.col("visit_window") == window.name)
            visits = _by_strategy(here, subjects, past, name, window.name, protocol)
            for strategy, seen in visits.items():
                labels = {"outcome": name, "window": window.name, "method": WEIGHTED_WALK, "strategy": strategy}
                for weighted in shared:
                    found = _weighted_walk(weighted, seen, protocol.instrument(name))
                    pieces.append(of_contrast(found, weighted, labels))
                    if _is_clustered(weighted, strategy, name, window.name, protocol):
                        by_site = _weighted_walk(weighted, seen, protocol.instrument(name), SITE)
                        pieces.append(of_contrast(_by_site(by_site), weighted, labels))
    return stacked(pieces)


def _designs(
    shared: Sequence[Weighted], subjects: pl.DataFrame, rows: pl.DataFrame, instrument: Instrument, protocol: Protocol
) -> Iterator[Weighted]:
    """The weights for one score: those shared by all, or with its own baseline added where the covariates lack it."""
    own = f"{instrument.name}_baseline"
    if instrument.is_after_treatment_only or own in {covariate.name for covariate in protocol.covariates}:
        yield from shared
        return
    if not rows["is_observed"].any():
        return
    baselines = rows.select("episode_id", _baseline=pl.col("baseline_value")).unique("episode_id")
    joined = subjects.join(baselines, on="episode_id", how="left", maintain_order="left")
    filled = pl.col("_baseline").fill_null(pl.col("_baseline").median()).fill_null(0.0).alias(own)
    yield from weighted_contrasts(joined.with_columns(filled).drop("_baseline"), protocol, POPULATIONS, also=[own])


def _by_strategy(
    here: pl.DataFrame, subjects: pl.DataFrame, past: History, outcome: str, window: str, protocol: Protocol
) -> dict[str, pl.DataFrame]:
    """One window's visits with their weights by strategy for escalation; the hypothetical one where it is asked."""
    seen = {TREATMENT_POLICY: visits_with_weights(here, subjects, protocol, past.before(outcome, window))}
    if is_asked(protocol, outcome, window):
        earlier = past.before(outcome, window, HYPOTHETICAL)
        seen[HYPOTHETICAL] = visits_with_weights(without_escalated(here), subjects, protocol, earlier)
    return seen


def with_visits(weighted: Weighted, visits: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The contrast's subjects in the order of their weights, with columns of their visit; no visit weighs 1."""
    known = visits if "dropout_weight" in visits.columns else visits.with_columns(dropout_weight=pl.lit(1.0))
    frame = weighted.with_outcome(known.select("episode_id", "dropout_weight", *columns))
    return frame.with_columns(pl.col("dropout_weight").fill_null(1.0))


def responses(rows: pl.DataFrame) -> pl.DataFrame:
    """Responses as visits: who was expected and seen, and the response as 0 and 1 under both ways of counting."""
    seen = pl.col("response").is_in(["responder", "non-responder"])
    return rows.with_columns(
        is_observed=seen,
        is_expected=seen | (pl.col("response") == "missing"),
        is_responder=pl.when(seen).then((pl.col("response") == "responder").cast(pl.Float64)),
    ).with_columns(as_non_response=pl.when("is_expected").then(pl.col("is_responder").fill_null(0.0)))


def _risks(weighted: Weighted, visits: pl.DataFrame, labels: dict[str, str]) -> Iterator[pl.DataFrame]:
    frame = with_visits(weighted, visits, ["is_responder", "as_non_response"])
    for method, outcome, weights in (
        (RISK_OBSERVED, "is_responder", "dropout_weight"),
        (RISK_NON_RESPONSE, "as_non_response", None),
    ):
        difference = effects(weighted.propensity, frame, outcome, weights=weights)
        ratio = effects(weighted.propensity, frame, outcome, weights=weights, measure="ratio")
        named = labels | {"method": method, "strategy": ESCALATION_IS_NON_RESPONSE}
        risk = of_contrast(difference, weighted, named | {"measure": "risk difference"})
        yield risk
        yield of_contrast(ratio.rename({"log_std_error": "std_error"}), weighted, named | {"measure": "risk ratio"})
        estimated = risk.filter((pl.col("variance") == ESTIMATED) & (pl.col("status") == "estimable"))
        if estimated.height:
            yield _needed_to_treat(estimated)


def _needed_to_treat(risk: pl.DataFrame) -> pl.DataFrame:
    found = number_needed_to_treat(risk["estimate"], risk["ci_low"], risk["ci_high"])
    kept = risk.drop("estimate", "std_error", "ci_low", "ci_high", "p_value", "status", "reason", "measure")
    return kept.hstack(found).with_columns(measure=pl.lit("number needed to treat"))


def _is_clustered(weighted: Weighted, strategy: str, outcome: str, window: str, protocol: Protocol) -> bool:
    """Whether a result stands with its variance clustered by site beside it: those asked about, with sites enough."""
    is_leading = weighted.population == OVERLAP and strategy == TREATMENT_POLICY and is_asked(protocol, outcome, window)
    return is_leading and weighted.rows[SITE].n_unique() >= protocol.sites.cluster_minimum


def _by_site(found: pl.DataFrame) -> pl.DataFrame:
    return found.filter(pl.col("variance") == ESTIMATED).with_columns(variance=pl.lit(BY_SITE))


def _weighted_walk(
    weighted: Weighted, walks: pl.DataFrame, instrument: Instrument, cluster: str | None = None
) -> pl.DataFrame:
    usable = model_rows(walks, weighted.rows, instrument).select("episode_id", *WALK_COLUMNS)
    frame = with_visits(weighted, walks, []).select("episode_id", SITE, "dropout_weight")
    frame = frame.join(usable, on="episode_id", how="left", maintain_order="left")
    return weighted_distance_ratios(weighted.propensity, frame, instrument, "dropout_weight", cluster)


def of_contrast(
    found: pl.DataFrame, weighted: Weighted, labels: dict[str, str], population: str | None = None
) -> pl.DataFrame:
    """The rows of tier over reference, labelled; without another population it is that of the weights."""
    chosen = found.filter(pl.col("group").cast(pl.String) == weighted.contrast.tier)
    return chosen.with_columns(
        *(pl.lit(value).alias(name) for name, value in (labels | names_of(weighted.contrast)).items()),
        population=pl.lit(population or weighted.population),
    ).drop("group")


def in_this_set(instruments: Iterable[str], protocol: Protocol) -> list[str]:
    """The instruments that the analysis set compares by weighting: in `core` those that the protocol asks about."""
    asked = {primary.outcome for primary in protocol.primary.questions}
    return [name for name in instruments if protocol.analysis_set == "full" or name in asked]


def is_asked(protocol: Protocol, outcome: str, window: str) -> bool:
    """Whether the protocol names the outcome at this window, as primary or secondary."""
    asked = protocol.primary.questions
    return any(primary.outcome == outcome and primary.window == window for primary in asked)
