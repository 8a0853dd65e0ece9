"""How the coefficients of a Cox model drift with time: scaled Schoenfeld residuals, and a smooth through them.

Belongs here: what is drawn beside the test of proportional hazards. Does not belong here: the test (`cox`).

A residual belongs to one event and so to one subject: the smooth may be shown, single residuals may not.
"""

import numpy as np
import polars as pl
from scipy import linalg
from scipy.interpolate import CubicSpline

from pipelines.models._cox_fit import Maximum, Scale
from pipelines.models._frames import ESTIMABLE, Floats, Ints, ModelInputError, not_estimable, nullable
from pipelines.models._intervals import normal_quantile
from pipelines.models.cox import CoxFit, transformed_times

GRID = 40


def scaled_schoenfeld_residuals(fit: CoxFit, transform: str = "km") -> pl.DataFrame:
    """Return the scaled Schoenfeld residuals, a row per event and term: time, transformed_time, term, residual.

    A residual is β + d V r, with r the covariate of the subject that failed minus its mean over those at risk, V the
    model-based covariance and d the number of events; its expectation is about β(t). Within strata where a term does
    not vary its residuals are null and its events are not counted. This is `cox.zph(terms = FALSE)$y` of R's survival.
    A fit that is not estimable gives no rows.

    Raises:
        ModelInputError: an unknown transform, or times of 0 under `log`.
    Source: Grambsch & Therneau, Biometrika 81 (1994) 515-526.
    """
    if fit._maximum is None or fit._times is None or fit._scale is None:
        schema = {"time": pl.Float64, "transformed_time": pl.Float64, "term": pl.String, "residual": pl.Float64}
        return pl.DataFrame(schema=schema)
    times = fit._times.exit[fit._times.event]
    residuals, _ = _scaled(fit._maximum, fit._scale)
    order = np.argsort(times, kind="stable")
    events, terms = len(times), len(fit.terms)
    return pl.DataFrame(
        {
            "time": np.repeat(times[order], terms),
            "transformed_time": np.repeat(transformed_times(fit._times, times[order], transform), terms),
            "term": list(fit.terms) * events,
            "residual": nullable(residuals[order].ravel()),
        }
    )


def coefficient_over_time(
    fit: CoxFit,
    at: Floats | None = None,
    transform: str = "km",
    df: int = 4,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return a natural cubic spline through the scaled Schoenfeld residuals, an estimate of β(t).

    Columns: term, time, estimate, std_error, ci_low, ci_high, status; a row per term and time. The spline has `df`
    degrees of freedom on the transformed time, its standard error takes the variance of a residual as d V (constant
    over time). This is the smooth of `plot.cox.zph` of R's survival (whose limits are two standard errors).

    Args:
        fit: a Cox model.
        at: times, shape (m,); those outside the first to the last event have no estimate. Without it 40 times, equally
            spaced on the transformed scale.
        transform: as in `proportional_hazards_test`.
        df: degrees of freedom, at least 2.
        level: of the limits.

    Raises:
        ModelInputError: an unknown transform, times of 0 under `log`, or df below 2.
    Source: Grambsch & Therneau, Biometrika 81 (1994) 515-526; Therneau & Grambsch, Modeling Survival Data (2000), 6.2.
    """
    if df < 2:
        raise ModelInputError(f"df must be at least 2, it is {df}.")
    if fit._maximum is None or fit._times is None or fit._scale is None:
        wanted = np.empty(0) if at is None else np.asarray(at, dtype=float)
        return _smooth_frame(fit.terms, wanted, np.full((len(wanted), len(fit.terms), 2), np.nan), level, fit.status)
    times = fit._times.exit[fit._times.event]
    residuals, variance = _scaled(fit._maximum, fit._scale)
    order = np.argsort(times, kind="stable")
    times, residuals = times[order], residuals[order]
    x = transformed_times(fit._times, times, transform)
    grid = np.linspace(x[0], x[-1], GRID)
    wanted = np.interp(grid, x, times) if at is None else np.asarray(at, dtype=float)
    place = grid if at is None else np.interp(wanted, times, x, left=np.nan, right=np.nan)
    found = np.full((len(wanted), len(fit.terms), 2), np.nan)
    try:
        for term in range(len(fit.terms)):
            kept = ~np.isnan(residuals[:, term])
            found[:, term] = _spline(x, grid, kept, residuals[kept, term], variance[term], place, df)
    except linalg.LinAlgError:
        return _smooth_frame(
            fit.terms, wanted, found * np.nan, level, not_estimable(f"too few distinct event times for {df} knots")
        )
    return _smooth_frame(fit.terms, wanted, found, level, ESTIMABLE)


def _scaled(maximum: Maximum, scale: Scale) -> tuple[Floats, Floats]:
    """Return the residuals of the events in the order of the risk sets, (d, p), and their variances, (p,)."""
    data, spread = maximum.evaluation.data, scale.spread
    plain = maximum.evaluation.schoenfeld_residuals()
    stratum = data.risk_sets.slots.stratum[data.slot_of_deaths]
    varies = _varying(data.X, data.risk_sets.slots.stratum[data.risk_sets.slot])
    deaths = np.bincount(stratum, minlength=len(varies)).astype(float)
    shared = (varies * deaths[:, None]).T @ varies  # events in strata where both terms vary
    mean_information = maximum.information / np.where(shared > 0, shared, 1.0)
    scaled = np.full_like(plain, np.nan)
    for code, terms in enumerate(varies):
        rows, used = np.flatnonzero(stratum == code), np.flatnonzero(terms)
        if len(rows) and len(used):
            part = linalg.solve(mean_information[np.ix_(used, used)], plain[np.ix_(rows, used)].T, assume_a="pos")
            scaled[np.ix_(rows, used)] = part.T
    variance = np.diag(linalg.inv(mean_information)) / spread**2
    return (scaled + maximum.coefficients) / spread, variance


def _varying(X: Floats, stratum: Ints) -> Floats:
    """Return 1 where a term takes more than one value within a stratum, else 0, shape (strata, p)."""
    starts = np.searchsorted(stratum, np.arange(int(stratum[-1]) + 1))
    spans = np.maximum.reduceat(X, starts) - np.minimum.reduceat(X, starts)
    return (spans > 0).astype(float)


def _spline(
    x: Floats, grid: Floats, kept: np.ndarray, residuals: Floats, variance: float, place: Floats, df: int
) -> Floats:
    """Return estimate and standard error at `place`, shape (m, 2), by least squares on a natural spline.

    Knots are quantiles of the events and of the grid together, as R's `ns` gets them.
    """
    knots = np.unique(np.quantile(np.concatenate([grid, x]), np.linspace(0, 1, df)))
    if len(knots) < df:
        raise linalg.LinAlgError
    cardinal = CubicSpline(knots, np.eye(df), bc_type="natural" if df > 2 else "not-a-knot")
    basis = cardinal(x[kept])
    q, r = linalg.qr(basis, mode="economic")
    if np.abs(np.diag(r)).min() < 1e-7 * np.abs(np.diag(r)).max():
        raise linalg.LinAlgError
    shown = cardinal(place)
    leverage = linalg.solve_triangular(r, np.nan_to_num(shown).T, trans="T")
    estimate = shown @ linalg.solve_triangular(r, q.T @ residuals)
    error = np.sqrt(variance * (leverage**2).sum(axis=0))
    return np.column_stack([estimate, np.where(np.isnan(estimate), np.nan, error)])


def _smooth_frame(terms: tuple[str, ...], at: Floats, found: Floats, level: float, status: str) -> pl.DataFrame:
    estimate, error = found[..., 0].T.ravel(), found[..., 1].T.ravel()
    reach = normal_quantile(level) * error
    return pl.DataFrame(
        {
            "term": np.repeat(np.array(terms, dtype=object), len(at)).tolist(),
            "time": np.tile(at, len(terms)),
            "estimate": nullable(estimate),
            "std_error": nullable(error),
            "ci_low": nullable(estimate - reach),
            "ci_high": nullable(estimate + reach),
            "status": [status] * len(estimate),
        },
        schema_overrides={"term": pl.String, "status": pl.String},
    )
