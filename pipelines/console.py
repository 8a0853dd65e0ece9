"""What `lss` shows on a terminal: progress by stage while a run goes on, and the table of `lss check`.

Away from a terminal nothing of this is shown. Which lines a command ends with belongs in `cli/`.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_WIDE = 160  # columns of a table that goes to a file or a pipe

LABELS = {
    "raw": "reading the release",
    "protocol": "laying out the protocol",
    "staging": "codes to tiers, units",
    "outcomes": "episodes, visits, pain, walking, failure",
    "analysis": "one row for each patient analysed",
    "quality": "all checks",
    "results": "models",
    "reports": "snapshot and report",
}


class StageProgress:
    """One line a stage: how many of its steps are done, which one is running, and how long it has taken."""

    def __init__(self) -> None:
        self._stage_of: dict[str, str] = {}
        self._steps: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._running: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._spinner = Spinner("dots")

    def plan(self, stage_of: dict[str, str]) -> None:
        """Note the steps to come, each with its stage."""
        self._stage_of = stage_of
        self._steps = Counter(stage_of.values())

    def begun(self, step: str) -> None:
        """Note that a step begins."""
        self._running[self._stage_of[step]] = step
        self._began[step] = time.monotonic()

    def ended(self, step: str) -> None:
        """Note that a step ended."""
        stage = self._stage_of[step]
        self._done[stage] += 1
        self._seconds[stage] += time.monotonic() - self._began.get(step, time.monotonic())
        self._running.pop(stage, None)

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for stage in [name for name in LABELS if name in self._steps]:
            running = self._running.get(stage)
            is_done = self._done[stage] == self._steps[stage]
            mark = Text("✓", "green") if is_done else self._spinner if running else Text("·", "dim")
            now = running.split("__")[-1] if running else LABELS[stage]
            count = f"{self._done[stage]}/{self._steps[stage]}"
            seconds = f"{self._seconds[stage]:.1f} s" if self._done[stage] else ""
            table.add_row(mark, stage, Text(count, "dim"), Text(seconds, "dim", justify="right"), Text(now, "dim"))
        return table


@contextmanager
def stage_progress() -> Iterator[StageProgress]:
    """Progress on standard error while the block runs, if that is a terminal."""
    progress = StageProgress()
    console = Console(stderr=True)
    if not console.is_terminal:
        yield progress
        return
    with Live(progress, console=console, refresh_per_second=8):
        yield progress


def say_progress(text: str) -> None:
    """A line of progress on standard error, written over the last one; nothing away from a terminal."""
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(f"{text:<70}", end="\r", highlight=False)


def show_changes(title: str, changes: Iterable[Mapping[str, object]]) -> None:
    """What changed between two releases as a table, with notes below it."""
    listed = list(changes)
    numbers = ("value_before", "value_after", "change", "tolerance")
    rows = [{**row, **{name: _digits(row[name]) for name in numbers}} for row in listed]
    if rows:
        show_table(title, ["quantity", "group", *numbers, "scale", "verdict"], rows)
    for row in listed:
        if row["note"] is not None:
            print(f"{row['quantity']} {row['group']}".strip() + f": {row['note']}")


def _digits(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else ""


def show_table(title: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A plain table on standard output: text to the left, numbers to the right."""
    listed = [[row[column] for column in columns] for row in rows]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        is_number = bool(listed) and all(isinstance(row[index], int) for row in listed)
        table.add_column(column.replace("_", " "), justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        table.add_row(
            *(f"{value:,}" if isinstance(value, int) else "" if value is None else str(value) for value in row)
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(table)
