"""Sentences of the first page, made from findings by rules.

Words follow the house rules of `domain.md` §4 in spirit: association, never effect; `no clear difference`, never
`no difference`; signal for review, never worst. Rules: `clear` and `suggestive` findings are told each with estimate
and limits; unclear ones are named together; withheld ones are named with their reason.
"""

from collections.abc import Sequence

from pipelines.reports import numbers, wording
from pipelines.reports.findings import Estimate, Finding, importance
from pipelines.reports.study import Study


def digits_of(study: Study, outcome: str) -> int:
    """Decimals of a difference in an instrument's units: two for scales of ten points or fewer, one for others."""
    known = {i.name: i for i in study.protocol.instruments}
    if outcome not in known:
        return 1
    span = known[outcome].maximum - known[outcome].minimum
    return 2 if span <= 5 else 1


def estimate_text(study: Study, found: Estimate, outcome: str) -> str:
    """An estimate with its limits: `−0.9 (−1.4 to −0.4)`; incidence differences in percentage points."""
    if found.value is None:
        return numbers.ABSENT
    digits = _telling_digits(found, _usual_digits(study, found, outcome))
    scale = _scale(found)
    value = numbers.fixed(scale * found.value, min(digits, 2))
    return f"{value} ({numbers.interval(found.low, found.high, digits, scale)})"


def _usual_digits(study: Study, found: Estimate, outcome: str) -> int:
    if found.measure == "difference in time lost":
        return 0
    return 2 if found.is_ratio else digits_of(study, outcome)


def _scale(found: Estimate) -> float:
    return 100.0 if found.measure == "incidence difference" else 1.0


def _telling_digits(found: Estimate, digits: int) -> int:
    """As many decimals (two more at most) as it takes to see on which side of no difference the limits lie."""
    scale = _scale(found)
    for more in (digits, digits + 1, digits + 2):
        ends = [round(scale * end, more) for end in (found.low, found.high) if end is not None]
        if not found.excludes_neutral or all(end != scale * found.neutral for end in ends):
            return more
    return digits + 2


def question(study: Study, name: str, findings: Sequence[Finding]) -> str:
    """What was found for one question over all contrasts, led by the question's name in bold."""
    told = [f for f in findings if f.verdict in ("clear", "suggestive")]
    unclear = [f for f in findings if f.verdict == "unclear"]
    hidden = [f for f in findings if f.verdict in ("withheld", "not estimable")]
    parts: list[str] = []
    if told:
        parts.append(f"{numbers.listed([difference(study, f) for f in told])}.")
    if unclear:
        names = numbers.listed([study.versus(f.contrast) for f in unclear])
        parts.append(f"{'No' if not told else 'There was no'} clear difference for {names}.")
    if hidden:
        parts.append(f"Not shown: {numbers.listed([study.versus(f.contrast) for f in hidden])}.")
    if not parts:
        parts.append("No comparison is available.")
    return f"**{name}:** {wording.inside(' '.join(parts))}"


def difference(study: Study, finding: Finding) -> str:
    """One finding whose limits exclude no difference, as part of a sentence."""
    found = finding.leading
    assert found is not None
    assert found.value is not None
    tier, reference = study.in_words(finding.contrast.tier), study.in_words(finding.contrast.reference)
    remarks = [_in_units(study, finding, found), _matters(study, finding, found)]
    if finding.verdict == "suggestive":
        remarks.append("within chance once the number of comparisons is allowed for")
    if finding.adjusted is None:
        remarks.append("not adjusted for case mix")
    return f"{_direction(found)} with {tier} than with {reference} ({'; '.join(r for r in remarks if r)})"


def _direction(found: Estimate) -> str:
    is_up = found.value is not None and found.value > found.neutral
    if found.measure == "distance ratio":
        return "farther" if is_up else "less far"
    if found.measure == "difference in time lost":
        return "longer" if is_up else "shorter"
    return "higher" if is_up else "lower"


def _in_units(study: Study, finding: Finding, found: Estimate) -> str:
    text = estimate_text(study, found, finding.outcome)
    return text.replace(" (", f"{_unit(study, finding, found)}, 95 % CI ", 1).rstrip(")")


def _unit(study: Study, finding: Finding, found: Estimate) -> str:
    if found.measure == "incidence difference":
        return " percentage points"
    if found.measure == "difference in time lost":
        return " days"
    if found.is_ratio:
        return " times" if found.measure == "distance ratio" else ""
    known = {i.name: i.unit for i in study.protocol.instruments}
    return f" {known.get(finding.outcome, '')}".rstrip()


def _matters(study: Study, finding: Finding, found: Estimate) -> str:
    """How the limits lie to the difference that the protocol holds to matter between groups."""
    known = {i.name: i.between_group_threshold for i in study.protocol.instruments}
    return {
        "": "",
        "less": "too small to matter",
        "at least": "large enough to matter",
        "possibly": "perhaps too small to matter",
    }[importance(found, known.get(finding.outcome))]
