"""Simulation studies: many replications of a scenario, and what they say of an estimator.

Belongs here: running replications in parallel and judging bias, coverage and rejection. Does not belong here: how data
are generated or which estimators are tried (see `failure_study` and `outcome_study`).
Source: Morris, White & Crowther, Statistics in Medicine 38 (2019) 2074-2102.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Literal, TypeVar

import numpy as np
import polars as pl

BATCH = 50
COVERAGE_TOLERANCE = 0.015
MONTE_CARLO_ERRORS = 3.0
NOT_ESTIMABLE_MAXIMUM = 0.01
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")

Expectation = Literal["valid", "biased", "conservative", "shown"]


@dataclass(frozen=True)
class Finding:
    """One estimate of one replication; NaN where the fit was not estimable."""

    quantity: str
    method: str
    estimate: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Question:
    """The true value of a quantity in a scenario, its value without effect, and what is expected of a method.

    `valid`: unbiased with right limits; `biased`: must be seen biased; `conservative`: unbiased, limits too wide;
    `shown`: reported without a verdict. With `power` no effect must be rejected in at least this share of replications.
    """

    quantity: str
    method: str
    truth: float
    no_effect: float
    expectation: Expectation
    power: float | None = None


Item = TypeVar("Item")
Found = TypeVar("Found")
Row = tuple[int, str, str, float, float, float]
Replicate = Callable[[np.random.Generator], Sequence[Finding]]


def run_replications(
    replicate: Replicate,
    replications: int,
    seed: Sequence[int],
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> pl.DataFrame:
    """Return all findings, a row each: replication, quantity, method, estimate, ci_low, ci_high.

    Every replication has its own generator, spawned from `seed`, so the result does not depend on `workers`.
    """
    batches = [range(first, min(first + BATCH, replications)) for first in range(0, replications, BATCH)]
    work = partial(_run_batch, replicate, tuple(seed))
    rows: list[Row] = []
    for batch, found in zip(batches, in_parallel(work, batches, workers), strict=True):
        rows.extend(found)
        progress(batch.stop)
    return pl.DataFrame(
        rows,
        schema={
            "replication": pl.Int64,
            "quantity": pl.String,
            "method": pl.String,
            "estimate": pl.Float64,
            "ci_low": pl.Float64,
            "ci_high": pl.Float64,
        },
        orient="row",
    )


def judge(findings: pl.DataFrame, questions: Sequence[Question]) -> pl.DataFrame:
    """Return one row per question: bias, coverage and rejection with Monte Carlo errors, and a verdict.

    Columns: quantity, method, expectation, power (asked for), replications, not_estimable, truth, mean, bias,
    bias_mc_error, spread, coverage, rejection, verdict (`passed`, `failed`, `shown`), reason.
    """
    rows = [_judged(findings, question) for question in questions]
    return pl.DataFrame(rows, schema_overrides={"power": pl.Float64})


def _judged(findings: pl.DataFrame, question: Question) -> Mapping[str, object]:
    rows = findings.filter(pl.col("quantity") == question.quantity, pl.col("method") == question.method)
    estimable = rows.filter(pl.col("estimate").is_finite() & pl.col("ci_low").is_finite())
    estimate = estimable["estimate"].to_numpy()
    low, high = estimable["ci_low"].to_numpy(), estimable["ci_high"].to_numpy()
    count = len(estimate)
    known = count > 1
    bias = float(estimate.mean() - question.truth) if known else np.nan
    spread = float(estimate.std(ddof=1)) if known else np.nan
    coverage = float(((low <= question.truth) & (question.truth <= high)).mean()) if known else np.nan
    rejection = float(((question.no_effect < low) | (high < question.no_effect)).mean()) if known else np.nan
    summary = {
        "quantity": question.quantity,
        "method": question.method,
        "expectation": question.expectation,
        "power": question.power,
        "replications": rows.height,
        "not_estimable": 1.0 - count / rows.height if rows.height else np.nan,
        "truth": question.truth,
        "mean": float(estimate.mean()) if known else np.nan,
        "bias": bias,
        "bias_mc_error": spread / np.sqrt(count) if known else np.nan,
        "spread": spread,
        "coverage": coverage,
        "rejection": rejection,
    }
    reasons = list(_failures(summary, question))
    verdict = "shown" if question.expectation == "shown" else "failed" if reasons else "passed"
    return {**summary, "verdict": verdict, "reason": "; ".join(reasons)}


def _failures(summary: Mapping[str, object], question: Question) -> Iterator[str]:
    """Yield what keeps a method from being what is expected of it."""
    if not summary["replications"]:
        yield "no replication gave this quantity"
        return
    not_estimable, coverage, rejection = (float(str(summary[k])) for k in ("not_estimable", "coverage", "rejection"))
    bias, error = float(str(summary["bias"])), float(str(summary["bias_mc_error"]))
    # The slack keeps a bar that a count lands on exactly from failing by rounding.
    slack = 1e-9
    if not not_estimable <= NOT_ESTIMABLE_MAXIMUM + slack:
        yield f"{not_estimable:.1%} not estimable"
    within = abs(bias) <= MONTE_CARLO_ERRORS * error + slack
    share_error = np.sqrt(0.25 / float(str(summary["replications"])))
    if question.power is not None and not rejection >= question.power - MONTE_CARLO_ERRORS * share_error:
        yield f"power {rejection:.1%}, less than {question.power:.0%}"
    if question.expectation == "biased":
        if within:
            yield "no bias seen where one was put in"
        return
    if not within:
        yield f"bias of {abs(bias) / error:.1f} Monte Carlo errors"
    if question.expectation == "conservative":
        if not coverage > 0.95 + COVERAGE_TOLERANCE:  # the other way round: too wide must be seen
            yield "limits are not too wide"
        return
    # With fewer than 2,000 replications the Monte Carlo error itself is wider than the bar.
    tolerance = max(COVERAGE_TOLERANCE, MONTE_CARLO_ERRORS * np.sqrt(0.95 * 0.05 / float(str(summary["replications"]))))
    if not abs(coverage - 0.95) <= tolerance + slack:
        yield f"coverage {coverage:.1%}"
    is_null = question.truth == question.no_effect
    if is_null and not abs(rejection - 0.05) <= tolerance + slack:
        yield f"type I error {rejection:.1%}"


def _run_batch(replicate: Replicate, seed: tuple[int, ...], batch: range) -> list[Row]:
    return [
        (number, found.quantity, found.method, float(found.estimate), float(found.ci_low), float(found.ci_high))
        for number in batch
        for found in replicate(np.random.default_rng([*seed, number]))
    ]


def in_parallel(work: Callable[[Item], Found], items: Sequence[Item], workers: int | None) -> Iterator[Found]:
    """Map in this process for one worker, else in a pool of fresh processes (a fork would copy polars' locks)."""
    count = workers or os.cpu_count() or 1
    if count == 1:
        yield from map(work, items)
        return
    with _one_thread_each(), ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, items)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let new processes start with one thread each, so that workers do not fight for the cores."""
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
