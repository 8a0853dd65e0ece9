"""Variances and degrees of freedom of repeated-measures coefficients: model-based and clustered.

Both answer the same two questions for any linear combination of coefficients: its variance, and the degrees of freedom
of its t statistic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from pipelines.models._covariance import Structure
from pipelines.models._fixed_effects import RepeatedMeasures
from pipelines.models._frames import Floats
from pipelines.models._linear import cluster_sums
from pipelines.models._mmrm_likelihood import CovarianceFit, Patterns, curvature, gls_information


class Inference(Protocol):
    @property
    def covariance(self) -> Floats: ...
    def degrees_of_freedom(self, combinations: Floats) -> Floats: ...


@dataclass(frozen=True)
class ModelBased:
    """The model's own variance with Satterthwaite degrees of freedom.

    df = 2 (l'Cl)^2 / (g'Ag), g the gradient of l'Cl in the covariance parameters, A the inverse of their observed
    information. Source: Giesbrecht & Burns 1985, Biometrics 41:477.
    """

    patterns: Patterns
    structure: Structure
    fit: CovarianceFit
    reml: bool

    @cached_property
    def covariance(self) -> Floats:
        return self.fit.evaluation.covariance

    @cached_property
    def information(self) -> Floats:
        """Observed information of the covariance parameters, shape (q, q)."""
        return curvature(self.patterns, self.structure, self.fit.parameters, self.reml)

    @cached_property
    def _derivatives(self) -> Floats:
        """Derivatives of the coefficients' covariance in the covariance parameters, shape (q, p, p)."""
        phi, inverses = self.fit.evaluation.covariance, self.fit.evaluation.inverses
        return np.array(
            [
                phi @ gls_information(self.patterns, inverses @ direction @ inverses) @ phi
                for direction in self.structure.derivatives(self.fit.parameters)
            ]
        )

    def degrees_of_freedom(self, combinations: Floats) -> Floats:
        variance = np.einsum("lp,pq,lq->l", combinations, self.fit.evaluation.covariance, combinations)
        gradient = np.einsum("lp,kpq,lq->lk", combinations, self._derivatives, combinations)
        spread = np.einsum("lk,kl->l", gradient, np.linalg.solve(self.information, gradient.T))
        return 2 * variance**2 / spread


@dataclass(frozen=True)
class KenwardRoger(ModelBased):
    """The model's variance enlarged for the estimation of the covariance parameters, with Satterthwaite's df.

    For one combination of coefficients Kenward and Roger's degrees of freedom are Satterthwaite's. The parameters are
    the elements of an unstructured sigma, in which it is linear, so the term in second derivatives vanishes: this is
    SAS's KR for TYPE=UN and mmrm's Kenward-Roger-Linear.
    Source: Kenward & Roger 1997, Biometrics 53:983.
    """

    @cached_property
    def covariance(self) -> Floats:
        phi, inverses = self.fit.evaluation.covariance, self.fit.evaluation.inverses
        directions = self.structure.derivatives(self.fit.parameters)
        turned = [inverses @ direction @ inverses for direction in directions]
        first = [gls_information(self.patterns, weight) for weight in turned]
        spread = np.linalg.inv(self.information)
        excess = np.zeros_like(phi)
        for i, left in enumerate(turned):
            for j, direction in enumerate(directions):
                second = gls_information(self.patterns, left @ direction @ inverses)
                excess += spread[i, j] * (second - first[i] @ phi @ first[j])
        return phi + 2 * phi @ ((excess + excess.T) / 2) @ phi


@dataclass(frozen=True)
class Clustered:
    """The sandwich variance, scores summed by cluster, without small-sample factor (CR0).

    Degrees of freedom by Satterthwaite's rule for the sandwich with the fitted covariance as working model.
    Sources: Liang & Zeger 1986, Biometrika 73:13; Bell & McCaffrey 2002, Survey Methodology 28:169.
    """

    patterns: Patterns
    fit: CovarianceFit
    data: RepeatedMeasures

    @cached_property
    def covariance(self) -> Floats:
        bread = self.fit.evaluation.covariance
        by_visit = self.patterns.maps @ self.fit.evaluation.coefficients
        residual = self.data.outcomes - self.patterns.centre - self.data.base @ by_visit.T
        scores = self._sums(self._scores(self._weighted(residual)))
        return bread @ (scores.T @ scores) @ bread

    def degrees_of_freedom(self, combinations: Floats) -> Floats:
        return np.array([self._degrees(combination) for combination in combinations])

    def _degrees(self, combination: Floats) -> float:
        """Return (tr P)^2 / tr(P P) of the quadratic form in the outcomes that the sandwich is, without forming P.

        With h = X C l by subject, P has a_c - b_c'C b_c on its diagonal and -b_c'C b_d off it, where a = h'W h and
        b = X'W h are summed over the subjects of a cluster; weights count as precision in the working model.
        """
        bread = self.fit.evaluation.covariance
        h = self.data.base @ (self.patterns.maps @ (bread @ combination)).T
        weighted = self._weighted(h)
        a = self._sums((weighted * h).sum(axis=1, keepdims=True))[:, 0]
        b = self._sums(self._scores(weighted))
        shared = np.einsum("cp,pq,cq->c", b, bread, b)
        crossed = bread @ (b.T @ b)
        trace = (a - shared).sum()
        squares = (a**2).sum() - 2 * (a * shared).sum() + np.trace(crossed @ crossed)
        return float(trace**2 / squares) if squares > 0 else np.nan

    def _weighted(self, values: Floats) -> Floats:
        """Return W times the values of each subject times its weight, zero where unseen, shape (n, v)."""
        result = np.empty_like(values)
        case = self.data.weights[:, None]
        for k, (seen, inverse) in enumerate(zip(self.patterns.seen, self.fit.evaluation.inverses, strict=True)):
            rows = np.flatnonzero(self.patterns.of_subject == k)
            result[rows] = np.where(seen, values[rows], 0.0) @ inverse * case[rows]
        return result

    def _scores(self, weighted: Floats) -> Floats:
        """Return X' times the weighted values of each subject, shape (n, p)."""
        maps = self.patterns.maps
        scores = np.zeros((len(weighted), maps.shape[2]))
        for column, j in np.argwhere(maps.any(axis=0)):
            # the maps are mostly zeros: most coefficients stand on one base column, at one visit or at all
            scores[:, j] += self.data.base[:, column] * (weighted @ maps[:, column, j])
        return scores

    def _sums(self, rows: Floats) -> Floats:
        alone = self.data.clusters.max() + 1 == len(rows)
        return rows if alone else cluster_sums(rows, self.data.clusters)
