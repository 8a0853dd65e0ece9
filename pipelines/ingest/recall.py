"""How much of what identifies people the guard finds: planted identifiers, each put into the bundled release in turn.

The corpus is `data/guard/planted.csv` (kind, table, column, value; invented, Unicode written as escapes). A planted
value is `refused` (the release is), `kept out` (only its row is, by a row rule) or `let in`. What the guard looks for
stands in `scanners.py` and `headers.py`; nothing here is used in a run.
"""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from pipelines.ingest.contract import TABLE_NAMES
from pipelines.ingest.errors import ReleaseRefused
from pipelines.ingest.manifest import MANIFEST
from pipelines.ingest.release import read_release
from pipelines.protocol import Protocol
from pipelines.resources import data_folder, sample_release

_PATIENTS = 40
_ROW = 7  # the row of a table that the value is put into: neither its first nor its last


def planted_identifiers() -> pl.DataFrame:
    """The corpus: kind, table, column, value; one row a planted identifier."""
    corpus = pl.read_csv(data_folder() / "guard" / "planted.csv", infer_schema=False)
    values = [
        (value or "").encode().decode("unicode_escape") if "\\" in (value or "") else value for value in corpus["value"]
    ]
    return corpus.with_columns(value=pl.Series(values, dtype=pl.String).fill_null(""))


def outcomes(corpus: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """The corpus with what became of each value: kind, table, column, outcome (never the value)."""
    base = _few_patients()
    rows = []
    with TemporaryDirectory() as folder:
        for kind, table, column, value in corpus.iter_rows():
            tables = base | {table: _planted(base[table], column, value)}
            rows.append((kind, table, column, _outcome(Path(folder), tables, table, column, value, protocol)))
    return pl.DataFrame(rows, schema=["kind", "table", "column", "outcome"], orient="row")


def recall_table(corpus: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    """Recall by kind over a corpus (kind, table, column, value), and a last row over all of it.

    Returns:
        kind, planted, refused, kept_out, let_in, recall (refused / planted).
    """
    found = outcomes(corpus, protocol)
    counted = pl.concat([found, found.with_columns(kind=pl.lit("all"))])
    return counted.group_by("kind", maintain_order=True).agg(
        planted=pl.len(),
        refused=(pl.col("outcome") == "refused").sum(),
        kept_out=(pl.col("outcome") == "kept out").sum(),
        let_in=(pl.col("outcome") == "let in").sum(),
        recall=(pl.col("outcome") == "refused").mean(),
    )


def _few_patients() -> dict[str, pl.DataFrame]:
    """Some patients of the bundled release with all their records, as text."""
    tables = {name: pl.read_csv(sample_release() / f"{name}.csv", infer_schema=False) for name in TABLE_NAMES}
    patients = tables["patients"].unique("patient_id", keep="first", maintain_order=True).head(_PATIENTS)
    return {name: frame.join(patients, on="patient_id", how="semi") for name, frame in tables.items()} | {
        "patients": patients
    }


def _planted(frame: pl.DataFrame, column: str, value: str) -> pl.DataFrame:
    """The table with the value in one row of a column; a column that it lacks is added."""
    texts = frame[column].to_list() if column in frame.columns else [""] * frame.height
    texts[_ROW] = value
    return frame.with_columns(pl.Series(column, texts))


def _outcome(
    folder: Path, tables: dict[str, pl.DataFrame], table: str, column: str, value: str, protocol: Protocol
) -> str:
    _write(folder, tables)
    try:
        accepted = read_release(folder, protocol).tables[f"raw.{table}"]
    except ReleaseRefused:
        return "refused"
    return "let in" if (accepted[column].cast(pl.String) == value.strip()).any() else "kept out"


def _write(folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    lines = ['release = "planted"', 'source = "planted"', 'deidentification = "safe_harbor"', 'linkage = "none"']
    for name, frame in tables.items():
        data = frame.write_csv().encode()
        (folder / f"{name}.csv").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        lines += [f"[tables.{name}]", f'files = ["{name}.csv"]', f"rows = {frame.height}", f'sha256 = ["{digest}"]']
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
