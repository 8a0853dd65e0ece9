"""What goes back to the data steward: every finding by file, line and column, with the rule and its reason, no value.

How it is shown on a terminal belongs to the command line.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.ingest.release import Inspection

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

SUFFIXES = (".xlsx", ".csv")
MOST_ROWS = 1_000_000  # a worksheet holds 1,048,576
_WIDTHS = {"file": 22, "line": 9, "column": 24, "consequence": 18, "rule": 44, "reason": 88}


class FindingsError(Exception):
    """The findings cannot be written this way; one plain sentence."""


def findings(inspection: Inspection) -> pl.DataFrame:
    """Every error and warning as the steward mends them: file, line, column, consequence, rule, reason.

    One row a problem, in the order of the files; `consequence` says whether the row was kept aside.
    """
    kept_aside = inspection.quarantine.with_columns(consequence=pl.lit("kept aside"))
    kept = inspection.warnings.with_columns(consequence=pl.lit("used, please check"))
    return pl.concat([kept_aside, kept]).select(*_WIDTHS).sort("file", "line", "column", "rule", nulls_last=False)


def unfit_path(path: Path, release_dir: Path) -> str | None:
    """Why findings cannot be written to this path, as one sentence; None if they can."""
    if path.suffix.lower() not in SUFFIXES:
        return f"findings are written to a file that ends in .xlsx or .csv, not to {path.name}"
    if path.is_dir() or not path.absolute().parent.is_dir():
        return f"there is no folder to write {path.name} into; make it first, or name a file in another one"
    if path.resolve().is_relative_to(release_dir.resolve()):
        return "findings do not go into the release folder, which stays as it was handed over; name a file elsewhere"
    return None


def write_findings(inspection: Inspection, path: Path) -> int:
    """Write the findings as a workbook or as CSV that a spreadsheet opens with the right letters; returns their number.

    The workbook has two sheets: `Summary` (rows of each table, then each violated rule with its count) and `Findings`.

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
            _write_workbook(inspection, found, part)
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


def _write_workbook(inspection: Inspection, found: pl.DataFrame, path: Path) -> None:
    from xlsxwriter import Workbook  # only who asks for a workbook waits for it

    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = Workbook(os.fspath(path), {"constant_memory": True, **plain})
    try:
        _fill_summary(book, book.add_worksheet("Summary"), inspection)
        _fill_findings(book, book.add_worksheet("Findings"), found)
    finally:
        book.close()


def _fill_summary(book: "Workbook", sheet: "Worksheet", inspection: Inspection) -> None:
    title, note = book.add_format({"bold": True, "font_size": 14}), book.add_format({"font_color": "#595959"})
    head, number, wrap = _head(book), book.add_format({"num_format": "#,##0", "valign": "top"}), _wrap(book)
    for place, width in enumerate((46, 16, 16, 18, 90)):
        sheet.set_column(place, place, width)
    sheet.write(0, 0, f"Release {inspection.release}: rows to mend", title)
    sheet.write(1, 0, "Rows are named by file and line, with the rule they break; values are left out.", note)
    sheet.write_row(3, 0, ["table", "rows read", "rows accepted", "rows kept aside"], head)
    row = 4
    for counts in inspection.counts.iter_rows():
        _write_row(sheet, row, counts, number, wrap)
        row += 1
    sheet.write_row(row + 1, 0, ["rule", "table", "rows", "consequence", "reason"], head)
    row += 2
    if inspection.violated.is_empty():
        sheet.write(row, 0, "No row rule is violated.", wrap)
    consequence = {"error": "kept aside", "warning": "used, please check"}
    for rule in inspection.violated.iter_rows(named=True):
        said = (rule["rule"], rule["table_name"], rule["violations"], consequence[rule["severity"]], rule["reason"])
        _write_row(sheet, row, said, number, wrap)
        row += 1
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
