"""The parts of the committee report, each a function from a study to a section of the content model.

A part says what it shows and how to read it; a part that the release or protocol cannot feed says so and why.
"""

from pipelines.reports.content import Callout, Section


def not_applicable(anchor: str, title: str, reason: str) -> Section:
    """A section that says why there is nothing in it."""
    return Section(anchor, title, (Callout("not applicable", "Not applicable", reason),))
