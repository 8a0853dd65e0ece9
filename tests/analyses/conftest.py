"""A small simulated study as the frames that `analysis.*` would give, so that the analyses run without SQL.

Not the project's simulator: one page of draws with a fixed seed, with confounding by indication, missing visits,
walks at the time limit, deaths and a harmless negative control.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pytest

from pipelines.ingest.literature import published_figures
from pipelines.protocol import Protocol, load_protocol
from pipelines.resources import default_protocol_file

TIERS = ("conservative", "esi", "mild", "laminectomy", "fusion")
SCORES = {"nrs_leg": (6.5, 2.0, 10.0), "nrs_back": (6.0, 2.0, 10.0), "odi": (42.0, 15.0, 100.0)}
WINDOW_DAYS = {"6w": 63, "3m": 135, "6m": 272, "12m": 545, "24m": 910}


def simulated_tables(patients: int, seed: int) -> dict[str, pl.DataFrame]:
    """The `analysis.*` frames of so many patients."""
    rng = np.random.default_rng(seed)
    subjects = _subjects(rng, patients)
    times = _times(rng, subjects)
    return {
        "analysis.as_treated": times.with_columns(
            pl.col("time_days").cast(pl.Float64), entry_days=pl.lit(-0.5), prior_tiers=pl.lit(0), waiting_days=pl.lit(0)
        ),
        "analysis.transitions": _transitions(rng, subjects),
        "analysis.symptom_relapses": _relapses(rng, subjects),
        "analysis.subjects": subjects,
        "analysis.scores": _scores(rng, subjects),
        "analysis.walking_tests": _walks(rng, subjects),
        "analysis.time_to_event": times,
        "analysis.responders": _responders(rng, subjects),
        "protocol.literature": published_figures(load_protocol(default_protocol_file())),
    }


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    return load_protocol(default_protocol_file())


@pytest.fixture(scope="session")
def simulated() -> Callable[[int, int], dict[str, pl.DataFrame]]:
    """The function above, for a study of another size."""
    return simulated_tables


@pytest.fixture(scope="session")
def tables() -> Mapping[str, pl.DataFrame]:
    return simulated_tables(450, 11)


def _subjects(rng: np.random.Generator, n: int) -> pl.DataFrame:
    odi = np.clip(rng.normal(42, 15, n), 0, 100)
    logits = np.outer((odi - 42) / 15, np.linspace(-0.5, 0.5, 5)) + np.array([0.5, 0.4, -0.3, 0.2, -0.2])
    tier = np.array([rng.choice(5, p=p / p.sum()) for p in np.exp(logits)])

    def gaps(values: np.ndarray, share: float = 0.03) -> list[object]:
        return [None if gap else value for value, gap in zip(values.tolist(), rng.random(n) < share, strict=True)]

    speed = np.exp(rng.normal(-0.1, 0.2, n))
    time = np.exp(rng.normal(np.log(400), 1.0, n))
    return pl.DataFrame(
        {
            "episode_id": [f"e{i:06d}" for i in range(n)],
            "patient_id": [f"p{i:06d}" for i in range(n)],
            "site_id": [f"s{i % 12:02d}" for i in range(n)],
            "tier": [TIERS[t] for t in tier],
            "tier_rank": (tier + 1).tolist(),
            "start_day": rng.integers(0, 200, n).tolist(),
            "watched_days": [600] * n,
            "is_enrolling_site": [True] * n,
            "site_sequence": [1 + i // 12 for i in range(n)],
            "enrolment_year": [2020 + 4 * i // n for i in range(n)],
            "enrolment_quarter": pl.Series([None] * n, dtype=pl.Int64),
            "age_years": gaps(np.clip(rng.normal(70, 9, n), 30, 90).round().astype(int)),
            "sex": gaps(rng.choice(["female", "male", "other"], n, p=[0.55, 0.447, 0.003])),
            "bmi": gaps(rng.normal(29, 5, n)),
            "smoking": gaps(rng.choice(["never", "former", "current"], n)),
            "comorbidity_count": gaps(rng.poisson(1.5, n)),
            "diabetes": gaps(rng.random(n) < 0.2),
            "depression": gaps(rng.random(n) < 0.2),
            "opioid_use": gaps(rng.random(n) < 0.3),
            "prior_lumbar_surgery": gaps(rng.random(n) < 0.15),
            "spondylolisthesis": gaps(rng.random(n) < np.where(tier == 4, 0.7, 0.25)),
            "stenosis_grade": gaps(rng.choice(list("ABCD"), n)),
            "stenotic_levels": gaps(rng.integers(1, 4, n)),
            "symptom_months": gaps(rng.gamma(2, 12, n)),
            "prior_tiers": rng.integers(0, 3, n).tolist(),
            "waiting_days": rng.integers(0, 100, n).tolist(),
            "nrs_leg_baseline": gaps(np.clip(rng.normal(6.5, 2, n), 0, 10).round()),
            "nrs_back_baseline": gaps(np.clip(rng.normal(6, 2, n), 0, 10).round()),
            "odi_baseline": gaps(odi),
            "spwt_baseline": gaps(np.minimum(time, 1800) * speed),
            "spwt_baseline_duration_s": np.minimum(time, 1800).tolist(),
            "spwt_baseline_speed_m_s": speed.tolist(),
            "is_spwt_baseline_at_cap": (time >= 1800).tolist(),
        }
    )


def _transitions(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    """One stay in the first tier, and for a third of the patients one more in laminectomy."""
    first = subjects.select("patient_id", "site_id", index_tier="tier", from_state="tier").with_columns(
        start_days=pl.lit(0.0),
        stop_days=pl.Series(rng.uniform(30, 700, subjects.height).round()),
        moves=pl.Series(rng.random(subjects.height) < 0.33) & (pl.col("from_state") != "laminectomy"),
    )
    first = first.with_columns(
        to_state=pl.when("moves").then(pl.lit("laminectomy")).otherwise(pl.lit("censor")),
        stop_days=pl.when("moves").then("stop_days").otherwise(pl.col("stop_days") + 800),
    )
    second = first.filter("moves").with_columns(
        from_state=pl.lit("laminectomy"), to_state=pl.lit("censor"), start_days="stop_days", stop_days=pl.lit(1500.0)
    )
    return pl.concat([first, second]).drop("moves")


def _relapses(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    responded = subjects.select("episode_id", "patient_id", "site_id", "tier").filter(rng.random(subjects.height) < 0.5)
    lower = rng.choice([0, 49, 140, 320], responded.height)
    is_back = rng.random(responded.height) < 0.4
    return responded.with_columns(
        relapse=pl.lit("leg_pain_relapse"),
        time_lower_days=pl.Series(lower),
        time_upper_days=pl.when(pl.Series(is_back)).then(pl.Series(lower + 100)),
        status=pl.Series(is_back.astype(int)),
    )


def _visits(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    """One row a subject and window, with the flags that scores and walks share."""
    keys = subjects.select("episode_id", "patient_id", "site_id", "tier", "tier_rank")
    windows = pl.DataFrame({"visit_window": list(WINDOW_DAYS), "window_rank": [1, 2, 3, 4, 5]})
    rows = keys.join(windows, how="cross")
    n = rows.height
    return rows.with_columns(
        is_observed=pl.Series(rng.random(n) < 0.78),
        is_due=pl.Series(rng.random(n) < 0.95),
        is_alive=pl.lit(True),
        is_escalated_before=pl.Series(rng.random(n) < 0.1),
    ).with_columns(pl.col("is_observed") & pl.col("is_due"))


def _scores(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    pieces = []
    for instrument, (_, sd, top) in SCORES.items():
        rows = _visits(rng, subjects).join(
            subjects.select("episode_id", baseline_value=f"{instrument}_baseline"),
            on="episode_id",
            maintain_order="left",
        )
        start = rows["baseline_value"].fill_null(strategy="mean").to_numpy()
        effect = rows["tier_rank"].to_numpy() * 0.15 * sd
        value = np.clip(0.6 * start - effect + rng.normal(0, sd, rows.height), 0, top)
        pieces.append(
            rows.with_columns(
                instrument=pl.lit(instrument),
                baseline_value=pl.col("baseline_value").cast(pl.Float64),
                value=pl.when("is_observed").then(pl.Series(value)),
            )
        )
    return pl.concat(pieces)


def _walks(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    rows = _visits(rng, subjects).join(
        subjects.select(
            "episode_id",
            baseline_distance_m="spwt_baseline",
            baseline_duration_s="spwt_baseline_duration_s",
            baseline_speed_m_s="spwt_baseline_speed_m_s",
            is_baseline_at_cap="is_spwt_baseline_at_cap",
        ),
        on="episode_id",
        maintain_order="left",
    )
    n = rows.height
    start = np.log(rows["baseline_duration_s"].to_numpy())
    time = np.exp(2.5 + 0.6 * start + 0.15 * rows["tier_rank"].to_numpy() + rng.normal(0, 0.8, n))
    speed = rows["baseline_speed_m_s"].to_numpy() * np.exp(rng.normal(0, 0.1, n))
    seen = pl.col("is_observed")
    return rows.with_columns(
        instrument=pl.lit("spwt"),
        is_at_cap=pl.when(seen).then(pl.Series(time >= 1800)),
        duration_s=pl.when(seen).then(pl.Series(np.minimum(time, 1800))),
        speed_m_s=pl.when(seen).then(pl.Series(speed)),
        distance_m=pl.when(seen).then(pl.Series(speed * np.minimum(time, 1800))),
        stop_reason=pl.when(seen & pl.Series(time >= 1800))
        .then(pl.lit("time_limit"))
        .when(seen)
        .then(pl.Series(rng.choice(["claudication", "fatigue", "back_pain"], n, p=[0.7, 0.2, 0.1]))),
    )


def _times(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    keys = subjects.select("episode_id", "patient_id", "site_id", "tier")
    n = keys.height
    death = rng.exponential(365 / 0.02, n)
    end = rng.uniform(400, 1500, n)
    scale = {"conservative": 1800, "esi": 1500, "mild": 4000, "laminectomy": 6000, "fusion": 6000}
    base = np.array([scale[tier] for tier in keys["tier"].to_list()], dtype=float)
    pieces = []
    for endpoint, factor, limit in (
        ("treatment_failure", 0.8, np.inf),
        ("decompression_or_fusion", 1.0, np.inf),
        ("laminectomy_or_fusion", 1.2, np.inf),
        ("harm_90_days", 0.4, 90.0),
        ("opioid_start", 1.5, np.inf),
        ("negative_control", 4000 / base, np.inf),
    ):
        event = rng.exponential(base * factor)
        stop = np.minimum(np.minimum(event, death), np.minimum(end, limit))
        status = np.where(stop == event, 1, np.where(stop == death, 2, 0))
        pieces.append(
            keys.with_columns(endpoint=pl.lit(endpoint), time_days=pl.Series(np.floor(stop)), status=pl.Series(status))
        )
    return pl.concat(pieces).with_columns(pl.col("time_days").cast(pl.Int32), pl.col("status").cast(pl.Int32))


def _responders(rng: np.random.Generator, subjects: pl.DataFrame) -> pl.DataFrame:
    rules = pl.DataFrame(
        {"instrument": ["nrs_leg", "odi", "spwt"], "threshold": ["mcid", "percent_30", "percent_30"]}
    ).join(pl.DataFrame({"visit_window": list(WINDOW_DAYS)}), how="cross")
    rows = subjects.select("episode_id", "patient_id", "tier").join(rules, how="cross")
    words = ["responder", "non-responder", "missing", "excluded", "died"]
    response = rng.choice(words, rows.height, p=[0.4, 0.35, 0.2, 0.03, 0.02])
    return rows.with_columns(response=pl.Series(response), is_index=pl.lit(True))
