"""Confounding by indication: the probability of each tier given recorded covariates.

A multinomial logit, linear in the recorded covariates, so that a logistic regression on the protocol's covariates is
the right propensity model of any pair of tiers. Its coefficients are the ones of greatest entropy under which the mean
of every covariate among the patients of a tier is the stated one.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.simulate.population import FEATURES, Array, IntArray, Patients, draw_patients
from pipelines.simulate.settings import TIERS, Indication, Settings

_CALIBRATION_PATIENTS = 25_000
_CALIBRATION_SEED = 20_240_601  # the coefficients are part of the settings, not of a cohort: always the same draw
_LATENT_LOCATIONS = {"stenosis_grade": 1.0, "stenotic_levels": 1.0, "prior_tiers": 1.0}


@dataclass(frozen=True)
class IndicationModel:
    """Where the population lies, and how covariates lead to tiers (coefficients: tiers × (1 + features))."""

    locations: dict[str, float]
    centre: Array
    scale: Array
    coefficients: Array
    unmeasured: float

    def probabilities(self, patients: Patients) -> Array:
        """Probability of each tier (patients × 5)."""
        return _softmax(self._design(patients) @ self.coefficients.T + _push(patients, self.unmeasured))

    def draw(self, patients: Patients, rng: np.random.Generator) -> IntArray:
        """Index tier of each patient (rank from 0)."""
        cumulative = np.cumsum(self.probabilities(patients), axis=1)
        return np.minimum((rng.random(patients.size)[:, None] > cumulative).sum(axis=1), len(TIERS) - 1)

    def _design(self, patients: Patients) -> Array:
        standard = (patients.features() - self.centre) / self.scale
        return np.column_stack([np.ones(patients.size), standard])


def indication_model(settings: Settings) -> IndicationModel:
    """The indication model of these settings.

    Jaynes 1957: of all assignments with the stated means the one of greatest entropy is the multinomial logit whose
    coefficients minimise a convex function (the multinomial log-likelihood's dual), found by Newton's method.
    """
    return _model(settings.indication, settings.confounding, settings.unmeasured)


@lru_cache(maxsize=32)
def _model(indication: Indication, confounding: float, unmeasured: float) -> IndicationModel:
    calibrated = _calibrated(indication)
    slopes = calibrated.coefficients[:, 1:] * confounding
    offset = calibrated.design[:, 1:] @ slopes.T + _push(calibrated.patients, unmeasured)
    coefficients = np.column_stack([_intercepts(offset, _shares(indication)), slopes])
    return IndicationModel(calibrated.locations, calibrated.centre, calibrated.scale, coefficients, unmeasured)


@dataclass(frozen=True)
class _Calibrated:
    """The solution at full confounding, and the population that it was found on."""

    locations: dict[str, float]
    patients: Patients
    centre: Array
    scale: Array
    design: Array
    coefficients: Array


@lru_cache(maxsize=8)
def _calibrated(indication: Indication) -> _Calibrated:
    share = _shares(indication)
    means = np.array([getattr(indication, name).values for name in FEATURES]).T
    locations, patients = _locate(share @ means)
    features = patients.features()
    centre, scale = features.mean(axis=0), features.std(axis=0)
    design = np.column_stack([np.ones(patients.size), (features - centre) / scale])
    # what the location search leaves over is spread evenly over the tiers, else no assignment could exist
    goal = (means - share @ means) / scale
    coefficients = _solve(design, share[:, None] * np.column_stack([np.ones(len(TIERS)), goal]))
    return _Calibrated(locations, patients, centre, scale, design, coefficients)


def _shares(indication: Indication) -> Array:
    share = np.array(indication.share.values)
    return share / share.sum()


def _locate(means: Array) -> tuple[dict[str, float], Patients]:
    locations = {name: _LATENT_LOCATIONS.get(name, mean) for name, mean in zip(FEATURES, means, strict=True)}
    for _ in range(8):
        rng = np.random.default_rng(_CALIBRATION_SEED)
        patients = draw_patients(_CALIBRATION_PATIENTS, locations, 0.0, rng)
        error = means - patients.features().mean(axis=0)
        locations = {name: locations[name] + step for name, step in zip(FEATURES, error, strict=True)}
    return locations, patients


def _solve(design: Array, goal: Array) -> Array:
    tiers, width = goal.shape
    size = design.shape[0]
    coefficients = np.zeros((tiers, width))
    for _ in range(40):
        probability = _softmax(design @ coefficients.T)
        gradient = (probability.T @ design / size - goal)[1:].ravel()
        if np.max(np.abs(gradient)) < 1e-10:
            break
        hessian = np.empty(((tiers - 1) * width, (tiers - 1) * width))
        for a in range(1, tiers):
            for b in range(1, tiers):
                weight = probability[:, a] * ((a == b) - probability[:, b])
                block = (design * weight[:, None]).T @ design / size
                hessian[(a - 1) * width : a * width, (b - 1) * width : b * width] = block
        step = np.linalg.solve(hessian, gradient).reshape(tiers - 1, width)
        coefficients[1:] -= step * min(1.0, 2.0 / max(np.max(np.abs(step)), 1e-12))
    return coefficients


def _intercepts(offset: Array, share: Array) -> Array:
    intercepts = np.log(share)
    for _ in range(200):
        mean = _softmax(offset + intercepts).mean(axis=0)
        intercepts = intercepts + np.log(share) - np.log(mean)
        if np.max(np.abs(mean - share)) < 1e-10:
            break
    return intercepts


def _push(patients: Patients, strength: float) -> Array:
    ladder = np.arange(len(TIERS)) - (len(TIERS) - 1) / 2
    return strength * 0.5 * patients.unmeasured[:, None] * ladder


def _softmax(score: Array) -> Array:
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)
