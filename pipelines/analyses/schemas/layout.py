"""What a result table is, the statuses a row may have, and the columns that mean the same in every table.

Belongs here: what more than one table says of a column. Does not belong here: a table (the modules beside this one).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

ESTIMABLE = "estimable"
NOT_ESTIMABLE = "not estimable"
WITHHELD = "withheld"

NUMBERS = "estimate std_error ci_low ci_high"

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
    "trace": (
        pl.String,
        "Name of the row in results.traces, which leads to its rows, protocol keys, formula and source",
    ),
    "adjustment": (pl.String, "What was done about confounding"),
    "strategy": (pl.String, "How later escalation is treated"),
    "variance": (pl.String, "weights fixed, weights estimated, or model"),
    "statistic": (pl.Float64, "Chi-square statistic"),
    "df": (pl.Int64, "Degrees of freedom"),
    "log_std_error": (pl.Float64, "Standard error of the logarithm of the hazard ratio"),
    "threshold": (pl.String, "Responder rule of the protocol"),
    "smd": (pl.Float64, "Standardised mean difference (denominator: unweighted pooled standard deviation)"),
    "variance_ratio": (pl.Float64, "Ratio of variances, tier over reference"),
    "ks": (pl.Float64, "Kolmogorov-Smirnov distance"),
    "covariate": (pl.String, "Characteristic before the tier began"),
    "indicator": (pl.String, "What is counted"),
    "site_id": (pl.String, "Treating site (pseudonym)"),
    "state": (pl.String, "Tier, or death"),
    "tau_days": (pl.Float64, "Horizon in days"),
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


def table(name: str, title: str, columns: str, **own: tuple[type[pl.DataType], str] | str) -> ResultTable:
    """A result table from its columns' names in order, divided by spaces.

    `own` says type and meaning of a column that only this table has, or the words of one that all know (`_COLUMNS`).
    """
    schema: dict[str, type[pl.DataType]] = {}
    descriptions: dict[str, str] = {}
    for column in columns.split():
        given = own.get(column, "")
        dtype, text = given if isinstance(given, tuple) else (_COLUMNS[column][0], given or _COLUMNS[column][1])
        schema[column], descriptions[column] = dtype, text
    return ResultTable(name, title, schema, descriptions)
