"""The torture as a command: which parts, at what size, and their figures as Markdown and CSV in a folder.

Parts can be named with --part; --kills, --releases and --workers change its size. It takes about an hour of two cores.
Kills are noted one by one: a torture that was cut off is carried on by another with --add and another --seed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import chain, pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from pipelines.simulate import simulate
from pipelines.validation.torture.disk import (
    Trouble,
    small_disk,
    torture_by_disk,
    torture_by_file_size,
    torture_by_read_only,
    torture_by_vanishing,
)
from pipelines.validation.torture.drafts import clean_tables
from pipelines.validation.torture.kills import Kill, torture_by_kills
from pipelines.validation.torture.releases import Tables, Verdict, torture_command, torture_ingest
from pipelines.validation.torture.sharing import torture_by_readers, torture_by_two_runs
from pipelines.validation.torture.world import VARIANTS, empty, make_world, one_thread

PARTS = ("kills", "disk", "sharing", "releases")
DISK_MEGABYTES = 600  # each run archives a snapshot and leaves its history
PATIENTS, SEED = 40, 5
COMMANDS = 100  # of the mutated releases, through the command; every third of them whole runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; the exit code is 1 when anything failed."""
    asked = _asked(arguments)
    one_thread()
    folder = Path(asked.folder).absolute()
    folder = folder if asked.add and folder.is_dir() else empty(folder)
    lines, faults = [f"Seed {asked.seed}, {PATIENTS} patients, {asked.workers} workers.", ""], 0
    for part in asked.part or PARTS:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
            frame, said = _PARTS[part](Path(scratch), asked)
        frame.write_csv(folder / f"{part}.csv")
        failed = frame.filter(pl.col("fault") != "")
        faults += failed.height
        lines += [f"- **{part}** ({(time.monotonic() - begun) / 60:.1f} min): {said}; {failed.height} faults"]
        lines += [f"    - {row}" for row in failed.iter_rows()]
        (folder / "torture.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines[-1 - failed.height :]), flush=True)
    return 1 if faults else 0


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description="Hurt runs and releases, and see what holds.")
    parser.add_argument("folder", nargs="?", default="torture", help="for the figures; emptied first unless --add")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--kills", type=int, default=200, help="kills, half of them inside publishing")
    parser.add_argument("--releases", type=int, default=2000, help="mutated releases")
    parser.add_argument("--workers", type=int, default=2, help="homes that are tortured side by side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--add", action="store_true", help="keep the folder and count the kills noted there, too")
    return parser.parse_args(arguments)


def _shares(total: int, workers: int) -> list[range]:
    """The numbers 1 to `total`, divided."""
    ends = [total * worker // workers for worker in range(workers + 1)]
    return [range(a + 1, b + 1) for a, b in pairwise(ends)]


def _side_by_side(work: Any, shares: Sequence[Any]) -> Iterator[Any]:
    """What the work makes of each share, in processes of their own."""
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
        yield from chain.from_iterable(pool.map(work, shares))


def _frame(rows: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame([asdict(row) for row in rows], infer_schema_length=None)


# ---------------------------------------------------------------------------------------------------------- the parts


def _kills(scratch: Path, asked: argparse.Namespace) -> tuple[pl.DataFrame, str]:
    notes = Path(asked.folder).absolute() / "kills"
    notes.mkdir(exist_ok=True)
    work = partial(_kill_share, scratch, notes, asked.seed)
    list(_side_by_side(work, _shares(asked.kills, asked.workers)))
    frame = _noted(notes)
    count = dict(frame["aim"].value_counts().iter_rows())
    kept = dict(frame.filter(pl.col("aim") != "complete")["snapshot"].value_counts().iter_rows())
    steps = frame.filter(pl.col("aim") == "anywhere")["step"].n_unique()
    return frame, (
        f"kills: {count.get('anywhere', 0)} in {steps} steps, {count.get('publishing', 0)} inside publishing; "
        f"the snapshot was whole each time, {kept.get('before', 0)} times the one before, {kept.get('after', 0)} times "
        f"the one after; {count.get('complete', 0)} runs completed behind them"
        if "broken" not in kept
        else f"the snapshot was broken {kept['broken']} times"
    )


def _kill_share(scratch: Path, notes: Path, seed: int, share: range) -> list[Kill]:
    """Kill a share of the runs; each is noted as it happens, so that a torture cut off has not been in vain."""
    one_thread()
    world = make_world(empty(scratch / str(share.start)), PATIENTS, SEED)
    publishing = len(share) // 2
    kills = []
    with (notes / f"{seed}-{share.start}.jsonl").open("w", encoding="utf-8") as file:
        for kill in torture_by_kills(world, len(share) - publishing, publishing, seed + share.start, _note):
            kills.append(kill)
            file.write(json.dumps(asdict(kill)) + "\n")
            file.flush()
    return kills


def _noted(notes: Path) -> pl.DataFrame:
    """The kills noted in a folder, by this torture and, with --add, by those before."""
    lines = [line for file in sorted(notes.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return _frame([Kill(**json.loads(line)) for line in lines])


def _disk(scratch: Path, _: argparse.Namespace) -> tuple[pl.DataFrame, str]:
    rows: list[Trouble] = []
    with small_disk(scratch / "small", DISK_MEGABYTES) as is_mounted:
        home = scratch / "small" if is_mounted else None
        world = make_world(empty(scratch / "disk"), PATIENTS, SEED, home)
        filled = torture_by_disk(world) if is_mounted else torture_by_file_size(world)
        for row in chain(filled, torture_by_read_only(world, is_mounted), torture_by_vanishing(world)):
            _note(f"{row.kind}: {row.code} {row.said} {row.fault}")
            rows.append(row)
    failed = sum(row.code != 0 for row in rows)
    how = "a file system in memory" if is_mounted else "limits on the size of files and folders without rights"
    return _frame(rows), f"{len(rows)} runs on {how}, {failed} of them failed with one plain sentence"


def _sharing(scratch: Path, _: argparse.Namespace) -> tuple[pl.DataFrame, str]:
    world = make_world(empty(scratch / "shared"), PATIENTS, SEED)
    readings = torture_by_readers(world)
    rows = [{"what": reading.kind, "openings": reading.openings, "versions": reading.versions, "fault": reading.fault}
            for reading in readings]  # fmt: skip
    twice = torture_by_two_runs(world)
    rows.append({"what": "two runs", "openings": 0, "versions": 0, "fault": "; ".join(twice)})
    opened = sum(reading.openings for reading in readings if reading.kind == "reader")
    return pl.DataFrame(rows), (
        f"a notebook held the snapshot through a whole run, ten readers opened and closed it {opened:,} times; "
        "of two runs at once the second said that it waits; a killed first run held nobody up"
    )


def _releases(scratch: Path, asked: argparse.Namespace) -> tuple[pl.DataFrame, str]:
    tables = clean_tables(simulate(scratch / "clean", PATIENTS, SEED, truth_patients=0))
    work = partial(_ingest_share, scratch, tables, asked.seed)
    inside: list[Verdict] = list(_side_by_side(work, _shares(asked.releases, asked.workers)))
    accepted = [verdict.number for verdict in inside if verdict.outcome == "accepted"]
    chosen = _chosen([verdict.number for verdict in inside], accepted, min(COMMANDS, len(inside)))
    shares = [chosen[worker :: asked.workers] for worker in range(asked.workers)]
    protocol = make_world(empty(scratch / "protocol"), PATIENTS, SEED).protocols[VARIANTS[0]]
    outside: list[Verdict] = list(_side_by_side(partial(_command_share, scratch, tables, asked.seed, protocol), shares))
    frame = _frame(inside).with_columns(where=pl.lit("in process"))
    frame = pl.concat([frame, _frame(outside).with_columns(where=pl.lit("command"))])
    counts = {where: Counter(verdict.outcome for verdict in verdicts) for where, verdicts in
              (("in process", inside), ("through the command", outside))}  # fmt: skip
    said = [
        f"{sum(c.values()):,} {where}: {c['accepted']} accepted, {c['refused']} refused" for where, c in counts.items()
    ]
    slowest = max(verdict.seconds for verdict in inside)
    largest = max(verdict.megabytes for verdict in inside)
    usual = median(verdict.megabytes for verdict in inside if verdict.megabytes)
    return frame, f"{'; '.join(said)}; at most {slowest:.1f} s and {largest:,.0f} MB a case (median {usual:,.0f} MB)"


def _chosen(numbers: Sequence[int], accepted: Sequence[int], count: int) -> list[tuple[int, str]]:
    """Cases for the command, spread over all; of those that ingest accepts a third run the whole job."""
    runs = accepted[:: max(1, len(accepted) * 3 // count)][: count // 3]
    checks = [number for number in numbers[:: max(1, len(numbers) // count)] if number not in runs]
    return [(number, "run") for number in runs] + [(number, "check") for number in checks][: count - len(runs)]


def _ingest_share(scratch: Path, tables: Tables, seed: int, share: range) -> list[Verdict]:
    return list(torture_ingest(empty(scratch / f"in-{share.start}"), tables, seed, share))


def _command_share(
    scratch: Path, tables: Tables, seed: int, protocol: Path, cases: list[tuple[int, str]]
) -> list[Verdict]:
    one_thread()
    folder = empty(scratch / f"out-{cases[0][0] if cases else 0}")
    return list(torture_command(folder, tables, seed, cases, ("--protocol", str(protocol))))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_PARTS = {"kills": _kills, "disk": _disk, "sharing": _sharing, "releases": _releases}
