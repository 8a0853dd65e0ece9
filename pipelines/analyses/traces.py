"""From a number on the report back to where it comes from: rows, protocol key, formula, function and source.

Belongs here: `results.traces`, one row a traced row. Does not belong here: any estimate, how traced rows are named
(`trace_names`), or what a method is (`choices`). `lss trace` reads the table to people.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl

from pipelines.analyses import horizons, imputed, repeated, scores, walking
from pipelines.analyses.choices import CENSORING, CHOICES, DROPOUT_WEIGHTS, choice_of
from pipelines.analyses.registry import Tables
from pipelines.analyses.second_opinions import LIBRARY
from pipelines.analyses.sensitivity import E_VALUE, e_values_of
from pipelines.analyses.trace_names import CONTRASTS, HAZARDS, KEYS, PARAMETRIC, SENSITIVITY, SUBGROUPS, TIMES, is_own
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast

_TIME_TO_EVENT, _AS_TREATED = "analysis.time_to_event", "analysis.as_treated"
_SEE_EVERY_WINDOW = (repeated.MMRM, repeated.MMRM_WEIGHTED, repeated.RANDOM_INTERCEPT, imputed.IMPUTED)
_SEE_EVERY_TIER = (scores.ANCOVA_ADJUSTED, scores.ANCOVA_UNADJUSTED, repeated.MMRM, imputed.IMPUTED,
                   repeated.RANDOM_INTERCEPT, walking.JOINT_ADJUSTED, walking.JOINT_UNADJUSTED,
                   walking.FIXED_TIME_ADJUSTED, walking.FIXED_TIME_UNADJUSTED)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where a row comes from: the table its rows stand in, which of them, and how it is made of them.

    `made_of` is the trace of the result row that it is computed from, where it is computed from one.
    """

    table: str
    terms: dict[str, list[str]]
    function: str
    formula: str
    missing_data: str
    made_of: str | None = None


def traces(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """One row a traced row: its rows as SQL, their number, the protocol's keys, formula, covariates and function."""
    contrasts = {contrast.name: contrast for contrast in protocol.contrasts}
    covariates = ", ".join(covariate.name for covariate in protocol.covariates)
    counted: dict[str, int] = {}
    made = []
    for table, row in _traced(tables):
        contrast = contrasts[row["contrast"]]
        origin = _origin(table, row, contrast, protocol, tables)
        where = " AND ".join(f"{name} IN ({', '.join(map(_quoted, values))})" for name, values in origin.terms.items())
        place = f"{origin.table} WHERE {where}"
        if place not in counted:
            conditions = [pl.col(column).cast(pl.String).is_in(values) for column, values in origin.terms.items()]
            counted[place] = tables[origin.table].filter(conditions).height
        made.append(
            {
                "trace": row["trace"],
                "result_table": f"results.{table}",
                "contrast": row["contrast"],
                "outcome": row.get("outcome") or row.get("endpoint"),
                "window": row.get("window") or _horizon(row),
                "method": row.get("method") or row.get("analysis") or row.get("distribution") or _method(row),
                "input_table": origin.table,
                "rows_sql": f"SELECT * FROM {place}",
                "input_rows": counted[place],
                "subjects": row.get("subjects"),
                "protocol_key": _protocol_key(row, contrast, protocol),
                "formula": origin.formula,
                "covariates": covariates if "X" in origin.formula else "",
                "function": origin.function,
                "missing_data": origin.missing_data,
                "made_of": origin.made_of,
                "citation": citation(origin.function),
            }
        )
    return pl.DataFrame(made, infer_schema_length=None)


def _traced(tables: Tables) -> Iterator[tuple[str, dict[str, Any]]]:
    for table in KEYS:
        frame = tables[f"results.{table}"]
        if "trace" in frame.columns:
            for row in frame.filter(is_own(table)).iter_rows(named=True):
                yield table, row


def _horizon(row: Mapping[str, Any]) -> str:
    tau = row.get("tau_days")
    return horizons.horizon_label(tau) if tau is not None else "all follow-up"


def _method(row: Mapping[str, Any]) -> str:
    words = (
        row.get("model"),
        row.get("view"),
        row.get("term"),
        row.get("measure"),
        row.get("cause"),
        row["adjustment"],
    )
    return ", ".join(word for word in words if word)


# -------------------------------------------------------------------------------------------------------------- origins


def _origin(table: str, row: Mapping[str, Any], contrast: Contrast, protocol: Protocol, tables: Tables) -> Origin:
    if table == CONTRASTS:
        return _of_contrast(row, contrast, protocol)
    if table == SUBGROUPS:
        return _of_subgroup(row, contrast)
    if table == SENSITIVITY:
        return _of_sensitivity(row, contrast, protocol, tables)
    if table == PARAMETRIC:
        return _of_distribution(row, contrast)
    return _of_failure(table, row, contrast)


def _of_distribution(row: Mapping[str, Any], contrast: Contrast) -> Origin:
    terms = {"endpoint": [row["endpoint"]], "tier": [contrast.tier, contrast.reference]}
    formula = f"log time ~ tier + X, {row['distribution']}"
    return Origin(_TIME_TO_EVENT, terms, "pipelines.models.parametric.parametric_regression", formula, CENSORING)


def _of_failure(table: str, row: Mapping[str, Any], contrast: Contrast) -> Origin:
    terms = {"endpoint": [row["endpoint"]], "tier": [contrast.tier, contrast.reference]}
    weighted = row["adjustment"] == horizons.PROPENSITY
    if table == TIMES:
        name = "weighted_failure.weighted_incidence" if weighted else "competing_risks.restricted_time_lost"
        formula = "area under the incidence by arm, death competing" + ("; weighted by P(tier | X)" if weighted else "")
        if not weighted and row["cause"] == "any":
            name, formula = "survival.restricted_mean", "area under event-free survival by arm"
        return Origin(_TIME_TO_EVENT, terms, f"pipelines.models.{name}", formula, CENSORING)
    return _of_hazard(row, terms, weighted)


def _of_contrast(row: Mapping[str, Any], contrast: Contrast, protocol: Protocol) -> Origin:
    """Models of repeated measures see every window; models of all tiers at once see every tier."""
    choice = choice_of(row["method"])
    is_time = choice.table == _TIME_TO_EVENT
    terms = {"endpoint" if is_time else "instrument": [row["outcome"]]}
    if not is_time and choice.method not in _SEE_EVERY_WINDOW:
        terms["visit_window"] = [row["window"]]
    if choice.table == "analysis.responders" and row["threshold"]:
        terms["threshold"] = [row["threshold"]]
    is_joint = choice.method in _SEE_EVERY_TIER
    terms["tier"] = list(protocol.tier_names) if is_joint else [contrast.tier, contrast.reference]
    return Origin(choice.table, terms, choice.function, choice.formula, choice.missing_data)


def _of_subgroup(row: Mapping[str, Any], contrast: Contrast) -> Origin:
    """As the primary estimate, within one group; the rows are those of both groups."""
    is_walk = row["measure"] == "distance ratio"
    like = next(c for c in CHOICES if c.function.endswith("weighted_time_speed" if is_walk else "propensity.effects"))
    terms = {
        "instrument": [row["outcome"]],
        "visit_window": [row["window"]],
        "tier": [contrast.tier, contrast.reference],
    }
    formula = f"{like.formula}, within the group; X as far as it varies there"
    return Origin(like.table, terms, like.function, formula, DROPOUT_WEIGHTS)


def _of_sensitivity(row: Mapping[str, Any], contrast: Contrast, protocol: Protocol, tables: Tables) -> Origin:
    """E-values, second opinions and tipping points; what they are computed from is named by its own trace."""
    if row["analysis"] == E_VALUE:
        return _of_e_value(row, contrast, protocol, tables)
    terms = {"instrument": [row["outcome"]], "tier": list(protocol.tier_names)}
    if row["analysis"] == imputed.TIPPING:
        like = choice_of(imputed.IMPUTED)
        formula = f"{like.formula}; missing Y of {contrast.tier} shifted by delta, the smallest at which p reaches 0.05"
        plain = tables["results.contrasts"].filter(_same_question(row), pl.col("method") == imputed.IMPUTED)
        function = "pipelines.models.imputation.tipping_point"
        return Origin(like.table, terms, function, formula, like.missing_data, plain["trace"][0])
    asked = next(estimator for estimator in LIBRARY if estimator.name == row["estimator"])
    return Origin("analysis.scores", terms, asked.function, asked.formula, asked.missing_data)


def _of_e_value(row: Mapping[str, Any], contrast: Contrast, protocol: Protocol, tables: Tables) -> Origin:
    """The rows are those of the estimate that it speaks of."""
    function, bound = "pipelines.models.sensitivity.e_value", "E = RR + sqrt(RR (RR - 1))"
    if row["window"] is None:
        of = e_values_of(tables["results.hazard_ratios"], contrast).row(0, named=True)
        below = _of_failure(HAZARDS, of, contrast)
        bound += "; RR = HR, or (1 - 0.5^sqrt(HR)) / (1 - 0.5^sqrt(1/HR)) where the event is common"
    else:
        primary = tables["results.contrasts"].filter(_same_question(row), pl.col("is_primary"))
        of = primary.row(0, named=True)
        below = _of_contrast(of, contrast, protocol)
        bound += "; RR = exp(0.91 d), d the estimate over the pooled standard deviation of the outcome"
    return Origin(below.table, below.terms, function, bound, below.missing_data, of["trace"])


def _same_question(row: Mapping[str, Any]) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == row[name] for name in ("contrast", "outcome", "window"))


def _of_hazard(row: Mapping[str, Any], terms: dict[str, list[str]], weighted: bool) -> Origin:
    table = _AS_TREATED if row["view"] == "as treated" else _TIME_TO_EVENT
    if row["model"] == "subdistribution":
        name, formula = "competing_risks.fine_gray", "subdistribution hazard ~ tier"
    elif weighted:
        name, formula = "weighted_failure.weighted_hazard_ratios", "hazard ~ tier, weighted by P(tier | X)"
    else:
        name, formula = "cox.cox_regression", "hazard ~ tier"
    if row["adjustment"] == "covariates":
        formula += " + X"
    if table == _AS_TREATED:
        formula += "; tier changes with time, entry when it starts"
    return Origin(table, terms, f"pipelines.models.{name}", formula, CENSORING)


@cache
def citation(function: str) -> str:
    """The sources that the docstring of a function names; empty where it names none."""
    module, name = function.rsplit(".", 1)
    text = inspect.getdoc(getattr(import_module(module), name)) or ""
    found = re.search(r"^\s*Sources?: (.+?)(?=\n\s*\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _protocol_key(row: Mapping[str, Any], contrast: Contrast, protocol: Protocol) -> str:
    """The keys of the protocol that the row answers, the contrast first."""
    keys = [f"contrasts.{contrast.name}"]
    outcome = row.get("outcome") or row["endpoint"]
    asked: Sequence[tuple[str, Any]] = (
        ("outcomes", protocol.primary.outcomes),
        ("secondary_outcomes", protocol.primary.secondary_outcomes),
    )
    for name, questions in asked:
        keys += [
            f"primary.{name}.{q.outcome}" for q in questions if (q.outcome, q.window) == (outcome, row.get("window"))
        ]
    if row.get("threshold"):
        keys.append(f"instruments.{outcome}.thresholds.{row['threshold']}")
    elif outcome in {endpoint.name for endpoint in protocol.endpoints}:
        keys.append(f"endpoints.{outcome}")
    else:
        keys.append(f"instruments.{outcome}")
    if row.get("modifier"):
        keys.append(f"effect_modifiers.{row['modifier']}")
    return "; ".join(keys)
