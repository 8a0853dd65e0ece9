"""Writes cohort.csv: 300 invented subjects in three arms, on which R and the estimators are compared.

Run once by hand; the file is committed, so that R and Python read the very same decimals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

rng = np.random.default_rng(20260101)
n = 300
age = rng.normal(70, 8, n).round(1)
sex = rng.choice(["female", "male"], n, p=[0.55, 0.45])
site = rng.integers(1, 21, n)
pain0 = np.clip(rng.normal(6, 2, n), 0, 10).round(1)
lean = np.column_stack([np.zeros(n), 0.04 * (age - 70) + 0.2 * (pain0 - 6), -0.05 * (age - 70) + 0.5 * (sex == "male")])
chance = np.exp(lean) / np.exp(lean).sum(1, keepdims=True)
arm = np.array(["a", "b", "c"])[(rng.random((n, 1)) > chance.cumsum(1)).sum(1)]
gain = np.select([arm == "b", arm == "c"], [-1.0, -1.6], 0.0)
pain1 = np.clip(1.5 + 0.6 * pain0 + gain + 0.01 * (age - 70) + rng.normal(0, 1.4, n), 0, 10).round(1)
responder = (pain1 <= 0.7 * pain0).astype(int)
frailty = rng.normal(0, 1, n)
time0 = np.exp(5.8 + 0.6 * frailty + rng.normal(0, 0.7, n))
speed0 = np.exp(-0.3 + 0.1 * frailty + rng.normal(0, 0.2, n)).round(3)
uplift = np.select([arm == "b", arm == "c"], [0.35, 0.6], 0.0)
log_speed = -0.28 + 0.1 * uplift + 0.5 * np.log(speed0 / 0.75) + rng.normal(0, 0.18, n)
log_time = 6.0 + uplift + 0.5 * (np.log(time0) - 5.8) + 0.8 * (log_speed + 0.28) + rng.normal(0, 0.7, n)
time1 = np.exp(log_time)
speed1 = np.exp(log_speed).round(3)
weight = (0.5 + (np.arange(1, n + 1) % 5) / 2).round(1)
pl.DataFrame(
    {
        "subject": np.arange(1, n + 1),
        "arm": arm,
        "age": age,
        "sex": sex,
        "site": site,
        "weight": weight,
        "pain0": pain0,
        "pain1": pain1,
        "responder": responder,
        "time0_s": np.minimum(time0, 1800).round(0),
        "capped0": (time0 >= 1800).astype(int),
        "speed0_m_s": speed0,
        "time1_s": np.minimum(time1, 1800).round(0),
        "capped1": (time1 >= 1800).astype(int),
        "speed1_m_s": speed1,
    }
).write_csv(Path(__file__).with_name("cohort.csv"))
