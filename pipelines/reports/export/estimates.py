"""Estimates as they may leave: where they rest on enough patients, without what is a count by another name."""

from collections.abc import Sequence

import polars as pl

from pipelines.reports import keys
from pipelines.reports.balance import behind_odds, is_of_counts, shown_difference
from pipelines.reports.event_counts import by_the_end
from pipelines.reports.export.withholding import Row, each, withheld, without_counts
from pipelines.reports.study import Study


def of_patients(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Estimates of a whole tier or of two, or of a contrast's two: they rest on the tiers' patients."""
    tiers = [name for name in ("tier", "reference") if name in frame.columns]
    arms = _arms(study)

    def is_enough(row: Row) -> bool:
        named = [str(row[name]) for name in tiers if row[name] is not None]
        if not named and row.get("contrast") in arms:
            named = [*arms[str(row["contrast"])]]
        return study.gate.rests_on_enough(*[keys.patients(tier) for tier in named])

    return without_counts(withheld(frame, each(frame, is_enough)))


def _arms(study: Study) -> dict[str, tuple[str, str]]:
    return {contrast.name: (contrast.tier, contrast.reference) for contrast in study.protocol.contrasts}


def contrasts(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """As estimates of two tiers; degrees of freedom are patients less terms, and are left out as counts are."""
    rows = of_patients(study, frame)
    return rows.with_columns(df=pl.lit(None, pl.Float64)) if "df" in rows.columns else rows


def of_all(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Tests over all patients, which the analyses refuse on few."""
    return without_counts(frame)


def treatment_choice(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Odds of both tiers' patients who have what a term stands for; a row that says why there are none has no term."""

    def is_enough(row: Row) -> bool:
        if row["term"] is None:
            return True
        tiers = (str(row["tier"]), str(row["reference"]))
        return study.gate.rests_on_enough(*behind_odds(study.protocol, str(row["term"]), *tiers))

    return withheld(frame, each(frame, is_enough))


def distributions(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Models of a contrast's own endpoint, as the report prints them: where both arms have enough events."""
    contrasts = {contrast.name: contrast for contrast in study.protocol.contrasts}

    def is_enough(row: Row) -> bool:
        arms = by_the_end(study.protocol, contrasts[str(row["contrast"])], str(row["endpoint"]))
        return study.gate.rests_on_enough(*arms)

    return withheld(frame, each(frame, is_enough))


def subgroups(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Effects within groups that hold twice the least count, so that each arm may."""
    if "subjects" not in frame.columns:  # nothing says on how many an effect rests
        return frame.clear()
    return without_counts(withheld(frame, frame["subjects"].fill_null(0) >= 2 * study.gate.minimum))


def diagnostics(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Checks that count patients or events leave with their verdict alone."""
    is_count = pl.col("check").str.contains("events|subjects|patients")
    return frame.with_columns(value=pl.when(~is_count).then("value"))


def balance(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Differences of the arms of each contrast."""
    arms = _arms(study)
    return _differences(study, frame, [arms.get(name) for name in frame["contrast"].to_list()])


def choice_balance(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Differences of every pair of tiers."""
    return _differences(study, frame, list(frame.select("tier", "reference").iter_rows()))


def _differences(study: Study, frame: pl.DataFrame, arms: Sequence[tuple[str, str] | None]) -> pl.DataFrame:
    """Differences as the report shows them; what else is a function of an arm's count of patients is left out."""
    rows = list(frame.iter_rows(named=True))
    counted = pl.Series([is_of_counts(study.protocol, row["covariate"]) for row in rows], dtype=pl.Boolean)
    shown = [shown_difference(study, row, *pair) if pair else None for row, pair in zip(rows, arms, strict=True)]
    return frame.with_columns(
        pl.Series("smd", shown, dtype=pl.Float64),
        *[pl.when(~counted).then(name).alias(name) for name in ("variance_ratio", "ks")],
    )


def choice_scores(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Means, as the report prints them; the ends of a distribution are single patients."""
    ends = [name for name in ("p05", "lower_quartile", "median", "upper_quartile", "p95") if name in frame.columns]
    return of_patients(study, frame).with_columns(pl.lit(None, pl.Float64).alias(name) for name in ends)


def choice_weights(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Effective numbers of enough patients; the largest weight is one patient's."""
    return _enough_in_effect(study, of_patients(study, frame)).with_columns(largest_share=pl.lit(None, pl.Float64))


def dropout_weights(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Effective numbers of enough patients seen."""

    def is_enough(row: Row) -> bool:
        return study.gate.rests_on_enough(keys.seen(str(row["outcome"]), str(row["window"]), str(row["tier"])))

    return without_counts(_enough_in_effect(study, withheld(frame, each(frame, is_enough))))


def _enough_in_effect(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("effective_sample_size")
    return frame.with_columns(effective_sample_size=pl.when(size >= study.gate.minimum).then(size))


def traces(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Where numbers come from, without how many rows that is."""
    return without_counts(frame).with_columns(input_rows=pl.lit(None, pl.Int64))


def literature(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Published figures as they are; own means of enough patients. Own shares stand in the tables they are from."""
    is_mean = frame["kind"].is_in(["mean", "mean change", "difference"])
    stays = is_mean & (frame["subjects"].fill_null(0) >= study.gate.minimum)
    own = [pl.when(stays).then(name).alias(name) for name in ("estimate", "ci_low", "ci_high")]
    return without_counts(frame).with_columns(own)
