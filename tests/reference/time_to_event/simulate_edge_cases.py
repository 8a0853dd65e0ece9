"""Writes edge_cases.csv and edge_stays.csv: small invented groups, each in a state that breaks careless estimators.

Run once by hand; the files are committed, so that R and Python read the very same decimals. Column `case` says which.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
rng = np.random.default_rng(20261128)
n = 45
cause = rng.choice([0, 1, 2], n, p=[0.35, 0.45, 0.2])
base = pl.DataFrame(
    {
        "arm": ["a", "b", "c"] * (n // 3),
        "x": rng.normal(0, 1, n).round(2),
        "time": np.ceil(rng.exponential(8, n)).astype(int),
        "cause": cause,
        "weight": 1.0,
    }
)
place = pl.int_range(n)
cases = {
    "base": base,
    "ties": base.with_columns(time=4 * (1 + place // 3 % 3)),
    "time zero": base.with_columns(time=pl.when(place < 6).then(0).otherwise("time")).with_columns(
        cause=pl.when(place < 3).then(1).when(place < 5).then(2).when(place == 5).then(0).otherwise("cause")
    ),
    "quiet group": base.with_columns(cause=pl.when(pl.col("arm") == "c").then(0).otherwise("cause")),
    "one subject": base.filter(place == int(np.flatnonzero(cause == 1)[0])),
    "all censored": base.with_columns(cause=pl.lit(0)),
    "extreme weights": base.with_columns(
        weight=pl.when(place % 7 == 0).then(1e4).when(place % 7 == 1).then(1e-4).otherwise(1.0)
    ),
    "duplicated": pl.concat([base, base]),
    "shuffled": base.sample(fraction=1.0, shuffle=True, seed=5),
}
rows = pl.concat(
    [frame.cast({"time": pl.Int64, "cause": pl.Int64}).with_columns(case=pl.lit(name)) for name, frame in cases.items()]
)
rows.write_csv(HERE / "edge_cases.csv")

ENDS = {0: "censor", 1: "surgery", 2: "dead"}
stays = []
for name, frame in cases.items():
    if name == "extreme weights":  # the estimator of stays takes no weights
        continue
    for k, row in enumerate(frame.iter_rows(named=True)):
        stop = row["time"] + 1  # a stay has a length: what happens on day 0 ends a stay of one day
        stays.append((name, k, 0, stop, "care", ENDS[row["cause"]], row["arm"]))
        if row["cause"] == 1:
            stays.append((name, k, stop, stop + 5, "surgery", "dead" if row["x"] > 0.5 else "censor", row["arm"]))
columns = ["case", "id", "start", "stop", "from", "to", "arm"]
pl.DataFrame(stays, schema=columns, orient="row").write_csv(HERE / "edge_stays.csv")
