"""Adjustment of p-values for the number of questions asked.

Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
"""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm-adjusted p-values; a missing one (withheld, not estimable) counts as a question and stays missing.

    The missing ones are taken to be 1, so that the others are adjusted for all questions asked.
    """
    order = np.argsort([1.0 if p is None else p for p in p_values], kind="stable")
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        p = p_values[index]
        if p is not None:
            running = max(running, min(1.0, (len(p_values) - rank) * p))
            adjusted[index] = running
    return adjusted
