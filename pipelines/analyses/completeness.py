"""Completeness of follow-up over the years: how many of those due at a visit were seen, by when they were enrolled.

Calendar dates of visits are gone; the year of enrolment is kept, and the quarter where the release may hold it. Counted
are closed windows only, as in `outcomes.completeness`, so that a late year is not low because its visits are still to
come. Does not belong here: completeness by tier (that table), weights for missed visits (`dropout`).
"""

from collections.abc import Iterator, Sequence

import polars as pl

from pipelines.analyses.registry import Tables
from pipelines.analyses.rows import stacked
from pipelines.models.proportions import wilson
from pipelines.protocol import Protocol

YEAR, QUARTER = "year", "quarter"
UNKNOWN = "not known"
_VISITS = ("analysis.scores", "analysis.walking_tests")
_PLACE = ("outcome", "window")
_COLUMNS = (
    "episode_id",
    "site_id",
    pl.col("instrument").cast(pl.String).alias("outcome"),
    pl.col("visit_window").cast(pl.String).alias("window"),
    "is_observed",
)


def completeness_trend(tables: Tables, protocol: Protocol) -> pl.DataFrame:
    """Shares seen with Wilson limits, by year of enrolment: every window of the primary outcomes over all sites, and
    their own window by treating site. By quarter too, over all sites, where each patient's quarter is known.
    """
    own = {(asked.outcome, asked.window) for asked in protocol.primary.outcomes}
    due = pl.concat(
        [tables[name].filter("is_due", "is_alive").select(_COLUMNS) for name in _VISITS], how="vertical_relaxed"
    ).join(_periods(tables["analysis.subjects"]), on="episode_id")
    pieces = [
        counted
        for outcome in dict.fromkeys(asked.outcome for asked in protocol.primary.outcomes)
        for window in [window.name for window in protocol.windows]
        for counted in _counted(due.filter(outcome=outcome, window=window), is_own=(outcome, window) in own)
    ]
    counts = stacked(pieces)
    if counts.is_empty():
        return counts
    shares = wilson(counts["observed"], counts["expected"])
    return counts.with_columns(shares["estimate"], shares["ci_low"], shares["ci_high"])


def _periods(subjects: pl.DataFrame) -> pl.DataFrame:
    """Year and quarter of enrolment in words; the quarter is empty for all where it is not known of each."""
    year, quarter = pl.col("enrolment_year"), pl.col("enrolment_quarter")
    known = (year.is_not_null() & quarter.is_not_null()).all()
    return subjects.select(
        "episode_id",
        pl.coalesce(year.cast(pl.String), pl.lit(UNKNOWN)).alias(YEAR),
        pl.when(known).then(pl.format("{} Q{}", year, quarter)).alias(QUARTER),
    )


def _counted(due: pl.DataFrame, is_own: bool) -> Iterator[pl.DataFrame]:
    """Counts of one outcome and window: over all sites, and by site where it is the outcome's own window."""
    if due.is_empty():
        return
    yield _by(due, YEAR, ())
    if due[QUARTER].null_count() == 0:
        yield _by(due, QUARTER, ())
    if is_own:
        yield _by(due, YEAR, ("site_id",))


def _by(due: pl.DataFrame, span: str, groups: Sequence[str]) -> pl.DataFrame:
    counts = due.group_by(*_PLACE, *groups, pl.col(span).alias("period")).agg(
        expected=pl.len().cast(pl.Int64), observed=pl.col("is_observed").sum().cast(pl.Int64)
    )
    return counts.sort(*groups, "period").with_columns(span=pl.lit(span))
