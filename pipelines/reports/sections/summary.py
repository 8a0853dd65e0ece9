"""Page one: what was found, how sure it is and what needs review, in sentences made from the results by rules."""

import polars as pl

from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Figure, KeyFigure, KeyFigures, Sentence, Shown, Summary
from pipelines.reports.findings import Finding, hazards_of, of_endpoint, of_outcome, times_of
from pipelines.reports.sections.changes import change_sentences
from pipelines.reports.sections.comparison import outcome_panels, traces
from pipelines.reports.sections.sites import signal_sentences
from pipelines.reports.sentences import estimate_text, question
from pipelines.reports.study import Study

_REVIEWED = "outcomes.completeness; results.diagnostics; results.site_indicators; results.site_cusum; quality.checks"


def summary(study: Study) -> Summary:
    """The first page."""
    findings = primary_findings(study)
    review = review_sentences(study, findings)
    return Summary(
        _key_figures(study, findings, review),
        tuple(found_sentences(study, findings)),
        tuple(certainty_sentences(study, findings)),
        tuple(review) or (Sentence("Nothing reached a threshold for review.", _REVIEWED),),
        _figure(study),
        tuple(change_sentences(study)),
    )


def primary_findings(study: Study) -> list[tuple[str, list[Finding]]]:
    """Findings by primary question, the contrasts' own endpoints last."""
    found = []
    for asked in study.protocol.primary.outcomes:
        name = f"{study.protocol.instrument(asked.outcome).short_label} at {study.window_label(asked.window)}"
        findings = [f for f in of_outcome(study, asked.outcome, asked.window) if f.leading is not None]
        found.append((name, findings))
    times = [f for c in study.protocol.contrasts if (f := times_of(study, c)).leading is not None]
    last = [ends[-1] for c in study.protocol.contrasts if (ends := of_endpoint(study, c))]
    if times:
        horizon = numbers.horizon(study.protocol.primary.endpoint_horizon_days)
        found.append((f"Time lost to a later operation within {horizon}, as each contrast counts it", times))
    elif last:
        found.append(("Later operation, as each contrast counts it", last))
    return found


def found_sentences(study: Study, findings: list[tuple[str, list[Finding]]]) -> list[str]:
    """One sentence or two for each question."""
    said: list[str] = [_found(study, name, found) for name, found in findings if found]
    said += _hazard_sentence(study)
    if said:
        return said
    return [Sentence(_first_look(study), "results.trajectories (method = observed mean)")]


def _found(study: Study, name: str, findings: list[Finding]) -> Sentence:
    """What was found for a question, with the contrasts that it tells of."""
    leading = [(f, f.leading) for f in findings if f.leading is not None]
    told = [(f"{f.outcome}, {study.versus(f.contrast)}", found.trace) for f, found in leading if found.trace]
    times = any(found.measure == "difference in time lost" for _, found in leading)
    table = "results.restricted_times (measure = difference)" if times else "results.contrasts"
    outcomes = ", ".join(dict.fromkeys(f.outcome for f in findings))
    return Sentence(question(study, name, findings), f"{table}: {outcomes}", told)


def _hazard_sentence(study: Study) -> list[Sentence]:
    """Adjusted hazard ratios where incidence itself has no adjusted comparison."""
    parts, told = [], []
    for contrast in study.protocol.contrasts:
        leading = [*of_endpoint(study, contrast)[-1:], times_of(study, contrast)]
        ratio = hazards_of(study, contrast).adjusted
        if ratio is None or ratio.value is None or any(f.adjusted is not None for f in leading):
            continue
        parts.append(f"{study.versus(contrast)} {estimate_text(study, ratio, '').replace(' (', ' (95 % CI ')}")
        told.append((study.versus(contrast), ratio.trace))
    if not parts:
        return []
    text = f"**The same, adjusted for case mix** (hazard ratios, secondary): {'; '.join(parts)}."
    return [Sentence(text, "results.hazard_ratios (view = index)", [one for one in told if one[1]])]


def _first_look(study: Study) -> str:
    """Where nothing is compared: the means at the first primary question, without judgement."""
    for asked in study.protocol.primary.outcomes:
        rows = study.trajectory(asked.outcome, "observed mean")
        rows = rows.filter(pl.col("window") == asked.window) if rows.height else rows
        label = study.protocol.instrument(asked.outcome).short_label
        parts = []
        for tier in study.tiers:
            mine = rows.filter(pl.col("tier") == tier) if rows.height else rows
            if mine.height:
                shown = study.gate.number(mine["estimate"][0], 1, keys.seen(asked.outcome, asked.window, tier))
                parts.append(f"{shown} with {study.in_words(tier)}")
        if parts:
            return (
                f"**{label}, {study.window_label(asked.window).lower()}:** on average {numbers.listed(parts)}. "
                "The protocol asks for no comparison between tiers."
            )
    return "The protocol asks for no comparison between tiers, and no primary outcome was recorded."


# ------------------------------------------------------------------------------------------------------------ certainty


def certainty_sentences(study: Study, findings: list[tuple[str, list[Finding]]]) -> list[Sentence]:
    """How far the findings can be trusted: completeness, diagnostics, multiplicity, negative control, linkage."""
    text = (
        "These are **associations** in routine care, adjusted for recorded case mix only; they do not show what a "
        "treatment causes."
    )
    said = [Sentence(text, "protocol (covariates)")]
    rules = (
        (_completeness(study), "outcomes.completeness"),
        (_diagnostics(study, findings), "results.contrasts (status); results.diagnostics"),
        (_control(study), "results.diagnostics (check = negative control)"),
    )
    said += [Sentence(text, source) for text, source in rules if text]
    linkage = study.release_fact("linkage")
    if linkage and study.protocol.endpoints:
        text = f"Later operations and deaths are seen through: {linkage}. What happens elsewhere is missed."
        said.append(Sentence(text, "raw.release (linkage)"))
    return said


def _completeness(study: Study) -> str:
    target = study.protocol.diagnostics.completeness_target
    parts = []
    for asked in study.protocol.primary.outcomes:
        shares = [s for t in study.tiers if (s := _share(study, asked.outcome, asked.window, t)) is not None]
        if shares:
            label = study.protocol.instrument(asked.outcome).short_label
            low, high = min(shares), max(shares)
            span = numbers.percent(low) if low == high else f"{numbers.percent(low)} to {numbers.percent(high)}"
            parts.append(
                f"{wording.inside(label)} at {study.window_label(asked.window)} is known for {span} of those due"
            )
    if not parts:
        return ""
    return f"By tier, {numbers.listed(parts)} (target {numbers.percent(target)}; [completeness](#completeness))."


def _share(study: Study, outcome: str, window: str, tier: str) -> float | None:
    return study.gate.drawn_share(keys.observed(outcome, window, tier), keys.expected(outcome, window, tier))


def _diagnostics(study: Study, findings: list[tuple[str, list[Finding]]]) -> str:
    asked = [f for _, found in findings for f in found]
    if not asked:
        return ""
    shown = sum(f.verdict in ("clear", "suggestive", "unclear") for f in asked)
    if shown == len(asked):
        return f"All {len(asked)} primary comparisons passed their diagnostics."
    return (
        f"{shown} of {len(asked)} primary comparisons passed their diagnostics; the others are [withheld](#withheld)."
    )


def _control(study: Study) -> str:
    frame = study.snapshot["results.diagnostics"]
    if frame.is_empty():
        return ""
    control = frame.filter(pl.col("check").str.starts_with("negative control"))
    judged = control.filter(pl.col("verdict").is_in(["passed", "failed"]))
    if judged.is_empty():
        return ""
    passed = judged.filter(pl.col("verdict") == "passed").height
    if passed == judged.height:
        return (
            f"An event that no tier can affect differed in none of the {passed} comparisons where it could be judged."
        )
    return f"An event that no tier can affect differed in {judged.height - passed} of {judged.height} comparisons."


# --------------------------------------------------------------------------------------------------------------- review


def review_sentences(study: Study, findings: list[tuple[str, list[Finding]]]) -> list[str]:
    """Signals for review, each with the rule that raised it."""
    rules = (
        (_low_completeness(study), "outcomes.completeness, by tier"),
        (_low_sites(study), "outcomes.completeness, by site"),
        (_failed_checks(study), "quality.checks"),
        (_withheld(study, findings), "results.contrasts (status); results.diagnostics (verdict = failed)"),
    )
    said: list[str] = [Sentence(text, source) for texts, source in rules for text in texts]
    return [*said, *signal_sentences(study)]


def _low_completeness(study: Study) -> list[str]:
    target = study.protocol.diagnostics.completeness_target
    parts = []
    for asked in study.protocol.primary.outcomes:
        shares = [_share(study, asked.outcome, asked.window, t) for t in study.tiers]
        low = [share for share in shares if share is not None and share < target]
        if low:
            label = wording.inside(study.protocol.instrument(asked.outcome).short_label)
            parts.append(f"{label} at {study.window_label(asked.window)} in {len(low)} of {len(study.tiers)} tiers")
    if not parts:
        return []
    said = f"Signal for review: fewer than {numbers.percent(target)} of those due were seen for {numbers.listed(parts)}"
    return [f"{said} ([completeness](#completeness))."]


def _low_sites(study: Study) -> list[str]:
    frame = study.snapshot["outcomes.completeness"]
    sites = sorted(frame["site_id"].unique().to_list()) if frame.height else []
    target = study.protocol.diagnostics.completeness_target
    worst: set[str] = set()
    for asked in study.protocol.primary.outcomes:
        shares = {s: _share(study, asked.outcome, asked.window, s) for s in sites}
        worst |= {s for s, share in shares.items() if share is not None and share < target}
    if not worst or len(sites) < 2:
        return []
    return [f"Signal for review: {len(worst)} of {len(sites)} sites are below that target at a primary visit "
            "([completeness by site](#table-sites))."]  # fmt: skip


def _failed_checks(study: Study) -> list[str]:
    frame = study.snapshot["quality.checks"]
    if frame.is_empty():
        return []
    is_open = pl.col("verdict").is_in(["failed", "error"]) & (pl.col("kind") != "disclosure")  # the steward's affair
    open_checks = frame.filter(is_open)
    if open_checks.is_empty():
        return []
    meanings = open_checks["meaning"].to_list()
    names = "; ".join(m.rstrip(".") for m in meanings[:3]) + ("; …" if len(meanings) > 3 else "")
    return [f"Signal for review: {len(meanings)} data {'check' if len(meanings) == 1 else 'checks'} did not pass "
            f"({names}; [data quality](#quality))."]  # fmt: skip


def _withheld(study: Study, findings: list[tuple[str, list[Finding]]]) -> list[str]:
    hidden = [(name, f) for name, found in findings for f in found if f.verdict in ("withheld", "not estimable")]
    if not hidden:
        return []
    names = dict.fromkeys(study.versus(f.contrast) for _, f in hidden)
    return [f"No figure is given for {len(hidden)} primary {'comparison' if len(hidden) == 1 else 'comparisons'} "
            f"({numbers.listed(list(names))}); [reasons](#withheld)."]  # fmt: skip


# -------------------------------------------------------------------------------------------------- figures of page one


_VERDICTS = "results.contrasts (is_primary, status); results.restricted_times (measure = difference)"


def _key_figures(study: Study, findings: list[tuple[str, list[Finding]]], review: list[str]) -> KeyFigures:
    asked = [f for _, found in findings for f in found]
    items = [
        KeyFigure(
            study.gate.count(keys.patients()),
            "patients",
            f"first tier after enrolment, {len(study.tiers)} tiers",
            "analysis.subjects",
        )
    ]
    if asked:
        clear = sum(f.verdict == "clear" for f in asked)
        shown = sum(f.verdict in ("clear", "suggestive", "unclear") for f in asked)
        if shown:
            note = "primary comparisons that may be shown"
            items.append(KeyFigure(Shown(f"{clear} of {shown}"), "clear differences", note, _VERDICTS))
        withheld = Shown(str(len(asked) - shown))
        items.append(KeyFigure(withheld, "withheld", "primary comparisons the data cannot carry", _VERDICTS))
    items.append(KeyFigure(Shown(str(len(review))), "for review", "points below", _REVIEWED))
    return KeyFigures(tuple(items))


def _figure(study: Study) -> Figure | None:
    """The forest plots of the primary questions, for those who would rather look."""
    panels = outcome_panels(study, study.protocol.primary.outcomes)
    if not panels:
        return None
    return Figure(
        "figure-primary",
        "Primary questions",
        tuple(panels),
        "Squares: adjusted for case mix, with 95 % intervals; open circles: not adjusted. Grey: too small to matter.",
        source="results.contrasts (is_primary)",
        traces=traces(study, study.protocol.primary.outcomes),
    )
