"""What goes back to the data steward: every finding by file, line and column, with the rule and its reason, no value.

How it is shown on a terminal belongs to the command line.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.ingest import anonymity
from pipelines.ingest.contract import joined
from pipelines.ingest.manifest import PLAIN_NAME
from pipelines.ingest.release import NO_PATIENT, Inspection
from pipelines.ingest.scanners import identifier_in_name
from pipelines.protocol import Protocol

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

SUFFIXES = (".xlsx", ".csv")
MOST_ROWS = 1_000_000  # a worksheet holds 1,048,576
_SHOWN = 3  # names of stray files
_WIDTHS = {"file": 22, "line": 9, "column": 24, "consequence": 18, "rule": 44, "reason": 88}


CONSEQUENCES = {"error": "kept aside", "warning": "used, please check"}
USED_MEANS = (
    "used: the row gave a record, or a fact about a patient; whether such a record was accepted stands in the table of "
    "the release."
)


class FindingsError(Exception):
    """The findings cannot be written this way; one plain sentence."""


def findings(inspection: Inspection) -> pl.DataFrame:
    """Every error and warning as the steward mends them: file, line, column, consequence, rule, reason.

    One row a problem, in the order of the files; `consequence` says whether the row was kept aside.
    """
    kept_aside = inspection.quarantine.with_columns(consequence=pl.lit(CONSEQUENCES["error"]))
    kept = inspection.warnings.with_columns(consequence=pl.lit(CONSEQUENCES["warning"]))
    return pl.concat([kept_aside, kept]).select(*_WIDTHS).sort("file", "line", "column", "rule", nulls_last=False)


Listed = tuple[list[str], list[dict[str, Any]]]


def counts_table(inspection: Inspection) -> Listed:
    """Columns and rows: what was read, accepted and kept aside of each table, and of all together."""
    columns = ["table", "rows read", "rows accepted", "rows kept aside"]
    rows = [*inspection.counts.iter_rows(), ("all", *inspection.counts.drop("table_name").sum().row(0))]
    return columns, [dict(zip(columns, row, strict=True)) for row in rows]


def rules_table(inspection: Inspection) -> Listed:
    """Columns and rows: every violated rule with its count, what became of the rows, and how to mend them."""
    told = inspection.violated.select(
        "rule",
        table="table_name",
        rows="violations",
        consequence=pl.col("severity").replace_strict(CONSEQUENCES),
        reason="reason",
    )
    return told.columns, list(told.iter_rows(named=True))


def remarks(inspection: Inspection, protocol: Protocol) -> list[str]:
    """What a steward should know beside rows and rules, a sentence each."""
    said = [] if inspection.has_patients else [f"{NO_PATIENT[0].upper()}{NO_PATIENT[1:]}; a run refuses it."]
    for (table,), part in inspection.empty_columns.group_by("table_name", maintain_order=True):
        columns = joined(part["column"])
        what = "This column of" if part.height == 1 else "These columns of"
        said.append(f"{what} {table} {'is' if part.height == 1 else 'are'} empty in this source: {columns}.")
    if inspection.stray_files:
        said.append(_stray(inspection.stray_files))
    if few := anonymity.sentence(inspection.anonymity, protocol):
        said.append(f"{few[0].upper()}{few[1:]}.")
    return said


def _stray(names: tuple[str, ...]) -> str:
    """A sentence on files that the manifest does not name; a name is shown where it names nobody."""
    shown = [name for name in names if PLAIN_NAME.fullmatch(name) and not identifier_in_name(name)][:_SHOWN]
    such = f", such as {joined(shown)}" if shown else ""
    return (
        f"The folder holds {len(names):,} file{'s' if len(names) > 1 else ''} that manifest.toml does not name{such}: "
        f"nothing of that is read, and it should not travel with a release."
    )


def unfit_path(path: Path, release_dir: Path) -> str | None:
    """Why findings cannot be written to this path, as one sentence; None if they can."""
    if path.suffix.lower() not in SUFFIXES:
        return f"findings are written to a file that ends in .xlsx or .csv, not to {path.name}"
    if path.is_dir() or not path.absolute().parent.is_dir():
        return f"there is no folder to write {path.name} into; make it first, or name a file in another one"
    if path.resolve().is_relative_to(release_dir.resolve()):
        return "findings do not go into the release folder, which stays as it was handed over; name a file elsewhere"
    return None


def write_findings(inspection: Inspection, path: Path, protocol: Protocol) -> int:
    """Write the findings as a workbook or as CSV that a spreadsheet opens with the right letters; returns their number.

    The workbook has two sheets: `Summary` (rows of each table, each violated rule with its count, what became of the
    source's own rows, and remarks) and `Findings`.

    Raises:
        OSError: the file cannot be written; one that stood there before is then left as it was.
        FindingsError: there are more findings than a worksheet holds.
    """
    found = findings(inspection)
    with _whole(path) as part:
        if path.suffix.lower() == ".csv":
            part.write_bytes(b"\xef\xbb\xbf" + found.write_csv(line_terminator="\r\n").encode())
        elif found.height > MOST_ROWS:
            raise FindingsError(f"{found.height:,} findings are more than a worksheet holds; write them to a .csv file")
        else:
            _write_workbook(inspection, found, part, protocol)
    return found.height


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside the path that takes its place once it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_workbook(inspection: Inspection, found: pl.DataFrame, path: Path, protocol: Protocol) -> None:
    from xlsxwriter import Workbook  # only who asks for a workbook waits for it

    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = Workbook(os.fspath(path), {"constant_memory": True, **plain})
    try:
        _fill_summary(book, book.add_worksheet("Summary"), inspection, protocol)
        _fill_findings(book, book.add_worksheet("Findings"), found)
    finally:
        book.close()


def _fill_summary(book: "Workbook", sheet: "Worksheet", inspection: Inspection, protocol: Protocol) -> None:
    title, note = book.add_format({"bold": True, "font_size": 14}), book.add_format({"font_color": "#595959"})
    head, number, wrap = _head(book), book.add_format({"num_format": "#,##0", "valign": "top"}), _wrap(book)
    for place, width in enumerate((46, 16, 16, 18, 90)):
        sheet.set_column(place, place, width)
    sheet.write(0, 0, f"Release {inspection.release}: rows to mend", title)
    sheet.write(1, 0, "Rows are named by file and line, with the rule they break; values are left out.", note)
    row = 3
    blocks = [counts_table(inspection), rules_table(inspection)]
    if inspection.has_strange_rows:
        told = inspection.account.filter(pl.col("row_count") > 0)
        told = told.select("source_table", "rows_read", "row_count", became="outcome")
        told.columns = ["table of the source", "rows read", "of these", "became"]
        blocks.append((told.columns, list(told.iter_rows(named=True))))
    for columns, rows in blocks:
        sheet.write_row(row, 0, columns, head)
        for fields in rows or [{"": "No row rule is violated."}]:
            row += 1
            _write_row(sheet, row, fields.values(), number, wrap)
        row += 2
    if inspection.has_strange_rows:
        sheet.write(row - 1, 0, USED_MEANS, note)
    for said in remarks(inspection, protocol):
        row += 1
        sheet.write(row, 0, said)
    _set_page(sheet)


def _fill_findings(book: "Workbook", sheet: "Worksheet", found: pl.DataFrame) -> None:
    number, wrap = book.add_format({"valign": "top"}), _wrap(book)
    for place, width in enumerate(_WIDTHS.values()):
        sheet.set_column(place, place, width)
    sheet.write_row(0, 0, found.columns, _head(book))
    for row, finding in enumerate(found.iter_rows(), 1):
        _write_row(sheet, row, finding, number, wrap)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, found.height, len(_WIDTHS) - 1)
    sheet.repeat_rows(0)
    _set_page(sheet)


def _write_row(sheet: "Worksheet", row: int, fields: Iterable[Any], number: Any, text: Any) -> None:
    for column, field in enumerate(fields):
        sheet.write(row, column, field, number if isinstance(field, int) else text)


def _head(book: "Workbook") -> Any:
    return book.add_format({"bold": True, "bottom": 1, "bg_color": "#EDF1F5", "valign": "top"})


def _wrap(book: "Workbook") -> Any:
    return book.add_format({"text_wrap": True, "valign": "top"})


def _set_page(sheet: "Worksheet") -> None:
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
