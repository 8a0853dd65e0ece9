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
    band: float | None = None,
    target: float | None = None,
) -> Output:
    """Lines by tier with their intervals: point at one to read it, click a tier's name to set it aside.

    Args:
        series: one a tier, or one a contrast in the looks of its higher tier; values are drawn as they are.
        ticks: where the horizontal axis is marked, as (position, label).
        title: what the chart shows.
        axis: what the height means.
        unit: written after a value, for instance ` m`.
        digits: decimals of a value.
        is_log: whether the vertical axis is logarithmic.
        apart: how far tiers stand apart at a position, so that their intervals do not hide each other.
        scale: what values are multiplied by, 100 for shares told in per cent; they keep the gate's rounding.
        band: where values are differences: those up to this one are held too small to matter, and shaded.
        target: the height that is aimed at, drawn as a broken line.
    """
    series = [_scaled(one, scale) for one in series]
    shown = [one for one in series if len(one.drawn) > 1]
    figure = _figure(shown, dict(ticks), unit, digits, apart)
    figure.update_xaxes(
        tickvals=[x for x, _ in ticks], ticktext=[_narrow(label) for _, label in ticks], tickangle=0,
        showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_yaxes(type="log" if is_log else "linear", rangemode="tozero", gridcolor=style.FAINT, ticksuffix=unit,
                        zeroline=False)  # fmt: skip
    if band is not None:
        figure.add_hrect(-band, band, fillcolor=style.BAND, line_width=0, layer="below")
        figure.add_hline(0, line={"color": style.QUIET, "width": 1}, layer="below")
    if target is not None:
        figure.add_hline(target, line={"color": style.QUIET, "width": 1, "dash": "2px,4px"}, layer="below",
                         annotation={"text": f"target {target:g}{unit}", "font": {"color": style.QUIET, "size": 12}},
                         annotation_position="top right")  # fmt: skip
    for label in _labels(shown, is_log):
        figure.add_annotation(**label)
    widest = max((len(line) for one in shown for line in _broken(one.label).split("<br>")), default=0)
    figure.update_layout(height=430, margin={"l": 48, "r": 20 + 8 * widest, "t": 52, "b": 50})
    said = "; ".join(_in_words(one, unit, digits) for one in shown)
    return _output(figure, f"Interactive line chart, {title}: {said}.", title, axis, _left(series, shown, band))


def intervals(
    series: Sequence[Series], rows: Sequence[str], title: str, axis: str, digits: int = 1, band: float | None = None
) -> Output:
    """Differences with their intervals, one row under the other: point at one to read it.

    Args:
        series: one a contrast, in the looks of its higher tier; the `x` of a point is the number of its row, from 0.
        rows: what each row is, from the top.
        title: what the chart shows.
        axis: what a value means.
        digits: decimals of a value.
        band: differences up to this one are held too small to matter, and shaded.
    """
    shown = [one for one in series if one.drawn]
    figure = _figure(shown, dict(enumerate(rows)), "", digits, 0.5 / max(len(shown), 1), is_across=True)
    if band is not None:
        figure.add_vrect(-band, band, fillcolor=style.BAND, line_width=0, layer="below")
    figure.add_vline(0, line={"color": style.QUIET, "width": 1}, layer="below")
    for place, row in enumerate(rows):
        figure.add_annotation(
            x=0, xref="paper", xanchor="left", y=place - 0.38, yanchor="middle", text=str(escape(row)),
            showarrow=False, bgcolor="rgba(255,255,255,.75)", borderpad=1,
        )  # fmt: skip
    figure.update_yaxes(range=[len(rows) - 0.55, -0.65], showticklabels=False, showgrid=False, zeroline=False)
    figure.update_xaxes(gridcolor=style.FAINT, zeroline=False)
    figure.update_layout(height=100 + (26 + 13 * len(shown)) * len(rows), margin={"l": 8, "r": 12, "t": 52, "b": 36})
    said = "; ".join(f"{one.label}, {rows[int(p.x)]}: {_value(p, '', digits)}" for one in shown for p in one.drawn)
    return _output(figure, f"Interactive chart of intervals, {title}: {said}.", title, axis, _left(series, shown, 0.0))


def _figure(
    shown: Sequence[Series], names: dict[float, str], unit: str, digits: int, apart: float, is_across: bool = False
) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for place, one in enumerate(shown):
        shift = apart * (place - (len(shown) - 1) / 2)
        figure.add_trace(_marks(one, shift, names, unit, digits, is_across))
    figure.update_layout(
        template="none",
        font={"family": "Inter, system-ui, Arial, sans-serif", "size": 13, "color": style.INK},
        # as wide as the page, not as the axes: on a phone the names then stand in two rows and not in five
        legend={"orientation": "h", "xref": "container", "x": 0, "yref": "container", "y": 1, "yanchor": "top"},
        hovermode="closest",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=True,
    )
    return figure


def _output(figure: Any, alt: str, title: str, axis: str, left: str) -> Output:
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"chart-{next(_charts)}",
                           config={"displayModeBar": False, "responsive": True})  # fmt: skip
    reading = f"Point at a mark to read it; a click on a name sets it aside.{left}"
    return Output(
        f'<figure><figcaption class="title">{escape(title)}</figcaption><div class="legend">{escape(axis)}</div>'
        f'<div role="img" aria-label="{escape(alt)}">{drawn}</div><div class="legend">{escape(reading)}</div></figure>',
        alt,
    )


def _left(series: Sequence[Series], shown: Sequence[Series], band: float | None) -> str:
    """Which series are not drawn, and why; a difference may have been withheld by a diagnostic too."""
    names = ", ".join(one.label for one in series if one not in shown)
    why = "too few patients" if band is None else "withheld by a check or for too few patients"
    return f" Not drawn, {why}: {names}." if names else ""


def _scaled(series: Series, scale: int) -> Series:
    points = (
        replace(p, y=scaled(p.y, scale), low=scaled(p.low, scale), high=scaled(p.high, scale)) for p in series.points
    )
    return replace(series, points=tuple(points))


def _marks(one: Series, shift: float, names: dict[float, str], unit: str, digits: int, is_across: bool) -> Any:
    import plotly.graph_objects as go

    look, points = one.look, one.drawn
    dashes = ",".join(f"{2 * part:g}px" for part in look.dashes)
    ends = [(float(p.high or p.y or 0) - float(p.y or 0), float(p.y or 0) - float(p.low or p.y or 0)) for p in points]
    along, up = ("y", "x") if is_across else ("x", "y")
    return go.Scatter(
        {along: [p.x + shift for p in points], up: [p.y for p in points]},
        **{f"error_{up}": {"type": "data", "symmetric": False, "array": [above for above, _ in ends],
                           "arrayminus": [below for _, below in ends], "thickness": 1.5 if is_across else 1, "width": 0,
                           "color": look.colour}},
        name=one.label,
        mode="markers" if is_across else "lines+markers",
        line={"color": look.colour, "width": 2, "dash": dashes or "solid"},
        marker={"symbol": _SYMBOLS.get(look.marker, "circle"), "size": 8, "color": look.face,
                "line": {"color": look.colour, "width": 1.5}},
        text=[_said(p, names.get(p.x, numbers.horizon(p.x)), unit, digits) for p in points],
        hovertemplate="%{text}<extra>" + str(escape(one.label)) + "</extra>",
    )  # fmt: skip


def _said(point: Point, place: str, unit: str, digits: int) -> str:
    patients = f"<br>{point.n} patients" if point.n is not None else ""
    return f"{place}: {_value(point, unit, digits)}{patients}"


def _value(point: Point, unit: str, digits: int) -> str:
    value = numbers.fixed(point.y, digits)
    limits = f" (95 % {numbers.interval(point.low, point.high, digits)})" if point.low is not None else ""
    return f"{value}{unit}{limits}"


def _narrow(label: str) -> str:
    """A visit's name in two short lines, so that six stand side by side on a phone."""
    short = label.replace("months", "mo").replace("weeks", "wk").replace("Baseline", "Base-<br>line")
    return short.replace(" ", "<br>")


def _broken(label: str) -> str:
    """A contrast's name in two lines."""
    return label.replace(" vs ", "<br>vs ")


def _labels(shown: Sequence[Series], is_log: bool) -> list[dict[str, Any]]:
    """Each tier's name at the end of its line, moved apart where they would touch."""
    ends = [float(one.drawn[-1].y or 0) for one in shown]
    heights = [log10(y) for y in ends] if is_log else ends
    tops = [float(p.high or p.y or 0) for one in shown for p in one.drawn]
    lows = [float(p.low or p.y or 0) for one in shown for p in one.drawn]
    if not tops:
        return []
    low, high = (log10(min(lows)), log10(max(tops))) if is_log else (min(0.0, *lows), max(0.0, *tops))
    lines = max(_broken(one.label).count("<br>") + 1 for one in shown)
    places = style.spread(heights, (0.075 * lines - 0.02) * (high - low), low, high)
    return [
        {"x": 1, "xref": "paper", "xshift": 10, "y": place, "text": f"<b>{_broken(str(escape(one.label)))}</b>",
         "showarrow": False, "xanchor": "left", "align": "left", "font": {"color": one.look.colour, "size": 13}}
        for one, place in zip(shown, places, strict=True)
    ]  # fmt: skip


def _in_words(one: Series, unit: str, digits: int) -> str:
    first, last = (numbers.fixed(p.y, digits) for p in (one.drawn[0], one.drawn[-1]))
    return f"{one.label} from {first}{unit} to {last}{unit}"
