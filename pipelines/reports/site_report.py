"""The report of one treating site: itself named, all others not, from the same content model and the same gate.

Every count comes from the release's one ledger, so that a site's report beside the network's (or all sites' reports
together) gives away no small count.
"""

from typing import Any

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Document, KeyFigure, KeyFigures, Sentence, Shown, Summary
from pipelines.reports.report import NOTICE, numbered, stamp
from pipelines.reports.sections import completeness, sites
from pipelines.reports.sections.site_figures import chart_signals, is_shown
from pipelines.reports.study import Study

_INDICATORS = "results.site_indicators"
_SIGNALS = "results.site_indicators (signal); results.site_cusum (signal)"
_LOOK = "Look at the data first, then at case mix, then at care ([treating sites](#sites))."


def site_report(study: Study, site: str) -> Document:
    """The report of one site of a study whose gate is set.

    Raises:
        LookupError: the release has no such treating site.
    """
    if site not in sites.site_names(study):
        raise LookupError(f"the release has no treating site {site}; name one of its pseudonyms")
    release = study.release_fact("release") or "unnamed"
    parts = (sites.sites(study, site), completeness.completeness(study, site))
    return Document(
        title=f"Site {site}: {wording.inside(study.protocol.title)}",
        subtitle=f"Report to the site, release {release}",
        release=release,
        protocol=f"{study.protocol.name} {study.protocol.version}",
        summary=_summary(study, site),
        sections=numbered(parts),
        stamp=stamp(study, release),
        notice=NOTICE,
        keywords=(study.protocol.condition, "registry", "quality"),
    )


def _summary(study: Study, site: str) -> Summary:
    mine = [(i, row) for i, rows in sites.judged(study) for row in rows.filter(site_id=site).iter_rows(named=True)]
    review = [
        f"Signal for review: {_label(study, indicator)}, {sites.direction(row)}. {_LOOK}"
        for indicator, row in mine
        if row["signal"]
    ]
    review += [
        f"Signal for review: over this site's patients in order the CUSUM reached its limit for "
        f"{_label(study, indicator)}. {_LOOK}"
        for indicator, marked in chart_signals(study).items()
        if site in marked
    ]
    figures = [
        KeyFigure(
            study.gate.count(keys.at_site(site)), "patients", "first tier given at this site", "analysis.subjects"
        ),
        KeyFigure(Shown(str(len(review))), "for review", "points below", _SIGNALS),
    ]
    certainty = (
        "Figures are observed over expected: 1 is what such patients have over all sites of the network. They allow "
        "for recorded case mix only.",
        "A figure within its limits is no proof of being ordinary; with few patients little can be seen.",
    )
    none = "No outcome of this site could be judged in this release."
    return Summary(
        KeyFigures(tuple(figures)),
        tuple(Sentence(text, _INDICATORS) for text in [_sentence(study, *one) for one in mine] or [none]),
        tuple(Sentence(text, "protocol (sites, covariates)") for text in certainty),
        tuple(Sentence(text, _SIGNALS) for text in review or ["Nothing reached a threshold for review."]),
    )


def _label(study: Study, indicator: str) -> str:
    return wording.inside(sites.indicator_label(study, indicator))


def _sentence(study: Study, indicator: str, row: dict[str, Any]) -> str:
    label = sites.indicator_label(study, indicator)
    if not is_shown(study, row) or row["estimate"] is None:
        return f"**{label}:** not shown ({row['reason'] or 'small counts'})."
    text = f"{numbers.fixed(row['estimate'], 2)} (95 % CI {numbers.interval(row['ci_low'], row['ci_high'], 2)})"
    shown = study.gate.text(text, keys.site_subjects(indicator, str(row["site_id"])))
    return f"**{label}:** observed over expected {shown}."
