"""Patients as they come: correlated covariates and baseline scores, before anyone is treated.

A latent severity ties symptoms, disability, walking and imaging together. What is recorded (rounded, capped) is what
the choice of a tier may look at; the latent values carry the outcomes. Who gets which tier belongs in `indication.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Recorded covariates that the choice of a tier depends on, in the order of the feature matrix.
FEATURES = (
    "age_years",
    "female",
    "bmi",
    "current_smoker",
    "comorbidity_count",
    "diabetes",
    "depression",
    "opioid_use",
    "prior_lumbar_surgery",
    "spondylolisthesis",
    "stenosis_grade",
    "stenotic_levels",
    "symptom_months",
    "prior_tiers",
    "nrs_leg",
    "nrs_back",
    "odi",
)

# Standard deviations of one measurement around a person's own level (ODI: two baselines 74 days apart, n = 104).
WITHIN_PERSON_SD = {"nrs_leg": 1.1, "nrs_back": 1.1, "odi": 8.2, "log_time": 0.20, "log_speed": 0.06}


@dataclass(frozen=True)
class Patients:
    """A block of patients; every array has one element a patient.

    `true_*` are latent levels at baseline; `log_time` is the log of seconds to stop in the self-paced walking test,
    `log_speed` the log of metres a second. `response` and `need` are standard normal traits that nobody records:
    how poorly a patient responds, and how readily care escalates.
    """

    age_years: Array
    female: BoolArray
    sex_other: BoolArray
    bmi: Array
    current_smoker: BoolArray
    former_smoker: BoolArray
    comorbidity_count: Array
    diabetes: BoolArray
    depression: BoolArray
    opioid_use: BoolArray
    prior_lumbar_surgery: BoolArray
    spondylolisthesis: BoolArray
    stenosis_grade: Array
    stenotic_levels: Array
    symptom_months: Array
    prior_tiers: Array
    nrs_leg: Array
    nrs_back: Array
    odi: Array
    education: IntArray
    true_leg: Array
    true_back: Array
    true_odi: Array
    log_time: Array
    log_speed: Array
    response: Array
    need: Array
    unmeasured: Array

    @property
    def size(self) -> int:
        """Number of patients."""
        return int(self.age_years.size)

    def features(self) -> Array:
        """Feature matrix (patients × FEATURES) of recorded covariates."""
        return np.column_stack([np.asarray(getattr(self, name), dtype=np.float64) for name in FEATURES])


def draw_patients(size: int, locations: dict[str, float], log_time_shift: float, rng: np.random.Generator) -> Patients:
    """Draw a block of patients.

    Args:
        size: number of patients.
        locations: mean of each feature in the population (for counts and grades: location of the latent normal).
        log_time_shift: added to every log time to stop.
        rng: the block's own generator.
    """
    severity = rng.standard_normal(size)

    def latent(loading: float, *others: tuple[float, Array]) -> Array:
        common = loading * severity + sum((weight * other for weight, other in others), np.zeros(size))
        spread = loading**2 + sum(weight**2 for weight, _ in others)
        return common + np.sqrt(max(1 - spread, 0.05)) * rng.standard_normal(size)

    z_age = latent(0.15)
    z_bmi = latent(0.10, (-0.20, z_age))
    z_comorbid = latent(0.20, (0.30, z_age), (0.20, z_bmi))
    age = np.floor(110 - _log_normal(z_age * -1, 110 - locations["age_years"], 9.3))
    age = np.clip(age, 35, 90)
    bmi: Array = np.round(np.clip(14 + _log_normal(z_bmi, locations["bmi"] - 14, 5.5), 16, 60), 1).astype(np.float64)
    female = rng.random(size) < locations["female"]
    smoke = latent(0.05, (-0.15, z_age))
    current = smoke < ndtri(locations["current_smoker"])
    former = ~current & (smoke < ndtri(min(locations["current_smoker"] + 0.38, 0.99)))
    comorbidity = _poisson(z_comorbid, locations["comorbidity_count"])
    depression = _is_upper(latent(0.25), locations["depression"])
    z_grade = latent(0.40, (0.20, z_age))
    z_leg = latent(0.60)
    z_back = latent(0.35, (0.35, z_leg))
    z_odi = latent(0.62, (0.15, z_leg), (0.20, z_back))
    leg = locations["nrs_leg"] + np.sqrt(2.25**2 - WITHIN_PERSON_SD["nrs_leg"] ** 2) * z_leg
    back = locations["nrs_back"] + np.sqrt(2.30**2 - WITHIN_PERSON_SD["nrs_back"] ** 2) * z_back
    odi = locations["odi"] + np.sqrt(14.6**2 - WITHIN_PERSON_SD["odi"] ** 2) * z_odi
    grade = np.digitize(z_grade + locations["stenosis_grade"], [0.0, 1.0, 2.0]).astype(np.float64)
    levels = 1 + np.digitize(latent(0.10, (0.25, z_grade)) + locations["stenotic_levels"], [0.6, 1.6, 2.6])
    walk = latent(0.0)
    log_time = (
        5.80
        + log_time_shift
        - 0.016 * (odi - 43)
        - 0.20 * (grade - 1.6)
        - 0.012 * (age - 70)
        - 0.012 * (bmi - 29)
        - 0.04 * (leg - 6.5)
        + 0.82 * walk
    )
    log_speed = (
        0.02 - 0.008 * (age - 70) - 0.006 * (bmi - 29) - 0.02 * (comorbidity - 2) + 0.08 * walk + 0.17 * latent(0.0)
    )
    response = rng.standard_normal(size)
    return Patients(
        age_years=age,
        female=female,
        sex_other=~female & (rng.random(size) < 0.004),
        bmi=bmi,
        current_smoker=current,
        former_smoker=former,
        comorbidity_count=comorbidity,
        diabetes=_is_upper(0.5 * z_comorbid + 0.3 * z_bmi + 0.8 * rng.standard_normal(size), locations["diabetes"]),
        depression=depression,
        opioid_use=_is_upper(latent(0.35), locations["opioid_use"]),
        prior_lumbar_surgery=_is_upper(latent(0.15), locations["prior_lumbar_surgery"]),
        spondylolisthesis=_is_upper(latent(0.0, (0.15, np.where(female, 1.0, -1.0))), locations["spondylolisthesis"]),
        stenosis_grade=grade,
        stenotic_levels=levels.astype(np.float64),
        symptom_months=np.clip(np.round(_log_normal(latent(0.20), locations["symptom_months"], 26)), 3, 180),
        prior_tiers=np.digitize(latent(0.25) + locations["prior_tiers"], [0.0, 1.0, 2.2]).astype(np.float64),
        nrs_leg=_as_nrs(leg + WITHIN_PERSON_SD["nrs_leg"] * rng.standard_normal(size)),
        nrs_back=_as_nrs(back + WITHIN_PERSON_SD["nrs_back"] * rng.standard_normal(size)),
        odi=_as_odi(odi + WITHIN_PERSON_SD["odi"] * rng.standard_normal(size)),
        education=np.digitize(rng.random(size), [0.35, 0.75]),
        true_leg=leg,
        true_back=back,
        true_odi=odi,
        log_time=log_time,
        log_speed=log_speed,
        response=response,
        need=0.5 * response + np.sqrt(0.75) * rng.standard_normal(size),
        unmeasured=rng.standard_normal(size),
    )


def _log_normal(z: Array, mean: float, sd: float) -> Array:
    variance = np.log1p((sd / mean) ** 2)
    return np.exp(np.log(mean) - variance / 2 + np.sqrt(variance) * z)


def _is_upper(z: Array, share: float) -> BoolArray:
    return z > -ndtri(share)


def _poisson(z: Array, mean: float) -> Array:
    terms = np.exp(-mean) * np.cumprod(np.concatenate([[1.0], mean / np.arange(1, 14)]))
    return np.searchsorted(ndtri(np.clip(np.cumsum(terms)[:-1], 0, 1 - 1e-12)), z).astype(np.float64)


def _as_nrs(score: Array) -> Array:
    return np.clip(np.rint(score), 0, 10)


def _as_odi(score: Array) -> Array:
    return np.clip(2 * np.rint(score / 2), 0, 100)
