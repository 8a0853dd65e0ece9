"""Fixed effects of repeated measures: a formula turned into what the likelihood needs, one row a subject.

Most covariates do not change between a subject's visits, so the design matrix of a visit is a choice of columns of one
small matrix with a row a subject (`base`): `matrix at visit a = base @ maps[a]`. Only cross products of `base` enter
the likelihood, so its width, not that of the long design matrix, sets the cost. Covariates that do change between
visits take the same road with a wider base (each visit's columns beside each other).

Nothing is estimated here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
from formulaic import Formula, ModelSpec

from pipelines.models._design import _pandas_columns
from pipelines.models._frames import Floats, Ints, ModelInputError, case_weights, groups_of, numeric, require_columns

# The visit goes by this name inside formulas, so that its part of a column's name can be told for certain.
VISIT = "visit_"
VISIT_PART = re.compile(rf"(^|:){VISIT}\[(?:T\.)?v(\d+)\](?=:|$)")


@dataclass(frozen=True)
class RepeatedMeasures:
    """One row a subject: outcomes (n, v; NaN unseen), base (n, r), maps (v, r, p), weights and clusters (n,), names.

    `subject_frame` holds each subject's covariates (of the first row), `averages` the numeric ones' means over all
    rows, `declared` the levels of Enum columns, seen or not.
    """

    outcomes: Floats
    base: Floats
    maps: Floats
    weights: Floats
    terms: Sequence[str]
    visits: pl.Series
    clusters: Ints
    subject_frame: pd.DataFrame
    averages: dict[str, float]
    declared: dict[str, list[str]]
    spec: ModelSpec

    @property
    def intercept(self) -> int | None:
        return self.terms.index("(Intercept)") if "(Intercept)" in self.terms else None

    def matrix(self, frame: pd.DataFrame, visit: int) -> Floats:
        """Return the design matrix of a frame of covariates at one visit, shape (rows, p)."""
        return _matrix(self.spec, frame, np.full(len(frame), visit), len(self.visits))


def repeated_measures(
    frame: pl.DataFrame,
    outcome: str,
    visit: str,
    subject: str,
    fixed: str,
    weights: str | None = None,
    cluster: str | None = None,
) -> RepeatedMeasures:
    """Arrange long rows (one a subject and visit) by subject.

    Raises ModelInputError: unknown or missing columns, two rows of a subject at one visit, weights or clusters that
    change within a subject, a formula that cannot be read or names the outcome on its right.
    """
    formula, covariates = _formula(frame, outcome, visit, fixed)
    require_columns(frame, [outcome, visit, subject, weights, cluster, *covariates])
    visits, at = _visits(frame, visit)
    subjects = groups_of(frame.select(subject), subject)
    n, v = subjects.count, len(visits)
    if np.bincount(subjects.codes * v + at).max() > 1:
        raise ModelInputError(f"A subject has two rows at one visit; {subject} and {visit} together must be unique.")
    first = np.empty(n, dtype=np.int64)
    first[subjects.codes[::-1]] = np.arange(frame.height)[::-1]
    for name in (weights, cluster):
        if name is not None and not _steady(frame[name], first, subjects.codes):
            raise ModelInputError(f"Column {name} must hold one value a subject; it changes between visits.")
    outcomes = np.full((n, v), np.nan)
    outcomes[subjects.codes, at] = numeric(frame, outcome)
    clusters = subjects.codes if cluster is None else groups_of(frame, cluster).codes
    subject_frame = _covariate_frame(frame[first], covariates)
    spec = _spec(formula, subject_frame, v)
    names = list(spec.column_names)
    steady = all(_steady(frame[name], first, subjects.codes) for name in covariates)
    if steady and not any(VISIT in VISIT_PART.sub("", name) for name in names):
        base, maps = _steady_base(spec, subject_frame, names, v)
    else:
        base, maps = _changing_base(spec, _covariate_frame(frame, covariates), subjects.codes, at, n, v)
    numbers = [name for name in covariates if frame.schema[name].is_numeric() or frame.schema[name] == pl.Boolean]
    return RepeatedMeasures(
        outcomes=outcomes,
        base=base,
        maps=maps,
        weights=case_weights(frame, weights)[first],
        terms=[_public(name, visit, visits) for name in names],
        visits=visits,
        clusters=clusters[first],
        subject_frame=subject_frame,
        averages=frame.select(pl.col(numbers).cast(pl.Float64).mean()).row(0, named=True) if numbers else {},
        declared={
            name: dtype.categories.to_list()
            for name, dtype in frame.select(covariates).schema.items()
            if isinstance(dtype, pl.Enum)
        },
        spec=spec,
    )


def _covariate_frame(frame: pl.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """Return the covariates for formulaic; a formula without any still needs its rows."""
    return _pandas_columns(frame.select(covariates)) if covariates else pd.DataFrame(index=range(frame.height))


def _formula(frame: pl.DataFrame, outcome: str, visit: str, fixed: str) -> tuple[Formula, list[str]]:
    right = fixed.split("~")[-1]
    renamed = re.sub(rf"(?<![\w`]){re.escape(visit)}(?!\w)|`{re.escape(visit)}`", VISIT, right)
    try:
        formula = Formula(renamed)
        used = sorted(str(name) for name in formula.required_variables)
    except Exception:
        raise ModelInputError(
            "The formula of the fixed effects cannot be read; write it as `arm * visit + x`."
        ) from None
    covariates = [name for name in used if name != VISIT]
    if outcome in covariates:
        raise ModelInputError(f"{outcome} is the outcome and cannot be among the fixed effects.")
    return formula, covariates


def _visits(frame: pl.DataFrame, visit: str) -> tuple[pl.Series, Ints]:
    """Return the visits in order (an Enum's declared ones, seen or not) and each row's visit number."""
    dtype = frame.schema[visit]
    if isinstance(dtype, pl.Enum):
        return pl.Series("visit", dtype.categories, dtype=dtype), frame[visit].to_physical().to_numpy().astype(np.int64)
    groups = groups_of(frame, visit)
    return groups.levels.alias("visit"), groups.codes


def _spec(formula: Formula, subject_frame: pd.DataFrame, v: int) -> ModelSpec:
    """Learn the encoding from all subjects, visits dealt out in turn so that each occurs."""
    rows = max(len(subject_frame), v)
    dealt = subject_frame.iloc[np.arange(rows) % len(subject_frame)].reset_index(drop=True)
    try:
        return formula.get_model_matrix(_with_visit(dealt, np.arange(rows) % v, v), output="pandas").model_spec
    except Exception:
        raise ModelInputError(
            "The fixed effects cannot be expanded; check that the formula suits its columns."
        ) from None


def _with_visit(frame: pd.DataFrame, at: Ints, v: int) -> pd.DataFrame:
    visit = pd.Categorical.from_codes(at.tolist(), categories=pd.Index([f"v{i}" for i in range(v)]))
    return frame.assign(**{VISIT: visit})


def _matrix(spec: ModelSpec, frame: pd.DataFrame, at: Ints, v: int) -> Floats:
    return np.asarray(spec.get_model_matrix(_with_visit(frame, at, v)), dtype=np.float64)


def _steady_base(spec: ModelSpec, subjects: pd.DataFrame, names: Sequence[str], v: int) -> tuple[Floats, Floats]:
    """Return the distinct columns apart from their visit, and which of them stands where at each visit."""
    bare = [VISIT_PART.sub("", name).lstrip(":") or "Intercept" for name in names]
    own_visit = [int(found.group(2)) if (found := VISIT_PART.search(name)) else None for name in names]
    distinct = list(dict.fromkeys(bare))
    at_visit = {}
    base = np.empty((len(subjects), len(distinct)))
    for i, name in enumerate(distinct):
        j = names.index(name) if name in names else bare.index(name)
        visit = own_visit[j] or 0
        if name == "Intercept":
            base[:, i] = 1.0
            continue
        if visit not in at_visit:
            at_visit[visit] = _matrix(spec, subjects, np.full(len(subjects), visit), v)
        base[:, i] = at_visit[visit][:, j]
    maps = np.zeros((v, len(distinct), len(names)))
    for j, (name, at) in enumerate(zip(bare, own_visit, strict=True)):
        maps[slice(None) if at is None else at, distinct.index(name), j] = 1.0
    return base, maps


def _changing_base(
    spec: ModelSpec, columns: pd.DataFrame, codes: Ints, at: Ints, n: int, v: int
) -> tuple[Floats, Floats]:
    """Return every visit's design columns beside each other; zero where a subject was not seen."""
    long = _matrix(spec, columns, at, v)
    p = long.shape[1]
    base = np.zeros((n, v, p))
    base[codes, at] = long
    maps = np.zeros((v, v, p, p))
    maps[np.arange(v), np.arange(v)] = np.eye(p)
    return base.reshape(n, v * p), maps.reshape(v, v * p, p)


def _steady(column: pl.Series, first: Ints, codes: Ints) -> bool:
    return bool((column == column.gather(first).gather(codes)).all())


def _public(name: str, visit: str, visits: pl.Series) -> str:
    if name == "Intercept":
        return "(Intercept)"
    levels = visits.cast(pl.String).to_list()
    return re.sub(
        rf"{VISIT}\[(T\.)?v(\d+)\]", lambda m: f"{visit}[{m.group(1) or ''}{levels[int(m.group(2))]}]", name
    ).replace(VISIT, visit)
