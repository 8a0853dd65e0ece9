"""Linear algebra that several estimators share: aliased columns, solving normal equations, summing by cluster.

Nothing here knows what the numbers mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pipelines.models._frames import Floats, Ints

# A column is aliased when the columns before it explain all but this share of its variance.
ALIASED_SHARE = 1e-10


def aliased_columns(matrix: Floats, names: Sequence[str], weights: Floats | None = None) -> list[str]:
    """Return the names of columns that are linear combinations of those before them (first of a set is kept).

    `matrix` has shape (n, p); only its cross products are used, so the cost is one pass. Columns count as rows of a
    model with intercept when the caller's columns span one.
    """
    weighted = matrix if weights is None else matrix * weights[:, None]
    return aliased_in_gram(matrix.T @ weighted, names)


def aliased_in_gram(gram: Floats, names: Sequence[str]) -> list[str]:
    """As `aliased_columns`, from the cross products, shape (p, p)."""
    scale = np.sqrt(np.diag(gram))
    safe = np.where(scale > 0, scale, 1.0)
    residual = gram / np.outer(safe, safe)
    aliased = []
    for j, name in enumerate(names):
        pivot = residual[j, j]
        if scale[j] == 0 or pivot < ALIASED_SHARE:
            aliased.append(name)
            continue
        column = residual[:, j].copy()
        residual -= np.outer(column, column) / pivot
    return aliased


def inverse(matrix: Floats) -> Floats:
    """Return the inverse of a symmetric positive definite matrix; raises numpy's LinAlgError otherwise."""
    return cho_solve(cho_factor(matrix), np.eye(matrix.shape[0]))


def cluster_sums(rows: Floats, clusters: Ints | None) -> Floats:
    """Return the rows summed within clusters (0, 1, …), shape (clusters, q); without clusters the rows themselves."""
    if clusters is None:
        return rows
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[order]) > 0])
    return np.add.reduceat(rows[order], starts, axis=0)
