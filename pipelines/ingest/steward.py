"""What goes back to the data steward: every finding by file, line and column, with the rule and its reason, no value.

How it is shown on a terminal belongs to the command line.
"""

from pathlib import Path

import polars as pl

from pipelines.ingest.release import Inspection


def findings(inspection: Inspection) -> pl.DataFrame:
    """Every error and warning as the steward mends them: file, line, column, consequence, rule, reason.

    One row a problem, in the order of the files; `consequence` says whether the row was kept aside.
    """
    kept_aside = inspection.quarantine.with_columns(consequence=pl.lit("kept aside"))
    kept = inspection.warnings.with_columns(consequence=pl.lit("used, please check"))
    order = ["file", "line", "column", "consequence", "rule", "reason"]
    return pl.concat([kept_aside, kept]).select(order).sort("file", "line", "column", "rule", nulls_last=False)


def write_findings(inspection: Inspection, path: Path) -> int:
    """Write the findings as CSV that a spreadsheet opens with the right letters; returns their number.

    Raises:
        OSError: the file cannot be written.
    """
    found = findings(inspection)
    path.write_bytes(b"\xef\xbb\xbf" + found.write_csv(line_terminator="\r\n").encode())
    return found.height
