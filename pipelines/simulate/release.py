"""Writes a simulated cohort as a release folder: rows in parts, their hashes, manifest and truth.

Memory stays bounded: a few blocks of patients are in the making at any time, whatever the size of the cohort.
"""

import hashlib
import os
import re
import tomllib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import polars as pl

from pipelines.simulate.assessment_rows import assessment_rows
from pipelines.simulate.block import block_count, draw_block, row_generators
from pipelines.simulate.dirt import with_flaws
from pipelines.simulate.event_rows import event_rows
from pipelines.simulate.parts import TABLES, PartWriter
from pipelines.simulate.patient_rows import patient_rows
from pipelines.simulate.settings import DEFAULT_SCENARIO, Settings, SettingsError, settings_from
from pipelines.simulate.treatment_rows import treatment_rows
from pipelines.simulate.truth import truth_document, write_truth

Format = Literal["csv", "parquet"]
MANIFEST, TRUTH = "manifest.toml", "truth.json"
_PATIENTS_A_PART = 100_000
_OWN_FILE = re.compile(rf"({'|'.join(TABLES)})(-\d+)?\.(csv|parquet)|{re.escape(MANIFEST)}|{re.escape(TRUTH)}")


def simulate(
    out_dir: Path | str,
    patients: int,
    seed: int,
    format: Format = "csv",
    settings: Settings | str | None = None,
    *,
    parts: int | None = None,
    truth_patients: int | None = None,
) -> Path:
    """Write a release of simulated patients with the truth about it, and return its folder.

    The cohort depends on patients, seed and settings only, not on format or parts.

    Args:
        out_dir: a new or empty folder, or one that holds an earlier simulated release (which is replaced).
        patients: number of patients.
        seed: seed of the cohort.
        format: of the four tables.
        settings: settings of the generator, or the name of a scenario (None: `default`).
        parts: files a table (None: one for every 100,000 patients).
        truth_patients: size of the simulation that gives the truth (None: 300,000, see
            `truth.py`; 0: no truth.json).

    Raises:
        SettingsError: a number is out of range, the scenario is unknown, or the folder holds something else.
    """
    chosen = settings_from(settings)
    _require_sensible(patients, seed, format, parts)
    folder = _ready_folder(Path(out_dir))
    blocks = block_count(patients)
    wanted = min(blocks, parts or -(-patients // _PATIENTS_A_PART))
    writer = PartWriter(folder, format, wanted)
    for number, tables in enumerate(_blocks(patients, seed, chosen)):
        writer.write(number * wanted // blocks, tables)
    (folder / MANIFEST).write_text(_manifest(folder, writer.close()), encoding="utf-8")
    if truth_patients != 0:
        scenario = None if isinstance(settings, Settings) else settings or DEFAULT_SCENARIO
        write_truth(folder / TRUTH, truth_document(patients, seed, chosen, scenario, truth_patients))
    return folder


def block_tables(number: int, patients: int, seed: int, settings: Settings) -> dict[str, pl.DataFrame]:
    """The four tables of one block of the cohort, flaws included."""
    block = draw_block(number, patients, seed, settings)
    for_patients, for_treatments, for_assessments, for_events, for_flaws = row_generators(seed, number)
    clean = {
        "patients": patient_rows(block, for_patients),
        "treatments": treatment_rows(block, settings, for_treatments),
        "assessments": assessment_rows(block, for_assessments),
        "events": event_rows(block, settings, for_events),
    }
    return with_flaws(clean, settings.dirt, for_flaws)


def _blocks(patients: int, seed: int, settings: Settings) -> Iterator[dict[str, pl.DataFrame]]:
    """Tables of all blocks in order, a few of them computed ahead; NumPy and polars release the interpreter's lock."""
    workers = min(4, os.cpu_count() or 1, block_count(patients))
    ahead: deque[Future[dict[str, pl.DataFrame]]] = deque()
    enrolled: dict[str, int] = {}
    with ThreadPoolExecutor(workers) as pool:
        for number in range(block_count(patients)):
            ahead.append(pool.submit(block_tables, number, patients, seed, settings))
            if len(ahead) > workers:
                yield _numbered(ahead.popleft().result(), enrolled)
        while ahead:
            yield _numbered(ahead.popleft().result(), enrolled)


def _numbered(tables: dict[str, pl.DataFrame], enrolled: dict[str, int]) -> dict[str, pl.DataFrame]:
    """Continue `site_sequence` where the blocks before left off; `enrolled` is brought up to date."""
    rows = tables["patients"]
    before = pl.col("site_id").replace_strict(enrolled, default=0, return_dtype=pl.Int64)
    rows = rows.with_columns(pl.col("site_sequence") + before)
    last = rows.group_by("site_id").agg(pl.col("site_sequence").max())
    enrolled.update(zip(last["site_id"], last["site_sequence"], strict=True))
    return tables | {"patients": rows}


# ----------------------------------------------------------------------------------------------------- folder, manifest


def _require_sensible(patients: int, seed: int, format: str, parts: int | None) -> None:
    if patients < 1:
        raise SettingsError("patients must be at least 1; name how many patients to simulate")
    if seed < 0:
        raise SettingsError("seed must not be negative; name a whole number from 0")
    if format not in ("csv", "parquet"):
        raise SettingsError("format must be csv or parquet; name one of the two")
    if parts is not None and parts < 1:
        raise SettingsError("parts must be at least 1; name how many files a table is split into")


def _ready_folder(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file; name a folder for the release")
    folder.mkdir(parents=True, exist_ok=True)
    present = list(folder.iterdir())
    if present and not (_is_simulated(folder) and all(_OWN_FILE.fullmatch(file.name) for file in present)):
        raise SettingsError(f"{folder} holds something other than a simulated release; name a new or empty folder")
    for file in present:
        file.unlink()
    # what an interrupted run leaves must be known as ours by the next one
    (folder / MANIFEST).write_text('source = "simulated"\n', encoding="utf-8")
    return folder


def _is_simulated(folder: Path) -> bool:
    try:
        return tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("source") == "simulated"
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False


def _manifest(folder: Path, rows: dict[str, dict[str, int]]) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._")[:60] or "simulated"
    lines = [
        f'release = "{name}"',
        'source = "simulated"',
        'deidentification = "synthetic"',
        'linkage = "all payers"',
        'data_use_agreement = ""',
    ]
    for table, files in rows.items():
        listed = ", ".join(f'"{file}"' for file in files)
        hashes = ", ".join(f'"{_sha256(folder / file)}"' for file in files)
        lines += ["", f"[tables.{table}]", f"files = [{listed}]", f"rows = {sum(files.values())}"]
        lines.append(f"sha256 = [{hashes}]")
    return "\n".join(lines) + "\n"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
