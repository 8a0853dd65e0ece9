"""What a failed diagnostic does: it withholds.

Belongs here: looking failed checks up, and blinding the rows they concern. Does not belong here: the checks
(`diagnostics`), or the suppression of small counts (the report's gate).

A failed check withholds every estimate of its contrast, outcome and window: the row stays, its numbers go, the reason
is given. Source: Schuemie et al. 2018, Phil. Trans. R. Soc. A 376:20170356 (blinding until diagnostics pass).

Crossover reaches less far: it withholds the hypothetical strategy only. There the few who stayed stand for all who
escalated; under treatment policy a later operation is part of what the tier led to, and nobody is stood for.
"""

import polars as pl

from pipelines.analyses.checks import CROSSOVER, FAILED
from pipelines.analyses.rows import HYPOTHETICAL, withhold


class Gate:
    """The failed checks of `results.diagnostics`, looked up by contrast, outcome and window."""

    def __init__(self, diagnostics: pl.DataFrame) -> None:
        failed = diagnostics.filter(pl.col("verdict") == FAILED)
        self._failed = failed.select("contrast", "outcome", "window", "check").rows()

    def reason(self, contrast: str, outcome: str, window: str | None, strategy: str | None = None) -> str | None:
        """Why a contrast is withheld under a strategy for escalation, or None.

        A check without outcome or window holds for all of them; crossover for the hypothetical strategy only.
        """
        checks = [
            check
            for of_contrast, of_outcome, of_window, check in self._failed
            if of_contrast == contrast and of_outcome in (None, outcome) and of_window in (None, window)
            if check != CROSSOVER or strategy == HYPOTHETICAL
        ]
        return f"failed: {', '.join(dict.fromkeys(checks))}" if checks else None


def withhold_failed(rows: pl.DataFrame, gate: Gate, outcome: str, window: str | None) -> pl.DataFrame:
    """The rows with those blinded whose contrast fails; `outcome` and `window` name the columns to look up.

    Rows that have a `strategy` are held to what reaches that strategy.
    """
    reasons = [
        gate.reason(row["contrast"], row[outcome], row[window] if window else None, row.get("strategy"))
        if row["contrast"]
        else None
        for row in rows.iter_rows(named=True)
    ]
    return withhold(rows, reasons)
