"""Counts, and shares of them, as the report prints them."""

import polars as pl

from pipelines.reports import keys
from pipelines.reports.export.withholding import Row, counted, each, withheld, without_counts
from pipelines.reports.ledger import Key
from pipelines.reports.overlap import histograms, merged_bins
from pipelines.reports.study import Study


def completeness_trend(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Visits due and seen by time of enrolment, with the share seen."""

    def place(row: Row) -> tuple[str, str, str, str]:
        return str(row["outcome"]), str(row["window"]), str(row["period"]), str(row["site_id"] or keys.ALL)

    def due(row: Row) -> Key:
        return keys.expected_in(*place(row))

    def done(row: Row) -> Key:
        return keys.observed_in(*place(row))

    return counted(study, frame, {"expected": due, "observed": done}, ("estimate", done, due))


def imputation(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Patients whose value is not known, as the first table prints them."""

    def missing(row: Row) -> Key:
        return keys.characteristic(str(row["covariate"]), keys.MISSING, str(row["tier"]))

    def whole(row: Row) -> Key:
        return keys.patients(str(row["tier"]))

    return counted(study, frame, {"missing": missing, "subjects": whole})


def table_one(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Levels with their shares; means and quartiles of enough patients."""

    def part(row: Row) -> Key:
        is_missing = row["statistic"] == "missing"
        level = keys.MISSING if is_missing else str(row["level"])
        return keys.characteristic(str(row["variable"]), level, str(row["tier"]))

    def whole(row: Row) -> Key:
        return keys.patients(str(row["tier"]))

    is_counted = frame["statistic"].is_in(["share", "missing"])
    of_counts = counted(study, frame.filter(is_counted), {"count": part, "subjects": whole}, ("value", part, whole))
    described = frame.filter(~is_counted)
    enough = pl.Series([n is not None and n >= study.gate.minimum for n in described["count"]], dtype=pl.Boolean)
    return pl.concat([of_counts, without_counts(withheld(described, enough))])


def responders(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Responders, those they are of, and the share."""

    def place(row: Row) -> tuple[str, str, str, str]:
        return str(row["outcome"]), str(row["threshold"]), str(row["window"]), str(row["tier"])

    def hits(row: Row) -> Key:
        return keys.responders(*place(row))

    def base(row: Row) -> Key:
        return keys.judged(*place(row), str(row["method"]))

    return counted(study, frame, {"responders": hits, "subjects": base}, ("estimate", hits, base))


def stop_reasons(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Walks that ended for a reason, all walks, and the share."""

    def place(row: Row) -> tuple[str, str, str]:
        return str(row["instrument"]), str(row["visit_window"]), str(row["tier"])

    def part(row: Row) -> Key:
        return keys.stops(*place(row), str(row["stop_reason"]))

    def whole(row: Row) -> Key:
        return keys.stops(*place(row))

    return counted(study, frame, {"walks": part, "subjects": whole}, ("estimate", part, whole))


def preferences(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The bars that the report draws, merged, with their share of the arm."""
    pairs = frame.select("contrast", "tier", "reference").unique("contrast")
    stamp = frame.head(1).select(name for name in ("release", "protocol_hash") if name in frame.columns)
    made = []
    for contrast, arm, bins in histograms(frame):
        for found in merged_bins(bins, study.gate.minimum):
            key = keys.preference(contrast, arm, found.low, found.high)
            share = study.gate.rough_share(key, keys.patients(arm))
            made.append({"contrast": contrast, "arm": arm, "low": found.low, "high": found.high, "share": share})
    merged = pl.DataFrame(made, schema=dict.fromkeys(("contrast", "arm"), pl.String)
                          | dict.fromkeys(("low", "high", "share"), pl.Float64))  # fmt: skip
    whole = merged.join(pairs, on="contrast", maintain_order="left")
    if stamp.width and whole.height:
        whole = whole.join(stamp, how="cross")
    return whole.with_columns(subjects=pl.lit(None, frame.schema["subjects"])).select(frame.columns)


def trajectories(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Means of those seen, where they are enough; shares at the time limit are counts and do not leave."""

    def seen(row: Row) -> Key:
        return keys.seen(str(row["outcome"]), str(row["window"]), str(row["tier"]))

    is_share = frame["method"] == "share at the time limit"  # a count of walks, told as a share of them
    rows = frame.filter(~is_share)
    enough = each(rows, lambda row: study.gate.rests_on_enough(seen(row)))
    return counted(study, withheld(rows, enough), {"subjects": seen})
