"""What changed between two releases of one study: patients, treatments, answers, outcomes by tier, headline estimates.

Each quantity is held against the protocol's tolerance (`release_changes`). Counts are unsuppressed: what this makes
stays on the protected side until it passes the disclosure gate of `reports/`.
"""

from collections.abc import Iterator

import polars as pl

from pipelines.protocol import Protocol
from pipelines.protocol_rules import ExplainedChange, ReleaseChanges
from pipelines.warehouse import Warehouse

CHANGES = "quality.changes"

SCHEMA = {
    "before": pl.String,
    "after": pl.String,
    "quantity": pl.String,
    "group": pl.String,
    "value_before": pl.Float64,
    "value_after": pl.Float64,
    "change": pl.Float64,
    "tolerance": pl.Float64,
    "scale": pl.String,
    "verdict": pl.String,
    "note": pl.String,
}
COLUMNS = {
    "before": "The release compared with",
    "after": "This release",
    "quantity": "What is compared",
    "group": "Tier, instrument or contrast; empty for all",
    "value_before": "Its value in the release compared with",
    "value_after": "Its value in this release",
    "change": "The change, on the scale that the tolerance is on",
    "tolerance": "The largest change that needs no explanation",
    "scale": "fraction of the value before; share of patients, treatments or rows; or standard errors",
    "verdict": "within, beyond, explained or not applicable",
    "note": "Why, where it is not within",
}

_FRACTION, _SHARE, _ERRORS = "fraction", "share", "standard errors"
_KEYS = ["quantity", "group"]
_RESULT = ["value_before", "value_after", "change", "tolerance", "scale", "verdict", "note"]

# Facts that stand when a patient enrols; a later release should not say otherwise.
_ENROLMENT_FACTS = ("sex", "enrolment_year", "site_id", "prior_lumbar_surgery", "spondylolisthesis", "stenosis_grade")


def changes(before: Warehouse, after: Warehouse, protocol: Protocol, names: tuple[str, str]) -> pl.DataFrame:
    """Hold every compared quantity of two releases against the tolerances.

    Args:
        before: the earlier release's snapshot.
        after: the later release's snapshot or working file.
        protocol: the protocol of the later release; its tolerances and explanations rule.
        names: the names of both releases.

    Returns:
        One row for each quantity and group, with the columns of `SCHEMA`.
    """
    rules = protocol.release_changes
    parts = [
        _protocols(before, protocol),
        _counted(before, after, rules),
        _kept(before, after, rules),
        _quarantined(before, after, rules),
        _estimated(before, after, protocol),
    ]
    found = pl.concat(part.select(*_KEYS, *_RESULT) for part in parts)
    explained = [entry for entry in rules.explained if entry.release == names[1]]
    return found.pipe(_explain, explained).select(
        pl.lit(names[0]).alias("before"), pl.lit(names[1]).alias("after"), *list(SCHEMA)[2:]
    )


def _protocols(before: Warehouse, protocol: Protocol) -> pl.DataFrame:
    """Whether both were made under the same protocol, since everything else may change with it."""
    study = before.read("protocol.study").row(0, named=True)
    is_same = study["protocol_hash"] == protocol.hash
    verdict = "within" if is_same else "not applicable"
    note = None if is_same else f"the protocol is another: version {study['version']} before, {protocol.version} now"
    return _rows([{"quantity": "protocol", "group": "", "verdict": verdict, "note": note}])


def _rows(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: SCHEMA[name] for name in (*_KEYS, *_RESULT)})


# ------------------------------------------------------------------------------------------------------------- counts


def _counted(before: Warehouse, after: Warehouse, rules: ReleaseChanges) -> pl.DataFrame:
    """Counts may grow, since a registry goes on, but hardly fall; a change of a few records says nothing."""
    both = _joined(_counts(before), _counts(after)).with_columns(pl.col("value_before", "value_after").fill_null(0.0))
    change = (pl.col("value_after") - pl.col("value_before")) / pl.col("value_before")
    falls, grows = -rules.fall_fraction, rules.growth_fraction
    is_few = (pl.col("value_after") - pl.col("value_before")).abs() < rules.minimum_records
    return both.with_columns(
        change=pl.when(pl.col("value_before") > 0).then(change),
        tolerance=pl.when(pl.col("value_after") < pl.col("value_before")).then(falls).otherwise(grows),
        scale=pl.lit(_FRACTION),
    ).with_columns(
        verdict=pl.when(is_few | pl.col("change").is_between(falls, grows))
        .then(pl.lit("within"))
        .otherwise(pl.lit("beyond")),
        note=pl.when(pl.col("value_before") == 0).then(pl.lit("not in the release compared with")),
    )


def _counts(warehouse: Warehouse) -> pl.DataFrame:
    return warehouse.query(
        """
        SELECT 'patients' AS quantity, '' AS "group", count(*) AS value FROM raw.patients
        UNION ALL
        SELECT 'patients', tier, count(*) FROM outcomes.episodes WHERE is_index GROUP BY tier
        UNION ALL
        SELECT 'treatments', tier, count(*) FROM staging.treatments GROUP BY tier
        UNION ALL
        SELECT 'assessments', instrument, count(*) FROM staging.assessments GROUP BY instrument
        UNION ALL
        SELECT 'events', event, count(*) FROM staging.events GROUP BY event
        """,
        "counting what a release holds",
    ).with_columns(pl.col("value").cast(pl.Float64))


# ------------------------------------------------------------------------------------------------------ what was kept


def _kept(before: Warehouse, after: Warehouse, rules: ReleaseChanges) -> pl.DataFrame:
    """Patients and treatments that are gone or were told otherwise, among those of the earlier release."""
    patients = _both(before, after, f"SELECT patient_id, {', '.join(_ENROLMENT_FACTS)} FROM raw.patients", "patient_id")
    treatments = _both(
        before, after, "SELECT treatment_id, patient_id, day, tier FROM staging.treatments", "treatment_id"
    )
    shares = [
        ("patients gone", *_gone(patients), rules.gone_fraction),
        ("patients told otherwise", *_told_otherwise(patients, _ENROLMENT_FACTS), rules.told_otherwise_fraction),
        ("treatments gone", *_gone(treatments), rules.gone_fraction),
        (
            "treatments told otherwise",
            *_told_otherwise(treatments, ("patient_id", "day", "tier")),
            rules.told_otherwise_fraction,
        ),
    ]
    is_comparable = bool(patients["is_after"].any())
    rows = [_share_row(name, count, of, limit, is_comparable) for name, count, of, limit in shares]
    return _rows(rows)


def _both(before: Warehouse, after: Warehouse, sql: str, key: str) -> pl.DataFrame:
    """The earlier release's rows with the later one's beside them, and whether there is one."""
    later = after.query(sql, "reading the later release").with_columns(is_after=pl.lit(True))
    earlier = before.query(sql, "reading the earlier release")
    return earlier.join(later, on=key, how="left", suffix="_after").with_columns(pl.col("is_after").fill_null(False))


def _gone(rows: pl.DataFrame) -> tuple[int, int]:
    return int((~rows["is_after"]).sum()), rows.height


def _told_otherwise(rows: pl.DataFrame, facts: tuple[str, ...]) -> tuple[int, int]:
    kept = rows.filter("is_after")
    differs = pl.any_horizontal(pl.col(fact).ne_missing(pl.col(f"{fact}_after")) for fact in facts)
    return int(kept.select(differs.sum()).item()) if kept.height else 0, kept.height


def _share_row(name: str, count: int, of: int, limit: float, is_comparable: bool) -> dict[str, object]:
    row: dict[str, object] = {"quantity": name, "group": "", "tolerance": limit, "scale": _SHARE}
    if not is_comparable:
        return row | {"verdict": "not applicable", "note": "the releases have no patient pseudonym in common"}
    share = count / of if of else 0.0
    return row | {"value_after": float(count), "change": share, "verdict": "within" if share <= limit else "beyond"}


def _quarantined(before: Warehouse, after: Warehouse, rules: ReleaseChanges) -> pl.DataFrame:
    sql = (
        "SELECT 'rows quarantined' AS quantity, table_name AS \"group\", "
        "CASE WHEN rows_read > 0 THEN rows_quarantined * 1e0 / rows_read END AS value FROM quality.ingest_counts"
    )
    both = _joined(before.query(sql, "counting quarantine"), after.query(sql, "counting quarantine"))
    return both.with_columns(
        change=pl.col("value_after") - pl.col("value_before"),
        tolerance=pl.lit(rules.quarantine_fraction),
        scale=pl.lit(_SHARE),
        note=pl.lit(None, pl.String),
    ).with_columns(
        verdict=pl.when(pl.col("change").is_null())
        .then(pl.lit("not applicable"))
        .when(pl.col("change").abs() <= rules.quarantine_fraction)
        .then(pl.lit("within"))
        .otherwise(pl.lit("beyond"))
    )


# ---------------------------------------------------------------------------------------------------------- estimates


def _estimated(before: Warehouse, after: Warehouse, protocol: Protocol) -> pl.DataFrame:
    """Estimates may move by chance: the change is measured in standard errors of a difference of two samples.

    Releases of one registry share patients, so their true difference varies less and the bar is a generous one.
    """
    limit = protocol.release_changes.standard_errors
    columns = ("value", "scaled", "error", "status")
    both = _joined(_estimates(before, protocol), _estimates(after, protocol), columns)
    errors = (pl.col("error_before") ** 2 + pl.col("error_after") ** 2).sqrt()
    moved = (pl.col("status_before") != pl.col("status_after")).fill_null(True)
    return both.with_columns(
        change=pl.when(errors > 0).then((pl.col("scaled_after") - pl.col("scaled_before")) / errors),
        tolerance=pl.lit(limit),
        scale=pl.lit(_ERRORS),
        note=pl.when(moved).then(
            pl.format(
                "{} before, {} now",
                pl.col("status_before").fill_null("absent"),
                pl.col("status_after").fill_null("absent"),
            )
        ),
    ).with_columns(
        verdict=pl.when(moved)
        .then(pl.lit("beyond"))
        .when(pl.col("change").is_null())
        .then(pl.lit("not applicable"))
        .when(pl.col("change").abs() <= limit)
        .then(pl.lit("within"))
        .otherwise(pl.lit("beyond")),
    )


def _estimates(warehouse: Warehouse, protocol: Protocol) -> pl.DataFrame:
    """quantity, group, value, scaled (the logarithm of a ratio, else the value), its error, status."""
    plain = [*_tier_means(warehouse, protocol), _incidence(warehouse, protocol), _time_lost(warehouse, protocol)]
    parts = [part.with_columns(scaled="value") for part in plain] + [_contrasts(warehouse)]
    return pl.concat(part.select(*_KEYS, "value", "scaled", "error", "status") for part in parts)


def _tier_means(warehouse: Warehouse, protocol: Protocol) -> Iterator[pl.DataFrame]:
    rows = warehouse.read("results.trajectories").filter(
        pl.col("method").is_in(["observed mean", "geometric mean distance"])
    )
    for asked in protocol.primary.questions:
        yield rows.filter(outcome=asked.outcome, window=asked.window).select(
            quantity=pl.format("{} at {}: {}", "outcome", "window", "method"),
            group="tier",
            value="estimate",
            error="std_error",
            status="status",
        )


def _incidence(warehouse: Warehouse, protocol: Protocol) -> pl.DataFrame:
    """Cumulative incidence at the headline horizon, by tier, of the endpoints that contrasts ask for and of failure."""
    horizon = protocol.primary.endpoint_horizon_days
    asked = {c.endpoint for c in protocol.contrasts} | {e.name for e in protocol.endpoints if e.is_descriptive}
    rows = warehouse.read("results.cumulative_incidence").filter(
        pl.col("endpoint").is_in([name for name in asked if name]),
        pl.col("weighting") == "unweighted",
        pl.col("cause") == "event",
        pl.col("time_days") <= horizon,
    )
    last = rows.sort("time_days").group_by("endpoint", "tier", maintain_order=True).last()
    return last.sort("endpoint", "tier").select(
        quantity=pl.format("incidence of {} by day {}", "endpoint", pl.lit(horizon)),
        group="tier",
        value="estimate",
        error="std_error",
        status="status",
    )


def _time_lost(warehouse: Warehouse, protocol: Protocol) -> pl.DataFrame:
    """Differences in time lost to the endpoint of each contrast up to the headline horizon."""
    endpoints = pl.DataFrame(
        [(contrast.name, contrast.endpoint) for contrast in protocol.contrasts],
        schema={"contrast": pl.String, "endpoint": pl.String},
        orient="row",
    )
    lost = warehouse.read("results.restricted_times").filter(
        pl.col("weighting") == "overlap",
        pl.col("variance") == "weights estimated",
        pl.col("measure") == "difference",
        pl.col("cause") == "event",
        pl.col("tau_days") == protocol.primary.endpoint_horizon_days,
    )
    return lost.join(endpoints, on=["contrast", "endpoint"], how="semi").select(
        quantity=pl.format("time lost to {} by day {}", "endpoint", pl.col("tau_days").cast(pl.Int64)),
        group="contrast",
        value="estimate",
        error="std_error",
        status="status",
    )


def _contrasts(warehouse: Warehouse) -> pl.DataFrame:
    """The primary contrasts of outcomes."""
    is_ratio = pl.col("measure").str.contains("ratio")
    return (
        warehouse.read("results.contrasts")
        .filter("is_primary")
        .select(
            quantity=pl.format("{} at {}: {}", "outcome", "window", "measure"),
            group="contrast",
            value="estimate",
            scaled=pl.when(is_ratio).then(pl.col("estimate").log()).otherwise("estimate"),
            error=_error_of(is_ratio),
            status="status",
        )
    )


def _error_of(is_ratio: pl.Expr) -> pl.Expr:
    """Half the limits' distance in normal quantiles, on the scaled value's scale."""
    low, high = (pl.when(is_ratio).then(pl.col(name).log()).otherwise(name) for name in ("ci_low", "ci_high"))
    return (high - low) / (2 * 1.959963984540054)


# ----------------------------------------------------------------------------------------------------------- together


def no_changes(names: tuple[str, str] | None = None) -> pl.DataFrame:
    """What is said where there is no earlier release (no row), or one that this version cannot compare with."""
    if names is None:
        return pl.DataFrame(schema=SCHEMA)
    note = "the earlier snapshot is of another version of lss; run that release again to compare"
    row = {"before": names[0], "after": names[1], "quantity": "all", "group": ""}
    return pl.DataFrame([row | {"verdict": "not applicable", "note": note}], schema=SCHEMA)


def _joined(before: pl.DataFrame, after: pl.DataFrame, values: tuple[str, ...] = ("value",)) -> pl.DataFrame:
    """Both releases' rows beside each other, also those that only one has."""
    earlier = before.rename({name: f"{name}_before" for name in values})
    later = after.rename({name: f"{name}_after" for name in values})
    return earlier.join(later, on=_KEYS, how="full", coalesce=True).sort(_KEYS)


def _explain(found: pl.DataFrame, explained: list[ExplainedChange]) -> pl.DataFrame:
    """Turn what is beyond its tolerance into explained, where the protocol gives the reason."""
    for entry in explained:
        is_meant = (pl.col("verdict") == "beyond") & (pl.col("quantity") == entry.quantity)
        if entry.group is not None:
            is_meant &= pl.col("group") == entry.group
        found = found.with_columns(
            verdict=pl.when(is_meant).then(pl.lit("explained")).otherwise("verdict"),
            note=pl.when(is_meant).then(pl.lit(entry.reason)).otherwise("note"),
        )
    return found
