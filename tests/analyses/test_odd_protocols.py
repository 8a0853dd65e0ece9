"""All analyses on small cohorts of the project's simulator, from raw tables through SQL, under odd protocols.

Whatever a protocol leaves out or a cohort lacks, every table is made, and each of its rows has either finite numbers or
none and a reason. What the numbers are is held elsewhere; here nothing may fall over, be silent or be infinite.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import polars as pl
import pytest

from pipelines.analyses import analyse, imputed, ladder
from pipelines.derive import SqlTable, load_tables, materialize
from pipelines.derive.base_tables import RAW
from pipelines.ingest.literature import published_figures
from pipelines.protocol import Protocol
from pipelines.protocol_tables import protocol_tables
from pipelines.resources import sql_folder
from pipelines.simulate import settings_from
from pipelines.simulate.release import block_tables
from pipelines.warehouse import open_warehouse

Tables = dict[str, pl.DataFrame]
Changes = dict[str, Any]
TYPES = {"VARCHAR": pl.String, "INTEGER": pl.Int32, "BIGINT": pl.Int64, "DOUBLE": pl.Float64, "BOOLEAN": pl.Boolean}
INPUTS = ("subjects", "scores", "walking_tests", "time_to_event", "responders", "as_treated", "transitions",
          "symptom_relapses")  # fmt: skip
STATUSES = {"estimable", "not estimable", "withheld", "no counterpart"}
NUMBERS = ("estimate", "std_error", "log_std_error", "ci_low", "ci_high", "p_value", "p_adjusted")
# Every check passes, so that whatever can be estimated is.
OPEN = {
    "diagnostics.smd_maximum": 1e9,
    "diagnostics.variance_ratio_minimum": 1e-9,
    "diagnostics.variance_ratio_maximum": 1e9,
    "diagnostics.effective_sample_size_minimum": 0,
    "diagnostics.effective_sample_size_fraction": 0,
    "diagnostics.events_per_arm_minimum": 1,
    "diagnostics.subjects_per_arm_minimum": 2,
    "diagnostics.crossover_maximum": 1,
    "diagnostics.negative_control_alpha": 1e-300,
    "sites.minimum_subjects": 1,
}
TWELVE_MONTHS = {"name": "12m", "label": "12 months", "nominal_day": 365, "first_day": 273, "last_day": 545,
                 "citation": "a study with one visit"}  # fmt: skip


def cohort(patients: int, seed: int) -> Tables:
    """The four tables of a simulated cohort as `raw.*` holds them."""
    made = block_tables(0, patients, seed, settings_from("clean"))
    return {f"raw.{name}": frame for name, frame in made.items()}


@cache
def _sql() -> dict[str, SqlTable]:
    return {table.name: table for table in load_tables(sql_folder())}


def derived(raw: Mapping[str, pl.DataFrame], protocol: Protocol) -> Tables:
    """What the analyses read, made by SQL."""
    with open_warehouse() as warehouse:
        for name, frame in protocol_tables(protocol).items():
            warehouse.write(f"protocol.{name}", frame)
        for name, columns in RAW.items():
            rows = raw.get(name, pl.DataFrame())
            warehouse.write(
                name,
                rows.select(
                    (pl.col(column) if column in rows.columns else pl.lit(None)).cast(TYPES[kind]).alias(column)
                    for column, kind in columns.items()
                ),
            )
        tables, made = _sql(), set[str]()

        def make(name: str) -> None:
            if name in tables and name not in made:
                for source in tables[name].depends_on:
                    make(source)
                materialize(warehouse, tables[name])
                made.add(name)

        for name in INPUTS:
            make(f"analysis.{name}")
        found = {f"analysis.{name}": warehouse.read(f"analysis.{name}") for name in INPUTS}
    return found | {"protocol.literature": published_figures(protocol)}


# --------------------------------------------------------------------------------------------- protocols and cohorts


COVARIATES = ("age_years", "sex", "spondylolisthesis")
IS_WALK = pl.col("instrument").is_in(["spwt", "six_minute_walk", "treadmill"])


def _named(parts: Any, *names: str) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json") for part in parts if part.name in names]


@pytest.fixture(scope="module")
def narrow(protocol: Protocol) -> Protocol:
    """Two contrasts (one with strata), a score, a walk and a fixed-time walk at two windows, six endpoints, open."""
    matches = protocol.literature.matches if protocol.literature else ()
    known = {None, "nrs_leg", "spwt", "six_minute_walk", "age_years", "sex"}
    return protocol.with_overrides(
        OPEN
        | {
            "analysis_set": "full",
            "instruments": _named(protocol.instruments, "nrs_leg", "spwt", "six_minute_walk"),
            "windows": _named(protocol.windows, "3m", "12m"),
            "covariates": _named(protocol.covariates, "age_years", "sex", "spondylolisthesis", "nrs_leg_baseline"),
            "effect_modifiers": _named(protocol.effect_modifiers, "spondylolisthesis"),
            "contrasts": _named(protocol.contrasts, "mild_vs_esi", "fusion_vs_laminectomy"),
            "supplementary_endpoints": _named(protocol.supplementary_endpoints, "failure_or_relapse"),
            "primary.secondary_outcomes": [{"outcome": "six_minute_walk", "window": "12m"}],
            "sites.cusum_run_length": 100,
            "literature.matches": [m.model_dump(mode="json") for m in matches if {m.outcome, m.covariate} <= known],
        }
    )


def knee(protocol: Protocol) -> Changes:
    """Another cohort's words: two tiers, one score, no walking test."""
    words = {"label": "Knee", "short_label": "Knee"}
    contrast = protocol.contrasts[0].model_dump(mode="json")
    score = {"name": "knee_pain", "kind": "score", "unit": "points", "minimum": 0, "maximum": 10, "better": "lower",
             "citation": "made up"}  # fmt: skip
    return {
        "name": "knee",
        "tiers": [{"name": name} | words for name in ("exercise", "replacement")],
        "instruments": [score | words],
        "covariates": _named(protocol.covariates, "age_years"),
        "endpoints": [{"name": "revision", "label": "Revision", "treatments": ["replacement"], "citation": "made up"}],
        "supplementary_endpoints": [],
        "relapses": [],
        "contrasts": [
            contrast
            | {"name": "replacement_vs_exercise", "tier": "replacement", "reference": "exercise", "strata": []}
            | {"endpoint": "revision"}
        ],
        "primary.outcomes": [{"outcome": "knee_pain", "window": "12m"}],
        "primary.secondary_outcomes": [],
    }


def _of(table: str, *changes: pl.Expr | list[pl.Expr], **named: pl.Expr) -> Callable[[Tables], Tables]:
    return lambda raw: raw | {f"raw.{table}": raw[f"raw.{table}"].with_columns(*changes, **named)}


def _without(table: str, condition: pl.Expr) -> Callable[[Tables], Tables]:
    return lambda raw: raw | {f"raw.{table}": raw[f"raw.{table}"].filter(~condition)}


def _in_knee_words(raw: Tables) -> Tables:
    tier = {"esi": "exercise", "conservative": "exercise"}
    treatments = pl.col("tier").replace_strict(tier, default="replacement")
    scores = pl.col("instrument").replace({"nrs_leg": "knee_pain"})
    return _of("treatments", treatments)(_of("assessments", scores)(raw))


def _patients(number: int) -> Callable[[Tables], Tables]:
    def change(raw: Tables) -> Tables:
        kept = raw["raw.patients"].head(number).select("patient_id")
        return {name: frame.join(kept, on="patient_id", how="semi") for name, frame in raw.items()}

    return change


def _parts(name: str, **changes: Any) -> Callable[[Protocol], Changes]:
    """The parts of one list of the protocol (its contrasts, say), each with these values."""
    return lambda p: {name: [part.model_dump(mode="json") | changes for part in getattr(p, name)]}


def _all(*changes: Changes | Callable[[Protocol], Changes]) -> Callable[[Protocol], Changes]:
    def joined(protocol: Protocol) -> Changes:
        found: Changes = {}
        for change in changes:
            found |= change(protocol) if callable(change) else change
        return found

    return joined


def _asked(outcome: str) -> Changes:
    return {"primary.outcomes": [{"outcome": outcome, "window": "12m"}], "primary.secondary_outcomes": []}


def _if_walk(**values: Any) -> list[pl.Expr]:
    """These values in the rows of walking tests."""
    return [pl.when(IS_WALK).then(pl.lit(value)).otherwise(name).alias(name) for name, value in values.items()]


def _beyond(raw: Tables, tier: str, number: int) -> pl.Expr:
    """Treatments of this tier, those of so many patients aside."""
    given = raw["raw.treatments"].filter(pl.col("tier") == tier)["patient_id"].unique().sort()
    return (pl.col("tier") == tier) & ~pl.col("patient_id").is_in(given.head(number).implode())


PROTOCOLS: dict[str, Callable[[Protocol], Changes]] = {
    "no further horizon, one window": _all(
        {"primary.horizons_days": [], "primary.endpoint_horizon_days": 365, "windows": [TWELVE_MONTHS]}
    ),
    "horizons on both sides, no question, equal limits of sites": _all(
        {"primary.horizons_days": [1, 100_000], "primary.endpoint_horizon_days": 365},
        {"primary.outcomes": [], "primary.secondary_outcomes": []},
        {"sites.signal_level": 0.95, "sites.winsorised_share": 0},
    ),
    "no covariate, no endpoint": _all(
        _parts("contrasts", strata=[], endpoint=None),
        {"covariates": [], "effect_modifiers": [], "endpoints": [], "supplementary_endpoints": []},
    ),
    "no contrast, scores only, fine limits of sites": _all(
        lambda p: {"instruments": _named(p.instruments, "nrs_leg"), "contrasts": []},
        {"sites.signal_level": 0.9995, "sites.warning_level": 0.9},
        _asked("nrs_leg"),
    ),
    "walks only": _all(
        lambda p: {"instruments": _named(p.instruments, "spwt"), "covariates": _named(p.covariates, *COVARIATES)},
        {"analysis_set": "core", "supplementary_endpoints": [], "relapses": []},
        _asked("spwt"),
    ),
}
COHORTS: dict[str, tuple[Callable[[Tables], Tables], ...]] = {
    "nobody": (_patients(0),),
    "one patient": (_patients(1),),
    "few patients": (_patients(14),),
    "care that ends at once": (_of("patients", last_contact_day=pl.lit(0), administrative_end_day=pl.lit(0)),),
    "one site, no event": (
        _of("patients", site_id=pl.lit("S1")),
        _of("treatments", site_id=pl.lit("S1")),
        _without("events", pl.lit(True)),
    ),
    "no visit": (_without("assessments", pl.lit(True)),),
    "no baseline, one tier": (_without("assessments", pl.col("day") <= 0), _of("treatments", tier=pl.lit("mild"))),
    "an arm of three, nothing known of patients": (
        lambda raw: _without("treatments", _beyond(raw, "mild", 3))(raw),
        _of("patients", *(pl.lit(None).alias(name) for name in COVARIATES)),
    ),
    "one who differs, one value of every score, every walk to the limit": (
        _of("patients", age_years=pl.when(pl.int_range(pl.len()) == 5).then(90).otherwise(70)),
        _of("assessments", value=pl.when(IS_WALK).then("value").otherwise(5.0)),
        _of("assessments", _if_walk(duration_s=1800, stop_reason="time_limit")),
    ),
    "everything on one day, nobody walks": (
        _of("treatments", day=pl.lit(0)),
        _of("events", day=pl.lit(0)),
        _of("assessments", _if_walk(value=0.0, duration_s=0, stop_reason="claudication")),
    ),
}


@pytest.fixture(scope="module")
def raw() -> Tables:
    return cohort(130, 3)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imputed, "IMPUTATIONS", 2)
        patch.setattr(imputed, "ITERATIONS", 1)
        patch.setattr(ladder, "REPLICATES", 2)
        yield


def require_sound(tables: Mapping[str, pl.DataFrame]) -> None:
    """Every row is estimable with finite numbers, or has none and says why."""
    for name, rows in tables.items():
        for column, dtype in rows.schema.items():
            assert not dtype.is_float() or rows[column].drop_nulls().is_finite().all(), (name, column)
        if not {"status", "reason", "estimate"} <= set(rows.columns):
            continue
        assert set(rows["status"]) <= STATUSES, name
        estimable = pl.col("status") == "estimable"
        gaps = rows.filter(~estimable)
        assert gaps.filter(pl.col("reason").fill_null("") == "").is_empty(), name
        for column in (c for c in NUMBERS if c in rows.columns):
            assert gaps[column].null_count() == gaps.height, (name, column)
        assert rows.filter(estimable & pl.col("estimate").is_null()).is_empty(), name


@pytest.mark.parametrize("case", PROTOCOLS)
def test_no_protocol_is_too_odd(narrow: Protocol, raw: Tables, case: str) -> None:
    asked = narrow.with_overrides({"literature": None} | PROTOCOLS[case](narrow))
    require_sound(analyse(derived(raw, asked), asked))


@pytest.mark.parametrize("case", COHORTS)
def test_no_cohort_is_too_odd(narrow: Protocol, raw: Tables, case: str) -> None:
    changed = raw
    for change in COHORTS[case]:
        changed = change(changed)
    require_sound(analyse(derived(changed, narrow), narrow))


def test_other_tiers_and_instruments_need_no_other_code(narrow: Protocol, raw: Tables) -> None:
    asked = narrow.with_overrides({"literature": None} | knee(narrow))
    found = analyse(derived(_in_knee_words(raw), asked), asked)
    require_sound(found)
    assert set(found["contrasts"]["contrast"]) == {"replacement_vs_exercise"}
