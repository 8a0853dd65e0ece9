"""What the benchmark found, as Markdown tables and a figure, each promise beside what was measured.

Belongs here: layout and verdicts. Does not belong here: what is timed (`benchmark`).
"""

import math
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.validation.benchmark import GROWTHS, MEMORY_MB, Growth

OWN, OTHERS = "#0b5c6b", ["#a2652a", "#6b6b6b", "#8b7fb0", "#b0a15f"]
COLUMNS = 4


def growth(result: pl.DataFrame) -> pl.DataFrame:
    """Our own time between the two largest sizes of each task.

    Columns: task, low, high (rows), times (how much longer), exponent (1 is linear), allowed (times; null where nothing
    is promised between these sizes).
    """
    ours = result.group_by("task", "rows", maintain_order=True).agg(pl.col("ours_s").first())
    rows = []
    for (task,), part in ours.filter(pl.col("ours_s").is_not_null()).group_by("task", maintain_order=True):
        promise = next((g for g in GROWTHS if g.task == task and {g.low, g.high} <= set(part["rows"])), None)
        pair = promise or _two_largest(str(task), part)
        if pair is None:
            continue
        seconds = dict(zip(part["rows"], part["ours_s"], strict=True))
        times = seconds[pair.high] / seconds[pair.low]
        exponent = math.log(times) / math.log(pair.high / pair.low)
        rows.append((task, pair.low, pair.high, times, exponent, promise.times if promise else None))
    names = {"task": pl.String, "low": pl.Int64, "high": pl.Int64, "times": pl.Float64, "exponent": pl.Float64}
    return pl.DataFrame(rows, schema=names | {"allowed": pl.Float64}, orient="row")


def _two_largest(task: str, part: pl.DataFrame) -> Growth | None:
    sizes = sorted(part["rows"])
    return Growth(task, sizes[-2], sizes[-1], math.nan) if len(sizes) > 1 else None


def missed(result: pl.DataFrame) -> list[str]:
    """The promises that this run did not keep, one sentence each."""
    found = []
    for row in result.filter(pl.col("ratio") < pl.col("promised")).iter_rows(named=True):
        found.append(
            f"{row['task']}, {row['rows']:,} rows: {row['ratio']:.2f} times the speed of {row['peer']}, "
            f"promised {row['promised']:g}"
        )
    for row in growth(result).filter(pl.col("times") > pl.col("allowed")).iter_rows(named=True):
        found.append(
            f"{row['task']}: {row['times']:.1f} times as long from {row['low']:,} to {row['high']:,} rows, "
            f"promised {row['allowed']:.1f}"
        )
    for (task,), part in result.group_by("task", maintain_order=True):
        peak, limit = part["ours_peak_mb"].max(), MEMORY_MB[str(task)]
        if isinstance(peak, float) and peak > limit:
            found.append(f"{task}: {peak:,.0f} MB, promised {limit:,.0f}")
    failed = result.filter(pl.col("ours_s").is_null()).unique("task", maintain_order=True)
    return found + [f"{task}: our own work did not finish" for task in failed["task"]]


def written(result: pl.DataFrame) -> Iterator[str]:
    """The results as the lines of Markdown tables, with what was promised and not kept at the end."""
    yield "| task | rows | ours (s) | peer | peer (s) | peer ÷ ours | promised | ours (MB) | peer (MB) |"
    yield "|---|---:|---:|---|---:|---:|---:|---:|---:|"
    for row in result.iter_rows(named=True):
        cells = [
            row["task"],
            f"{row['rows']:,}",
            _number(row["ours_s"], 3) if row["ours_s"] is not None else "failed",
            row["peer"] or "none",
            _number(row["peer_s"], 3) if row["peer_s"] is not None else row["note"],
            ("> " if row["is_at_least"] else "") + _number(row["ratio"], 1),
            f"{row['promised']:g}" if row["promised"] else "",
            _number(row["ours_peak_mb"], 0),
            _number(row["peer_peak_mb"], 0),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield "Medians of at most the rounds asked for (engines that need long get fewer); memory is the process's peak."
    searched = result.filter(pl.col("ours_gradient").is_not_null())
    for row in searched.iter_rows(named=True):
        theirs = "" if row["peer_gradient"] is None else f", {row['peer']} at {row['peer_gradient']:.0e}"
        yield f"{row['task']}, {row['rows']:,} rows: mean score at our answer {row['ours_gradient']:.0e}{theirs}.  "
    yield ""
    yield "| task | from | to | times as long | exponent | promised at most |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in growth(result).iter_rows(named=True):
        allowed = "" if row["allowed"] is None else f"{row['allowed']:.1f} times"
        yield (
            f"| {row['task']} | {row['low']:,} | {row['high']:,} | {row['times']:.1f} | {row['exponent']:.2f} "
            f"| {allowed} |"
        )
    yield ""
    broken = missed(result)
    yield "Every promise that could be judged was kept." if not broken else "Not kept:"
    yield from (f"- {line}" for line in broken)
    for row in result.filter(pl.col("promised").is_not_null() & pl.col("ratio").is_null()).iter_rows(named=True):
        yield f"- not judged: {row['task']}, {row['rows']:,} rows, {row['peer']}: {row['note']}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def draw_growth(result: pl.DataFrame, path: Path) -> None:
    """Draw seconds against rows, a panel a task, ours and every peer, with the slope of linear growth."""
    tasks = result["task"].unique(maintain_order=True).to_list()
    lines = -(-len(tasks) // COLUMNS)
    figure = Figure(figsize=(11, 2.5 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, min(COLUMNS, len(tasks)), squeeze=False).ravel()
    for panel, task in zip(panels, tasks, strict=False):
        _draw_task(panel, task, result.filter(pl.col("task") == task))
    for panel in panels[len(tasks) :]:
        panel.set_axis_off()
    figure.supxlabel("rows (patients for mmrm)", fontsize=9)
    figure.supylabel("seconds", fontsize=9)
    figure.savefig(path, dpi=150)


def _draw_task(panel: Axes, task: str, part: pl.DataFrame) -> None:
    panel.set_title(task.replace("_", " "), loc="left", fontsize=9, fontweight="bold")
    panel.set(xscale="log", yscale="log")
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(which="major", color="#e6e6e6", linewidth=0.6)
    ours = part.unique("rows", maintain_order=True).filter(pl.col("ours_s").is_not_null()).sort("rows")
    if ours.height > 1:
        first, last = ours.row(0, named=True), ours.row(-1, named=True)
        straight = last["ours_s"] * first["rows"] / last["rows"]
        panel.plot([first["rows"], last["rows"]], [straight, last["ours_s"]], ":", color="#9a9a9a", label="linear")
    seen = part.filter(pl.col("peer_s").is_not_null())
    for colour, name in zip(OTHERS, seen["peer"].unique(maintain_order=True), strict=False):
        peer = seen.filter(pl.col("peer") == name).sort("rows")
        panel.plot(peer["rows"], peer["peer_s"], "s-", color=colour, markersize=3, linewidth=1, label=name)
    panel.plot(ours["rows"], ours["ours_s"], "o-", color=OWN, markersize=4, linewidth=1.6, label="ours")
    panel.legend(frameon=False, fontsize=6.5)
