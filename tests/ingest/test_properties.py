"""What must hold for any release: counts reconcile, the order of rows changes nothing, no mutation ends in a crash."""

import random
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipelines.ingest import ReleaseRefused, check_release, read_release
from pipelines.protocol import Protocol, load_protocol
from pipelines.resources import default_protocol_file

PROTOCOL: Protocol = load_protocol(default_protocol_file())
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FIELDS = st.sampled_from(
    ["", " ", "0", "1", "-1", "3.7", "650", "801", "1e9", "NaN", "true", "P-01", "P-02", "P-03", "death", "esi", "spwt",
     "odi", "m", "points", "km", "choice", "ß", "a,b", 'q"q', "62323", "CPT"]
)  # fmt: skip
TABLES = st.sampled_from(["patients", "treatments", "assessments", "events"])
CHANGES = st.lists(st.tuples(TABLES, st.integers(0, 30), st.integers(0, 30), FIELDS), max_size=8)
REPEATS = st.lists(st.tuples(TABLES, st.integers(0, 30)), max_size=3)


def mutate(release, changes, repeats) -> None:
    """Repeat some rows, then overwrite some fields."""
    for table, row in repeats:
        rows = release.tables[table]
        rows.append(dict(rows[row % len(rows)]))
    for table, row, column, field in changes:
        rows, columns = release.tables[table], release.columns[table]
        name = columns[column % len(columns)]
        if not _would_refuse_the_release(name, field):
            rows[row % len(rows)][name] = field


def _would_refuse_the_release(column: str, field: str) -> bool:
    """An age above 89, five digits that may be a postal code, letters that may be a name: the guard's business."""
    is_pseudonym = column in ("patient_id", "treatment_id", "surgeon_id", "site_id")
    return (
        (column == "age_years" and field in ("650", "801", "1e9"))
        or (column != "code" and field == "62323")
        or (is_pseudonym and (not field.isascii() or len(field) > 3) and field.isalpha())
    )


@FEW
@given(CHANGES, REPEATS)
def test_counts_reconcile_whatever_is_wrong(make_release, changes, repeats) -> None:
    with TemporaryDirectory() as folder:
        release = make_release(folder)
        mutate(release, changes, repeats)
        read = {name: len(rows) for name, rows in release.tables.items()}
        if not check_release(release.write(), PROTOCOL).has_patients:
            with pytest.raises(ReleaseRefused, match="no patient is left to study"):
                read_release(release.folder, PROTOCOL)
            return
        ingested = read_release(release.folder, PROTOCOL)
    for name, n_read, n_accepted, n_quarantined in ingested.inspection.counts.rows():
        quarantine = ingested.inspection.quarantine.filter(file=f"{name}.csv")
        assert n_read == read[name] == n_accepted + n_quarantined
        assert n_accepted == ingested.tables[f"raw.{name}"].height
        assert n_quarantined == quarantine["line"].n_unique()
        kept = ingested.tables[f"raw.{name}"]["record_id"].str.split(":").list.last().cast(pl.Int64)
        assert not set(kept) & set(quarantine["line"])
    violations = ingested.inspection.rules.filter(severity="error")["violations"].sum()
    assert violations == ingested.inspection.quarantine.height


@FEW
@given(CHANGES, REPEATS, st.integers(0, 2**32))
def test_the_order_of_rows_changes_nothing(make_release, changes, repeats, seed: int) -> None:
    with TemporaryDirectory() as folder:
        release = make_release(folder)
        mutate(release, changes, repeats)
        assume(check_release(release.write(), PROTOCOL).has_patients)
        before = read_release(release.folder, PROTOCOL)
        for rows in release.tables.values():
            random.Random(seed).shuffle(rows)
        after = read_release(release.write(), PROTOCOL)
    assert after.inspection.counts.equals(before.inspection.counts)
    assert after.inspection.rules.equals(before.inspection.rules)
    for name in ("raw.patients", "raw.treatments", "raw.assessments", "raw.events"):
        shuffled, straight = (part.tables[name].drop("record_id") for part in (after, before))
        assert shuffled.sort(pl.all()).equals(straight.sort(pl.all()))


@FEW
@given(TABLES, st.binary(max_size=6), st.floats(0, 1), st.integers(0, 6))
def test_flipped_bytes_are_taken_or_refused(make_release, table: str, new: bytes, where: float, cut: int) -> None:
    with TemporaryDirectory() as folder:
        release = make_release(folder)
        data = release.csv(table)
        at = int(where * len(data))
        release.bytes[table] = data[:at] + new + data[at + cut :]
        release.write()
        with suppress(ReleaseRefused):  # anything else is a crash
            check_release(Path(release.folder), PROTOCOL)
