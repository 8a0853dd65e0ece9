"""Writes subjects.csv, stays.csv and visits.csv: invented rows on which R and the estimators are compared.

Run once by hand; the files are committed, so that R and Python read the very same decimals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
rng = np.random.default_rng(20260202)
n = 260
arm = rng.choice(["a", "b", "c", "d"], n, p=[0.35, 0.3, 0.2, 0.15])
age = rng.normal(70, 8, n).round(1)
severe = rng.integers(0, 2, n)
pace = np.exp(0.03 * (age - 70) + 0.5 * severe - 0.4 * (arm == "c"))
wanted, other, lost = rng.exponential(30 / pace), rng.exponential(45, n), rng.uniform(5, 60, n)
first = np.minimum(np.minimum(wanted, other), lost)
cause = np.where(first == lost, 0, np.where(first == wanted, 1, 2))
time = np.ceil(first).astype(int)
time[:3], cause[:3] = 0, [1, 2, 0]  # events and a censoring on day 0
entry = np.minimum(rng.integers(-1, 8, n), time - 1)
pl.DataFrame(
    {
        "id": np.arange(1, n + 1),
        "arm": arm,
        "age": age,
        "severe": severe,
        "site": rng.integers(1, 5, n),
        "patient": rng.integers(1, 180, n),
        "weight": (0.5 + (np.arange(1, n + 1) % 5) / 2).round(1),
        "entry": entry,
        "time": time,
        "cause": cause,
    }
).write_csv(HERE / "subjects.csv")

rows = []
for subject in range(1, 121):
    clock, state, end = 0, "care", int(rng.integers(20, 80))
    while True:
        leave = clock + int(np.ceil(rng.exponential({"care": 25, "injection": 18, "surgery": 60}[state])))
        choices = {"care": ["injection", "surgery", "dead"], "injection": ["care", "surgery"], "surgery": ["dead"]}[
            state
        ]
        to = str(rng.choice(choices)) if leave <= end else "censor"
        rows.append((subject, clock, min(leave, end), state, to, "x" if subject % 3 else "y"))
        clock, state = leave, to
        if to in ("censor", "dead") or clock >= end:
            break
pl.DataFrame(rows, schema=["id", "start", "stop", "from", "to", "arm"], orient="row").write_csv(HERE / "stays.csv")

visit = np.array([0, 6, 12, 26, 52, 104])
relapse = rng.weibull(1.3, 150) * 40
seen = np.searchsorted(visit, relapse)
skips = (rng.random(150) < 0.3) & (seen > 1)
lower = np.where(skips, visit[np.maximum(seen - 2, 0)], visit[seen - 1])
upper = np.where(seen < len(visit), visit[np.minimum(seen, len(visit) - 1)], np.inf)
pl.DataFrame({"lower": lower, "upper": upper, "age": rng.normal(70, 8, 150).round(1)}).with_columns(
    pl.when(pl.col("upper").is_finite()).then("upper")
).write_csv(HERE / "visits.csv")
