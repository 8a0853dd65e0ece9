"""Result tables as files for other programs: Parquet and CSV."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from pipelines.warehouse import Warehouse

RESULTS = "results."
INDEX_FILE = "index.csv"


def export_results(
    snapshot: Warehouse,
    out_dir: Path,
    released: Callable[[str, pl.DataFrame], pl.DataFrame] | None = None,
    why_without_rows: Callable[[str], str] | None = None,
) -> list[str]:
    """Write every `results.*` table of a published snapshot as `NAME.parquet` and `NAME.csv`; returns the names.

    Beside them `index.csv` names each table with its rows and, where it has none, why.

    Args:
        snapshot: the open snapshot.
        out_dir: the folder, made if it is missing.
        released: makes of a table, given with its name, what may leave; without it tables are written as they stand,
            small counts included, for the protected side.
        why_without_rows: why a table may not leave, by its name; empty where it may.

    Raises:
        OSError: the folder cannot be written.
    """
    names = [table.removeprefix(RESULTS) for table in snapshot.tables() if table.startswith(RESULTS)]
    out_dir.mkdir(parents=True, exist_ok=True)
    index = []
    for name in names:
        frame = snapshot.read(f"{RESULTS}{name}")
        frame = released(name, frame) if released else frame
        frame.write_parquet(out_dir / f"{name}.parquet")
        frame.write_csv(out_dir / f"{name}.csv")
        why = (why_without_rows(name) if why_without_rows else "") or ("" if frame.height else "no result in this run")
        index.append({"table": name, "rows": frame.height, "note": why})
    pl.DataFrame(index, schema={"table": pl.String, "rows": pl.Int64, "note": pl.String}).write_csv(
        out_dir / INDEX_FILE
    )
    return names
