"""Result tables as they may leave the protected side: through the report's own gate, so that they agree with it.

A count stays where the report would print it, and as it would; estimates stay, rounded, where they rest on enough
patients; curves are cut to the protocol's horizons. A table that leaves without rows is named with the reason why.
"""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from pipelines.reports import keys
from pipelines.reports.balance import is_of_counts, shown_difference
from pipelines.reports.gate import edges_of
from pipelines.reports.ledger import Key
from pipelines.reports.overlap import histograms, merged_bins
from pipelines.reports.study import Study

DIGITS = 3  # significant ones; a share of few patients cannot be turned back into a count of them

_COUNTS = ("count", "subjects", "events", "responders", "at_risk", "subjects_at_risk", "walks", "expected", "missing")
_SMALL = "small number of patients"
Row = Mapping[str, object]
KeyOf = Callable[[Row], Key]


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


# ------------------------------------------------------------------------------------------------ what rests on a group


def _of_patients(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Estimates of a whole tier or of two: they rest on the tier's patients."""
    tiers = [name for name in ("tier", "reference") if name in frame.columns]

    def is_enough(row: Row) -> bool:
        named = [str(row[name]) for name in tiers if row[name] is not None]
        return study.gate.rests_on_enough(*[keys.patients(tier) for tier in named])

    return _without_counts(_withheld(frame, _each(frame, is_enough)))


def _contrasts(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """As estimates of two tiers; degrees of freedom are patients less terms, and are left out as counts are."""
    rows = _of_patients(study, frame)
    return rows.with_columns(df=pl.lit(None, pl.Float64)) if "df" in rows.columns else rows


def _of_no_group(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Tests and models over all patients, which the analyses refuse on few."""
    return _without_counts(frame)


def _subgroups(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    if "subjects" not in frame.columns:  # nothing says on how many an effect rests
        return frame.clear()
    return _without_counts(_withheld(frame, frame["subjects"].fill_null(0) >= 2 * study.gate.minimum))


def _diagnostics(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Checks that count patients or events leave with their verdict alone."""
    is_count = pl.col("check").str.contains("events|subjects|patients")
    return frame.with_columns(value=pl.when(~is_count).then("value"))


def _balance(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Differences of the arms of each contrast."""
    arms = {contrast.name: (contrast.tier, contrast.reference) for contrast in study.protocol.contrasts}
    return _differences(study, frame, [arms.get(name) for name in frame["contrast"].to_list()])


def _choice_balance(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
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


def _choice_scores(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Means, as the report prints them; the ends of a distribution are single patients."""
    ends = [name for name in ("p05", "lower_quartile", "median", "upper_quartile", "p95") if name in frame.columns]
    return _of_patients(study, frame).with_columns(pl.lit(None, pl.Float64).alias(name) for name in ends)


def _choice_weights(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Effective numbers of enough patients; the largest weight is one patient's."""
    return _enough_in_effect(study, _of_patients(study, frame)).with_columns(largest_share=pl.lit(None, pl.Float64))


def _dropout_weights(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def is_enough(row: Row) -> bool:
        return study.gate.rests_on_enough(keys.seen(str(row["outcome"]), str(row["window"]), str(row["tier"])))

    return _without_counts(_enough_in_effect(study, _withheld(frame, _each(frame, is_enough))))


def _enough_in_effect(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    size = pl.col("effective_sample_size")
    return frame.with_columns(effective_sample_size=pl.when(size >= study.gate.minimum).then(size))


def _traces(_: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Where numbers come from, without how many rows that is."""
    return _without_counts(frame).with_columns(input_rows=pl.lit(None, pl.Int64))


def _literature(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Published figures as they are; own means of enough patients. Own shares stand in the tables they are from."""
    is_mean = frame["kind"].is_in(["mean", "mean change", "difference"])
    stays = is_mean & (frame["subjects"].fill_null(0) >= study.gate.minimum)
    own = [pl.when(stays).then(name).alias(name) for name in ("estimate", "ci_low", "ci_high")]
    return _without_counts(frame).with_columns(own)


# ------------------------------------------------------------------------------------------------------- counted tables


def _completeness_trend(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def place(row: Row) -> tuple[str, str, str, str]:
        return str(row["outcome"]), str(row["window"]), str(row["period"]), str(row["site_id"] or keys.ALL)

    def due(row: Row) -> Key:
        return keys.expected_in(*place(row))

    def done(row: Row) -> Key:
        return keys.observed_in(*place(row))

    return _counted(study, frame, {"expected": due, "observed": done}, ("estimate", done, due))


def _imputation(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def missing(row: Row) -> Key:
        return keys.characteristic(str(row["covariate"]), keys.MISSING, str(row["tier"]))

    def whole(row: Row) -> Key:
        return keys.patients(str(row["tier"]))

    return _counted(study, frame, {"missing": missing, "subjects": whole})


def _table_one(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def part(row: Row) -> Key:
        is_missing = row["statistic"] == "missing"
        level = keys.MISSING if is_missing else str(row["level"])
        return keys.characteristic(str(row["variable"]), level, str(row["tier"]))

    def whole(row: Row) -> Key:
        return keys.patients(str(row["tier"]))

    is_counted = frame["statistic"].is_in(["share", "missing"])
    counted = _counted(study, frame.filter(is_counted), {"count": part, "subjects": whole}, ("value", part, whole))
    described = frame.filter(~is_counted)
    enough = pl.Series([n is not None and n >= study.gate.minimum for n in described["count"]], dtype=pl.Boolean)
    return pl.concat([counted, _without_counts(_withheld(described, enough))])


def _responders(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def place(row: Row) -> tuple[str, str, str, str]:
        return str(row["outcome"]), str(row["threshold"]), str(row["window"]), str(row["tier"])

    def hits(row: Row) -> Key:
        return keys.responders(*place(row))

    def base(row: Row) -> Key:
        return keys.judged(*place(row), str(row["method"]))

    return _counted(study, frame, {"responders": hits, "subjects": base}, ("estimate", hits, base))


def _stop_reasons(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def place(row: Row) -> tuple[str, str, str]:
        return str(row["instrument"]), str(row["visit_window"]), str(row["tier"])

    def part(row: Row) -> Key:
        return keys.stops(*place(row), str(row["stop_reason"]))

    def whole(row: Row) -> Key:
        return keys.stops(*place(row))

    return _counted(study, frame, {"walks": part, "subjects": whole}, ("estimate", part, whole))


def _preferences(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
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


def _trajectories(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    def seen(row: Row) -> Key:
        return keys.seen(str(row["outcome"]), str(row["window"]), str(row["tier"]))

    is_share = frame["method"] == "share at the time limit"  # a count of walks, told as a share of them
    rows = frame.filter(~is_share)
    enough = _each(rows, lambda row: study.gate.rests_on_enough(seen(row)))
    return _counted(study, _withheld(rows, enough), {"subjects": seen})


def _curves(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The last step before each horizon; tiers where the report prints the events by then, contrasts by themselves."""
    parts = []
    for (endpoint,), rows in frame.group_by("endpoint", maintain_order=True):
        known = (*study.protocol.endpoints, *study.protocol.supplementary_endpoints)
        asked = next((e for e in known if e.name == endpoint), None)
        for day in study.protocol.horizons(asked) if asked else ():
            groups = [name for name in ("tier", "weighting", "contrast", "cause") if name in frame.columns]
            at = rows.filter(pl.col("time_days") <= day).sort("time_days").group_by(groups, maintain_order=True).last()
            parts.append(at.with_columns(time_days=pl.lit(float(day))).select(frame.columns))
    if not parts:
        return frame.clear()
    cut = pl.concat(parts)

    def may_show(row: Row) -> bool:
        if row["weighting"] != "unweighted":
            return True
        key = keys.events(str(row["endpoint"]), str(row["tier"]), float(str(row["time_days"])))
        return row.get("cause", "event") == "event" and study.gate.is_printed(key)

    is_enough = (cut["subjects_at_risk"] >= study.gate.minimum).fill_null(False)
    return _without_counts(cut.filter(is_enough & _each(cut, may_show))).with_columns(
        pl.col("estimate", "std_error", "ci_low", "ci_high").round(2 + study.gate.decimals)
    )


def _over_time(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """A ratio over time at the days at which the report may draw it."""
    times = study.snapshot["analysis.time_to_event"]
    allowed: dict[tuple[str, str, str], tuple[float, ...]] = {}

    def may_show(row: Row) -> bool:
        endpoint, tier, reference = (str(row[name]) for name in ("endpoint", "tier", "reference"))
        if (endpoint, tier, reference) not in allowed:
            allowed[endpoint, tier, reference] = study.gate.shared_cuts(times, endpoint, (tier, reference))
        return row["time_days"] is None or row["time_days"] in allowed[endpoint, tier, reference]

    return _of_patients(study, frame.filter(_each(frame, may_show)))


def _ladder_occupation(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """The bands that the report draws of single states, at the days at which it draws them."""
    moves, times = study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"]
    parts = [frame.clear()]
    for (tier,), curve in frame.group_by("tier", maintain_order=True):
        bands = study.gate.bands(moves, times, str(tier))
        lower = [0.0] * len(bands.cuts.times)
        for states, upper in zip(bands.states, edges_of(curve, bands, 2 + study.gate.decimals), strict=True):
            own = curve.filter(state=states[0]).head(1)
            if len(states) == 1 and own.height:
                heights = [max(0.0, float(edge) - below) for edge, below in zip(upper, lower, strict=True)]
                drawn = pl.DataFrame({"time_days": bands.cuts.times, "estimate": heights})
                kept = own.drop("time_days", "estimate", "at_risk", "std_error", strict=False)
                parts.append(kept.join(drawn, how="cross"))
            lower = [float(edge) for edge in upper]
    return pl.concat(parts, how="diagonal_relaxed")


def _ladder_times(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    """Time in the states that the report may draw apart, up to the last day at which it may."""
    moves, times = study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"]
    bands = {tier: study.gate.bands(moves, times, tier) for tier in frame["tier"].unique().to_list()}

    def is_enough(row: Row) -> bool:
        shown = bands[str(row["tier"])]
        is_apart = (str(row["state"]),) in shown.states
        return not shown.is_empty and is_apart and float(str(row["tau_days"])) <= shown.cuts.times[-1]

    return _without_counts(_withheld(frame, _each(frame, is_enough)))


# ------------------------------------------------------------------------------------------------------------- together


def _each(frame: pl.DataFrame, is_so: Callable[[Row], bool]) -> pl.Series:
    return pl.Series([is_so(row) for row in frame.iter_rows(named=True)], dtype=pl.Boolean)


def _withheld(frame: pl.DataFrame, is_enough: pl.Series) -> pl.DataFrame:
    """The rows with their numbers taken out where they do not rest on enough patients."""
    said = {"status": pl.lit("withheld"), "reason": pl.lit(_SMALL)}
    numbers = {name: pl.lit(None, kind) for name, kind in frame.schema.items() if kind.is_float()}
    taken = {name: value for name, value in (numbers | said).items() if name in frame.columns}
    return frame.with_columns(
        pl.when(is_enough).then(pl.col(name)).otherwise(value).alias(name) for name, value in taken.items()
    )


def _without_counts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, frame.schema[name]).alias(name) for name in _COUNTS if name in frame.columns)


def _counted(
    study: Study, frame: pl.DataFrame, of: Mapping[str, KeyOf], share: tuple[str, KeyOf, KeyOf] | None = None
) -> pl.DataFrame:
    """Counts as the report prints them, others left out, and a share of two of them as it is drawn, without limits."""
    rows = list(frame.iter_rows(named=True))
    shown = {
        name: pl.Series([_printed(study, key(row)) for row in rows], dtype=frame.schema[name])
        for name, key in of.items()
    }
    if share:
        column, part, whole = share
        drawn = [study.gate.drawn_share(part(row), whole(row)) for row in rows]
        numbers = [name for name, kind in frame.schema.items() if kind.is_float() and name != column]
        frame = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in numbers)
        shown[column] = pl.Series(drawn, dtype=pl.Float64)
    return _without_counts(frame).with_columns(**shown)


def _printed(study: Study, key: Key) -> int | None:
    """The count as the report prints it; None where it withholds the count or is not meant to print it at all."""
    known = study.gate.decisions.ledger.counts.get(key)
    is_meant = known is not None and known.role == "printed"
    return study.gate.decisions.value(key) if is_meant and study.gate.is_printed(key) else None


def _rounded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Float64).round_sig_figs(DIGITS))


RULES: dict[str, Callable[[Study, pl.DataFrame], pl.DataFrame]] = {
    "table_one": _table_one,
    "survival_curves": _curves,
    "cumulative_incidence": _curves,
    "restricted_times": _of_patients,
    "hazard_ratios": _of_patients,
    "hazard_ratios_over_time": _over_time,
    "contrasts": _contrasts,
    "ladder_occupation": _ladder_occupation,
    "ladder_times": _ladder_times,
    "trajectories": _trajectories,
    "responders": _responders,
    "stop_reasons": _stop_reasons,
    "subgroups": _subgroups,
    "diagnostics": _diagnostics,
    "balance": _balance,
    "choice_balance": _choice_balance,
    "propensity_overlap": _preferences,
    "log_rank": _of_no_group,
    "gray_test": _of_no_group,
    "proportional_hazards": _of_no_group,
    "parametric_fits": _of_no_group,
    "treatment_choice": _of_no_group,
    "sensitivity": _of_no_group,
    "completeness_trend": _completeness_trend,
    "imputation": _imputation,
    "dropout_weights": _dropout_weights,
    "choice_scores": _choice_scores,
    "choice_weights": _choice_weights,
    "literature": _literature,
    "traces": _traces,
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
