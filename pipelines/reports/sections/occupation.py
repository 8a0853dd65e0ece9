"""Where patients are on the ladder over time: bands by tier of entry, and the expected months in each."""

from collections.abc import Sequence

import polars as pl

from pipelines.reports import keys, numbers
from pipelines.reports.bands import DEATH, Bands
from pipelines.reports.content import (
    Callout,
    Cell,
    Column,
    Figure,
    Panel,
    Row,
    Section,
    Sentence,
    Shown,
    Table,
)
from pipelines.reports.figures.occupation import Band, occupation_panel
from pipelines.reports.gate import WITHHELD, edges_of
from pipelines.reports.sections import not_applicable
from pipelines.reports.sections.curves import month_ticks
from pipelines.reports.study import Study

_SOURCE = "results.ladder_occupation; who may be shown from analysis.transitions"


def occupation(study: Study) -> Section:
    """Stacked state occupation of each tier of entry, and the months spent in each state."""
    title = "Where patients are on the ladder"
    if study.snapshot["results.ladder_occupation"].is_empty():
        return not_applicable("occupation", title, "No stays on the ladder were found in this release.")
    bands = {tier: _bands(study, tier) for tier in study.tiers}
    blocks: list[Figure | Table | Callout] = [occupation_figure(study, bands)]
    table = _months_table(study, bands)
    return Section("occupation", title, (*blocks, *([table] if table else [])))


def occupation_figure(study: Study, bands: dict[str, Bands] | None = None) -> Figure | Callout:
    """One panel a tier of entry; a remark where every tier has too few moves to be drawn."""
    bands = bands or {tier: _bands(study, tier) for tier in study.tiers}
    shown = [tier for tier in study.tiers if not bands[tier].is_empty]
    missing = [study.short(tier) for tier in study.tiers if tier not in shown]
    few = f"fewer than {study.gate.minimum} patients would stand behind a band or a change of one"
    if not shown:
        text = f"Where patients are over time is not drawn for any tier: {few}."
        return Callout("withheld", "Not drawn", Sentence(text, "analysis.transitions"))
    last = _last_day(study)
    notes = [f"Not drawn, because {few}: {', '.join(missing)}."] if missing else []
    ended = [f"{study.short(t)} (at {numbers.horizon(end)})" for t in shown if (end := bands[t].cuts.times[-1]) < last]
    notes += [f"Ended early for the same reason: {', '.join(ended)}."] if ended else []
    notes += [note for tier in shown if (note := _pooled(study, tier, bands[tier]))]
    return Figure(
        "figure-occupation",
        "Where patients are over time, by the tier in which they began",
        tuple(_panel(study, tier, bands[tier], last) for tier in shown),
        "Each panel follows the patients who began in one tier. The height of a band is the share of them who are in "
        "that tier at the time, or have died (Aalen–Johansen, censoring allowed for); all bands together make up every "
        "patient. Values stand at days between which enough patients moved to be shown; straight lines join them. Not "
        "adjusted for case mix.",
        source=_SOURCE,
        notes=tuple(notes),
    )


def _bands(study: Study, tier: str) -> Bands:
    return study.gate.bands(study.snapshot["analysis.transitions"], study.snapshot["analysis.time_to_event"], tier)


def _last_day(study: Study) -> float:
    return float(study.protocol.primary.all_horizons_days[-1])


def _panel(study: Study, tier: str, bands: Bands, last: float) -> Panel:
    curve = study.snapshot.rows("results.ladder_occupation", tier=tier)
    days = bands.cuts.times
    edges = edges_of(curve, bands, 2 + study.gate.decimals)
    drawn = [
        Band(_name(study, states), _rank(study, states), upper, is_death=states == (DEATH,))
        for states, upper in zip(bands.states, edges, strict=True)
    ]
    ends = [float(band.upper[-1]) for band in drawn]
    shares = [end - before for end, before in zip(ends, [0.0, *ends[:-1]], strict=True)]
    said = "; ".join(f"{band.label} {numbers.percent(share)}" for band, share in zip(drawn, shares, strict=True))
    alt = f"Stacked bands of patients who began in {study.in_words(tier)}, by {numbers.horizon(days[-1])}: {said}."
    return occupation_panel(days, drawn, month_ticks(last), f"Began in {study.in_words(tier)}", alt)


def _name(study: Study, states: Sequence[str]) -> str:
    if len(states) > 1:
        return "Other"
    return "Died" if states[0] == DEATH else study.short(states[0])


def _rank(study: Study, states: Sequence[str]) -> int | None:
    return study.rank(states[0]) if len(states) == 1 and states[0] != DEATH else None


def _pooled(study: Study, tier: str, bands: Bands) -> str:
    """Which states a panel's `Other` holds."""
    pool = next((states for states in bands.states if len(states) > 1), ())
    names = ["death" if state == DEATH else study.in_words(state) for state in pool]
    return f"Other, of those who began in {study.in_words(tier)}: {numbers.listed(names)}." if pool else ""


# -------------------------------------------------------------------------------------------------------------- months


def _months_table(study: Study, bands: dict[str, Bands]) -> Table | None:
    """Expected months in each state up to the headline's horizon, for states that may be drawn apart."""
    tau = float(study.protocol.primary.endpoint_horizon_days)
    frame = study.snapshot.rows("results.ladder_times", tau_days=tau)
    tiers = [tier for tier in study.tiers if not bands[tier].is_empty and bands[tier].cuts.times[-1] >= tau]
    if frame.is_empty() or not tiers:
        return None
    states = [*study.protocol.tier_names, DEATH]
    rows = []
    for tier in tiers:
        mine = {row["state"]: row for row in frame.filter(pl.col("tier") == tier).iter_rows(named=True)}
        rows.append(Row((study.short(tier), *[_months(study, tier, s, bands[tier], mine) for s in states])))
    return Table(
        "table-occupation",
        f"Expected months in each tier within {numbers.horizon(tau)}",
        (Column("Began in", "left"), *[Column(_name(study, (s,)), group="Months in") for s in states]),
        tuple(rows),
        reading="Mean months that a patient who began in a tier spends in each tier, or loses to death (95 % "
        "interval): the area of the bands above. Not adjusted for case mix.",
        notes=(f"{WITHHELD} too few patients to be told apart; together with others under Other in the figure.",),
        source="results.ladder_times",
    )


def _months(study: Study, tier: str, state: str, bands: Bands, found: dict[str, dict[str, object]]) -> Cell:
    band = next((states for states in bands.states if state in states), ())
    if not band:
        return numbers.ABSENT
    if len(band) > 1:
        return Shown(WITHHELD, is_withheld=True)
    row = found.get(state)
    if row is None or row["estimate"] is None:
        return Shown(str(row["status"]) if row else numbers.ABSENT, is_withheld=True)
    mean, reach = (float(str(row[name])) / numbers.MONTH_DAYS for name in ("estimate", "std_error"))
    text = numbers.with_limits(mean, max(mean - 1.96 * reach, 0.0), mean + 1.96 * reach, 1)
    return study.gate.text(text, keys.patients(tier))
