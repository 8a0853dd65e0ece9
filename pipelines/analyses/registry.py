"""The registry of analyses: which tables each reads, which table it makes, and the order that follows.

Belongs here: the `Analysis` type, the register itself and running it on frames. Does not belong here: any estimate.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter

import polars as pl

from pipelines.analyses.reads import READS, ReadsByTable, lineage
from pipelines.analyses.schemas import TABLES, ResultTable
from pipelines.protocol import Protocol

Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Analysis:
    """One result table and how it is made.

    `inputs` are table names with their stage (`analysis.subjects`, `results.diagnostics`). `compute` gets the frames
    by those names and the protocol. With `is_full_only` a protocol whose analysis set is `core` gives an empty table.
    `reads` states the columns that `compute` gets of an input; one that is not named there it gets whole.
    """

    table: ResultTable
    inputs: tuple[str, ...]
    compute: Callable[[Tables, Protocol], pl.DataFrame]
    method: str
    is_full_only: bool = False
    reads: ReadsByTable = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line for people."""
        return self.table.title

    @cached_property
    def columns(self) -> dict[str, str]:
        """Column names with their meaning, in order."""
        return dict(self.table.descriptions)

    def lineage(self, protocol: Protocol) -> dict[str, list[str]]:
        """Result columns with the `schema.table.column` they are made of, where that is stated."""
        return lineage(self.table.schema, self.reads, protocol)

    def run(self, tables: Tables, protocol: Protocol) -> pl.DataFrame:
        """The result table, with its columns in order and type."""
        if self.is_full_only and protocol.analysis_set == "core":
            return self.table.empty
        given = {name: self.reads[name].of(tables[name], protocol) for name in self.reads}
        return self.table.conform(self.compute({**tables, **given}, protocol))


def analysis(
    name: str,
    inputs: Iterable[str],
    compute: Callable[[Tables, Protocol], pl.DataFrame],
    method: str,
    full: bool = False,
) -> tuple[str, Analysis]:
    """A register entry for the result table of that name."""
    return name, Analysis(TABLES[name], tuple(inputs), compute, method, full, READS.get(name, {}))


def in_order(analyses: Mapping[str, Analysis]) -> list[str]:
    """Names of the analyses such that each stands after those whose results it reads."""
    needs = {
        name: [i.removeprefix("results.") for i in entry.inputs if i.startswith("results.")]
        for name, entry in analyses.items()
    }
    return list(TopologicalSorter(needs).static_order())


def run_analyses(analyses: Mapping[str, Analysis], tables: Tables, protocol: Protocol) -> dict[str, pl.DataFrame]:
    """All result tables by name, from the frames of the earlier stages by name."""
    known = dict(tables)
    for name in in_order(analyses):
        entry = analyses[name]
        known[f"results.{name}"] = entry.run({i: known[i] for i in entry.inputs}, protocol)
    return {name: known[f"results.{name}"] for name in analyses}
