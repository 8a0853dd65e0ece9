"""Recovery: simulated cohorts through the whole pipeline, their estimates held against the generator's truth.

Belongs here: which estimate answers which true value, and the judgement over many cohorts. Not here: reading
releases or deriving tables, which the caller hands in.

A cohort costs seconds, because the truth (which no cohort changes) is simulated once for all, and the analyses see only
the visits and endpoints that are judged. Cohorts run in parallel.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.analyses import ANALYSES
from pipelines.analyses.schemas import TABLES
from pipelines.protocol import Protocol
from pipelines.simulate import Settings, simulate
from pipelines.simulate.release import TRUTH
from pipelines.validation.study import in_parallel

Frames = Mapping[str, pl.DataFrame]
FramesOf = Callable[[Path, Protocol], Frames]

MONTE_CARLO_ERRORS = 3.0
SMALLEST_COHORT = 10
KEY = ["contrast", "quantity"]
NEEDED = ("contrasts", "trajectories")
QUESTIONS = {
    "leg pain at 12 months": ("nrs_leg", "12m", "mean difference"),
    "walking ratio at 12 months": ("spwt", "12m", "distance ratio"),
    "incidence at 730 days": (None, "730 days", "incidence difference"),
}
# Recovery asks what an estimator does on average, so no cohort may be left out because a gate withheld it; nor is
# anything estimated at horizons or for outcomes that are not judged.
OPEN_GATES = {
    "diagnostics.smd_maximum": 1e9,
    "diagnostics.variance_ratio_minimum": 1e-9,
    "diagnostics.variance_ratio_maximum": 1e9,
    "diagnostics.effective_sample_size_minimum": 1e-9,
    "diagnostics.effective_sample_size_fraction": 0,
    "diagnostics.events_per_arm_minimum": 1,
    "diagnostics.subjects_per_arm_minimum": 2,
    "diagnostics.crossover_maximum": 1,
    "diagnostics.negative_control_alpha": 1e-300,
    "primary.horizons_days": [730],
    "primary.secondary_outcomes": [],
}


def run_recovery(
    frames_of: FramesOf,
    protocol: Protocol,
    patients: int,
    seeds: Sequence[int],
    settings: Settings | str | None = None,
    progress: Callable[[int], None] = lambda done: None,
    workers: int | None = None,
) -> pl.DataFrame:
    """Simulate a cohort for each seed, analyse it, and return every estimate beside its truth.

    `frames_of` must be a function of a module, since other processes call it. Columns: seed, contrast, quantity, method
    (`adjusted`, `unadjusted`), estimate, truth, truth_mc_error; ratios are given as logarithms.
    """
    with tempfile.TemporaryDirectory() as folder:
        truth = true_values(simulate(Path(folder), SMALLEST_COHORT, 1, settings=settings) / TRUTH)
    work = partial(_cohort, frames_of, protocol.with_overrides(OPEN_GATES), patients, settings)
    pieces = []
    for done, (seed, found) in enumerate(zip(seeds, in_parallel(work, seeds, workers), strict=True), 1):
        pieces.append(found.join(truth, on=KEY).select(pl.lit(seed).alias("seed"), pl.all()))
        progress(done)
    return pl.concat(pieces)


def _cohort(
    frames_of: FramesOf, protocol: Protocol, patients: int, settings: Settings | str | None, seed: int
) -> pl.DataFrame:
    """All estimates of one simulated cohort: contrast, quantity, method, estimate."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), patients, seed, "parquet", settings, truth_patients=0)
        frames = _judged_rows(frames_of(Path(folder), protocol))
    # endpoints that no contrast names (harm, the negative control) are not judged
    named = {contrast.endpoint for contrast in protocol.contrasts}
    asked = protocol.model_copy(update={"endpoints": tuple(e for e in protocol.endpoints if e.name in named)})
    results = {name: ANALYSES[name].run({i: frames[i] for i in ANALYSES[name].inputs}, asked) for name in NEEDED}
    return pl.concat([adjusted_estimates(results), unadjusted_estimates(results, protocol)])


def _judged_rows(frames: Frames) -> Frames:
    """The tables with the visits that are asked about only (each window is analysed apart) and no gate's verdicts."""
    visits = [(outcome, window) for outcome, window, _ in QUESTIONS.values() if outcome]
    asked = pl.any_horizontal(
        (pl.col("instrument") == outcome) & (pl.col("visit_window") == window) for outcome, window in visits
    )
    return {
        **frames,
        "analysis.scores": frames["analysis.scores"].filter(asked),
        "analysis.walking_tests": frames["analysis.walking_tests"].filter(asked),
        "analysis.responders": frames["analysis.responders"].clear(),
        "results.diagnostics": TABLES["diagnostics"].empty,
    }


def judge_recovery(found: pl.DataFrame) -> pl.DataFrame:
    """Return the mean error of each contrast, quantity and method over the cohorts, and whether it is recovered.

    Columns: quantity, contrast, method, cohorts, truth, mean_error, mc_error (with the truth's own), errors_off
    (mean error in Monte Carlo errors), is_within (at most 3).
    """
    error = pl.col("estimate") - pl.col("truth")
    return (
        found.with_columns(error=error)
        .group_by("quantity", "contrast", "method", maintain_order=True)
        .agg(
            cohorts=pl.col("error").is_not_null().sum(),
            truth=pl.col("truth").first(),
            mean_error=pl.col("error").mean(),
            mc_error=(
                pl.col("error").var() / pl.col("error").is_not_null().sum() + pl.col("truth_mc_error").first() ** 2
            ).sqrt(),
        )
        .with_columns(errors_off=pl.col("mean_error") / pl.col("mc_error"))
        .with_columns(is_within=pl.col("errors_off").abs() <= MONTE_CARLO_ERRORS)
        .sort("quantity", "contrast", "method")
    )


def true_values(path: Path) -> pl.DataFrame:
    """The true values that recovery asks for, of the overlap population: contrast, quantity, truth, truth_mc_error."""
    rows = json.loads(path.read_text(encoding="utf-8"))["truth"]
    kept = []
    for row in rows:
        window = row.get("window") or f"{row['horizon_days']} days"
        for quantity, (outcome, asked, measure) in QUESTIONS.items():
            is_asked = (window, row["measure"]) == (asked, measure) and outcome in (None, row.get("outcome"))
            if is_asked and row["population"] == "overlap":
                kept.append((row["contrast"], quantity, row["value"], row["monte_carlo_se"]))
    frame = pl.DataFrame(kept, schema=[*KEY, "truth", "truth_mc_error"], orient="row")
    return frame.with_columns(truth=_on_scale("truth"))


def adjusted_estimates(results: Frames) -> pl.DataFrame:
    """The overlap-weighted estimate of each contrast and quantity: contrast, quantity, method, estimate."""
    pieces = []
    for quantity, (outcome, window, measure) in QUESTIONS.items():
        rows = _contrasts(results, outcome, window, measure).filter(
            pl.col("population") == "overlap", pl.col("method").str.contains("propensity-weighted")
        )
        pieces.append(_one_each(rows, quantity, "adjusted"))
    return pl.concat(pieces).with_columns(estimate=_on_scale("estimate"))


def unadjusted_estimates(results: Frames, protocol: Protocol) -> pl.DataFrame:
    """What the tiers' own figures differ by, nothing adjusted: contrast, quantity, method, estimate."""
    incidence = _contrasts(results, None, "730 days", "incidence difference").filter(
        pl.col("method").str.contains("unadjusted")
    )
    pieces = [_one_each(incidence, "incidence at 730 days", "unadjusted")]
    methods = {"leg pain at 12 months": "observed mean", "walking ratio at 12 months": "geometric mean distance"}
    for quantity, method in methods.items():
        outcome, window, _ = QUESTIONS[quantity]
        rows = results["trajectories"].filter(outcome=outcome, window=window, method=method)
        value = dict(zip(rows["tier"], rows["estimate"], strict=True))
        differences = [
            (c.name, quantity, "unadjusted", _difference(value, c.tier, c.reference, quantity))
            for c in protocol.contrasts
        ]
        pieces.append(pl.DataFrame(differences, schema=pieces[0].schema, orient="row"))
    return pl.concat(pieces).with_columns(estimate=_on_scale("estimate"))


def _difference(value: Mapping[str, float], tier: str, reference: str, quantity: str) -> float | None:
    if value.get(tier) is None or value.get(reference) is None:
        return None
    return value[tier] / value[reference] if "ratio" in quantity else value[tier] - value[reference]


def _contrasts(results: Frames, outcome: str | None, window: str, measure: str) -> pl.DataFrame:
    rows = results["contrasts"].filter(pl.col("window") == window, pl.col("measure") == measure)
    if outcome is not None:
        return rows.filter(pl.col("outcome") == outcome)
    return rows.filter(~pl.col("outcome").is_in(["negative_control", "opioid_start", "harm_90_days"]))


def _one_each(rows: pl.DataFrame, quantity: str, method: str) -> pl.DataFrame:
    """One row a contrast: both variances carry the same estimate."""
    return (
        rows.group_by("contrast", maintain_order=True)
        .agg(pl.col("estimate").first())
        .select("contrast", pl.lit(quantity).alias("quantity"), pl.lit(method).alias("method"), "estimate")
    )


def _on_scale(column: str) -> pl.Expr:
    """Ratios as logarithms, differences as they are."""
    is_ratio = pl.col("quantity").str.contains("ratio")
    return pl.when(is_ratio).then(pl.col(column).log()).otherwise(pl.col(column))
