"""Result tables as they may leave the protected side: through the report's own gate, so that they agree with it.

A count stays where the report would print it, and as it would; estimates stay, rounded, where they rest on enough
patients; curves are cut to the protocol's horizons. A table that leaves without rows is named with the reason why.
"""

from collections.abc import Callable

import polars as pl

from pipelines.reports.export import counts, curves, estimates
from pipelines.reports.study import Study

DIGITS = 3  # significant ones; a share of few patients cannot be turned back into a count of them


def released(study: Study, name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """A table of `results` as it may leave: the same columns, rows and numbers withheld where they must be.

    Args:
        study: the release with its gate.
        name: the table's name without its schema.
        frame: the table as it stands in the snapshot.
    """
    rule = RULES.get(name)
    if rule is None:
        return frame.clear()
    return _rounded(rule(study, frame)).select(frame.columns)


def why_without_rows(name: str) -> str:
    """Why a table leaves without rows; empty where a rule lets rows leave."""
    return "" if name in RULES else WITHOUT_ROWS.get(name, "no rule says what of it may leave")


def _rounded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Float64).round_sig_figs(DIGITS))


RULES: dict[str, Callable[[Study, pl.DataFrame], pl.DataFrame]] = {
    "table_one": counts.table_one,
    "survival_curves": curves.curves,
    "cumulative_incidence": curves.curves,
    "restricted_times": estimates.of_patients,
    "hazard_ratios": estimates.of_patients,
    "hazard_ratios_over_time": curves.over_time,
    "contrasts": estimates.contrasts,
    "ladder_occupation": curves.ladder_occupation,
    "ladder_times": curves.ladder_times,
    "trajectories": counts.trajectories,
    "responders": counts.responders,
    "stop_reasons": counts.stop_reasons,
    "subgroups": estimates.subgroups,
    "diagnostics": estimates.diagnostics,
    "balance": estimates.balance,
    "choice_balance": estimates.choice_balance,
    "propensity_overlap": counts.preferences,
    "log_rank": estimates.of_all,
    "gray_test": estimates.of_all,
    "proportional_hazards": estimates.of_patients,
    "parametric_fits": estimates.distributions,
    "treatment_choice": estimates.treatment_choice,
    "sensitivity": estimates.of_patients,
    "completeness_trend": counts.completeness_trend,
    "imputation": counts.imputation,
    "dropout_weights": estimates.dropout_weights,
    "choice_scores": estimates.choice_scores,
    "choice_weights": estimates.choice_weights,
    "literature": estimates.literature,
    "traces": estimates.traces,
}

_OF_SITES = "one site's figures leave in reports only, where what a site knows of itself is allowed for"
WITHOUT_ROWS: dict[str, str] = {
    "site_indicators": _OF_SITES,
    "funnel_limits": _OF_SITES,
    "site_cusum": _OF_SITES,
    "relapse_curves": "its steps are single patients' visits; the report tells the share free of it at the horizons",
    "walking_curves": "its steps are single walks; the report draws them between distances that enough walked",
    "missing_patterns": "a pattern of visits may be one patient's; the report tells the four kinds of them",
}
