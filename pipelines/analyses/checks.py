"""One row of `results.diagnostics`: a value, its limit, and the verdict that follows.

Nothing here knows how a value is found.
"""

PASSED, FAILED, NOT_APPLICABLE = "passed", "failed", "not applicable"
# The one check that reaches a single strategy (see `gate`).
CROSSOVER = "crossover"

Row = dict[str, object]


def at_least(
    contrast: str,
    check: str,
    value: float | None,
    minimum: float,
    note: str,
    outcome: str | None = None,
    window: str | None = None,
) -> Row:
    """A check that passes where the value reaches the minimum; without a value it is not applicable."""
    return _row(contrast, check, value, minimum, value is not None and value >= minimum, note, outcome, window)


def at_most(
    contrast: str,
    check: str,
    value: float | None,
    maximum: float,
    note: str,
    outcome: str | None = None,
    window: str | None = None,
) -> Row:
    """A check that passes where the value does not exceed the maximum; without a value it is not applicable."""
    return _row(contrast, check, value, maximum, value is not None and value <= maximum, note, outcome, window)


def not_applicable(contrast: str, check: str, threshold: float, why: str) -> Row:
    """A check that the data or the protocol gives nothing for."""
    return _row(contrast, check, None, threshold, False, why, None, None)


def _row(
    contrast: str,
    check: str,
    value: float | None,
    threshold: float,
    is_passed: bool,
    note: str,
    outcome: str | None,
    window: str | None,
) -> Row:
    verdict = NOT_APPLICABLE if value is None else PASSED if is_passed else FAILED
    return {
        "contrast": contrast,
        "outcome": outcome,
        "window": window,
        "check": check,
        "value": None if value is None else float(value),
        "threshold": float(threshold),
        "verdict": verdict,
        "note": note,
    }
