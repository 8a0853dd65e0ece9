"""Could the tiers be compared at all? How alike weighting made them, and whether either tier was a choice."""

from collections.abc import Sequence

import polars as pl

from pipelines.protocol_parts import Contrast
from pipelines.reports import balance, keys, numbers, overlap
from pipelines.reports.content import Block, Cell, Column, Figure, Paragraph, Row, Section, Shown, Table
from pipelines.reports.figures.love import LoveGroup, LoveRow, love_panel, reach_of
from pipelines.reports.figures.overlap import OverlapArm, OverlapBin, described, overlap_panel
from pipelines.reports.gate import LEGEND, Drawn
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study

_WORST = 8  # terms that the model leaves out, those furthest apart after weighting
_UNMODELLED = "balance of unmodelled terms"


def comparability(study: Study) -> Section:
    """Love plots, overlap of the preference score and what weighting costs, contrast by contrast."""
    title = "Could the tiers be compared?"
    if study.snapshot["results.balance"].is_empty():
        return not_applicable("balance", title, "No contrast could be weighted, so there is no balance to show.")
    lead = Paragraph(
        "Patients were not drawn by lot. Weighting makes the two groups of a contrast alike in what was recorded; the "
        "figures show how unlike they were, how alike they became, also in what the model leaves out, and whether "
        "patients of either group could have been given the other tier at all. "
        "They say nothing about what was not recorded."
    )
    blocks: list[Block] = [lead, *_balance_table(study), *love_figure(study), *overlap_figure(study)]
    return Section("balance", title, tuple(blocks))


# ----------------------------------------------------------------------------------------------------------- Love plot


def love_figure(study: Study) -> list[Figure]:
    """A Love plot a contrast; none where nothing was weighted."""
    groups = {study.versus(c): found for c in study.protocol.contrasts if (found := _love_groups(study, c))}
    if not groups:
        return []
    reach = max(reach_of(found) for found in groups.values())
    panels = [love_panel(found, reach, name, _love_alt(name, found)) for name, found in groups.items()]
    return [
        Figure(
            "figure-balance",
            "How alike the groups were before and after weighting",
            tuple(panels),
            "Circles: standardised differences as the patients came; squares: after overlap weighting, which makes the "
            "means of all terms of its model equal by design. What shows whether that was enough are the terms the "
            f"model leaves out (squares of numbers and products of two characteristics): the {_WORST} furthest apart "
            "are drawn. Broken line: the limit; for terms left out it grows by what chance alone would make of so "
            "many. Where a circle is missing, it would give away a small count.",
            source="results.balance (weighting = unweighted, overlap); results.diagnostics "
            f"(check = {_UNMODELLED}); indicators before weighting from the counts printed in table-1",
        )
    ]


def _love_groups(study: Study, contrast: Contrast) -> list[LoveGroup]:
    """The terms of a contrast's model and the worst of those it leaves out; none where nothing was weighted."""
    rows = study.snapshot.rows("results.balance", contrast=contrast.name)
    if rows.is_empty() or not (rows["weighting"] == "overlap").any():
        return []
    smallest = study.protocol.diagnostics.smd_maximum
    modelled = _love_rows(study, contrast, rows.filter("is_modelled"))
    modelled.sort(key=lambda row: -abs(row.before) if row.before is not None else 1.0)
    groups = [LoveGroup("In the model", tuple(modelled), smallest)]
    left_out = _love_rows(study, contrast, rows.filter(~pl.col("is_modelled")))
    left_out.sort(key=lambda row: -abs(row.after) if row.after is not None else 1.0)
    if left_out:
        title = f"Left out: {min(_WORST, len(left_out))} furthest apart of {len(left_out)}"
        groups.append(LoveGroup(title, tuple(left_out[:_WORST]), _limit_by_chance(study, contrast, smallest)))
    return groups


def _love_alt(name: str, groups: Sequence[LoveGroup]) -> str:
    said = [
        f"{group.title.split(':')[0].lower()}, largest before {_largest([row.before for row in group.rows])}, "
        f"after {_largest([row.after for row in group.rows])}, limit {numbers.fixed(group.limit, 2)}"
        for group in groups
    ]
    return f"Love plot of absolute standardised differences, {name}: {'; '.join(said)}."


def _love_rows(study: Study, contrast: Contrast, rows: pl.DataFrame) -> list[LoveRow]:
    found: dict[str, dict[str, Drawn | None]] = {}
    for row in rows.filter(pl.col("weighting").is_in([balance.UNWEIGHTED, "overlap"])).iter_rows(named=True):
        value = balance.shown_difference(study, row, contrast.tier, contrast.reference)
        found.setdefault(row["covariate"], {})[row["weighting"]] = value
    return [
        LoveRow(balance.label(study.protocol, term), values.get(balance.UNWEIGHTED), values.get("overlap"))
        for term, values in found.items()
    ]


def _limit_by_chance(study: Study, contrast: Contrast, otherwise: float) -> float:
    found = study.snapshot.rows("results.diagnostics", contrast=contrast.name, check=_UNMODELLED)
    return float(found["threshold"][0]) if found.height and found["threshold"][0] is not None else otherwise


def _largest(values: Sequence[Drawn | None]) -> str:
    known = [abs(value) for value in values if value is not None]
    return numbers.fixed(max(known), 2) if known else "not shown"


# ------------------------------------------------------------------------------------------------------------- overlap


def overlap_figure(study: Study) -> list[Figure]:
    """How the preference scores of both arms overlap, a panel a contrast; none where none may be shown."""
    frame = study.snapshot["results.propensity_overlap"]
    bins = {(contrast, arm): found for contrast, arm, found in overlap.histograms(frame)}
    panels, missing = [], []
    for contrast in study.protocol.contrasts:
        arms = [_arm(study, contrast, tier, bins.get((contrast.name, tier), [])) for tier in
                (contrast.tier, contrast.reference)]  # fmt: skip
        if all(len([b for b in arm.bins if b.share is not None]) > 1 for arm in arms):
            name = study.versus(contrast)
            alt = f"Mirrored histograms of the preference score, {name}. {described(arms)}."
            panels.append(overlap_panel(arms[0], arms[1], overlap.EQUIPOISE, name, alt))
        else:
            missing.append(study.versus(contrast))
    if not panels:
        return []
    left_out = f"Not drawn, for too few patients: {numbers.listed(missing)}." if missing else ""
    return [
        Figure(
            "figure-overlap",
            "Could patients of either group have been given the other tier?",
            tuple(panels),
            "The preference score is the probability of the higher tier given what was recorded, corrected for how "
            "common the tiers are: at 0.5 a patient was as likely to get the one as the other. Above the line patients "
            "of the higher tier, below it those of the lower one; height is the share per tenth of the score. Shaded: "
            "0.3 to 0.7, where either was a real choice (Walker 2013); half of both groups there speaks for a fair "
            "comparison. Bars at the ends without a counterpart are patients who could hardly have had the other tier; "
            "overlap weights let them count little.",
            source="results.propensity_overlap",
            notes=tuple(
                note
                for note in (
                    f"Neighbouring bars are merged until each holds nobody or at least {study.gate.minimum} patients.",
                    left_out,
                    LEGEND,
                )
                if note
            ),
        )
    ]


def _arm(study: Study, contrast: Contrast, tier: str, bins: Sequence[tuple[float, float, int]]) -> OverlapArm:
    whole = keys.patients(tier)
    drawn = [
        OverlapBin(b.low, b.high, study.gate.rough_share(keys.preference(contrast.name, tier, b.low, b.high), whole))
        for b in overlap.merged_bins(bins, study.gate.minimum)
    ]
    middle = keys.preference(contrast.name, tier, *overlap.EQUIPOISE)
    share = study.gate.share(middle, whole) if study.gate.knows(middle) else Shown(numbers.ABSENT, is_withheld=True)
    return OverlapArm(study.short(tier), study.rank(tier), tuple(drawn), share)


# --------------------------------------------------------------------------------------------------------------- table


def _balance_table(study: Study) -> list[Table]:
    """How far apart means, variances and distributions were and became, in the model and out of it."""
    frame = study.snapshot["results.balance"].filter(pl.col("weighting").is_in([balance.UNWEIGHTED, "overlap"]))
    rows: list[Row] = []
    for contrast in study.protocol.contrasts:
        mine = frame.filter(pl.col("contrast") == contrast.name)
        rows.append(Row((study.versus(contrast),), "group"))
        for is_modelled, label in ((True, "In the model"), (False, "Left out of it")):
            terms = mine.filter(pl.col("is_modelled") == is_modelled)
            if terms.height:
                worth = _effective(study, contrast) if is_modelled else ""
                rows.append(Row((label, *_furthest(study, terms, contrast), worth), indent=1))
    limits = study.protocol.diagnostics
    before_after = ("Before", "After")
    return [
        Table(
            "table-balance",
            "How alike the groups were made",
            (
                Column("Terms", "left"),
                *[Column(head, group="Standardised difference") for head in before_after],
                *[Column(head, group="Ratio of variances") for head in before_after],
                *[Column(head, group="Kolmogorov–Smirnov") for head in before_after],
                Column("Effective sample size"),
            ),
            tuple(rows),
            reading="The term furthest apart, before and after overlap weighting. Groups count as alike up to "
            f"{numbers.fixed(limits.smd_maximum, 2)} of a standardised difference or distance and a ratio of variances "
            f"up to {limits.variance_ratio_maximum:g} (larger over smaller), and beyond what chance makes of so many "
            "terms. Weighting makes the means in its model alike by design; what it leaves out (squares, products of "
            "two) tells more. Variances and distributions are those of numbers: of what is counted they would give "
            "counts away. Effective sample size: how many unweighted patients the smaller arm is worth.",
            source="results.balance (weighting = unweighted, overlap); results.diagnostics (check = effective sample "
            "size)",
        )
    ]


def _furthest(study: Study, terms: pl.DataFrame, contrast: Contrast) -> list[Cell]:
    """The largest difference, ratio of variances and distance among these terms, each before and after weighting."""
    pair = (contrast.tier, contrast.reference)
    return [
        found(study, terms, weighting, *pair)
        for found in (balance.furthest, balance.furthest_ratio, balance.furthest_distance)
        for weighting in (balance.UNWEIGHTED, "overlap")
    ]


def _effective(study: Study, contrast: Contrast) -> Cell:
    """What the smaller arm is worth after weighting."""
    frame = study.snapshot.rows("results.diagnostics", contrast=contrast.name)
    if frame.is_empty():
        return numbers.ABSENT
    sizes = frame.filter(pl.col("check").str.starts_with("effective sample size"))["value"].drop_nulls()
    arms = [keys.patients(tier) for tier in (contrast.tier, contrast.reference)]
    return study.gate.effective(float(sizes[0]), *arms) if len(sizes) else numbers.ABSENT
