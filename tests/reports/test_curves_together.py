"""An attack on the report's curves: what all of them together say of the patients between two days that are shown.

Counts are taken here from the patients' rows, not from the code that cuts curves: each interval between neighbouring
days at which anything of a tier's event is drawn holds no event or at least 11, and so for those who had one of two
events that are both drawn.
"""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import polars as pl
import pytest

from pipelines.protocol import Protocol
from pipelines.reports import Study, build_report
from pipelines.reports.content import Callout, Figure
from pipelines.reports.export import released
from pipelines.reports.gate import Gate
from pipelines.reports.sections import occupation, proportional

HEADLINE = "treatment_failure"


def own_endpoints(protocol: Protocol, tier: str) -> list[str]:
    found = [str(c.endpoint) for c in protocol.contrasts if tier in (c.tier, c.reference)]
    return list(dict.fromkeys([HEADLINE, *found]))


def events_of(study: Study, endpoint: str, tier: str, status: int = 1) -> dict[str, float]:
    rows = study.snapshot["analysis.time_to_event"].filter(
        (pl.col("endpoint") == endpoint) & (pl.col("tier") == tier) & (pl.col("status") == status)
    )
    return dict(rows.select("patient_id", "time_days").iter_rows())


def small_counts(study: Study) -> Iterator[str]:
    """Counts from 1 to 10 that the curves of a study give away."""
    times = study.snapshot["analysis.time_to_event"]
    for tier in study.tiers:
        shown = {e: study.gate.cuts(times, e, tier).times for e in own_endpoints(study.protocol, tier)}
        with_deaths = set(study.gate.cuts(times, HEADLINE, tier, with_competing=True).times)
        for endpoint, days in shown.items():
            every_day = sorted({*days, *(with_deaths if endpoint == HEADLINE else ())})
            kinds = [events_of(study, endpoint, tier).values()]
            left = times.filter((pl.col("endpoint") == endpoint) & (pl.col("tier") == tier))["time_days"].to_list()
            for start, end in pairwise(every_day):
                for kind in (*kinds, left):
                    if 1 <= sum(start < day <= end for day in kind) <= 10:
                        yield f"{endpoint} in {tier} from {start} to {end}"
        for start, end in pairwise(sorted(with_deaths)):
            if 1 <= sum(start < day <= end for day in events_of(study, HEADLINE, tier, 2).values()) <= 10:
                yield f"deaths in {tier} from {start} to {end}"
        for (one, days), (other, others) in combinations(shown.items(), 2):
            first, second = events_of(study, one, tier), events_of(study, other, tier)
            for day in set(days) & set(others) - {0.0}:
                by_first = {p for p, at in first.items() if at <= day}
                by_second = {p for p, at in second.items() if at <= day}
                for apart in (by_first - by_second, by_second - by_first):
                    if 1 <= len(apart) <= 10:
                        yield f"{one} but not {other} in {tier} by {day}"


@pytest.fixture(scope="module", params=["small_cohort", "large_cohort"])
def study(request: pytest.FixtureRequest, protocol: Protocol) -> Study:
    return Study(request.getfixturevalue(request.param).read, protocol)


def test_all_curves_together_give_no_small_count_away(study: Study) -> None:
    assert list(small_counts(study)) == []


def five_apart(table: str) -> pl.DataFrame:
    """100 patients of one tier: 30 fail by day 50 and 25 of these are operated on by day 60, so that 5 are not."""
    patients = [f"P{k:03d}" for k in range(100)]
    if table == "analysis.subjects":
        return pl.DataFrame({"patient_id": patients, "tier": ["esi"] * 100})
    if table != "analysis.time_to_event":
        raise LookupError
    pieces = []
    for endpoint, events, day in ((HEADLINE, 30, 50.0), ("decompression_or_fusion", 25, 60.0)):
        has = [k < events for k in range(100)]
        pieces.append(
            pl.DataFrame(
                {
                    "episode_id": patients,
                    "patient_id": patients,
                    "tier": ["esi"] * 100,
                    "endpoint": [endpoint] * 100,
                    "time_days": [day if event else 900.0 for event in has],
                    "status": [int(event) for event in has],
                }
            )
        )
    return pl.concat(pieces)


def test_the_same_attack_finds_small_counts_where_curves_are_cut_for_themselves(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(small_counts(Study(five_apart, protocol))) == []
    monkeypatch.setattr(Gate, "_beside", lambda self, times, grid, endpoint, other, tier: grid)
    assert f"{HEADLINE} but not decompression_or_fusion in esi by 91.0" in list(
        small_counts(Study(five_apart, protocol))
    )


def listened(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """The arguments with which a panel is drawn."""
    calls: list[tuple[Any, ...]] = []
    draw: Callable[..., Any] = getattr(module, name)

    def listen(*args: Any) -> Any:
        calls.append(args)
        return draw(*args)

    monkeypatch.setattr(module, name, listen)
    return calls


def test_log_log_lines_stand_at_allowed_days_without_numbers_of_patients(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = listened(monkeypatch, proportional, "log_log_panel")
    figure = proportional.log_log_figure(study)
    assert isinstance(figure, Figure if calls else Callout)
    ranks = {study.rank(tier): tier for tier in study.tiers}
    for series, *_ in calls:
        for one in series:
            days = [0.0, *(p.x for p in one.points)]
            assert all(p.n is None for p in one.points)
            endpoints = own_endpoints(study.protocol, ranks[one.rank])[1:]
            counts = [
                [sum(a < day <= b for day in events_of(study, e, ranks[one.rank]).values()) for a, b in pairwise(days)]
                for e in endpoints
            ]
            assert any(all(n == 0 or n >= 11 for n in found) for found in counts)


def test_the_ratio_over_time_is_drawn_only_where_both_tiers_have_enough_events(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = listened(monkeypatch, proportional, "over_time_panel")
    figure = proportional.ratio_figure(study)
    assert isinstance(figure, Figure if calls else Callout)
    for points, _, _, title, _ in calls:
        contrast = next(c for c in study.protocol.contrasts if study.versus(c) == title)
        days = [0.0, *(p.x for p in points)]
        for tier in (contrast.tier, contrast.reference):
            at = events_of(study, str(contrast.endpoint), tier).values()
            assert all(n == 0 or n >= 11 for n in (sum(a < day <= b for day in at) for a, b in pairwise(days)))


def test_no_band_of_the_ladder_holds_few_patients(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = listened(monkeypatch, occupation, "occupation_panel")
    occupation.occupation(study)
    moves = study.snapshot["analysis.transitions"]
    titles = {f"Began in {study.in_words(tier)}": tier for tier in study.tiers}
    assert calls
    for days, drawn, _, title, _ in calls:
        mine = moves.filter(pl.col("index_tier") == titles[title])
        known = {study.short(t) if t != "death" else "Died": t for t in (*study.protocol.tier_names, "death")}
        apart = {known[band.label] for band in drawn if band.label != "Other"}
        for state in apart - {titles[title]}:
            entries = mine.filter(pl.col("to_state") == state)["stop_days"].to_list()
            counts = [sum(a < day <= b for day in entries) for a, b in pairwise(days)]
            assert all(n == 0 or n >= 11 for n in counts), f"{state} of {title}"
        pooled = mine.filter(~pl.col("to_state").is_in([*apart, "censor"]) & pl.col("from_state").is_in(list(apart)))
        counts = [sum(a < day <= b for day in pooled["stop_days"].to_list()) for a, b in pairwise(days)]
        assert all(n == 0 or n >= 11 for n in counts)
        assert all(float(band.upper[0]) == 1.0 for band in drawn[:1])
        assert all(float(edge) == 1.0 for edge in drawn[-1].upper)


def test_what_leaves_as_files_says_no_more_than_the_figures(study: Study) -> None:
    ratios = released(study, "hazard_ratios_over_time", study.snapshot["results.hazard_ratios_over_time"])
    for (endpoint, tier, reference), part in ratios.group_by("endpoint", "tier", "reference"):
        days = [0.0, *sorted(part["time_days"].to_list())]
        for arm in (tier, reference):
            at = events_of(study, str(endpoint), str(arm)).values()
            assert all(n == 0 or n >= 11 for n in (sum(a < day <= b for day in at) for a, b in pairwise(days)))
    times = released(study, "ladder_times", study.snapshot["results.ladder_times"])
    moves = study.snapshot["analysis.transitions"]
    for row in times.drop_nulls("estimate").filter(pl.col("state") != pl.col("tier")).iter_rows(named=True):
        of_state = (pl.col("index_tier") == row["tier"]) & (pl.col("to_state") == row["state"])
        assert moves.filter(of_state & (pl.col("stop_days") <= row["tau_days"])).height >= 11
    assert times["estimate"].null_count() > 0


def test_a_withheld_contrast_is_drawn_nowhere(large_cohort: Any, protocol: Protocol) -> None:
    blinded = protocol.contrasts[0]

    def read(table: str) -> pl.DataFrame:
        frame = large_cohort.read(table)
        if table != "results.hazard_ratios":
            return frame
        is_it = pl.col("contrast") == blinded.name
        return frame.with_columns(
            pl.when(~is_it).then("estimate"), status=pl.when(is_it).then(pl.lit("withheld")).otherwise("status")
        )

    study = Study(read, protocol)
    for block in (proportional.log_log_figure(study), proportional.ratio_figure(study)):
        assert not isinstance(block, Figure) or study.versus(blinded) not in [panel.title for panel in block.panels]
        said = " ".join(block.notes) if isinstance(block, Figure) else block.text
        assert isinstance(block, Callout) or study.versus(blinded) in said


def test_the_report_shows_bands_and_hazards_in_sections_of_their_own(large_document: Any, protocol: Protocol) -> None:
    anchors = [section.anchor for section in large_document.sections]
    assert anchors.index("occupation") < anchors.index("crossover") < anchors.index("proportional")


def test_a_protocol_without_endpoints_says_so(three_arm_protocol: Protocol) -> None:
    def read(table: str) -> pl.DataFrame:
        raise LookupError

    document = build_report(read, three_arm_protocol)
    for anchor in ("occupation", "proportional"):
        section = next(s for s in document.sections if s.anchor == anchor)
        assert isinstance(section.blocks[0], Callout)
        assert section.blocks[0].kind == "not applicable"
