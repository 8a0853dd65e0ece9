"""Does the simulated cohort look like the registries? Figures of `calibration_targets.py` beside a simulated cohort's.

Plots of this frame belong in the reports.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.simulate.assessment_rows import SCORES, score_values
from pipelines.simulate.block import Block, block_count, draw_block, generator
from pipelines.simulate.calibration_targets import TARGETS, Target
from pipelines.simulate.event_rows import HARMS, event_rows
from pipelines.simulate.outcomes import TIME_LIMIT_S, as_nrs, as_odi
from pipelines.simulate.population import Array, BoolArray
from pipelines.simulate.settings import TIERS, Settings, settings_from

_12_MONTHS, _24_MONTHS = 3, 4  # places of the visits
_YEAR_DAYS = 365
_MANY_SITES = 300  # so many that the luck of single sites averages out
_OWN_DRAWS = 9  # spawn key of the draws made here


def calibration_frame(settings: Settings | str | None = None, patients: int = 50_000, seed: int = 1) -> pl.DataFrame:
    """Targets beside the figures of a simulated cohort.

    Figures are those of all simulated patients followed completely (missing visits are counted under `visit_12m` only),
    so that they show the generator and not its dropout.

    Returns:
        measure, statistic, tier (null: all patients), role (`target`: settings were chosen to meet it, `check`: not
        used), target, simulated, difference, source.
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
    frame = pl.DataFrame(
        rows, schema=["measure", "statistic", "tier", "role", "target", "simulated", "source"], orient="row"
    )
    return frame.with_columns(difference=pl.col("simulated") - pl.col("target")).select(
        "measure", "statistic", "tier", "role", "target", "simulated", "difference", "source"
    )


_Row = tuple[str, str, str | None, str, float, float, str]


def _compared(target: Target, seen: pl.DataFrame, by_tier: dict[str, pl.DataFrame]) -> Iterator[_Row]:
    groups: list[tuple[str | None, pl.DataFrame]] = [(None, seen)] if len(target.values) == 1 else [*by_tier.items()]
    for (tier, rows), wanted in zip(groups, target.values, strict=True):
        if wanted is not None:
            found = rows.select(_statistic(target.measure, target.statistic)).item()
            yield target.measure, target.statistic, tier, target.role, float(wanted), float(found), target.source


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
        case "ratio, with to without earlier surgery":
            had = pl.col("prior_lumbar_surgery")
            return value.filter(had).mean() / value.filter(~had).mean()
        case "ratio, MILD to laminectomy":
            tier = pl.col("tier")
            return value.filter(tier == "mild").mean() / value.filter(tier == "laminectomy").mean()
        case _:
            first, second = measure.split("_with_")
            return pl.corr(f"{first}_baseline", f"{second}_baseline", method="spearman")


def _patient_frame(block: Block, settings: Settings, rng: np.random.Generator) -> pl.DataFrame:
    """What the targets ask of each patient; null where it does not apply (dead, not due)."""
    p = block.patients
    baseline = dict(zip(SCORES, score_values(block, rng)[:, 0, :].T, strict=True))
    at_70 = (p.age_years >= 68) & (p.age_years <= 72)
    first_step = block.course.step_day[:, 0]
    columns: dict[str, Array | BoolArray | pl.Series] = {
        "tier": pl.Series(TIERS).gather(block.tier),
        "age_years": p.age_years,
        "female": p.female,
        "bmi": p.bmi,
        "comorbidity_count": p.comorbidity_count,
        "prior_lumbar_surgery": p.prior_lumbar_surgery,
        "spondylolisthesis": p.spondylolisthesis,
        **{f"{name}_baseline": values for name, values in baseline.items()},
        "spwt_baseline": np.minimum(np.exp(p.log_time), TIME_LIMIT_S) * np.exp(p.log_speed),
        "spwt_at_limit_baseline": np.exp(p.log_time) >= TIME_LIMIT_S,
        "odi_within_person": p.odi - p.true_odi,
        "nrs_leg_change_6w": as_nrs(block.levels.nrs_leg[:, 0]) - p.nrs_leg,
        "escalation_12m": first_step <= _YEAR_DAYS,
        "escalation_24m": first_step <= 2 * _YEAR_DAYS,
        "harm_90_days": _has_harm(block, settings, rng),
        "death_a_year_at_70": _where(at_70, (block.course.death_day <= _YEAR_DAYS).astype(np.float64)),
        "site_shift": 15.0 * block.sites.outcome[block.treating_site],
        **_visit_columns(block, _12_MONTHS, "12m"),
        **_visit_columns(block, _24_MONTHS, "24m"),
    }
    return pl.DataFrame(columns)


def _visit_columns(block: Block, visit: int, window: str) -> dict[str, pl.Series]:
    p, v, f = block.patients, block.levels, block.follow_up
    lives = f.visit_day[:, visit] < f.start_day + block.course.death_day
    due = lives & (f.visit_day[:, visit] <= f.last_contact_day)
    leg, back, odi = as_nrs(v.nrs_leg[:, visit]), as_nrs(v.nrs_back[:, visit]), as_odi(v.odi[:, visit])
    gained = np.exp((v.log_time + v.log_speed)[:, visit] - p.log_time - p.log_speed)
    of_the_living = {
        "odi": odi,
        "nrs_leg": leg,
        "nrs_back": back,
        "odi_change": odi - p.odi,
        "nrs_leg_change": leg - p.nrs_leg,
        "spwt": gained,
        "odi_improved_10": 1.0 * (p.odi - odi >= 10),
        "odi_improved_12_8": 1.0 * (p.odi - odi >= 12.8),
        "odi_improved_15": 1.0 * (p.odi - odi >= 15),
        "odi_improved_30_percent": 1.0 * ((p.odi - odi >= 0.3 * p.odi) & (p.odi > 0)),
        "odi_at_most_22": 1.0 * (odi <= 22),
        "nrs_leg_improved_2": 1.0 * (p.nrs_leg - leg >= 2),
        "spwt_improved_30_percent": 1.0 * (gained >= 1.3),
        "spwt_at_limit": 1.0 * (np.exp(v.log_time[:, visit]) >= TIME_LIMIT_S),
    }
    columns = {f"{name}_{window}": _where(lives, values) for name, values in of_the_living.items()}
    return columns | {f"visit_{window}": _where(due, f.is_seen[:, visit].astype(np.float64))}


def _where(applies: BoolArray, values: Array) -> pl.Series:
    return pl.Series(np.where(applies, values, np.nan)).fill_nan(None)


def _has_harm(block: Block, settings: Settings, rng: np.random.Generator) -> pl.Series:
    """Whether a harm within 90 days of the index tier is on record."""
    events = event_rows(block, settings, rng).filter(pl.col("event").is_in(HARMS))
    start = pl.DataFrame({"patient_id": block.patient_id, "start": block.follow_up.start_day})
    early = events.join(start, on="patient_id").filter(pl.col("day") - pl.col("start") <= 90)
    return block.patient_id.is_in(early["patient_id"].implode())
