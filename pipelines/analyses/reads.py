"""Which columns of its inputs an analysis is given, and which columns of its result are made of them.

What is stated here is all that the analysis gets, so that the lineage on its page is true in each run. Where nothing is
stated it gets its inputs whole, and its page names tables alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from pipelines.protocol import Protocol


@dataclass(frozen=True)
class Reads:
    """What is read of one table.

    Attributes:
        keys: columns that the result carries on, each with its name there.
        values: columns that the result's numbers are made of.
        rows: columns that tell whose row it is, or whether it counts, and become nothing by themselves.
        with_covariates: whether the protocol's covariates are values too.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    with_covariates: bool = False

    def values_under(self, protocol: Protocol) -> tuple[str, ...]:
        """The columns behind the numbers under a protocol."""
        return self.values + (tuple(c.name for c in protocol.covariates) if self.with_covariates else ())

    def of(self, frame: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
        """The frame with the columns that are read."""
        read = {*self.keys, *self.rows, *self.values_under(protocol)}
        return frame.select(name for name in frame.columns if name in read)


ReadsByTable = Mapping[str, Reads]
_OF_THE_PROTOCOL = {"tau_days"}  # numbers that are no data


def lineage(result: Mapping[str, type[pl.DataType]], reads: ReadsByTable, protocol: Protocol) -> dict[str, list[str]]:
    """For each column of a result that is made of columns of other tables: these, as `schema.table.column`.

    A column that is carried on is made of that one; a number of all values. Words of the analysis are made of nothing.
    """
    keys = [(name, f"{table}.{column}") for table, one in reads.items() for column, name in one.keys.items()]
    values = [f"{table}.{column}" for table, one in reads.items() for column in one.values_under(protocol)]
    made: dict[str, list[str]] = {}
    for name, dtype in result.items():
        if name in _OF_THE_PROTOCOL:
            continue
        carried = [source for key, source in keys if key == name]
        if carried or (dtype.is_numeric() and values):
            made[name] = carried or values
    return made


_SUBJECTS, _TIMES, _SCORES, _WALKS, _RESPONDERS, _MOVES = (
    f"analysis.{name}" for name in ("subjects", "time_to_event", "scores", "walking_tests", "responders", "transitions")
)
_TIER = {"tier": "tier"}
_IDS = ("episode_id", "patient_id", "site_id")
_VISIT = ("is_observed", "is_due", "is_alive")
_OUTCOME = {"instrument": "outcome", "visit_window": "window"}
_WALKED = (
    *("distance_m", "duration_s", "is_at_cap"),
    *("baseline_distance_m", "baseline_duration_s", "is_baseline_at_cap"),
)

_CASE_MIX = Reads(_TIER, with_covariates=True)
_MODELLED = Reads(_TIER, ("tier",), _IDS, with_covariates=True)
_TIME = Reads(_TIER | {"endpoint": "endpoint"}, ("time_days", "status"))
_TESTED = Reads({"endpoint": "endpoint"}, ("tier", "time_days", "status"))
_TIME_OF_EACH = Reads(_TIER | {"endpoint": "endpoint"}, ("time_days", "status"), _IDS)
_LADDER = Reads({"index_tier": "tier"}, ("start_days", "stop_days", "from_state", "to_state"), ("patient_id",))
_KEPT = Reads(_TIER | {"instrument": "outcome"}, ("is_observed",), ("episode_id", "visit_window", *_VISIT))
_WALKS_BY_VISIT = {"instrument": "instrument", "visit_window": "visit_window"}

READS: dict[str, ReadsByTable] = {
    "table_one": {_SUBJECTS: _CASE_MIX},
    "imputation": {_SUBJECTS: _CASE_MIX},
    "balance": {_SUBJECTS: Reads({}, ("tier",), _IDS, with_covariates=True)},
    "propensity_overlap": {_SUBJECTS: _MODELLED},
    "treatment_choice": {_SUBJECTS: _MODELLED},
    "choice_scores": {_SUBJECTS: _MODELLED},
    "choice_weights": {_SUBJECTS: _MODELLED},
    "choice_balance": {_SUBJECTS: _MODELLED},
    "survival_curves": {_TIMES: _TIME},
    "log_rank": {_TIMES: _TESTED},
    "gray_test": {_TIMES: _TESTED},
    "cumulative_incidence": {_SUBJECTS: _MODELLED, _TIMES: _TIME_OF_EACH},
    "restricted_times": {_SUBJECTS: _MODELLED, _TIMES: _TIME_OF_EACH},
    "ladder_occupation": {_MOVES: _LADDER},
    "ladder_times": {_MOVES: _LADDER},
    "relapse_curves": {
        "analysis.symptom_relapses": Reads(
            _TIER | {"relapse": "relapse"}, ("time_lower_days", "time_upper_days"), ("episode_id",)
        )
    },
    "missing_patterns": {_SCORES: _KEPT, _WALKS: _KEPT},
    "walking_curves": {_WALKS: Reads(_TIER | _WALKS_BY_VISIT, _WALKED, ("episode_id", *_VISIT))},
    "stop_reasons": {
        _WALKS: Reads(_TIER | _WALKS_BY_VISIT | {"stop_reason": "stop_reason"}, ("stop_reason",), ("is_observed",))
    },
    "responders": {_RESPONDERS: Reads(_TIER | _OUTCOME | {"threshold": "threshold"}, ("response",))},
    "trajectories": {
        _SUBJECTS: _MODELLED,
        _SCORES: Reads(_TIER | _OUTCOME, ("value", "baseline_value"), (*_IDS, "window_rank", *_VISIT)),
        _WALKS: Reads(_TIER | _OUTCOME, _WALKED, (*_IDS, "window_rank", *_VISIT)),
    },
}
