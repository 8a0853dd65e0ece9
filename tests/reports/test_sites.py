"""Sites in the network's report and in their own: every figure is the table's, nobody else is named, no verdict."""

import re
from copy import copy
from typing import Any

import polars as pl
import pytest
from reports.sites_made import FEW_ANSWERED, MANY_FAILURES

from pipelines.protocol import Protocol
from pipelines.reports import Study, render_html, report_of, site_report, wording
from pipelines.reports.content import Callout, Document, Table, exhibits
from pipelines.reports.counts import ledger_of
from pipelines.reports.figures.funnel import ChartLine, FunnelSite
from pipelines.reports.sections import site_figures, sites
from pipelines.reports.site_counts import WEIGHTED, is_judged
from pipelines.reports.tables import Snapshot

FAILURE = "treatment_failure within 365 days"
RATIO = re.compile(r"(\d+\.\d\d) \((\d+\.\d\d) to (\d+\.\d\d)\)")


def table(document: Document, indicator: str) -> Table:
    anchor = wording.anchor("table-sites", indicator)
    return next(e for e in exhibits(document.sections) if isinstance(e, Table) and e.anchor == anchor)


def test_nothing_of_sites_is_counted_where_they_have_few_patients(protocol: Protocol) -> None:
    def has_sites(*sizes: int) -> bool:
        names = [f"S{number}" for number, size in enumerate(sizes) for _ in range(size)]
        subjects = pl.DataFrame({"site_id": names, "tier": ["mild"] * len(names)})
        ledger = ledger_of(Snapshot(lambda name: {"analysis.subjects": subjects}[name]), protocol)
        return any(key[0] == "at site" for key in ledger.counts)

    # with a minimum of 11 two sites need 22 patients in all
    assert [has_sites(11, 11), has_sites(10, 11)] == [True, False]


def cells_of(printed: Table) -> dict[str, dict[str, str]]:
    """Cells by site and column heading."""
    heads = [column.header for column in printed.columns]
    return {str(row.cells[0]): dict(zip(heads, map(str, row.cells), strict=True)) for row in printed.rows}


def expected_text(row: dict[str, Any], *names: str) -> str:
    return f"{row[names[0]]:.2f} ({row[names[1]]:.2f} to {row[names[2]]:.2f})"


def assert_row(cells: dict[str, str], row: dict[str, Any], weighted: dict[str, Any] | None, protocol: Protocol) -> bool:
    """Every printed cell is the table's number; returns whether a ratio was printed."""
    for head, value in (("Patients", row["subjects"]), ("Observed", row["observed"])):
        if cells[head].replace(",", "").isdigit():
            assert int(cells[head].replace(",", "")) == value
            assert value >= protocol.disclosure.minimum_count or value == 0
        else:
            assert re.fullmatch(r"<11|–†|–|≈[\d,]+", cells[head])
    if re.match(r"[\d.]+$", cells["Expected"]):
        assert cells["Expected"] == f"{row['expected']:,.1f}"
        assert cells["Rel."] == f"{row['reliability']:.2f}"
    signals = {None: "", "signal for review: more than expected": "▲ more",
               "signal for review: fewer than expected": "▼ fewer"}  # fmt: skip
    assert cells["Signal"] == signals[row["signal"]]
    if not RATIO.fullmatch(cells["O/E (95 % CI)"]):
        assert not RATIO.search(" ".join(cells.values()))
        return False
    assert cells["O/E (95 % CI)"] == expected_text(row, "estimate", "ci_low", "ci_high")
    assert row["subjects"] >= protocol.sites.minimum_subjects
    if RATIO.fullmatch(cells["Shrunken (95 % CI)"]):
        assert cells["Shrunken (95 % CI)"] == expected_text(row, "shrunken", "shrunken_low", "shrunken_high")
        assert row["reliability"] >= protocol.sites.reliability_minimum
        assert cells["Rank"] == f"{row['rank']:.1f}"
    else:
        assert row["reliability"] < protocol.sites.reliability_minimum
        assert cells["Shrunken (95 % CI)"] == "rel. <0.7"
    if weighted is not None:
        assert cells["Weighted (95 % CI)"] == expected_text(weighted, "estimate", "ci_low", "ci_high")
    return True


@pytest.mark.parametrize("size", ["large", "small"])
def test_every_figure_of_every_site_is_the_tables(request: pytest.FixtureRequest, size: str) -> None:
    """Row by row, in the network's report and in each site's."""
    study: Study = request.getfixturevalue(f"{size}_study")
    network: Document = request.getfixturevalue(f"{size}_document")
    own = {site: site_report(study, site) for site in sites.site_names(study)}
    results = study.snapshot["results.site_indicators"]
    ratios = rows_seen = 0
    for (indicator,), rows in is_judged(results).group_by("indicator", maintain_order=True):
        weighted = {r["site_id"]: r for r in results.filter(indicator=f"{indicator}{WEIGHTED}").iter_rows(named=True)}
        printed = cells_of(table(network, str(indicator)))
        assert list(printed) == rows["site_id"].to_list()
        for row in rows.iter_rows(named=True):
            site = row["site_id"]
            ratios += assert_row(printed[site], row, weighted.get(site), study.protocol)
            assert cells_of(table(own[site], str(indicator))) == {site: printed[site]}
            rows_seen += 1
    assert rows_seen == 4 * 8
    assert ratios >= (24 if size == "large" else 1)


def test_points_of_the_funnel_are_the_tables(large_study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[FunnelSite] = []
    monkeypatch.setattr(site_figures, "funnel_panel", lambda found, *_: drawn.extend(found))
    _, rows = next((i, r) for i, r in sites.judged(large_study) if i == FAILURE)
    site_figures.funnel(large_study, "", rows, None)
    limits = {
        r["site_id"]: r for r in large_study.snapshot["results.funnel_limits"].filter(indicator=FAILURE).to_dicts()
    }
    assert len(drawn) == rows.height
    for point, row in zip(drawn, rows.iter_rows(named=True), strict=True):
        end = limits[row["site_id"]]
        assert point.expected == pytest.approx(row["expected"], abs=0.0501)
        assert point.ratio == pytest.approx(row["observed"] / row["expected"], abs=0.00501)
        found = (*point.inner, *point.outer)
        truth = [end[name] / row["expected"] for name in ("inner_low", "inner_high", "low", "high")]
        assert found == pytest.approx(truth, abs=0.00501)
        is_beyond = row["observed"] > end["high"] or row["observed"] < end["low"]
        assert point.is_signal == is_beyond
        assert point.label == (row["site_id"] if is_beyond else "")
    assert [point.label for point in drawn if point.label] == [MANY_FAILURES]


def test_lines_over_time_are_the_tables(large_study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[ChartLine] = []
    monkeypatch.setattr(site_figures, "vlad_panel", lambda found, *_: drawn.extend(found))
    monkeypatch.setattr(site_figures, "Figure", lambda *_, **__: None)
    site_figures.charts(large_study, {FAILURE: "failure"}, None)
    frame = large_study.snapshot["results.site_cusum"].filter(indicator=FAILURE)
    assert len(drawn) == frame["site_id"].n_unique() == 8
    assert [line.label for line in drawn if line.is_marked] == [MANY_FAILURES]
    own = frame.filter(site_id=MANY_FAILURES)
    line = next(line for line in drawn if line.is_marked)
    truth = dict(own.select("number", "vlad").rows())
    assert len(line.points) > 5
    for number, vlad, low, high in line.points:
        assert vlad == pytest.approx(truth[int(number)], abs=0.0501)
        assert low < high


@pytest.mark.parametrize("site", ["S01", MANY_FAILURES, FEW_ANSWERED])
def test_a_site_sees_itself_named_and_no_other(large_study: Study, site: str) -> None:
    page = render_html(site_report(large_study, site))
    assert set(re.findall(r"\bS0\d\b", page)) == {site}


def test_where_few_answered_no_figure_of_theirs_is_shown(large_study: Study, large_document: Document) -> None:
    cells = cells_of(table(large_document, "nrs_leg mcid at 12m"))[FEW_ANSWERED]
    # the share of those who answered, or only that it lies below the limit
    assert cells["Response"] == "<60\u202f%" or int(cells["Response"].strip("≈%\u202f")) < 60
    assert (
        cells["O/E (95 % CI)"] == cells["Weighted (95 % CI)"] == "resp. <60\u202f%" or "resp" in cells["O/E (95 % CI)"]
    )
    assert {cells[name] for name in ("Observed", "Expected", "Rel.", "Shrunken (95 % CI)")} == {"–"}
    assert cells["Signal"] == ""
    others = cells_of(table(large_document, FAILURE))[FEW_ANSWERED]
    assert RATIO.fullmatch(others["O/E (95 % CI)"]), "endpoints do not depend on answers"


def with_tables(study: Study, **other: pl.DataFrame) -> Study:
    """The study, whose gate is set, with other result tables."""
    changed = copy(study)
    changed.snapshot = Snapshot(lambda name: other.get(name.removeprefix("results."), study.snapshot[name]))
    return changed


def test_a_signal_waits_neither_for_reliability_nor_for_patients(large_study: Study) -> None:
    none = pl.lit(None, pl.Float64)
    signal = pl.lit("signal for review: more than expected")
    small = {"signal": signal, "estimate": none, "shrunken": none, "rank": none, "reliability": pl.lit(0.1),
             "status": pl.lit("not estimable"), "reason": pl.lit("fewer than 30 patients")}  # fmt: skip
    frame = large_study.snapshot["results.site_indicators"]
    is_here = (pl.col("site_id") == "S01") & (pl.col("indicator") == FAILURE)
    other = frame.with_columns(pl.when(is_here).then(e).otherwise(pl.col(n)).alias(n) for n, e in small.items())
    study = with_tables(large_study, site_indicators=other)
    network, own = report_of(study), site_report(study, "S01")
    for document in (network, own):
        assert cells_of(table(document, FAILURE))["S01"]["Signal"] == "▲ more"
    assert any("S01 (more than expected)" in said for said in network.summary.review)
    assert any(said.startswith("Signal for review: ") and "more than expected" in said for said in own.summary.review)


def test_page_one_names_signals_for_review_and_judges_nobody(large_study: Study, large_document: Document) -> None:
    said = [text for text in large_document.summary.review if "treating sites" in text]
    assert any(f"{MANY_FAILURES} (more than expected)" in text for text in said)
    assert any("CUSUM" in text and MANY_FAILURES in text for text in said)
    assert all(text.startswith("Signal for review: ") for text in said)
    words = re.compile(r"\b(worst|best|poor|bad|good|fail(s|ed)? to|league|caused?|prove[sn]?)\b", re.IGNORECASE)
    for document in (large_document, site_report(large_study, MANY_FAILURES)):
        section = next(s for s in document.sections if s.anchor == "sites")
        page = re.sub(r"<[^>]+>", " ", render_html(Document(**vars(document) | {"sections": (section,)})))
        found = {m[0] for m in words.finditer(page)} - {"cause", "causes"}
        assert not found


def test_without_an_order_charts_do_not_apply(large_study: Study) -> None:
    reason = "not applicable: the release gives no order"
    frame = pl.DataFrame([{"indicator": FAILURE, "status": "not estimable", "reason": reason}])
    (block,) = site_figures.charts(with_tables(large_study, site_cusum=frame), {FAILURE: "Failure"}, None)
    assert isinstance(block, Callout)
    assert reason in block.text


def test_an_unknown_site_is_refused(large_study: Study) -> None:
    with pytest.raises(LookupError, match="no treating site S99"):
        site_report(large_study, "S99")


def test_a_single_site_is_compared_with_none(large_study: Study) -> None:
    alone = large_study.snapshot["analysis.subjects"].with_columns(site_id=pl.lit("S01"))
    section = sites.sites(with_tables(large_study, **{"analysis.subjects": alone}))
    assert [block.kind for block in section.blocks if isinstance(block, Callout)] == ["not applicable"]
    assert len(section.blocks) == 1
