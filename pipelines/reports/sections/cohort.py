"""Who is in the report: flow of patients, Table 1 and how complete follow-up is."""

from math import sqrt

import polars as pl

from pipelines.protocol_parts import Covariate
from pipelines.reports import keys, numbers, wording
from pipelines.reports.content import Cell, Column, Figure, Row, Section, Shown, Table
from pipelines.reports.figures.flow import FlowStep, flow_panel
from pipelines.reports.gate import ABOUT, LEGEND
from pipelines.reports.sections import not_applicable
from pipelines.reports.study import Study


def flow(study: Study) -> Section:
    """Who was left after each rule, over all tiers in the figure and by tier in the table."""
    title = "Flow of patients"
    frame = study.snapshot["outcomes.attrition"]
    if frame.is_empty():
        return not_applicable("flow", title, "The release gave no attrition table, so the way in cannot be shown.")
    steps = frame.select("step", "rule").unique("step").sort("step").rows()
    gate = study.gate
    boxes = [
        FlowStep(
            rule,
            gate.count(keys.attrition(step, keys.ALL, "remaining")),
            gate.count(keys.attrition(step, keys.ALL, "excluded")) if place else None,
        )
        for place, (step, rule) in enumerate(steps)
    ]
    ends = [(study.short(t), study.rank(t), gate.count(keys.patients(t))) for t in study.tiers]
    alt = (
        f"Flow chart. {wording.capital(boxes[0].rule)}: {boxes[0].remaining}. "
        + " ".join(f"Left out, {box.rule}: {box.excluded}; {box.remaining} remain." for box in boxes[1:])
        + " First tier: " + ", ".join(f"{label} {n}" for label, _, n in ends) + "."
    )  # fmt: skip
    figure = Figure(
        "figure-flow",
        "From the release to the patients compared",
        (flow_panel(boxes, ends, alt),),
        "Read from top to bottom: each box holds the patients that remain, each line to the right those left out and "
        "why. The last row is the first tier of each patient after enrolment, which is what the report compares.",
        source="outcomes.attrition, summed over tiers; analysis.subjects",
        notes=(study.gate.small_note, LEGEND),
    )
    return Section("flow", title, (figure, _flow_table(study, steps)))


def _flow_table(study: Study, steps: list[tuple[int, str]]) -> Table:
    groups = [t for t in (*study.tiers, keys.NONE) if _has_flow(study, steps, t)]
    columns = [Column("", "left")] + [Column("None" if t == keys.NONE else study.short(t)) for t in groups]
    rows = []
    for place, (step, rule) in enumerate(steps):
        if place:
            out: list[Cell] = [study.gate.count(keys.attrition(step, t, "excluded")) for t in groups]
            rows.append(Row((f"Left out: {rule}", *out), indent=1))
        left: list[Cell] = [study.gate.count(keys.attrition(step, t, "remaining")) for t in groups]
        rows.append(Row(("Remaining" if place else wording.capital(rule), *left), kind="total"))
    return Table(
        "table-flow",
        "Patients left out and remaining, by first tier",
        tuple(columns),
        tuple(rows),
        notes=(study.gate.small_note, LEGEND),
        source="outcomes.attrition",
    )


def _has_flow(study: Study, steps: list[tuple[int, str]], tier: str) -> bool:
    known = study.gate.decisions.ledger.counts
    asked = [keys.attrition(step, tier, "remaining") for step, _ in steps]
    return any(key in known and known[key].value for key in asked)


# ------------------------------------------------------------------------------------------------------------- Table 1


def table_one(study: Study) -> Section:
    """Characteristics before the tier began, with standardised differences between neighbours on the ladder."""
    title = "Patients by tier"
    frame = study.snapshot["results.table_one"]
    if frame.is_empty():
        return not_applicable("table-one", title, "The protocol names no characteristics known before treatment.")
    pairs = list(zip(study.tiers[1:], study.tiers[:-1], strict=True))
    columns = [Column("", "left")]
    columns += [Column(f"{study.short(t)}", group="First tier after enrolment") for t in study.tiers]
    columns += [Column(f"{_initial(study, a)}–{_initial(study, b)}", group="Standardised difference") for a, b in pairs]
    rows = [
        Row(("Patients, n", *[study.gate.count(keys.patients(t)) for t in study.tiers], *[""] * len(pairs)), "total")
    ]
    for covariate in study.protocol.covariates:
        part = frame.filter(pl.col("variable") == covariate.name)
        if part.height:
            rows += _covariate_rows(study, part, covariate, pairs)
    names = "; ".join(
        f"{_initial(study, t)} {study.short(t)}" for t in study.tiers if _initial(study, t) != study.short(t)
    )
    spelled = f"Tiers in the differences: {names}. " if names else ""
    limit = numbers.fixed(study.protocol.diagnostics.smd_maximum, 2)
    table = Table(
        "table-1",
        "Characteristics known before the tier began",
        tuple(columns),
        tuple(rows),
        reading="Mean (standard deviation) for numbers, count (per cent of the tier's patients) for the rest. A "
        "standardised "
        f"difference is a difference between two tiers in units of their pooled standard deviation; beyond ±{limit} "
        "the two groups are not alike, and an unadjusted comparison would mislead.",
        notes=(
            f"{spelled}Where no row says how many are not known, they are fewer than {study.gate.minimum} in every "
            "tier.",
            study.gate.small_note,
            LEGEND,
        ),
        source="results.table_one",
    )
    return Section("table-one", title, (table,))


def _initial(study: Study, tier: str) -> str:
    name = study.short(tier)
    return name if name.isupper() else name[:4].rstrip() + "."


def _covariate_rows(study: Study, part: pl.DataFrame, covariate: Covariate, pairs: list[tuple[str, str]]) -> list[Row]:
    if covariate.kind == "numeric":
        cells = [_mean_sd(study, part, covariate.name, t) for t in study.tiers]
        differences = [_smd_numeric(study, part, a, b) for a, b in pairs]
        rows = [Row((covariate.label, *cells, *differences))]
    elif covariate.kind == "boolean":
        cells = [_level(study, covariate.name, "true", t) for t in study.tiers]
        differences = [_smd_levels(study, covariate.name, ("true",), a, b) for a, b in pairs]
        rows = [Row((covariate.label, *cells, *differences))]
    else:
        levels = [x for x in covariate.levels if _is_used(study, covariate.name, x)]
        differences = [_smd_levels(study, covariate.name, tuple(levels), a, b) for a, b in pairs]
        rows = [Row((covariate.label, *[""] * len(study.tiers), *differences))]
        rows += [
            Row(
                (
                    wording.capital(level),
                    *[_level(study, covariate.name, level, t) for t in study.tiers],
                    *[""] * len(pairs),
                ),
                indent=1,
            )
            for level in levels
        ]
    return rows + _missing_row(study, covariate, len(pairs))


def _is_used(study: Study, variable: str, level: str) -> bool:
    known = study.gate.decisions.ledger.counts
    asked = [keys.characteristic(variable, level, t) for t in study.tiers]
    return any(key in known and known[key].value for key in asked)


def _missing_row(study: Study, covariate: Covariate, blanks: int) -> list[Row]:
    """How many are not known, where that is more than a few in some tier; a note speaks for the rest."""
    asked = [keys.characteristic(covariate.name, keys.MISSING, t) for t in study.tiers]
    if not any(study.gate.rests_on_enough(key) for key in asked):
        return []
    return [Row(("Not known, n", *[study.gate.count(key) for key in asked], *[""] * blanks), indent=1)]


def _value(part: pl.DataFrame, tier: str, statistic: str) -> float | None:
    found = part.filter((pl.col("tier") == tier) & (pl.col("statistic") == statistic))["value"]
    return float(found[0]) if len(found) and found[0] is not None else None


def _mean_sd(study: Study, part: pl.DataFrame, variable: str, tier: str) -> Cell:
    mean, sd = _value(part, tier, "mean"), _value(part, tier, "sd")
    if mean is None or sd is None:
        return numbers.ABSENT
    known = part.filter((pl.col("tier") == tier) & (pl.col("statistic") == "mean"))["count"]
    if not len(known) or int(known[0]) < study.gate.minimum:
        return Shown(f"n <{study.gate.minimum}", is_withheld=True)
    digits = 0 if abs(mean) >= 100 else 1
    return study.gate.text(f"{numbers.fixed(mean, digits)} ({numbers.fixed(sd, digits)})", keys.patients(tier))


def _level(study: Study, variable: str, level: str, tier: str) -> Cell:
    return study.gate.count_and_share(keys.characteristic(variable, level, tier), keys.patients(tier))


def _smd_numeric(study: Study, part: pl.DataFrame, tier: str, reference: str) -> Cell:
    values = [_value(part, t, s) for t in (tier, reference) for s in ("mean", "sd")]
    if any(value is None for value in values):
        return numbers.ABSENT
    a, sd_a, b, sd_b = (float(value or 0) for value in values)
    pooled = sqrt((sd_a**2 + sd_b**2) / 2)
    return _difference(study, (a - b) / pooled if pooled else 0.0, tier, reference)


def _smd_levels(study: Study, variable: str, levels: tuple[str, ...], tier: str, reference: str) -> Cell:
    """Difference of proportions over all levels (Yang and Dalton 2012); only where all of them are printed."""
    arms = [[keys.characteristic(variable, x, t) for x in levels] for t in (tier, reference)]
    if not all(study.gate.is_printed(key) for arm in arms for key in arm):
        return Shown("†", is_withheld=True)
    about = "" if all(study.gate.is_exact(key) for arm in arms for key in arm) else ABOUT
    shares = []
    for arm, t in zip(arms, (tier, reference), strict=True):
        values = [study.gate.decisions.value(key) for key in arm]
        whole = sum(values) if len(levels) > 1 else study.gate.decisions.ledger.counts[keys.patients(t)].value
        shares.append([value / whole for value in values])
    return study.gate.text(about + numbers.fixed(_distance(*shares), 2), keys.patients(tier), keys.patients(reference))


def _distance(p: list[float], q: list[float]) -> float:
    import numpy as np

    if len(p) == 1:
        spread = sqrt((p[0] * (1 - p[0]) + q[0] * (1 - q[0])) / 2)
        return (p[0] - q[0]) / spread if spread else 0.0
    a, b = np.array(p[1:]), np.array(q[1:])
    covariance = sum(np.diag(x) - np.outer(x, x) for x in (a, b)) / 2
    return float(sqrt(max(0.0, (a - b) @ np.linalg.pinv(covariance) @ (a - b))))


def _difference(study: Study, value: float, tier: str, reference: str) -> Cell:
    return study.gate.text(numbers.fixed(value, 2), keys.patients(tier), keys.patients(reference))
