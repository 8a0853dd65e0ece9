"""Series of the report as charts that answer to the mouse, for notebooks: the same points, looks and gate.

What may be drawn has passed the gate already (`marks.Series`); nothing else enters a page. A chart needs plotly, which
is no dependency of the pipeline; its script travels inside the first chart of a page, so that the page works offline.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from math import log10
from typing import Any

from markupsafe import escape

from pipelines.reports import numbers, style
from pipelines.reports.figures.marks import Point, Series
from pipelines.reports.gate import scaled
from pipelines.reports.notebook import Output

_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"}
_charts = count(1)


def script() -> Output:
    """Plotly's own script, once for each notebook, before its first chart."""
    from plotly.offline import get_plotlyjs

    return Output(f"<script>{get_plotlyjs()}</script>", "The charts below answer to the mouse.")


def chart(
    series: Sequence[Series],
    ticks: Sequence[tuple[float, str]],
    title: str,
    axis: str,
    unit: str = "",
    digits: int = 1,
    is_log: bool = False,
    apart: float = 0.0,
    scale: int = 1,
) -> Output:
    """Lines by tier with their intervals: point at one to read it, click a tier's name to set it aside.

    Args:
        series: one a tier; their values are drawn as they are.
        ticks: where the horizontal axis is marked, as (position, label).
        title: what the chart shows.
        axis: what the height means.
        unit: written after a value, for instance ` m`.
        digits: decimals of a value.
        is_log: whether the vertical axis is logarithmic.
        apart: how far tiers stand apart at a position, so that their intervals do not hide each other.
        scale: what values are multiplied by, 100 for shares told in per cent; they keep the gate's rounding.
    """
    import plotly.graph_objects as go

    series = [_scaled(one, scale) for one in series]
    shown = [one for one in series if len(one.drawn) > 1]
    figure = go.Figure()
    for place, one in enumerate(shown):
        shift = apart * (place - (len(shown) - 1) / 2)
        figure.add_trace(_line(one, shift, dict(ticks), unit, digits))
    figure.update_layout(**_layout(axis))
    figure.update_xaxes(
        tickvals=[x for x, _ in ticks], ticktext=[label for _, label in ticks], showgrid=False, zeroline=False
    )
    figure.update_yaxes(type="log" if is_log else "linear", rangemode="tozero", gridcolor=style.FAINT, ticksuffix=unit)
    for label in _labels(shown, is_log):
        figure.add_annotation(**label)
    alt = f"Interactive line chart, {title}: {'; '.join(_in_words(one, unit, digits) for one in shown)}."
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"chart-{next(_charts)}",
                           config={"displayModeBar": False, "responsive": True})  # fmt: skip
    left = [one.label for one in series if one not in shown]
    note = f" Not drawn, too few patients: {', '.join(left)}." if left else ""
    reading = f"Point at a mark to read it; a click on a name sets a tier aside.{note}"
    return Output(
        f'<figure><figcaption><strong>{escape(title)}</strong></figcaption><div role="img" aria-label="{escape(alt)}">'
        f"{drawn}</div><p>{escape(reading)}</p></figure>",
        alt,
    )


def _scaled(series: Series, scale: int) -> Series:
    points = (
        replace(p, y=scaled(p.y, scale), low=scaled(p.low, scale), high=scaled(p.high, scale)) for p in series.points
    )
    return replace(series, points=tuple(points))


def _line(one: Series, shift: float, names: dict[float, str], unit: str, digits: int) -> Any:
    import plotly.graph_objects as go

    look, points = one.look, one.drawn
    dashes = ",".join(f"{2 * part:g}px" for part in look.dashes)
    ends = [(float(p.high or p.y or 0) - float(p.y or 0), float(p.y or 0) - float(p.low or p.y or 0)) for p in points]
    return go.Scatter(
        x=[p.x + shift for p in points],
        y=[p.y for p in points],
        error_y={"type": "data", "symmetric": False, "array": [up for up, _ in ends],
                 "arrayminus": [down for _, down in ends], "thickness": 1, "width": 0, "color": look.colour},
        name=one.label,
        mode="lines+markers",
        line={"color": look.colour, "width": 2, "dash": dashes or "solid"},
        marker={"symbol": _SYMBOLS.get(look.marker, "circle"), "size": 8, "color": look.face,
                "line": {"color": look.colour, "width": 1.5}},
        text=[_said(p, names.get(p.x, numbers.horizon(p.x)), unit, digits) for p in points],
        hovertemplate="%{text}<extra>" + str(escape(one.label)) + "</extra>",
    )  # fmt: skip


def _said(point: Point, place: str, unit: str, digits: int) -> str:
    value = numbers.fixed(point.y, digits)
    limits = f" (95 % {numbers.interval(point.low, point.high, digits)})" if point.low is not None else ""
    patients = f"<br>{point.n} patients" if point.n is not None else ""
    return f"{place}: {value}{unit}{limits}{patients}"


def _labels(shown: Sequence[Series], is_log: bool) -> list[dict[str, Any]]:
    """Each tier's name at the end of its line, moved apart where they would touch."""
    ends = [float(one.drawn[-1].y or 0) for one in shown]
    heights = [log10(y) for y in ends] if is_log else ends
    tops = [float(p.high or p.y or 0) for one in shown for p in one.drawn]
    lows = [float(p.low or p.y or 0) for one in shown for p in one.drawn]
    if not tops:
        return []
    low, high = (log10(min(lows)), log10(max(tops))) if is_log else (min(0.0, *lows), max(tops))
    places = style.spread(heights, 0.055 * (high - low), low, high)
    return [
        {"x": 1.01, "xref": "paper", "y": place, "text": f"<b>{escape(one.label)}</b>", "showarrow": False,
         "xanchor": "left", "font": {"color": one.look.colour, "size": 13}}
        for one, place in zip(shown, places, strict=True)
    ]  # fmt: skip


def _layout(axis: str) -> dict[str, Any]:
    return {
        "template": "none",
        "height": 430,
        "margin": {"l": 60, "r": 120, "t": 62, "b": 45},
        "font": {"family": "Inter, system-ui, Arial, sans-serif", "size": 13, "color": style.INK},
        "title": {"text": axis, "font": {"size": 13, "color": style.QUIET}, "x": 0, "xanchor": "left"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }


def _in_words(one: Series, unit: str, digits: int) -> str:
    first, last = (numbers.fixed(p.y, digits) for p in (one.drawn[0], one.drawn[-1]))
    return f"{one.label} from {first}{unit} to {last}{unit}"
