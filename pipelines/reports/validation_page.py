"""The validation page: how the estimators stand beside R, beside known truth, and how the simulated cohort looks.

Belongs here: laying the frames of a validation run out as a document. Does not belong here: running it (`validation`).
The cohorts are simulated, so nothing here passes the disclosure gate.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version

import polars as pl

from pipelines.reports import style
from pipelines.reports.content import (
    Block,
    Column,
    Document,
    Facts,
    Figure,
    KeyFigure,
    KeyFigures,
    Panel,
    Paragraph,
    Row,
    Section,
    Shown,
    Summary,
    Table,
)
from pipelines.reports.report import numbered

_CERTAINTY = (
    "R is an engine independent of ours; its scripts and what they printed stand in the repository.",
    "True values of the study are integrals, not simulations; Monte Carlo errors are printed beside every bias.",
)
SIMULATIONS = {"failure": "Time to failure", "outcomes": "Comparative models"}
_JUDGEMENT = (
    "Valid: bias within 3 Monte Carlo errors, coverage 95 % ± 1.5 points, type I error 5 % ± 1.5 points, at most 1 % "
    "not estimable. Biased: the bias that was put in must be seen. Conservative: without bias, but with limits seen "
    "too wide, coverage above 96.5 %."
)
_TRUTHS = {
    "failure": "True values are integrals over the covariates of each scenario's hazards.",
    "outcomes": "True values follow from each scenario's equations: effects and log ratios directly, risks and the "
    "shift of missing scores by Gauss-Hermite quadrature over covariates and earlier scores, in everyone or, weighted "
    "by e (1 − e), in the overlap. Scores are points, walking ratios logarithms.",
}
_PACKAGES = ("lss-outcomes", "numpy", "scipy", "polars", "lifelines", "statsmodels")


def validation_document(frames: Mapping[str, pl.DataFrame], settings: Sequence[tuple[str, str]]) -> Document:
    """Lay out the parts that were run.

    Args:
        frames: by name, any of `agreement`, `failure` and `outcomes` (with columns scenario and title), `recovery`,
            `calibration`.
        settings: what the run was told, as terms with their values.
    """
    makers: dict[str, Callable[[pl.DataFrame], Section]] = {
        "agreement": _agreement,
        "failure": partial(_simulation, "failure"),
        "outcomes": partial(_simulation, "outcomes"),
        "recovery": _recovery,
        "sites": _sites,
        "calibration": _calibration,
    }
    sections = tuple(makers[name](frames[name]) for name in makers if name in frames)
    versions = tuple((name, version(name)) for name in _PACKAGES)
    return Document(
        title="Validation of the estimators",
        subtitle="Beside R, beside simulated cohorts with known truth, and beside published registries",
        release="validation",
        protocol="",
        summary=Summary(
            KeyFigures(tuple(_key_figures(frames))), tuple(_found(frames)), _CERTAINTY, tuple(_review(frames))
        ),
        sections=numbered(sections),
        stamp=Facts((*settings, *versions)),
        notice="Simulated cohorts and invented tables: no patient's data are in this page.",
    )


def _key_figures(frames: Mapping[str, pl.DataFrame]) -> Iterator[KeyFigure]:
    if "agreement" in frames:
        passed = frames["agreement"].filter(verdict="passed").height
        yield KeyFigure(Shown(f"{passed} of {frames['agreement'].height}"), "numbers equal R's", "within tolerance")
    for name in (name for name in SIMULATIONS if name in frames):
        asked = frames[name].filter(pl.col("verdict") != "shown")
        yield KeyFigure(
            Shown(f"{asked.filter(verdict='passed').height} of {asked.height}"),
            f"criteria met, {SIMULATIONS[name].lower()}",
            "bias, coverage, type I error",
        )
    if "recovery" in frames:
        adjusted = frames["recovery"].filter(method="adjusted")
        yield KeyFigure(
            Shown(f"{adjusted['is_within'].sum()} of {adjusted.height}"),
            "true values recovered",
            "within 3 Monte Carlo errors",
        )


def _found(frames: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    if "agreement" in frames:
        largest = float(frames["agreement"]["difference"].to_numpy().max())
        yield f"**Agreement with R:** the largest relative difference of any number is {largest:.0e}."
    for name in (name for name in SIMULATIONS if name in frames):
        replications = int(frames[name]["replications"].to_numpy().max())
        scenarios = frames[name]["scenario"].n_unique()
        yield (
            f"**{SIMULATIONS[name]}:** {replications} replications of each of {scenarios} scenarios, every estimator "
            "on the same draws."
        )
    if "outcomes" in frames:
        hidden = frames["outcomes"].filter(scenario="control_unmeasured").drop_nulls("power")
        yield from (f"**Negative control:** {_power(row)}" for row in hidden.iter_rows(named=True))
    if "recovery" in frames:
        crude = frames["recovery"].filter(method="unadjusted")
        outside = crude.height - int(crude["is_within"].sum())
        yield f"**Recovery:** unadjusted comparisons miss the truth visibly in {outside} of {crude.height} cases."
    if "calibration" in frames:
        yield "**Calibration:** simulated figures stand beside the published ones; they are settings, not findings."


def _review(frames: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    judged = [name for name in ("agreement", *SIMULATIONS) if name in frames]
    failed = {name: frames[name].filter(verdict="failed").height for name in judged}
    yield from (f"{count} criteria of {name} failed; the tables say why." for name, count in failed.items() if count)
    if not any(failed.values()):
        yield "No criterion failed."


def _agreement(frame: pl.DataFrame) -> Section:
    summary = frame.group_by("estimator", maintain_order=True).agg(
        numbers=pl.len(),
        largest=pl.col("difference").max(),
        tolerance=pl.col("tolerance").max(),
        failed=(pl.col("verdict") == "failed").sum(),
    )
    rows = [
        Row((r["estimator"], f"{r['numbers']}", f"{r['largest']:.1e}", f"{r['tolerance']:.0e}", f"{r['failed']}"))
        for r in summary.iter_rows(named=True)
    ]
    overview = Table(
        "agreement-overview",
        "Largest relative difference from R, by estimator",
        _columns("Estimator", "Numbers", "Largest difference", "Tolerance", "Failed"),
        tuple(rows),
        reading="R's numbers were printed by R 4.2.2 (survival 3.5-3, cmprsk 2.2-11, sandwich, nnet, mice, mvtnorm and "
        "written-out estimating equations) for the same invented tables.",
    )
    each = Table(
        "agreement-each",
        "Every number beside R's",
        _columns("Estimator", "Quantity", "Ours", "R", "Relative difference", left=2),
        tuple(
            Row(
                (r["estimator"], r["quantity"], f"{r['ours']:.10g}", f"{r['reference']:.10g}", f"{r['difference']:.1e}")
            )
            for r in frame.iter_rows(named=True)
        ),
    )
    return Section("agreement", "Agreement with R", (overview, each))


def _simulation(name: str, frame: pl.DataFrame) -> Section:
    parts: list[Block] = [Paragraph(_JUDGEMENT), Paragraph(_TRUTHS[name])]
    for (scenario, title), rows in frame.group_by("scenario", "title", maintain_order=True):
        table = Table(
            f"{name}-{str(scenario).replace('_', '-')}",
            str(title),
            _columns("Quantity", "Method", "Truth", "Bias", "MC error", "Coverage", "Rejects", "Verdict", left=2),
            tuple(_study_row(row) for row in rows.iter_rows(named=True)),
            reading=" ".join(_power(row) for row in rows.drop_nulls("power").iter_rows(named=True)),
        )
        parts.append(table)
    return Section(name, f"{SIMULATIONS[name]}: simulation study", tuple(parts))


def _power(row: Mapping[str, object]) -> str:
    """How often a confounder that nobody measured is noticed."""
    found, replications = float(str(row["rejection"])), float(str(row["replications"]))
    error = (found * (1 - found) / replications) ** 0.5
    return (
        f"With a confounder that nobody measured the test speaks up in {found:.1%} of studies (Monte Carlo error "
        f"{100 * error:.1f} points); at least {float(str(row['power'])):.0%} was asked for."
    )


def _study_row(row: Mapping[str, object]) -> Row:
    verdict = str(row["verdict"]) + (f": {row['reason']}" if row["verdict"] == "failed" else "")
    expected = (
        f"{row['method']} (must be {row['expectation']})" if row["expectation"] != "shown" else str(row["method"])
    )
    numbers = [f"{float(str(row[name])):.4f}" for name in ("truth", "bias", "bias_mc_error")]
    shares = [f"{float(str(row[name])):.1%}" for name in ("coverage", "rejection")]
    return Row((str(row["quantity"]), expected, *numbers, *shares, verdict))


def _recovery(frame: pl.DataFrame) -> Section:
    rows = tuple(
        Row(
            (
                r["contrast"],
                r["quantity"],
                r["method"],
                f"{r['cohorts']}",
                f"{r['truth']:.3f}",
                f"{r['mean_error']:+.3f}",
                f"{r['mc_error']:.3f}",
                f"{r['errors_off']:+.1f}",
            )
        )
        for r in frame.iter_rows(named=True)
    )
    table = Table(
        "recovery-table",
        "Mean error of each contrast over the simulated cohorts",
        _columns("Contrast", "Quantity", "Method", "Cohorts", "Truth", "Mean error", "MC error", "Errors off", left=3),
        rows,
        reading="Ratios are logarithms. Adjusted estimates must lie within 3 Monte Carlo errors of the truth; "
        "unadjusted ones show what confounding by indication does.",
    )
    return Section("recovery", "Recovery through the whole pipeline", (table,))


def _sites(frame: pl.DataFrame) -> Section:
    rows = tuple(
        Row(
            (
                r["title"],
                r["criterion"],
                f"{r['networks']:,}",
                f"{r['sites']:,}",
                f"{r['rate']:,.0f}" if r["criterion"] == "run length" else f"{r['rate']:.2%}",
                f"{r['mc_error']:,.0f}" if r["criterion"] == "run length" else f"{r['mc_error']:.3%}",
                f"{r['bar']:,.0f}" if r["criterion"] == "run length" else f"{r['bar']:.2%}",
                r["verdict"],
            )
        )
        for r in frame.iter_rows(named=True)
    )
    table = Table(
        "sites-table",
        "Signals of simulated networks",
        _columns("Network", "Criterion", "Networks", "Tests", "Found", "MC error", "Bar", "Verdict", left=2),
        rows,
        reading="Ordinary sites, and the site with hard cases only, may signal in at most 0.2 % of tests plus 3 Monte "
        "Carlo errors, although sites truly differ; a site with twice the odds and 300 patients must signal in at "
        "least 80 %. The run length of the CUSUM is in patients: the one asked for stands under Bar.",
    )
    return Section("sites", "Site monitoring: false signals and power", (table,))


def _calibration(frame: pl.DataFrame) -> Section:
    measures = frame.select("measure", "statistic").unique(maintain_order=True).rows()
    panels = [
        _calibration_panel(frame.filter(measure=measure, statistic=statistic), f"{measure}, {statistic}")
        for measure, statistic in measures
    ]
    figure = Figure(
        "calibration-figure",
        "Simulated cohort against published figures, by tier",
        tuple(panels),
        reading="Open circle: published or recommended figure; filled dot: simulated. Figures marked as check were not "
        "used to set the simulator.",
    )
    table = Table(
        "calibration-table",
        "The same in numbers",
        _columns("Measure", "Statistic", "Tier", "Role", "Target", "Simulated", "Difference", "Source", left=4),
        tuple(
            Row(
                (
                    r["measure"],
                    r["statistic"],
                    r["tier"] or "all",
                    r["role"],
                    f"{r['target']:.3g}",
                    f"{r['simulated']:.3g}",
                    f"{r['difference']:+.2g}",
                    r["source"],
                )
            )
            for r in frame.iter_rows(named=True)
        ),
    )
    blocks: tuple[Block, ...] = (
        Paragraph("These are the simulator's settings held against the literature. They are not findings."),
        figure,
        table,
    )
    return Section("calibration", "Does the simulated cohort look like the registries?", blocks)


def _calibration_panel(rows: pl.DataFrame, title: str) -> Panel:
    tiers = [tier or "all" for tier in rows["tier"]]
    with style.house_style():
        canvas = style.canvas(style.COLUMN_MM, 12 + 5 * rows.height)
        ax = style.axes_mm(canvas, left=24, bottom=8, right=4, top=2)
        places = range(rows.height)
        ax.hlines(list(places), rows["target"].to_list(), rows["simulated"].to_list(), color=style.RULE, lw=1)
        ax.plot(rows["target"], places, "o", mfc=style.PAPER, mec=style.INK, label="published")
        ax.plot(rows["simulated"], places, "o", color=style.ACCENT, label="simulated")
        ax.set_yticks(list(places), tiers)
        ax.set_ylim(rows.height - 0.5, -0.5)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        said = "; ".join(
            f"{tier}: {target:.3g} published, {simulated:.3g} simulated"
            for tier, target, simulated in zip(tiers, rows["target"], rows["simulated"], strict=True)
        )
        return Panel(style.svg(canvas), f"{title}. {said}.", style.COLUMN_MM, title)


def _columns(*headers: str, left: int = 1) -> tuple[Column, ...]:
    return tuple(Column(header, "left" if place < left else "right") for place, header in enumerate(headers))
