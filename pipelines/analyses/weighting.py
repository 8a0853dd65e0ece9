"""Propensity weights of each contrast: one model a contrast, fitted once on its two arms, before any outcome is seen.

Belongs here: the rows, the terms and the weights of a contrast's propensity model. Does not belong here: weights for
visits that did not take place (`dropout`), balance and verdicts on it (`balance`, `comparability`), effects.

A contrast stratified by the protocol gets the interactions of its strata with every other covariate, so that its
strata are balanced each on its own; where a stratum is too small for that, main effects only. The rung is recorded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.analyses.covariates import usable
from pipelines.analyses.rows import arms, smallest_arm
from pipelines.models.propensity import Propensity, weights
from pipelines.protocol import Protocol
from pipelines.protocol_parts import Contrast

POPULATIONS = ("overlap", "ate", "att")
OVERLAP = "overlap"
UNWEIGHTED = "unweighted"
# Rows of the smaller arm within the smallest stratum, per covariate, that interactions with strata need.
ROWS_PER_INTERACTION = 5


@dataclass(frozen=True)
class Weighted:
    """A contrast's subjects (`tier` as its two arms, reference first) and the propensity model fitted on these rows.

    `terms` are the model's terms; `covariates` their plain columns; `rung` says in words how strata were handled.
    """

    contrast: Contrast
    population: str
    rows: pl.DataFrame
    covariates: Sequence[str]
    terms: Sequence[str]
    propensity: Propensity
    rung: str

    def with_outcome(self, outcome: pl.DataFrame) -> pl.DataFrame:
        """The rows in the order of the weights, joined with a frame by `episode_id`; null where it lacks a subject."""
        return self.rows.join(outcome, on="episode_id", how="left", maintain_order="left", suffix="_outcome")


def weighted_contrasts(
    subjects: pl.DataFrame, protocol: Protocol, populations: Sequence[str] = (OVERLAP,), also: Sequence[str] = ()
) -> Iterator[Weighted]:
    """The weights of every contrast both of whose arms have patients; `subjects` as from `complete_subjects`.

    `also` names complete numeric columns that the model holds beside the protocol's covariates (a baseline, say).
    """
    for contrast in protocol.contrasts:
        pair = arms(subjects, contrast)
        if smallest_arm(pair, contrast) == 0:
            continue
        rows, covariates = usable(pair, protocol)
        covariates += [name for name in also if name not in covariates and rows[name].n_unique() > 1]
        terms, rung = _terms(rows, contrast, covariates)
        for population in populations:
            fitted = weights(rows, "tier", terms, population)
            yield Weighted(contrast, population, rows, covariates, terms, fitted, rung)


def _terms(rows: pl.DataFrame, contrast: Contrast, covariates: Sequence[str]) -> tuple[list[str], str]:
    strata = [name for name in contrast.strata if name in covariates]
    if not strata:
        return list(covariates), "main effects"
    others = [name for name in covariates if name not in strata]
    smallest = rows.group_by(["tier", *strata]).len()["len"].min()
    if not isinstance(smallest, int) or smallest < ROWS_PER_INTERACTION * len(covariates):
        return list(covariates), f"main effects: a stratum of {', '.join(strata)} is too small for interactions"
    within = [f"`{stratum}`:`{other}`" for stratum in strata for other in others]
    return [*covariates, *within], f"balanced within strata of {', '.join(strata)}"
