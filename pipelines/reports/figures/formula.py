"""Formulas set by matplotlib's mathtext as SVG outlines, so that HTML and PDF show the same without a math engine."""

import matplotlib as mpl

from pipelines.reports import style
from pipelines.reports.content import Formula


def formula(tex: str, alt: str) -> Formula:
    """A formula of mathtext (the part of TeX that matplotlib knows) with its spoken form."""
    with style.house_style(), mpl.rc_context({"svg.fonttype": "path"}):
        figure = style.canvas(10, 10)
        text = figure.text(0, 0, f"${tex}$", fontsize=9.5, color=style.INK)
        box = text.get_window_extent()
        width, height = box.width / figure.dpi, box.height / figure.dpi
        figure.set_size_inches(width + 0.06, height + 0.06)
        text.set_position((0.03 / (width + 0.06), (0.03 - box.y0 / figure.dpi) / (height + 0.06)))
        return Formula(style.svg(figure), alt)
