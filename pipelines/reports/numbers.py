"""How numbers read in the report: rounding, signs, percentages, intervals, p-values, horizons.

One way for all tables, figures and sentences. Whether a number may be printed at all is for `gate.py`.
"""

import math

MINUS = "−"
NBSP = "\u202f"  # narrow no-break space, before a unit
ABSENT = "–"
MONTH_DAYS = 30.4375  # a year of 365.25 days has twelve


def fixed(value: float | None, digits: int = 1) -> str:
    """A number with that many decimals, a true minus sign, and no minus before a rounded zero."""
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:,.{digits}f}"
    if not any(ch in "123456789" for ch in text):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 1) -> str:
    """As `fixed`, with a plus sign before what is above zero."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and value > 0 and any(ch in "123456789" for ch in text) else text


def count(value: int) -> str:
    """A whole number with commas between thousands."""
    return f"{value:,}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as a percentage."""
    if share is None or not math.isfinite(share):
        return ABSENT
    return f"{fixed(100 * share, digits)}{NBSP}%"


def interval(low: float | None, high: float | None, digits: int = 1, scale: float = 1.0) -> str:
    """Both limits, joined by `to` so that no dash can be taken for a minus."""
    if low is None or high is None:
        return ABSENT
    return f"{fixed(scale * low, digits)} to {fixed(scale * high, digits)}"


def with_limits(value: float, low: float | None, high: float | None, digits: int = 1, scale: float = 1.0) -> str:
    """An estimate with its limits: `−0.9 (−1.4 to −0.4)`."""
    return f"{fixed(scale * value, digits)} ({interval(low, high, digits, scale)})"


def p_value(value: float | None) -> str:
    """A p-value as journals print it: two significant digits, never 0."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value < 0.001:
        return "<0.001"
    if value < 0.0995:
        return f"{value:.3f}" if value < 0.01 else f"{value:.2f}"
    return f"{min(value, 1.0):.2f}"


def horizon(days: float) -> str:
    """Days of follow-up as a clinician says them: whole months from half a year on, days otherwise."""
    months = days / MONTH_DAYS
    if abs(months - round(months)) < 0.08 and months >= 5.9:
        return f"{round(months)} months"
    return f"{days:g} days"


def listed(items: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
