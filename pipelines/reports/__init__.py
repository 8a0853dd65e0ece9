"""Reports: one content model, the disclosure gate in front of it, and two renderers (HTML and PDF) behind it.

`content.py` says what a report consists of, `gate.py` (with `counts.py` and `suppression.py`) what may leave,
`sections/` what the committee report says, `figures/` and `style.py` how figures look, `html.py` and `pdf.py` how pages
look. No estimate is made here: every number comes from a table of the snapshot.
"""

from pipelines.reports.content import Document
from pipelines.reports.data_quality import build_data_quality
from pipelines.reports.html import render_html
from pipelines.reports.pdf import render_pdf
from pipelines.reports.report import build_report, report_of
from pipelines.reports.sections.sites import site_names
from pipelines.reports.site_report import site_report
from pipelines.reports.study import Study

__all__ = [
    "Document",
    "Study",
    "build_data_quality",
    "build_report",
    "render_html",
    "render_pdf",
    "report_of",
    "site_names",
    "site_report",
]
