"""Result tables as files for other programs: Parquet and CSV, whole as they stand in the snapshot."""

from contextlib import closing
from pathlib import Path

from pipelines.releases.home import Home
from pipelines.releases.snapshot import open_snapshot


def export_results(home: Home, release: str, out_dir: Path, protocol: str | None = None) -> list[str]:
    """Write every `results.*` table of a published snapshot as `NAME.parquet` and `NAME.csv`; returns the names.

    Small counts are in them as in the snapshot: the files are for the protected side.

    Raises:
        ReleaseError: nothing is published for this release and protocol.
        OSError: the folder cannot be written.
    """
    with closing(open_snapshot(home, release, protocol)) as snapshot:
        listed = snapshot.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'results' ORDER BY table_name",
            "listing the results",
        )
        names = listed["table_name"].to_list()
        out_dir.mkdir(parents=True, exist_ok=True)
        for name in names:
            frame = snapshot.read(f"results.{name}")
            frame.write_parquet(out_dir / f"{name}.parquet")
            frame.write_csv(out_dir / f"{name}.csv")
    return names
