"""The names under which counts of patients and records stand in the ledger, and under which sections ask for them.

What the counts are and how they hang together is for `counts.py`.
"""

from pipelines.protocol_parts import Contrast
from pipelines.reports.ledger import Key

ALL = "all"
NONE = "none"
MISSING = "missing"


def patients(tier: str = ALL) -> Key:
    """Patients whose first tier after enrolment this is."""
    return ("patients", tier)


def attrition(step: int, tier: str, what: str) -> Key:
    """Episodes `excluded` at a step of the flow, or `remaining` after it."""
    return ("attrition", str(step), tier, what)


def characteristic(variable: str, level: str, tier: str) -> Key:
    """Patients of a tier at one level of a covariate; the level `missing` counts those without a value."""
    return ("characteristic", variable, level, tier)


def seen(outcome: str, window: str, tier: str) -> Key:
    """Patients with a value at a visit (or baseline)."""
    return ("seen", outcome, window, tier)


def seen_in_arms(outcome: str, window: str, contrast: Contrast) -> tuple[Key, Key]:
    """Patients of a contrast's two arms seen at a visit: what an estimate of the visit rests on."""
    return seen(outcome, window, contrast.tier), seen(outcome, window, contrast.reference)


def changed(outcome: str, window: str, tier: str) -> Key:
    """Patients with a value both before treatment and at a visit, behind a mean change."""
    return ("changed", outcome, window, tier)


def at_limit(outcome: str, window: str, tier: str) -> Key:
    """Patients who walked until the test's time limit."""
    return ("at limit", outcome, window, tier)


def expected(outcome: str, window: str, group: str) -> Key:
    """Patients of a tier or site whose visit is due, from the completeness table."""
    return ("expected", outcome, window, group)


def observed(outcome: str, window: str, group: str) -> Key:
    """Those of them who were seen."""
    return ("observed", outcome, window, group)


def expected_in(outcome: str, window: str, period: str, site: str = ALL) -> Key:
    """Patients of all sites or of one, enrolled in a year or quarter, whose visit is due."""
    return ("expected in", outcome, window, period, site)


def observed_in(outcome: str, window: str, period: str, site: str = ALL) -> Key:
    """Those of them who were seen."""
    return ("observed in", outcome, window, period, site)


def responders(outcome: str, threshold: str, window: str, tier: str) -> Key:
    """Patients who responded."""
    return ("responders", outcome, threshold, window, tier)


def judged(outcome: str, threshold: str, window: str, tier: str, method: str) -> Key:
    """Patients counted in a share of responders."""
    return ("judged", outcome, threshold, window, tier, method)


def stops(outcome: str, window: str, tier: str, reason: str = ALL) -> Key:
    """Walks that ended for a reason, or all walks."""
    return ("stops", outcome, window, tier, reason)


def events(endpoint: str, tier: str, upto_days: float) -> Key:
    """Patients with the endpoint's event by a day."""
    return ("events", endpoint, tier, f"{upto_days:g}")


def responded(relapse: str, tier: str) -> Key:
    """Patients who responded, and so could relapse."""
    return ("responded", relapse, tier)


def relapsed(relapse: str, tier: str, upto_days: float) -> Key:
    """Those of them who were seen to have relapsed by a day, counted from the first responding visit."""
    return ("relapsed", relapse, tier, f"{upto_days:g}")


def crossover(tier: str, to: str) -> Key:
    """Patients whose next tier this is; `none` where none followed."""
    return ("crossover", tier, to)


def preference(contrast: str, arm: str, low: float, high: float) -> Key:
    """Patients of an arm whose preference score lies between two values."""
    return ("preference", contrast, arm, f"{low:g} to {high:g}")


def visits_kept(outcome: str, tier: str, kind: str = ALL) -> Key:
    """Patients whose visits were all due, by which of them they kept, or all of them."""
    return ("visits kept", outcome, tier, kind)


def records(table: str, what: str) -> Key:
    """Rows of a release's file that were `read`, `accepted` or `quarantined`."""
    return ("records", table, what)


def rule(table: str, name: str) -> Key:
    """Violations of a row rule."""
    return ("rule", table, name)


def check(name: str) -> Key:
    """Rows that violate a check."""
    return ("check", name)


def at_site(site: str, tier: str = ALL) -> Key:
    """Patients whose first tier was given at this site."""
    return ("at site", site, tier)


def site_subjects(indicator: str, site: str) -> Key:
    """Patients of a site that an indicator judges."""
    return ("site subjects", indicator, site)


def site_observed(indicator: str, site: str) -> Key:
    """Those of them with the event."""
    return ("site observed", indicator, site)


def site_due(indicator: str, site: str) -> Key:
    """Patients of a site whose answer was due, of whom `site_subjects` gave one."""
    return ("site due", indicator, site)


def site_charted(indicator: str, site: str, number: int) -> Key:
    """The first so many patients of a site, in its chart."""
    return ("site charted", indicator, site, f"{number}")


def site_chart(indicator: str, site: str, number: int) -> Key:
    """Patients with the event among the first so many of a site."""
    return ("site chart", indicator, site, f"{number}")
