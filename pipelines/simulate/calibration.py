"""Does the simulated cohort look like the registries? Targets beside what a simulated cohort shows.

Targets are the calibration figures of the literature synthesis (`source` says where each comes from, and `judgement`
where none was seen). They are simulator settings, not findings. Plots of this frame belong in the reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulate.assessment_rows import SCORES, score_values
from pipelines.simulate.block import Block, block_count, draw_block, generator
from pipelines.simulate.event_rows import HARMS, event_rows
from pipelines.simulate.outcomes import TIME_LIMIT_S, as_nrs, as_odi
from pipelines.simulate.population import Array, BoolArray
from pipelines.simulate.settings import TIERS, Settings, settings_from

_12_MONTHS = 3  # place of the visit
_YEAR_DAYS = 365
_MANY_SITES = 300  # so many that the luck of single sites averages out
_OWN_DRAWS = 9  # spawn key of the draws made here


@dataclass(frozen=True)
class Target:
    """One line of the calibration table: five tiers' figures (or one of all patients) and their source."""

    measure: str
    statistic: str
    values: tuple[float | None, ...]
    source: str


TARGETS = (
    Target("age_years", "mean", (70.5, 68, 76, 69, 64), "boot camp, LESS, Medicare PILD, NORDSTEN, QOD and SCOAP"),
    Target("age_years", "sd", (8, 10, 7, 8, 10), "Japan 3-year cohort, LESS, judgement, NORDSTEN, SCOAP"),
    Target("female", "percent", (57, 55, 57, 46, 63), "boot camp, LESS, Medicare PILD, NORDSTEN, SCOAP"),
    Target("bmi", "mean", (28, 29.5, 30, 28.5, 31), "NORDSTEN, judgement, judgement, QOD, QOD"),
    Target("bmi", "sd", (5, 6, 6, 4.5, 6), "NORDSTEN; judgement"),
    Target("spondylolisthesis", "percent", (25, 28, 20, 22, 75), "judgement; fusion SCOAP"),
    Target("nrs_leg_baseline", "mean", (5.8, 7.2, 7.0, 6.5, 6.6), "DaneSpine, LESS, judgement, NORDSTEN-DS"),
    Target("nrs_leg_baseline", "sd", (2.1, 1.9, 1.9, 2.1, 2.2), "LESS, NORDSTEN-DS; judgement"),
    Target("nrs_back_baseline", "mean", (5.3, 6.0, 6.5, 6.0, 7.0), "DaneSpine; judgement"),
    Target("nrs_back_baseline", "sd", (None, None, None, 2.3, 2.1), "judgement"),
    Target("odi_baseline", "mean", (36, 42, 52, 42, 46), "ODI re-measurement study, NORspine, ENCORE"),
    Target("odi_baseline", "sd", (15, 15, 15, 16, 15), "ODI re-measurement study, NORspine"),
    Target("zcq_symptom_baseline", "mean", (2.9, 3.2, 3.5, 3.3, 3.3), "judgement"),
    Target("zcq_function_baseline", "mean", (2.3, 2.5, 2.7, 2.6, 2.6), "judgement"),
    Target("eq5d_3l_baseline", "mean", (0.55, 0.48, 0.42, 0.40, 0.38), "DaneSpine, Norwegian cohort of 70 and older"),
    Target("spwt_baseline", "median", (400, 330, 250, 300, 330), "boot camp, SPWT validity study"),
    Target("spwt_baseline", "sd of log", (1.0,) * 5, "SPWT validity study"),
    Target("odi_change_12m", "mean", (-5, -6, -17, -17, -20), "DaneSpine, MOTION, QOD"),
    Target("odi_change_12m", "sd", (18,) * 5, "QOD"),
    Target("nrs_leg_change_12m", "mean", (-1.2, -1.8, -3.0, -3.2, -3.4), "DaneSpine, NORspine; judgement"),
    Target("nrs_leg_change_6w", "mean", (None, -2.8, None, None, None), "LESS"),
    Target("spwt_12m", "ratio of geometric means", (1.5, 1.15, 1.9, 1.9, 1.7), "Rainville; MOTION (optimistic)"),
    Target("escalation_12m", "percent", (12, 18, 6, 4, 4), "Minetama, LESS, Medicare PILD, SPORT, Deyo"),
    Target("escalation_24m", "percent", (20, 27, 10, 7, 7), "Minetama, LESS, Medicare PILD, SPORT, Deyo"),
    Target("visit_12m", "percent returned", (70, 70, 78, 76, 80), "NORspine, DaneSpine, QOD"),
    Target("harm_90_days", "percent", (None, None, 1.9, 5.8, None), "Medicare PILD"),
    Target("odi_within_person", "sd", (8.2,), "ODI re-measurement study"),
    Target("death_a_year_at_70", "percent", (1.75,), "recalled: 1.5 to 2 % a year"),
    Target("spwt_at_limit_baseline", "percent", (6,), "Rainville"),
    Target("odi_12m", "intraclass correlation", (0.02,), "judgement: 0.01 to 0.03"),
    Target("odi_with_nrs_leg", "correlation", (0.45,), "judgement"),
    Target("odi_with_spwt", "correlation", (-0.35,), "judgement; self-reported walking 0.83 with SPWT"),
)


def calibration_frame(settings: Settings | str | None = None, patients: int = 50_000, seed: int = 1) -> pl.DataFrame:
    """Targets beside the figures of a simulated cohort.

    Figures are those of all simulated patients followed completely (missing visits are counted under `visit_12m` only),
    so that they show the generator and not its dropout.

    Returns:
        measure, statistic, tier (null: all patients), target, simulated, difference, source.
    """
    chosen = settings_from(settings)
    sites = chosen.sites.model_copy(update={"count": _MANY_SITES})
    chosen = chosen.model_copy(update={"sites": sites})
    blocks = (draw_block(number, patients, seed, chosen) for number in range(block_count(patients)))
    seen = pl.concat(
        _patient_frame(block, chosen, generator(seed, _OWN_DRAWS, place)) for place, block in enumerate(blocks)
    )
    by_tier = {tier: seen.filter(pl.col("tier") == tier) for tier in TIERS}
    rows = [row for target in TARGETS for row in _compared(target, seen, by_tier)]
    frame = pl.DataFrame(rows, schema=["measure", "statistic", "tier", "target", "simulated", "source"], orient="row")
    return frame.with_columns(difference=pl.col("simulated") - pl.col("target")).select(
        "measure", "statistic", "tier", "target", "simulated", "difference", "source"
    )


_Row = tuple[str, str, str | None, float, float, str]


def _compared(target: Target, seen: pl.DataFrame, by_tier: dict[str, pl.DataFrame]) -> Iterator[_Row]:
    groups: list[tuple[str | None, pl.DataFrame]] = [(None, seen)] if len(target.values) == 1 else [*by_tier.items()]
    for (tier, rows), wanted in zip(groups, target.values, strict=True):
        if wanted is not None:
            found = rows.select(_statistic(target.measure, target.statistic)).item()
            yield target.measure, target.statistic, tier, float(wanted), float(found), target.source


def _statistic(measure: str, statistic: str) -> pl.Expr:
    value = pl.col(measure)
    match statistic:
        case "mean":
            return value.mean()
        case "sd":
            return value.std()
        case "sd of log":
            return value.log().std()
        case "median":
            return value.median()
        case "percent" | "percent returned":
            return 100 * value.mean()
        case "ratio of geometric means":
            return value.log().mean().exp()
        case "intraclass correlation":
            return pl.col("site_shift").var() / value.var()
        case _:
            first, second = measure.split("_with_")
            return pl.corr(f"{first}_baseline", f"{second}_baseline", method="spearman")


def _patient_frame(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    """What the targets ask of each patient; null where it does not apply (dead, not due)."""
    p, v, f = block.patients, block.levels, block.follow_up
    baseline = dict(zip(SCORES, score_values(block, rng)[:, 0, :].T, strict=True))
    lives = (f.visit_day < (f.start_day + block.course.death_day)[:, None])[:, _12_MONTHS]
    due = lives & (f.visit_day[:, _12_MONTHS] <= f.last_contact_day)
    walk = np.minimum(np.exp(p.log_time), TIME_LIMIT_S) * np.exp(p.log_speed)
    multiplier = np.exp((v.log_time + v.log_speed)[:, _12_MONTHS] - p.log_time - p.log_speed)
    at_70 = (p.age_years >= 68) & (p.age_years <= 72)
    columns: dict[str, Array | BoolArray | pl.Series] = {
        "tier": pl.Series(TIERS).gather(block.tier),
        "age_years": p.age_years,
        "female": p.female,
        "bmi": p.bmi,
        "spondylolisthesis": p.spondylolisthesis,
        **{f"{name}_baseline": values for name, values in baseline.items()},
        "spwt_baseline": walk,
        "spwt_at_limit_baseline": np.exp(p.log_time) >= TIME_LIMIT_S,
        "odi_within_person": p.odi - p.true_odi,
        "odi_change_12m": _where(lives, as_odi(v.odi[:, _12_MONTHS]) - p.odi),
        "odi_12m": _where(lives, as_odi(v.odi[:, _12_MONTHS])),
        "nrs_leg_change_12m": _where(lives, as_nrs(v.nrs_leg[:, _12_MONTHS]) - p.nrs_leg),
        "nrs_leg_change_6w": as_nrs(v.nrs_leg[:, 0]) - p.nrs_leg,
        "spwt_12m": _where(lives, multiplier),
        "escalation_12m": block.course.step_day[:, 0] <= _YEAR_DAYS,
        "escalation_24m": block.course.step_day[:, 0] <= 2 * _YEAR_DAYS,
        "visit_12m": _where(due, f.is_seen[:, _12_MONTHS].astype(np.float64)),
        "harm_90_days": _has_harm(block, settings, rng),
        "death_a_year_at_70": _where(at_70, (block.course.death_day <= _YEAR_DAYS).astype(np.float64)),
        "site_shift": 15.0 * block.sites.outcome[block.treating_site],
    }
    return pl.DataFrame(columns)


def _where(applies: BoolArray, values: Array) -> pl.Series:
    return pl.Series(np.where(applies, values, np.nan)).fill_nan(None)


def _has_harm(block: Block, settings: Settings, rng: np.random.Generator) -> pl.Series:
    """Whether a harm within 90 days of the index tier is on record."""
    events = event_rows(block, settings, rng).filter(pl.col("event").is_in(HARMS))
    start = pl.DataFrame({"patient_id": block.patient_id, "start": block.follow_up.start_day})
    early = events.join(start, on="patient_id").filter(pl.col("day") - pl.col("start") <= 90)
    return block.patient_id.is_in(early["patient_id"].implode())
