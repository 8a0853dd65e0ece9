"""Writes visits.csv: 90 invented subjects in three arms, seen at up to four visits, on which R and ours are compared.

Run once by hand; the file is committed, so that R and Python read the very same decimals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

rng = np.random.default_rng(20260102)
n, months = 90, ["m03", "m06", "m12", "m24"]
arm = rng.integers(0, 3, n)
base = np.clip(rng.normal(42, 14, n), 5, 90).round(1)
sex = rng.choice(["female", "male"], n)
correlation = np.array([[1, 0.7, 0.5, 0.4], [0.7, 1, 0.7, 0.5], [0.5, 0.7, 1, 0.7], [0.4, 0.5, 0.7, 1]])
scale = np.array([8, 10, 11, 13])
noise = rng.normal(size=(n, 4)) @ np.linalg.cholesky(correlation * np.outer(scale, scale)).T
gain = np.array([[0, 0, 0, 0], [-4, -5, -5, -4], [-8, -11, -12, -12]])[arm]
outcome = 12 + 0.5 * base[:, None] + gain + noise
seen = rng.random((n, 4)) > np.array([0.05, 0.15, 0.25, 0.35])
seen[:, 0] |= ~seen.any(axis=1)
subject, visit = np.nonzero(seen)
pl.DataFrame(
    {
        "subject": [f"s{i:02d}" for i in subject],
        "visit": np.array(months)[visit],
        "arm": np.array(["a", "b", "c"])[arm[subject]],
        "sex": sex[subject],
        "base": base[subject],
        "site": (subject % 15) + 1,
        "weight": (0.5 + (subject % 5) / 2).round(1),
        "late_days": rng.integers(-20, 30, len(subject)),
        "odi": outcome[subject, visit].round(1),
    }
).write_csv(Path(__file__).with_name("visits.csv"))
