"""Result tables as files for other programs: Parquet and CSV."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.warehouse import Warehouse

RESULTS = "results."


def export_results(
    snapshot: Warehouse, out_dir: Path, released: Callable[[str, pl.DataFrame], pl.DataFrame] | None = None
) -> list[str]:
    """Write every `results.*` table of a published snapshot as `NAME.parquet` and `NAME.csv`; returns the names.

    Args:
        snapshot: the open snapshot.
        out_dir: the folder, made if it is missing.
        released: makes of a table, given with its name, what may leave; without it tables are written as they stand,
            small counts included, for the protected side.

    Raises:
        OSError: the folder cannot be written.
    """
    names = [table.removeprefix(RESULTS) for table in snapshot.tables() if table.startswith(RESULTS)]
    out_dir.mkdir(parents=True, exist_ok=True)
    for name in names:
        frame = snapshot.read(f"{RESULTS}{name}")
        frame = released(name, frame) if released else frame
        frame.write_parquet(out_dir / f"{name}.parquet")
        frame.write_csv(out_dir / f"{name}.csv")
    return names
